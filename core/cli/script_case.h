/* One test of a partner's test file: what the author wrote, with a payment's request for what was
 * left out. It is checked as strictly as the gateway's own words are, for a test that asks what no
 * request can be would pass and prove nothing. */
#ifndef TB_CLI_SCRIPT_CASE_H
#define TB_CLI_SCRIPT_CASE_H

#include "hooks/hooks.h"

/** What a test asks of which hook; lives as long as the test's JSON and the run. */
struct tb_script_case {
    enum tb_script_hook hook;
    int64_t now_ms;
    const json_t *request;
    const json_t *response; /**< NULL: a test of on_request */
    const json_t *expect;   /**< NULL: nothing must be decided */
    const json_t *tables;   /**< {table: {key: entry}}, or NULL */
    struct tb_str expect_error;
    uint64_t seed;
};

/** Compile the schemas of what hooks are given, below `directory`/script; once a process.
 *  @return false with a sentence in `why` */
bool TB_NODISCARD tb_script_cases_open(const char *directory, char *why, size_t why_bytes);

/** Understand a test.
 *  @param test  borrowed for as long as *out is used
 *  @param why   on refusal what is wrong, for its author
 *  Waits: no. Memory: the run's arena. */
bool TB_NODISCARD tb_script_case_read(struct tb_req *req, json_t *test, struct tb_script_case *out,
                                      char *why, size_t why_bytes);

#endif
