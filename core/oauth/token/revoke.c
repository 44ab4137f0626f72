/* The list is read in order of revocation, page by page, each time from a little before the end of
 * the last reading: a row becomes visible when its transaction commits, later than its time says.
 * Rows met twice are in the set already and cost nothing. */
#include "oauth/token/revoke.h"
#include "oauth/rows.h"
#include "oauth/server.h"
#include <stdio.h>

enum { PAGE = 1000, OVERLAP_MS = 60 * 1000 };

static const char SQL_REVOKE[] =
    "insert into oauth.revoked_token (jti, expires_at, revoked_at) values ($1, $2, $3) "
    "on conflict do nothing";

static const char SQL_PAGE[] =
    "select jti, extract(epoch from expires_at)::bigint, "
    "(extract(epoch from revoked_at) * 1000)::bigint from oauth.revoked_token "
    "where (revoked_at, jti) > ($1, $2) and expires_at > $3 order by revoked_at, jti limit 1000";

static const char SQL_END[] = "select oauth.end_grant($1, $2, $3)";

static tb_err into_set(struct tb_req *req, struct tb_jti_set *set, struct tb_str jti, int64_t exp_s,
                       int64_t now_s)
{
    if (tb_jti_set_add(set, &jti, 1, exp_s, now_s) == TB_JTI_FULL)
        return tb_fail(req, TB_E_OVERLOAD, "the set of revoked tokens is full");
    return NULL;
}

tb_err TB_SUSPENDS tb_token_revoke(struct tb_req *req, struct tb_revocations *revocations,
                                   struct tb_str jti, int64_t exp_s, int64_t now_s)
{
    struct tb_rows *rows;
    if (exp_s <= now_s)
        return NULL;
    TB_TRY(into_set(req, revocations->set, jti, exp_s, now_s));
    return tb_query(req, &rows, SQL_REVOKE, TB_TEXT(jti), TB_TIME(exp_s * 1000),
                    TB_TIME(now_s * 1000));
}

tb_err tb_grant_ended(struct tb_req *req, struct tb_str grant_id)
{
    int64_t now_s = tb_oauth_now_s(req);
    return into_set(req, tb_oauth()->revocations->set, grant_id, now_s + TB_GRANT_REVOKED_S, now_s);
}

tb_err TB_SUSPENDS tb_grant_end(struct tb_req *req, struct tb_str grant_id, const char *by)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_END, TB_TEXT(grant_id), TB_TEXT(tb_str(by)),
                    TB_TIME(tb_oauth_now_s(req) * 1000)));
    return tb_grant_ended(req, grant_id);
}

tb_err TB_SUSPENDS tb_revocations_refresh(struct tb_req *req, struct tb_revocations *revocations,
                                          int64_t now_s)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_PAGE, TB_TIME(revocations->at_ms),
                    TB_TEXT(tb_str(revocations->after)), TB_TIME(now_s * 1000)));
    for (size_t i = 0; i < rows->n; i++) {
        struct tb_str jti = tb_cell(rows, i, 0);
        TB_TRY(into_set(req, revocations->set, jti, tb_oauth_int(rows, i, 1), now_s));
        snprintf(revocations->after, sizeof(revocations->after), "%.*s", (int)jti.n, jti.at);
        revocations->at_ms = tb_oauth_int(rows, i, 2);
    }
    revocations->behind = rows->n == PAGE;
    if (!revocations->behind) {
        int64_t back_ms = now_s * 1000 - OVERLAP_MS;
        revocations->at_ms = back_ms > 0 ? back_ms : 0;
        revocations->after[0] = '\0';
    }
    return NULL;
}
