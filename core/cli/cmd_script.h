/* Options common to the commands about partners' scripts: whose script, in which book. */
#ifndef TB_CLI_CMD_SCRIPT_H
#define TB_CLI_CMD_SCRIPT_H

#include "cli/admin.h"

/** Where a partner's script is. */
struct tb_script_place {
    const char *partner;
    int32_t book;
    char id[40]; /**< of the script; "" when there is none yet */
};

/** Options that say it; every such command has them. */
#define TB_SCRIPT_PLACE_OPTIONS                                                                    \
    {"partner", "PARTNER", "whose script"},                                                        \
    {                                                                                              \
        "world", "WORLD", "in which world, where the partner has apps in several"                  \
    }

/** Whether --partner was given; says so on standard error when it was not. The command then returns
 *  TB_EXIT_USAGE. */
bool TB_NODISCARD tb_script_place_given(const struct tb_cli *cli);

/** Find the place that the options name.
 *  @return NULL; TB_E_NOT_FOUND (the partner has no app there), TB_E_CONFLICT (several worlds);
 *          errors of tb_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_place_find(struct tb_req *req, const struct tb_cli *cli,
                                                     struct tb_script_place *out);

/** There is no script at the place. */
tb_err TB_NODISCARD tb_script_none(struct tb_req *req, const struct tb_script_place *place);

/** One act on a partner's script, answered by a tb.answer: under the partner's lock, in one
 *  transaction. */
struct tb_script_act {
    const struct tb_script_place *place;
    const char *sql; /**< answers with status, detail and body of the tb.answer */
    const struct tb_param *params;
    size_t params_n;
    json_t *made; /**< what it answered; NULL when it was refused, or answered with nothing */
    bool refused; /**< with the reason in `why` */
    char why[256];
};

/** Do it.
 *  @return NULL, also when it was refused; errors of tb_tx_run. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_act_run(struct tb_req *req, struct tb_store *store,
                                                  struct tb_script_act *act);

#endif
