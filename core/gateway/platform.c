/* Health tells whether this process works, readiness whether requests should be sent to it: a
 * gateway without books, or with a product that says it cannot serve, is well but not ready. */
#include "gateway/platform.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "gateway/problem_page.h"
#include "gateway/trace_ring.h"
#include "http/guard/guard_metrics.h"
#include "http/network.h"
#include "limit/limit.h"
#include "store/pool.h"

enum { TRACES_DEFAULT = 20, TRACES_MOST = 100 };

/* GET /healthz */
static tb_err health(struct tb_req *req)
{
    return tb_reply(req, 200, TB_STR("{\"status\":\"ok\"}"));
}

/* GET /readyz */
static tb_err readiness(struct tb_req *req)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(tb_exchange_of(req)->gateway);
    const char *product = NULL;
    if (!tb_store_ready(parts->store))
        return tb_fail(req, TB_E_STORE, "the books cannot be reached");
    tb_err ill = parts->health == NULL ? NULL : parts->health(parts->owner, &product);
    if (ill != NULL)
        return tb_fail(req, TB_E_UNHEALTHY, "%s: %s", product, ill->title);
    return tb_reply(req, 200, TB_STR("{\"status\":\"ready\"}"));
}

/* Who asks from one of the operator's own networks. To others these paths are not there. */
static bool is_operator(const struct tb_exchange *x)
{
    struct tb_config_list allowed = tb_gateway_parts(x->gateway)->config->metrics_allow;
    for (size_t i = 0; i < allowed.n; i++)
        if (tb_network_has(allowed.items[i], x->in.peer))
            return true;
    return false;
}

static void free_page(void *page)
{
    tb_arena_free(page);
}

/* The limiter counts for all processes at once, so it is written here and not in a row. */
static void write_limiter(struct tb_text *out, const struct tb_limiter *limiter)
{
    struct tb_limiter_stats stats = tb_limiter_stats(limiter);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } families[] = {
        {"tongbao_limit_buckets", "gauge", "Buckets for rate limits.", stats.buckets},
        {"tongbao_limit_buckets_used", "gauge", "Of them ever taken into use.", stats.used},
        {"tongbao_limit_passed_on_total", "counter", "Full buckets given to another app or window.",
         stats.passed_on},
        {"tongbao_limit_shared_total", "counter",
         "Checks that shared a bucket because none was free: there are too few.", stats.shared},
    };
    for (size_t i = 0; i < TB_COUNT(families); i++) {
        tb_metrics_write_head(out, families[i].name, families[i].type, families[i].help);
        tb_metrics_write_sample(out, families[i].name, TB_STR_NONE, families[i].value);
    }
}

/* GET /metrics: Prometheus text exposition 0.0.4 */
static tb_err metrics(struct tb_req *req)
{
    struct tb_exchange *x = tb_exchange_of(req);
    struct tb_text text;
    if (!is_operator(x))
        return tb_fail(req, TB_E_NO_ROUTE, "nothing is served at /metrics");
    struct tb_arena *page = tb_arena_new(TB_METRICS_PAGE_BYTES); /* ours is too small for it */
    if (!tb_arena_defer(x->run.arena, free_page, page))
        return TB_E_INTERNAL;
    tb_text_init(&text, page);
    tb_metrics_write(&text, tb_gateway_parts(x->gateway)->metrics);
    write_limiter(&text, tb_gateway_parts(x->gateway)->limiter);
    tb_guard_metrics_write(&text, tb_gateway_parts(x->gateway)->guard);
    return tb_exchange_reply(x, 200, TB_STR("text/plain; version=0.0.4"), tb_text_end(&text));
}

/* ---- decision traces ---- */

static void write_trace(struct tb_text *text, const struct tb_gateway_parts *parts,
                        const struct tb_trace *trace, bool whole)
{
    const char *operation = tb_metrics_operation_key(parts->metrics, trace->operation);
    tb_trace_write(text, trace, parts->stage_names, operation, whole);
}

/* The trace that the path names, in the words for whoever asks. */
static tb_err reply_trace(struct tb_req *req, bool whole)
{
    struct tb_exchange *x = tb_exchange_of(req);
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    struct tb_trace trace;
    struct tb_text text;
    bool found = tb_trace_find(parts->traces, tb_path(req, "trace_id"), &trace);
    if (!found || (!whole && !tb_str_eq(tb_partner(req), tb_str(trace.partner))))
        return tb_fail(req, TB_E_NOT_FOUND, "no trace of this id is kept");
    tb_text_init(&text, x->run.arena);
    write_trace(&text, parts, &trace, whole);
    return tb_reply(req, 200, tb_text_end(&text));
}

/* The newest traces that fit the query, of one partner or of all. */
static tb_err reply_traces(struct tb_req *req, struct tb_str partner, bool whole)
{
    struct tb_exchange *x = tb_exchange_of(req);
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_trace_query query = {.request_id = tb_query_param(req, "request_id"),
                                         .partner = partner};
    int64_t limit;
    if (!tb_text_to_int(tb_query_param(req, "limit"), &limit)) /* not sent: the stage checks it */
        limit = TRACES_DEFAULT;
    size_t most = (size_t)limit;
    struct tb_trace *traces = tb_arena_raw(x->run.arena, most * sizeof(*traces));
    struct tb_text text;
    if (traces == NULL)
        return TB_E_INTERNAL;
    size_t n = tb_trace_search(parts->traces, &query, traces, most);
    tb_text_init(&text, x->run.arena);
    tb_text_add(&text, TB_STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < n && i < most; i++) {
        if (i > 0)
            tb_text_add_char(&text, ',');
        write_trace(&text, parts, &traces[i], whole);
    }
    tb_text_add(&text, n > most ? TB_STR("],\"has_more\":true}") : TB_STR("],\"has_more\":false}"));
    return tb_reply(req, 200, tb_text_end(&text));
}

/* GET /traces/v1/traces/{trace_id} */
static tb_err get_trace(struct tb_req *req)
{
    return reply_trace(req, false);
}

/* GET /traces/v1/traces */
static tb_err list_traces(struct tb_req *req)
{
    return reply_traces(req, tb_partner(req), false);
}

/* GET /operator/traces/{trace_id} */
static tb_err get_whole_trace(struct tb_req *req)
{
    if (!is_operator(tb_exchange_of(req)))
        return tb_fail(req, TB_E_NO_ROUTE, "nothing is served here");
    return reply_trace(req, true);
}

/* GET /operator/traces */
static tb_err list_whole_traces(struct tb_req *req)
{
    if (!is_operator(tb_exchange_of(req)))
        return tb_fail(req, TB_E_NO_ROUTE, "nothing is served here");
    return reply_traces(req, tb_query_param(req, "partner"), true);
}

#define TRACE_QUERY                                                                                \
    {"request_id",  TB_Q_TEXT, TB_UUID_CHARS,                                                      \
     TB_UUID_CHARS, NULL,      "The X-Request-Id that the client sent."},                          \
    {                                                                                              \
        "limit", TB_Q_INT, 1, TRACES_MOST, NULL, "Most traces to answer with (20)."                \
    }

static const struct tb_query_param partner_query[] = {TRACE_QUERY, {.name = NULL}};
static const struct tb_query_param operator_query[] = {
    TRACE_QUERY,
    {"partner", TB_Q_ID, 0, 0, "ptr", "Only those of this partner."},
    {.name = NULL},
};

static const struct tb_route platform_routes[] = {
    {.method = "GET",
     .path = "/healthz",
     .level = TB_A1,
     .flags = TB_R_UNSCRIPTED,
     .handler = health,
     .summary = "Whether this process works."},
    {.method = "GET",
     .path = "/readyz",
     .level = TB_A1,
     .flags = TB_R_UNSCRIPTED,
     .handler = readiness,
     .summary = "Whether it can serve: the books are there and the products are well."},
    {.method = "GET",
     .path = "/metrics",
     .level = TB_A1,
     .flags = TB_R_UNSCRIPTED,
     .handler = metrics,
     .summary = "Metrics in Prometheus' text format."},
    {.method = "GET",
     .path = "/operator/traces/{trace_id}",
     .level = TB_A1,
     .flags = TB_R_UNSCRIPTED,
     .handler = get_whole_trace,
     .summary = "All that a decision trace says, for the operator."},
    {.method = "GET",
     .path = "/operator/traces",
     .level = TB_A1,
     .query = operator_query,
     .flags = TB_R_UNSCRIPTED,
     .handler = list_whole_traces,
     .summary = "The newest decision traces of everybody, for the operator."},
    {.method = "GET",
     .path = "/problems/{code}",
     .level = TB_A1,
     .query = tb_problem_page_query,
     .flags = TB_R_UNSCRIPTED,
     .handler = tb_problem_page,
     .summary = "What a problem means and what to do about it."},
};

const struct tb_plugin tb_platform_product = {
    TB_PLUGIN_HEAD,
    .name = "platform",
    .version = "1.0.0",
    .title = "Platform",
    TB_TABLE(routes, platform_routes),
};

static const struct tb_route trace_routes[] = {
    {.method = "GET",
     .path = "/traces/v1/traces/{trace_id}",
     .scope = "traces:read",
     .level = TB_A1,
     .flags = TB_R_UNSCRIPTED | TB_R_EVERY_APP,
     .handler = get_trace,
     .summary = "Which stage said what about one of your requests."},
    {.method = "GET",
     .path = "/traces/v1/traces",
     .scope = "traces:read",
     .level = TB_A1,
     .query = partner_query,
     .flags = TB_R_UNSCRIPTED | TB_R_EVERY_APP,
     .handler = list_traces,
     .summary = "Your newest requests, or those that were sent under one X-Request-Id."},
};

const struct tb_plugin tb_traces_product = {
    TB_PLUGIN_HEAD,
    .name = "traces",
    .version = "1.0.0",
    .title = "Decision traces",
    TB_TABLE(routes, trace_routes),
};
