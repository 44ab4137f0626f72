/* JSON Schema 2020-12, compiled once and checked many times. A schema is a file below the schemas
 * directory; `$ref` reaches the other files there. What the compiler does not know it refuses, with
 * file and pointer: a rule that is not enforced must not look as if it were.
 *
 *     char why[256];
 *     struct tb_schema *schema = tb_schema_load("schemas", "e_payment/payment_create.json", why,
 *                                               sizeof why);
 *     struct tb_schema_error errors[TB_SCHEMA_ERRORS];
 *     size_t total;
 *     tb_err err = tb_schema_check(schema, body, arena, errors, TB_SCHEMA_ERRORS, &total);
 *
 * docs/schema.md says which keywords exist and where we are stricter than the standard. */
#ifndef TB_SCHEMA_SCHEMA_H
#define TB_SCHEMA_SCHEMA_H

#include "base/arena.h"
#include <jansson.h>
#include <tongbao/error.h>

enum { TB_SCHEMA_ERRORS = 16 }; /**< most errors one check describes */

struct tb_schema;

/** One place that is wrong. `detail` speaks of the rule, never of the value sent: it may be secret.
 */
struct tb_schema_error {
    const char *pointer; /**< RFC 6901; a member that is missing is pointed at, too */
    const char *code;    /**< the keyword in snake_case: "required", "max_length" */
    const char *detail;  /**< one phrase for a person: "must have at most 64 characters" */
};

/** Compile the schema in `path` below `directory`.
 *  @param path   with slashes and suffix, without ".." or a leading slash
 *  @param why    on refusal a sentence with file and pointer
 *  @return the schema, to be freed with tb_schema_free; NULL when refused
 *  Waits: reads files. Source: JSON Schema 2020-12 core and validation. */
struct tb_schema *tb_schema_load(const char *directory, const char *path, char *why,
                                 size_t why_bytes);

void tb_schema_free(struct tb_schema *schema);

/** Check `value`. Any number of threads may do so at once.
 *  @param errors     room for `max` (at most TB_SCHEMA_ERRORS are used): the first ones in the
 * order of the document; a missing member counts as standing at the end of its object. As many are
 * filled in as there are and fit, even when the arena is full.
 *  @param out_total  how many there are in all
 *  @return NULL; TB_E_INVALID with the errors. A value that costs more than the limits of program.h
 *          is invalid, with "too_complex" at the place where the check gave up.
 *  Waits: no. Memory: pointers and details live in `arena` or the schema. */
tb_err TB_NODISCARD tb_schema_check(const struct tb_schema *schema, json_t *value,
                                    struct tb_arena *arena, struct tb_schema_error *errors,
                                    size_t max, size_t *out_total);

#endif
