/* tongbao partner: who is connected to the bank, and their exit. */
#include "cli/admin.h"

static const struct tb_admin verbs[] = {
    {.command = "partner list",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('id', p.id, 'state', p.state, 'apps', (select count(*) from "
            "bank.app a where a.partner = p.id and a.state <> 'revoked'), 'created_at', "
            "tb.rfc3339(p.created_at), 'name', p.name)::text from bank.partner p "
            "where p.state = coalesce($1, p.state) order by p.created_at, p.id limit 10000",
     .from = {TB_FROM_OPTION("state")}},
    {.command = "partner create",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.make_partner($1, $2, $3, $4)",
     .from = {TB_FROM_FRESH_ID("ptr"), TB_FROM_NAME(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.command = "partner suspend",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_partner($1, 'suspended', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "suspended"},
    {.command = "partner resume",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_partner($1, 'active', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.command = "partner revoke",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.end_partner($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "revoked"},
};

static int run(struct tb_cli *cli)
{
    return tb_admin_run(cli, verbs, TB_COUNT(verbs));
}

#define ONE_PARTNER .arguments = "PARTNER", .arguments_min = 1, .arguments_max = 1, .run = run

static const struct tb_option list_options[] = {
    {"state", "STATE", "only those that are active, suspended or revoked"},
    {.name = NULL},
};

const struct tb_command tb_command_partner_list = {
    .name = "partner list",
    .summary = "list partners",
    .options = list_options,
    .example = "tongbao partner list --state active",
    .run = run,
};

const struct tb_command tb_command_partner_create = {
    .name = "partner create",
    .summary = "make a partner",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao partner create 'Jiangnan Fintech' --json",
    .run = run,
};

const struct tb_command tb_command_partner_suspend = {
    .name = "partner suspend",
    .summary = "stop everything a partner does, within a second, until it is resumed",
    .example = "tongbao partner suspend ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    ONE_PARTNER,
};

const struct tb_command tb_command_partner_resume = {
    .name = "partner resume",
    .summary = "let a suspended partner act again",
    .example = "tongbao partner resume ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    ONE_PARTNER,
};

const struct tb_command tb_command_partner_revoke = {
    .name = "partner revoke",
    .summary = "a partner's exit: its apps, secrets, consents, grants and access to accounts end",
    .about = "For good: a revoked partner cannot be resumed. What it did stays in the books.",
    .example = "tongbao partner revoke ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    ONE_PARTNER,
};
