/* Payees, for the pages that show them: the holders of the accounts that authorization
 * details name as creditors.
 *
 *     TB_TRY(tb_payees_read(req, user->book, &detail, 1, &facts.payees, &facts.payees_n));
 */
#ifndef TB_OAUTH_INTERACTION_PAYEES_H
#define TB_OAUTH_INTERACTION_PAYEES_H

#include "base/text.h"
#include "oauth/interaction/consent_terms.h"
#include <tongbao/req.h>

/** Find the holders' names.
 *  @param details      any may be NULL, and many may name the same account
 *  @param out_payees   those accounts that are of this bank, in the request's arena
 *  @return NULL; TB_E_INTERNAL (arena full); errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_payees_read(struct tb_req *req, int64_t book,
                                               const json_t *const *details, size_t details_n,
                                               const struct tb_payee **out_payees,
                                               size_t *out_payees_n);

/** Add ids of accounts to the text of a PostgreSQL array: "{acc_…" becomes "{acc_…,acc_…". Nothing
 *  but ids gets in.
 *  @param one   one id, or absent
 *  @param list  array of ids, or NULL */
void tb_account_ids_add(struct tb_text *array, struct tb_str one, const json_t *list);

#endif
