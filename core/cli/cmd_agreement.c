/* tongbao agreement: what owners of accounts let partners take that may not debit them. */
#include "cli/admin.h"

enum { DAYS_MOST = 365, LIFE_DAYS_MOST = 36500 };

static const int64_t AMOUNT_MOST = INT64_C(9007199254740991);

static const struct tb_admin verbs[] = {
    {.command = "agreement list",
     .kind = TB_ADMIN_LIST,
     .sql = "select bank.agreement_json(a, t.at) from bank.agreement a "
            "cross join lateral (select consent.world_time(a.book, $4) as at) t "
            "where a.account = coalesce($1, a.account) and a.partner = coalesce($2, a.partner) and "
            "(bank.agreement_state(a, t.at) = 'active' or $3::text is not null) "
            "order by a.created_at desc, a.id limit 10000",
     .from = {TB_FROM_OPTION("account"), TB_FROM_OPTION("partner"), TB_FROM_OPTION("all"),
              TB_FROM_CLOCK}},
    {.command = "agreement add",
     .kind = TB_ADMIN_ACT,
     .wanted = "active",
     .sql = "select consent.admin_agree($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
     .from = {TB_FROM_FRESH_ID("agr"), TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1),
              TB_FROM_OPTION("each"), TB_FROM_OPTION("limit"), TB_FROM_OPTION("period"),
              TB_FROM_OPTION("days"), TB_FROM_OPTION("for"), TB_FROM_OPTION("document"),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "agreement end",
     .kind = TB_ADMIN_ACT,
     .sql = "select consent.admin_end_agreement($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
};

static int run(struct tb_cli *cli)
{
    return tb_admin_run(cli, verbs, TB_COUNT(verbs));
}

/* The database takes the texts; that they are numbers is said here. */
static int add(struct tb_cli *cli)
{
    int64_t number;
    if (!tb_cli_int(cli, "each", 1, AMOUNT_MOST, 1, &number) ||
        !tb_cli_int(cli, "limit", 1, AMOUNT_MOST, 1, &number) ||
        !tb_cli_int(cli, "days", 1, DAYS_MOST, DAYS_MOST, &number) ||
        !tb_cli_int(cli, "for", 1, LIFE_DAYS_MOST, 1, &number))
        return TB_EXIT_USAGE;
    return run(cli);
}

static const struct tb_option list_options[] = {
    {"account", "ACCOUNT", "only those about an account"},
    {"partner", "PARTNER", "only those with a partner"},
    {"all", NULL, "those that are over, too"},
    {.name = NULL},
};

const struct tb_command tb_command_agreement_list = {
    .name = "agreement list",
    .summary = "list what owners of accounts let partners take",
    .options = list_options,
    .example = "tongbao agreement list --account acc_01k9x3m6h0g00801v9r5t2n8qd",
    .run = run,
};

static const struct tb_option add_options[] = {
    {"each", "MINOR",
     "at most so much each time, in minor units (default: what a payment brought)"},
    {"limit", "MINOR", "at most so much in each period"},
    {"period", "PERIOD", "Day, Week, Month, Year, or Whole: all that is ever taken"},
    {"days", "N", "how long after a payment it may be refunded (default 365, the most)"},
    {"for", "DAYS", "run out in so many days (default: when it is ended)"},
    {"document", "TEXT", "the paper it stands on"},
    {.name = NULL},
};

const struct tb_command tb_command_agreement_add = {
    .name = "agreement add",
    .summary = "let a partner refund what it paid into an account that it may not debit",
    .arguments = "ACCOUNT PARTNER",
    .arguments_min = 2,
    .arguments_max = 2,
    .options = add_options,
    .about =
        "The account's owner must have agreed: --document names the paper. A refund never exceeds\n"
        "what its payment brought, and the account's own limits hold.",
    .example = "tongbao agreement add acc_01k9x3m6h0g00801v9r5t2n8qd \\\n"
               "    ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --each 50000 --document 'contract 2026-118'",
    .run = add,
};

const struct tb_command tb_command_agreement_end = {
    .name = "agreement end",
    .summary = "end an agreement; from then on it covers nothing",
    .arguments = "AGREEMENT",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao agreement end agr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = run,
};
