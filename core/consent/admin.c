/* Operators' commands of consents and agreements: what customers have allowed, and how the bank
 * ends it. */
#include "store/admin.h"

/* Most of --each and --limit (2^53 - 1, as in JSON), of --days and of --for. */
enum { REFUND_DAYS_MOST = 365, LIFE_DAYS_MOST = 36500 };

#define AMOUNT_MOST INT64_C(9007199254740991)

static const struct tb_option consent_list[] = {
    {"app", "APP", "only those of an app"},
    {"status", "CODE", "only those in a status: AWAU, AWAF, AUTH, RJCT, COND, CANC, EXPD"},
    {"company", "PARTY", "only those of a company"},
    {.name = NULL},
};

static const struct tb_option agreement_list[] = {
    {"account", "ACCOUNT", "only those about an account"},
    {"partner", "PARTNER", "only those with a partner"},
    {"all", NULL, "those that are over, too"},
    {.name = NULL},
};

static const struct tb_option agreement_add[] = {
    {"each", "MINOR",
     "at most so much each time, in minor units (default: what a payment brought)"},
    {"limit", "MINOR", "at most so much in each period"},
    {"period", "PERIOD", "Day, Week, Month, Year, or Whole: all that is ever taken"},
    {"days", "N", "how long after a payment it may be refunded (default 365, the most)"},
    {"for", "DAYS", "run out in so many days (default: when it is ended)"},
    {"document", "TEXT", "the paper it stands on"},
    {.name = NULL},
};

const struct tb_admin tb_consent_admin[] = {
    {.name = "consent list",
     .summary = "list consents",
     .options = consent_list,
     .example = "tongbao consent list --status AUTH",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('id', c.id, 'status', c.status, 'type', c.type, 'app', c.app, "
         "'company', c.company, 'user', c.subject, 'version', c.version, 'updated_at', "
         "tb.rfc3339(c.updated_at))::text from consent.consent c "
         "where c.app = coalesce($1, c.app) and c.status = coalesce($2, c.status) "
         "and c.company = coalesce($3, c.company) order by c.created_at desc, c.id limit 10000",
     .from = {TB_FROM_OPTION("app"), TB_FROM_OPTION("status"), TB_FROM_OPTION("company")}},
    {.name = "consent show",
     .summary = "show a consent as it stands",
     .arguments = "CONSENT",
     .arguments_min = 1,
     .arguments_max = 1,
     .example = "tongbao consent show cns_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
     .kind = TB_ADMIN_SHOW,
     .sql = "select consent.consent_json(c, consent.world_time(c.book, $2)) "
            "from consent.consent c where c.id = $1",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_CLOCK}},
    {.name = "consent revoke",
     .summary = "end a consent for the bank, with every token given under it",
     .arguments = "CONSENT",
     .arguments_min = 1,
     .arguments_max = 1,
     .example = "tongbao consent revoke cns_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select consent.admin_end_consent($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},

    {.name = "agreement list",
     .summary = "list what owners of accounts let partners take",
     .options = agreement_list,
     .example = "tongbao agreement list --account acc_01k9x3m6h0g00801v9r5t2n8qd",
     .kind = TB_ADMIN_LIST,
     .sql = "select bank.agreement_json(a, t.at) from bank.agreement a "
            "cross join lateral (select consent.world_time(a.book, $4) as at) t "
            "where a.account = coalesce($1, a.account) and a.partner = coalesce($2, a.partner) and "
            "(bank.agreement_state(a, t.at) = 'active' or $3::text is not null) "
            "order by a.created_at desc, a.id limit 10000",
     .from = {TB_FROM_OPTION("account"), TB_FROM_OPTION("partner"), TB_FROM_OPTION("all"),
              TB_FROM_CLOCK}},
    {.name = "agreement add",
     .summary = "let a partner refund what it paid into an account that it may not debit",
     .arguments = "ACCOUNT PARTNER",
     .arguments_min = 2,
     .arguments_max = 2,
     .options = agreement_add,
     .about =
         "The account's owner must have agreed: --document names the paper. A refund never exceeds\n"
         "what its payment brought, and the account's own limits hold.",
     .example = "tongbao agreement add acc_01k9x3m6h0g00801v9r5t2n8qd \\\n"
                "    ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --each 50000 --document 'contract 2026-118'",
     .kind = TB_ADMIN_ACT,
     .sql = "select consent.admin_agree($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
     .from = {TB_FROM_FRESH_ID("agr"), TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1),
              TB_FROM_NUMBER("each", AMOUNT_MOST), TB_FROM_NUMBER("limit", AMOUNT_MOST),
              TB_FROM_OPTION("period"), TB_FROM_NUMBER("days", REFUND_DAYS_MOST),
              TB_FROM_NUMBER("for", LIFE_DAYS_MOST), TB_FROM_OPTION("document"), TB_FROM_OPERATOR,
              TB_FROM_CLOCK},
     .wanted = "active"},
    {.name = "agreement end",
     .summary = "end an agreement; from then on it covers nothing",
     .arguments = "AGREEMENT",
     .arguments_min = 1,
     .arguments_max = 1,
     .example = "tongbao agreement end agr_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select consent.admin_end_agreement($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.name = NULL},
};
