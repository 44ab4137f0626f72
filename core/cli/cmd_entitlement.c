/* tongbao entitlement and interface: what an app may use, and what the bank has stopped for
 * everybody. */
#include "cli/admin.h"

static const struct tb_admin verbs[] = {
    {.command = "entitlement list",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('app', e.app, 'product', e.product, 'environment', "
            "e.environment, 'operation', e.operation, 'since', tb.rfc3339(e.since))::text "
            "from bank.entitlement e where e.app = coalesce($1, e.app) "
            "order by e.app, e.product, e.operation limit 10000",
     .from = {TB_FROM_ARGUMENT(0)}},
    {.command = "entitlement grant",
     .kind = TB_ADMIN_ACT,
     .sql = "select case e when 'full' then 'at its 10000 entitlements; grant whole products' else "
            "'granted' end from directory.entitle($1, $2, $3, $4, $5) e where e is not null",
     .wanted = "granted",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1), TB_FROM_ARGUMENT_OR(2, ""),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "entitlement withdraw",
     .kind = TB_ADMIN_ACT,
     .sql = "select 'withdrawn' where directory.withdraw($1, $2, $3, $4, $5) is not null",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1), TB_FROM_ARGUMENT_OR(2, ""),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "interface list",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('product', s.product, 'operation', s.operation, 'since', "
            "tb.rfc3339(s.since), 'reason', s.reason)::text from bank.stop s "
            "order by s.product, s.operation limit 10000"},
    {.command = "interface stop",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.stop_interface($1, $2, $3, $4, $5)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT_OR(1, ""), TB_FROM_NOTE("reason", "not said"),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "interface start",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.start_interface($1, $2, $3, $4)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT_OR(1, ""), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
};

static int run(struct tb_cli *cli)
{
    return tb_admin_run(cli, verbs, TB_COUNT(verbs));
}

static const char OPERATIONS[] =
    "An operation is named as in its route: 'POST /e-payment/v1/payments'. Without one the whole\n"
    "product is meant; `tongbao plugin doc` lists the operations of a product.";

const struct tb_command tb_command_entitlement_list = {
    .name = "entitlement list",
    .summary = "list what apps may use; what is not listed is refused",
    .arguments = "[APP]",
    .arguments_max = 1,
    .example = "tongbao entitlement list app_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = run,
};

const struct tb_command tb_command_entitlement_grant = {
    .name = "entitlement grant",
    .summary = "let an app use a product, or one operation, in the environment of its world",
    .arguments = "APP PRODUCT [OPERATION]",
    .arguments_min = 2,
    .arguments_max = 3,
    .about = OPERATIONS,
    .example = "tongbao entitlement grant app_01k9x3m5n7p9q1r3s5t7v9w1x3 e-payment",
    .run = run,
};

const struct tb_command tb_command_entitlement_withdraw = {
    .name = "entitlement withdraw",
    .summary = "take an entitlement back; it counts for nothing within a second",
    .arguments = "APP PRODUCT [OPERATION]",
    .arguments_min = 2,
    .arguments_max = 3,
    .about = OPERATIONS,
    .example = "tongbao entitlement withdraw app_01k9x3m5n7p9q1r3s5t7v9w1x3 e-payment",
    .run = run,
};

const struct tb_command tb_command_interface_list = {
    .name = "interface list",
    .summary = "list the interfaces that are stopped",
    .example = "tongbao interface list",
    .run = run,
};

static const struct tb_option stop_options[] = {
    {"reason", "TEXT", "why, for the operator's view of decision traces"},
    {.name = NULL},
};

const struct tb_command tb_command_interface_stop = {
    .name = "interface stop",
    .summary = "refuse a product, or one operation, to everybody within a second",
    .arguments = "PRODUCT [OPERATION]",
    .arguments_min = 1,
    .arguments_max = 2,
    .options = stop_options,
    .about = OPERATIONS,
    .example =
        "tongbao interface stop e-payment 'POST /e-payment/v1/payments' --reason 'core outage'",
    .run = run,
};

const struct tb_command tb_command_interface_start = {
    .name = "interface start",
    .summary = "serve a stopped interface again",
    .arguments = "PRODUCT [OPERATION]",
    .arguments_min = 1,
    .arguments_max = 2,
    .about = OPERATIONS,
    .example = "tongbao interface start e-payment 'POST /e-payment/v1/payments'",
    .run = run,
};
