/* Compiled schema: a graph of nodes, one for each subschema, immutable once linked. A
 * node groups its rules by the type of value they speak of, so that a value meets only its own. */
#ifndef TB_SCHEMA_PROGRAM_H
#define TB_SCHEMA_PROGRAM_H

#include "schema/format.h"
#include "schema/regex.h"
#include "schema/schema.h"

/* Limits of the compiler, which is fed by the bank, and of the check, which is fed by anyone. */
enum {
    TB_SCHEMA_FILES = 64,          /**< files one schema reaches */
    TB_SCHEMA_FILE_BYTES = 262144, /**< of one file */
    TB_SCHEMA_NODES = 4096,        /**< subschemas of one schema */
    TB_SCHEMA_HOPS = 32,           /**< $refs that lead straight to a $ref */
    TB_SCHEMA_NAMES = 256,         /**< named members of one object */
    TB_SCHEMA_REQUIRED = 64,       /**< of them required */
    TB_SCHEMA_BRANCHES = 64,       /**< of one allOf, anyOf, oneOf; patterns of patternProperties */
    TB_SCHEMA_VALUES = 1024,       /**< of one enum */
    TB_SCHEMA_UNIQUE = 1024,       /**< items that uniqueItems compares */
    TB_SCHEMA_DEPTH = 96,          /**< values within values and schemas within schemas at once */
    TB_SCHEMA_STEPS = 250000,      /**< subschemas, members and comparisons of one check */
};

/* Types a value may have: bits numbered by json_type. */
enum {
    TB_T_OBJECT = 1 << JSON_OBJECT,
    TB_T_ARRAY = 1 << JSON_ARRAY,
    TB_T_STRING = 1 << JSON_STRING,
    TB_T_INTEGER = 1 << JSON_INTEGER,
    TB_T_NUMBER = 1 << JSON_INTEGER | 1 << JSON_REAL,
    TB_T_BOOLEAN = 1 << JSON_TRUE | 1 << JSON_FALSE,
    TB_T_NULL = 1 << JSON_NULL,
    TB_T_ANY = 255,
};

struct tb_schema_node;

struct tb_string_rules {
    size_t min, max; /**< code points */
    const struct tb_regex *pattern;
    const char *pattern_words; /**< the description beside it, or the expression itself */
    struct tb_format format;   /**< check NULL: none */
};

struct tb_number_rules {
    bool has_minimum, has_maximum, has_over, has_under;
    int64_t minimum, maximum; /**< inclusive */
    int64_t over, under;      /**< exclusive */
    int64_t multiple;         /**< 0: none */
};

struct tb_array_rules {
    const struct tb_schema_node *items; /**< NULL: any */
    size_t min, max;
    bool unique;
};

/** A member the schema names, in `properties`, `required` or both. */
struct tb_member {
    const char *name;
    size_t n;
    const struct tb_schema_node *node; /**< NULL: only required */
    uint64_t required;                 /**< its bit, or 0 */
};

struct tb_member_pattern {
    const struct tb_regex *name;
    const struct tb_schema_node *node;
};

struct tb_object_rules {
    const struct tb_member *members; /**< hash table, `name` NULL where empty */
    size_t mask;                     /**< slots - 1 */
    const char *const *required;     /**< names by bit */
    size_t required_n;
    const struct tb_member_pattern *patterns;
    size_t patterns_n;
    const struct tb_schema_node *additional; /**< NULL: any */
    const struct tb_schema_node *names;      /**< propertyNames: only string rules; NULL: any */
    size_t min, max;
};

/** `enum`, or `const` as an enum of one. */
struct tb_value_rules {
    const struct tb_str *texts; /**< the strings, sorted by length, then bytes */
    size_t texts_n;
    json_t *const *others; /**< the rest */
    size_t others_n;
    const char *words; /**< all of them, for a person */
};

enum tb_choice_kind { TB_ALL_OF, TB_ANY_OF, TB_ONE_OF, TB_NOT, TB_IF };

/** Subschemas that look at the same value as the node itself. */
struct tb_choice {
    enum tb_choice_kind kind;
    const struct tb_schema_node **nodes; /**< TB_IF: if, then, else; the last two may be NULL */
    size_t nodes_n;
};

enum { TB_SCHEMA_CHOICES = 6 }; /**< $ref, allOf, anyOf, oneOf, not, if */

struct tb_schema_node {
    unsigned types;
    const char *types_words; /**< "a string or null" */
    const struct tb_value_rules *constant, *choice;
    struct tb_string_rules *string;
    struct tb_number_rules *number;
    struct tb_array_rules *array;
    struct tb_object_rules *object;
    size_t choices_n;
    struct tb_choice choices[TB_SCHEMA_CHOICES];

    json_t *source; /**< where it was compiled from: value, file and pointer */
    const char *file;
    const char *pointer;
    size_t number_in_order; /**< index in the schema's nodes */
};

struct tb_schema {
    struct tb_arena *arena; /**< holds everything, this too */
    const struct tb_schema_node *root;
};

/** The schemas `true` and `false`. */
extern const struct tb_schema_node tb_schema_anything;
extern const struct tb_schema_node tb_schema_nothing;

static inline size_t tb_member_hash(const char *name, size_t n)
{
    if (n == 0)
        return 0;
    const unsigned char *at = (const unsigned char *)name;
    return n + at[0] * 7u + at[n / 2] * 31u + at[n - 1] * 131u;
}

#endif
