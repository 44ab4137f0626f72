/* Commands of operators as data: what the command line calls it, a statement, where the statement's
 * parameters come from, and what its answer means. Each room that has tables exports an array of
 * them, ended by a row without name, and the command line (cli/commands.c) walks the arrays. A list
 * answers with rows of one JSON object each; an act is a function that records what it does
 * (tb.record_audit) and answers with the new state.
 *
 *     const struct tb_admin tb_directory_admin[] = {
 *         {.name = "partner suspend",
 *          .summary = "stop everything a partner does, within a second, until it is resumed",
 *          .arguments = "PARTNER", .arguments_min = 1, .arguments_max = 1,
 *          .kind = TB_ADMIN_ACT,
 *          .sql = "select directory.set_state('partner', $1, 'suspended', $2, $3)",
 *          .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
 *          .wanted = "suspended"},
 *         {.name = NULL},
 *     };
 */
#ifndef TB_STORE_ADMIN_H
#define TB_STORE_ADMIN_H

#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

/** An option of a command; a table of them ends with a row without name. */
struct tb_option {
    const char *name;  /**< without the dashes; NULL ends the table */
    const char *value; /**< what to call its value in the help; NULL: a switch */
    const char *doc;
};

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
    int64_t number_max;   /**< > 0: an option that is a whole number from 1 to this */
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
#define TB_FROM_NUMBER(option, most)                                                               \
    {                                                                                              \
        .source = TB_FROM_OPTION_, .name = (option), .number_max = (most)                          \
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

/** A command. The members of its help are as in struct tb_command (cli/command.h). */
struct tb_admin {
    const char *name; /**< two words, "partner list"; NULL ends the array */
    const char *summary;
    const char *arguments;
    size_t arguments_min, arguments_max;
    const struct tb_option *options;
    const char *about;
    const char *example;
    enum tb_admin_kind kind;
    const char *sql;
    struct tb_admin_from from[TB_ADMIN_PARAMS_MAX];
    /** Of an act: any other state than this is a refusal; NULL: all are good. */
    const char *wanted;
};

#endif
