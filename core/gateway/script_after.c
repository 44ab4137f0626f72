/* Stage "script:after": the partner's own shape of a successful answer. What was done is done: a
 * script that fails here, or shapes what no script may, leaves the answer as it is (or, where the
 * partner prefers that, keeps it back). The status, ids, amounts and states never change.
 *
 * All of it works in an arena of its own: a script that needs more memory than there is fails, not
 * the request. */
#include "base/json.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "gateway/scripts.h"
#include "schema/schema.h"
#include <stdio.h>

enum { NODES_MAX = 1024 /* objects that one pointer with "*" may reach */ };

/* The answer on its way through a script. */
struct shaping {
    struct tb_exchange *x;
    json_t *before, *json; /* as the product gave it, and as it becomes */
    bool changed;
    char *why;
    size_t why_bytes;
};

static bool is_json(const struct tb_exchange *x)
{
    if (x->status < 200 || x->status > 299 || x->reply.n == 0)
        return false;
    for (size_t i = x->own_headers_n; i < x->reply_headers_n; i++)
        if (tb_str_eq(x->reply_headers[i].name, TB_STR("content-type")))
            return tb_str_eq(x->reply_headers[i].value, TB_STR("application/json"));
    return false;
}

/* ---- set ---- */

/* Whether a member says what was done: ids, amounts and other numbers, states, and what holds any.
 */
static bool is_settled(const char *name, const json_t *value)
{
    static const char *const names[] = {"object", "state", "status", "next_cursor", "currency"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    if (!json_is_string(value))
        return !json_is_boolean(value) && !json_is_null(value);
    struct tb_str text = {json_string_value(value), json_string_length(value)};
    return tb_id_book(text) != 0;
}

/* Whether a merge patch touches nothing that is settled. */
static bool may_set(const struct shaping *s, const json_t *patch)
{
    struct {
        const json_t *before, *patch;
        void *member;
    } open[TB_JSON_DEPTH_MAX] = {{s->before, patch, json_object_iter((json_t *)(uintptr_t)patch)}};
    size_t depth = 1;
    while (depth > 0) {
        void *member = open[depth - 1].member;
        if (member == NULL) {
            depth--;
            continue;
        }
        json_t *object = (json_t *)(uintptr_t)open[depth - 1].patch;
        const char *name = json_object_iter_key(member);
        json_t *value = json_object_iter_value(member);
        const json_t *was = json_object_get(open[depth - 1].before, name);
        open[depth - 1].member = json_object_iter_next(object, member);
        if (was == NULL || json_equal(was, value))
            continue;
        if (json_is_object(was) && json_is_object(value) && depth < TB_JSON_DEPTH_MAX) {
            open[depth].before = was;
            open[depth].patch = value;
            open[depth++].member = json_object_iter(value);
        } else if (is_settled(name, was)) {
            snprintf(s->why, s->why_bytes, "on_response may not set \"%s\": it says what was done",
                     name);
            return false;
        }
    }
    return true;
}

/* ---- redact ---- */

/* All that one step leads to from the nodes so far: a member, or with "*" every element. */
static size_t step(json_t **nodes, size_t n, struct tb_str name, json_t **next)
{
    size_t next_n = 0;
    bool every = tb_str_eq(name, TB_STR("*"));
    for (size_t i = 0; i < n; i++) {
        json_t *found = json_object_getn(nodes[i], name.at, name.n);
        if (found != NULL && next_n < NODES_MAX)
            next[next_n++] = found;
        for (size_t e = 0; every && e < json_array_size(nodes[i]) && next_n < NODES_MAX; e++)
            next[next_n++] = json_array_get(nodes[i], e);
    }
    return next_n;
}

/* Take away what a pointer points at; nothing where there is nothing. `a` and `b` have room for
 * NODES_MAX. */
static void redact(struct shaping *s, struct tb_str pointer, json_t **a, json_t **b)
{
    size_t n = 1;
    a[0] = s->json;
    for (size_t at = 1; at <= pointer.n && n > 0;) {
        const char *slash = memchr(pointer.at + at, '/', pointer.n - at);
        size_t end = slash == NULL ? pointer.n : (size_t)(slash - pointer.at);
        struct tb_str name = {pointer.at + at, end - at};
        if (slash == NULL) {
            for (size_t i = 0; i < n; i++)
                if (json_object_deln(a[i], name.at, name.n) == 0)
                    s->changed = true;
            return;
        }
        n = step(a, n, name, b);
        json_t **swap = a;
        a = b;
        b = swap;
        at = end + 1;
    }
}

static bool redact_all(struct shaping *s, const json_t *pointers)
{
    struct tb_arena *arena = s->x->run.arena;
    json_t **a = tb_arena_raw(arena, NODES_MAX * sizeof(json_t *));
    json_t **b = tb_arena_raw(arena, NODES_MAX * sizeof(json_t *));
    if (a == NULL || b == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(pointers); i++) {
        const json_t *pointer = json_array_get(pointers, i);
        redact(s, (struct tb_str){json_string_value(pointer), json_string_length(pointer)}, a, b);
    }
    return true;
}

/* ---- the whole ---- */

static bool still_fits(const struct shaping *s)
{
    const struct tb_schema *schema = s->x->match.operation->reply_schema;
    struct tb_schema_error error;
    size_t total = 0;
    if (schema == NULL ||
        tb_schema_check(schema, s->json, s->x->run.arena, &error, 1, &total) == NULL)
        return true;
    snprintf(s->why, s->why_bytes,
             "the answer as on_response shaped it breaks its schema at \"%s\": %s",
             total > 0 ? error.pointer : "", total > 0 ? error.detail : "it is too complex");
    return false;
}

static bool shape(struct shaping *s, const json_t *decision)
{
    const json_t *set = tb_json_object(decision, "set"),
                 *hidden = tb_json_array(decision, "redact");
    if (set != NULL) {
        if (!may_set(s, set) || !tb_json_merge(s->json, set))
            return false;
        s->changed = true;
    }
    if (hidden != NULL && !redact_all(s, hidden))
        return false;
    return !s->changed || still_fits(s);
}

/* The answer's text anew. */
static bool write_answer(struct shaping *s)
{
    struct tb_exchange *x = s->x;
    char *text = s->changed ? json_dumps(s->json, JSON_COMPACT) : NULL;
    if (text == NULL)
        return !s->changed;
    size_t n = strlen(text);
    char *kept = tb_arena_text(x->run.arena, text, n);
    free(text);
    if (kept != NULL)
        x->reply = (struct tb_str){kept, n};
    return kept != NULL;
}

/* RFC 8288; what finds no room is left out. */
static void add_links(struct tb_exchange *x, json_t *links)
{
    const char *name;
    json_t *path;
    json_object_foreach(links, name, path)
    {
        struct tb_str link = tb_arena_format(x->run.arena, "<%s>; rel=\"%s\"",
                                             json_string_value(path), name);
        if (link.at != NULL)
            (void)tb_exchange_header(x, TB_STR("link"), link);
    }
}

static void drop(void *json)
{
    json_decref(json);
}

/* Do as the script decided, wholly or not at all: then *result says why. */
static void apply(struct tb_exchange *x, json_t *answer, struct tb_script_result *result)
{
    struct shaping s = {
        .x = x, .before = answer, .why = result->why, .why_bytes = sizeof(result->why)};
    struct tb_str note = tb_json_str(result->decision, "note");
    json_t *links = tb_json_object(result->decision, "links");
    s.json = json_deep_copy(answer);
    if (s.json == NULL || !tb_arena_defer(x->run.arena, drop, s.json)) {
        result->end = TB_SCRIPT_MEMORY;
        return;
    }
    if (!shape(&s, result->decision) || !write_answer(&s)) {
        result->end = TB_SCRIPT_ANSWER;
        return;
    }
    if (links != NULL)
        add_links(x, links);
    if (s.changed || links != NULL) {
        tb_script_trace(x, TB_HOOK_ON_RESPONSE, "change", note.at);
        tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_SCRIPT_CHANGED, 1);
    } else {
        tb_script_trace(x, TB_HOOK_ON_RESPONSE, "allow", note.at);
    }
}

/* Ask the script, and do as it says. */
static tb_err TB_SUSPENDS ask(struct tb_exchange *x, struct tb_script_turn *turn)
{
    static const struct tb_json_limits limits = {
        .bytes = TB_ARENA_CAP, .depth = 32, .members = UINT32_MAX, .reals = true};
    struct tb_json_error where;
    json_t *answer, *response = NULL;
    tb_err err = tb_json_parse(x->run.arena, x->reply, &limits, &answer, &where);
    if (err == NULL)
        response = json_pack("{s:i, s:O}", "status", x->status, "body", answer);
    if (response == NULL || !tb_arena_defer(x->run.arena, drop, response)) {
        tb_scripts_release(tb_gateway_parts(x->gateway)->scripts, turn->script);
        return err != NULL ? err : TB_E_INTERNAL;
    }
    tb_script_trace(x, TB_HOOK_ON_RESPONSE, "allow", NULL);
    TB_TRY(tb_script_ask(x, turn, response));
    if (turn->result.end == TB_SCRIPT_DONE && turn->result.decision != NULL)
        apply(x, answer, &turn->result);
    return NULL;
}

/* Whether the answer may leave: shaped, or as it is. */
static bool TB_SUSPENDS consider(struct tb_exchange *x)
{
    struct tb_script_turn turn;
    const struct tb_str reply = x->reply;
    tb_err err = tb_script_begin(x, TB_HOOK_ON_RESPONSE, &turn);
    if (err == NULL && turn.script != NULL) {
        err = ask(x, &turn);
        bool starved = tb_arena_overflowed(x->run.arena);
        if (starved)
            x->reply = reply;
        if (starved || err != NULL)
            turn.result.end = starved ? TB_SCRIPT_MEMORY : TB_SCRIPT_ENDED;
        tb_script_end(x, &turn);
    }
    bool failed = err != NULL || turn.off || turn.result.end != TB_SCRIPT_DONE;
    return !failed || x->script->failure[TB_HOOK_ON_RESPONSE] == TB_FAILURE_OPEN;
}

static void free_arena(void *arena)
{
    tb_arena_free(arena);
}

tb_err TB_SUSPENDS tb_stage_script_after(struct tb_exchange *x)
{
    if (x->script == NULL || x->script_version == 0 || !is_json(x))
        return NULL;
    struct tb_arena *own = x->run.arena, *scratch = tb_arena_new(TB_ARENA_CAP);
    if (!tb_arena_defer(own, free_arena, scratch))
        return NULL; /* past its memory anyway */
    x->run.arena = scratch;
    bool may_leave = consider(x);
    x->run.arena = own;
    x->run.problem = (struct tb_problem){0}; /* whatever failed, it was not the request */
    if (may_leave)
        return NULL;
    return tb_fail(&x->run.req, TB_E_WITHHELD, "on_response of version %d did not decide",
                   x->script_version);
}
