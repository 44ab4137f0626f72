/* Operators' commands of the directory: partners and apps, what an app may use, and what the bank
 * has stopped for everybody. */
#include "store/admin.h"

/* ---- partners ---- */

#define ONE_PARTNER .arguments = "PARTNER", .arguments_min = 1, .arguments_max = 1

static const struct tb_option partner_list[] = {
    {"state", "STATE", "only those that are active, suspended or revoked"},
    {.name = NULL},
};

/* ---- apps ---- */

#define ONE_APP .arguments = "APP", .arguments_min = 1, .arguments_max = 1

static const struct tb_option app_list[] = {
    {"partner", "PARTNER", "only those of a partner"},
    {"state", "STATE", "only those that are pending, active, suspended or revoked"},
    {.name = NULL},
};

/* ---- entitlements and stops ---- */

static const char OPERATIONS[] =
    "An operation is named as in its route: 'POST /e-payment/v1/payments'. Without one the whole\n"
    "product is meant; `tongbao plugin doc` lists the operations of a product.";

static const struct tb_option interface_stop[] = {
    {"reason", "TEXT", "why, for the operator's view of decision traces"},
    {.name = NULL},
};

/* ---- the commands ---- */

const struct tb_admin tb_directory_admin[] = {
    {.name = "partner list",
     .summary = "list partners",
     .options = partner_list,
     .example = "tongbao partner list --state active",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('id', p.id, 'state', p.state, 'apps', (select count(*) from "
            "bank.app a where a.partner = p.id and a.state <> 'revoked'), 'created_at', "
            "tb.rfc3339(p.created_at), 'name', p.name)::text from bank.partner p "
            "where p.state = coalesce($1, p.state) order by p.created_at, p.id limit 10000",
     .from = {TB_FROM_OPTION("state")}},
    {.name = "partner create",
     .summary = "make a partner",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .example = "tongbao partner create 'Jiangnan Fintech' --json",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.make_partner($1, $2, $3, $4)",
     .from = {TB_FROM_FRESH_ID("ptr"), TB_FROM_NAME(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.name = "partner suspend",
     .summary = "stop everything a partner does, within a second, until it is resumed",
     ONE_PARTNER,
     .example = "tongbao partner suspend ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_state('partner', $1, 'suspended', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "suspended"},
    {.name = "partner resume",
     .summary = "let a suspended partner act again",
     ONE_PARTNER,
     .example = "tongbao partner resume ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_state('partner', $1, 'active', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.name = "partner revoke",
     .summary = "a partner's exit: its apps, secrets, consents, grants and access to accounts end",
     ONE_PARTNER,
     .about = "For good: a revoked partner cannot be resumed. What it did stays in the books.",
     .example = "tongbao partner revoke ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.end_partner($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "revoked"},

    {.name = "app list",
     .summary = "list apps; those that registered and wait for approval are pending",
     .options = app_list,
     .example = "tongbao app list --state pending",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('id', a.id, 'partner', a.partner, 'world', a.world, "
            "'environment', w.kind, 'state', a.state, 'auth', c.auth, 'created_at', "
            "tb.rfc3339(a.created_at), 'name', a.name)::text from bank.app a "
            "join bank.world w on w.id = a.world left join oauth.client c on c.app = a.id "
            "where a.partner = coalesce($1, a.partner) and a.state = coalesce($2, a.state) "
            "order by a.created_at, a.id limit 10000",
     .from = {TB_FROM_OPTION("partner"), TB_FROM_OPTION("state")}},
    {.name = "app show",
     .summary = "show an app: state, entitlements, limits, secrets, certificates, metadata",
     ONE_APP,
     .example = "tongbao app show app_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
     .kind = TB_ADMIN_SHOW,
     .sql =
         "select json_build_object('id', a.id, 'partner', a.partner, 'world', a.world, "
         "'environment', w.kind, 'state', a.state, 'name', a.name, 'plain_tokens', a.plain_tokens, "
         "'resource_server', c.resource_server, 'created_at', tb.rfc3339(a.created_at), "
         "'entitlements', (select coalesce(json_agg(concat_ws(' ', nullif(e.product, ''), "
         "nullif(e.operation, '')) order by e.product, e.operation), '[]') from bank.entitlement e "
         "where e.app = a.id), 'limits', (select coalesce(json_agg(json_build_object('name', l.name, "
         "'product', l.product, 'operation', l.route, 'quota', l.quota, 'window_ms', l.window_ms)), "
         "'[]') from bank.app_limit l where l.app = a.id), 'secrets', (select "
         "coalesce(json_agg(json_build_object('created_at', tb.rfc3339(s.created_at), 'expires_at', "
         "tb.rfc3339(s.expires_at)) order by s.created_at), '[]') from oauth.client_secret s "
         "where s.app = a.id), 'certificates', (select coalesce(json_agg(json_build_object("
         "'thumbprint', x.thumbprint, 'subject', x.subject, 'expires_at', tb.rfc3339(x.expires_at)) "
         "order by x.expires_at), '[]') from oauth.certificate x where x.client = a.id), "
         "'metadata', c.metadata)::text from bank.app a join bank.world w on w.id = a.world "
         "left join oauth.client c on c.app = a.id where a.id = $1",
     .from = {TB_FROM_ARGUMENT(0)}},
    {.name = "app suspend",
     .summary = "stop everything an app does, within a second, until it is resumed",
     ONE_APP,
     .example = "tongbao app suspend app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_state('app', $1, 'suspended', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "suspended"},
    {.name = "app resume",
     .summary = "let a suspended app act again, or approve a pending one",
     ONE_APP,
     .example = "tongbao app resume app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.set_state('app', $1, 'active', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.name = "app revoke",
     .summary = "end an app for good, with its secrets, consents and grants",
     ONE_APP,
     .example = "tongbao app revoke app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.revoke_app($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "revoked"},

    {.name = "entitlement list",
     .summary = "list what apps may use; what is not listed is refused",
     .arguments = "[APP]",
     .arguments_max = 1,
     .example = "tongbao entitlement list app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('app', e.app, 'product', e.product, 'environment', "
            "e.environment, 'operation', e.operation, 'since', tb.rfc3339(e.since))::text "
            "from bank.entitlement e where e.app = coalesce($1, e.app) "
            "order by e.app, e.product, e.operation limit 10000",
     .from = {TB_FROM_ARGUMENT(0)}},
    {.name = "entitlement grant",
     .summary = "let an app use a product, or one operation, in the environment of its world",
     .arguments = "APP PRODUCT [OPERATION]",
     .arguments_min = 2,
     .arguments_max = 3,
     .about = OPERATIONS,
     .example = "tongbao entitlement grant app_01k9x3m5n7p9q1r3s5t7v9w1x3 e-payment",
     .kind = TB_ADMIN_ACT,
     .sql = "select case e when 'full' then 'at its 10000 entitlements; grant whole products' else "
            "'granted' end from directory.entitle($1, $2, $3, $4, $5) e where e is not null",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1), TB_FROM_ARGUMENT_OR(2, ""),
              TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "granted"},
    {.name = "entitlement withdraw",
     .summary = "take an entitlement back; it counts for nothing within a second",
     .arguments = "APP PRODUCT [OPERATION]",
     .arguments_min = 2,
     .arguments_max = 3,
     .about = OPERATIONS,
     .example = "tongbao entitlement withdraw app_01k9x3m5n7p9q1r3s5t7v9w1x3 e-payment",
     .kind = TB_ADMIN_ACT,
     .sql = "select 'withdrawn' where directory.withdraw($1, $2, $3, $4, $5) is not null",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT(1), TB_FROM_ARGUMENT_OR(2, ""),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},

    {.name = "interface list",
     .summary = "list the interfaces that are stopped",
     .example = "tongbao interface list",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('product', s.product, 'operation', s.operation, 'since', "
            "tb.rfc3339(s.since), 'reason', s.reason)::text from bank.stop s "
            "order by s.product, s.operation limit 10000"},
    {.name = "interface stop",
     .summary = "refuse a product, or one operation, to everybody within a second",
     .arguments = "PRODUCT [OPERATION]",
     .arguments_min = 1,
     .arguments_max = 2,
     .options = interface_stop,
     .about = OPERATIONS,
     .example = "tongbao interface stop e-payment 'POST /e-payment/v1/payments' --reason 'core "
                "outage'",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.stop_interface($1, $2, $3, $4, $5)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT_OR(1, ""), TB_FROM_NOTE("reason", "not said"),
              TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.name = "interface start",
     .summary = "serve a stopped interface again",
     .arguments = "PRODUCT [OPERATION]",
     .arguments_min = 1,
     .arguments_max = 2,
     .about = OPERATIONS,
     .example = "tongbao interface start e-payment 'POST /e-payment/v1/payments'",
     .kind = TB_ADMIN_ACT,
     .sql = "select directory.start_interface($1, $2, $3, $4)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_ARGUMENT_OR(1, ""), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.name = NULL},
};
