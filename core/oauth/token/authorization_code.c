/* The database decides who takes a code; what is left here is to tell this machine's workers at
 * once when a second taker has ended the grant. */
#include "oauth/token/authorization_code.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "oauth/token/revoke.h"
#include "runtime/fault.h"
#include "runtime/run.h"

static const char SQL_TAKE[] = "select " TB_GRANT_ROW_COLUMNS
                               " from oauth.take_code($1, $2, $3, $4)";

tb_err TB_SUSPENDS tb_code_take(struct tb_req *req, struct tb_str code, struct tb_str client,
                                struct tb_str *out_refresh, struct tb_grant_row *out)
{
    struct tb_rows *rows;
    struct tb_handle refresh = {0};
    struct tb_str digest = tb_handle_digest(tb_run_of(req)->arena, code);
    int64_t now_s = tb_oauth_now_s(req);
    if (digest.at == NULL ||
        (out_refresh != NULL && !tb_handle_make(tb_run_of(req)->arena, &refresh)))
        return tb_fail(req, TB_E_INTERNAL, "no memory left");
    if (TB_FAULT("before_token_insert"))
        return tb_fail(req, TB_E_STORE, "fault");
    TB_TRY(tb_query(req, &rows, SQL_TAKE, TB_TEXT(digest), TB_TEXT(client), TB_TIME(now_s * 1000),
                    TB_TEXT(refresh.digest)));
    if (out_refresh != NULL)
        *out_refresh = refresh.text;
    if (TB_FAULT("after_code_consume"))
        return tb_fail(req, TB_E_STORE, "fault");
    if (tb_grant_row_read(rows, out))
        return NULL;
    if (tb_str_eq(tb_cell(rows, 0, 0), TB_STR("used")))
        TB_TRY(tb_grant_ended(req, out->id));
    return tb_fail(req, TB_E_INVALID_GRANT, "the code is not valid for this client");
}
