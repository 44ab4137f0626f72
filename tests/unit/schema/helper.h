/* For the tests of this room: schemas written as text, and verdicts as text to compare with. */
#ifndef TB_TESTS_SCHEMA_HELPER_H
#define TB_TESTS_SCHEMA_HELPER_H

#include "schema/schema.h"

/** One value under one schema. `errors` lists "pointer code" in order, comma separated; "" fits. */
struct check_case {
    const char *schema, *value, *errors;
};

/** Compile and check each case; fails the test with the case's text when a verdict differs. */
void check_cases(const struct check_case *cases, size_t n);
#define CHECK_CASES(cases) check_cases((cases), TB_COUNT(cases))

/** A directory of schema files, and what compiling its "main.json" says ("" when it compiles). */
struct schema_file {
    const char *path, *text;
};
struct tb_schema *load_files(const struct schema_file *files, size_t n, char *why,
                             size_t why_bytes);

/** Compile one text; fails the test when it is refused. */
struct tb_schema *load_text(const char *text);

/** JSON from text, single quotes standing for double ones. */
json_t *json_of(const char *text);

/** Check `value` and print the errors as in a check_case into `out`; returns the total. */
size_t verdict(const struct tb_schema *schema, json_t *value, char *out, size_t out_bytes);

#endif
