/* The compiler's state. Subschemas are compiled from a queue, each once however many references
 * lead to it, so references may form circles and nothing here recurses. */
#ifndef TB_SCHEMA_BUILDER_H
#define TB_SCHEMA_BUILDER_H

#include "schema/program.h"

struct tb_schema_file {
    const char *path; /**< below the directory */
    json_t *json;
};

struct tb_builder {
    struct tb_arena *arena; /**< of the schema */
    const char *directory;
    struct tb_schema_file files[TB_SCHEMA_FILES];
    size_t files_n;
    struct tb_schema_node
        *nodes[TB_SCHEMA_NODES]; /**< the queue: those before `compiled` are done */
    size_t nodes_n, compiled;

    /* The node in hand, and what must be gathered before it can be finished. */
    struct tb_schema_node *node;
    const char *keyword;
    struct tb_member members[TB_SCHEMA_NAMES];
    size_t members_n;
    const char *required[TB_SCHEMA_REQUIRED];
    size_t required_n;
    const struct tb_schema_node *if_then_else[3];

    char *why;
    size_t why_bytes;
};

/** Say why the keyword in hand is refused; returns false. */
bool tb_builder_refuse(struct tb_builder *b, const char *format, ...) TB_PRINTF(2, 3);

/** Memory of the schema, zeroed; never NULL. */
void *tb_builder_room(struct tb_builder *b, size_t n);

/** The node of a subschema below the keyword in hand, queued if it is new.
 *  @param key  the member or index below the keyword, NULL when the keyword itself holds it
 *  @return NULL when refused */
const struct tb_schema_node *tb_builder_node(struct tb_builder *b, json_t *source, const char *key);

/** The node a `$ref` of the node in hand leads to; NULL when refused. */
const struct tb_schema_node *tb_builder_reference(struct tb_builder *b, const char *reference);

/** The node of the keyword in hand itself, when its value is a schema. False when refused. */
bool tb_builder_take(struct tb_builder *b, json_t *source, const struct tb_schema_node **out);

/** Compile all keywords of the node in hand. False when refused. */
bool tb_builder_keywords(struct tb_builder *b);

/** Whether the keyword says nothing about validity. */
bool tb_keyword_is_annotation(const char *keyword);

/* Keywords about the value itself (keyword_value.c): false when `value` is refused. */
bool tb_keyword_type(struct tb_builder *b, json_t *value);
bool tb_keyword_enum(struct tb_builder *b, json_t *value);
bool tb_keyword_const(struct tb_builder *b, json_t *value);
bool tb_keyword_min_length(struct tb_builder *b, json_t *value);
bool tb_keyword_max_length(struct tb_builder *b, json_t *value);
bool tb_keyword_pattern(struct tb_builder *b, json_t *value);
bool tb_keyword_format(struct tb_builder *b, json_t *value);
bool tb_keyword_minimum(struct tb_builder *b, json_t *value);
bool tb_keyword_maximum(struct tb_builder *b, json_t *value);
bool tb_keyword_exclusive_minimum(struct tb_builder *b, json_t *value);
bool tb_keyword_exclusive_maximum(struct tb_builder *b, json_t *value);
bool tb_keyword_multiple_of(struct tb_builder *b, json_t *value);
bool tb_keyword_items(struct tb_builder *b, json_t *value);
bool tb_keyword_min_items(struct tb_builder *b, json_t *value);
bool tb_keyword_max_items(struct tb_builder *b, json_t *value);
bool tb_keyword_unique_items(struct tb_builder *b, json_t *value);
bool tb_keyword_properties(struct tb_builder *b, json_t *value);
bool tb_keyword_required(struct tb_builder *b, json_t *value);
bool tb_keyword_pattern_properties(struct tb_builder *b, json_t *value);
bool tb_keyword_additional_properties(struct tb_builder *b, json_t *value);
bool tb_keyword_property_names(struct tb_builder *b, json_t *value);
bool tb_keyword_min_properties(struct tb_builder *b, json_t *value);
bool tb_keyword_max_properties(struct tb_builder *b, json_t *value);

#endif
