/* See quota_store.h. Which of two processes hears of a total first does not matter: each takes over
 * what it has not heard of yet, once. */
#include "directory/quota_store.h"
#include "base/log.h"
#include "limit/limit_table.h"
#include "runtime/run.h"

enum {
    PAGE_ROWS = 1000, /* of one reading */
    CHANGES = 256,    /* of one statement */
    PAGES = 16,       /* statements of one saving: the rest is saved the next time */
};

static const char SQL_READ[] =
    "select q.low, q.high, q.end_day, q.units from bank.quota q where q.end_day > $1 and "
    "($2 or (q.low, q.high, q.end_day) > ($3, $4, $5)) order by q.low, q.high, q.end_day limit 1000";
static const char SQL_SAVE[] = "select c.place, c.units from bank.count_quotas($1::jsonb) c";

tb_err TB_SUSPENDS tb_quotas_read(struct tb_req *req, struct tb_limiter *limiter,
                                  struct tb_quota_reading *reading)
{
    struct tb_rows *rows;
    size_t lost_n = 0;
    TB_TRY(tb_query(req, &rows, SQL_READ, TB_INT(tb_limiter_date_of(limiter)->today),
                    TB_BOOL(!reading->begun), TB_INT(reading->low), TB_INT(reading->high),
                    TB_INT(reading->end_day)));
    for (size_t i = 0; i < rows->n; i++) {
        reading->low = tb_cell_int(rows, i, 0);
        reading->high = tb_cell_int(rows, i, 1);
        reading->end_day = tb_cell_int(rows, i, 2);
        const struct tb_quota_count count = {
            .key = {(uint64_t)reading->low, (uint64_t)reading->high},
            .end_day = reading->end_day,
        };
        lost_n += !tb_quota_known(limiter, &count, tb_cell_int(rows, i, 3));
    }
    if (lost_n > 0) /* no place is free for them: they count from 0 until there is */
        tb_log_with(TB_LOG_WARN, "quotas_without_place", TB_F_INT("n", (int64_t)lost_n));
    reading->begun = true;
    reading->done = rows->n < PAGE_ROWS;
    return NULL;
}

static struct tb_str text_of(struct tb_req *req, const struct tb_quota_count *counts, size_t n)
{
    struct tb_text text;
    tb_text_init(&text, tb_run_of(req)->arena);
    for (size_t i = 0; i < n; i++)
        tb_text_add_format(&text, "%c[%lld,%lld,%lld,%lld]", i == 0 ? '[' : ',',
                           (long long)counts[i].key.low, (long long)counts[i].key.high,
                           (long long)counts[i].end_day,
                           (long long)(counts[i].units - counts[i].saved));
    tb_text_add_char(&text, ']');
    return tb_text_end(&text);
}

tb_err TB_SUSPENDS tb_quotas_save(struct tb_req *req, struct tb_limiter *limiter, size_t *from)
{
    struct tb_quota_count counts[CHANGES];
    struct tb_rows *rows;
    for (size_t page = 0; page < PAGES; page++) {
        size_t n = tb_quota_news(limiter, from, counts, CHANGES);
        if (n < CHANGES)
            *from = 0;
        if (n == 0)
            break;
        TB_TRY(tb_query(req, &rows, SQL_SAVE, TB_TEXT(text_of(req, counts, n))));
        for (size_t i = 0; i < rows->n; i++) {
            size_t place = (size_t)tb_cell_int(rows, i, 0) - 1;
            if (place < n)
                (void)tb_quota_known(limiter, &counts[place], tb_cell_int(rows, i, 1));
        }
        if (n < CHANGES)
            break;
    }
    return NULL;
}
