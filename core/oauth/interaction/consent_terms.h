/* Terms of a consent, in words and figures for the person who decides: the same list on the
 * page that asks and on the one that shows what was given. */
#ifndef TB_OAUTH_INTERACTION_CONSENT_TERMS_H
#define TB_OAUTH_INTERACTION_CONSENT_TERMS_H

#include "base/money.h"
#include "oauth/page/html.h"
#include <jansson.h>

/** Somebody to pay, by the account's id. */
struct tb_payee {
    struct tb_str account,
        name; /**< name: of the account's holder; absent: no account of this bank */
};

struct tb_consent_terms {
    const json_t *detail; /**< one authorization detail; NULL: a login alone */
    struct tb_str scope;  /**< blank-separated */
    const struct tb_payee *payees;
    size_t payees_n;
    int64_t zone_s; /**< what the clocks of the world show beyond UTC */
};

/** A list of terms and values: amount, payee, limits, validity, permissions. A sum comes first and
 *  large. */
void tb_consent_terms_write(struct tb_html *html, const struct tb_consent_terms *facts);

/** One more term and its value in a list of facts that has been begun; nothing for an absent value.
 */
void tb_fact(struct tb_html *html, enum tb_msg term, struct tb_str value);
void tb_consent_terms_begin(struct tb_html *html);
void tb_consent_terms_end(struct tb_html *html);

/** "CNY 1,234,567.89", in the arena; */
struct tb_str tb_fact_sum(struct tb_html *html, struct tb_money money);

/** of {"amount": 123456789, "currency": "CNY"}; absent when it is none. */
struct tb_str tb_fact_money(struct tb_html *html, const json_t *money);

/** An instant as the world's clocks show it, "2027-01-15 08:00 (UTC+08:00)"; absent when `text` is
 *  no RFC 3339 date-time. In the arena. */
struct tb_str tb_fact_time(struct tb_html *html, struct tb_str text, int64_t zone_s);

/** What a consent of the type is called in a list, "One payment"; absent or "identity": a login. */
struct tb_str tb_consent_title(const struct tb_html *html, struct tb_str type);

/** What the customer is about to allow, a sentence. */
struct tb_str tb_consent_question(const struct tb_html *html, struct tb_str type);

#endif
