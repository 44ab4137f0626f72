/* Faults a check finds: the first ones in the order of the document are kept as places (which
 * member of which member …) and put into words only when the check is over, so that a body with a
 * million faults costs no more memory than one with sixteen. */
#ifndef TB_SCHEMA_FAULT_H
#define TB_SCHEMA_FAULT_H

#include "schema/program.h"

/* X(name, code, words); the words may use the fault's number (%) or its text ($). */
#define TB_SCHEMA_FAULTS(X)                                                                        \
    X(TYPE, "type", "must be $")                                                                   \
    X(ENUM, "enum", "must be one of $")                                                            \
    X(CONST, "const", "must be $")                                                                 \
    X(MIN_LENGTH, "min_length", "must have at least % characters")                                 \
    X(MAX_LENGTH, "max_length", "must have at most % characters")                                  \
    X(PATTERN, "pattern", "must be $")                                                             \
    X(FORMAT, "format", "must be $")                                                               \
    X(MINIMUM, "minimum", "must be at least %")                                                    \
    X(MAXIMUM, "maximum", "must be at most %")                                                     \
    X(EXCLUSIVE_MINIMUM, "exclusive_minimum", "must be greater than %")                            \
    X(EXCLUSIVE_MAXIMUM, "exclusive_maximum", "must be less than %")                               \
    X(MULTIPLE_OF, "multiple_of", "must be a multiple of %")                                       \
    X(MIN_ITEMS, "min_items", "must have at least % items")                                        \
    X(MAX_ITEMS, "max_items", "must have at most % items")                                         \
    X(UNIQUE_ITEMS, "unique_items", "must not have the same item twice")                           \
    X(MIN_PROPERTIES, "min_properties", "must have at least % members")                            \
    X(MAX_PROPERTIES, "max_properties", "must have at most % members")                             \
    X(REQUIRED, "required", "is missing")                                                          \
    X(ADDITIONAL_PROPERTIES, "additional_properties", "is not a member known here")                \
    X(PROPERTY_NAMES, "property_names", "has a name that is not allowed here")                     \
    X(NOT_ALLOWED, "not_allowed", "is not allowed here")                                           \
    X(ANY_OF, "any_of", "fits none of the % alternatives")                                         \
    X(ONE_OF, "one_of", "must fit exactly one of the % alternatives")                              \
    X(NOT, "not", "has a form that is excluded here")                                              \
    X(TOO_COMPLEX, "too_complex", "takes more work to check than is allowed")

enum tb_fault_kind {
#define TB_FAULT_NAME(name, code, words) TB_FAULT_##name,
    TB_SCHEMA_FAULTS(TB_FAULT_NAME)
#undef TB_FAULT_NAME
};

struct tb_fault {
    enum tb_fault_kind kind;
    int64_t number;   /**< for % */
    const char *text; /**< for $; of a missing member its name */
    const struct tb_object_rules
        *known; /**< of an unknown member: the members there are, or NULL */
    size_t path_n;
    uint32_t path[TB_SCHEMA_DEPTH]; /**< place of the member or item at each level, from the root */
};

struct tb_faults {
    struct tb_fault *kept; /**< sorted by place; NULL until there is one */
    size_t kept_n, room;
    size_t total;
};

/** Keep `fault` if it is among the first. The record is made in `arena` when it is needed first. */
void tb_faults_add(struct tb_faults *faults, struct tb_arena *arena, const struct tb_fault *fault);

/** Put the faults found in `root` into words; returns how many. */
size_t tb_faults_tell(const struct tb_faults *faults, json_t *root, struct tb_arena *arena,
                      struct tb_schema_error *out);

#endif
