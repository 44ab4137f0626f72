/* GET /oauth/jwks (RFC 7517): the keys of tokens and those of responses in one set. A key is in it
 * two days before it signs, ten minutes when it was brought forward, so five minutes in caches do
 * no harm. */
#include "base/text.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/server.h"
#include "runtime/run.h"

/* The members of a JWK Set's array, without what stands around them. */
static struct tb_str inside(struct tb_str set)
{
    size_t head = sizeof("{\"keys\":[") - 1, tail = sizeof("]}") - 1;
    return set.at == NULL ? set : (struct tb_str){set.at + head, set.n - head - tail};
}

tb_err tb_oauth_jwks(struct tb_req *req)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    int64_t now_s = tb_oauth_now_s(req);
    struct tb_str token = inside(tb_keystore_jwks(tb_oauth()->token_keys, now_s, arena));
    struct tb_str response = inside(tb_keystore_jwks(tb_oauth()->response_keys, now_s, arena));
    struct tb_text text;
    if (token.at == NULL || response.at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "no memory left");
    if (token.n == 0 && response.n == 0)
        return tb_fail(req, TB_E_STORE, "the keys are not here yet");
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"keys\":["));
    tb_text_add(&text, token);
    if (token.n > 0 && response.n > 0)
        tb_text_add_char(&text, ',');
    tb_text_add(&text, response);
    tb_text_add(&text, TB_STR("]}"));
    TB_TRY(tb_set_header(req, "cache-control", TB_STR("public, max-age=300")));
    return tb_reply(req, 200, tb_text_end(&text));
}
