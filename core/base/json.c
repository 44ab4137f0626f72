/* Parsing, members, pointers and the canonical form. */
#include "base/json.h"
#include "base/json_check.h"
#include <stdlib.h>
#include <string.h>

/* ---- parsing ---- */

/* How jansson begins to describe \uD800 alone, for which it has no number. */
static const char UNPAIRED[] = "invalid Unicode";

/* jansson's own words name its internals; a client gets these. */
static const char *reason_of(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input:
        return "ends too early";
    case json_error_end_of_input_expected:
        return "something follows the value";
    case json_error_duplicate_key:
        return "duplicate member name";
    case json_error_numeric_overflow:
        return "number out of range";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "\\u0000 in a string";
    case json_error_invalid_utf8:
        return "not UTF-8";
    default:
        return strncmp(error->text, UNPAIRED, sizeof(UNPAIRED) - 1) == 0
                   ? "half a surrogate pair in a string"
                   : "not JSON";
    }
}

static void end_json(void *json)
{
    json_decref(json);
}

bool tb_json_defer(struct tb_arena *arena, json_t *json)
{
    return json != NULL && tb_arena_defer(arena, end_json, json);
}

tb_err tb_json_parse(struct tb_arena *arena, struct tb_str text,
                     const struct tb_json_limits *limits, json_t **out_json,
                     struct tb_json_error *out_error)
{
    TB_TRY(tb_json_check(text, limits, out_error));
    json_error_t error;
    json_t *json = json_loadb(text.at == NULL ? "" : text.at, text.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (json == NULL) {
        size_t offset = error.position < 0 ? 0 : (size_t)error.position;
        tb_json_describe(text, reason_of(&error), offset, out_error);
        return TB_E_BAD_JSON;
    }
    if (arena != NULL && !tb_json_defer(arena, json)) {
        tb_json_describe(text, "out of memory", 0, out_error);
        return TB_E_INTERNAL;
    }
    *out_json = json;
    return NULL;
}

/* ---- members ---- */

struct tb_str tb_json_str(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return TB_STR_NONE;
    return (struct tb_str){json_string_value(member), json_string_length(member)};
}

bool tb_json_int(const json_t *object, const char *name, int64_t *out)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member))
        return false;
    *out = json_integer_value(member);
    return true;
}

bool tb_json_bool(const json_t *object, const char *name, bool *out)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_boolean(member))
        return false;
    *out = json_is_true(member);
    return true;
}

json_t *tb_json_object(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);
    return json_is_object(member) ? member : NULL;
}

json_t *tb_json_array(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);
    return json_is_array(member) ? member : NULL;
}

/* ---- pointers ---- */

void tb_json_pointer_name(struct tb_text *pointer, struct tb_str name)
{
    tb_text_add_char(pointer, '/');
    for (size_t i = 0; i < name.n; i++) {
        if (name.at[i] == '~')
            tb_text_add(pointer, TB_STR("~0"));
        else if (name.at[i] == '/')
            tb_text_add(pointer, TB_STR("~1"));
        else
            tb_text_add_char(pointer, name.at[i]);
    }
}

void tb_json_pointer_index(struct tb_text *pointer, size_t index)
{
    tb_text_add_char(pointer, '/');
    tb_text_add_int(pointer, (int64_t)index);
}

/* Whether `name` is what `token`, an escaped part of a pointer, stands for. */
static bool token_is(struct tb_str token, const char *name)
{
    size_t at = 0, name_n = strlen(name);
    for (size_t i = 0; i < token.n; i++, at++) {
        char c = token.at[i];
        if (c == '~') {
            if (++i == token.n || (token.at[i] != '0' && token.at[i] != '1'))
                return false;
            c = token.at[i] == '0' ? '~' : '/';
        }
        if (at >= name_n || name[at] != c)
            return false;
    }
    return at == name_n;
}

static json_t *member_of(json_t *json, struct tb_str token)
{
    const char *name;
    json_t *member;
    if (json_is_object(json)) {
        json_object_foreach(json, name, member) if (token_is(token, name)) return member;
        return NULL;
    }
    int64_t index;
    if (!json_is_array(json) || !tb_text_to_int(token, &index) || index < 0)
        return NULL;
    return json_array_get(json, (size_t)index);
}

json_t *tb_json_at(json_t *json, struct tb_str pointer)
{
    size_t i = 0;
    while (json != NULL && i < pointer.n) {
        if (pointer.at[i++] != '/')
            return NULL;
        size_t first = i;
        while (i < pointer.n && pointer.at[i] != '/')
            i++;
        json = member_of(json, (struct tb_str){pointer.at + first, i - first});
    }
    return json;
}

/* ---- canonical form ---- */

struct pair {
    const char *name;
    const json_t *value;
};

struct level {
    struct pair *pairs; /**< the sorted members of an object; values only for an array */
    size_t n, next;
    bool object;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

/* List the members of a container in the order they are written. */
static bool open_level(struct tb_text *text, const json_t *json, struct level *out)
{
    bool object = json_is_object(json);
    size_t n = object ? json_object_size(json) : json_array_size(json);
    struct pair *pairs = tb_arena_raw(text->arena, n * sizeof(*pairs));
    if (pairs == NULL)
        return false;
    if (object) {
        size_t i = 0;
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)json, name, value) pairs[i++] = (struct pair){name, value};
        qsort(pairs, n, sizeof(*pairs), by_name);
    } else {
        for (size_t i = 0; i < n; i++)
            pairs[i] = (struct pair){NULL, json_array_get(json, i)};
    }
    *out = (struct level){.pairs = pairs, .n = n, .object = object};
    tb_text_add_char(text, object ? '{' : '[');
    return true;
}

static void add_scalar(struct tb_text *text, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        tb_text_add_json(text, (struct tb_str){json_string_value(json), json_string_length(json)});
        return;
    case JSON_INTEGER:
        tb_text_add_int(text, json_integer_value(json));
        return;
    case JSON_REAL:
        tb_text_add_format(text, "%.17g", json_real_value(json));
        return;
    case JSON_TRUE:
        tb_text_add(text, TB_STR("true"));
        return;
    case JSON_FALSE:
        tb_text_add(text, TB_STR("false"));
        return;
    default:
        tb_text_add(text, TB_STR("null"));
    }
}

void tb_json_canonical(struct tb_text *text, const json_t *json)
{
    struct level levels[TB_JSON_DEPTH_MAX];
    size_t depth = 0;
    for (const json_t *value = json;;) {
        if (!json_is_object(value) && !json_is_array(value)) {
            add_scalar(text, value);
        } else if (depth == TB_JSON_DEPTH_MAX || !open_level(text, value, &levels[depth++])) {
            text->failed = true;
            return;
        }
        while (depth > 0 && levels[depth - 1].next == levels[depth - 1].n)
            tb_text_add_char(text, levels[--depth].object ? '}' : ']');
        if (depth == 0)
            return;
        struct level *level = &levels[depth - 1];
        if (level->next > 0)
            tb_text_add_char(text, ',');
        struct pair *pair = &level->pairs[level->next++];
        if (level->object) {
            tb_text_add_json(text, tb_str(pair->name));
            tb_text_add_char(text, ':');
        }
        value = pair->value;
    }
}
