#include "oauth/user/session.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "http/server.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "oauth/user/cookie.h"
#include "runtime/run.h"

/* Using a session and reading it are one statement. Idle time never outlasts the whole. */
static const char SQL_FIND[] =
    "with s as (update oauth.browser_session set idle_until = least($3, expires_at) "
    "where digest = $1 and idle_until > $2 and expires_at > $2 returning *) "
    "select " TB_USER_COLUMNS ", s.state, s.acr, extract(epoch from s.auth_time)::bigint, "
    "extract(epoch from ($2 at time zone w.time_zone) - ($2 at time zone 'UTC'))::bigint "
    "from " TB_USER_TABLES " join s on s.user_id = u.id where u.state = 'active'";

static const char SQL_OPEN[] =
    "with old as (delete from oauth.browser_session where digest = $1) "
    "insert into oauth.browser_session (digest, user_id, state, acr, auth_time, idle_until, expires_at) "
    "values ($2, $3, $4, $5, $6, $7, $8)";

static const char SQL_CLOSE[] = "delete from oauth.browser_session where digest = $1";

/* ---- the cookie ---- */

/* What the browser sent, if it has the form of an id. HTTP/2 may send one field for each cookie. */
static struct tb_str sent(struct tb_req *req)
{
    const struct tb_incoming *in = tb_run_of(req)->in;
    unsigned char bytes[TB_HANDLE_BYTES + 1];
    size_t n;
    for (size_t i = 0; i < in->headers_n; i++) {
        struct tb_str id = tb_str_eq(in->headers[i].name, TB_STR("cookie"))
                               ? tb_cookie_in(in->headers[i].value, TB_STR(TB_SESSION_COOKIE "="))
                               : TB_STR_NONE;
        if (id.n == TB_HANDLE_CHARS && tb_base64url_read(id, bytes, &n) && n == TB_HANDLE_BYTES)
            return id;
    }
    return TB_STR_NONE;
}

static tb_err give(struct tb_req *req, struct tb_str id)
{
    struct tb_str cookie = tb_arena_format(
        tb_run_of(req)->arena, TB_SESSION_COOKIE "=%.*s; Path=/; Secure; HttpOnly; SameSite=Lax%s",
        (int)id.n, id.at, id.n == 0 ? "; Max-Age=0" : "");
    return cookie.at == NULL ? TB_E_INTERNAL : tb_set_header(req, "set-cookie", cookie);
}

/* ---- life ---- */

tb_err TB_SUSPENDS tb_session_find(struct tb_req *req, struct tb_session *out_session)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    int64_t now_s = tb_oauth_now_s(req);
    struct tb_rows *rows;
    *out_session = (struct tb_session){.id = sent(req)};
    if (out_session->id.at == NULL) {
        struct tb_handle handle;
        if (!tb_handle_make(arena, &handle))
            return TB_E_INTERNAL;
        out_session->id = handle.text;
        out_session->fresh = true;
        return give(req, handle.text);
    }
    TB_TRY(tb_query(req, &rows, SQL_FIND, TB_TEXT(tb_handle_digest(arena, out_session->id)),
                    TB_TIME(now_s * 1000), TB_TIME((now_s + TB_SESSION_IDLE_S) * 1000)));
    if (rows->n == 0)
        return NULL;
    TB_TRY(tb_user_of_row(req, rows, 0, &out_session->user));
    out_session->whole = tb_str_eq(tb_cell(rows, 0, TB_USER_COLUMNS_N), TB_STR("whole"));
    out_session->half = !out_session->whole;
    out_session->acr = tb_cell(rows, 0, TB_USER_COLUMNS_N + 1);
    out_session->auth_time_s = tb_cell_int(rows, 0, TB_USER_COLUMNS_N + 2);
    out_session->zone_s = tb_cell_int(rows, 0, TB_USER_COLUMNS_N + 3);
    return NULL;
}

tb_err TB_SUSPENDS tb_session_open(struct tb_req *req, struct tb_session *session,
                                   const struct tb_user *user, bool whole)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    int64_t now_s = tb_oauth_now_s(req);
    int64_t life_s = whole ? TB_SESSION_LIFE_S : TB_SESSION_HALF_S;
    int64_t idle_s = whole ? TB_SESSION_IDLE_S : TB_SESSION_HALF_S;
    struct tb_rows *rows;
    struct tb_handle handle;
    if (!tb_handle_make(arena, &handle))
        return TB_E_INTERNAL;
    TB_TRY(tb_query(req, &rows, SQL_OPEN, TB_TEXT(tb_handle_digest(arena, session->id)),
                    TB_TEXT(handle.digest), TB_TEXT(user->id),
                    TB_TEXT(whole ? TB_STR("whole") : TB_STR("half")),
                    whole ? TB_TEXT(TB_STR(TB_ACR_SCA)) : TB_NULL, TB_TIME(now_s * 1000),
                    TB_TIME((now_s + idle_s) * 1000), TB_TIME((now_s + life_s) * 1000)));
    session->id = handle.text;
    return give(req, handle.text);
}

tb_err TB_SUSPENDS tb_session_close(struct tb_req *req, struct tb_session *session)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_CLOSE,
                    TB_TEXT(tb_handle_digest(tb_run_of(req)->arena, session->id))));
    *session = (struct tb_session){.id = TB_STR("")};
    return give(req, session->id);
}

/* ---- forms ---- */

struct tb_str tb_session_token(struct tb_arena *arena, const struct tb_session *session)
{
    unsigned char code[TB_SHA256_BYTES];
    struct tb_secret key = {NULL, 0};
    tb_secret_derive(&key, &tb_oauth()->master, "tongbao forms 1");
    struct tb_hmac *hmac = tb_hmac_new(TB_BYTES(key.at, key.n));
    tb_hmac_sha256(hmac, &session->id, 1, code);
    tb_hmac_free(hmac);
    tb_secret_wipe(&key);
    return tb_base64url(arena, TB_BYTES(code, sizeof(code)));
}

/* What a browser says of where a form came from. Our pages send no referrer, for which browsers
 * call their origin "null" and Sec-Fetch-Site tells the truth; one that sends neither says nothing,
 * and the token alone decides. */
static bool from_elsewhere(struct tb_req *req)
{
    struct tb_str site = tb_header(req, "sec-fetch-site");
    struct tb_str origin = tb_header(req, "origin");
    if (site.at != NULL && !tb_str_eq(site, TB_STR("same-origin")))
        return true;
    return origin.at != NULL && !tb_str_eq(origin, TB_STR("null")) &&
           !tb_str_eq(origin, tb_str(tb_oauth()->config->issuer));
}

tb_err tb_session_check(struct tb_req *req, const struct tb_session *session,
                        const struct tb_form *form)
{
    struct tb_str token = tb_session_token(tb_run_of(req)->arena, session);
    if (from_elsewhere(req))
        return tb_fail(req, TB_E_FORM_FOREIGN, "the form came from another site");
    if (session->fresh || token.at == NULL || !tb_same_secret(token, tb_form_get(form, "csrf")))
        return tb_fail(req, TB_E_FORM_FOREIGN, "the form does not belong to this session");
    return NULL;
}
