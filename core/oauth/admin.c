/* Operators' commands of the authorization server: what customers have granted, which apps may
 * introspect, and which users may log in. */
#include "store/admin.h"

static const struct tb_option grant_list[] = {
    {"app", "APP", "only those of an app"},
    {"user", "USER", "only those of a customer's user"},
    {"all", NULL, "those that have ended, too"},
    {.name = NULL},
};

static const struct tb_option app_server[] = {
    {"off", NULL, "it is one no longer"},
    {.name = NULL},
};

static const struct tb_option user_list[] = {
    {"company", "ID", "only those of this company"},
    {.name = NULL},
};

#define ONE_USER .arguments = "LOGIN", .arguments_min = 1, .arguments_max = 1

const struct tb_admin tb_oauth_admin[] = {
    {.name = "app server",
     .summary = "make an app a resource server, which may introspect tokens of others",
     .arguments = "APP",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = app_server,
     .example = "tongbao app server app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select oauth.set_resource_server($1, $2::text is null, $3, $4)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPTION("off"), TB_FROM_OPERATOR, TB_FROM_CLOCK}},

    {.name = "grant list",
     .summary = "list what customers have granted to apps",
     .options = grant_list,
     .example = "tongbao grant list --app app_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('id', g.id, 'app', g.client, 'user', g.subject, 'consent', "
         "g.consent, 'created_at', tb.rfc3339(g.created_at), 'ended_at', "
         "tb.rfc3339(g.ended_at), 'ended_by', g.ended_by, 'scope', g.scope)::text "
         "from oauth.grants g where g.client = coalesce($1, g.client) "
         "and g.subject = coalesce($2, g.subject) and (g.ended_at is null or $3::text is not null) "
         "order by g.created_at desc, g.id limit 10000",
     .from = {TB_FROM_OPTION("app"), TB_FROM_OPTION("user"), TB_FROM_OPTION("all")}},
    {.name = "grant revoke",
     .summary = "end a grant with its refresh token and access tokens",
     .arguments = "GRANT",
     .arguments_min = 1,
     .arguments_max = 1,
     .example = "tongbao grant revoke grn_01k9x3m5n7p9q1r3s5t7v9w1x3",
     .kind = TB_ADMIN_ACT,
     .sql = "select oauth.admin_end_grant($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},

    {.name = "user list",
     .summary = "list users who can log in at the bank's pages",
     .options = user_list,
     .example = "tongbao user list --json",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('login', u.login, 'state', u.state, 'role', u.role, 'id', u.id, "
         "'company', u.company, 'created_at', tb.rfc3339(u.created_at), 'name', u.name)::text "
         "from oauth.user_account u where u.company = coalesce($1, u.company) "
         "order by u.login limit 10000",
     .from = {TB_FROM_OPTION("company")}},
    {.name = "user lock",
     .summary = "keep a user from logging in; sessions end at once",
     ONE_USER,
     .example = "tongbao user lock wang@jiangnan",
     .kind = TB_ADMIN_ACT,
     .sql = "select oauth.set_user($1, 'locked', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "locked"},
    {.name = "user unlock",
     .summary = "let a locked user log in again",
     ONE_USER,
     .example = "tongbao user unlock wang@jiangnan",
     .kind = TB_ADMIN_ACT,
     .sql = "select oauth.set_user($1, 'active', $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK},
     .wanted = "active"},
    {.name = NULL},
};
