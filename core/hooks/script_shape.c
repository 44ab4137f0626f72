/* See script_shape.h. Nothing here recurses: what is open waits in an array as deep as JSON may be.
 */
#include "hooks/script_shape.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include <stdio.h>
#include <tongbao/plugin.h>

enum { NODES_MAX = 1024 /* objects that one pointer with "*" may reach */ };

struct shaping {
    const json_t *before;
    json_t *json; /* as it becomes */
    struct tb_arena *arena;
    bool changed;
    char *why;
    size_t why_bytes;
};

/* ---- set ---- */

/* Whether a member says what was done: ids, amounts and other numbers, states, times, and what
 * holds any. */
static bool is_settled(const char *name, const json_t *value)
{
    static const char *const names[] = {"object", "state", "status", "next_cursor", "currency"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    if (!json_is_string(value))
        return !json_is_boolean(value) && !json_is_null(value);
    struct tb_str text = {json_string_value(value), json_string_length(value)};
    int64_t ms;
    struct tb_date date;
    return tb_id_book(text) != 0 || tb_time_parse(text, &ms) || tb_date_parse(text, &date);
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

/* All that one step leads to from the nodes so far: a member, or with "*" every element. False when
 * it leads to more than there is room for: what is left out would not be redacted. */
static bool step(json_t **nodes, size_t n, struct tb_str name, json_t **next, size_t *out_n)
{
    size_t next_n = 0;
    bool every = tb_str_eq(name, TB_STR("*"));
    for (size_t i = 0; i < n; i++) {
        json_t *found = json_object_getn(nodes[i], name.at, name.n);
        size_t elements_n = every ? json_array_size(nodes[i]) : 0;
        if (next_n + (found != NULL) + elements_n > NODES_MAX)
            return false;
        if (found != NULL)
            next[next_n++] = found;
        for (size_t e = 0; e < elements_n; e++)
            next[next_n++] = json_array_get(nodes[i], e);
    }
    *out_n = next_n;
    return true;
}

/* Take away what a pointer points at; nothing where there is nothing. `a` and `b` have room for
 * NODES_MAX. */
static bool redact(struct shaping *s, struct tb_str pointer, json_t **a, json_t **b)
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
            return true;
        }
        if (!step(a, n, name, b, &n)) {
            snprintf(s->why, s->why_bytes, "\"%.*s\" leads to more than %d places", (int)pointer.n,
                     pointer.at, NODES_MAX);
            return false;
        }
        json_t **swap = a;
        a = b;
        b = swap;
        at = end + 1;
    }
    return true;
}

static bool redact_all(struct shaping *s, const json_t *pointers)
{
    json_t **a = tb_arena_raw(s->arena, NODES_MAX * sizeof(json_t *));
    json_t **b = tb_arena_raw(s->arena, NODES_MAX * sizeof(json_t *));
    if (a == NULL || b == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(pointers); i++) {
        const json_t *pointer = json_array_get(pointers, i);
        if (!redact(s, (struct tb_str){json_string_value(pointer), json_string_length(pointer)}, a,
                    b))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

static bool still_fits(const struct shaping *s, const struct tb_schema *schema)
{
    struct tb_schema_error error;
    size_t total = 0;
    if (schema == NULL || tb_schema_check(schema, s->json, s->arena, &error, 1, &total) == NULL)
        return true;
    snprintf(s->why, s->why_bytes,
             "the answer as on_response shaped it breaks its schema at \"%s\": %s",
             total > 0 ? error.pointer : "", total > 0 ? error.detail : "it is too complex");
    return false;
}

bool tb_script_shape(const json_t *answer, const json_t *decision, const struct tb_schema *schema,
                     struct tb_arena *arena, json_t **out, char *why, size_t why_bytes)
{
    const json_t *set = tb_json_object(decision, "set");
    const json_t *hidden = tb_json_array(decision, "redact");
    struct shaping s = {.before = answer, .arena = arena, .why = why, .why_bytes = why_bytes};
    *out = NULL;
    if (set == NULL && hidden == NULL)
        return true;
    snprintf(why, why_bytes, "there is not enough memory to shape the answer");
    s.json = json_deep_copy(answer);
    if (!tb_json_defer(arena, s.json))
        return false;
    if (set != NULL &&
        (!json_is_object(s.json) || !may_set(&s, set) || !tb_json_merge(s.json, set)))
        return false;
    s.changed = set != NULL;
    if (hidden != NULL && !redact_all(&s, hidden))
        return false;
    if (s.changed && !still_fits(&s, schema))
        return false;
    *out = s.changed ? s.json : NULL;
    why[0] = '\0';
    return true;
}
