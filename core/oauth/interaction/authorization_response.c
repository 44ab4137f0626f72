#include "oauth/interaction/authorization_response.h"
#include "crypto/jose.h"
#include "oauth/errors.h"
#include "oauth/page/page.h"
#include "oauth/server.h"
#include "runtime/run.h"

enum { JARM_LIFE_S = 120 /* a browser carries it there at once; JARM §2.1 allows ten minutes */ };

/* One member of the answer: of the query, or of the JWT. */
struct member {
    const char *name;
    struct tb_str value; /* absent: leave it out */
};

void tb_url_add(struct tb_text *text, struct tb_str value)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            tb_text_add_char(text, (char)c);
        } else {
            const char escape[] = {'%', digits[c >> 4], digits[c & 15]};
            tb_text_add(text, (struct tb_str){escape, sizeof(escape)});
        }
    }
}

static tb_err redirect(struct tb_req *req, const struct tb_authz_request *asked,
                       const struct member *members, size_t n)
{
    struct tb_text url;
    bool has_query = memchr(asked->redirect_uri.at, '?', asked->redirect_uri.n) != NULL;
    tb_text_init(&url, tb_run_of(req)->arena);
    tb_text_add(&url, asked->redirect_uri);
    for (size_t i = 0; i < n; i++) {
        if (members[i].value.at == NULL)
            continue;
        tb_text_add_char(&url, has_query ? '&' : '?');
        has_query = true;
        tb_text_add(&url, tb_str(members[i].name));
        tb_text_add_char(&url, '=');
        tb_url_add(&url, members[i].value);
    }
    return tb_page_redirect(req, tb_text_end(&url));
}

/* The members in a JWT for this client alone, which cannot be used for long. */
static struct tb_str jwt(struct tb_req *req, const struct tb_authz_request *asked,
                         const struct member *members, size_t n)
{
    struct tb_text claims;
    int64_t now_s = tb_oauth_now_s(req);
    struct tb_key *key = tb_keystore_signer(tb_oauth()->response_keys, now_s);
    if (key == NULL)
        return TB_STR_NONE;
    tb_text_init(&claims, tb_run_of(req)->arena);
    tb_text_add(&claims, TB_STR("{\"aud\":"));
    tb_text_add_json(&claims, asked->client->id);
    tb_text_add_format(&claims, ",\"exp\":%lld", (long long)(now_s + JARM_LIFE_S));
    for (size_t i = 0; i < n; i++) {
        if (members[i].value.at == NULL)
            continue;
        tb_text_add_format(&claims, ",\"%s\":", members[i].name);
        tb_text_add_json(&claims, members[i].value);
    }
    tb_text_add_char(&claims, '}');
    struct tb_str text = tb_text_end(&claims);
    return text.at == NULL ? text : tb_jose_sign(key, "JWT", text, tb_run_of(req)->arena);
}

static tb_err answer(struct tb_req *req, const struct tb_authz_request *asked,
                     const struct member *members, size_t n)
{
    if (!asked->jarm)
        return redirect(req, asked, members, n);
    const struct member response = {"response", jwt(req, asked, members, n)};
    if (response.value.at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the response could not be signed");
    return redirect(req, asked, &response, 1);
}

tb_err tb_authz_response_code(struct tb_req *req, const struct tb_authz_request *asked,
                              struct tb_str code)
{
    const struct member members[] = {
        {"code", code}, {"state", asked->state}, {"iss", tb_str(tb_oauth()->config->issuer)}};
    return answer(req, asked, members, TB_COUNT(members));
}

tb_err tb_authz_response_error(struct tb_req *req, const struct tb_authz_request *asked, tb_err err)
{
    const struct member members[] = {{"error", tb_oauth_error_code(err)},
                                     {"error_description", tb_str(err->title)},
                                     {"state", asked->state},
                                     {"iss", tb_str(tb_oauth()->config->issuer)}};
    return answer(req, asked, members, TB_COUNT(members));
}
