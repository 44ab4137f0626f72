/* Commands that work on the books: configuration, products and store made ready, then one function
 * on a fiber.
 *
 *     static tb_err work(struct tb_req *req, struct tb_command_job *job) { … tb_query(req, …) … }
 *     return tb_command_job_run(cli, work, &mine);
 */
#ifndef TB_CLI_JOB_H
#define TB_CLI_JOB_H

#include "cli/command.h"
#include "worker/parts.h"

struct tb_command_job {
    struct tb_cli *cli;
    struct tb_config *config;
    struct tb_registry *registry;
    struct tb_store *store;
    void *mine;    /**< the command's own */
    int exit_code; /**< what the command returns when its function succeeds; TB_EXIT_OK */
};

/** Load the configuration; errors go to standard error.
 *  @return NULL when there were any */
struct tb_config *tb_command_config(const struct tb_cli *cli);

/** Do `work` with the books.
 *  @return the job's exit code, or TB_EXIT_ENVIRONMENT (configuration, books) or TB_EXIT_FOUND,
 * with the reason on standard error */
int tb_command_job_run(struct tb_cli *cli,
                       tb_err (*work)(struct tb_req *req, struct tb_command_job *job), void *mine);

enum { TB_OPERATOR_BYTES = 80 };

/** Who runs this command, "operator:lan", for the record of acts: the login behind sudo, else the
 *  user of the process. */
void tb_command_operator(char out[TB_OPERATOR_BYTES]);

/** Open the authorization server's room (core/oauth) for this command: what is derived from
 *  secret.file can be made and opened. It has no keys, no checker and no shared memory.
 *  @return NULL; TB_E_CONFLICT with a sentence (secret.file) */
tb_err TB_NODISCARD tb_command_oauth(struct tb_req *req, const struct tb_command_job *job);

#endif
