/* From an error to the answer a partner reads: the problem document and the headers that go with
 * its status. */
#include "gateway/gateway.h"
#include "http/problem.h"

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

static void set_reply(struct tb_exchange *x, int status, struct tb_str type, struct tb_str body)
{
    x->status = status;
    x->reply = body;
    if (body.at != NULL)
        tb_exchange_header(x, TB_STR("content-type"), type);
    tb_exchange_header(x, TB_STR("cache-control"), TB_STR("no-store"));
}

tb_err tb_exchange_reply(struct tb_exchange *x, int status, struct tb_str type, struct tb_str body)
{
    if (body.at == NULL && status != 204 && status != 303)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the answer needs too much memory");
    set_reply(x, status, type, body);
    return NULL;
}

static void add_challenge(struct tb_exchange *x, tb_err err)
{
    if (tb_is(err, TB_E_TOKEN_MISSING))
        tb_exchange_header(x, TB_STR("www-authenticate"), TB_STR("Bearer"));
    else if (err->status == 401)
        tb_exchange_header(x, TB_STR("www-authenticate"), TB_STR("Bearer error=\"invalid_token\""));
    else if (tb_is(err, TB_E_SCOPE_MISSING))
        tb_exchange_header(x, TB_STR("www-authenticate"),
                           tb_arena_format(x->run.arena,
                                           "Bearer error=\"insufficient_scope\", scope=\"%s\"",
                                           x->match.operation->route->scope));
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

void tb_exchange_refuse(struct tb_exchange *x, tb_err err)
{
    struct tb_text text;
    if (x->reply_headers_n > x->own_headers_n)
        x->reply_headers_n = x->own_headers_n; /* the refused answer's are not this one's */
    add_retry_after(x, err);
    add_challenge(x, err);
    if (x->run.problem.link.at != NULL)
        tb_exchange_header(x, TB_STR("link"),
                           tb_arena_format(x->run.arena, "<%.*s>; rel=\"related\"",
                                           (int)x->run.problem.link.n, x->run.problem.link.at));
    if (x->run.problem.replayed)
        tb_exchange_header(x, TB_STR("idempotency-replayed"), TB_STR("true"));
    struct tb_str id = {x->request_id, sizeof(x->request_id) - 1};
    struct tb_problem_of of = {
        .err = err,
        .problem = &x->run.problem,
        .request_id = id,
        .trace = id,
        .type = registered_type(err),
        .base = tb_str(tb_gateway_parts(x->gateway)->config->problem_base),
    };
    tb_text_init(&text, x->run.arena);
    tb_problem_write(&text, &of);
    struct tb_str body = tb_text_end(&text);
    if (body.at == NULL)
        body = (struct tb_str){LAST_RESORT, sizeof(LAST_RESORT) - 1};
    int status = body.at == LAST_RESORT ? 500 : err->status;
    set_reply(x, status, TB_PROBLEM_TYPE, body);
}
