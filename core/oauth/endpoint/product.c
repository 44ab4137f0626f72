/* The product's table. */
#include "oauth/endpoint/product.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/errors.h"

enum { FORM_BYTES = 64 * 1024 };

#define OAUTH_FORM                                                                                 \
    .level = TB_A1, .flags = TB_R_RAW | TB_R_OAUTH | TB_R_FINISH | TB_R_APP_ORIGINS,               \
    .body_bytes = FORM_BYTES

static const struct tb_route routes[] = {
    {.method = "GET",
     .path = "/.well-known/oauth-authorization-server",
     .level = TB_A1,
     .flags = TB_R_RAW | TB_R_ANY_ORIGIN,
     .handler = tb_oauth_metadata,
     .summary = "What the authorization server supports.",
     .standard = "RFC 8414"},
    {.method = "GET",
     .path = "/.well-known/openid-configuration",
     .level = TB_A1,
     .flags = TB_R_RAW | TB_R_ANY_ORIGIN,
     .handler = tb_oauth_metadata,
     .summary = "The same document where OpenID clients look for it.",
     .standard = "OpenID Connect Discovery 1.0"},
    {.method = "GET",
     .path = "/oauth/jwks",
     .level = TB_A1,
     .flags = TB_R_RAW | TB_R_ANY_ORIGIN,
     .handler = tb_oauth_jwks,
     .summary = "The public keys of tokens and responses.",
     .standard = "RFC 7517"},
    {.method = "POST",
     .path = "/oauth/token",
     OAUTH_FORM,
     .handler = tb_oauth_token,
     .summary = "Get an access token.",
     .standard = "RFC 6749, FAPI 2.0 Security Profile"},
    {.method = "POST",
     .path = "/oauth/introspect",
     OAUTH_FORM,
     .handler = tb_oauth_introspect,
     .summary = "Ask whether a token counts, and for what.",
     .standard = "RFC 7662, RFC 9701"},
    {.method = "POST",
     .path = "/oauth/revoke",
     OAUTH_FORM,
     .handler = tb_oauth_revoke,
     .summary = "Give a token back.",
     .standard = "RFC 7009"},
    {.method = "GET",
     .path = "/oauth/userinfo",
     .scope = "openid",
     .level = TB_A2,
     .flags = TB_R_RAW | TB_R_EVERY_APP | TB_R_ANY_CONSENT,
     .handler = tb_oauth_userinfo,
     .summary = "Who the customer is that a token speaks for.",
     .standard = "OpenID Connect Core 1.0"},
    {.method = "POST",
     .path = "/oauth/userinfo",
     .scope = "openid",
     .level = TB_A2,
     .flags = TB_R_RAW | TB_R_EVERY_APP | TB_R_ANY_CONSENT,
     .handler = tb_oauth_userinfo,
     .summary = "The same by POST.",
     .standard = "OpenID Connect Core 1.0"},
};

static const struct tb_error *const errors[] = {
#define TB_OAUTH_ERROR(name, ...) TB_E_##name,
#include "oauth/oauth_errors.def"
#undef TB_OAUTH_ERROR
};
static const struct tb_error_words words[] = {
#define TB_OAUTH_ERROR_ZH(code_, title_, remedy_)                                                  \
    {.code = (code_), .lang = "zh", .title = (title_), .remedy = (remedy_)},
#include "oauth/oauth_errors_zh.def"
#undef TB_OAUTH_ERROR_ZH
};

const struct tb_plugin tb_oauth_product = {
    TB_PLUGIN_HEAD,           .name = "oauth",
    .version = "1.0.0",       .title = "Authorization server",
    TB_TABLE(routes, routes), TB_TABLE(errors, errors),
    TB_TABLE(words, words),
};
