/* A request object is believed when its signature is the client's, and then still judged like a
 * letter that may have been opened: for whom it is, how old it may be, and that it is not another
 * kind of JWT of the same client. */
#include "oauth/request/jar.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/jose.h"
#include "oauth/errors.h"
#include "oauth/jti_replay.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

/* The type is recommended, not required (RFC 9101 §10.8); "" stands for none. */
static const char *const TYPES[] = {"oauth-authz-req+jwt", "JWT", "", NULL};

static tb_err error_of(enum tb_jar_use use)
{
    return use == TB_JAR_PUSHED ? TB_E_INVALID_REQUEST_OBJECT : TB_E_INVALID_REQUEST;
}

static tb_err refuse_object(struct tb_req *req, enum tb_jar_use use, const char *what)
{
    return tb_fail(req, error_of(use), "request object: %s", what);
}

static tb_err TB_SUSPENDS verify(struct tb_req *req, const struct tb_oauth_client *client,
                                 struct tb_str object, enum tb_jar_use use, struct tb_jose *out)
{
    struct tb_client_keys *keys;
    TB_TRY(tb_oauth_client_keys(req, client, object, &keys));
    const struct tb_jose_policy policy = {
        .types = TYPES,
        .algs = client->request_alg != 0 ? client->request_alg : TB_ALGS,
        .bytes_max = TB_JOSE_BYTES_MAX,
        .find = tb_client_keys_find,
        .find_arg = keys,
        .issuer = client->id,
        .audience = tb_str(tb_oauth()->config->issuer),
        .audience_list = true,
        .required = TB_CLAIM_EXP | TB_CLAIM_NBF |
                    (use == TB_JAR_BACKCHANNEL ? TB_CLAIM_IAT | TB_CLAIM_JTI : 0),
        .ahead_s = TB_JOSE_AHEAD_S,
    };
    if (tb_jose_verify(&policy, object, tb_oauth_now_s(req), tb_run_of(req)->arena, out) != NULL)
        return refuse_object(req, use, tb_jose_reason_words(out->reason));
    return NULL;
}

/* Rules about claims that are there and well-formed. */
static const char *check_claims(struct tb_req *req, const struct tb_oauth_client *client,
                                const json_t *claims, enum tb_jar_use use)
{
    int64_t nbf_s = 0, exp_s = 0;
    struct tb_str client_id = tb_json_str(claims, "client_id");
    (void)(tb_json_int(claims, "nbf", &nbf_s) && tb_json_int(claims, "exp", &exp_s));
    if (nbf_s < tb_oauth_now_s(req) - TB_JAR_LIFE_S)
        return "nbf is more than 60 minutes ago";
    if (exp_s - nbf_s > TB_JAR_LIFE_S)
        return "exp is more than 60 minutes after nbf";
    if (exp_s <= nbf_s)
        return "exp is not after nbf";
    if (json_object_get(claims, "request") != NULL ||
        json_object_get(claims, "request_uri") != NULL)
        return "request and request_uri have no place inside";
    /* With sub = client_id it could be shown as a client assertion (RFC 9101 §10.8). */
    if (tb_str_eq(tb_json_str(claims, "sub"), client->id))
        return "sub must not be the client_id";
    if (use == TB_JAR_PUSHED && client_id.at == NULL)
        return "client_id is missing";
    if (json_object_get(claims, "client_id") != NULL && !tb_str_eq(client_id, client->id))
        return "client_id is another than the authenticated client's";
    return NULL;
}

static bool is_text(const json_t *value)
{
    return json_is_string(value);
}

static bool is_number(const json_t *value)
{
    return json_is_integer(value) || json_is_string(value);
}

static bool is_object(const json_t *value)
{
    return json_is_object(value) || json_is_string(value);
}

static bool is_array(const json_t *value)
{
    return json_is_array(value) || json_is_string(value);
}

static bool is_claim_of_jwt(const char *name)
{
    static const char *const names[] = {"iss", "aud", "sub", "exp", "nbf", "iat", "jti"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The kind that a parameter must be of; of others, and of those we do not know, any will do. A
 * number or JSON may also come as the text that a form would carry. */
static const struct kind {
    const char *name, *words;
    bool (*is)(const json_t *value);
} KINDS[] = {
    {"response_type", "a text", is_text},
    {"response_mode", "a text", is_text},
    {"redirect_uri", "a text", is_text},
    {"scope", "a text", is_text},
    {"state", "a text", is_text},
    {"nonce", "a text", is_text},
    {"code_challenge", "a text", is_text},
    {"code_challenge_method", "a text", is_text},
    {"prompt", "a text", is_text},
    {"ui_locales", "a text", is_text},
    {"acr_values", "a text", is_text},
    {"login_hint", "a text", is_text},
    {"id_token_hint", "a text", is_text},
    {"login_hint_token", "a text", is_text},
    {"dpop_jkt", "a text", is_text},
    {"binding_message", "a text", is_text},
    {"client_notification_token", "a text", is_text},
    {"max_age", "a whole number", is_number},
    {"requested_expiry", "a whole number", is_number},
    {"claims", "an object", is_object},
    {"authorization_details", "an array", is_array},
};

static const struct kind *kind_missed(const char *name, const json_t *value)
{
    for (size_t i = 0; i < TB_COUNT(KINDS); i++)
        if (strcmp(KINDS[i].name, name) == 0)
            return KINDS[i].is(value) ? NULL : &KINDS[i];
    return NULL;
}

/* A value as it would stand in a form. */
static struct tb_str form_text(struct tb_arena *arena, const json_t *value)
{
    struct tb_text text;
    if (json_is_string(value))
        return (struct tb_str){json_string_value(value), json_string_length(value)};
    tb_text_init(&text, arena);
    tb_json_canonical(&text, value);
    return tb_text_end(&text);
}

/* A pushed request need have no jti: what it opens is a request_uri, which is good for one use. */
static tb_err TB_SUSPENDS use_up(struct tb_req *req, const struct tb_oauth_client *client,
                                 const json_t *claims, enum tb_jar_use use)
{
    bool first;
    if (use == TB_JAR_PUSHED)
        return NULL;
    TB_TRY(tb_jti_purpose(req, client->id, TB_JTI_OF_BACKCHANNEL, claims, &first));
    return first ? NULL : refuse_object(req, use, "it was used before");
}

tb_err TB_SUSPENDS tb_jar_open(struct tb_req *req, const struct tb_oauth_client *client,
                               struct tb_str object, enum tb_jar_use use, struct tb_form *out)
{
    struct tb_jose token;
    const struct kind *kind;
    const char *name;
    json_t *value;
    *out = (struct tb_form){0};
    TB_TRY(verify(req, client, object, use, &token));
    const char *wrong = check_claims(req, client, token.claims, use);
    if (wrong != NULL)
        return refuse_object(req, use, wrong);
    json_object_foreach(token.claims, name, value)
    {
        if ((kind = kind_missed(name, value)) != NULL)
            return tb_fail(req, error_of(use), "request object: %s must be %s", name, kind->words);
        struct tb_str text = form_text(tb_run_of(req)->arena, value);
        if (text.at == NULL)
            return tb_fail(req, TB_E_INTERNAL, "no memory left for the request object");
        if (!is_claim_of_jwt(name) && tb_form_add(req, out, tb_str(name), text) != NULL)
            return refuse_object(req, use, "a parameter is too long, or there are too many");
    }
    return use_up(req, client, token.claims, use);
}
