/* The table of commands: programs of core/cli and rows of the rooms, each where commands.def places
 * it. A row that no line places, or a line that places none, stops every command: the help would
 * not show what there is. */
#include "base/assert.h"
#include "cli/admin.h"

#include <string.h>
#include <tongbao/types.h>

enum { COMMANDS_MAX = 128 };

extern const struct tb_admin tb_store_admin[], tb_oauth_admin[], tb_consent_admin[],
    tb_directory_admin[], tb_hooks_admin[];

static const struct tb_admin *const ROOMS[] = {tb_store_admin, tb_oauth_admin, tb_consent_admin,
                                               tb_directory_admin, tb_hooks_admin};

#define TB_COMMAND(symbol) extern const struct tb_command tb_command_##symbol;
#define TB_ROWS(words)
#include "cli/commands.def"
#undef TB_COMMAND
#undef TB_ROWS

/* A line of commands.def. */
struct line {
    const struct tb_command *program;
    const char *rows; /* words their names begin with; NULL: it is the program */
};

static const struct line LINES[] = {
#define TB_COMMAND(symbol) {.program = &tb_command_##symbol},
#define TB_ROWS(words)     {.rows = (words)},
#include "cli/commands.def"
#undef TB_COMMAND
#undef TB_ROWS
};

struct table {
    const struct tb_command *commands[COMMANDS_MAX];
    size_t commands_n;
    struct tb_command rows[COMMANDS_MAX];
    size_t rows_n;
};

static struct tb_command command_of(const struct tb_admin *row)
{
    return (struct tb_command){
        .name = row->name,
        .summary = row->summary,
        .arguments = row->arguments,
        .arguments_min = row->arguments_min,
        .arguments_max = row->arguments_max,
        .options = row->options,
        .about = row->about,
        .example = row->example,
        .run = tb_admin_run,
        .row = row,
    };
}

static void place(struct table *table, const struct tb_command *command)
{
    TB_ASSERT(table->commands_n < COMMANDS_MAX);
    table->commands[table->commands_n++] = command;
}

static bool is_placed(const struct table *table, const struct tb_admin *row)
{
    for (size_t i = 0; i < table->rows_n; i++)
        if (table->rows[i].row == row)
            return true;
    return false;
}

static bool begins(const char *name, const char *words)
{
    size_t n = strlen(words);
    return strncmp(name, words, n) == 0 && (name[n] == '\0' || name[n] == ' ');
}

static void place_rows(struct table *table, const char *words)
{
    size_t before = table->rows_n;
    for (size_t room = 0; room < TB_COUNT(ROOMS); room++)
        for (const struct tb_admin *row = ROOMS[room]; row->name != NULL; row++) {
            if (!begins(row->name, words) || is_placed(table, row))
                continue;
            TB_ASSERT(table->rows_n < COMMANDS_MAX);
            table->rows[table->rows_n] = command_of(row);
            place(table, &table->rows[table->rows_n++]);
        }
    TB_ASSERT(table->rows_n > before);
}

static size_t rows_of_rooms(void)
{
    size_t n = 0;
    for (size_t room = 0; room < TB_COUNT(ROOMS); room++)
        for (const struct tb_admin *row = ROOMS[room]; row->name != NULL; row++)
            n++;
    return n;
}

const struct tb_command *const *tb_commands(size_t *out_n)
{
    static struct table table;
    bool made = table.commands_n > 0;
    for (size_t i = 0; i < TB_COUNT(LINES) && !made; i++) {
        if (LINES[i].program != NULL)
            place(&table, LINES[i].program);
        else
            place_rows(&table, LINES[i].rows);
    }
    TB_ASSERT(table.rows_n == rows_of_rooms());
    *out_n = table.commands_n;
    return table.commands;
}
