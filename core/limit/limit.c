/* The generic cell rate algorithm over the buckets of limit_table.c. A bucket says when it will be
 * full again; taking moves that moment on, and is refused when it would lie further ahead than the
 * whole quota is worth. A quota of a day or month says which, and what was used of it. Either way
 * one word holds all there is to know, and one compare-and-swap decides. */
#include "limit/limit.h"
#include "base/assert.h"
#include "base/time.h"
#include "limit/limit_table.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TICKS_PER_MS = TB_LIMIT_TICKS_PER_S / 1000,
    PER_UNIT_MIN = 100, /* ticks: rounding an interval up to whole ones costs 1 % at most */
    LOOKUPS = 3,        /* when a bucket keeps changing hands */
};
static const int64_t QUOTA_MAX = INT64_C(1000000000000);
_Static_assert(INT64_C(1000000000000) <= TB_QUOTA_UNITS_MAX, "a cell holds the largest quota");
static const int64_t WINDOW_MAX_MS = INT64_C(366) * 86400 * 1000;

/* ---- digests: ids and templates are ours, so they need spread, not secrecy ---- */

__extension__ typedef unsigned __int128 uint128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static const uint64_t odd[] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xd1342543de82ef95),
                               UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db)};

static struct tb_limit_key digest(struct tb_limit_key key, struct tb_str text)
{
    key.low ^= text.n;
    for (size_t at = 0; at < text.n; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        size_t left = text.n - at;
        memcpy(&word, text.at + at, left < sizeof(word) ? left : sizeof(word));
        key.low = fold(key.low ^ word, odd[0]) + odd[1];
        key.high = fold(key.high + word, odd[2]) + odd[3];
    }
    return key;
}

static struct tb_limit_key key_of(const struct tb_limit_rule *rule, struct tb_limit_key app,
                                  const struct tb_limit_subject *subject)
{
    struct tb_limit_key key = {app.low ^ rule->seed, app.high + rule->seed};
    if (rule->scope == TB_LIMIT_PRODUCT)
        key = digest(key, subject->product);
    else if (rule->scope == TB_LIMIT_ROUTE)
        key = digest(key, subject->route);
    key.low = fold(key.low ^ odd[2], odd[3] ^ key.high) | 1;
    key.high = fold(key.high ^ odd[0], odd[1] ^ rule->seed) | 1;
    return key;
}

/* ---- sets ---- */

static bool name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n < TB_LIMIT_NAME_BYTES && name[n] == '\0';
}

/* How large a quota may be, and what the rule works with. False after a sentence. */
static bool rolling_init(struct tb_limit_rule *rule, const struct tb_limit_window *window,
                         char *why, size_t why_bytes)
{
    if (window->window_ms < 1000 || window->window_ms > WINDOW_MAX_MS ||
        window->window_ms % 1000 != 0) {
        snprintf(why, why_bytes, "window \"%s\" must be whole seconds, from 1 s to 366 days",
                 window->name);
        return false;
    }
    int64_t ticks = window->window_ms * TICKS_PER_MS;
    if (window->quota < 1 || window->quota > ticks / PER_UNIT_MIN) {
        snprintf(why, why_bytes, "window \"%s\": the quota must be from 1 to %" PRId64,
                 window->name, ticks / PER_UNIT_MIN);
        return false;
    }
    rule->per_unit = (ticks + window->quota - 1) / window->quota;
    rule->depth = rule->per_unit * window->quota;
    return true;
}

static bool quota_init(const struct tb_limit_window *window, char *why, size_t why_bytes)
{
    if (window->quota >= 1 && window->quota <= QUOTA_MAX)
        return true;
    snprintf(why, why_bytes, "\"%s\": the quota must be from 1 to %" PRId64, window->name,
             QUOTA_MAX);
    return false;
}

static size_t power_of_two(int64_t value)
{
    return 63 - (size_t)__builtin_clzll((uint64_t)value | 1);
}

static bool rule_init(struct tb_limit_set *set, const struct tb_limit_window *window, char *why,
                      size_t why_bytes)
{
    struct tb_limit_rule *rule = &set->rules[set->n];
    if (!name_ok(window->name)) {
        snprintf(why, why_bytes, "\"%s\" is no name for a window: 1 to %d of a-z, 0-9 and _",
                 window->name, TB_LIMIT_NAME_BYTES - 1);
        return false;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->rules[i].name, window->name) == 0) {
            snprintf(why, why_bytes, "two windows are called \"%s\"", window->name);
            return false;
        }
    }
    rule->period = window->period;
    if (window->period == TB_LIMIT_ROLLING ? !rolling_init(rule, window, why, why_bytes)
                                           : !quota_init(window, why, why_bytes))
        return false;
    rule->name_n = strlen(window->name);
    memcpy(rule->name, window->name, rule->name_n + 1);
    rule->scope = window->scope;
    rule->quota = window->quota;
    rule->like = window->period * 64u +
                 power_of_two(window->period == TB_LIMIT_ROLLING ? rule->depth : rule->quota);
    struct tb_limit_key seed = {odd[1] + window->scope + 16 * (uint64_t)window->period, odd[3]};
    rule->seed = digest(seed, tb_str(rule->name)).high;
    set->n++;
    return true;
}

/* `"daily";q=1000;w=86400`. Months have no one length, so `w`, which may be left out, is. */
static void add_policy(struct tb_limit_set *set, const struct tb_limit_window *window)
{
    int64_t window_ms = window->period == TB_LIMIT_DAY ? TB_DAY_MS : window->window_ms;
    struct tb_text policy;
    tb_text_init_fixed(&policy, set->policy + set->policy_n, sizeof(set->policy) - set->policy_n);
    tb_text_add_format(&policy, "%s\"%s\";q=%" PRId64, set->policy_n == 0 ? "" : ", ", window->name,
                       window->quota);
    if (window->period != TB_LIMIT_MONTH)
        tb_text_add_format(&policy, ";w=%" PRId64, window_ms / 1000);
    TB_ASSERT(!policy.failed);
    set->policy_n += tb_text_end(&policy).n;
}

bool tb_limit_set_init(struct tb_limit_set *set, const struct tb_limit_window *windows, size_t n,
                       char *why, size_t why_bytes)
{
    *set = (struct tb_limit_set){0};
    if (n > TB_LIMIT_WINDOWS) {
        snprintf(why, why_bytes, "more than %d windows", TB_LIMIT_WINDOWS);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!rule_init(set, &windows[i], why, why_bytes))
            return false;
        add_policy(set, &windows[i]);
    }
    return true;
}

/* ---- taking ---- */

/* One window of one request. */
struct take {
    struct tb_limit_key key;
    struct tb_limit_place place;
    int64_t worth;         /* what the cost is worth: ticks; of a quota, units */
    int64_t before, after; /* the bucket's value as it was seen, and with the cost taken */
    int64_t over;          /* ticks to wait, > 0: refused */
    int64_t left;          /* units, with the cost taken where that is admitted */
    int64_t whole;         /* ticks until all of it is back */
};

static void look_at_rolling(const struct tb_limit_rule *rule, struct take *t, int64_t now)
{
    t->after = (t->before > now ? t->before : now) + t->worth;
    t->over = t->after - now - rule->depth;
    int64_t left = rule->depth - (t->after - (t->over > 0 ? t->worth : 0) - now);
    t->left = left <= 0 ? 0 : left / rule->per_unit;
    t->whole = t->after - now;
}

/* A window that ends later than today's is counted on: the clock went back. */
static void look_at_quota(const struct tb_limiter *limiter, const struct tb_limit_rule *rule,
                          struct take *t)
{
    const struct tb_limit_date *date = tb_limiter_date_of(limiter);
    int64_t end_day = rule->period == TB_LIMIT_DAY ? date->today + 1 : date->month_end, used = 0;
    if ((t->before & TB_QUOTA) != 0 && tb_quota_end_day(t->before) >= end_day) {
        end_day = tb_quota_end_day(t->before);
        used = tb_quota_units(t->before);
    }
    bool fits = used + t->worth <= rule->quota;
    t->whole = (end_day * TB_DAY_MS - date->wall_ms) * TICKS_PER_MS;
    t->over = fits ? 0 : t->whole;
    t->left = rule->quota - used - (fits ? t->worth : 0);
    t->left = t->left < 0 ? 0 : t->left;
    t->after = tb_quota_cell(end_day, used + (fits ? t->worth : 0));
}

/* See what taking would come to. The bucket is looked up again while it changes hands. */
static void look(struct tb_limiter *limiter, const struct tb_limit_rule *rule, struct take *t,
                 int64_t now)
{
    int lookups = 0;
    t->before = atomic_load_explicit(t->place.cell, memory_order_acquire);
    while (t->before < 0) {
        t->place = lookups++ < LOOKUPS ? tb_limit_place_find(limiter, t->key, rule->like, now)
                                       : tb_limit_place_shared(limiter, t->key, rule->like);
        t->before = atomic_load_explicit(t->place.cell, memory_order_acquire);
    }
    if (rule->period == TB_LIMIT_ROLLING)
        look_at_rolling(rule, t, now);
    else
        look_at_quota(limiter, rule, t);
}

/* Take if nobody was faster, else look again; false when refused. A bucket that was given to
 * another key at this very moment gets back what was taken. */
static bool commit(struct tb_limiter *limiter, const struct tb_limit_rule *rule, struct take *t,
                   int64_t now)
{
    while (t->over <= 0) {
        int64_t seen = t->before;
        if (!atomic_compare_exchange_strong(t->place.cell, &seen, t->after)) {
            look(limiter, rule, t, now);
            continue;
        }
        if (tb_limit_place_holds(t->place, t->key))
            return true;
        seen = t->after;
        (void)atomic_compare_exchange_strong(t->place.cell, &seen, t->before);
        t->place = tb_limit_place_find(limiter, t->key, rule->like, now);
        look(limiter, rule, t, now);
    }
    return false;
}

/* Give back what was taken from a rolling window, unless somebody has taken since: then part of it
 * may have run off, and giving it all back could let more than the quota through. Of a quota
 * nothing runs off, so it is given back as long as its day or month lasts. */
static void give_back(const struct tb_limit_rule *rule, struct take *t)
{
    int64_t seen = t->after;
    if (atomic_compare_exchange_strong(t->place.cell, &seen, t->before) ||
        rule->period == TB_LIMIT_ROLLING)
        return;
    while (seen >= 0 && tb_quota_end_day(seen) == tb_quota_end_day(t->after) &&
           tb_quota_units(seen) >= t->worth &&
           !atomic_compare_exchange_strong(t->place.cell, &seen, seen - t->worth))
        ;
}

static int64_t whole_seconds(int64_t ticks)
{
    return ticks <= 0 ? 0 : (ticks + TB_LIMIT_TICKS_PER_S - 1) / TB_LIMIT_TICKS_PER_S;
}

/* Admitted: the window with the least left. */
static void tell_admitted(struct tb_limit_verdict *verdict, const struct take *takes)
{
    for (size_t i = 0; i < verdict->set->n; i++) {
        if (i > 0 && takes[i].left >= verdict->remaining)
            continue;
        verdict->tightest = (uint8_t)i;
        verdict->remaining = takes[i].left;
        verdict->reset_s = whole_seconds(takes[i].whole);
    }
}

/* Refused: the window that makes it wait longest. */
static void tell_refused(struct tb_limit_verdict *verdict, const struct take *takes)
{
    int64_t longest = 0;
    for (size_t i = 0; i < verdict->set->n; i++) {
        if (takes[i].over <= 0)
            continue;
        verdict->violated |= (uint8_t)(1u << i);
        if (takes[i].over <= longest)
            continue;
        longest = takes[i].over;
        verdict->tightest = (uint8_t)i;
        verdict->remaining = takes[i].left;
    }
    verdict->retry_after_s = verdict->reset_s = whole_seconds(longest);
}

bool tb_limit_take(struct tb_limiter *limiter, const struct tb_limit_set *set,
                   const struct tb_limit_subject *subject, int64_t cost, int64_t now_ns,
                   struct tb_limit_verdict *out_verdict)
{
    TB_ASSERT(cost >= 0 && now_ns > 0);
    struct take takes[TB_LIMIT_WINDOWS];
    int64_t now = now_ns * 16;
    struct tb_limit_key app = digest((struct tb_limit_key){odd[0], odd[2]}, subject->app);
    *out_verdict = (struct tb_limit_verdict){.set = set, .admitted = true};
    for (size_t i = 0; i < set->n; i++) {
        const struct tb_limit_rule *rule = &set->rules[i];
        struct take *t = &takes[i];
        t->key = key_of(rule, app, subject);
        t->place = tb_limit_place_find(limiter, t->key, rule->like, now);
        t->worth = cost < rule->quota ? cost : rule->quota;
        if (rule->period == TB_LIMIT_ROLLING)
            t->worth *= rule->per_unit;
        look(limiter, rule, t, now);
        if (t->over > 0)
            out_verdict->admitted = false;
    }
    for (size_t i = 0; out_verdict->admitted && i < set->n; i++) {
        if (commit(limiter, &set->rules[i], &takes[i], now))
            continue;
        out_verdict->admitted = false;
        while (i-- > 0)
            give_back(&set->rules[i], &takes[i]);
        break;
    }
    if (out_verdict->admitted)
        tell_admitted(out_verdict, takes);
    else
        tell_refused(out_verdict, takes);
    return out_verdict->admitted;
}

/* ---- headers ---- */

size_t tb_limit_header(const struct tb_limit_verdict *verdict, char out[TB_LIMIT_HEADER_BYTES])
{
    if (verdict->set->n == 0)
        return 0;
    const struct tb_limit_rule *rule = &verdict->set->rules[verdict->tightest];
    char *at = out;
    *at++ = '"';
    memcpy(at, rule->name, rule->name_n);
    at += rule->name_n;
    memcpy(at, "\";r=", 4);
    at += 4;
    at += tb_text_int(at, verdict->remaining);
    memcpy(at, ";t=", 3);
    at += 3;
    at += tb_text_int(at, verdict->reset_s);
    return (size_t)(at - out);
}

void tb_limit_violated(const struct tb_limit_verdict *verdict, struct tb_text *out)
{
    char separator = '[';
    for (size_t i = 0; i < verdict->set->n; i++) {
        if ((verdict->violated >> i & 1) == 0)
            continue;
        tb_text_add_char(out, separator);
        tb_text_add_json(
            out, (struct tb_str){verdict->set->rules[i].name, verdict->set->rules[i].name_n});
        separator = ',';
    }
    tb_text_add(out, separator == '[' ? TB_STR("[]") : TB_STR("]"));
}
