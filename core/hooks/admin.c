/* Operators' commands of partners' scripts. */
#include "store/admin.h"

static const struct tb_option script_list[] = {
    {"partner", "PARTNER", "only those of a partner"},
    {.name = NULL},
};

const struct tb_admin tb_hooks_admin[] = {
    {.name = "script list",
     .summary = "list partners' scripts and what of them runs",
     .options = script_list,
     .example = "tongbao script list",
     .kind = TB_ADMIN_LIST,
     .sql = "select json_build_object('partner', s.partner, 'id', s.id, 'world', b.world, "
            "'versions', (select count(*) from script.version v where v.book = s.book and "
            "v.script = s.id), 'runs', s.version, 'canary', case when s.version is not null then "
            "s.canary end, 'previous', s.previous, 'off', exists (select from script.breaker k "
            "where k.book = s.book and k.script = s.id and k.until > $2))::text "
            "from script.script s join bank.book b on b.book = s.book "
            "where s.partner = coalesce($1, s.partner) order by s.created_at, s.id limit 10000",
     .from = {TB_FROM_OPTION("partner"), TB_FROM_CLOCK}},
    {.name = NULL},
};
