/* The validator: a stack of frames instead of recursion, so that neither a deep value nor a schema
 * that refers to itself costs stack. A scalar is judged on the spot; only a value with members or
 * items, and a node with choices, get a frame. A frame under anyOf, oneOf, not or if is quiet: its
 * faults decide, but are nobody's to read, and the first one ends it. */
#include "schema/check.h"

/* ---- faults ---- */

/* Record a fault of the value in hand: where the frames' members and items lead. */
static void record(struct tb_check *m, enum tb_fault_kind kind, int64_t number, const char *text)
{
    struct tb_fault fault = {.kind = kind, .number = number, .text = text};
    if (kind == TB_FAULT_ADDITIONAL_PROPERTIES)
        fault.known = m->frames[m->depth - 1].node->object;
    for (size_t i = 0; i < m->depth; i++) {
        if (m->frames[i].stage != TB_STAGE_CHOICES)
            fault.path[fault.path_n++] = m->frames[i].at;
    }
    tb_faults_add(&m->faults, m->arena, &fault);
}

enum tb_check_verdict tb_check_fault(struct tb_check *m, bool quiet, enum tb_fault_kind kind,
                                     int64_t number, const char *text)
{
    if (!quiet)
        record(m, kind, number, text);
    return TB_FAULTY;
}

enum tb_check_verdict tb_check_stop(struct tb_check *m)
{
    if (!m->stopped)
        record(m, TB_FAULT_TOO_COMPLEX, 0, NULL);
    m->stopped = true;
    return TB_FAULTY;
}

bool tb_check_spend(struct tb_check *m, size_t steps)
{
    if (m->steps < steps) {
        m->steps = 0;
        tb_check_stop(m);
        return false;
    }
    m->steps -= steps;
    return true;
}

static inline enum tb_check_verdict worse(enum tb_check_verdict a, enum tb_check_verdict b)
{
    return a == TB_FAULTY ? TB_FAULTY : b;
}

/* ---- meeting a value ---- */

static enum tb_check_verdict push(struct tb_check *m, const struct tb_schema_node *node,
                                  json_t *value, enum tb_check_stage stage, bool quiet, bool faulty)
{
    if (m->depth == TB_SCHEMA_DEPTH)
        return tb_check_stop(m);
    struct tb_check_frame *f = &m->frames[m->depth++];
    *f = (struct tb_check_frame){
        .node = node, .value = value, .stage = stage, .quiet = quiet, .faulty = faulty};
    if (stage == TB_STAGE_MEMBERS)
        f->next = json_object_iter(value);
    return TB_PUSHED;
}

/* Judge `value` by `node` as far as that takes no frame, and make one for the rest. */
static enum tb_check_verdict visit(struct tb_check *m, const struct tb_schema_node *node,
                                   json_t *value, bool quiet)
{
    if (!tb_check_spend(m, 1))
        return TB_FAULTY;
    if ((node->types >> json_typeof(value) & 1) == 0)
        return node == &tb_schema_nothing
                   ? tb_check_fault(m, quiet, TB_FAULT_NOT_ALLOWED, 0, NULL)
                   : tb_check_fault(m, quiet, TB_FAULT_TYPE, 0, node->types_words);
    enum tb_check_verdict verdict = TB_FITS;
    if (node->constant != NULL && !tb_rule_among(node->constant, value))
        verdict = tb_check_fault(m, quiet, TB_FAULT_CONST, 0, node->constant->words);
    if (node->choice != NULL && !tb_rule_among(node->choice, value))
        verdict = tb_check_fault(m, quiet, TB_FAULT_ENUM, 0, node->choice->words);
    enum tb_check_stage stage = TB_STAGE_CHOICES;
    switch (json_typeof(value)) {
    case JSON_STRING:
        if (node->string != NULL) {
            struct tb_str text = {json_string_value(value), json_string_length(value)};
            verdict = worse(verdict, tb_rule_string(m, node->string, text, quiet));
        }
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        if (node->number != NULL)
            verdict = worse(verdict, tb_rule_number(m, node->number, value, quiet));
        break;
    case JSON_ARRAY:
        if (node->array != NULL) {
            verdict = worse(verdict, tb_rule_array(m, node->array, value, quiet));
            if (node->array->items != NULL)
                stage = TB_STAGE_ITEMS;
        }
        break;
    case JSON_OBJECT:
        if (node->object != NULL) {
            verdict = worse(verdict, tb_rule_object(m, node->object, value, quiet));
            stage = TB_STAGE_MEMBERS;
        }
        break;
    default:
        break;
    }
    if ((stage == TB_STAGE_CHOICES && node->choices_n == 0) || (quiet && verdict == TB_FAULTY) ||
        m->stopped)
        return m->stopped ? TB_FAULTY : verdict;
    return push(m, node, value, stage, quiet, verdict == TB_FAULTY);
}

/* ---- frames: each step ends with a frame pushed or its own stage done ---- */

static const struct tb_member *member_find(const struct tb_object_rules *rules, const char *name,
                                           size_t n)
{
    size_t slot = tb_member_hash(name, n) & rules->mask;
    for (; rules->members[slot].name != NULL; slot = (slot + 1) & rules->mask) {
        if (rules->members[slot].n == n && memcmp(rules->members[slot].name, name, n) == 0)
            return &rules->members[slot];
    }
    return NULL;
}

/* The next schema the member in hand must meet, counted by `turn`: the one of its name, those of
 * the patterns its name matches, else the one for additional members. NULL when there is no more.
 */
static const struct tb_schema_node *member_next(struct tb_check *m, struct tb_check_frame *f,
                                                const char *name, size_t n)
{
    const struct tb_object_rules *rules = f->node->object;
    if (f->turn == 0) {
        f->turn = 1;
        const struct tb_member *named = member_find(rules, name, n);
        if (named != NULL)
            f->seen |= named->required;
        if (named != NULL && named->node != NULL) {
            f->hits++;
            return named->node;
        }
    }
    while (f->turn <= rules->patterns_n) {
        const struct tb_member_pattern *pattern = &rules->patterns[f->turn++ - 1];
        if (tb_rule_search(m, pattern->name, (struct tb_str){name, n}) == TB_FITS) {
            f->hits++;
            return pattern->node;
        }
    }
    if (f->turn++ > rules->patterns_n + 1 || f->hits > 0)
        return NULL;
    return rules->additional;
}

static enum tb_check_verdict check_name(struct tb_check *m, struct tb_check_frame *f,
                                        struct tb_str name)
{
    const struct tb_schema_node *names = f->node->object->names;
    if (names == NULL || tb_rule_string(m, names->string, name, true) == TB_FITS || m->stopped)
        return TB_FITS;
    return tb_check_fault(m, f->quiet, TB_FAULT_PROPERTY_NAMES, 0, NULL);
}

static void members_end(struct tb_check *m, struct tb_check_frame *f)
{
    const struct tb_object_rules *rules = f->node->object;
    f->stage = TB_STAGE_CHOICES;
    f->hits = 0;
    for (size_t i = 0; i < rules->required_n; i++) {
        if ((f->seen >> i & 1) != 0)
            continue;
        f->faulty = true;
        if (f->quiet)
            return;
        f->stage = TB_STAGE_MEMBERS; /* so that the place leads to the missing member */
        f->at = (uint32_t)json_object_size(f->value);
        record(m, TB_FAULT_REQUIRED, 0, rules->required[i]);
        f->stage = TB_STAGE_CHOICES;
    }
}

static void step_members(struct tb_check *m, struct tb_check_frame *f)
{
    while (f->next != NULL && !m->stopped && !(f->quiet && f->faulty)) {
        struct tb_str name = {json_object_iter_key(f->next), json_object_iter_key_len(f->next)};
        json_t *value = json_object_iter_value(f->next);
        if (f->turn == 0 && check_name(m, f, name) == TB_FAULTY)
            f->faulty = true;
        const struct tb_schema_node *node;
        while ((node = member_next(m, f, name.at, name.n)) != NULL) {
            enum tb_check_verdict verdict;
            if (node == &tb_schema_nothing && f->hits == 0)
                verdict = tb_check_fault(m, f->quiet, TB_FAULT_ADDITIONAL_PROPERTIES, 0, NULL);
            else
                verdict = visit(m, node, value, f->quiet);
            if (verdict == TB_PUSHED)
                return;
            if (verdict == TB_FAULTY)
                f->faulty = true;
        }
        if (!tb_check_spend(m, 1))
            return;
        f->next = json_object_iter_next(f->value, f->next);
        f->at++;
        f->turn = f->hits = 0;
    }
    if (!m->stopped) /* who was not looked at is not missing */
        members_end(m, f);
}

static void step_items(struct tb_check *m, struct tb_check_frame *f)
{
    size_t n = json_array_size(f->value);
    while (f->turn < n && !m->stopped && !(f->quiet && f->faulty)) {
        f->at = f->turn++;
        enum tb_check_verdict verdict = visit(m, f->node->array->items,
                                              json_array_get(f->value, f->at), f->quiet);
        if (verdict == TB_PUSHED)
            return;
        if (verdict == TB_FAULTY)
            f->faulty = true;
    }
    f->stage = TB_STAGE_CHOICES;
}

/* A branch of the choice in hand is decided: go on to the one to look at next. */
static void settle(struct tb_check_frame *f, bool faulty)
{
    const struct tb_choice *choice = &f->node->choices[f->choice];
    f->hits += !faulty;
    f->branch++;
    switch (choice->kind) {
    case TB_ALL_OF:
        f->faulty |= faulty;
        break;
    case TB_ANY_OF:
        if (!faulty)
            f->branch = (uint32_t)choice->nodes_n;
        break;
    case TB_ONE_OF:
        if (f->hits > 1)
            f->branch = (uint32_t)choice->nodes_n;
        break;
    case TB_NOT:
        break;
    case TB_IF:
        if (f->branch == 1) {
            f->branch = faulty ? 2 : 1;
        } else {
            f->faulty |= faulty;
            f->branch = (uint32_t)choice->nodes_n;
        }
        break;
    }
}

/* All branches needed are decided: what does the choice say? */
static void conclude(struct tb_check *m, struct tb_check_frame *f)
{
    const struct tb_choice *choice = &f->node->choices[f->choice];
    enum tb_check_verdict verdict = TB_FITS;
    if (choice->kind == TB_ANY_OF && f->hits == 0)
        verdict = tb_check_fault(m, f->quiet, TB_FAULT_ANY_OF, (int64_t)choice->nodes_n, NULL);
    if (choice->kind == TB_ONE_OF && f->hits != 1)
        verdict = tb_check_fault(m, f->quiet, TB_FAULT_ONE_OF, (int64_t)choice->nodes_n, NULL);
    if (choice->kind == TB_NOT && f->hits > 0)
        verdict = tb_check_fault(m, f->quiet, TB_FAULT_NOT, 0, NULL);
    if (verdict == TB_FAULTY)
        f->faulty = true;
    f->choice++;
    f->branch = f->hits = 0;
}

/* True when the frame is through. */
static bool step_choices(struct tb_check *m, struct tb_check_frame *f)
{
    while (f->choice < f->node->choices_n && !m->stopped && !(f->quiet && f->faulty)) {
        const struct tb_choice *choice = &f->node->choices[f->choice];
        if (f->branch >= choice->nodes_n) {
            conclude(m, f);
            continue;
        }
        const struct tb_schema_node *branch = choice->nodes[f->branch];
        bool tried = choice->kind != TB_ALL_OF && !(choice->kind == TB_IF && f->branch > 0);
        enum tb_check_verdict verdict = branch == NULL
                                            ? TB_FITS
                                            : visit(m, branch, f->value, f->quiet || tried);
        if (verdict == TB_PUSHED)
            return false;
        settle(f, verdict == TB_FAULTY);
    }
    return true;
}

/* The topmost frame is through: tell the one below. */
static void pop(struct tb_check *m)
{
    bool faulty = m->frames[--m->depth].faulty;
    if (m->depth == 0)
        return;
    struct tb_check_frame *below = &m->frames[m->depth - 1];
    if (below->stage == TB_STAGE_CHOICES)
        settle(below, faulty);
    else
        below->faulty |= faulty;
}

static void run(struct tb_check *m)
{
    while (m->depth > 0 && !m->stopped) {
        struct tb_check_frame *f = &m->frames[m->depth - 1];
        if (f->stage == TB_STAGE_MEMBERS)
            step_members(m, f);
        else if (f->stage == TB_STAGE_ITEMS)
            step_items(m, f);
        else if (step_choices(m, f))
            pop(m);
    }
}

tb_err tb_schema_check(const struct tb_schema *schema, json_t *value, struct tb_arena *arena,
                       struct tb_schema_error *errors, size_t max, size_t *out_total)
{
    struct tb_check m; /* the frames need no beginning */
    size_t room = max < TB_SCHEMA_ERRORS ? max : TB_SCHEMA_ERRORS;
    m.arena = arena;
    m.faults = (struct tb_faults){.room = room};
    m.steps = TB_SCHEMA_STEPS;
    m.stopped = false;
    m.depth = 0;
    if (visit(&m, schema->root, value, false) == TB_PUSHED)
        run(&m);
    *out_total = m.faults.total;
    if (m.faults.total == 0)
        return NULL;
    size_t told = tb_faults_tell(&m.faults, value, arena, errors);
    for (; told < room && told < m.faults.total; told++) /* the arena had no room for them */
        errors[told] = (struct tb_schema_error){"", "not_described", "could not be described"};
    return TB_E_INVALID;
}
