/* Reads a command line against the table of commands and prints the help. */
#include "cli/command.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/print.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tb_option common[] = {
    {"config", "FILE", "configuration (else TB_CONFIG, else ./tongbao.yaml)"},
    {"json", NULL, "print one JSON document"},
    {"verbose", NULL, "log to standard error"},
    {"help", NULL, "print this help"},
    {.name = NULL},
};

/* ---- help ---- */

static void print_options(const struct tb_option *options)
{
    for (const struct tb_option *o = options; o->name != NULL; o++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value == NULL ? "" : " ",
                 o->value == NULL ? "" : o->value);
        printf("  %-24s %s\n", left, o->doc);
    }
}

static void print_command(const struct tb_command *c)
{
    printf("tongbao %s: %s\n\nUsage: tongbao %s [OPTIONS]%s%s\n", c->name, c->summary, c->name,
           c->arguments == NULL ? "" : " ", c->arguments == NULL ? "" : c->arguments);
    if (c->about != NULL)
        printf("\n%s\n", c->about);
    printf("\nOptions:\n");
    if (c->options != NULL)
        print_options(c->options);
    print_options(common);
    if (c->example != NULL)
        printf("\nExample:\n  %s\n", c->example);
}

static void print_overview(const struct tb_command *const *commands, size_t n, FILE *to)
{
    fprintf(to, "tongbao: an open banking API platform\n\n"
                "Usage: tongbao COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
    for (size_t i = 0; i < n; i++)
        fprintf(to, "  %-24s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to,
            "\n`tongbao help COMMAND` tells more.\n"
            "Exit codes: 0 done; 1 something is wrong or was refused; 2 the command line makes no "
            "sense; 3 something needed is not there.\n");
}

/* ---- finding a command ---- */

enum { NAME_MAX_BYTES = 48 };

/** Number of edits that turn `a` into `b`. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1], b_n = strlen(b);
    if (b_n > NAME_MAX_BYTES || strlen(a) > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t drop = row[j] + 1, add = row[j - 1] + 1;
            diagonal = row[j];
            size_t least = drop < add ? drop : add;
            row[j] = change < least ? change : least;
        }
    }
    return row[b_n];
}

/** How many of `words` the command's name takes: 0 when it is another command. */
static size_t takes(const struct tb_command *c, char *const *words, size_t words_n)
{
    char two[2 * NAME_MAX_BYTES];
    if (words_n >= 1 && strcmp(c->name, words[0]) == 0)
        return 1;
    if (words_n < 2)
        return 0;
    snprintf(two, sizeof(two), "%.46s %.46s", words[0], words[1]);
    return strcmp(c->name, two) == 0 ? 2 : 0;
}

static const struct tb_command *find_command(const struct tb_command *const *commands, size_t n,
                                             char *const *words, size_t words_n, size_t *out_taken)
{
    for (size_t i = 0; i < n; i++) {
        *out_taken = takes(commands[i], words, words_n);
        if (*out_taken > 0)
            return commands[i];
    }
    return NULL;
}

static int unknown(const struct tb_command *const *commands, size_t n, char *const *words,
                   size_t words_n)
{
    char asked[2 * NAME_MAX_BYTES];
    bool two = words_n > 1 && words[1][0] != '-';
    snprintf(asked, sizeof(asked), "%.46s%s%.46s", words[0], two ? " " : "", two ? words[1] : "");
    const struct tb_command *nearest = NULL;
    size_t best = 4; /* further than three edits is not a slip of the hand */
    bool group = false;
    for (size_t i = 0; i < n; i++) {
        size_t first = strlen(words[0]);
        group |= strncmp(commands[i]->name, words[0], first) == 0 &&
                 commands[i]->name[first] == ' ';
        size_t d = distance(asked, commands[i]->name),
               alone = distance(words[0], commands[i]->name);
        d = d < alone ? d : alone;
        if (d < best) {
            best = d;
            nearest = commands[i];
        }
    }
    tb_print_to(stderr, "tongbao: there is no command \"%s\"", asked);
    if (nearest != NULL)
        tb_print_to(stderr, "; did you mean \"%s\"?\n", nearest->name);
    else if (group)
        tb_print_to(stderr, "; `tongbao help %s` lists those that begin so\n", words[0]);
    else
        tb_print_to(stderr, "; `tongbao help` lists them\n");
    return TB_EXIT_USAGE;
}

static int help(const struct tb_command *const *commands, size_t n, char *const *words,
                size_t words_n)
{
    if (words_n == 0) {
        print_overview(commands, n, stdout);
        return TB_EXIT_OK;
    }
    size_t taken, first = strlen(words[0]);
    const struct tb_command *c = find_command(commands, n, words, words_n, &taken);
    if (c != NULL) {
        print_command(c);
        return TB_EXIT_OK;
    }
    bool group = false;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(commands[i]->name, words[0], first) != 0 || commands[i]->name[first] != ' ')
            continue;
        group = true;
        printf("  %-24s %s\n", commands[i]->name, commands[i]->summary);
    }
    return group ? TB_EXIT_OK : unknown(commands, n, words, words_n);
}

/* ---- reading options ---- */

static const struct tb_option *find_option(const struct tb_option *options, const char *name,
                                           size_t name_n)
{
    for (const struct tb_option *o = options; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == name_n && memcmp(o->name, name, name_n) == 0)
            return o;
    }
    return NULL;
}

static int usage(const struct tb_cli *cli, const char *what, const char *which)
{
    tb_print_to(stderr, "tongbao %s: %s%s; see `tongbao help %s`\n", cli->command->name, what,
                which, cli->command->name);
    return TB_EXIT_USAGE;
}

static void set_option(struct tb_cli *cli, const struct tb_option *o, bool is_common,
                       const char *value)
{
    if (!is_common)
        cli->values[o - cli->command->options] = value;
    else if (strcmp(o->name, "config") == 0)
        cli->config_path = value;
    else if (strcmp(o->name, "json") == 0)
        cli->json = true;
    else if (strcmp(o->name, "verbose") == 0)
        cli->verbose = true;
}

/** Read the words behind the command's name.
 *  @return TB_EXIT_OK, or the exit code after a message; *out_help: only the help is wanted */
static int read_words(struct tb_cli *cli, char **words, size_t words_n, bool *out_help)
{
    bool only_arguments = false;
    for (size_t i = 0; i < words_n; i++) {
        char *word = words[i];
        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            if (cli->arguments_n == TB_ARGUMENTS_MAX)
                return usage(cli, "too many arguments", "");
            cli->arguments[cli->arguments_n++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            *out_help = true;
            return TB_EXIT_OK;
        }
        const char *name = word[1] == '-' ? word + 2 : word + 1;
        size_t name_n = strcspn(name, "=");
        const struct tb_option *o = find_option(common, name, name_n);
        bool is_common = o != NULL;
        if (o == NULL)
            o = find_option(cli->command->options, name, name_n);
        if (o == NULL)
            return usage(cli, "unknown option ", word);
        const char *value = name[name_n] == '=' ? name + name_n + 1 : NULL;
        if (o->value == NULL && value != NULL)
            return usage(cli, "no value is taken by --", o->name);
        if (o->value != NULL && value == NULL) {
            if (i + 1 == words_n)
                return usage(cli, "a value is missing behind --", o->name);
            value = words[++i];
        }
        set_option(cli, o, is_common, value == NULL ? "" : value);
    }
    return TB_EXIT_OK;
}

/* ---- for commands ---- */

const char *tb_cli_option(const struct tb_cli *cli, const char *name)
{
    const struct tb_option *o = find_option(cli->command->options, name, strlen(name));
    TB_ASSERT(o != NULL);
    return cli->values[o - cli->command->options];
}

bool tb_cli_int(const struct tb_cli *cli, const char *name, int64_t min, int64_t max,
                int64_t fallback, int64_t *out)
{
    const char *text = tb_cli_option(cli, name);
    *out = fallback;
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        tb_print_to(stderr, "tongbao %s: --%s takes a whole number from %lld to %lld, not \"%s\"\n",
                    cli->command->name, name, (long long)min, (long long)max, text);
        return false;
    }
    *out = value;
    return true;
}

bool tb_cli_name(const struct tb_cli *cli, const char *what, const char *text, size_t chars_max)
{
    char room[TB_TEXT_WHY_BYTES];
    const char *why = tb_text_name_wrong(tb_str(text), chars_max, room);
    if (why != NULL)
        tb_cli_fail(cli, TB_EXIT_USAGE, "%s %s", what, why);
    return why == NULL;
}

int tb_cli_fail(const struct tb_cli *cli, enum tb_exit exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_print_to(stderr, "tongbao %s: ", cli->command->name);
    tb_print_args(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)exit_code;
}

/* Nothing that hides comes in: it would stand in names, in sentences, in the log. */
static bool check_word(const struct tb_cli *cli, const char *what, const char *text)
{
    char room[TB_TEXT_WHY_BYTES];
    const char *why = NULL;
    if (text != NULL && tb_text_visible(tb_str(text)) < strlen(text))
        why = tb_text_name_wrong(tb_str(text), SIZE_MAX, room);
    if (why != NULL)
        tb_cli_fail(cli, TB_EXIT_USAGE, "%s %s", what, why);
    return why == NULL;
}

static bool check_words(const struct tb_cli *cli)
{
    char what[2 * NAME_MAX_BYTES];
    for (size_t i = 0; i < cli->arguments_n; i++) {
        snprintf(what, sizeof(what), "argument %zu", i + 1);
        if (i + 1 != cli->command->raw && !check_word(cli, what, cli->arguments[i]))
            return false;
    }
    const struct tb_option *o = cli->command->options;
    for (size_t i = 0; o != NULL && o[i].name != NULL; i++) {
        snprintf(what, sizeof(what), "--%s", o[i].name);
        if (!check_word(cli, what, cli->values[i]))
            return false;
    }
    return check_word(cli, "--config", cli->config_path);
}

int tb_command_main(const struct tb_command *const *commands, size_t commands_n, int argc,
                    char **argv)
{
    char **words = argv + 1;
    size_t words_n = argc < 1 ? 0 : (size_t)argc - 1;
    if (words_n == 0) {
        print_overview(commands, commands_n, stderr);
        return TB_EXIT_USAGE;
    }
    if (strcmp(words[0], "help") == 0 || strcmp(words[0], "--help") == 0 ||
        strcmp(words[0], "-h") == 0)
        return help(commands, commands_n, words + 1, words_n - 1);

    size_t taken;
    const struct tb_command *c = find_command(commands, commands_n, words, words_n, &taken);
    if (c == NULL && words_n == 2 && strcmp(words[1], "--help") == 0)
        return help(commands, commands_n, words, 1);
    if (c == NULL)
        return unknown(commands, commands_n, words, words_n);
    struct tb_cli cli = {.command = c, .program = argv[0], .config_path = getenv("TB_CONFIG")};
    if (cli.config_path == NULL || cli.config_path[0] == '\0')
        cli.config_path = "./tongbao.yaml";
    bool help_wanted = false;
    int failed = read_words(&cli, words + taken, words_n - taken, &help_wanted);
    if (failed != 0)
        return failed;
    if (help_wanted) {
        print_command(c);
        return TB_EXIT_OK;
    }
    if (cli.arguments_n < c->arguments_min)
        return usage(&cli, "an argument is missing: ", c->arguments);
    if (cli.arguments_n > c->arguments_max)
        return usage(&cli, "one argument too many: ", cli.arguments[c->arguments_max]);
    if (!check_words(&cli))
        return TB_EXIT_USAGE;
    if (!cli.verbose)
        tb_log_start(TB_LOG_NOWHERE, TB_LOG_ERROR, NULL);
    int exit_code = c->run(&cli);
    if (fflush(stdout) != 0 && exit_code == TB_EXIT_OK)
        return tb_cli_fail(&cli, TB_EXIT_ENVIRONMENT, "standard output cannot be written");
    return exit_code;
}
