/* Clocks, RFC 3339 and calendar arithmetic. */
#include "base/time.h"
#include "base/assert.h"
#include <time.h>

static int64_t read_clock(clockid_t clock, int64_t per_second)
{
    struct timespec now;
    TB_ASSERT(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * per_second + (int64_t)now.tv_nsec / (1000000000 / per_second);
}

int64_t tb_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

int64_t tb_monotonic_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t tb_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID, 1000000000);
}

int64_t tb_monotonic_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

static int64_t within_calendar(int64_t ms)
{
    return ms < TB_TIME_MIN ? TB_TIME_MIN : ms > TB_TIME_MAX ? TB_TIME_MAX : ms;
}

int64_t tb_world_now(const struct tb_world_clock *clock, int64_t wall_ms)
{
    int64_t now;
    if (__builtin_add_overflow(wall_ms, clock->offset_ms, &now))
        return clock->offset_ms < 0 ? TB_TIME_MIN : TB_TIME_MAX;
    return within_calendar(now);
}

/* ---- reading and writing digits ---- */

/* Exactly `n` digits at `at`, or -1. */
static int32_t read_digits(const char *at, int n)
{
    int32_t value = 0;
    for (int i = 0; i < n; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        value = value * 10 + (at[i] - '0');
    }
    return value;
}

static void write_digits(char *at, int n, int32_t value)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

/* ---- dates ---- */

static bool leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int32_t tb_days_in_month(int32_t year, int32_t month)
{
    static const int32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    TB_ASSERT(month >= 1 && month <= 12);
    return month == 2 && leap(year) ? 29 : days[month - 1];
}

bool tb_date_valid(struct tb_date date)
{
    return date.year >= 1 && date.year <= 9999 && date.month >= 1 && date.month <= 12 &&
           date.day >= 1 && date.day <= tb_days_in_month(date.year, date.month);
}

/* The year is taken to begin on 1 March, so that the leap day is its last and the days before a
 * month follow a straight line; 400 such years (an era) are always 146,097 days. Source: H.
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
int64_t tb_date_to_days(struct tb_date date)
{
    int64_t year = date.month > 2 ? date.year : date.year - 1;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct tb_date tb_date_from_days(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / 146096) /
                          365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct tb_date){.year = (int32_t)(year_of_era + era * 400 + (month <= 2)),
                            .month = (int32_t)month,
                            .day = (int32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
}

bool tb_date_parse(struct tb_str text, struct tb_date *out)
{
    if (text.n != TB_DATE_CHARS || text.at[4] != '-' || text.at[7] != '-')
        return false;
    struct tb_date date = {read_digits(text.at, 4), read_digits(text.at + 5, 2),
                           read_digits(text.at + 8, 2)};
    if (!tb_date_valid(date))
        return false;
    *out = date;
    return true;
}

void tb_date_format(struct tb_date date, char out[TB_DATE_CHARS + 1])
{
    write_digits(out, 4, date.year);
    out[4] = '-';
    write_digits(out + 5, 2, date.month);
    out[7] = '-';
    write_digits(out + 8, 2, date.day);
    out[TB_DATE_CHARS] = '\0';
}

struct tb_date tb_date_at(int64_t ms, int32_t offset_min)
{
    int64_t local = within_calendar(within_calendar(ms) + (int64_t)offset_min * 60000);
    return tb_date_from_days((local - TB_TIME_MIN) / TB_DAY_MS + TB_TIME_MIN / TB_DAY_MS);
}

bool tb_date_add_days(struct tb_date date, int64_t days, struct tb_date *out)
{
    int64_t sum;
    if (__builtin_add_overflow(tb_date_to_days(date), days, &sum) ||
        sum < TB_TIME_MIN / TB_DAY_MS || sum > TB_TIME_MAX / TB_DAY_MS)
        return false;
    *out = tb_date_from_days(sum);
    return true;
}

bool tb_date_add_months(struct tb_date date, int32_t months, enum tb_month_end rule,
                        struct tb_date *out)
{
    int64_t month = (int64_t)date.year * 12 + (date.month - 1) + months;
    if (month < 12 || month >= 10000 * 12)
        return false;
    struct tb_date sum = {(int32_t)(month / 12), (int32_t)(month % 12) + 1, date.day};
    int32_t last = tb_days_in_month(sum.year, sum.month);
    bool at_end = date.day == tb_days_in_month(date.year, date.month);
    if (sum.day > last || (rule == TB_MONTH_STICK && at_end))
        sum.day = last;
    *out = sum;
    return true;
}

int32_t tb_date_weekday(struct tb_date date)
{
    int64_t since_monday = (tb_date_to_days(date) + 3) % 7; /* 1970-01-01 was a Thursday */
    return (int32_t)((since_monday + 7) % 7) + 1;
}

int tb_date_compare(struct tb_date a, struct tb_date b)
{
    int64_t apart = tb_date_to_days(a) - tb_date_to_days(b);
    return (apart > 0) - (apart < 0);
}

/* ---- instants ---- */

/* What PostgreSQL takes, too: a text that passes here may go there as it is. */
enum { OFFSET_HOURS_MAX = 15, FRACTION_DIGITS_MAX = 9 };

/* The offset "Z" or "+08:00", which must be all there is, in minutes. */
static bool parse_offset(struct tb_str text, int32_t *out_min)
{
    if (text.n == 1 && (text.at[0] == 'Z' || text.at[0] == 'z')) {
        *out_min = 0;
        return true;
    }
    if (text.n != 6 || (text.at[0] != '+' && text.at[0] != '-') || text.at[3] != ':')
        return false;
    int32_t hours = read_digits(text.at + 1, 2), minutes = read_digits(text.at + 4, 2);
    if (hours < 0 || hours > OFFSET_HOURS_MAX || minutes < 0 || minutes > 59)
        return false;
    *out_min = (text.at[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

bool tb_time_parse(struct tb_str text, int64_t *out_ms)
{
    struct tb_date date;
    if (text.n < 20 || !tb_date_parse((struct tb_str){text.at, TB_DATE_CHARS}, &date))
        return false;
    const char *at = text.at;
    if ((at[10] != 'T' && at[10] != 't') || at[13] != ':' || at[16] != ':')
        return false;
    int32_t hour = read_digits(at + 11, 2), minute = read_digits(at + 14, 2);
    int32_t second = read_digits(at + 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    size_t i = 19;
    int32_t fraction_ms = 0;
    if (at[i] == '.') {
        size_t first = ++i;
        for (int32_t unit = 100; i < text.n && at[i] >= '0' && at[i] <= '9'; i++, unit /= 10)
            fraction_ms += (at[i] - '0') * unit;
        if (i == first || i - first > FRACTION_DIGITS_MAX)
            return false;
    }
    int32_t offset_min;
    if (!parse_offset((struct tb_str){at + i, text.n - i}, &offset_min))
        return false;
    int64_t minutes = (tb_date_to_days(date) * 24 + hour) * 60 + minute - offset_min;
    int64_t ms = (minutes * 60 + second) * 1000 + fraction_ms;
    if (ms < TB_TIME_MIN || ms > TB_TIME_MAX)
        return false;
    *out_ms = ms;
    return true;
}

void tb_time_format(int64_t ms, char out[TB_TIME_CHARS + 1])
{
    ms = within_calendar(ms);
    tb_date_format(tb_date_at(ms, 0), out);
    int32_t of_day = (int32_t)((ms - TB_TIME_MIN) % TB_DAY_MS);
    out[10] = 'T';
    write_digits(out + 11, 2, of_day / 3600000);
    out[13] = ':';
    write_digits(out + 14, 2, of_day / 60000 % 60);
    out[16] = ':';
    write_digits(out + 17, 2, of_day / 1000 % 60);
    out[19] = '.';
    write_digits(out + 20, 3, of_day % 1000);
    out[23] = 'Z';
    out[24] = '\0';
}
