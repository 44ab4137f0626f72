/* Running the rows of rooms. An act runs in a transaction, so that what it does and its record are
 * there together or not at all. */
#include "cli/admin.h"
#include "base/assert.h"
#include "base/id.h"
#include "base/time.h"
#include "cli/print.h"
#include "runtime/run.h"
#include "store/tx.h"
#include <stdio.h>

enum {
    COLUMNS_MAX = 16,
    PRINT_BYTES = 64 * 1024 * 1024,
    LIST_BYTES = 64 * 1024 * 1024,
    LIST_ROWS = 10000, /* as the statements of lists say */
    BANKS_BOOK = 1,
};

/* ---- printing ---- */

static struct tb_str text_of(struct tb_arena *arena, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return TB_STR("");
    if (json_is_string(value))
        return (struct tb_str){json_string_value(value), json_string_length(value)};
    size_t n = json_dumpb(value, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT);
    char *out = tb_arena_alloc(arena, n + 1);
    if (out == NULL)
        return TB_STR("…");
    json_dumpb(value, out, n, JSON_ENCODE_ANY | JSON_COMPACT);
    return (struct tb_str){out, n};
}

/* A member's value as it stands in a table: one line. */
static const char *cell_of(struct tb_arena *arena, const json_t *value)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add_visible(&text, text_of(arena, value), false);
    struct tb_str cell = tb_text_end(&text);
    return cell.at == NULL ? "…" : cell.at;
}

static size_t columns_of(const json_t *list, const char *names[COLUMNS_MAX])
{
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(list, 0), name, value)
    {
        if (n < COLUMNS_MAX)
            names[n++] = name;
    }
    return n;
}

static void print_table(const json_t *list)
{
    struct tb_arena *arena = tb_arena_new(PRINT_BYTES);
    const char *names[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX], columns_n = columns_of(list, names);
    for (size_t c = 0; c < columns_n; c++) {
        widths[c] = strlen(names[c]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            size_t n = strlen(cell_of(arena, json_object_get(json_array_get(list, i), names[c])));
            widths[c] = n > widths[c] ? n : widths[c];
        }
    }
    for (size_t c = 0; c < columns_n; c++)
        tb_print("%-*s%s", c + 1 < columns_n ? (int)widths[c] : 0, names[c],
                 c + 1 < columns_n ? "  " : "\n");
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t c = 0; c < columns_n; c++)
            tb_print("%-*s%s", c + 1 < columns_n ? (int)widths[c] : 0,
                     cell_of(arena, json_object_get(json_array_get(list, i), names[c])),
                     c + 1 < columns_n ? "  " : "\n");
    tb_arena_free(arena);
}

void tb_admin_print(const struct tb_cli *cli, json_t *list)
{
    if (cli->json) {
        tb_print_json(list, JSON_INDENT(2));
    } else if (json_array_size(list) == 0) {
        fputs("none\n", stderr);
    } else {
        print_table(list);
    }
    json_decref(list);
}

/* Lines of a text (a script's source) stand below the name and further in, so that none looks like
 * another member. */
static void print_member(struct tb_arena *arena, const char *name, const json_t *value)
{
    struct tb_str text = text_of(arena, value);
    if (memchr(text.at, '\n', text.n) == NULL) {
        tb_print("%s: %s\n", name, cell_of(arena, value));
        return;
    }
    tb_print("%s:\n", name);
    while (text.n > 0) {
        const char *end = memchr(text.at, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.at);
        tb_print("  %.*s\n", (int)n, text.at);
        n += end != NULL;
        text = (struct tb_str){text.at + n, text.n - n};
    }
}

void tb_admin_print_one(const struct tb_cli *cli, json_t *object)
{
    struct tb_arena *arena = tb_arena_new(PRINT_BYTES);
    const char *name;
    json_t *value;
    if (cli->json) {
        tb_print_json(object, JSON_INDENT(2));
    } else {
        json_object_foreach(object, name, value)
        {
            print_member(arena, name, value);
        }
    }
    tb_arena_free(arena);
    json_decref(object);
}

/* ---- doing ---- */

struct work {
    const struct tb_admin *row;
    struct tb_param params[TB_ADMIN_PARAMS_MAX];
    size_t params_n;
    char operator_name[TB_OPERATOR_BYTES];
    char id[TB_ID_ROOM]; /* a fresh one; "" when the row makes none */
    json_t *list;
    char state[64]; /* what an act answered; "" for null */
};

static struct tb_param text_or_null(const char *text)
{
    return text == NULL ? TB_NULL : TB_TEXT(tb_str(text));
}

static struct tb_param param_of(const struct tb_cli *cli, const struct tb_admin_from *from,
                                struct work *work)
{
    const char *text = NULL;
    switch (from->source) {
    case TB_FROM_ARGUMENT_:
        text = from->index < cli->arguments_n ? cli->arguments[from->index] : NULL;
        return text_or_null(text == NULL ? from->fallback : text);
    case TB_FROM_OPTION_:
        text = tb_cli_option(cli, from->name);
        return text_or_null(text == NULL ? from->fallback : text);
    case TB_FROM_OPERATOR_:
        tb_command_operator(work->operator_name);
        return text_or_null(work->operator_name);
    case TB_FROM_CLOCK_:
        return TB_TIME(tb_wall_ms());
    case TB_FROM_FRESH_ID_:
        tb_id_make(work->id, from->name, BANKS_BOOK, tb_wall_ms());
        return text_or_null(work->id);
    case TB_FROM_NOWHERE_:
        break;
    }
    return TB_NULL;
}

static tb_err TB_SUSPENDS act(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct work *work = arg;
    struct tb_rows *rows;
    TB_TRY(tb_tx_query(tx, &rows, work->row->sql, work->params, work->params_n));
    struct tb_str state = rows->n == 0 ? TB_STR_NONE : tb_cell(rows, 0, 0);
    (void)req;
    snprintf(work->state, sizeof(work->state), "%.*s", (int)state.n,
             state.at == NULL ? "" : state.at);
    return NULL;
}

static tb_err TB_SUSPENDS perform(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_rows *rows;
    if (work->row->kind == TB_ADMIN_ACT)
        return tb_tx_run(req, job->store, act, work);
    struct tb_arena *list = tb_arena_new(LIST_BYTES), *own = tb_run_borrow(req, list);
    tb_err err = tb_query_params(req, &rows, work->row->sql, work->params, work->params_n);
    for (size_t i = 0; err == NULL && i < rows->n; i++) {
        struct tb_str text = tb_cell(rows, i, 0);
        json_array_append_new(work->list, json_loadb(text.at, text.n, 0, NULL));
    }
    (void)tb_run_borrow(req, own);
    tb_run_of(req)->problem = (struct tb_problem){0}; /* its words are in the other arena */
    tb_arena_free(list);
    return err;
}

/* Named by the command's first word. */
static int no_such(const struct tb_cli *cli, const char *id)
{
    const char *name = cli->command->name;
    return tb_cli_fail(cli, TB_EXIT_FOUND, "there is no such %.*s: %s", (int)strcspn(name, " "),
                       name, id);
}

/* What an act has come to, in words or as an object. */
static int print_result(struct tb_cli *cli, const struct work *work)
{
    const char *id = work->id[0] != '\0'     ? work->id
                     : cli->arguments_n == 0 ? ""
                                             : cli->arguments[0];
    if (work->state[0] == '\0')
        return no_such(cli, id);
    if (work->row->wanted != NULL && strcmp(work->state, work->row->wanted) != 0)
        return tb_cli_fail(cli, TB_EXIT_FOUND, "%s is %s", id, work->state);
    if (cli->json)
        tb_admin_print_one(cli, json_pack("{s:s, s:s}", "id", id, "state", work->state));
    else
        tb_print("%s %s\n", id, work->state);
    return TB_EXIT_OK;
}

static int finish(struct tb_cli *cli, struct work *work)
{
    if (work->row->kind == TB_ADMIN_ACT)
        return print_result(cli, work);
    if (work->row->kind == TB_ADMIN_LIST) {
        tb_admin_print(cli, json_incref(work->list));
        if (json_array_size(work->list) == LIST_ROWS)
            tb_print_to(stderr, "these are the first %d; there may be more\n", LIST_ROWS);
        return TB_EXIT_OK;
    }
    if (json_array_size(work->list) == 0)
        return no_such(cli, cli->arguments[0]);
    tb_admin_print_one(cli, json_incref(json_array_get(work->list, 0)));
    return TB_EXIT_OK;
}

/* A text that people will read must be a name or a note, and a number one of its range; the
 * database takes numbers as texts. */
static bool check_text(const struct tb_cli *cli, const struct tb_admin_from *from)
{
    bool option = from->source == TB_FROM_OPTION_;
    const char *text = option                           ? tb_cli_option(cli, from->name)
                       : from->index < cli->arguments_n ? cli->arguments[from->index]
                                                        : NULL;
    const char *what = option ? from->name : cli->command->arguments;
    int64_t number;
    if (from->number_max > 0)
        return tb_cli_int(cli, from->name, 1, from->number_max, 1, &number);
    return from->chars_max == 0 || text == NULL || tb_cli_name(cli, what, text, from->chars_max);
}

int tb_admin_run(struct tb_cli *cli)
{
    const struct tb_admin *row = cli->command->row;
    struct work work = {.row = row};
    TB_ASSERT(row != NULL);
    for (size_t i = 0; i < TB_ADMIN_PARAMS_MAX && row->from[i].source != TB_FROM_NOWHERE_; i++)
        if (!check_text(cli, &row->from[i]))
            return TB_EXIT_USAGE;
    for (size_t i = 0; i < TB_ADMIN_PARAMS_MAX && row->from[i].source != TB_FROM_NOWHERE_; i++)
        work.params[work.params_n++] = param_of(cli, &row->from[i], &work);
    work.list = json_array();
    int exit_code = tb_command_job_run(cli, perform, &work);
    if (exit_code == TB_EXIT_OK)
        exit_code = finish(cli, &work);
    json_decref(work.list);
    return exit_code;
}
