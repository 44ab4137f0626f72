/* One function for each keyword turns its value into rules of the node in hand; the table at the
 * end is the list of what we know. */
#include "base/assert.h"
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

static bool take_node(struct tb_builder *b, json_t *value, const struct tb_schema_node **out)
{
    *out = tb_builder_node(b, value, NULL);
    return *out != NULL;
}

static bool ignore(struct tb_builder *b, json_t *value)
{
    (void)b, (void)value;
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
    for (size_t i = 0; name != NULL && i < sizeof type_names / sizeof type_names[0]; i++) {
        if (strcmp(type_names[i].name, name) != 0)
            continue;
        size_t n = strlen(words);
        snprintf(words + n, words_bytes - n, "%s%s", n == 0 ? "" : " or ", type_names[i].words);
        b->node->types |= type_names[i].types;
        return true;
    }
    return tb_builder_refuse(b, "is not one of the seven types of JSON Schema, or a list of them");
}

static bool keyword_type(struct tb_builder *b, json_t *value)
{
    char words[128] = "";
    size_t i;
    json_t *name;
    b->node->types = 0;
    if (json_is_string(value) && !type_add(b, json_string_value(value), words, sizeof words))
        return false;
    json_array_foreach(value, i, name)
    {
        if (!type_add(b, json_string_value(name), words, sizeof words))
            return false;
    }
    if (b->node->types == 0)
        return type_add(b, NULL, words, sizeof words);
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
    if (n >= sizeof more && strcmp(words + n - (sizeof more - 1), more) == 0)
        return;
    size_t room = words_bytes - n - separator - sizeof more;
    size_t length = json_dumpb(value, words + n + separator, room, JSON_ENCODE_ANY | JSON_COMPACT);
    if (length <= room) {
        memcpy(words + n, ", ", separator);
        words[n + separator + length] = '\0';
    } else {
        memcpy(words + n, more, sizeof more);
    }
}

/* The rules for one value of the list, or for exactly `values`. */
static const struct tb_value_rules *values_make(struct tb_builder *b, json_t *values, bool list)
{
    char words[256] = "";
    size_t n = list ? json_array_size(values) : 1;
    struct tb_value_rules *rules = tb_builder_room(b, sizeof *rules);
    struct tb_str *texts = tb_builder_room(b, n * sizeof *texts);
    json_t **others = tb_builder_room(b, n * sizeof *others);
    for (size_t i = 0; i < n; i++) {
        json_t *value = list ? json_array_get(values, i) : values;
        if (json_is_string(value))
            texts[rules->texts_n++] = (struct tb_str){json_string_value(value),
                                                      json_string_length(value)};
        else
            others[rules->others_n++] = value;
        words_add(words, sizeof words, value);
    }
    qsort(texts, rules->texts_n, sizeof *texts, by_length_and_bytes);
    rules->texts = texts;
    rules->others = others;
    rules->words = tb_arena_format(b->arena, "%s", words).at;
    return rules;
}

static bool keyword_enum(struct tb_builder *b, json_t *value)
{
    size_t n = json_array_size(value);
    if (n == 0 || n > TB_SCHEMA_VALUES)
        return tb_builder_refuse(b, "must be a list of 1 to %d values", TB_SCHEMA_VALUES);
    b->node->choice = values_make(b, value, true);
    return true;
}

static bool keyword_const(struct tb_builder *b, json_t *value)
{
    b->node->constant = values_make(b, value, false);
    return true;
}

/* ---- strings ---- */

static struct tb_string_rules *strings(struct tb_builder *b)
{
    if (b->node->string == NULL) {
        b->node->string = tb_builder_room(b, sizeof *b->node->string);
        b->node->string->max = SIZE_MAX;
    }
    return b->node->string;
}

static bool keyword_min_length(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &strings(b)->min);
}

static bool keyword_max_length(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &strings(b)->max);
}

static const struct tb_regex *regex_make(struct tb_builder *b, const char *at, size_t n)
{
    char why[192];
    const struct tb_regex *regex = tb_regex_compile(b->arena, (struct tb_str){at, n}, why,
                                                    sizeof why);
    if (regex == NULL)
        tb_builder_refuse(b, "\"%.80s\" %s", at, why);
    return regex;
}

static bool keyword_pattern(struct tb_builder *b, json_t *value)
{
    if (!json_is_string(value))
        return tb_builder_refuse(b, "must be a regular expression");
    strings(b)->pattern = regex_make(b, json_string_value(value), json_string_length(value));
    return strings(b)->pattern != NULL;
}

static bool keyword_format(struct tb_builder *b, json_t *value)
{
    if (!json_is_string(value) || !tb_format_find(json_string_value(value), &strings(b)->format))
        return tb_builder_refuse(b, "must be date-time, date, uuid, uri, email or tb-id:<prefix>");
    return true;
}

/* ---- numbers ---- */

static struct tb_number_rules *numbers(struct tb_builder *b)
{
    if (b->node->number == NULL)
        b->node->number = tb_builder_room(b, sizeof *b->node->number);
    return b->node->number;
}

static bool keyword_minimum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_minimum, &numbers(b)->minimum);
}

static bool keyword_maximum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_maximum, &numbers(b)->maximum);
}

static bool keyword_exclusive_minimum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_over, &numbers(b)->over);
}

static bool keyword_exclusive_maximum(struct tb_builder *b, json_t *value)
{
    return take_bound(b, value, &numbers(b)->has_under, &numbers(b)->under);
}

static bool keyword_multiple_of(struct tb_builder *b, json_t *value)
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
        b->node->array = tb_builder_room(b, sizeof *b->node->array);
        b->node->array->max = SIZE_MAX;
    }
    return b->node->array;
}

static bool keyword_items(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &arrays(b)->items);
}

static bool keyword_min_items(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &arrays(b)->min);
}

static bool keyword_max_items(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &arrays(b)->max);
}

static bool keyword_unique_items(struct tb_builder *b, json_t *value)
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
        b->node->object = tb_builder_room(b, sizeof *b->node->object);
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

static bool keyword_properties(struct tb_builder *b, json_t *value)
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

static bool keyword_required(struct tb_builder *b, json_t *value)
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

static bool keyword_pattern_properties(struct tb_builder *b, json_t *value)
{
    size_t n = json_object_size(value);
    if (!json_is_object(value) || n > TB_SCHEMA_BRANCHES)
        return tb_builder_refuse(b, "must be an object of at most %d schemas", TB_SCHEMA_BRANCHES);
    struct tb_member_pattern *patterns = tb_builder_room(b, n * sizeof *patterns);
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

static bool keyword_additional_properties(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &objects(b)->additional);
}

static bool keyword_property_names(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &objects(b)->names);
}

static bool keyword_min_properties(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &objects(b)->min);
}

static bool keyword_max_properties(struct tb_builder *b, json_t *value)
{
    return take_size(b, value, &objects(b)->max);
}

/* ---- subschemas for the same value ---- */

static struct tb_choice *choice_add(struct tb_builder *b, enum tb_choice_kind kind, size_t nodes_n)
{
    TB_ASSERT(b->node->choices_n < TB_SCHEMA_CHOICES);
    struct tb_choice *choice = &b->node->choices[b->node->choices_n++];
    choice->kind = kind;
    choice->nodes = tb_builder_room(b, nodes_n * sizeof(struct tb_schema_node *));
    choice->nodes_n = nodes_n;
    return choice;
}

static bool take_branches(struct tb_builder *b, json_t *value, enum tb_choice_kind kind)
{
    size_t n = json_array_size(value);
    if (n == 0 || n > TB_SCHEMA_BRANCHES)
        return tb_builder_refuse(b, "must be a list of 1 to %d schemas", TB_SCHEMA_BRANCHES);
    struct tb_choice *choice = choice_add(b, kind, n);
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        choice->nodes[i] = tb_builder_node(b, json_array_get(value, i), key);
        if (choice->nodes[i] == NULL)
            return false;
    }
    return true;
}

static bool keyword_ref(struct tb_builder *b, json_t *value)
{
    if (!json_is_string(value))
        return tb_builder_refuse(b, "must be a reference");
    struct tb_choice *choice = choice_add(b, TB_ALL_OF, 1);
    choice->nodes[0] = tb_builder_reference(b, json_string_value(value));
    return choice->nodes[0] != NULL;
}

static bool keyword_all_of(struct tb_builder *b, json_t *value)
{
    return take_branches(b, value, TB_ALL_OF);
}

static bool keyword_any_of(struct tb_builder *b, json_t *value)
{
    return take_branches(b, value, TB_ANY_OF);
}

static bool keyword_one_of(struct tb_builder *b, json_t *value)
{
    return take_branches(b, value, TB_ONE_OF);
}

static bool keyword_not(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &choice_add(b, TB_NOT, 1)->nodes[0]);
}

static bool keyword_if(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &b->if_then_else[0]);
}

static bool keyword_then(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &b->if_then_else[1]);
}

static bool keyword_else(struct tb_builder *b, json_t *value)
{
    return take_node(b, value, &b->if_then_else[2]);
}

/* ---- the document itself ---- */

static bool keyword_schema(struct tb_builder *b, json_t *value)
{
    const char *dialect = json_string_value(value);
    if (dialect == NULL || strcmp(dialect, "https://json-schema.org/draft/2020-12/schema") != 0)
        return tb_builder_refuse(b, "must be https://json-schema.org/draft/2020-12/schema");
    return true;
}

/* Definitions are compiled even when nothing refers to them, so that no mistake hides there. */
static bool keyword_defs(struct tb_builder *b, json_t *value)
{
    const char *name;
    json_t *source;
    if (!json_is_object(value))
        return tb_builder_refuse(b, "must be an object of schemas");
    json_object_foreach(value, name, source)
    {
        if (tb_builder_node(b, source, name) == NULL)
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*compile)(struct tb_builder *b, json_t *value);
} keywords[] = {
    {"$schema", keyword_schema},
    {"$defs", keyword_defs},
    {"$ref", keyword_ref},
    {"$comment", ignore},
    {"title", ignore},
    {"description", ignore},
    {"examples", ignore},
    {"default", ignore},
    {"deprecated", ignore},
    {"readOnly", ignore},
    {"writeOnly", ignore},
    {"type", keyword_type},
    {"enum", keyword_enum},
    {"const", keyword_const},
    {"minLength", keyword_min_length},
    {"maxLength", keyword_max_length},
    {"pattern", keyword_pattern},
    {"format", keyword_format},
    {"minimum", keyword_minimum},
    {"maximum", keyword_maximum},
    {"exclusiveMinimum", keyword_exclusive_minimum},
    {"exclusiveMaximum", keyword_exclusive_maximum},
    {"multipleOf", keyword_multiple_of},
    {"items", keyword_items},
    {"minItems", keyword_min_items},
    {"maxItems", keyword_max_items},
    {"uniqueItems", keyword_unique_items},
    {"properties", keyword_properties},
    {"required", keyword_required},
    {"patternProperties", keyword_pattern_properties},
    {"additionalProperties", keyword_additional_properties},
    {"propertyNames", keyword_property_names},
    {"minProperties", keyword_min_properties},
    {"maxProperties", keyword_max_properties},
    {"allOf", keyword_all_of},
    {"anyOf", keyword_any_of},
    {"oneOf", keyword_one_of},
    {"not", keyword_not},
    {"if", keyword_if},
    {"then", keyword_then},
    {"else", keyword_else},
};

static bool (*keyword_find(const char *name))(struct tb_builder *b, json_t *value)
{
    if (strncmp(name, "x-", 2) == 0)
        return ignore;
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(keywords[i].name, name) == 0)
            return keywords[i].compile;
    }
    return NULL;
}

bool tb_keyword_is_annotation(const char *keyword)
{
    return keyword_find(keyword) == ignore || strcmp(keyword, "$schema") == 0;
}

/* ---- what takes several keywords together ---- */

/* The members gathered become a hash table at most half full. */
static void members_finish(struct tb_builder *b, struct tb_object_rules *rules)
{
    size_t slots = 4;
    while (slots < 2 * b->members_n)
        slots *= 2;
    struct tb_member *table = tb_builder_room(b, slots * sizeof *table);
    for (size_t i = 0; i < b->members_n; i++) {
        size_t slot = tb_member_hash(b->members[i].name, b->members[i].n) & (slots - 1);
        while (table[slot].name != NULL)
            slot = (slot + 1) & (slots - 1);
        table[slot] = b->members[i];
    }
    const char **required = tb_builder_room(b, b->required_n * sizeof *required);
    memcpy(required, b->required, b->required_n * sizeof *required);
    rules->members = table;
    rules->mask = slots - 1;
    rules->required = required;
    rules->required_n = b->required_n;
}

static bool node_finish(struct tb_builder *b)
{
    b->keyword = NULL;
    if (b->node->object != NULL)
        members_finish(b, b->node->object);
    const struct tb_array_rules *array = b->node->array;
    if (array != NULL && array->unique && array->max > TB_SCHEMA_UNIQUE)
        return tb_builder_refuse(b, "uniqueItems needs maxItems of at most %d", TB_SCHEMA_UNIQUE);
    if (b->if_then_else[0] != NULL)
        memcpy(choice_add(b, TB_IF, 3)->nodes, b->if_then_else, sizeof b->if_then_else);
    else if (b->if_then_else[1] != NULL || b->if_then_else[2] != NULL)
        return tb_builder_refuse(b, "has then or else without if");
    return true;
}

bool tb_builder_keywords(struct tb_builder *b)
{
    b->members_n = b->required_n = 0;
    memset(b->if_then_else, 0, sizeof b->if_then_else);
    json_t *value;
    json_object_foreach(b->node->source, b->keyword, value)
    {
        bool (*compile)(struct tb_builder *, json_t *) = keyword_find(b->keyword);
        if (compile == NULL)
            return tb_builder_refuse(b, "is not a keyword known here");
        if (!compile(b, value))
            return false;
    }
    return node_finish(b);
}
