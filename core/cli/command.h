/* The command line: a table of commands, each with its options, its help and its function. What is
 * one statement on a room's tables is a row of that room (store/admin.h); what is a program is one
 * constant in a file of its own here and one line in commands.def:
 *
 *     static const struct tb_option options[] = {
 *         {.name = "accounts", .value = "N", .doc = "how many to make (default 100)"},
 *         {.name = NULL},
 *     };
 *     const struct tb_command tb_command_world_fill = {
 *         .name = "world fill",
 *         .summary = "make funded accounts",
 *         .options = options,
 *         .example = "tongbao world fill --accounts 1000",
 *         .run = fill,
 *     };
 *
 * Conventions of every command: `--help`; `--config FILE` (else TB_CONFIG, else ./tongbao.yaml);
 * `--json` makes standard output one JSON document; messages go to standard error, and with
 * `--verbose` the log, which is otherwise silent; exit codes below. Every argument is UTF-8 of
 * which all is visible (base/text.h), but for a document (`raw`). */
#ifndef TB_CLI_COMMAND_H
#define TB_CLI_COMMAND_H

#include "store/admin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tongbao/error.h>

/** What a command's exit code says. Part of the interface: scripts rely on it. */
enum tb_exit {
    TB_EXIT_OK = 0,
    TB_EXIT_FOUND = 1,       /**< it ran, and found something wrong or was refused */
    TB_EXIT_USAGE = 2,       /**< the command line makes no sense */
    TB_EXIT_ENVIRONMENT = 3, /**< something it needs is not there: file, database, service */
};

enum { TB_ARGUMENTS_MAX = 32, TB_OPTIONS_MAX = 16 };

struct tb_cli;

struct tb_command {
    const char *name;      /**< one or two words: "serve", "world fill" */
    const char *summary;   /**< one line */
    const char *arguments; /**< for the usage line: "NAME [DIRECTORY]"; NULL: none */
    size_t arguments_min, arguments_max;
    size_t raw; /**< the place of an argument that is a document, from 1; 0: none is */
    const struct tb_option *options; /**< besides the common ones; NULL: none */
    const char *about;               /**< paragraphs for the help; NULL: the summary is enough */
    const char *example;             /**< one or more lines that can be run as they are */
    int (*run)(struct tb_cli *cli);
    const struct tb_admin *row; /**< the statement it runs; NULL: it is a program */
};

/** A command line that has been understood. */
struct tb_cli {
    const struct tb_command *command;
    const char *program;     /**< argv[0] */
    const char *config_path; /**< never NULL; not checked */
    bool json;
    bool verbose; /**< the log goes to standard error; else there is none */
    const char *arguments[TB_ARGUMENTS_MAX];
    size_t arguments_n;
    const char *values[TB_OPTIONS_MAX]; /**< by place in the command's table; "" for a switch */
};

/** The value of an option, "" for a switch that was given, NULL when it was not. The name must be
 * one of the command's table. */
const char *tb_cli_option(const struct tb_cli *cli, const char *name);

/** A whole number given as an option, `fallback` when it was not.
 *  @return false, with a message on standard error, when it is no number in [min, max]; the command
 *          then returns TB_EXIT_USAGE */
bool TB_NODISCARD tb_cli_int(const struct tb_cli *cli, const char *name, int64_t min, int64_t max,
                             int64_t fallback, int64_t *out);

/** Whether a text that people will read is a name of at most `chars_max` characters.
 *  @param what  "NAME", "--note"
 *  @return false, with a message on standard error; the command then returns TB_EXIT_USAGE */
bool TB_NODISCARD tb_cli_name(const struct tb_cli *cli, const char *what, const char *text,
                              size_t chars_max);

/** The process id of the service that runs with this configuration; 0 after a message: none does.
 */
pid_t tb_command_service(const struct tb_cli *cli);

/** Say on standard error what went wrong and return `exit_code`, so that a command can say
 *  `return tb_cli_fail(cli, TB_EXIT_FOUND, …)`. */
int tb_cli_fail(const struct tb_cli *cli, enum tb_exit exit_code, const char *format, ...)
    TB_PRINTF(3, 4);

/** Every command there is, in the order the help shows them: the programs of commands.def, and
 *  between them the rows of the rooms. Made at the first call. */
const struct tb_command *const *tb_commands(size_t *out_n);

/** Find the command in `argv` and run it; prints help, or the nearest name to an unknown one.
 *  @return the exit code */
int tb_command_main(const struct tb_command *const *commands, size_t commands_n, int argc,
                    char **argv);

#endif
