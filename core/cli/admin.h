/* What runs a row of a room (store/admin.h), and how objects are printed. */
#ifndef TB_CLI_ADMIN_H
#define TB_CLI_ADMIN_H

#include "cli/job.h"

/** Do the row of `cli->command`, and print its answer.
 *  @return the exit code */
int tb_admin_run(struct tb_cli *cli);

/** Print a list of objects: as one JSON array, or as a table whose columns are the members of the
 *  first. Takes over `list`. */
void tb_admin_print(const struct tb_cli *cli, json_t *list);

/** Print one object: as JSON, or a line for each member. Takes over `object`. */
void tb_admin_print_one(const struct tb_cli *cli, json_t *object);

#endif
