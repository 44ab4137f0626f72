/* Consents: what a customer of the bank allows a partner's app to do, for how long and up to which
 * amounts. The rules live in SQL (schema `consent`), where a use and its effect commit together;
 * here are the stage that judges a token standing for a customer, and the product by which a
 * partner reads its consents and gives them back. */
#ifndef TB_CONSENT_CONSENT_H
#define TB_CONSENT_CONSENT_H

#include "crypto/grant.h"
#include <tongbao/plugin.h>
#include <tongbao/req.h>

/** Served as `consents`: list, read and revoke consents, and their receipts. */
extern const struct tb_plugin tb_consents_product;

/** What a request wants of the consent that its token stands for. Texts are borrowed. */
struct tb_consent_use {
    struct tb_str operation; /**< method and template: "GET /accounts/v1/accounts" */
    const char *types;       /**< detail types that open it: "payment|mandate"; NULL: none do */
    bool writes;             /**< its effect is bound to the consent where it happens, in SQL */
    bool any;                /**< it only tells who the customer is: any consent opens it */
    struct tb_str account;   /**< the path's account, or absent */
    struct tb_str request;   /**< id of the request, for the receipt */
};

/** Judge the request by the consent its token stands for, and write a receipt of the use.
 *
 *  A token of the app itself passes. One that stands for a customer passes where a consent of one
 *  of the types is in force at the time of the world, is of this app, covers the account, and has a
 *  use left today. What `writes` is judged by the product's batched function instead, in the
 *  transaction of the effect (consent.draw): a retry must find its answer though the consent is
 *  used up. A token whose consent has ended, whoever ended it, is told so here.
 *
 *  @param grant  the token's, already checked
 *  @return NULL; TB_E_CONSENT_REVOKED, TB_E_CONSENT_EXPIRED, TB_E_CONSENT_PENDING,
 *          TB_E_CONSENT_MISMATCH, TB_E_CONSENT_LIMIT; TB_E_NOT_FOUND (the
 *          account is not one of the consent's); errors of tb_query
 *  Waits: yes, for tokens that stand for a customer: one statement.
 *  Source: FAPI 2.0 Security Profile §5.3.4; RFC 9396 §9; UK Open Banking v4 consent model. */
tb_err TB_NODISCARD TB_SUSPENDS tb_consent_stage(struct tb_req *req, const struct tb_grant *grant,
                                                 const struct tb_consent_use *use);

/** End a consent for the customer (`by_kind` "customer", `by` a user), the bank ("bank", who) or
 *  the partner ("partner", its id), with every token and refresh token given under it: on this
 *  machine before the return, elsewhere within a second. Ending it again changes nothing.
 *  @return NULL; TB_E_NOT_FOUND (none such in the book for them); errors of tb_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_consent_revoke(struct tb_req *req, int32_t book,
                                                  struct tb_str consent, const char *by_kind,
                                                  struct tb_str by);

#endif
