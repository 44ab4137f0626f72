/* Applying migrations. Every step takes the same advisory lock and looks again under it, so that
 * several programs may migrate at the same time: each file is applied by whoever comes first. */
#include "store/migrate.h"

#include "base/text.h"
#include "crypto/digest.h"
#include "runtime/run.h"
#include "store/tx.h"
#include <stdlib.h>
#include <string.h>

enum { SUM_CHARS = 2 * TB_SHA256_BYTES };

/* Columns of SQL_KNOWN. */
enum { SET, NUMBER, NAME, SUM, BREAKS };

/* The lock's number is any, as long as nobody else takes it. Migrations take as long as they take.
 */
static const char SQL_LOCK[] = "set local statement_timeout = 0;"
                               " set local idle_in_transaction_session_timeout = 0;"
                               " select pg_advisory_xact_lock(7236832514)";
/* Not to_regclass(): it answers from a cache that may be older than the lock. */
static const char SQL_EXISTS[] = "select exists (select from pg_class c"
                                 " join pg_namespace n on n.oid = c.relnamespace"
                                 " where n.nspname = 'tb' and c.relname = 'migration')";
static const char SQL_KNOWN[] = "select set, number, name, sum, breaks from tb.migration"
                                " order by set, number";
static const char SQL_APPLIED[] = "select 1 from tb.migration where set = $1 and number = $2::int";
static const char SQL_TABLE[] =
    "create schema if not exists tb;"
    " create table if not exists tb.migration ("
    " set text collate \"C\" not null,"
    " number int not null check (number > 0),"
    " name text not null,"
    " sum text not null,"             /* SHA-256 of the file, hexadecimal */
    " breaks int not null default 0," /* programs that know fewer files of the set cannot run */
    " applied_at timestamptz not null default clock_timestamp(),"
    " primary key (set, number))";
static const char SQL_REMEMBER[] = "insert into tb.migration (set, number, name, sum, breaks)"
                                   " values ($1, $2::int, $3, $4, $5::int)";

struct work {
    const struct tb_migration_set *sets;
    size_t sets_n;
    bool only_check;
    const struct tb_migration_set *set; /* of the file to apply */
    const struct tb_migration *file;
    bool applied;
};

static void sum_of(const struct tb_migration *file, char out[SUM_CHARS + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[TB_SHA256_BYTES];
    tb_sha256((struct tb_str[]){tb_str(file->sql)}, 1, sum);
    for (size_t i = 0; i < TB_SHA256_BYTES; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[SUM_CHARS] = '\0';
}

/* The number behind "-- breaks:" in the comment the file begins with. */
static int64_t breaks_of(const struct tb_migration *file)
{
    static const char mark[] = "-- breaks:";
    for (const char *line = file->sql; strncmp(line, "--", 2) == 0;) {
        if (strncmp(line, mark, sizeof(mark) - 1) == 0)
            return strtoll(line + sizeof(mark) - 1, NULL, 10);
        const char *end = strchr(line, '\n');
        if (end == NULL)
            break;
        line = end + 1;
    }
    return 0;
}

static uint32_t files_in(const struct tb_migration_set *set)
{
    uint32_t n = 0;
    while (set->migrations[n].number != 0)
        n++;
    return n;
}

static int64_t cell_int(const struct tb_rows *rows, size_t row, size_t column)
{
    int64_t value = 0;
    return tb_text_to_int(tb_cell(rows, row, column), &value) ? value : 0;
}

/* ---- what the database has seen ---- */

/* Rows of `sql`, none while there is no table. */
static tb_err TB_SUSPENDS read_known(struct tb_req *req, struct tb_tx *tx,
                                     struct tb_rows **out_rows, const char *sql,
                                     const struct tb_param *params, size_t params_n)
{
    struct tb_rows *exists;
    TB_TRY(tb_tx_query(tx, &exists, SQL_EXISTS, NULL, 0));
    if (tb_cell(exists, 0, 0).at[0] == 't')
        return tb_tx_query(tx, out_rows, sql, params, params_n);
    *out_rows = tb_alloc(req, sizeof(**out_rows));
    return *out_rows != NULL ? NULL : tb_fail(req, TB_E_INTERNAL, "too much memory");
}

static tb_err judge_known_file(struct tb_req *req, const struct tb_migration_set *set,
                               const struct tb_rows *known, size_t row)
{
    int64_t number = cell_int(known, row, NUMBER), most = files_in(set);
    struct tb_str name = tb_cell(known, row, NAME);
    char sum[SUM_CHARS + 1];
    if (number > most) {
        int64_t needs = cell_int(known, row, BREAKS);
        if (needs <= most)
            return NULL;
        return tb_fail(req, TB_E_CONFLICT,
                       "the database has migration %s/%04d_%.*s, which needs a program that knows "
                       "%d migrations of %s; this one knows %d: start the newer program",
                       set->name, (int)number, (int)name.n, name.at, (int)needs, set->name,
                       (int)most);
    }
    sum_of(&set->migrations[number - 1], sum);
    if (tb_str_eq(tb_cell(known, row, SUM), tb_str(sum)))
        return NULL;
    return tb_fail(req, TB_E_CONFLICT,
                   "migration %s/%04d_%.*s is not the file that was applied: restore it, and put "
                   "the change into a new file",
                   set->name, (int)number, (int)name.n, name.at);
}

static tb_err judge_set(struct tb_req *req, const struct work *work,
                        const struct tb_migration_set *set, const struct tb_rows *known)
{
    uint32_t most = files_in(set);
    int64_t applied = 0;
    for (uint32_t i = 0; i < most; i++)
        if (set->migrations[i].number != i + 1)
            return tb_fail(req, TB_E_CONFLICT, "migration %u of %s is missing from this program",
                           i + 1, set->name);
    for (size_t row = 0; row < known->n; row++) {
        if (!tb_str_eq(tb_cell(known, row, SET), tb_str(set->name)))
            continue;
        TB_TRY(judge_known_file(req, set, known, row));
        if (cell_int(known, row, NUMBER) != ++applied)
            return tb_fail(req, TB_E_CONFLICT,
                           "migration %d of %s was never applied, later ones were", (int)applied,
                           set->name);
    }
    if (work->only_check && applied < most)
        return tb_fail(req, TB_E_CONFLICT,
                       "migration %s/%04u_%s has not been applied: run `tongbao migrate`",
                       set->name, (unsigned)applied + 1, set->migrations[applied].name);
    return NULL;
}

static tb_err TB_SUSPENDS judge_all(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    const struct work *work = arg;
    struct tb_rows *known;
    if (!work->only_check)
        TB_TRY(tb_tx_script(tx, SQL_LOCK));
    TB_TRY(read_known(req, tx, &known, SQL_KNOWN, NULL, 0));
    for (size_t i = 0; i < work->sets_n; i++)
        TB_TRY(judge_set(req, work, &work->sets[i], known));
    return NULL;
}

/* ---- applying one file ---- */

static tb_err file_failed(struct tb_req *req, const struct tb_tx *tx, const struct work *work,
                          tb_err err)
{
    int position, line = 1;
    const char *message = tb_tx_message(tx, &position);
    if (message[0] == '\0')
        return err;
    for (int i = 0; i < position - 1 && work->file->sql[i] != '\0'; i++)
        line += work->file->sql[i] == '\n';
    return tb_fail(req, err, "migration %s/%04u_%s.sql, line %d: %s (%s)", work->set->name,
                   work->file->number, work->file->name, line, message, tb_tx_sqlstate(tx));
}

static tb_err TB_SUSPENDS apply_file(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct work *work = arg;
    struct tb_rows *known;
    char sum[SUM_CHARS + 1];
    work->applied = false;
    sum_of(work->file, sum);
    TB_TRY(tb_tx_script(tx, SQL_LOCK));
    const struct tb_param params[] = {TB_TEXT(tb_str(work->set->name)), TB_INT(work->file->number),
                                      TB_TEXT(tb_str(work->file->name)), TB_TEXT(tb_str(sum)),
                                      TB_INT(breaks_of(work->file))};
    TB_TRY(read_known(req, tx, &known, SQL_APPLIED, params, 2));
    if (known->n > 0)
        return NULL;
    tb_err err = tb_tx_script(tx, work->file->sql);
    if (err != NULL)
        return file_failed(req, tx, work, err);
    TB_TRY(tb_tx_script(tx, SQL_TABLE));
    work->applied = true;
    return tb_tx_query(tx, &known, SQL_REMEMBER, params, TB_COUNT(params));
}

tb_err TB_SUSPENDS tb_migrate(struct tb_req *req, struct tb_store *store,
                              const struct tb_migration_set *sets, size_t sets_n,
                              void (*step)(const struct tb_migration_step *, void *), void *arg)
{
    struct work work = {.sets = sets, .sets_n = sets_n};
    TB_TRY(tb_tx_run(req, store, judge_all, &work));
    for (size_t i = 0; i < sets_n; i++)
        for (work.set = &sets[i], work.file = work.set->migrations; work.file->number != 0;
             work.file++) {
            int64_t began_us = tb_loop_us();
            TB_TRY(tb_tx_run(req, store, apply_file, &work));
            struct tb_migration_step taken = {
                .set = work.set->name,
                .number = work.file->number,
                .name = work.file->name,
                .applied = work.applied,
                .elapsed_ms = work.applied ? (tb_loop_us() - began_us) / 1000 : 0};
            if (step != NULL)
                step(&taken, arg);
        }
    return NULL;
}

tb_err TB_SUSPENDS tb_migrate_check(struct tb_req *req, struct tb_store *store,
                                    const struct tb_migration_set *sets, size_t sets_n)
{
    struct work work = {.sets = sets, .sets_n = sets_n, .only_check = true};
    return tb_tx_run(req, store, judge_all, &work);
}
