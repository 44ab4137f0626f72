/* Keywords about the value itself: any type, strings, numbers, arrays, objects. Each turns its
 * value into rules of the node in hand. */
#include "schema/builder.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- values of keywords ---- */

static bool take_size(struct tb_builder *b, json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return tb_builder_refuse(b, "must be a whole number from 0");
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool take_bound(struct tb_builder *b, json_t *value, bool *out_has, int64_t *out)
{
    if (!json_is_integer(value))
        return tb_builder_refuse(b, "must be a whole number: bounds never have fractions");
    *out_has = true;
    *out = json_integer_value(value);
    return true;
}

/* ---- any type ---- */

static const struct {
    const char *name, *words;
    unsigned types;
} type_names[] = {
    {"object", "an object", TB_T_OBJECT}, {"array", "an array", TB_T_ARRAY},
    {"string", "a string", TB_T_STRING},  {"integer", "an integer", TB_T_INTEGER},
    {"number", "a number", TB_T_NUMBER},  {"boolean", "true or false", TB_T_BOOLEAN},
    {"null", "null", TB_T_NULL},
};

static bool type_add(struct tb_builder *b, const char *name, char *words, size_t words_bytes)
{
    for (size_t i = 0; name != NULL && i < TB_COUNT(type_names); i++) {
        if (strcmp(type_names[i].name, name) != 0)
            continue;
        size_t n = strlen(words);
        snprintf(words + n, words_bytes - n, "%s%s", n == 0 ? "" : " or ", type_names[i].words);
        b->node->types |= type_names[i].types;
        return true;
    }
    return tb_builder_refuse(b, "is not one of the seven types of JSON Schema, or a list of them");
}

bool tb_keyword_type(struct tb_builder *b, json_t *value)
{
    char words[128] = "";
    size_t i;
    json_t *name;
    b->node->types = 0;
    if (json_is_string(value) && !type_add(b, json_string_value(value), words, sizeof(words)))
        return false;
    json_array_foreach(value, i, name)
    {
        if (!type_add(b, json_string_value(name), words, sizeof(words)))
            return false;
    }
    if (b->node->types == 0)
        return type_add(b, NULL, words, sizeof(words));
    struct tb_str kept = tb_arena_format(b->arena, "%s", words);
    b->node->types_words = kept.at;
    return true;
}

static int by_length_and_bytes(const void *left, const void *right)
{
    const struct tb_str *a = left, *b = right;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return memcmp(a->at, b->at, a->n);
}

/* Add `value` to the list for people; what does not fit is told by an ellipsis. */
static void words_add(char *words, size_t words_bytes, json_t *value)
{
    static const char more[] = ", …";
    size_t n = strlen(words), separator = n == 0 ? 0 : 2;
    if (n >= sizeof(more) && strcmp(words + n - (sizeof(more) - 1), more) == 0)
        return;
    size_t room = words_bytes - n - separator - sizeof(more);
    size_t length = json_dumpb(value, words + n + separator, room, JSON_ENCODE_ANY | JSON_COMPACT);
    if (length <= room) {
        memcpy(words + n, ", ", separator);
        words[n + separator + length] = '\0';
    } else {
        memcpy(words + n, more, sizeof(more));
    }
}

/* The rules for one value of the list, or for exactly `values`. */
static const struct tb_value_rules *values_make(struct tb_builder *b, json_t *values, bool list)
{
    char words[256] = "";
    size_t n = list ? json_array_size(values) : 1;
    struct tb_value_rules *rules = tb_builder_room(b, sizeof(*rules));
    struct tb_str *texts = tb_builder_room(b, n * sizeof(*texts));
    json_t **others = tb_builder_room(b, n * sizeof(*others));
    for (size_t i = 0; i < n; i++) {
        json_t *value = list ? json_array_get(values, i) : values;
        if (json_is_string(value))
            texts[rules->texts_n++] = (struct tb_str){json_string_value(value),
                                                      json_string_length(value)};
        else
            others[rules->others_n++] = value;
        words_add(words, sizeof(words), value);
    }
    qsort(texts, rules->texts_n, sizeof(*texts), by_length_and_bytes);
    rules->texts = texts;
    rules->others = others;
    rules->words = tb_arena_format(b->arena, "%s", words).at;
    return rules;
}

bool tb_keyword_enum(struct tb_builder *b, json_t *value)
{
    size_t n = json_array_size(value);
    if (n == 0 || n > TB_SCHEMA_VALUES)
        return tb_builder_refuse(b, "must be a list of 1 to %d values", TB_SCHEMA_VALUES);
    b->node->choice = values_make(b, value, true);
    return true;
}

bool tb_keyword_const(struct tb_builder *b, json_t *value)
{
    b->node->constant = values_make(b, value, false);
    return true;
}

/* ---- strings ---- */

static struct tb_string_rules *strings(struct tb_builder *b)
{
    if (b->node->string == NULL) {
        b->node->string = tb_builder_room(b, sizeof(*b->node->string));
        b->node->string->max = SIZE_MAX;
    }
    return b->node->string;
}

bool tb_keyword_min_length(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &strings(b)->min);
}

bool tb_keyword_max_length(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &strings(b)->max);
}

static const struct tb_regex *regex_make(struct tb_builder *b, const char *at, size_t n)
{
    char why[192];
    const struct tb_regex *regex = tb_regex_compile(b->arena, (struct tb_str){at, n}, why,
                                                    sizeof(why));
    if (regex == NULL)
        tb_builder_refuse(b, "\"%.80s\" %s", at, why);
    return regex;
}

bool tb_keyword_pattern(struct tb_builder *b, json_t *value)
{
    if (!json_is_string(value))
        return tb_builder_refuse(b, "must be a regular expression");
    struct tb_string_rules *rules = strings(b);
    rules->pattern = regex_make(b, json_string_value(value), json_string_length(value));
    rules->pattern_words = json_string_value(json_object_get(b->node->source, "description"));
    if (rules->pattern_words == NULL && rules->pattern != NULL)
        rules->pattern_words =
            tb_arena_format(b->arena, "what matches %s", tb_regex_source(rules->pattern)).at;
    return rules->pattern != NULL;
}

bool tb_keyword_format(struct tb_builder *b, json_t *value)
{
    if (!json_is_string(value) ||
        !tb_format_find(b->arena, json_string_value(value), &strings(b)->format))
        return tb_builder_refuse(
            b, "must be date-time, date, uuid, uri, email, tb-line or tb-id:<prefix>");
    return true;
}

/* ---- numbers ---- */

static struct tb_number_rules *numbers(struct tb_builder *b)
{
    if (b->node->number == NULL)
        b->node->number = tb_builder_room(b, sizeof(*b->node->number));
    return b->node->number;
}

bool tb_keyword_minimum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_minimum, &numbers(b)->minimum);
}

bool tb_keyword_maximum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_maximum, &numbers(b)->maximum);
}

bool tb_keyword_exclusive_minimum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_over, &numbers(b)->over);
}

bool tb_keyword_exclusive_maximum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_under, &numbers(b)->under);
}

bool tb_keyword_multiple_of(struct tb_builder *b, json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return tb_builder_refuse(b, "must be a whole number from 1");
    numbers(b)->multiple = json_integer_value(value);
    return true;
}

/* ---- arrays ---- */

static struct tb_array_rules *arrays(struct tb_builder *b)
{
    if (b->node->array == NULL) {
        b->node->array = tb_builder_room(b, sizeof(*b->node->array));
        b->node->array->max = SIZE_MAX;
    }
    return b->node->array;
}

bool tb_keyword_items(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &arrays(b)->items);
}

bool tb_keyword_min_items(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &arrays(b)->min);
}

bool tb_keyword_max_items(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &arrays(b)->max);
}

bool tb_keyword_unique_items(struct tb_builder *b, json_t *value)
{
    if (!json_is_boolean(value))
        return tb_builder_refuse(b, "must be true or false");
    arrays(b)->unique = json_is_true(value);
    return true;
}

/* ---- objects ---- */

static struct tb_object_rules *objects(struct tb_builder *b)
{
    if (b->node->object == NULL) {
        b->node->object = tb_builder_room(b, sizeof(*b->node->object));
        b->node->object->max = SIZE_MAX;
    }
    return b->node->object;
}

/* The member `name` of the object in hand, added if it is new. NULL when there are too many. */
static struct tb_member *member(struct tb_builder *b, const char *name, size_t n)
{
    for (size_t i = 0; i < b->members_n; i++) {
        if (b->members[i].n == n && memcmp(b->members[i].name, name, n) == 0)
            return &b->members[i];
    }
    if (b->members_n == TB_SCHEMA_NAMES) {
        tb_builder_refuse(b, "names more than %d members", TB_SCHEMA_NAMES);
        return NULL;
    }
    b->members[b->members_n] = (struct tb_member){.name = name, .n = n};
    return &b->members[b->members_n++];
}

bool tb_keyword_properties(struct tb_builder *b, json_t *value)
{
    (void)objects(b);
    if (!json_is_object(value))
        return tb_builder_refuse(b, "must be an object of schemas");
    for (void *at = json_object_iter(value); at != NULL; at = json_object_iter_next(value, at)) {
        const char *name = json_object_iter_key(at);
        struct tb_member *found = member(b, name, json_object_iter_key_len(at));
        if (found == NULL)
            return false;
        found->node = tb_builder_node(b, json_object_iter_value(at), name);
        if (found->node == NULL)
            return false;
    }
    return true;
}

bool tb_keyword_required(struct tb_builder *b, json_t *value)
{
    (void)objects(b);
    if (!json_is_array(value))
        return tb_builder_refuse(b, "must be a list of names");
    size_t i;
    json_t *name;
    json_array_foreach(value, i, name)
    {
        if (!json_is_string(name))
            return tb_builder_refuse(b, "must be a list of names");
        struct tb_member *found = member(b, json_string_value(name), json_string_length(name));
        if (found == NULL)
            return false;
        if (found->required != 0)
            return tb_builder_refuse(b, "names \"%.80s\" twice", found->name);
        if (b->required_n == TB_SCHEMA_REQUIRED)
            return tb_builder_refuse(b, "names more than %d members", TB_SCHEMA_REQUIRED);
        found->required = UINT64_C(1) << b->required_n;
        b->required[b->required_n++] = found->name;
    }
    return true;
}

bool tb_keyword_pattern_properties(struct tb_builder *b, json_t *value)
{
    size_t n = json_object_size(value);
    if (!json_is_object(value) || n > TB_SCHEMA_BRANCHES)
        return tb_builder_refuse(b, "must be an object of at most %d schemas", TB_SCHEMA_BRANCHES);
    struct tb_member_pattern *patterns = tb_builder_room(b, n * sizeof(*patterns));
    struct tb_member_pattern *next = patterns;
    for (void *at = json_object_iter(value); at != NULL; at = json_object_iter_next(value, at)) {
        const char *name = json_object_iter_key(at);
        next->name = regex_make(b, name, json_object_iter_key_len(at));
        next->node = tb_builder_node(b, json_object_iter_value(at), name);
        if (next->name == NULL || next->node == NULL)
            return false;
        next++;
    }
    objects(b)->patterns = patterns;
    objects(b)->patterns_n = n;
    return true;
}

bool tb_keyword_additional_properties(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &objects(b)->additional);
}

bool tb_keyword_property_names(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &objects(b)->names);
}

bool tb_keyword_min_properties(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &objects(b)->min);
}

bool tb_keyword_max_properties(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &objects(b)->max);
}
