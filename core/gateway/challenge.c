/* What a refused client is told in WWW-Authenticate: the schemes there are, and what was wrong
 * under the one it used. Source: RFC 6750 §3; RFC 9449 §7.1; RFC 6749 §5.2. */
#include "base/text.h"
#include "crypto/key.h"
#include "gateway/exchange.h"
#include "oauth/errors.h"

/* Refusals of what a consent allows have codes of their own and one challenge. */
static bool lacks_permission(tb_err err)
{
    static const char family[] = "consent_";
    return tb_is(err, TB_E_SCOPE_MISSING) ||
           (err->status == 403 && strncmp(err->code, family, sizeof(family) - 1) == 0);
}

/* The code of RFC 6750 and RFC 9449; NULL when there is none to tell. */
static const char *code_of(tb_err err)
{
    if (lacks_permission(err))
        return "insufficient_scope";
    if (tb_is(err, TB_E_DPOP_PROOF))
        return "invalid_dpop_proof";
    if (tb_is(err, TB_E_DPOP_NONCE))
        return "use_dpop_nonce";
    return err->status == 401 && !tb_is(err, TB_E_TOKEN_MISSING) ? "invalid_token" : NULL;
}

static void add(struct tb_exchange *x, struct tb_str challenge)
{
    tb_exchange_header(x, TB_STR("www-authenticate"), challenge);
}

void tb_exchange_challenge(struct tb_exchange *x, tb_err err)
{
    const struct tb_operation *operation = x->match.operation;
    const char *code = code_of(err);
    if (tb_is(err, TB_E_INVALID_CLIENT)) {
        add(x, TB_STR("Basic realm=\"tongbao\""));
    } else if (tb_is(err, TB_E_TOKEN_MISSING)) {
        add(x, TB_STR("Bearer"));
        add(x, TB_STR("DPoP algs=\"" TB_ALG_NAMES "\""));
    } else if (code != NULL) {
        struct tb_text text;
        bool bound = x->dpop_scheme || (x->grant != NULL && x->grant->dpop.n > 0);
        tb_text_init(&text, x->run.arena);
        tb_text_add_format(&text, "%s error=\"%s\"", bound ? "DPoP" : "Bearer", code);
        if (lacks_permission(err) && operation->route->scope != NULL)
            tb_text_add_format(&text, ", scope=\"%s\"", operation->route->scope);
        if (bound)
            tb_text_add(&text, TB_STR(", algs=\"" TB_ALG_NAMES "\""));
        add(x, tb_text_end(&text));
    }
}
