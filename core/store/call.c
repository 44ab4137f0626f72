/* One batched call: the object that goes to SQL and the answer that comes back. The object is text
 * from the start, with the client's body as it is: nothing here parses what a client sent. */
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "store/store_impl.h"
#include <libpq-fe.h>
#include <string.h>

/* Columns of tb.answer. */
enum { N, STATUS, CODE, DETAIL, POINTER, LOCATION, BODY, EXTRA, REPLAYED };

static void member(struct tb_text *text, struct tb_str name, struct tb_str value)
{
    tb_text_add(text, name);
    if (value.at == NULL)
        tb_text_add(text, TB_STR("null"));
    else
        tb_text_add_json(text, value);
}

static void path_member(struct tb_text *text, const struct tb_call_context *context)
{
    tb_text_add(text, TB_STR(",\"path\":{"));
    for (size_t i = 0; i < context->path_n; i++) {
        if (i > 0)
            tb_text_add_char(text, ',');
        tb_text_add_json(text, tb_str(context->path[i].name));
        tb_text_add_char(text, ':');
        tb_text_add_json(text, context->path[i].value);
    }
    tb_text_add_char(text, '}');
}

/* All but the body and the brace behind it. */
static struct tb_str call_head(struct tb_req *req, const struct tb_call_context *context)
{
    struct tb_run *run = tb_run_of(req);
    struct tb_text text;
    char id[TB_ID_ROOM], now[TB_TIME_CHARS + 1];
    size_t id_n = tb_id_make(id, "id", context->book, tb_loop_wall_ms(run->loop));
    tb_time_format(context->now_ms, now);
    tb_text_init(&text, run->arena);
    member(&text, TB_STR("\"id\":"), (struct tb_str){id, id_n});
    member(&text, TB_STR(",\"partner\":"), context->partner);
    member(&text, TB_STR(",\"app\":"), context->app);
    member(&text, TB_STR(",\"now\":"), (struct tb_str){now, TB_TIME_CHARS});
    member(&text, TB_STR(",\"route\":"), context->route);
    member(&text, TB_STR(",\"key\":"), context->key);
    member(&text, TB_STR(",\"fp\":"), context->fingerprint);
    path_member(&text, context);
    if (context->consent.at != NULL || context->key.at != NULL)
        member(&text, TB_STR(",\"request\":"), context->request);
    if (context->consent.at != NULL) {
        member(&text, TB_STR(",\"consent\":"), context->consent);
        tb_text_add(&text, TB_STR(",\"details\":"));
        tb_text_add(&text, context->details.at == NULL ? TB_STR("null") : context->details);
    }
    if (context->routed.at != NULL) {
        tb_text_add(&text, TB_STR(",\"routed\":"));
        tb_text_add(&text, context->routed);
    }
    tb_text_add(&text, TB_STR(",\"body\":"));
    return tb_text_end(&text);
}

struct tb_pending *tb_pending_new(struct tb_req *req, const struct tb_call_context *context)
{
    struct tb_str head = call_head(req, context);
    struct tb_str body = context->body.n == 0 ? TB_STR("null") : context->body;
    if (head.at == NULL)
        return NULL;
    struct tb_pending *call = tb_mem_try(sizeof(*call) + head.n + body.n + 1);
    if (call == NULL)
        return NULL;
    call->req = req;
    call->text_n = head.n + body.n + 1;
    memcpy(call->text, head.at, head.n);
    memcpy(call->text + head.n, body.at, body.n);
    call->text[call->text_n - 1] = '}';
    return call;
}

/* ---- the answer ---- */

static struct tb_str cell(struct tb_arena *arena, const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return TB_STR_NONE;
    size_t n = (size_t)PQgetlength(result, row, column);
    const char *text = tb_arena_text(arena, PQgetvalue(result, row, column), n);
    return text == NULL ? TB_STR_NONE : (struct tb_str){text, n};
}

static tb_err core_error(struct tb_str code)
{
#define TB_ERROR(name, ...) TB_E_##name,
    static const tb_err errors[] = {
#include <tongbao/errors.def>
    };
#undef TB_ERROR
    for (size_t i = 0; i < TB_COUNT(errors); i++)
        if (tb_str_eq(code, tb_str(errors[i]->code)))
            return errors[i];
    return NULL;
}

static tb_err refusal(const struct tb_store *store, struct tb_str code, int64_t status)
{
    tb_err (*by_code)(struct tb_str) = store->options.error_by_code;
    tb_err err = by_code != NULL ? by_code(code) : core_error(code);
    if (err != NULL && err->status == status)
        return err;
    tb_log_with(TB_LOG_ERROR, "unknown_refusal", TB_F_TEXT("refusal", code),
                TB_F_INT("status", status));
    return TB_E_INTERNAL;
}

void tb_pending_answer(struct tb_pending *call, const struct tb_store *store,
                       const struct pg_result *result, int row)
{
    struct tb_arena *arena = tb_run_of(call->req)->arena;
    int64_t status = 0;
    if (!tb_text_to_int(tb_str(PQgetvalue(result, row, STATUS)), &status))
        status = 0;
    call->answer = (struct tb_answer){
        .status = (int)status,
        .location = cell(arena, result, row, LOCATION),
        .replayed = PQgetvalue(result, row, REPLAYED)[0] == 't',
    };
    if (status >= 200 && status < 300) {
        call->answer.body = cell(arena, result, row, BODY);
    } else {
        call->err = refusal(store, tb_str(PQgetvalue(result, row, CODE)), status);
        call->detail = cell(arena, result, row, DETAIL);
        call->pointer = cell(arena, result, row, POINTER);
        call->extra = cell(arena, result, row, EXTRA);
    }
    /* It was done, but the answer cannot be shown: the key will show it. */
    if (tb_arena_overflowed(arena))
        call->err = TB_E_IN_DOUBT;
}

tb_err tb_pending_outcome(struct tb_req *req, const struct tb_pending *call,
                          struct tb_answer *out_answer)
{
    *out_answer = call->answer;
    if (call->err == NULL)
        return NULL;
    struct tb_problem *problem = &tb_run_of(req)->problem;
    *out_answer = (struct tb_answer){0};
    problem->link = call->answer.location;
    problem->extra = call->extra;
    const char *detail = call->detail.at == NULL ? call->err->title : call->detail.at;
    if (call->pointer.at != NULL)
        return tb_fail_at(req, call->err, call->pointer.at, "%s", detail);
    return call->detail.at == NULL ? call->err : tb_fail(req, call->err, "%s", detail);
}
