/* Single statements of a fiber. The operation does not live on the fiber's stack, because the fiber
 * may stop waiting (deadline, client gone) while the answer is still on its way. */
#include "store/query.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "store/store_impl.h"
#include <libpq-fe.h>
#include <string.h>

struct tb_read {
    struct tb_op op;
    struct tb_store *store;
    struct tb_wake wake;
    bool abandoned;
    struct tb_read *next;
};

/* ---- parameters and rows ---- */

static const char *encode(struct tb_arena *arena, const struct tb_param *param, bool *full)
{
    char digits[TB_TIME_CHARS + 1];
    const char *text = NULL;
    switch (param->kind) {
    case TB_PARAM_NULL:
        return NULL;
    case TB_PARAM_TEXT:
        if (param->text.at == NULL)
            return NULL;
        TB_ASSERT(memchr(param->text.at, '\0', param->text.n) == NULL);
        text = tb_arena_text(arena, param->text.at, param->text.n);
        break;
    case TB_PARAM_INT:
        text = tb_arena_text(arena, digits, tb_text_int(digits, param->integer));
        break;
    case TB_PARAM_BOOL:
        return param->integer != 0 ? "t" : "f";
    case TB_PARAM_TIME:
        tb_time_format(param->integer, digits);
        text = tb_arena_text(arena, digits, TB_TIME_CHARS);
        break;
    }
    *full |= text == NULL;
    return text;
}

const char *const *tb_params_encode(struct tb_arena *arena, const struct tb_param *params,
                                    size_t params_n)
{
    TB_ASSERT(params_n <= TB_QUERY_PARAMS_MAX);
    bool full = false;
    const char **texts = tb_arena_raw(arena, (params_n + 1) * sizeof(*texts));
    if (texts == NULL)
        return NULL;
    for (size_t i = 0; i < params_n; i++)
        texts[i] = encode(arena, &params[i], &full);
    return full ? NULL : texts;
}

tb_err tb_rows_copy(struct tb_req *req, const struct pg_result *result, struct tb_rows **out_rows)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    size_t n = (size_t)PQntuples(result), columns = (size_t)PQnfields(result), bytes = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < columns; j++)
            bytes += (size_t)PQgetlength(result, (int)i, (int)j) + 1;
    size_t cells_bytes = n * columns * sizeof(struct tb_str);
    if (bytes + cells_bytes > tb_arena_cap(arena) / 4 * 3)
        return tb_fail(req, TB_E_INTERNAL, "the answer is too large");
    struct tb_rows *rows = tb_arena_alloc(arena, sizeof(*rows));
    struct tb_str *cell = tb_arena_raw(arena, cells_bytes + 1);
    char *at = tb_arena_raw(arena, bytes + 1);
    if (rows == NULL || cell == NULL || at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the request needs too much memory");
    *rows = (struct tb_rows){.n = n, .columns = columns, .cells = cell};
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < columns; j++, cell++) {
            *cell = TB_STR_NONE;
            if (PQgetisnull(result, (int)i, (int)j))
                continue;
            cell->n = (size_t)PQgetlength(result, (int)i, (int)j);
            cell->at = memcpy(at, PQgetvalue(result, (int)i, (int)j), cell->n + 1);
            at += cell->n + 1;
        }
    *out_rows = rows;
    return NULL;
}

/* ---- failures ---- */

tb_err tb_store_unavailable(struct tb_req *req, tb_err err)
{
    tb_run_of(req)->problem.retry_after_s = 1;
    return err;
}

void tb_op_note(struct tb_req *req, const struct tb_op *op)
{
    struct tb_run *run = tb_run_of(req);
    run->problem.sqlstate = tb_arena_format(run->arena, "%s", op->sqlstate);
    size_t n = strlen(op->message); /* the room it came in may have cut a character */
    while (n > 0 && !tb_utf8_valid((struct tb_str){op->message, n}))
        n--;
    run->problem.cause = (struct tb_str){tb_arena_text(run->arena, op->message, n), n};
}

static tb_err raised(struct tb_req *req, const struct tb_op *op)
{
    const char *state = op->sqlstate;
    if (strcmp(state, "57014") == 0) /* statement_timeout */
        return TB_E_DEADLINE;
    if (strncmp(state, "53", 2) == 0 || strncmp(state, "57P", 3) == 0) /* the server is unwell */
        return tb_store_unavailable(req, TB_E_STORE);
    tb_log_with(TB_LOG_ERROR, "statement_failed", TB_F_CSTR("run", tb_run_of(req)->label),
                TB_F_CSTR("sqlstate", state), TB_F_CSTR("message", op->message),
                TB_F_TEXT("statement", ((struct tb_str){op->sql, strnlen(op->sql, 120)})));
    tb_op_note(req, op);
    return TB_E_INTERNAL;
}

tb_err tb_op_failure(struct tb_req *req, const struct tb_op *op)
{
    switch (op->end) {
    case TB_OP_RAISED:
        return raised(req, op);
    case TB_OP_LATE:
        return tb_store_unavailable(req, TB_E_OVERLOAD);
    default:
        return tb_store_unavailable(req, TB_E_STORE);
    }
}

/* ---- the read ---- */

static struct tb_read *take_read(struct tb_store *store)
{
    struct tb_read *read = store->idle_reads;
    if (read == NULL)
        read = tb_mem(sizeof(*read));
    else
        store->idle_reads = read->next;
    *read = (struct tb_read){.store = store};
    return read;
}

static void release(struct tb_read *read)
{
    tb_op_clear(&read->op);
    read->next = read->store->idle_reads;
    read->store->idle_reads = read;
}

void tb_reads_free(struct tb_store *store)
{
    for (struct tb_read *read = store->idle_reads, *next; read != NULL; read = next) {
        next = read->next;
        tb_mem_free(read);
    }
}

static void read_ended(struct tb_op *op)
{
    struct tb_read *read = TB_OWNER(op, struct tb_read, op);
    if (!read->abandoned) {
        tb_fiber_wake(read->wake);
        return;
    }
    read->store->stats.abandoned++;
    release(read);
}

/* Submit and wait. False: the fiber stopped waiting, `read` is no longer its own. */
static bool TB_SUSPENDS do_read(struct tb_req *req, struct tb_read *read, tb_err *out_err)
{
    read->wake = tb_fiber_token();
    *out_err = tb_pool_submit(read->store, &read->op);
    if (*out_err != NULL) {
        tb_store_unavailable(req, *out_err);
        return true;
    }
    *out_err = tb_wait(req);
    if (*out_err == NULL)
        return true;
    if (read->op.end != TB_OP_RUNNING || tb_pool_withdraw(read->store, &read->op))
        return true;
    read->abandoned = true;
    return false;
}

tb_err TB_SUSPENDS tb_store_query(struct tb_req *req, struct tb_store *store,
                                  struct tb_rows **out_rows, const char *sql,
                                  const struct tb_param *params, size_t params_n)
{
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(!run->in_transaction);
    const char *const *texts = tb_params_encode(run->arena, params, params_n);
    if (texts == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the request needs too much memory");
    struct tb_read *read = take_read(store);
    read->op = (struct tb_op){.statement = tb_statement_of(&store->statements, sql),
                              .sql = sql,
                              .params = texts,
                              .params_n = (int)params_n,
                              .ended = read_ended};
    tb_err err;
    /* A misplaced statement has had no effect, and its session is being replaced. */
    for (int tries = 0; tries < 2; tries++) {
        if (!do_read(req, read, &err))
            return err;
        if (err != NULL || !tb_op_misplaced(&read->op))
            break;
    }
    if (err == NULL && read->op.end != TB_OP_DONE)
        err = tb_op_failure(req, &read->op);
    else if (err == NULL)
        err = tb_rows_copy(req, read->op.result, out_rows);
    release(read);
    return err;
}
