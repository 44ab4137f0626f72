/* Pairs of values that are still to be compared stand in a list behind those that were. */
#include "cli/json_diff.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

static bool is_empty(const json_t *json)
{
    return json == NULL || (json_is_object(json) && json_object_size(json) == 0) ||
           (json_is_array(json) && json_array_size(json) == 0);
}

/* A pair: {at, expected, decided}, a member left out where there is nothing. */
static void add_pair(json_t *pairs, const char *at, const json_t *expected, const json_t *decided)
{
    json_t *pair = json_object();
    json_object_set_new(pair, "at", json_string(at));
    if (expected != NULL)
        json_object_set(pair, "expected", (json_t *)(uintptr_t)expected);
    if (decided != NULL)
        json_object_set(pair, "decided", (json_t *)(uintptr_t)decided);
    json_array_append_new(pairs, pair);
}

struct place {
    struct tb_arena *arena;
    const char *at;
};

static const char *below(struct place place, const char *name, size_t index)
{
    struct tb_text pointer;
    tb_text_init(&pointer, place.arena);
    tb_text_add(&pointer, tb_str(place.at));
    if (name != NULL)
        tb_json_pointer_name(&pointer, tb_str(name));
    else
        tb_json_pointer_index(&pointer, index);
    struct tb_str text = tb_text_end(&pointer);
    return text.at == NULL ? place.at : text.at;
}

static void open_objects(json_t *pairs, struct place place, json_t *expected, json_t *decided)
{
    const char *name;
    json_t *value;
    json_object_foreach(expected, name, value)
        add_pair(pairs, below(place, name, 0), value, json_object_get(decided, name));
    json_object_foreach(decided, name, value) if (json_object_get(expected, name) == NULL)
        add_pair(pairs, below(place, name, 0), NULL, value);
}

static void open_arrays(json_t *pairs, struct place place, json_t *expected, json_t *decided)
{
    size_t n = json_array_size(expected), other_n = json_array_size(decided);
    for (size_t i = 0; i < (n > other_n ? n : other_n); i++)
        add_pair(pairs, below(place, NULL, i), json_array_get(expected, i),
                 json_array_get(decided, i));
}

/* The same value with its members in one order, whatever order they were made in. */
static json_t *sorted(const json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_t *same = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    free(text);
    return same;
}

json_t *tb_json_differences(const json_t *expected, const json_t *decided, size_t most)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    json_t *pairs = json_array(), *found = json_array(), *pair;
    json_t *first = sorted(expected), *second = sorted(decided);
    size_t i;
    add_pair(pairs, "", first, second);
    json_decref(first);
    json_decref(second);
    json_array_foreach(pairs, i, pair)
    {
        json_t *one = json_object_get(pair, "expected"), *other = json_object_get(pair, "decided");
        struct place place = {arena, json_string_value(json_object_get(pair, "at"))};
        if (is_empty(one) ? is_empty(other) : json_equal(one, other))
            continue;
        if ((i == 0 || json_is_object(one)) && (i == 0 || json_is_object(other)))
            open_objects(pairs, place, one, other);
        else if (json_is_array(one) && json_is_array(other))
            open_arrays(pairs, place, one, other);
        else if (json_array_size(found) < most)
            json_array_append(found, pair);
    }
    json_decref(pairs);
    tb_arena_free(arena);
    if (json_array_size(found) > 0)
        return found;
    json_decref(found);
    return NULL;
}
