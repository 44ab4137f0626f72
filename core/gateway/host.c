/* Each service is a few lines: it finds the exchange around the request and asks the room that
 * knows. */
#include "gateway/host.h"
#include "base/id.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gateway/gateway.h"
#include "store/batch.h"
#include "store/query.h"

static struct tb_str partner(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? TB_STR("") : grant->partner;
}

static struct tb_str app(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? TB_STR("") : grant->app;
}

static struct tb_str subject(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? TB_STR_NONE : grant->subject;
}

static struct tb_str consent(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? TB_STR_NONE : grant->consent;
}

static struct tb_str details(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? TB_STR_NONE : grant->details;
}

static int32_t book(struct tb_req *req)
{
    const struct tb_grant *grant = tb_exchange_of(req)->grant;
    return grant == NULL ? 0 : grant->book;
}

static int64_t now(struct tb_req *req)
{
    struct tb_exchange *x = tb_exchange_of(req);
    struct tb_world_clock clock = {.offset_ms = x->world_offset_ms};
    return tb_world_now(&clock, tb_loop_wall_ms(x->run.loop));
}

static struct tb_str path(struct tb_req *req, const char *name)
{
    const struct tb_match *match = &tb_exchange_of(req)->match;
    for (size_t i = 0; i < match->params_n; i++)
        if (strcmp(match->params[i].name, name) == 0)
            return match->params[i].value;
    return TB_STR_NONE;
}

static struct tb_str query_param(struct tb_req *req, const char *name)
{
    const struct tb_exchange *x = tb_exchange_of(req);
    for (size_t i = 0; i < x->query_n; i++)
        if (tb_str_eq(x->query[i].name, tb_str(name)))
            return x->query[i].value;
    return TB_STR_NONE;
}

static struct tb_str header(struct tb_req *req, const char *name)
{
    return tb_http_header(&tb_exchange_of(req)->in, tb_str(name));
}

static struct tb_str body(struct tb_req *req)
{
    return tb_exchange_of(req)->body;
}

static json_t *json(struct tb_req *req)
{
    return tb_exchange_of(req)->json;
}

static struct tb_str id(struct tb_req *req, const char *prefix)
{
    char *out = tb_run_alloc(req, TB_ID_ROOM);
    if (out == NULL)
        return TB_STR_NONE;
    int64_t wall_ms = tb_loop_wall_ms(tb_run_of(req)->loop);
    return (struct tb_str){out, tb_id_make(out, prefix, book(req), wall_ms)};
}

static struct tb_str config(struct tb_req *req, const char *key)
{
    struct tb_exchange *x = tb_exchange_of(req);
    return tb_config_plugin(tb_gateway_parts(x->gateway)->config, x->match.operation->plugin->name,
                            key);
}

static tb_err TB_SUSPENDS query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                                const struct tb_param *params, size_t params_n)
{
    struct tb_store *store = tb_gateway_parts(tb_exchange_of(req)->gateway)->store;
    return tb_store_query(req, store, out_rows, sql, params, params_n);
}

static struct tb_str routed_text(const struct tb_exchange *x)
{
    struct tb_text text;
    if (x->routed == NULL)
        return TB_STR_NONE;
    tb_text_init(&text, x->run.arena);
    tb_json_canonical(&text, x->routed);
    return tb_text_end(&text);
}

static tb_err TB_SUSPENDS call(struct tb_req *req, struct tb_answer *out_answer,
                               const struct tb_call *what)
{
    struct tb_exchange *x = tb_exchange_of(req);
    struct tb_call_context context = {
        .book = book(req),
        .partner = partner(req),
        .app = app(req),
        .now_ms = now(req),
        .route = {x->match.operation->key, x->match.operation->key_n},
        .key = x->key,
        .fingerprint = tb_str(x->key.at == NULL ? NULL : x->fingerprint),
        .path = x->match.params,
        .path_n = x->match.params_n,
        .body = x->body,
        .consent = consent(req),
        .details = details(req),
        .request = tb_str(x->request_id),
        .routed = routed_text(x),
    };
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    TB_TRY(tb_store_call(req, parts->store, out_answer, what, &context));
    if (out_answer->replayed)
        tb_count(parts->metrics, TB_M_REPLAYED, 1);
    return NULL;
}

/* Visible ASCII and blanks: nothing that could end a field and begin another. */
static bool fit_for_header(struct tb_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    return true;
}

static tb_err set_header(struct tb_req *req, const char *name, struct tb_str value)
{
    struct tb_exchange *x = tb_exchange_of(req);
    if (!fit_for_header(tb_str(name)) || !fit_for_header(value))
        return tb_fail(req, TB_E_INTERNAL, "the answer has a header field that is not text");
    char *name_copy = tb_arena_text(x->run.arena, name, strlen(name));
    char *value_copy = tb_arena_text(x->run.arena, value.at, value.n);
    if (name_copy == NULL || value_copy == NULL ||
        !tb_exchange_header(x, tb_str(name_copy), (struct tb_str){value_copy, value.n}))
        return tb_fail(req, TB_E_INTERNAL, "the answer has too many header fields");
    return NULL;
}

static tb_err reply(struct tb_req *req, int status, struct tb_str text)
{
    return tb_exchange_reply(tb_exchange_of(req), status, TB_STR("application/json"), text);
}

static tb_err reply_as(struct tb_req *req, int status, const char *media_type, struct tb_str text)
{
    return tb_exchange_reply(tb_exchange_of(req), status, tb_str(media_type), text);
}

static struct tb_str routed(struct tb_req *req, const char *name)
{
    return tb_json_str(tb_exchange_of(req)->routed, name);
}

const struct tb_host *tb_plugin_host(void)
{
    static const struct tb_host host = {
        .size = sizeof(struct tb_host),
        .alloc = tb_run_alloc,
        .refuse = tb_run_fail,
        .log = tb_run_log,
        .now = now,
        .partner = partner,
        .app = app,
        .book = book,
        .path = path,
        .query_param = query_param,
        .header = header,
        .body = body,
        .json = json,
        .id = id,
        .config = config,
        .query = query,
        .call = call,
        .page = tb_exchange_page,
        .set_header = set_header,
        .reply = reply,
        .reply_page = tb_exchange_reply_page,
        .reply_as = reply_as,
        .subject = subject,
        .consent = consent,
        .routed = routed,
        .details = details,
    };
    return &host;
}
