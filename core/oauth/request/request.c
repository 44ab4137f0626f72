/* Parameters that are JSON inside a form are parsed under tight limits before anything looks into
 * them; texts are limited to what an answer or a page can carry on. */
#include "oauth/request/request.h"
#include "base/json.h"
#include "base/text.h"
#include "oauth/errors.h"
#include "oauth/request/details.h"
#include "oauth/request/standing.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "oauth/token/claims.h"
#include "oauth/user/second_factor.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

enum { ACR_VALUES_MAX = 512 };

static const struct tb_json_limits limits = {
    .bytes = TB_FORM_VALUE_MAX, .depth = 8, .members = 512};

/* ---- which parameters count ---- */

static bool must_sign(const struct tb_oauth_client *client, enum tb_jar_use use)
{
    return client->signed_requests ||
           (use == TB_JAR_BACKCHANNEL &&
            tb_json_str(client->metadata, "backchannel_authentication_request_signing_alg").at !=
                NULL);
}

tb_err TB_SUSPENDS tb_request_open(struct tb_req *req, const struct tb_oauth_client *client,
                                   const struct tb_form *sent, enum tb_jar_use use,
                                   struct tb_form *out)
{
    struct tb_str object = tb_form_get(sent, "request");
    if (tb_form_get(sent, "request_uri").at != NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST, "request_uri is not accepted here");
    if (object.at != NULL)
        return tb_jar_open(req, client, object, use, out);
    if (must_sign(client, use))
        return tb_fail(req,
                       use == TB_JAR_PUSHED ? TB_E_INVALID_REQUEST_OBJECT : TB_E_INVALID_REQUEST,
                       "this client must send its requests signed, as a request object");
    *out = *sent;
    return NULL;
}

/* ---- params ---- */

json_t *tb_request_params(struct tb_req *req)
{
    json_t *params = json_object();
    return tb_json_defer(tb_run_of(req)->arena, params) ? params : NULL;
}

static tb_err put(struct tb_req *req, json_t *params, const char *name, json_t *value)
{
    if (json_object_set_new(params, name, value) != 0)
        return tb_fail(req, TB_E_INTERNAL, "no memory left for the request");
    return NULL;
}

tb_err tb_request_put(struct tb_req *req, json_t *params, const char *name, struct tb_str value)
{
    return value.at == NULL ? NULL : put(req, params, name, json_stringn(value.at, value.n));
}

struct tb_str tb_request_json(struct tb_req *req, const json_t *params)
{
    struct tb_text text;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_json_canonical(&text, params);
    return tb_text_end(&text);
}

/* ---- texts and numbers ---- */

tb_err tb_request_text(struct tb_req *req, const struct tb_form *form, const char *name, size_t max,
                       bool ascii, json_t *params)
{
    struct tb_str value = tb_form_get(form, name);
    if (value.n > max)
        return tb_fail(req, TB_E_INVALID_REQUEST, "%s is longer than %zu bytes", name, max);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c < ' ' || c == 0x7f || (ascii && c > 0x7f))
            return tb_fail(req, TB_E_INVALID_REQUEST, "%s has a character that is not allowed",
                           name);
    }
    return tb_request_put(req, params, name, value);
}

tb_err tb_request_number(struct tb_req *req, const struct tb_form *form, const char *name,
                         int64_t min, int64_t max, json_t *params)
{
    struct tb_str value = tb_form_get(form, name);
    int64_t number;
    if (value.at == NULL)
        return NULL;
    if (!tb_text_to_int(value, &number) || number < min || number > max)
        return tb_fail(req, TB_E_INVALID_REQUEST, "%s must be a whole number from %lld to %lld",
                       name, (long long)min, (long long)max);
    return put(req, params, name, json_integer(number));
}

/* ---- acr_values ---- */

tb_err tb_request_acr(struct tb_req *req, const struct tb_oauth_client *client,
                      const struct tb_form *form, json_t *params)
{
    const json_t *one;
    struct tb_text text;
    size_t i;
    if (tb_form_get(form, "acr_values").at != NULL)
        return tb_request_text(req, form, "acr_values", ACR_VALUES_MAX, true, params);
    tb_text_init(&text, tb_run_of(req)->arena);
    json_array_foreach(tb_json_array(client->metadata, "default_acr_values"), i, one)
        tb_text_add_format(&text, "%s%s", i == 0 ? "" : " ", json_string_value(one));
    return text.n == 0 ? NULL : tb_request_put(req, params, "acr_values", tb_text_end(&text));
}

/* ---- authorization_details ---- */

tb_err tb_request_details(struct tb_req *req, const struct tb_oauth_client *client,
                          const struct tb_form *form, json_t *params)
{
    struct tb_str text = tb_form_get(form, "authorization_details");
    const struct tb_standing now = tb_standing_of(client);
    json_t *details;
    if (text.at == NULL)
        return NULL;
    if (tb_json_parse(tb_run_of(req)->arena, text, &limits, &details, NULL) != NULL)
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "authorization_details is not acceptable JSON");
    TB_TRY(tb_details_check(req, details));
    if (!tb_standing_type(&now, tb_details_type(details))) /* RFC 9396 §10 */
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "/0/type is not one that the client has registered");
    TB_TRY(tb_details_timely(req, details, tb_oauth_now_s(req) * 1000 + client->world_offset_ms));
    return put(req, params, "authorization_details", json_incref(details));
}

/* ---- scope ---- */

/* A scope that writes needs details that say what: a customer's token for money without them would
 * be one for any money (RFC 9396 §3). */
static tb_err check_writes(struct tb_req *req, struct tb_str scope, struct tb_str implied)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str rest = scope, name;
    while (tb_scope_next(&rest, &name)) {
        bool writes = name.n > 6 && memcmp(name.at + name.n - 6, ":write", 6) == 0;
        if (!writes || (implied.at != NULL && tb_scope_has(implied, name)))
            continue;
        struct tb_str types = tb_details_implying(arena, name);
        if (types.at == NULL)
            return tb_fail(req, TB_E_INVALID_SCOPE,
                           "scope: %.*s is for tokens of the client's own, not of a customer",
                           (int)name.n, name.at);
        return tb_fail(req, TB_E_INVALID_SCOPE,
                       "scope: %.*s needs authorization_details of type %.*s", (int)name.n, name.at,
                       (int)types.n, types.at);
    }
    return NULL;
}

tb_err tb_request_scope(struct tb_req *req, const struct tb_oauth_client *client,
                        const struct tb_form *form, json_t *params)
{
    struct tb_str asked = tb_form_get(form, "scope");
    struct tb_str implied = tb_details_scope(json_object_get(params, "authorization_details"));
    if (asked.at == NULL && implied.at == NULL)
        return tb_fail(req, TB_E_INVALID_SCOPE, "scope is missing");
    if (asked.at != NULL && !tb_scope_good(asked))
        return tb_fail(req, TB_E_INVALID_SCOPE, "scope must be names with one space between");
    struct tb_str scope = tb_scope_join(tb_run_of(req)->arena, asked, implied);
    if (!tb_scope_within(scope, client->scope) || !tb_scope_within(scope, tb_oauth()->scopes))
        return tb_fail(req, TB_E_INVALID_SCOPE,
                       "scope, with what the authorization details imply, goes beyond what the "
                       "client has registered");
    TB_TRY(check_writes(req, scope, implied));
    return tb_request_put(req, params, "scope", scope);
}

/* ---- claims ---- */

/* What is asked of one claim: null, or an object that says how (OpenID Connect Core §5.5.1). */
static bool claim_good(const json_t *how)
{
    const json_t *essential = json_object_get(how, "essential");
    const json_t *values = json_object_get(how, "values");
    return json_is_null(how) ||
           (json_is_object(how) && (essential == NULL || json_is_boolean(essential)) &&
            (values == NULL || (json_is_array(values) && json_array_size(values) > 0)));
}

static bool claims_good(json_t *member)
{
    const char *name;
    json_t *how;
    if (!json_is_object(member))
        return false;
    json_object_foreach(member, name, how) if (!claim_good(how)) return false;
    return true;
}

/* What a claim that we could give is compared with: texts, as it is one. */
static bool compared_with_texts(const json_t *how)
{
    const json_t *value = json_object_get(how, "value"), *values = json_object_get(how, "values");
    for (size_t i = 0; i < json_array_size(values); i++)
        if (!json_is_string(json_array_get(values, i)))
            return false;
    return value == NULL || json_is_string(value);
}

/* What can never be given is refused now, not when a customer has come. */
static tb_err check_claims(struct tb_req *req, const json_t *claims)
{
    static const char *const PLACES[] = {"id_token", "userinfo"}, *const NAMES[] = {"sub", "acr"};
    const char *place;
    for (size_t i = 0; i < TB_COUNT(PLACES); i++)
        for (size_t j = 0; j < TB_COUNT(NAMES); j++)
            if (!compared_with_texts(json_object_get(json_object_get(claims, PLACES[i]), NAMES[j])))
                return tb_fail(req, TB_E_INVALID_REQUEST,
                               "claims: %s: %s must be compared with texts", PLACES[i], NAMES[j]);
    if (!tb_claims_fit(claims, "acr", true, TB_STR(TB_ACR_SCA), &place))
        return tb_fail(req, TB_E_UNMET_AUTHENTICATION_REQUIREMENTS,
                       "claims: %s: acr can only be " TB_ACR_SCA, place);
    return NULL;
}

tb_err tb_request_claims(struct tb_req *req, const struct tb_form *form, json_t *params)
{
    static const char *const MEMBERS[] = {"id_token", "userinfo"};
    struct tb_str text = tb_form_get(form, "claims");
    json_t *claims;
    if (text.at == NULL)
        return NULL;
    if (tb_json_parse(tb_run_of(req)->arena, text, &limits, &claims, NULL) != NULL ||
        !json_is_object(claims))
        return tb_fail(req, TB_E_INVALID_REQUEST, "claims is not an acceptable JSON object");
    json_t *kept = json_object();
    TB_TRY(put(req, params, "claims", kept));
    for (size_t i = 0; i < TB_COUNT(MEMBERS); i++) {
        json_t *member = json_object_get(claims, MEMBERS[i]);
        if (member == NULL || json_is_null(member))
            continue;
        if (!claims_good(member))
            return tb_fail(req, TB_E_INVALID_REQUEST,
                           "claims: %s must name claims, each with null or an object of "
                           "essential, value, values",
                           MEMBERS[i]);
        TB_TRY(put(req, kept, MEMBERS[i], json_incref(member)));
    }
    return check_claims(req, kept);
}
