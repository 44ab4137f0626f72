/* Places and keys. A key's two words are set one after the other; whoever finds only the first sets
 * the second for it, so that a process that dies in between leaves nothing half-made. */
#include "limit/limit_table.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/time.h"

enum {
    PROBES = 16,       /* places a key may have */
    SHARED_CELLS = 32, /* of windows that are alike */
};

/* A place that has been changing hands for so long was left by a process that died. */
static const int64_t ABANDONED = 60 * TB_LIMIT_TICKS_PER_S;

struct tb_limit_slot {
    _Atomic uint64_t low, high;
    tb_limit_cell full_at;
    _Atomic int64_t
        saved; /* of a quota: what the books know of, as a cell; two slots a cache line */
};

struct memory {
    _Atomic uint64_t used, passed_on, shared;
    _Atomic int64_t mover; /* when somebody began to give a place to another key; 0: nobody does */
    uint64_t unused[4];
    tb_limit_cell cells[TB_LIMIT_LIKES][SHARED_CELLS];
    struct tb_limit_slot slots[];
};

struct tb_limiter {
    struct memory *memory;
    size_t mask; /* slots - 1 */
    struct tb_limit_date date;
};

size_t tb_limiter_bytes(size_t buckets)
{
    size_t slots = 2 * PROBES;
    while (slots < buckets)
        slots *= 2;
    return sizeof(struct memory) + slots * sizeof(struct tb_limit_slot);
}

struct tb_limiter *tb_limiter_open(void *memory, size_t bytes)
{
    size_t slots = 2 * PROBES;
    TB_ASSERT(bytes >= tb_limiter_bytes(slots));
    while (tb_limiter_bytes(2 * slots) <= bytes)
        slots *= 2;
    struct tb_limiter *limiter = tb_mem(sizeof(*limiter));
    limiter->memory = memory;
    limiter->mask = slots - 1;
    limiter->date.month_end = tb_days_in_month(1970, 1);
    return limiter;
}

void tb_limiter_date(struct tb_limiter *limiter, int64_t wall_ms)
{
    struct tb_limit_date *date = &limiter->date;
    int64_t today = wall_ms / TB_DAY_MS;
    date->wall_ms = wall_ms;
    if (today == date->today)
        return;
    struct tb_date civil = tb_date_from_days(today);
    date->today = today;
    date->month_end = today - civil.day + 1 + tb_days_in_month(civil.year, civil.month);
}

const struct tb_limit_date *tb_limiter_date_of(const struct tb_limiter *limiter)
{
    return &limiter->date;
}

void tb_limiter_close(struct tb_limiter *limiter)
{
    tb_mem_free(limiter);
}

static void count(_Atomic uint64_t *what)
{
    atomic_fetch_add_explicit(what, 1, memory_order_relaxed);
}

struct tb_limiter_stats tb_limiter_stats(const struct tb_limiter *limiter)
{
    const struct memory *memory = limiter->memory;
    return (struct tb_limiter_stats){
        .buckets = limiter->mask + 1,
        .used = atomic_load_explicit(&memory->used, memory_order_relaxed),
        .passed_on = atomic_load_explicit(&memory->passed_on, memory_order_relaxed),
        .shared = atomic_load_explicit(&memory->shared, memory_order_relaxed)};
}

/* The n-th place of `key`. */
static struct tb_limit_slot *slot_at(const struct tb_limiter *limiter, struct tb_limit_key key,
                                     size_t n)
{
    return &limiter->memory->slots[(key.low + n) & limiter->mask];
}

/* Set `word` if it is 0; what it then is. */
static uint64_t claim(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t found = atomic_load_explicit(word, memory_order_acquire);
    if (found == 0 && atomic_compare_exchange_strong(word, &found, value))
        return value;
    return found;
}

/* The place of `key`, a fresh one if there is one. NULL when other keys have them all. */
static struct tb_limit_slot *slot_find(const struct tb_limiter *limiter, struct tb_limit_key key)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct tb_limit_slot *slot = slot_at(limiter, key, i);
        bool fresh = atomic_load_explicit(&slot->low, memory_order_relaxed) == 0;
        if (claim(&slot->low, key.low) == key.low && claim(&slot->high, key.high) == key.high) {
            if (fresh)
                count(&limiter->memory->used);
            return slot;
        }
    }
    return NULL;
}

static tb_limit_cell *shared_cell(struct tb_limiter *limiter, struct tb_limit_key key, size_t like)
{
    return &limiter->memory->cells[like][key.high % SHARED_CELLS];
}

struct tb_limit_place tb_limit_place_shared(struct tb_limiter *limiter, struct tb_limit_key key,
                                            size_t like)
{
    count(&limiter->memory->shared);
    return (struct tb_limit_place){.cell = shared_cell(limiter, key, like)};
}

/* Whether a bucket knows nothing that a fresh one would not. */
static bool is_idle(const struct tb_limiter *limiter, int64_t cell, int64_t now)
{
    if (cell < 0)
        return -cell < now - ABANDONED;
    if ((cell & TB_QUOTA) != 0)
        return tb_quota_end_day(cell) <= limiter->date.today;
    return cell <= now;
}

/* Give a place whose bucket is full to `key`; the mover's turn is ours. What the key took from its
 * shared bucket meanwhile stays taken. NULL when all are busy. */
static struct tb_limit_slot *slot_pass_on(struct tb_limiter *limiter, struct tb_limit_key key,
                                          size_t like, int64_t now)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct tb_limit_slot *slot = slot_at(limiter, key, i);
        int64_t full_at = atomic_load_explicit(&slot->full_at, memory_order_relaxed);
        if (!is_idle(limiter, full_at, now) ||
            !atomic_compare_exchange_strong(&slot->full_at, &full_at, -now))
            continue;
        atomic_store(&slot->high, key.high);
        atomic_store(&slot->low, key.low);
        atomic_store(&slot->saved, 0);
        atomic_store(&slot->full_at, atomic_load(shared_cell(limiter, key, like)));
        count(&limiter->memory->passed_on);
        return slot;
    }
    return NULL;
}

/* One process at a time passes places on, so that no key gets two. Who finds another at it does not
 * wait. */
static struct tb_limit_slot *slot_move(struct tb_limiter *limiter, struct tb_limit_key key,
                                       size_t like, int64_t now)
{
    int64_t since = atomic_load(&limiter->memory->mover);
    if ((since != 0 && since >= now - ABANDONED) ||
        !atomic_compare_exchange_strong(&limiter->memory->mover, &since, now))
        return NULL;
    struct tb_limit_slot *slot = slot_find(limiter, key); /* it may have been moved by now */
    if (slot == NULL)
        slot = slot_pass_on(limiter, key, like, now);
    since = now;
    (void)atomic_compare_exchange_strong(&limiter->memory->mover, &since, 0);
    return slot;
}

struct tb_limit_place tb_limit_place_find(struct tb_limiter *limiter, struct tb_limit_key key,
                                          size_t like, int64_t now)
{
    struct tb_limit_slot *slot = slot_find(limiter, key);
    if (slot == NULL)
        slot = slot_move(limiter, key, like, now);
    if (slot == NULL)
        return tb_limit_place_shared(limiter, key, like);
    return (struct tb_limit_place){.cell = &slot->full_at, .slot = slot};
}

bool tb_limit_place_holds(struct tb_limit_place place, struct tb_limit_key key)
{
    return place.slot == NULL ||
           (atomic_load_explicit(&place.slot->low, memory_order_relaxed) == key.low &&
            atomic_load_explicit(&place.slot->high, memory_order_relaxed) == key.high);
}

/* ---- what the books know ---- */

/* Units of a cell in the window that ends then; 0 in any other. */
static int64_t units_until(int64_t cell, int64_t end_day)
{
    bool same = cell >= 0 && (cell & TB_QUOTA) != 0 && tb_quota_end_day(cell) == end_day;
    return same ? tb_quota_units(cell) : 0;
}

size_t tb_quota_news(struct tb_limiter *limiter, size_t *from, struct tb_quota_count *out,
                     size_t most)
{
    size_t n = 0;
    for (; *from <= limiter->mask && n < most; (*from)++) {
        struct tb_limit_slot *slot = &limiter->memory->slots[*from];
        struct tb_limit_key key = {atomic_load(&slot->low), atomic_load(&slot->high)};
        int64_t cell = atomic_load(&slot->full_at);
        if (cell < 0 || (cell & TB_QUOTA) == 0 || tb_quota_end_day(cell) <= limiter->date.today ||
            atomic_load(&slot->low) != key.low)
            continue;
        int64_t end_day = tb_quota_end_day(cell), units = tb_quota_units(cell);
        int64_t saved = units_until(atomic_load(&slot->saved), end_day);
        if (units > saved)
            out[n++] = (struct tb_quota_count){key, end_day, units, saved};
    }
    return n;
}

bool tb_quota_known(struct tb_limiter *limiter, const struct tb_quota_count *count, int64_t total)
{
    struct tb_limit_slot *slot = slot_find(limiter, count->key);
    if (slot == NULL)
        return false;
    int64_t saved = atomic_load(&slot->saved), cell = atomic_load(&slot->full_at);
    int64_t known = units_until(saved, count->end_day);
    if (known != count->saved || total > TB_QUOTA_UNITS_MAX)
        return true; /* another process was faster */
    if (!atomic_compare_exchange_strong(&slot->saved, &saved, tb_quota_cell(count->end_day, total)))
        return true;
    int64_t others = total - count->units;
    for (int64_t with = 0; others > 0 && cell >= 0;) {
        if ((cell & TB_QUOTA) != 0 && tb_quota_end_day(cell) > count->end_day)
            break; /* a later day has begun */
        with = units_until(cell, count->end_day) + others;
        with = with < TB_QUOTA_UNITS_MAX ? with : TB_QUOTA_UNITS_MAX;
        if (atomic_compare_exchange_strong(&slot->full_at, &cell,
                                           tb_quota_cell(count->end_day, with)))
            break;
    }
    return true;
}
