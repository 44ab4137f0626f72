/* tongbao grant, consent and act: what customers have allowed, how the bank ends it, and the record
 * of who did what. */
#include "cli/admin.h"

static const struct tb_admin verbs[] = {
    {.command = "grant list",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('id', g.id, 'app', g.client, 'user', g.subject, 'consent', "
         "g.consent, 'created_at', tb.rfc3339(g.created_at), 'ended_at', "
         "tb.rfc3339(g.ended_at), 'ended_by', g.ended_by, 'scope', g.scope)::text "
         "from oauth.grants g where g.client = coalesce($1, g.client) "
         "and g.subject = coalesce($2, g.subject) and (g.ended_at is null or $3::text is not null) "
         "order by g.created_at desc, g.id limit 10000",
     .from = {TB_FROM_OPTION("app"), TB_FROM_OPTION("user"), TB_FROM_OPTION("all")}},
    {.command = "grant revoke",
     .kind = TB_ADMIN_ACT,
     .sql = "select oauth.admin_end_grant($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "consent list",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('id', c.id, 'status', c.status, 'type', c.type, 'app', c.app, "
         "'company', c.company, 'user', c.subject, 'version', c.version, 'updated_at', "
         "tb.rfc3339(c.updated_at))::text from consent.consent c "
         "where c.app = coalesce($1, c.app) and c.status = coalesce($2, c.status) "
         "and c.company = coalesce($3, c.company) order by c.created_at desc, c.id limit 10000",
     .from = {TB_FROM_OPTION("app"), TB_FROM_OPTION("status"), TB_FROM_OPTION("company")}},
    {.command = "consent show",
     .kind = TB_ADMIN_SHOW,
     .sql = "select consent.consent_json(c, consent.world_time(c.book, $2)) "
            "from consent.consent c where c.id = $1",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_CLOCK}},
    {.command = "consent revoke",
     .kind = TB_ADMIN_ACT,
     .sql = "select consent.admin_end_consent($1, $2, $3)",
     .from = {TB_FROM_ARGUMENT(0), TB_FROM_OPERATOR, TB_FROM_CLOCK}},
    {.command = "act list",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('n', l.n, 'at', tb.rfc3339(l.at), 'who', l.who, 'act', l.act, "
         "'object', l.object, 'before', l.before, 'after', l.after)::text from "
         "(select * from tb.audit_entry a where a.object = coalesce($1, a.object) "
         "order by a.n desc limit 1000) l order by l.n",
     .from = {TB_FROM_ARGUMENT(0)}},
};

static int run(struct tb_cli *cli)
{
    return tb_admin_run(cli, verbs, TB_COUNT(verbs));
}

static const struct tb_option grant_options[] = {
    {"app", "APP", "only those of an app"},
    {"user", "USER", "only those of a customer's user"},
    {"all", NULL, "those that have ended, too"},
    {.name = NULL},
};

const struct tb_command tb_command_grant_list = {
    .name = "grant list",
    .summary = "list what customers have granted to apps",
    .options = grant_options,
    .example = "tongbao grant list --app app_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = run,
};

const struct tb_command tb_command_grant_revoke = {
    .name = "grant revoke",
    .summary = "end a grant with its refresh token and access tokens",
    .arguments = "GRANT",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao grant revoke grn_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = run,
};

static const struct tb_option consent_options[] = {
    {"app", "APP", "only those of an app"},
    {"status", "CODE", "only those in a status: AWAU, AWAF, AUTH, RJCT, COND, CANC, EXPD"},
    {"company", "PARTY", "only those of a company"},
    {.name = NULL},
};

const struct tb_command tb_command_consent_list = {
    .name = "consent list",
    .summary = "list consents",
    .options = consent_options,
    .example = "tongbao consent list --status AUTH",
    .run = run,
};

const struct tb_command tb_command_consent_show = {
    .name = "consent show",
    .summary = "show a consent as it stands",
    .arguments = "CONSENT",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao consent show cns_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
    .run = run,
};

const struct tb_command tb_command_consent_revoke = {
    .name = "consent revoke",
    .summary = "end a consent for the bank, with every token given under it",
    .arguments = "CONSENT",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao consent revoke cns_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = run,
};

const struct tb_command tb_command_act_list = {
    .name = "act list",
    .summary = "list who did what to partners, apps, grants and consents; the newest 1000",
    .arguments = "[OBJECT]",
    .arguments_max = 1,
    .about = "`tongbao audit` proves that the record is whole and unchanged.",
    .example = "tongbao act list app_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
    .run = run,
};
