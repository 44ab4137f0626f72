/* Commands of operators as data: a statement, where its parameters come from, and what its answer
 * means. A list answers with rows of one JSON object each; an act is one of the functions of schema
 * oauth that record what they do, and answers with the new state.
 *
 *     static const struct tb_admin verbs[] = {
 *         {.command = "partner suspend", .kind = TB_ADMIN_ACT, .wanted = "suspended",
 *          .sql = "select directory.set_partner($1, 'suspended', $2, $3)",
 *          .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
 *     };
 *     static int run(struct tb_cli *cli) { return tb_admin_run(cli, verbs, TB_COUNT(verbs)); }
 */
#ifndef TB_CLI_ADMIN_H
#define TB_CLI_ADMIN_H

#include "base/text.h"
#include "cli/job.h"

enum tb_admin_kind {
    TB_ADMIN_LIST, /**< any number of objects */
    TB_ADMIN_SHOW, /**< one object; none: exit code 1 */
    TB_ADMIN_ACT,  /**< one text; null: there is nothing of that id, exit code 1 */
};

enum { TB_ADMIN_PARAMS_MAX = 12 };

/** Where a parameter of the statement comes from. */
struct tb_admin_from {
    enum {
        TB_FROM_NOWHERE_, /* ends the list */
        TB_FROM_ARGUMENT_,
        TB_FROM_OPTION_,
        TB_FROM_OPERATOR_,
        TB_FROM_CLOCK_,
        TB_FROM_FRESH_ID_,
    } source;
    size_t index;         /**< of an argument; one that was not given is null */
    const char *name;     /**< of an option, prefix of an id */
    const char *fallback; /**< of an option or argument; NULL: null */
    size_t chars_max;     /**< > 0: people read it (tb_text_name_wrong) */
};

#define TB_FROM_ARGUMENT(i)                                                                        \
    {                                                                                              \
        .source = TB_FROM_ARGUMENT_, .index = (i)                                                  \
    }
#define TB_FROM_ARGUMENT_OR(i, otherwise)                                                          \
    {                                                                                              \
        .source = TB_FROM_ARGUMENT_, .index = (i), .fallback = (otherwise)                         \
    }
#define TB_FROM_OPTION(option)                                                                     \
    {                                                                                              \
        .source = TB_FROM_OPTION_, .name = (option)                                                \
    }
#define TB_FROM_OPTION_OR(option, otherwise)                                                       \
    {                                                                                              \
        .source = TB_FROM_OPTION_, .name = (option), .fallback = (otherwise)                       \
    }
#define TB_FROM_NAME(i)                                                                            \
    {                                                                                              \
        .source = TB_FROM_ARGUMENT_, .index = (i), .chars_max = TB_NAME_CHARS_MAX                  \
    }
#define TB_FROM_NOTE(option, otherwise)                                                            \
    {                                                                                              \
        .source = TB_FROM_OPTION_, .name = (option), .fallback = (otherwise),                      \
        .chars_max = TB_NOTE_CHARS_MAX                                                             \
    }
#define TB_FROM_OPERATOR                                                                           \
    {                                                                                              \
        .source = TB_FROM_OPERATOR_                                                                \
    }
#define TB_FROM_CLOCK                                                                              \
    {                                                                                              \
        .source = TB_FROM_CLOCK_                                                                   \
    }
#define TB_FROM_FRESH_ID(prefix)                                                                   \
    {                                                                                              \
        .source = TB_FROM_FRESH_ID_, .name = (prefix)                                              \
    }

struct tb_admin {
    const char *command; /**< the name of the tb_command it does */
    enum tb_admin_kind kind;
    const char *sql;
    struct tb_admin_from from[TB_ADMIN_PARAMS_MAX];
    const char
        *wanted; /**< of an act: any other state than this is a refusal; NULL: all are good */
};

/** Do what `cli->command` names, and print it.
 *  @return the exit code */
int tb_admin_run(struct tb_cli *cli, const struct tb_admin *verbs, size_t verbs_n);

/** Print a list of objects: as one JSON array, or as a table whose columns are the members of the
 *  first. Takes over `list`. */
void tb_admin_print(const struct tb_cli *cli, json_t *list);

/** Print one object: as JSON, or a line for each member. Takes over `object`. */
void tb_admin_print_one(const struct tb_cli *cli, json_t *object);

#endif
