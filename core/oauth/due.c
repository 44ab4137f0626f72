/* Due work of the authorization server: certificates that end are events, and what is over is
 * forgotten. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_oauth_due[] = {
    {"tell_certificates", 3600 * TB_DUE_TURN_MS,
     TB_DUE_BOOKS
     "exists (select from oauth.certificate c join bank.app a on a.id = c.client where "
     "a.world = b.world and c.expires_at between $1::timestamptz and "
     "$1::timestamptz + interval '60 days')" TB_DUE_PAGE,
     "select oauth.tell_certificates($1, $2)", false},
    {"forget_requests", 60 * TB_DUE_TURN_MS, NULL,
     "select oauth.forget_requests($1, interval '1 day', 10000)", false},
    {"forget_sessions", 10 * TB_DUE_TURN_MS, NULL, "select oauth.forget_sessions($1, 10000)",
     false},
    {"forget_grants", 60 * TB_DUE_TURN_MS, NULL, "select oauth.forget_grants($1, 10000)", false},
    {"forget_expired", 10 * TB_DUE_TURN_MS, NULL, "select oauth.forget_expired($1, 50000)", false},
    {"forget_registrations", 600 * TB_DUE_TURN_MS, NULL, "select oauth.forget_registrations($1)",
     false},
    {0},
};
