/* The table of all keywords we know, those that apply further schemas to the same value, and what
 * can be said of a node only when all its keywords are read. */
#include "base/assert.h"
#include "schema/builder.h"
#include <stdio.h>

static bool ignore(struct tb_builder *b, json_t *value)
{
    (void)b, (void)value;
    return true;
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
        snprintf(key, sizeof(key), "%zu", i);
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
    return tb_builder_take(b, value, &choice_add(b, TB_NOT, 1)->nodes[0]);
}

static bool keyword_if(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &b->if_then_else[0]);
}

static bool keyword_then(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &b->if_then_else[1]);
}

static bool keyword_else(struct tb_builder *b, json_t *value)
{
    return tb_builder_take(b, value, &b->if_then_else[2]);
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
    {"type", tb_keyword_type},
    {"enum", tb_keyword_enum},
    {"const", tb_keyword_const},
    {"minLength", tb_keyword_min_length},
    {"maxLength", tb_keyword_max_length},
    {"pattern", tb_keyword_pattern},
    {"format", tb_keyword_format},
    {"minimum", tb_keyword_minimum},
    {"maximum", tb_keyword_maximum},
    {"exclusiveMinimum", tb_keyword_exclusive_minimum},
    {"exclusiveMaximum", tb_keyword_exclusive_maximum},
    {"multipleOf", tb_keyword_multiple_of},
    {"items", tb_keyword_items},
    {"minItems", tb_keyword_min_items},
    {"maxItems", tb_keyword_max_items},
    {"uniqueItems", tb_keyword_unique_items},
    {"properties", tb_keyword_properties},
    {"required", tb_keyword_required},
    {"patternProperties", tb_keyword_pattern_properties},
    {"additionalProperties", tb_keyword_additional_properties},
    {"propertyNames", tb_keyword_property_names},
    {"minProperties", tb_keyword_min_properties},
    {"maxProperties", tb_keyword_max_properties},
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
    for (size_t i = 0; i < TB_COUNT(keywords); i++) {
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
    struct tb_member *table = tb_builder_room(b, slots * sizeof(*table));
    for (size_t i = 0; i < b->members_n; i++) {
        size_t slot = tb_member_hash(b->members[i].name, b->members[i].n) & (slots - 1);
        while (table[slot].name != NULL)
            slot = (slot + 1) & (slots - 1);
        table[slot] = b->members[i];
    }
    const char **required = tb_builder_room(b, b->required_n * sizeof(*required));
    memcpy(required, b->required, b->required_n * sizeof(*required));
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
        memcpy(choice_add(b, TB_IF, 3)->nodes, b->if_then_else, sizeof(b->if_then_else));
    else if (b->if_then_else[1] != NULL || b->if_then_else[2] != NULL)
        return tb_builder_refuse(b, "has then or else without if");
    return true;
}

bool tb_builder_keywords(struct tb_builder *b)
{
    b->members_n = b->required_n = 0;
    memset(b->if_then_else, 0, sizeof(b->if_then_else));
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
