/* The table of commands: what the rooms' rows say of themselves holds together, so that none fails
 * only when an operator calls it. */
#include "../unit.h"

#include "cli/command.h"
#include <stdio.h>
#include <string.h>

static bool has_option(const struct tb_admin *row, const char *name)
{
    for (const struct tb_option *o = row->options; o != NULL && o->name != NULL; o++)
        if (strcmp(o->name, name) == 0)
            return true;
    return false;
}

/* Say of which command a claim is false. */
static void check(bool good, const struct tb_command *command, const char *claim)
{
    if (!good)
        print_error("%s: %s\n", command->name, claim);
    assert_true(good);
}

static void each_name_stands_once(void **state)
{
    size_t n;
    const struct tb_command *const *commands = tb_commands(&n);
    (void)state;
    assert_true(n > 60);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            check(strcmp(commands[i]->name, commands[j]->name) != 0, commands[i], "stands twice");
}

static void the_table_is_the_same_when_it_is_asked_for_again(void **state)
{
    size_t n, again_n;
    const struct tb_command *const *commands = tb_commands(&n);
    (void)state;
    assert_ptr_equal(tb_commands(&again_n), commands);
    assert_int_equal(n, again_n);
}

/* The numbers of the statement's parameters, $1 and on. */
static size_t params_of(const char *sql)
{
    size_t most = 0;
    for (const char *at = strchr(sql, '$'); at != NULL; at = strchr(at + 1, '$')) {
        size_t number = 0;
        for (const char *digit = at + 1; *digit >= '0' && *digit <= '9'; digit++)
            number = number * 10 + (size_t)(*digit - '0');
        most = number > most ? number : most;
    }
    return most;
}

static void check_row(const struct tb_command *command, const struct tb_admin *row)
{
    bool who = false, when = false;
    size_t n = 0;
    for (; n < TB_ADMIN_PARAMS_MAX && row->from[n].source != TB_FROM_NOWHERE_; n++) {
        const struct tb_admin_from *from = &row->from[n];
        who |= from->source == TB_FROM_OPERATOR_;
        when |= from->source == TB_FROM_CLOCK_;
        if (from->source == TB_FROM_OPTION_)
            check(has_option(row, from->name), command, "reads an option it does not have");
        if (from->source == TB_FROM_ARGUMENT_)
            check(from->index < row->arguments_max, command, "reads an argument it does not take");
    }
    check(n == params_of(row->sql), command, "has other parameters than its statement");
    if (row->kind == TB_ADMIN_ACT)
        check(who && when, command, "acts without saying who and when");
    if (row->kind == TB_ADMIN_SHOW)
        check(row->arguments_min > 0, command, "shows nothing in particular");
}

static void a_row_reads_what_its_command_takes(void **state)
{
    size_t n, rows_n = 0;
    const struct tb_command *const *commands = tb_commands(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        check(commands[i]->summary != NULL && commands[i]->run != NULL, commands[i], "is half");
        if (commands[i]->row == NULL)
            continue;
        check_row(commands[i], commands[i]->row);
        rows_n++;
    }
    assert_true(rows_n > 20);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_name_stands_once),
    cmocka_unit_test(the_table_is_the_same_when_it_is_asked_for_again),
    cmocka_unit_test(a_row_reads_what_its_command_takes),
};
TEST_GROUP(tests, NULL, NULL);
