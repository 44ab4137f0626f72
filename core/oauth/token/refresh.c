/* Refresh tokens by their digests: the statements around oauth.put_refresh and its like. */
#include "oauth/token/refresh.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "oauth/token/revoke.h"
#include "runtime/fault.h"
#include "runtime/run.h"

static const char SQL_PUT[] = "select oauth.put_refresh($1, $2, $3, $4)";
static const char SQL_USE[] = "select " TB_GRANT_ROW_COLUMNS " from oauth.use_refresh($1, $2, $3)";
static const char SQL_REVOKE[] = "select oauth.revoke_refresh($1, $2, $3)";
static const char SQL_LOOK[] =
    "select (oauth.grant_row('ok', g)).*, extract(epoch from r.expires_at)::bigint "
    "from oauth.refresh r join oauth.grants g on g.id = r.grant_id "
    "where r.digest = $1 and r.client = $2 and r.expires_at > $3 and g.ended_at is null";

static tb_err digest_of(struct tb_req *req, struct tb_str token, struct tb_str *out)
{
    *out = tb_handle_digest(tb_run_of(req)->arena, token);
    return out->at == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory left") : NULL;
}

static struct tb_param now(struct tb_req *req)
{
    return TB_TIME(tb_oauth_now_s(req) * 1000);
}

tb_err TB_SUSPENDS tb_refresh_make(struct tb_req *req, struct tb_str grant_id, struct tb_str client,
                                   struct tb_str *out_token)
{
    struct tb_rows *rows;
    struct tb_handle handle;
    if (!tb_handle_make(tb_run_of(req)->arena, &handle))
        return tb_fail(req, TB_E_INTERNAL, "no memory left");
    if (TB_FAULT("before_token_insert"))
        return tb_fail(req, TB_E_STORE, "fault");
    TB_TRY(tb_query(req, &rows, SQL_PUT, TB_TEXT(handle.digest), TB_TEXT(grant_id), TB_TEXT(client),
                    now(req)));
    if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t")))
        return tb_fail(req, TB_E_INVALID_GRANT, "the grant has ended");
    *out_token = handle.text;
    return NULL;
}

tb_err TB_SUSPENDS tb_refresh_use(struct tb_req *req, struct tb_str token, struct tb_str client,
                                  struct tb_grant_row *out)
{
    struct tb_rows *rows;
    struct tb_str digest;
    TB_TRY(digest_of(req, token, &digest));
    TB_TRY(tb_query(req, &rows, SQL_USE, TB_TEXT(digest), TB_TEXT(client), now(req)));
    if (!tb_grant_row_read(rows, out))
        return tb_fail(req, TB_E_INVALID_GRANT, "the refresh token is not valid for this client");
    return NULL;
}

tb_err TB_SUSPENDS tb_refresh_revoke(struct tb_req *req, struct tb_str token, struct tb_str client,
                                     bool *out_found)
{
    struct tb_rows *rows;
    struct tb_str digest;
    TB_TRY(digest_of(req, token, &digest));
    TB_TRY(tb_query(req, &rows, SQL_REVOKE, TB_TEXT(digest), TB_TEXT(client), now(req)));
    struct tb_str grant_id = tb_cell(rows, 0, 0);
    *out_found = grant_id.at != NULL;
    return *out_found ? tb_grant_ended(req, grant_id) : NULL;
}

tb_err TB_SUSPENDS tb_refresh_look(struct tb_req *req, struct tb_str token, struct tb_str client,
                                   bool *out_found, struct tb_grant_row *out, int64_t *out_exp_s)
{
    struct tb_rows *rows;
    struct tb_str digest;
    TB_TRY(digest_of(req, token, &digest));
    TB_TRY(tb_query(req, &rows, SQL_LOOK, TB_TEXT(digest), TB_TEXT(client), now(req)));
    *out_found = tb_grant_row_read(rows, out);
    if (*out_found)
        *out_exp_s = tb_cell_int(rows, 0, 15);
    return NULL;
}
