/* One table says what each member may hold; what members say together is judged below it, one
 * function a subject. Addresses are kept as text and never called here. */
#include "oauth/client/client_metadata.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/key.h"
#include "oauth/client/metadata_names.h"
#include "oauth/client/origin.h"
#include "oauth/errors.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "product/registry.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

enum form {
    NAME,  /* shown to customers (tb_text_name_wrong) */
    TEXT,  /* 1 to TB_METADATA_TEXT_MAX bytes, all of them visible */
    TEXTS, /* a list of such */
    LINK,  /* an https URL */
    WORD,  /* one of `words` */
    WORDS, /* a list of them, without duplicates */
    TYPES, /* a list of detail types, without duplicates */
    FLAG,
    NUMBER, /* not negative */
    OBJECT,
};

#define SIGNING_ALGS "PS256|ES256|EdDSA|Ed25519"
#define CIBA         "urn:openid:params:grant-type:ciba"

static const struct member {
    const char *name;
    enum form form;
    const char *words; /* accepted values, "a|b" */
    bool tagged;       /* may also come with a language: "client_name#zh" (RFC 7591 §2.2) */
} MEMBERS[] = {
    {.name = "client_name", .form = NAME, .tagged = true},
    {.name = "client_uri", .form = LINK, .tagged = true},
    {.name = "logo_uri", .form = LINK, .tagged = true},
    {.name = "policy_uri", .form = LINK, .tagged = true},
    {.name = "tos_uri", .form = LINK, .tagged = true},
    {.name = "contacts", .form = TEXTS},
    {.name = "software_id", .form = TEXT},
    {.name = "software_version", .form = TEXT},
    {.name = "application_type", .form = WORD, .words = "web|native"},
    {.name = "subject_type", .form = WORD, .words = "public"},
    {.name = "redirect_uris", .form = TEXTS},
    {.name = "web_origins", .form = TEXTS},
    {.name = "grant_types",
     .form = WORDS,
     .words = "authorization_code|refresh_token|client_credentials|" CIBA},
    {.name = "response_types", .form = WORDS, .words = "code"},
    {.name = "response_modes", .form = WORDS, .words = "query|jwt"},
    {.name = "token_endpoint_auth_method",
     .form = WORD,
     .words = "private_key_jwt|tls_client_auth|self_signed_tls_client_auth|client_secret_basic"},
    {.name = "token_endpoint_auth_signing_alg", .form = WORD, .words = SIGNING_ALGS},
    {.name = "jwks", .form = OBJECT},
    {.name = "jwks_uri", .form = LINK},
    {.name = "tls_client_auth_subject_dn", .form = TEXT},
    {.name = "tls_client_auth_san_dns", .form = TEXT},
    {.name = "tls_client_auth_san_uri", .form = TEXT},
    {.name = "tls_client_auth_san_ip", .form = TEXT},
    {.name = "tls_client_auth_san_email", .form = TEXT},
    {.name = "tls_client_certificate_bound_access_tokens", .form = FLAG},
    {.name = "dpop_bound_access_tokens", .form = FLAG},
    {.name = "plain_bearer_tokens", .form = FLAG},
    {.name = "tongbao_resource_server", .form = FLAG},
    {.name = "require_signed_request_object", .form = FLAG},
    {.name = "require_pushed_authorization_requests", .form = FLAG},
    {.name = "request_object_signing_alg", .form = WORD, .words = SIGNING_ALGS},
    {.name = "authorization_signed_response_alg", .form = WORD, .words = "ES256"},
    {.name = "introspection_signed_response_alg", .form = WORD, .words = "ES256"},
    {.name = "id_token_signed_response_alg", .form = WORD, .words = "ES256"},
    {.name = "backchannel_token_delivery_mode", .form = WORD, .words = "poll|ping"},
    {.name = "backchannel_client_notification_endpoint", .form = LINK},
    {.name = "backchannel_authentication_request_signing_alg", .form = WORD, .words = SIGNING_ALGS},
    {.name = "backchannel_user_code_parameter", .form = FLAG},
    {.name = "authorization_details_types", .form = TYPES},
    {.name = "scope", .form = TEXT},
    {.name = "default_max_age", .form = NUMBER},
    {.name = "require_auth_time", .form = FLAG},
    {.name = "default_acr_values", .form = TEXTS},
};

/* ---- one member alone ---- */

static tb_err wrong(struct tb_req *req, const char *member, const char *what)
{
    return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%s %s", member, what);
}

static struct tb_str text_of(const json_t *value)
{
    if (!json_is_string(value))
        return TB_STR_NONE;
    return (struct tb_str){json_string_value(value), json_string_length(value)};
}

static bool good_text(struct tb_str text)
{
    return text.n > 0 && text.n <= TB_METADATA_TEXT_MAX && tb_text_visible(text) == text.n;
}

static tb_err check_name(struct tb_req *req, const char *member, struct tb_str text)
{
    char room[TB_TEXT_WHY_BYTES];
    const char *why = text.at == NULL ? "must be a text"
                                      : tb_text_name_wrong(text, TB_NAME_CHARS_MAX, room);
    return why == NULL ? NULL : wrong(req, member, why);
}

static bool is_supported(const struct member *member, struct tb_str text)
{
    if (member->form == TYPES)
        return tb_registry_detail(tb_oauth()->registry, text) != NULL;
    return member->form != WORDS || tb_str_among(text, '|', tb_str(member->words));
}

static tb_err check_list(struct tb_req *req, const struct member *member, const json_t *value)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n > TB_METADATA_LIST_MAX)
        return wrong(req, member->name, "must be a list of at most 32 texts");
    for (size_t i = 0; i < n; i++) {
        struct tb_str text = text_of(json_array_get(value, i));
        if (!good_text(text))
            return wrong(req, member->name, "has an element that is not a text");
        if (!is_supported(member, text))
            return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%s: %.*s is not supported",
                           member->name, (int)text.n, text.at);
        for (size_t j = 0; j < i; j++)
            if (tb_str_eq(text_of(json_array_get(value, j)), text))
                return wrong(req, member->name, "has an element twice");
    }
    return NULL;
}

static tb_err check_member(struct tb_req *req, const struct member *member, const json_t *value)
{
    struct tb_str text = text_of(value);
    switch (member->form) {
    case NAME:
        return check_name(req, member->name, text);
    case TEXT:
        return good_text(text) ? NULL : wrong(req, member->name, "must be a text");
    case LINK:
        return tb_uri_link(text) ? NULL : wrong(req, member->name, "must be an https URL");
    case WORD:
        if (text.at != NULL && tb_str_among(text, '|', tb_str(member->words)))
            return NULL;
        return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%s must be one of %s", member->name,
                       member->words);
    case TEXTS:
    case WORDS:
    case TYPES:
        return check_list(req, member, value);
    case FLAG:
        return json_is_boolean(value) ? NULL : wrong(req, member->name, "must be true or false");
    case NUMBER:
        return json_is_integer(value) && json_integer_value(value) >= 0
                   ? NULL
                   : wrong(req, member->name, "must be a whole number");
    case OBJECT:
        return json_is_object(value) ? NULL : wrong(req, member->name, "must be an object");
    }
    return NULL;
}

/* The rule for a member of this name; NULL: we do not know it. */
static const struct member *rule_of(const char *name)
{
    size_t n = strcspn(name, "#");
    for (size_t i = 0; i < TB_COUNT(MEMBERS); i++)
        if (strlen(MEMBERS[i].name) == n && memcmp(MEMBERS[i].name, name, n) == 0 &&
            (name[n] == '\0' || (MEMBERS[i].tagged && strlen(name) < n + 40)))
            return &MEMBERS[i];
    return NULL;
}

/* What we know of what was requested, each member of its form. A null counts as not sent. */
static tb_err take_members(struct tb_req *req, const json_t *requested, json_t *out)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)requested, name, value)
    {
        const struct member *member = rule_of(name);
        if (member == NULL || json_is_null(value))
            continue;
        TB_TRY(check_member(req, member, value));
        if (json_object_set(out, name, value) != 0)
            return TB_E_INTERNAL;
    }
    return NULL;
}

/* ---- what members say together ---- */

static bool flag(const json_t *metadata, const char *name)
{
    return json_is_true(json_object_get(metadata, name));
}

static bool lists(const json_t *metadata, const char *name, const char *value)
{
    const json_t *list = json_object_get(metadata, name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (tb_str_eq(text_of(json_array_get(list, i)), tb_str(value)))
            return true;
    return false;
}

/* What counts when a member was not sent. */
static void assume(json_t *metadata, const char *name, json_t *value)
{
    if (json_object_get(metadata, name) == NULL)
        json_object_set_new(metadata, name, value);
    else
        json_decref(value);
}

/* Grant types, response types and redirect URIs belong together (RFC 7591 §2.1). A client that
 * names neither grant types nor redirect URIs can only act for itself. */
static tb_err check_flow(struct tb_req *req, json_t *metadata)
{
    const json_t *redirects = json_object_get(metadata, "redirect_uris");
    struct tb_str type = tb_json_str(metadata, "application_type");
    bool native = tb_str_eq(type, TB_STR("native"));
    for (size_t i = 0; i < json_array_size(redirects); i++)
        if (!tb_uri_redirect(text_of(json_array_get(redirects, i)), native))
            return tb_fail(req, TB_E_INVALID_REDIRECT_URI,
                           "redirect_uris[%zu] must be an https URL without a fragment; with "
                           "application_type native also http on the loopback address",
                           i);
    for (size_t i = 0; i < json_array_size(redirects); i++) {
        const char *ours = tb_uri_response_parameter(req, text_of(json_array_get(redirects, i)));
        if (ours != NULL)
            return tb_fail(req, TB_E_INVALID_REDIRECT_URI,
                           "redirect_uris[%zu] must not have the parameter %s: the answer has it",
                           i, ours);
    }
    bool redirected = json_array_size(redirects) > 0;
    assume(metadata, "application_type", json_string("web"));
    assume(metadata, "grant_types",
           json_pack("[s]", redirected ? "authorization_code" : "client_credentials"));
    bool code = lists(metadata, "grant_types", "authorization_code");
    assume(metadata, "response_types", code ? json_pack("[s]", "code") : json_array());
    if (code && !redirected)
        return tb_fail(req, TB_E_INVALID_REDIRECT_URI,
                       "the grant type authorization_code needs redirect_uris");
    if (code != lists(metadata, "response_types", "code"))
        return wrong(req, "response_types", "does not go with grant_types");
    bool offline = lists(metadata, "grant_types", "refresh_token");
    bool ciba = lists(metadata, "grant_types", CIBA);
    if (offline && !code && !ciba)
        return wrong(req, "grant_types", "has refresh_token, and none that gives one");
    assume(metadata, "require_pushed_authorization_requests", json_true());
    if (!flag(metadata, "require_pushed_authorization_requests"))
        return wrong(req, "require_pushed_authorization_requests", "cannot be false here");
    return NULL;
}

/* Whether a key holds what is the client's alone. Ours to refuse, not to pass over: it is out. */
static bool is_secret(const json_t *jwk)
{
    static const char *const SECRET[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < TB_COUNT(SECRET); i++)
        if (json_object_get(jwk, SECRET[i]) != NULL)
            return true;
    return false;
}

/* Whether a set has a key that `key` cannot be told from: by kid and algorithm. */
static bool has_twin(const json_t *keys, size_t n, const struct tb_key *key)
{
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        struct tb_key *other = tb_key_read_jwk(json_array_get(keys, i), TB_JWK_PUBLIC);
        found = other != NULL && tb_key_alg(other) == tb_key_alg(key) &&
                tb_str_eq(tb_key_kid(other), tb_key_kid(key));
        tb_key_free(other);
    }
    return found;
}

/* Keys that are not for us (of other types, curves, algorithms and uses) are passed over, as RFC
 * 7517 §5 has it; that there is one for us is all that is asked. */
static tb_err check_keys(struct tb_req *req, const json_t *metadata)
{
    const json_t *jwks = json_object_get(metadata, "jwks");
    const json_t *keys = json_object_get(jwks, "keys");
    size_t n = json_array_size(keys), usable_n = 0;
    if (jwks == NULL)
        return NULL;
    if (json_object_get(metadata, "jwks_uri") != NULL)
        return wrong(req, "jwks", "and jwks_uri exclude each other");
    if (!json_is_array(keys) || n == 0 || n > TB_METADATA_LIST_MAX)
        return wrong(req, "jwks", "must have 1 to 32 keys");
    for (size_t i = 0; i < n; i++) {
        const json_t *jwk = json_array_get(keys, i);
        if (!json_is_object(jwk))
            return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "jwks.keys[%zu] is no key", i);
        if (is_secret(jwk))
            return tb_fail(req, TB_E_INVALID_CLIENT_METADATA,
                           "jwks.keys[%zu] has a private or symmetric member: send public keys "
                           "only, and use another key",
                           i);
        struct tb_key *key = tb_key_read_jwk(jwk, TB_JWK_PUBLIC);
        bool twin = key != NULL && has_twin(keys, i, key);
        usable_n += key != NULL || json_object_get(jwk, "x5c") != NULL;
        tb_key_free(key);
        if (twin)
            return wrong(req, "jwks", "has two keys of one kid and algorithm");
    }
    return usable_n > 0
               ? NULL
               : wrong(req, "jwks",
                       "has no public key for ES256, PS256 (2048 to 4096 bits) or Ed25519, "
                       "and no certificate");
}

static tb_err check_authentication(struct tb_req *req, json_t *metadata, bool sandbox)
{
    size_t names_n = 0;
    assume(metadata, "token_endpoint_auth_method", json_string("client_secret_basic"));
    struct tb_str method = tb_json_str(metadata, "token_endpoint_auth_method");
    bool has_keys = json_object_get(metadata, "jwks") != NULL ||
                    json_object_get(metadata, "jwks_uri") != NULL;
    if (tb_str_eq(method, TB_STR("client_secret_basic")) && !sandbox)
        return wrong(req, "token_endpoint_auth_method",
                     "must be private_key_jwt, tls_client_auth or self_signed_tls_client_auth");
    if (!has_keys && (tb_str_eq(method, TB_STR("private_key_jwt")) ||
                      tb_str_eq(method, TB_STR("self_signed_tls_client_auth"))))
        return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%.*s needs jwks or jwks_uri",
                       (int)method.n, method.at);
    for (size_t i = 0; i < TB_TLS_NAMES; i++) {
        struct tb_str name = tb_json_str(metadata, tb_tls_names[i].name);
        names_n += name.at != NULL;
        if (name.at != NULL && !tb_tls_names[i].good(name))
            return wrong(req, tb_tls_names[i].name, tb_tls_names[i].what);
    }
    if (tb_str_eq(method, TB_STR("tls_client_auth")) ? names_n != 1 : names_n != 0)
        return wrong(req, "tls_client_auth",
                     "needs exactly one of the tls_client_auth_* names, "
                     "and no other method may have one");
    return NULL;
}

/* A token is bound to one thing, or, in the sandbox and when the client asks for that, to nothing.
 */
static tb_err check_binding(struct tb_req *req, json_t *metadata, bool sandbox)
{
    bool by_certificate = flag(metadata, "tls_client_certificate_bound_access_tokens");
    bool by_key = flag(metadata, "dpop_bound_access_tokens");
    bool plain = flag(metadata, "plain_bearer_tokens");
    if (plain && !sandbox)
        return wrong(req, "plain_bearer_tokens", "is for the sandbox only");
    if (flag(metadata, "tongbao_resource_server") && !sandbox)
        return wrong(req, "tongbao_resource_server", "is for the bank to decide here");
    if (by_certificate + by_key + plain > 1)
        return wrong(req, "dpop_bound_access_tokens",
                     "tls_client_certificate_bound_access_tokens and plain_bearer_tokens exclude "
                     "each other");
    if (by_certificate + by_key + plain == 0) {
        struct tb_str method = tb_json_str(metadata, "token_endpoint_auth_method");
        by_certificate = tb_str_eq(method, TB_STR("tls_client_auth")) ||
                         tb_str_eq(method, TB_STR("self_signed_tls_client_auth"));
        by_key = !by_certificate;
    }
    json_object_set_new(metadata, "tls_client_certificate_bound_access_tokens",
                        json_boolean(by_certificate));
    json_object_set_new(metadata, "dpop_bound_access_tokens", json_boolean(by_key));
    if (sandbox)
        json_object_set_new(metadata, "plain_bearer_tokens", json_boolean(plain));
    return NULL;
}

static tb_err check_scope(struct tb_req *req, json_t *metadata, struct tb_str served)
{
    struct tb_str scope = tb_json_str(metadata, "scope");
    assume(metadata, "scope", json_stringn(served.at, served.n));
    if (scope.at != NULL && (!tb_scope_good(scope) || !tb_scope_within(scope, served)))
        return wrong(req, "scope", "has a name that is not in scopes_supported");
    return NULL;
}

static tb_err check_backchannel(struct tb_req *req, json_t *metadata)
{
    if (flag(metadata, "backchannel_user_code_parameter"))
        return wrong(req, "backchannel_user_code_parameter", "is not supported");
    if (!lists(metadata, "grant_types", CIBA))
        return NULL;
    assume(metadata, "backchannel_token_delivery_mode", json_string("poll"));
    struct tb_str mode = tb_json_str(metadata, "backchannel_token_delivery_mode");
    if (tb_str_eq(mode, TB_STR("ping")) &&
        json_object_get(metadata, "backchannel_client_notification_endpoint") == NULL)
        return wrong(req, "backchannel_client_notification_endpoint", "is needed for ping");
    return NULL;
}

/* Signed answers are ES256, whichever of them the client will ask for. */
static void assume_algorithms(json_t *metadata)
{
    assume(metadata, "id_token_signed_response_alg", json_string("ES256"));
    if (lists(metadata, "response_modes", "jwt"))
        assume(metadata, "authorization_signed_response_alg", json_string("ES256"));
    assume(metadata, "require_signed_request_object", json_false());
}

tb_err tb_client_metadata(struct tb_req *req, const json_t *requested,
                          const struct tb_metadata_rules *rules, json_t **out_effective)
{
    json_t *metadata = json_object();
    if (!tb_json_defer(tb_run_of(req)->arena, metadata))
        return TB_E_INTERNAL;
    TB_TRY(take_members(req, requested, metadata));
    TB_TRY(check_flow(req, metadata));
    TB_TRY(check_keys(req, metadata));
    TB_TRY(check_authentication(req, metadata, rules->sandbox));
    TB_TRY(check_binding(req, metadata, rules->sandbox));
    TB_TRY(check_scope(req, metadata, rules->scopes));
    TB_TRY(check_backchannel(req, metadata));
    TB_TRY(tb_origins_check(req, metadata, rules->sandbox));
    assume_algorithms(metadata);
    *out_effective = metadata;
    return NULL;
}
