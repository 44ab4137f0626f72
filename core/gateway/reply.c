/* From an error to the answer a partner reads: the problem document and the headers that go with
 * its status. */
#include "gateway/cors.h"
#include "gateway/gateway.h"
#include "http/problem.h"
#include "oauth/errors.h"
#include "oauth/page/page.h"
#include "oauth/token/dpop.h"

/* What an answer carries when there is no memory left to write a better one. */
static const char LAST_RESORT[] =
    "{\"type\":\"about:blank\",\"title\":\"Something failed inside.\",\"status\":500,"
    "\"code\":\"internal\",\"retryable\":false}";

/* What is registered as a problem type keeps its registered name. */
static struct tb_str registered_type(tb_err err)
{
    return tb_is(err, TB_E_RATE_LIMITED)
               ? TB_STR("https://iana.org/assignments/http-problem-types#quota-exceeded")
               : TB_STR_NONE;
}

/* Whether the handler has set this header itself. */
static bool has_header(const struct tb_exchange *x, struct tb_str name)
{
    for (size_t i = x->own_headers_n; i < x->reply_headers_n; i++)
        if (tb_str_eq(x->reply_headers[i].name, name))
            return true;
    return false;
}

/* RFC 9449 §8.2, §9: a client that makes proofs learns of the next nonce in time. */
static void add_nonce(struct tb_exchange *x)
{
    char *nonce = tb_dpop_asks() ? tb_arena_raw(x->run.arena, TB_DPOP_NONCE_ROOM) : NULL;
    if (nonce == NULL)
        return;
    tb_dpop_nonce(tb_loop_wall_ms(x->run.loop) / 1000, nonce);
    tb_exchange_header(x, TB_STR("dpop-nonce"), tb_str(nonce));
}

static void set_reply(struct tb_exchange *x, int status, struct tb_str type, struct tb_str body,
                      uint32_t flags)
{
    x->status = status;
    x->reply = body;
    if (body.at != NULL)
        tb_exchange_header(x, TB_STR("content-type"), type);
    if (!has_header(x, TB_STR("cache-control")))
        tb_exchange_header(x, TB_STR("cache-control"), TB_STR("no-store"));
    if (x->dpop_scheme || (flags & TB_R_OAUTH) != 0)
        add_nonce(x);
    if ((flags & TB_R_OAUTH) != 0 && tb_page_is_strict(&x->run.req))
        tb_exchange_header(x, TB_STR("strict-transport-security"), TB_STR("max-age=31536000"));
    tb_cors_headers(x, flags);
}

tb_err tb_exchange_reply(struct tb_exchange *x, int status, struct tb_str type, struct tb_str body)
{
    if (body.at == NULL && status != 204 && status != 303)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the answer needs too much memory");
    set_reply(x, status, type, body, x->match.flags);
    return NULL;
}

static void add_retry_after(struct tb_exchange *x, tb_err err)
{
    int64_t *seconds = &x->run.problem.retry_after_s;
    bool wanted = tb_is(err, TB_E_KEY_IN_PROGRESS) || err->status == 503 || err->status == 504;
    if (*seconds == 0 && wanted)
        *seconds = 1;
    if (*seconds > 0)
        tb_exchange_header(x, TB_STR("retry-after"),
                           tb_arena_format(x->run.arena, "%lld", (long long)*seconds));
}

/* The shape that failures have at this path, also when no operation was reached: a method it does
 * not take, a stage before the router, no fiber. */
static uint32_t shape_of(const struct tb_exchange *x)
{
    const struct tb_router *router = tb_gateway_parts(x->gateway)->router;
    struct tb_match match;
    if (x->match.operation != NULL)
        return x->match.flags;
    return tb_router_find(router, x->in.method, x->in.path, &match) ? match.flags : 0;
}

/* In the language the client prefers of those there are; clients that name none are programs, whose
 * authors read English. */
static enum tb_lang lang_of(const struct tb_exchange *x)
{
    enum tb_lang lang = TB_LANG_EN;
    return tb_lang_choose(tb_http_header(&x->in, TB_STR("accept-language")), &lang) ? lang
                                                                                    : TB_LANG_EN;
}

/* What is not found is what the path names, where it names one thing and nobody said more. */
static void name_place(struct tb_exchange *x, tb_err err)
{
    struct tb_problem *problem = &x->run.problem;
    if (!tb_is(err, TB_E_NOT_FOUND) || problem->places_n > 0 || x->match.operation == NULL ||
        x->match.params_n != 1)
        return;
    problem->places[0] = (struct tb_place){
        .parameter = x->match.params[0].name, .code = err->code, .detail = problem->detail.at};
    problem->places_n = problem->places_total = 1;
}

static struct tb_str problem_document(struct tb_exchange *x, tb_err err)
{
    struct tb_text text;
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_error_words *words = parts->error_words(err->code, lang_of(x));
    tb_exchange_header(x, TB_STR("content-language"),
                       tb_lang_tag(words == NULL ? TB_LANG_EN : TB_LANG_ZH));
    tb_exchange_header(x, TB_STR("vary"), TB_STR("accept-language"));
    struct tb_problem_of of = {
        .err = err,
        .words = words,
        .owner = x->grant != NULL && x->grant->env == TB_ENV_SANDBOX,
        .problem = &x->run.problem,
        .request_id = {x->request_id, TB_UUID_CHARS},
        .trace = {x->trace_id, TB_UUID_CHARS},
        .type = registered_type(err),
        .base = tb_str(parts->config->problem_base),
    };
    name_place(x, err);
    tb_text_init(&text, x->run.arena);
    tb_problem_write(&text, &of);
    return tb_text_end(&text);
}

static struct tb_str page(struct tb_exchange *x, tb_err err)
{
    size_t n;
    const struct tb_header *headers = tb_page_headers(&x->run.req, &n);
    for (size_t i = 0; i < n; i++)
        tb_exchange_header(x, headers[i].name, headers[i].value);
    return tb_page_error(&x->run.req, err, (struct tb_str){x->trace_id, TB_UUID_CHARS});
}

void tb_exchange_refuse(struct tb_exchange *x, tb_err err)
{
    struct tb_str type = TB_PROBLEM_TYPE, body;
    uint32_t flags = shape_of(x);
    if (x->reply_headers_n > x->own_headers_n)
        x->reply_headers_n = x->own_headers_n; /* the refused answer's are not this one's */
    add_retry_after(x, err);
    tb_exchange_challenge(x, err);
    if (x->run.problem.link.at != NULL)
        tb_exchange_header(x, TB_STR("link"),
                           tb_arena_format(x->run.arena, "<%.*s>; rel=\"related\"",
                                           (int)x->run.problem.link.n, x->run.problem.link.at));
    if ((flags & TB_R_OAUTH) != 0) {
        type = TB_STR("application/json");
        body = tb_oauth_error_body(x->run.arena, err, x->run.problem.detail);
    } else if ((flags & TB_R_HTML) != 0) {
        type = TB_STR(TB_PAGE_TYPE);
        body = page(x, err);
    } else {
        body = problem_document(x, err);
    }
    int status = err->status;
    if (body.at == NULL) {
        body = TB_STR(LAST_RESORT);
        type = TB_PROBLEM_TYPE;
        status = 500;
    }
    set_reply(x, status, type, body, flags);
}
