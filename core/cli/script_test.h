/* Tests that a partner wrote for a script, run as the gateway runs the script: the same sandbox,
 * the same budget, no gateway and no database. A test file is Lua that returns a list:
 *
 *     return {
 *         {
 *             name = "nobody pays at night",
 *             now = "2026-11-23T23:30:00+08:00",
 *             request = { body = { amount = { amount = 100, currency = "CNY" } } },
 *             tables = { payees = { acc_1 = { name = "Wei" } } },
 *             expect = { deny = { code = "night" } },
 *         },
 *     }
 *
 * What a request leaves out is filled in. Without `expect` the script must decide nothing;
 * `expect_error` is a part of what a failure says; `response` makes it a test of on_response. The
 * test file may be anybody's, too: it has a sandbox of its own, with more to spend. */
#ifndef TB_CLI_SCRIPT_TEST_H
#define TB_CLI_SCRIPT_TEST_H

#include "hooks/hooks.h"
#include "runtime/loop.h"

enum {
    TB_TESTS_MAX = 1000, /**< in one file */
    TB_TEST_NAME_BYTES = 160,
    TB_TEST_DIFFERENCES = 16, /**< told of one test */
};

struct tb_script_suite;

/** What became of one test. */
struct tb_script_verdict {
    bool good;
    bool called;                   /**< the hook; what follows `differences` is of that call */
    char name[TB_TEST_NAME_BYTES]; /**< UTF-8 on one line, like `why` */
    size_t line;                   /**< where the test file names it, from 1; 0: not found */
    char why[TB_SCRIPT_WHY_BYTES]; /**< not good, and not for differences; "" otherwise */
    json_t *differences; /**< array of {at, expected, decided}; the caller's; NULL: none */
    enum tb_script_end end;
    int64_t cpu_ns;
    size_t bytes; /**< of the script's state after it */
    uint32_t lookups;
};

/** Compile the schemas of what hooks are given and may decide, below `directory`/script; once a
 *  process.
 *  @return false with a sentence in `why` */
bool TB_NODISCARD tb_script_tests_open(const char *directory, char *why, size_t why_bytes);

/** Read a script and its tests. tb_script_tests_open must have been called.
 *  @param script_text, tests_text  the files' contents, borrowed until it is freed
 *  @param tests_name  what to call the test file in messages; static or as long-lived
 *  @return NULL with the reason in `why`
 *  Waits: no; runs the loop until the file is read. */
struct tb_script_suite *tb_script_suite_new(struct tb_loop *loop, struct tb_str script_text,
                                            struct tb_str tests_text, const char *tests_name,
                                            char *why, size_t why_bytes);
void tb_script_suite_free(struct tb_script_suite *suite);

size_t tb_script_suite_n(const struct tb_script_suite *suite);

/** Run the test at `place`, from 0; the loop runs until it is done. */
void tb_script_suite_run(struct tb_script_suite *suite, size_t place,
                         struct tb_script_verdict *out);

/** Whether the script has a hook that no test has called so far. */
bool tb_script_suite_leaves(const struct tb_script_suite *suite, enum tb_script_hook hook);

#endif
