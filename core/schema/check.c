/* The validator: a stack of frames instead of recursion, so that neither a deep value nor a schema
 * that refers to itself costs stack. A scalar is judged on the spot; only a value with members or
 * items, and a node with choices, get a frame. A frame under anyOf, oneOf, not or if is quiet: its
 * faults decide, but are nobody's to read, and the first one ends it. */
#include "base/arena.h"
#include "schema/fault.h"
#include <math.h>
#include <stdlib.h>

enum verdict { FITS, FAULTY, PUSHED };

/* What a frame is going through. */
enum stage { MEMBERS, ITEMS, CHOICES };

struct frame {
    const struct tb_schema_node *node;
    json_t *value;
    enum stage stage;
    bool quiet, faulty;
    uint32_t at;   /**< MEMBERS, ITEMS: place of the member or item in hand */
    void *next;    /**< MEMBERS: iterator of the next member */
    uint64_t seen; /**< MEMBERS: bits of the required ones */
    uint32_t turn; /**< MEMBERS: patterns tried on the member in hand, 0 for a new member */
    uint32_t hits; /**< CHOICES: branches that fit; MEMBERS: schemas met by the member in hand */
    uint32_t choice, branch;
};

struct machine {
    struct tb_arena *arena;
    struct tb_faults faults;
    size_t steps; /**< left */
    bool stopped; /**< by a limit */
    size_t depth;
    struct frame frames[TB_SCHEMA_DEPTH];
};

/* ---- faults ---- */

/* Record a fault of the value in hand: where the frames' members and items lead. */
static void record(struct machine *m, enum tb_fault_kind kind, int64_t number, const char *text)
{
    struct tb_fault fault = {.kind = kind, .number = number, .text = text};
    for (size_t i = 0; i < m->depth; i++) {
        if (m->frames[i].stage != CHOICES)
            fault.path[fault.path_n++] = m->frames[i].at;
    }
    tb_faults_add(&m->faults, m->arena, &fault);
}

static enum verdict fault(struct machine *m, bool quiet, enum tb_fault_kind kind, int64_t number,
                          const char *text)
{
    if (!quiet)
        record(m, kind, number, text);
    return FAULTY;
}

static enum verdict stop(struct machine *m)
{
    if (!m->stopped)
        record(m, TB_FAULT_TOO_COMPLEX, 0, NULL);
    m->stopped = true;
    return FAULTY;
}

static bool spend(struct machine *m, size_t steps)
{
    if (m->steps < steps) {
        m->steps = 0;
        stop(m);
        return false;
    }
    m->steps -= steps;
    return true;
}

static inline enum verdict worse(enum verdict a, enum verdict b)
{
    return a == FAULTY ? FAULTY : b;
}

/* ---- values without members or items ---- */

static size_t code_points(const char *at, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)at[i] & 0xc0) != 0x80;
    return count;
}

static enum verdict search(struct machine *m, const struct tb_regex *regex, struct tb_str text)
{
    if (!spend(m, 4 + text.n / 32))
        return FAULTY;
    switch (tb_regex_search(regex, text)) {
    case TB_REGEX_YES:
        return FITS;
    case TB_REGEX_NO:
        return FAULTY;
    default:
        return stop(m);
    }
}

static enum verdict check_string(struct machine *m, const struct tb_string_rules *rules,
                                 struct tb_str text, bool quiet)
{
    enum verdict verdict = FITS;
    /* There are at most as many characters as bytes, and at least a quarter as many. */
    if (text.n > rules->max || (text.n + 3) / 4 < rules->min) {
        size_t n = code_points(text.at, text.n);
        if (n > rules->max)
            verdict = fault(m, quiet, TB_FAULT_MAX_LENGTH, (int64_t)rules->max, NULL);
        if (n < rules->min)
            verdict = fault(m, quiet, TB_FAULT_MIN_LENGTH, (int64_t)rules->min, NULL);
        if (!spend(m, text.n / 64))
            return FAULTY;
    }
    if (rules->pattern != NULL && search(m, rules->pattern, text) == FAULTY && !m->stopped)
        verdict = fault(m, quiet, TB_FAULT_PATTERN, 0, tb_regex_source(rules->pattern));
    if (rules->format.check != NULL && !rules->format.check(text, rules->format.argument))
        verdict = fault(m, quiet, TB_FAULT_FORMAT, 0, rules->format.name);
    return verdict;
}

/* How `value` compares with `bound`: exactly, also where a double cannot hold the bound. */
static int compare(json_t *value, int64_t bound)
{
    if (json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        return integer < bound ? -1 : integer > bound;
    }
    double real = json_real_value(value);
    if (real >= 0x1p63)
        return 1;
    if (real < -0x1p63)
        return -1;
    int64_t whole = (int64_t)real; /* towards zero */
    if (whole != bound)
        return whole < bound ? -1 : 1;
    double rest = real - (double)whole;
    return rest < 0 ? -1 : rest > 0;
}

static bool is_multiple(json_t *value, int64_t of)
{
    if (json_is_integer(value))
        return json_integer_value(value) % of == 0;
    double real = json_real_value(value);
    if (real != trunc(real))
        return false;
    return real >= -0x1p63 && real < 0x1p63 ? (int64_t)real % of == 0 : fmod(real, (double)of) == 0;
}

static enum verdict check_number(struct machine *m, const struct tb_number_rules *rules,
                                 json_t *value, bool quiet)
{
    enum verdict verdict = FITS;
    if (rules->has_minimum && compare(value, rules->minimum) < 0)
        verdict = fault(m, quiet, TB_FAULT_MINIMUM, rules->minimum, NULL);
    if (rules->has_over && compare(value, rules->over) <= 0)
        verdict = fault(m, quiet, TB_FAULT_EXCLUSIVE_MINIMUM, rules->over, NULL);
    if (rules->has_maximum && compare(value, rules->maximum) > 0)
        verdict = fault(m, quiet, TB_FAULT_MAXIMUM, rules->maximum, NULL);
    if (rules->has_under && compare(value, rules->under) >= 0)
        verdict = fault(m, quiet, TB_FAULT_EXCLUSIVE_MAXIMUM, rules->under, NULL);
    if (rules->multiple != 0 && !is_multiple(value, rules->multiple))
        verdict = fault(m, quiet, TB_FAULT_MULTIPLE_OF, rules->multiple, NULL);
    return verdict;
}

/* Comparing costs what the constant of the schema costs, whatever was sent. */
static bool is_among(const struct tb_value_rules *rules, json_t *value)
{
    if (json_is_string(value)) {
        size_t n = json_string_length(value), low = 0, high = rules->texts_n;
        const char *at = json_string_value(value);
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            const struct tb_str *text = &rules->texts[middle];
            int order = text->n != n ? (text->n < n ? -1 : 1) : memcmp(text->at, at, n);
            if (order == 0)
                return true;
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }
        return false;
    }
    for (size_t i = 0; i < rules->others_n; i++) {
        if (json_equal(rules->others[i], value))
            return true;
    }
    return false;
}

/* ---- arrays and objects as a whole ---- */

struct keyed {
    uint64_t key;
    json_t *value;
};

static int by_key(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* Equal values have equal keys; of most unequal ones they differ. */
static uint64_t key_of(json_t *value)
{
    uint64_t key = (uint64_t)json_typeof(value) + 1;
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    for (size_t i = 0; i < n; i++)
        key = (key ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    double real = json_real_value(value);
    uint64_t bits = 0;
    if (real != 0) /* both zeros are one */
        memcpy(&bits, &real, sizeof bits);
    bits += (uint64_t)json_integer_value(value) + json_array_size(value) + json_object_size(value);
    return key ^ bits * UINT64_C(0x9e3779b97f4a7c15);
}

/* Sorted by key, only items of one key need comparing. Whoever makes keys collide pays in steps. */
static bool has_twins(struct machine *m, json_t *array)
{
    struct keyed items[TB_SCHEMA_UNIQUE / 8], *sorted = items;
    size_t n = json_array_size(array);
    if (n > sizeof items / sizeof items[0])
        sorted = tb_arena_raw(m->arena, n * sizeof *sorted);
    if (sorted == NULL) {
        stop(m);
        return true;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct keyed){key_of(json_array_get(array, i)), json_array_get(array, i)};
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && sorted[k].key == sorted[i].key; k++) {
            size_t size = json_array_size(sorted[i].value) + json_object_size(sorted[i].value);
            if (!spend(m, 1 + size) || json_equal(sorted[i].value, sorted[k].value))
                return true;
        }
    }
    return false;
}

static enum verdict check_array(struct machine *m, const struct tb_array_rules *rules,
                                json_t *value, bool quiet)
{
    enum verdict verdict = FITS;
    size_t n = json_array_size(value);
    if (n < rules->min)
        verdict = fault(m, quiet, TB_FAULT_MIN_ITEMS, (int64_t)rules->min, NULL);
    if (n > rules->max)
        verdict = fault(m, quiet, TB_FAULT_MAX_ITEMS, (int64_t)rules->max, NULL);
    else if (rules->unique && has_twins(m, value) && !m->stopped)
        verdict = fault(m, quiet, TB_FAULT_UNIQUE_ITEMS, 0, NULL);
    return verdict;
}

static enum verdict check_object(struct machine *m, const struct tb_object_rules *rules,
                                 json_t *value, bool quiet)
{
    enum verdict verdict = FITS;
    size_t n = json_object_size(value);
    if (n < rules->min)
        verdict = fault(m, quiet, TB_FAULT_MIN_PROPERTIES, (int64_t)rules->min, NULL);
    if (n > rules->max)
        verdict = fault(m, quiet, TB_FAULT_MAX_PROPERTIES, (int64_t)rules->max, NULL);
    return verdict;
}

/* ---- meeting a value ---- */

static enum verdict push(struct machine *m, const struct tb_schema_node *node, json_t *value,
                         enum stage stage, bool quiet, bool faulty)
{
    if (m->depth == TB_SCHEMA_DEPTH)
        return stop(m);
    struct frame *f = &m->frames[m->depth++];
    *f = (struct frame){
        .node = node, .value = value, .stage = stage, .quiet = quiet, .faulty = faulty};
    if (stage == MEMBERS)
        f->next = json_object_iter(value);
    return PUSHED;
}

/* Judge `value` by `node` as far as that takes no frame, and make one for the rest. */
static enum verdict visit(struct machine *m, const struct tb_schema_node *node, json_t *value,
                          bool quiet)
{
    if (!spend(m, 1))
        return FAULTY;
    if ((node->types >> json_typeof(value) & 1) == 0)
        return node == &tb_schema_nothing ? fault(m, quiet, TB_FAULT_NOT_ALLOWED, 0, NULL)
                                          : fault(m, quiet, TB_FAULT_TYPE, 0, node->types_words);
    enum verdict verdict = FITS;
    if (node->constant != NULL && !is_among(node->constant, value))
        verdict = fault(m, quiet, TB_FAULT_CONST, 0, node->constant->words);
    if (node->choice != NULL && !is_among(node->choice, value))
        verdict = fault(m, quiet, TB_FAULT_ENUM, 0, node->choice->words);
    enum stage stage = CHOICES;
    switch (json_typeof(value)) {
    case JSON_STRING:
        if (node->string != NULL) {
            struct tb_str text = {json_string_value(value), json_string_length(value)};
            verdict = worse(verdict, check_string(m, node->string, text, quiet));
        }
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        if (node->number != NULL)
            verdict = worse(verdict, check_number(m, node->number, value, quiet));
        break;
    case JSON_ARRAY:
        if (node->array != NULL) {
            verdict = worse(verdict, check_array(m, node->array, value, quiet));
            if (node->array->items != NULL)
                stage = ITEMS;
        }
        break;
    case JSON_OBJECT:
        if (node->object != NULL) {
            verdict = worse(verdict, check_object(m, node->object, value, quiet));
            stage = MEMBERS;
        }
        break;
    default:
        break;
    }
    if ((stage == CHOICES && node->choices_n == 0) || (quiet && verdict == FAULTY) || m->stopped)
        return m->stopped ? FAULTY : verdict;
    return push(m, node, value, stage, quiet, verdict == FAULTY);
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
static const struct tb_schema_node *member_next(struct machine *m, struct frame *f,
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
        if (search(m, pattern->name, (struct tb_str){name, n}) == FITS) {
            f->hits++;
            return pattern->node;
        }
    }
    if (f->turn++ > rules->patterns_n + 1 || f->hits > 0)
        return NULL;
    return rules->additional;
}

static enum verdict check_name(struct machine *m, struct frame *f, struct tb_str name)
{
    const struct tb_schema_node *names = f->node->object->names;
    if (names == NULL || check_string(m, names->string, name, true) == FITS || m->stopped)
        return FITS;
    return fault(m, f->quiet, TB_FAULT_PROPERTY_NAMES, 0, NULL);
}

static void members_end(struct machine *m, struct frame *f)
{
    const struct tb_object_rules *rules = f->node->object;
    f->stage = CHOICES;
    f->hits = 0;
    for (size_t i = 0; i < rules->required_n; i++) {
        if ((f->seen >> i & 1) != 0)
            continue;
        f->faulty = true;
        if (f->quiet)
            return;
        f->stage = MEMBERS; /* so that the place leads to the missing member */
        f->at = (uint32_t)json_object_size(f->value);
        record(m, TB_FAULT_REQUIRED, 0, rules->required[i]);
        f->stage = CHOICES;
    }
}

static void step_members(struct machine *m, struct frame *f)
{
    while (f->next != NULL && !m->stopped && !(f->quiet && f->faulty)) {
        struct tb_str name = {json_object_iter_key(f->next), json_object_iter_key_len(f->next)};
        json_t *value = json_object_iter_value(f->next);
        if (f->turn == 0 && check_name(m, f, name) == FAULTY)
            f->faulty = true;
        const struct tb_schema_node *node;
        while ((node = member_next(m, f, name.at, name.n)) != NULL) {
            enum verdict verdict;
            if (node == &tb_schema_nothing && f->hits == 0)
                verdict = fault(m, f->quiet, TB_FAULT_ADDITIONAL_PROPERTIES, 0, NULL);
            else
                verdict = visit(m, node, value, f->quiet);
            if (verdict == PUSHED)
                return;
            if (verdict == FAULTY)
                f->faulty = true;
        }
        if (!spend(m, 1))
            return;
        f->next = json_object_iter_next(f->value, f->next);
        f->at++;
        f->turn = f->hits = 0;
    }
    members_end(m, f);
}

static void step_items(struct machine *m, struct frame *f)
{
    size_t n = json_array_size(f->value);
    while (f->turn < n && !m->stopped && !(f->quiet && f->faulty)) {
        f->at = f->turn++;
        enum verdict verdict = visit(m, f->node->array->items, json_array_get(f->value, f->at),
                                     f->quiet);
        if (verdict == PUSHED)
            return;
        if (verdict == FAULTY)
            f->faulty = true;
    }
    f->stage = CHOICES;
}

/* A branch of the choice in hand is decided: go on to the one to look at next. */
static void settle(struct frame *f, bool faulty)
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
static void conclude(struct machine *m, struct frame *f)
{
    const struct tb_choice *choice = &f->node->choices[f->choice];
    enum verdict verdict = FITS;
    if (choice->kind == TB_ANY_OF && f->hits == 0)
        verdict = fault(m, f->quiet, TB_FAULT_ANY_OF, (int64_t)choice->nodes_n, NULL);
    if (choice->kind == TB_ONE_OF && f->hits != 1)
        verdict = fault(m, f->quiet, TB_FAULT_ONE_OF, (int64_t)choice->nodes_n, NULL);
    if (choice->kind == TB_NOT && f->hits > 0)
        verdict = fault(m, f->quiet, TB_FAULT_NOT, 0, NULL);
    if (verdict == FAULTY)
        f->faulty = true;
    f->choice++;
    f->branch = f->hits = 0;
}

/* True when the frame is through. */
static bool step_choices(struct machine *m, struct frame *f)
{
    while (f->choice < f->node->choices_n && !m->stopped && !(f->quiet && f->faulty)) {
        const struct tb_choice *choice = &f->node->choices[f->choice];
        if (f->branch >= choice->nodes_n) {
            conclude(m, f);
            continue;
        }
        const struct tb_schema_node *branch = choice->nodes[f->branch];
        bool tried = choice->kind != TB_ALL_OF && !(choice->kind == TB_IF && f->branch > 0);
        enum verdict verdict = branch == NULL ? FITS
                                              : visit(m, branch, f->value, f->quiet || tried);
        if (verdict == PUSHED)
            return false;
        settle(f, verdict == FAULTY);
    }
    return true;
}

/* The topmost frame is through: tell the one below. */
static void pop(struct machine *m)
{
    bool faulty = m->frames[--m->depth].faulty;
    if (m->depth == 0)
        return;
    struct frame *below = &m->frames[m->depth - 1];
    if (below->stage == CHOICES)
        settle(below, faulty);
    else
        below->faulty |= faulty;
}

static void run(struct machine *m)
{
    while (m->depth > 0 && !m->stopped) {
        struct frame *f = &m->frames[m->depth - 1];
        if (f->stage == MEMBERS)
            step_members(m, f);
        else if (f->stage == ITEMS)
            step_items(m, f);
        else if (step_choices(m, f))
            pop(m);
    }
}

tb_err tb_schema_check(const struct tb_schema *schema, json_t *value, struct tb_arena *arena,
                       struct tb_schema_error *errors, size_t max, size_t *out_total)
{
    struct machine m; /* the frames need no beginning */
    m.arena = arena;
    m.faults = (struct tb_faults){.room = max < TB_SCHEMA_ERRORS ? max : TB_SCHEMA_ERRORS};
    m.steps = TB_SCHEMA_STEPS;
    m.stopped = false;
    m.depth = 0;
    if (visit(&m, schema->root, value, false) == PUSHED)
        run(&m);
    *out_total = m.faults.total;
    if (m.faults.total == 0)
        return NULL;
    tb_faults_tell(&m.faults, value, arena, errors);
    return TB_E_INVALID;
}
