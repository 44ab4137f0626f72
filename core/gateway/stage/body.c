/* Stage "body": JSON of an acceptable size, coding and media type. Handlers of routes with TB_R_RAW
 * read forms and tokens by themselves, so theirs is held to its size alone. */
#include "base/json.h"
#include "base/media.h"
#include "gateway/gateway.h"

enum {
    NUMBER_SHOWN = 32, /* bytes */
    SHOWN = 40,        /* bytes of a client's word in our sentence */
};

static tb_err check_type(struct tb_exchange *x)
{
    static const char JSON_TYPE[] = "application/json";
    struct tb_str type = x->in.content_type;
    size_t n = sizeof(JSON_TYPE) - 1;
    if (type.n >= n && strncasecmp(type.at, JSON_TYPE, n) == 0 &&
        (type.n == n || type.at[n] == ';' || type.at[n] == ' ' || type.at[n] == '\t'))
        return NULL;
    return tb_fail_at(&x->run.req, TB_E_MEDIA_TYPE,
                      "content-type:", "the body must be application/json");
}

/* RFC 9110 §15.5.16: the answer says which codings would do. What is coded has a size of its own,
 * and nothing here unpacks what a client has packed. */
static tb_err check_coding(struct tb_exchange *x)
{
    struct tb_str coding = x->in.content_encoding;
    if (coding.at == NULL || x->in.body.n == 0)
        return NULL;
    tb_exchange_header(x, TB_STR("accept-encoding"), TB_STR("identity"));
    return tb_fail_at(&x->run.req, TB_E_CONTENT_CODING,
                      "content-encoding:", "the body has the content coding %.*s",
                      coding.n < SHOWN ? (int)coding.n : SHOWN, coding.at);
}

static tb_err check_charset(struct tb_exchange *x)
{
    struct tb_str charset;
    if (tb_media_charset(x->in.content_type, &charset) || x->in.body.n == 0)
        return NULL;
    return tb_fail_at(&x->run.req, TB_E_MEDIA_TYPE,
                      "content-type:", "the body has the charset %.*s; it must be UTF-8",
                      charset.n < SHOWN ? (int)charset.n : SHOWN, charset.at);
}

static tb_err check_size(struct tb_exchange *x)
{
    const struct tb_route *route = x->match.operation->route;
    size_t cap = route->body_bytes > 0
                     ? route->body_bytes
                     : (size_t)tb_gateway_parts(x->gateway)->config->limits_body_bytes;
    if (x->in.body.n <= cap)
        return NULL;
    return tb_fail(&x->run.req, TB_E_TOO_LARGE, "the body has %zu bytes; this operation takes %zu",
                   x->in.body.n, cap);
}

/* A number as it was written, as far as it is shown. */
static int number_at(struct tb_str body, size_t offset)
{
    size_t n = 0;
    while (n < NUMBER_SHOWN && offset + n < body.n &&
           strchr("+-.0123456789eE", body.at[offset + n]) != NULL && body.at[offset + n] != '\0')
        n++;
    return (int)n;
}

static bool is_amount(const char *pointer)
{
    static const char name[] = "/amount";
    size_t n = strlen(pointer), name_n = sizeof(name) - 1;
    return n >= name_n && strcmp(pointer + n - name_n, name) == 0;
}

/* What is wrong with a body that is no JSON of ours. An amount beyond all integers is one beyond
 * the allowed, and is refused as such. */
static tb_err refuse_json(struct tb_exchange *x, tb_err err, const struct tb_json_error *where)
{
    struct tb_str body = x->in.body;
    if (where->beyond && is_amount(where->pointer))
        err = TB_E_AMOUNT_RANGE;
    if (where->beyond || tb_is(err, TB_E_BAD_NUMBER))
        return tb_fail_at(&x->run.req, err, where->pointer, "%.*s: %s, at line %u, column %u",
                          number_at(body, where->offset), body.at + where->offset, where->reason,
                          where->line, where->column);
    return tb_fail_at(&x->run.req, err, where->pointer, "%s at line %u, column %u", where->reason,
                      where->line, where->column);
}

tb_err tb_stage_body(struct tb_exchange *x)
{
    bool takes_body = x->match.operation->body_schema != NULL;
    x->body = x->in.body;
    TB_TRY(check_coding(x));
    TB_TRY(check_charset(x));
    if ((x->match.flags & TB_R_RAW) != 0)
        return check_size(x);
    if (!takes_body) {
        if (x->in.body.n == 0)
            return NULL;
        return tb_fail_at(&x->run.req, TB_E_BAD_REQUEST, "", "%s takes no body",
                          x->match.operation->key);
    }
    TB_TRY(check_size(x));
    if (x->in.body.n == 0)
        return tb_fail_at(&x->run.req, TB_E_BODY_MISSING, "", "%s takes a JSON body and got none",
                          x->match.operation->key);
    TB_TRY(check_type(x));
    const struct tb_config *config = tb_gateway_parts(x->gateway)->config;
    const struct tb_json_limits limits = {
        .bytes = x->in.body.n,
        .depth = (uint32_t)config->limits_json_depth,
        .members = (uint32_t)config->limits_json_members,
    };
    struct tb_json_error where;
    tb_err err = tb_json_parse(x->run.arena, x->in.body, &limits, &x->json, &where);
    return err == NULL ? NULL : refuse_json(x, err, &where);
}
