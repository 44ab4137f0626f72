/* See registration.h. */
#include "oauth/registration/registration.h"
#include "base/json.h"
#include "base/text.h"
#include "http/server.h"
#include "oauth/client/client_metadata.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <strings.h>
#include <tongbao/plugin.h>

static const char SQL_ADD_SECRET[] = "select oauth.add_secret($1, $2, $3, null)";

tb_err tb_registration_read(struct tb_req *req, json_t **out_asked)
{
    static const char TYPE[] = "application/json";
    static const struct tb_json_limits limits = {
        .bytes = 64 * 1024, .depth = 16, .members = 2000, .reals = true};
    struct tb_str type = tb_run_of(req)->in->content_type;
    struct tb_json_error where;
    size_t n = sizeof(TYPE) - 1;
    bool json = type.n >= n && strncasecmp(type.at, TYPE, n) == 0 &&
                (type.n == n || type.at[n] == ';' || type.at[n] == ' ');
    if (!json)
        return tb_fail(req, TB_E_MEDIA_TYPE, "the body must be application/json");
    tb_err err = tb_json_parse(tb_run_of(req)->arena, tb_body(req), &limits, out_asked, &where);
    if (err != NULL && err->status >= 500)
        return err;
    if (err != NULL)
        return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%s at line %u, column %u", where.reason,
                       where.line, where.column);
    if (!json_is_object(*out_asked))
        return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "the body must be a JSON object");
    return NULL;
}

struct tb_str tb_registration_token(struct tb_req *req)
{
    static const char SCHEME[] = "bearer ";
    struct tb_str field = tb_run_of(req)->in->authorization;
    size_t n = sizeof(SCHEME) - 1;
    if (field.n <= n || strncasecmp(field.at, SCHEME, n) != 0)
        return TB_STR_NONE;
    return (struct tb_str){field.at + n, field.n - n};
}

/* ---- judging ---- */

/* `requested` with what the statement claims over it. Claims that are no metadata are left out with
 * all other members we do not know. */
static tb_err vouch(struct tb_req *req, const json_t *requested, struct tb_str statement,
                    struct tb_judged *out, const json_t **out_asked)
{
    TB_TRY(tb_software_verify(req, statement, &out->vouched));
    json_t *merged = json_copy((json_t *)requested);
    if (!tb_json_defer(tb_run_of(req)->arena, merged) ||
        json_object_update(merged, out->vouched.claims) != 0)
        return TB_E_INTERNAL;
    *out_asked = merged;
    return NULL;
}

tb_err tb_registration_judge(struct tb_req *req, const json_t *requested, struct tb_judged *out)
{
    const struct tb_oauth_parts *parts = tb_oauth();
    const struct tb_metadata_rules rules = {.sandbox = parts->config->sandbox,
                                            .scopes = parts->scopes};
    const json_t *statement = json_object_get(requested, "software_statement");
    struct tb_text text;
    *out = (struct tb_judged){.metadata = NULL};
    if (statement != NULL && !json_is_string(statement))
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT, "the software statement is no text");
    if (statement == NULL && !rules.sandbox)
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT, "a software statement is needed here");
    if (statement != NULL)
        TB_TRY(
            vouch(req, requested, tb_json_str(requested, "software_statement"), out, &requested));
    TB_TRY(tb_client_metadata(req, requested, &rules, &out->metadata));
    if (statement != NULL) /* RFC 7591 §3.2.1: returned unmodified */
        json_object_set(out->metadata, "software_statement", (json_t *)statement);
    out->secret = tb_str_eq(tb_json_str(out->metadata, "token_endpoint_auth_method"),
                            TB_STR("client_secret_basic"));
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_json_canonical(&text, out->metadata);
    out->text = tb_text_end(&text);
    return out->text.at == NULL ? tb_fail(req, TB_E_INTERNAL, "the metadata is too large") : NULL;
}

/* ---- answering ---- */

tb_err tb_registration_answer(struct tb_req *req, int status, const struct tb_registered *client)
{
    json_t *answer = json_copy(client->metadata);
    json_object_set_new(answer, "client_id", json_stringn(client->app.at, client->app.n));
    json_object_set_new(answer, "client_id_issued_at", json_integer(client->issued_s));
    json_object_set_new(answer, "registration_access_token",
                        json_stringn(client->token.at, client->token.n));
    json_object_set_new(answer, "registration_client_uri",
                        json_sprintf("%s/oauth/register/%.*s", tb_oauth()->config->issuer,
                                     (int)client->app.n, client->app.at));
    if (client->secret.at != NULL) {
        json_object_set_new(answer, "client_secret",
                            json_stringn(client->secret.at, client->secret.n));
        json_object_set_new(answer, "client_secret_expires_at", json_integer(0));
    }
    if (client->sandbox != NULL)
        json_object_set_new(answer, "tongbao_sandbox", client->sandbox);
    return tb_reply_json(req, status, answer);
}

tb_err TB_SUSPENDS tb_registration_secret(struct tb_req *req, struct tb_tx *tx, struct tb_str app,
                                          struct tb_str *out_secret)
{
    char digest[TB_CLIENT_SECRET_CHARS + 1];
    char *secret = tb_alloc(req, TB_CLIENT_SECRET_CHARS + 1);
    struct tb_rows *rows;
    if (secret == NULL)
        return TB_E_INTERNAL;
    tb_client_secret_make(secret, digest);
    const struct tb_param params[] = {TB_TEXT(app), TB_TEXT(tb_str(digest)),
                                      TB_TIME(tb_oauth_now_s(req) * 1000)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_ADD_SECRET, params, TB_COUNT(params)));
    *out_secret = tb_str(secret);
    return NULL;
}
