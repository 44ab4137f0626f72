/* The page that asks a customer for a decision: who asks, for what exactly, with which accounts,
 * for how long; two buttons. The same for requests that were pushed and for those of the back
 * channel. */
#ifndef TB_OAUTH_INTERACTION_CONSENT_PAGE_H
#define TB_OAUTH_INTERACTION_CONSENT_PAGE_H

#include "oauth/form.h"
#include "oauth/interaction/pending_request.h"
#include "oauth/page/html.h"
#include "oauth/page/page.h"

enum { TB_ASK_ACCOUNTS_MAX = 50 /**< most accounts to choose from: a form has 64 fields */ };

struct tb_consent_page {
    const struct tb_authz_request *asked;
    const struct tb_session *session; /**< a whole one */
    enum tb_lang lang;
    int status;          /**< 200, or 400 with a problem */
    enum tb_msg problem; /**< why the form that was sent is not good enough; */
    bool has_problem;    /**< if it is not */
};

/** Answer with the page. Waits: yes, for the accounts and names it shows. */
tb_err TB_NODISCARD TB_SUSPENDS tb_consent_page_reply(struct tb_req *req,
                                                      const struct tb_consent_page *ask);

/** Whether the customer has to choose an account, or several, to approve. */
bool tb_consent_page_wants_account(const struct tb_authz_request *asked);

/** The accounts a form chose, as the text of a PostgreSQL array ("{acc_…,acc_…}"), which only ids
 *  of ours get into; absent when it chose none. In the arena. */
struct tb_str tb_consent_page_chosen(struct tb_req *req, const struct tb_form *form);

#endif
