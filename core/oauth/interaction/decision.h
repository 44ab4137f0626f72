/* A customer's decision becomes a grant: the request used up, the consent opened and decided, the
 * grant and its code written, in one transaction. Of two decisions on one request one counts.
 *
 *     struct tb_decision decision = {.asked = &asked, .session = &session, .approve = true, …};
 *     TB_TRY(tb_decide(req, &decision));
 */
#ifndef TB_OAUTH_INTERACTION_DECISION_H
#define TB_OAUTH_INTERACTION_DECISION_H

#include "oauth/handle.h"
#include "oauth/interaction/pending_request.h"

struct tb_decision {
    const struct tb_authz_request *asked;
    const struct tb_session *session; /**< a whole one; for a refusal without login NULL */
    bool approve;
    struct tb_str accounts; /**< chosen: "{acc_…}" (tb_consent_page_chosen), or absent */

    /* what came of it */
    struct tb_str refusal; /**< why it cannot be approved so, as consent.decide says: nothing was
                                done; absent: it was */
    struct tb_str status;  /**< of the consent: "AUTH", "AWAF"; absent when it was refused */
    struct tb_handle code; /**< for a pushed request that was approved */
};

/** Write the decision.
 *  @return NULL with decision->refusal set or not; TB_E_INVALID_REQUEST_URI (used up or expired
 *          meanwhile); errors of tb_tx_run: with TB_E_IN_DOUBT it may be written
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_decide(struct tb_req *req, struct tb_decision *decision);

/** What to tell the customer of a refusal of consent.decide. */
enum tb_msg tb_refusal_word(struct tb_str refusal);

#endif
