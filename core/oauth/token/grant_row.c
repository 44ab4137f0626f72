/* Rows of oauth.grant_row as a struct. */
#include "oauth/token/grant_row.h"
#include "oauth/errors.h"

static const char SQL_FIND[] = "select (oauth.grant_row('ok', g)).* from oauth.grants g "
                               "where g.id = $1 and g.ended_at is null";

bool tb_grant_row_read(const struct tb_rows *rows, struct tb_grant_row *out)
{
    *out = (struct tb_grant_row){.id = TB_STR_NONE};
    if (rows->n != 1)
        return false;
    *out = (struct tb_grant_row){
        .id = tb_cell(rows, 0, 1),
        .book = (int32_t)tb_cell_int(rows, 0, 2),
        .partner = tb_cell(rows, 0, 3),
        .subject = tb_cell(rows, 0, 4),
        .scope = tb_cell(rows, 0, 5),
        .details = tb_cell(rows, 0, 6),
        .consent = tb_cell(rows, 0, 7),
        .claims = tb_cell(rows, 0, 8),
        .nonce = tb_cell(rows, 0, 9),
        .acr = tb_cell(rows, 0, 10),
        .auth_time_s = tb_cell_int(rows, 0, 11),
        .challenge = tb_cell(rows, 0, 12),
        .dpop_jkt = tb_cell(rows, 0, 13),
        .redirect_uri = tb_cell(rows, 0, 14),
    };
    return tb_str_eq(tb_cell(rows, 0, 0), TB_STR("ok"));
}

tb_err TB_SUSPENDS tb_grant_row_find(struct tb_req *req, struct tb_str id, struct tb_grant_row *out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_FIND, TB_TEXT(id)));
    if (!tb_grant_row_read(rows, out))
        return tb_fail(req, TB_E_INVALID_GRANT, "the grant has ended");
    return NULL;
}
