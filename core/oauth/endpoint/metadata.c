/* What the authorization server supports (RFC 8414, OpenID Connect Discovery 1.0): one document at
 * both paths, made of the tables below and the configuration. A client believes every word of it,
 * so nothing stands here that is not served. */
#include "base/text.h"
#include "crypto/key.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/request/details.h"
#include "oauth/server.h"
#include "oauth/token/claims.h"
#include "oauth/user/second_factor.h"
#include "runtime/run.h"

/* Members whose value is the URL of an endpoint. Those a client may call with its certificate have
 * an alias on the listener that asks for one (RFC 8705 §5). */
static const struct {
    const char *member, *path;
    bool with_certificate;
} ENDPOINTS[] = {
    {"authorization_endpoint", "/oauth/authorize", false},
    {"jwks_uri", "/oauth/jwks", false},
    {"token_endpoint", "/oauth/token", true},
    {"pushed_authorization_request_endpoint", "/oauth/par", true},
    {"introspection_endpoint", "/oauth/introspect", true},
    {"revocation_endpoint", "/oauth/revoke", true},
    {"registration_endpoint", "/oauth/register", true},
    {"userinfo_endpoint", "/oauth/userinfo", true},
    {"backchannel_authentication_endpoint", "/oauth/backchannel", true},
};

/* What clients sign with, and what we do. */
#define CLIENT_ALGS TB_ALG_NAMES
#define SERVER_ALGS "ES256"

/* Members whose value is an array of texts, written here with blanks between. */
static const struct {
    const char *member, *values;
} LISTS[] = {
    {"response_types_supported", "code"},
    {"response_modes_supported", "query jwt"},
    {"grant_types_supported",
     "authorization_code refresh_token client_credentials urn:openid:params:grant-type:ciba"},
    {"code_challenge_methods_supported", "S256"},
    {"subject_types_supported", "public"},
    {"token_endpoint_auth_signing_alg_values_supported", CLIENT_ALGS},
    {"introspection_endpoint_auth_signing_alg_values_supported", CLIENT_ALGS},
    {"revocation_endpoint_auth_signing_alg_values_supported", CLIENT_ALGS},
    {"request_object_signing_alg_values_supported", CLIENT_ALGS},
    {"backchannel_authentication_request_signing_alg_values_supported", CLIENT_ALGS},
    {"dpop_signing_alg_values_supported", CLIENT_ALGS},
    {"id_token_signing_alg_values_supported", SERVER_ALGS},
    {"authorization_signing_alg_values_supported", SERVER_ALGS},
    {"introspection_signing_alg_values_supported", SERVER_ALGS},
    {"backchannel_token_delivery_modes_supported", "poll ping"},
    {"claims_supported", TB_CLAIM_NAMES},
    {"claim_types_supported", "normal"},
    {"acr_values_supported", TB_ACR_SCA},
    {"ui_locales_supported", "zh-CN en"},
};

static const struct {
    const char *member;
    bool value;
} FLAGS[] = {
    {"require_pushed_authorization_requests", true},
    {"authorization_response_iss_parameter_supported", true},
    {"claims_parameter_supported", true},
    {"request_parameter_supported", true},
    {"request_uri_parameter_supported", false}, /* one that was pushed is no URI of the client's */
    {"backchannel_user_code_parameter_supported", false},
};

static void add_list(struct tb_text *text, const char *member, struct tb_str values)
{
    size_t from = 0;
    tb_text_add_format(text, ",\"%s\":[", member);
    for (size_t i = 0; i <= values.n; i++) {
        if (i < values.n && values.at[i] != ' ')
            continue;
        if (from > 0)
            tb_text_add_char(text, ',');
        tb_text_add_json(text, (struct tb_str){values.at + from, i - from});
        from = i + 1;
    }
    tb_text_add_char(text, ']');
}

static void add_url(struct tb_text *text, const char *member, const char *origin, const char *path)
{
    tb_text_add_format(text, ",\"%s\":\"%s%s\"", member, origin, path);
}

static void add_aliases(struct tb_text *text, const char *origin)
{
    bool first = true;
    tb_text_add(text, TB_STR(",\"mtls_endpoint_aliases\":{"));
    for (size_t i = 0; i < TB_COUNT(ENDPOINTS); i++) {
        if (!ENDPOINTS[i].with_certificate)
            continue;
        tb_text_add_format(text, "%s\"%s\":\"%s%s\"", first ? "" : ",", ENDPOINTS[i].member, origin,
                           ENDPOINTS[i].path);
        first = false;
    }
    tb_text_add_char(text, '}');
}

/* The ways to authenticate, which depend on the installation. */
static void add_methods(struct tb_text *text, bool certificates, bool sandbox)
{
    static const char *const members[] = {"token_endpoint_auth_methods_supported",
                                          "introspection_endpoint_auth_methods_supported",
                                          "revocation_endpoint_auth_methods_supported"};
    char methods[96];
    snprintf(methods, sizeof(methods), "private_key_jwt%s%s",
             certificates ? " tls_client_auth self_signed_tls_client_auth" : "",
             sandbox ? " client_secret_basic" : "");
    for (size_t i = 0; i < TB_COUNT(members); i++)
        add_list(text, members[i], tb_str(methods));
}

tb_err tb_oauth_metadata(struct tb_req *req)
{
    const struct tb_config *config = tb_oauth()->config;
    bool certificates = config->mtls_origin[0] != '\0';
    struct tb_text text;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add(&text, TB_STR("{\"issuer\":"));
    tb_text_add_json(&text, tb_str(config->issuer));
    for (size_t i = 0; i < TB_COUNT(ENDPOINTS); i++)
        add_url(&text, ENDPOINTS[i].member, config->issuer, ENDPOINTS[i].path);
    if (certificates)
        add_aliases(&text, config->mtls_origin);
    add_methods(&text, certificates, config->sandbox);
    for (size_t i = 0; i < TB_COUNT(LISTS); i++)
        add_list(&text, LISTS[i].member, tb_str(LISTS[i].values));
    add_list(&text, "scopes_supported", tb_oauth()->scopes);
    add_list(&text, "authorization_details_types_supported",
             tb_details_types(tb_run_of(req)->arena, " "));
    for (size_t i = 0; i < TB_COUNT(FLAGS); i++)
        tb_text_add_format(&text, ",\"%s\":%s", FLAGS[i].member, FLAGS[i].value ? "true" : "false");
    tb_text_add_format(&text, ",\"tls_client_certificate_bound_access_tokens\":%s}",
                       certificates ? "true" : "false");
    TB_TRY(tb_set_header(req, "cache-control", TB_STR("public, max-age=300")));
    return tb_reply(req, 200, tb_text_end(&text));
}
