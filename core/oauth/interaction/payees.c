/* One statement for all details of a page, however many name the same account. */
#include "oauth/interaction/payees.h"
#include "base/id.h"
#include "base/json.h"
#include "runtime/run.h"

static const char SQL_PAYEES[] =
    "select a.id, p.name from bank.account a join bank.party p on p.book = a.book and p.id = a.party "
    "where a.book = $1 and a.id = any ($2::text[])";

static void add_id(struct tb_text *array, struct tb_str id)
{
    if (!tb_id_check(id, "acc"))
        return;
    if (array->n > 1)
        tb_text_add_char(array, ',');
    tb_text_add(array, id);
}

void tb_account_ids_add(struct tb_text *array, struct tb_str one, const json_t *list)
{
    add_id(array, one);
    for (size_t i = 0; i < json_array_size(list); i++)
        add_id(array, tb_str(json_string_value(json_array_get(list, i))));
}

tb_err TB_SUSPENDS tb_payees_read(struct tb_req *req, int64_t book, const json_t *const *details,
                                  size_t details_n, const struct tb_payee **out_payees,
                                  size_t *out_payees_n)
{
    struct tb_text ids;
    struct tb_rows *rows;
    tb_text_init(&ids, tb_run_of(req)->arena);
    tb_text_add_char(&ids, '{');
    for (size_t i = 0; i < details_n; i++)
        tb_account_ids_add(&ids, tb_json_str(details[i], "creditor_account"),
                           tb_json_array(details[i], "creditor_accounts"));
    bool none = ids.n == 1;
    tb_text_add_char(&ids, '}');
    struct tb_str array = tb_text_end(&ids);
    *out_payees = NULL;
    *out_payees_n = 0;
    if (none)
        return NULL;
    if (array.at == NULL)
        return TB_E_INTERNAL;
    TB_TRY(tb_query(req, &rows, SQL_PAYEES, TB_INT(book), TB_TEXT(array)));
    struct tb_payee *payees = tb_alloc(req, (rows->n + 1) * sizeof(*payees));
    if (payees == NULL)
        return TB_E_INTERNAL;
    for (size_t i = 0; i < rows->n; i++)
        payees[i] = (struct tb_payee){tb_cell(rows, i, 0), tb_cell(rows, i, 1)};
    *out_payees = payees;
    *out_payees_n = rows->n;
    return NULL;
}
