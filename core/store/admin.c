/* Operators' command on the audit log. */
#include "store/admin.h"

const struct tb_admin tb_store_admin[] = {
    {.name = "act list",
     .summary = "list who did what to partners, apps, grants and consents; the newest 1000",
     .arguments = "[OBJECT]",
     .arguments_max = 1,
     .about = "`tongbao audit` proves that the record is whole and unchanged.",
     .example = "tongbao act list app_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
     .kind = TB_ADMIN_LIST,
     .sql =
         "select json_build_object('n', l.n, 'at', tb.rfc3339(l.at), 'who', l.who, 'act', l.act, "
         "'object', l.object, 'before', l.before, 'after', l.after)::text from "
         "(select * from tb.audit_entry a where a.object = coalesce($1, a.object) "
         "order by a.n desc limit 1000) l order by l.n",
     .from = {TB_FROM_ARGUMENT(0)}},
    {.name = NULL},
};
