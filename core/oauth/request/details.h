/* Rich authorization requests (RFC 9396): what exactly a client asks its customer for, as JSON. A
 * request has one detail, of a type that a product declares (struct tb_detail_type) with a JSON
 * Schema that refuses unknown members. The members that all types share, the platform's terms, are
 * judged, narrowed and enforced by the platform.
 *
 *     TB_TRY(tb_details_check(req, details));
 *     struct tb_str scope = tb_scope_join(arena, asked, tb_details_scope(details));
 */
#ifndef TB_OAUTH_REQUEST_DETAILS_H
#define TB_OAUTH_REQUEST_DETAILS_H

#include "base/arena.h"
#include <jansson.h>
#include <tongbao/req.h>

/** What a consent to a detail does, by the platform's terms that stand in it (tongbao/plugin.h).
 * SQL knows the same kinds (consent.kind). */
enum tb_detail_kind {
    TB_DETAIL_PLAIN,  /**< opens operations; no account is chosen */
    TB_DETAIL_ONCE,   /**< one payment of exactly `amount` */
    TB_DETAIL_LIMITS, /**< payments of at most `maximum_individual_amount`, within limits */
    TB_DETAIL_READS,  /**< reading of accounts, of which several may be chosen */
};

/** The kind of one checked detail; plain for NULL. */
enum tb_detail_kind tb_details_kind(const json_t *detail);

/** The types that the products declare, with `joint` between; in the arena. */
struct tb_str tb_details_types(struct tb_arena *arena, const char *joint);

/** What a customer is asked for when a client sends a scope without details: a new reference to an
 *  array of one, or NULL when no type of the scope has such a detail.
 *  @return false when memory is out */
bool TB_NODISCARD tb_details_from_scope(struct tb_str scope, json_t **out_details);

/** Whether a scope alone may have led to details of the type. */
bool tb_details_is_from_scope(struct tb_str type);

/** Check authorization details: an array of one detail that satisfies its type's schema, amounts of
 *  known currencies and more than zero, times in their order, each limit once.
 *  @return NULL; TB_E_INVALID_AUTHORIZATION_DETAILS, where the detail begins with the JSON pointer
 *          of the place that is wrong: "/0/amount/currency is not a currency"
 *  Waits: no. Source: RFC 9396 §5. */
tb_err TB_NODISCARD tb_details_check(struct tb_req *req, json_t *details);

/** Whether checked details can still come into force.
 *  @param now_ms  the time of the world that they are for
 *  @return NULL; TB_E_INVALID_AUTHORIZATION_DETAILS */
tb_err TB_NODISCARD tb_details_timely(struct tb_req *req, const json_t *details, int64_t now_ms);

/** The types whose details imply this scope, "payment or mandate"; absent when none does, or the
 *  arena is full. */
struct tb_str tb_details_implying(struct tb_arena *arena, struct tb_str scope);

/** The type of checked details: "payment"; absent when there are none (NULL). */
struct tb_str tb_details_type(const json_t *details);

/** The scopes that checked details imply, blank-separated constant text; absent for NULL. */
struct tb_str tb_details_scope(const json_t *details);

/** What is left of granted details when a client asks for `asked` instead: on refresh it may narrow
 *  what it has, never widen it. A member that `asked` leaves out stays as it was granted, so what a
 *  client first asked for, before the customer chose accounts, is within what became of it.
 *  @param granted  NULL: none, and nothing is within
 *  @param asked    checked
 *  @return a new reference to the details the token should carry; NULL when `asked` is not within
 *          `granted`
 *  Waits: no. Source: RFC 9396 §6.1. */
json_t *tb_details_within(const json_t *granted, const json_t *asked);

#endif
