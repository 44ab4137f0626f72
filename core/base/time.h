/* Time: the clocks, the world's time, instants (ms since 1970-01-01T00:00Z) and civil dates.
 *
 * Business rules ask for world time only: tb_now(req) in a handler, which the host answers with
 * tb_world_now. The wall clock is for logs, ids and tokens; the monotonic clock is for measuring
 * and for timers. Nothing else in the tree reads a clock. */
#ifndef TB_BASE_TIME_H
#define TB_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum {
    TB_TIME_CHARS = 24, /**< "2026-02-28T09:30:00.000Z" */
    TB_DATE_CHARS = 10, /**< "2026-02-28" */
};

#define TB_TIME_MIN INT64_C(-62135596800000) /**< 0001-01-01T00:00:00.000Z */
#define TB_TIME_MAX INT64_C(253402300799999) /**< 9999-12-31T23:59:59.999Z */
#define TB_DAY_MS   INT64_C(86400000)

/* ---- clocks ---- */

int64_t tb_wall_ms(void);

/** Since some moment in the past; never goes back, unlike the wall clock. */
int64_t tb_monotonic_ms(void);

/** Processor time of this thread. A system call: 250 ns. */
int64_t tb_thread_ns(void);
int64_t tb_monotonic_us(void);

/** The clock of a world: a sandbox may be ahead of the wall, the live world never is. */
struct tb_world_clock {
    int64_t offset_ms;
};

/** What the world's clock shows when the wall clock shows `wall_ms`; kept within TB_TIME_MIN..MAX.
 */
int64_t tb_world_now(const struct tb_world_clock *clock, int64_t wall_ms);

/* ---- instants ---- */

/** Parse an RFC 3339 date-time: "2026-02-28T17:30:00+08:00", 't' and 'z' in lower case too. Digits
 * of the fraction beyond milliseconds are dropped. Refused: a leap second (":60" names an instant
 * that ms since 1970 cannot express), a space for the 'T', a missing offset or one of 16 hours and
 * more (PostgreSQL's bound; none in use passes 14), more than 9 digits of a fraction, years outside
 * 0001..9999.
 *  @return false when refused; *out_ms is then unchanged */
bool TB_NODISCARD tb_time_parse(struct tb_str text, int64_t *out_ms);

/** Write `ms` as "2026-02-28T09:30:00.000Z" and a NUL. Instants beyond the years 0001..9999, which
 * no parser gives, are shown as the nearest of those. */
void tb_time_format(int64_t ms, char out[TB_TIME_CHARS + 1]);

/* ---- civil dates (proleptic Gregorian, years 1..9999) ---- */

struct tb_date {
    int32_t year, month, day; /**< month and day count from 1 */
};

/** What becomes of the last days of a month when months are added. */
enum tb_month_end {
    TB_MONTH_CLAMP, /**< 01-31 plus 1 is 02-28; 02-28 plus 1 is 03-28 */
    TB_MONTH_STICK, /**< the last day of a month stays the last day: 02-28 plus 1 is 03-31 */
};

/** Parse an ISO 8601 calendar date "2026-02-28". @return false when it is not one that exists */
bool TB_NODISCARD tb_date_parse(struct tb_str text, struct tb_date *out);
void tb_date_format(struct tb_date date, char out[TB_DATE_CHARS + 1]);
bool tb_date_valid(struct tb_date date);

/** 28..31. `month` is 1..12. */
int32_t tb_days_in_month(int32_t year, int32_t month);

/** Days since 1970-01-01, and back. */
int64_t tb_date_to_days(struct tb_date date);
struct tb_date tb_date_from_days(int64_t days);

/** The date a clock on the wall shows at instant `ms`, `offset_min` minutes east of UTC (480 in
 * China). */
struct tb_date tb_date_at(int64_t ms, int32_t offset_min);

/** @return false when the result leaves the years 1..9999; *out is then unchanged */
bool TB_NODISCARD tb_date_add_days(struct tb_date date, int64_t days, struct tb_date *out);
bool TB_NODISCARD tb_date_add_months(struct tb_date date, int32_t months, enum tb_month_end rule,
                                     struct tb_date *out);

/** ISO 8601: 1 is Monday, 7 is Sunday. */
int32_t tb_date_weekday(struct tb_date date);

/** Less than, equal to or greater than 0 as `a` is before, on or after `b`. */
int tb_date_compare(struct tb_date a, struct tb_date b);

#endif
