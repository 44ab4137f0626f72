/* Registered origins are few beside requests, so each worker remembers all of them, as lines of app
 * and origin, and reads them again when they are a second old and somebody asks: a stranger who
 * sends preflights causes one query a second. */
#include "gateway/cors.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "gateway/platform.h"
#include "store/query.h"

enum { FRESH_MS = 1000, LINES_MAX = 10000, LINE_BYTES = 320 };

static struct {
    char *lines; /* "\napp origin\n..."; NULL: not read yet */
    size_t lines_n;
    int64_t read_ms, asked_ms; /* loop clock; asked: somebody is reading since then */
} known;

/* ---- the origins ---- */

static const char SQL_ORIGINS[] =
    "select count(*), coalesce(string_agg(x.line, E'\\n'), '') from (select c.app || ' ' || o.origin "
    "as line from oauth.client c join bank.app a on a.id = c.app join bank.partner p on p.id = "
    "a.partner cross join lateral jsonb_array_elements_text(c.metadata -> 'web_origins') o(origin) "
    "where c.metadata ? 'web_origins' and a.state = 'active' and p.state = 'active' limit 10000) x";

static void take_lines(struct tb_str lines, int64_t n)
{
    tb_mem_free(known.lines);
    known.lines_n = lines.n + 2;
    known.lines = tb_mem(known.lines_n);
    known.lines[0] = '\n';
    memcpy(known.lines + 1, lines.at, lines.n);
    known.lines[lines.n + 1] = '\n';
    if (n == LINES_MAX)
        tb_log_with(TB_LOG_ERROR, "origins_cut", TB_F_INT("most", LINES_MAX));
}

/* While the store is away, what is remembered counts. */
static void TB_SUSPENDS refresh(struct tb_req *req)
{
    int64_t now_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    struct tb_rows *rows;
    if (known.lines != NULL &&
        (now_ms - known.read_ms < FRESH_MS || now_ms - known.asked_ms < FRESH_MS))
        return;
    known.asked_ms = now_ms;
    tb_err err = tb_store_query(req, tb_gateway_parts(tb_exchange_of(req)->gateway)->store, &rows,
                                SQL_ORIGINS, NULL, 0);
    tb_run_of(req)->problem = (struct tb_problem){0};
    if (err != NULL)
        return;
    take_lines(tb_cell(rows, 0, 1), tb_cell_int(rows, 0, 0));
    known.read_ms = now_ms;
}

/* Whether there is a line of `app`, or of any where that is absent, and `origin`. */
static bool TB_SUSPENDS is_registered(struct tb_req *req, struct tb_str app, struct tb_str origin)
{
    char line[LINE_BYTES];
    if (app.n + origin.n + 3 > LINE_BYTES || memchr(origin.at, ' ', origin.n) != NULL)
        return false;
    refresh(req);
    int n = snprintf(line, sizeof(line), "%s%.*s %.*s\n", app.at == NULL ? "" : "\n", (int)app.n,
                     app.at == NULL ? "" : app.at, (int)origin.n, origin.at);
    return known.lines != NULL && memmem(known.lines, known.lines_n, line, (size_t)n) != NULL;
}

/* ---- preflights ---- */

static tb_err TB_SUSPENDS answer_preflight(struct tb_req *req)
{
    struct tb_exchange *x = tb_exchange_of(req);
    if ((x->match.flags & TB_R_ANY_ORIGIN) == 0) {
        if (!is_registered(req, TB_STR_NONE, x->in.origin))
            return tb_fail(req, TB_E_METHOD, "this path takes %s", x->match.allow);
        x->run.origin = x->in.origin;
    }
    tb_exchange_header(x, TB_STR("access-control-allow-methods"), tb_str(x->match.allow));
    tb_exchange_header(x, TB_STR("access-control-allow-headers"),
                       TB_STR("authorization, content-type, dpop, idempotency-key, if-match, "
                              "if-none-match, prefer, traceparent, tracestate, "
                              "x-fapi-interaction-id, x-idempotency-key, x-request-id"));
    tb_exchange_header(x, TB_STR("access-control-max-age"), TB_STR("600"));
    return tb_exchange_reply(x, 204, TB_STR_NONE, TB_STR_NONE);
}

static const struct tb_route preflight_route = {
    .method = "OPTIONS",
    .path = "*",
    .level = TB_A1,
    .flags = TB_R_RAW,
    .handler = answer_preflight,
    .summary = "What browsers ask before a request of another origin.",
};

/* Not of the router: it has the paths of all others. It is counted with what has no operation. */
static const struct tb_operation preflight_operation = {
    .plugin = &tb_platform_product,
    .route = &preflight_route,
    .key = "OPTIONS *",
    .key_n = sizeof("OPTIONS *") - 1,
    .index = UINT16_MAX,
    .metric = TB_METRICS_OPERATIONS - 1,
};

bool tb_cors_preflight(struct tb_exchange *x)
{
    bool shared = (x->match.flags & (TB_R_ANY_ORIGIN | TB_R_APP_ORIGINS)) != 0 &&
                  (x->match.flags & TB_R_HTML) == 0;
    if (!shared || x->in.origin.at == NULL || !tb_str_eq(x->in.method, TB_STR("OPTIONS")) ||
        tb_http_header(&x->in, TB_STR("access-control-request-method")).at == NULL)
        return false;
    x->match.operation = &preflight_operation;
    x->match.flags |= TB_R_RAW;
    return true;
}

/* ---- answers ---- */

void TB_SUSPENDS tb_cors_judge(struct tb_exchange *x)
{
    if (x->in.origin.at != NULL && is_registered(&x->run.req, x->grant->app, x->in.origin))
        x->run.origin = x->in.origin;
}

void tb_cors_headers(struct tb_exchange *x, uint32_t flags)
{
    if ((flags & TB_R_ANY_ORIGIN) != 0) {
        tb_exchange_header(x, TB_STR("access-control-allow-origin"), TB_STR("*"));
        return;
    }
    if (x->in.origin.at == NULL || (flags & TB_R_HTML) != 0)
        return;
    tb_exchange_header(x, TB_STR("vary"), TB_STR("Origin"));
    if (x->run.origin.at == NULL)
        return;
    tb_exchange_header(x, TB_STR("access-control-allow-origin"), x->run.origin);
    tb_exchange_header(x, TB_STR("access-control-expose-headers"),
                       TB_STR("dpop-nonce, etag, idempotency-replayed, link, location, ratelimit, "
                              "ratelimit-policy, retry-after, traceparent, www-authenticate, "
                              "x-fapi-interaction-id, x-request-id"));
}
