/* The command line is understood, or refused with a hint. Standard output and error go to files
 * that the tests read. */
#include "../unit.h"

#include "cli/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tongbao/types.h>

static struct tb_cli seen;
static int64_t number;

static int run(struct tb_cli *cli)
{
    seen = *cli;
    if (!tb_cli_int(cli, "accounts", 1, 1000, 100, &number))
        return TB_EXIT_USAGE;
    return TB_EXIT_OK;
}

static int run_plain(struct tb_cli *cli)
{
    seen = *cli;
    return tb_cli_fail(cli, TB_EXIT_FOUND, "%d wrong", 3);
}

static const struct tb_option fill_options[] = {
    {.name = "accounts", .value = "N", .doc = "how many"},
    {.name = "quick", .doc = "do not wait"},
    {.name = NULL},
};
static const struct tb_command fill = {.name = "world fill",
                                       .summary = "make funded accounts",
                                       .arguments = "[WORLD]",
                                       .arguments_max = 1,
                                       .options = fill_options,
                                       .example = "tongbao world fill --accounts 5",
                                       .run = run};
static const struct tb_command audit = {
    .name = "audit", .summary = "prove the books", .run = run_plain};
static const struct tb_command *const commands[] = {&fill, &audit};

static char out[8192], err[8192];

static void read_back(FILE *from, char *into, size_t room)
{
    rewind(from);
    size_t n = fread(into, 1, room - 1, from);
    into[n] = '\0';
    fclose(from);
}

/** Run a command line, words separated by blanks, and catch what it prints. */
static int call(const char *line)
{
    static char words[256];
    char *argv[32], *save = NULL;
    int argc = 0;
    snprintf(words, sizeof(words), "tongbao %s", line);
    for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    memset(&seen, 0, sizeof(seen));
    FILE *to_out = tmpfile(), *to_err = tmpfile();
    assert_true(to_out != NULL && to_err != NULL);
    fflush(NULL);
    int old_out = dup(STDOUT_FILENO), old_err = dup(STDERR_FILENO);
    dup2(fileno(to_out), STDOUT_FILENO);
    dup2(fileno(to_err), STDERR_FILENO);
    int exit_code = tb_command_main(commands, 2, argc, argv);
    fflush(NULL);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    close(old_out);
    close(old_err);
    read_back(to_out, out, sizeof(out));
    read_back(to_err, err, sizeof(err));
    return exit_code;
}

static void runs_a_command_of_two_words_with_its_options(void **state)
{
    (void)state;
    assert_int_equal(call("world fill --accounts 7 --quick --json --config /x.yaml wld_1"), 0);
    assert_int_equal(number, 7);
    assert_string_equal(tb_cli_option(&seen, "quick"), "");
    assert_true(seen.json);
    assert_string_equal(seen.config_path, "/x.yaml");
    assert_int_equal(seen.arguments_n, 1);
    assert_string_equal(seen.arguments[0], "wld_1");
}

static void takes_values_behind_an_equals_sign_and_words_behind_two_dashes(void **state)
{
    (void)state;
    assert_int_equal(call("world fill --accounts=8 -- --quick"), 0);
    assert_int_equal(number, 8);
    assert_null(tb_cli_option(&seen, "quick"));
    assert_string_equal(seen.arguments[0], "--quick");
}

static void finds_the_configuration_by_option_then_environment_then_here(void **state)
{
    (void)state;
    unsetenv("TB_CONFIG");
    call("world fill");
    assert_string_equal(seen.config_path, "./tongbao.yaml");
    setenv("TB_CONFIG", "/from/env.yaml", 1);
    call("world fill");
    assert_string_equal(seen.config_path, "/from/env.yaml");
    call("world fill --config /from/option.yaml");
    assert_string_equal(seen.config_path, "/from/option.yaml");
    unsetenv("TB_CONFIG");
}

static void refuses_what_makes_no_sense_with_a_hint(void **state)
{
    (void)state;
    static const struct {
        const char *line, *hint;
    } cases[] = {
        {"", "Usage: tongbao COMMAND"},
        {"adit", "did you mean \"audit\"?"},
        {"world fil", "did you mean \"world fill\"?"},
        {"world conquer", "`tongbao help world` lists"},
        {"zzzzzzzz", "`tongbao help` lists"},
        {"audit --fast", "unknown option --fast"},
        {"audit now", "one argument too many: now"},
        {"world fill --accounts", "a value is missing behind --accounts"},
        {"world fill --quick=1", "no value is taken by --quick"},
        {"world fill --accounts 0", "whole number from 1 to 1000, not \"0\""},
        {"world fill --accounts 7x", "not \"7x\""},
        {"world fill --accounts 99999999999999999999", "whole number"},
        {"world fill a b", "one argument too many: b"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_int_equal(call(cases[i].line), TB_EXIT_USAGE);
        if (strstr(err, cases[i].hint) == NULL)
            fail_msg("\"%s\" should say \"%s\" but said: %s", cases[i].line, cases[i].hint, err);
    }
}

static void helps(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"help", "prove the books"},
        {"--help", "Exit codes: 0 done"},
        {"help world fill", "--accounts N"},
        {"world fill --help", "tongbao world fill --accounts 5"},
        {"world fill --accounts 3 -h", "[WORLD]"},
        {"help world", "make funded accounts"},
        {"world --help", "make funded accounts"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_int_equal(call(cases[i].line), TB_EXIT_OK);
        if (strstr(out, cases[i].part) == NULL)
            fail_msg("\"%s\" should print \"%s\" but printed: %s", cases[i].line, cases[i].part,
                     out);
    }
}

static void a_failing_command_says_its_name_and_keeps_its_exit_code(void **state)
{
    (void)state;
    assert_int_equal(call("audit"), TB_EXIT_FOUND);
    assert_string_equal(err, "tongbao audit: 3 wrong\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(runs_a_command_of_two_words_with_its_options),
    cmocka_unit_test(takes_values_behind_an_equals_sign_and_words_behind_two_dashes),
    cmocka_unit_test(finds_the_configuration_by_option_then_environment_then_here),
    cmocka_unit_test(refuses_what_makes_no_sense_with_a_hint),
    cmocka_unit_test(helps),
    cmocka_unit_test(a_failing_command_says_its_name_and_keeps_its_exit_code),
};
TEST_GROUP(tests, NULL, NULL);
