/* Making and reading ids. Two 64-bit halves are kept in registers all the way: no byte arrays. */
#include "base/id.h"
#include "base/assert.h"
#include "base/random.h"
#include <string.h>

__extension__ typedef unsigned __int128 wide;

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* Value of each digit plus one; 0 is "not a digit". Upper case and look-alikes are refused: an id
 * has one spelling, or equal ids would compare different. */
static const unsigned char values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['g'] = 17, ['h'] = 18, ['j'] = 19, ['k'] = 20, ['m'] = 21, ['n'] = 22, ['p'] = 23, ['q'] = 24,
    ['r'] = 25, ['s'] = 26, ['t'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

enum {
    COUNTER_BITS = 12,
    COUNTER_MAX = (1 << COUNTER_BITS) - 1,
    STEP_BACK_MS = 1000, /**< a wall clock set back further than this is followed */
    RANDOM_BITS = 46,
};

/* The last (ms, counter) of this thread. */
static _Thread_local struct {
    int64_t ms;
    uint32_t counter;
} last;

/* A pair greater than any before. The counter begins in the lower half at random, so that two
 * processes rarely count in step; when it is full the next ms is borrowed. */
static void next_place(int64_t wall_ms, uint32_t seed)
{
    if (wall_ms > last.ms || wall_ms < last.ms - STEP_BACK_MS) {
        last.ms = wall_ms;
        last.counter = seed & (COUNTER_MAX >> 1);
    } else if (last.counter < COUNTER_MAX) {
        last.counter++;
    } else {
        last.ms++;
        last.counter = seed & (COUNTER_MAX >> 1);
    }
}

size_t tb_id_make(char out[TB_ID_ROOM], const char *prefix, int32_t book, int64_t wall_ms)
{
    size_t prefix_n = strlen(prefix);
    TB_ASSERT(prefix_n >= 1 && prefix_n <= TB_ID_PREFIX_MAX);
    TB_ASSERT(book >= 1 && book <= TB_BOOK_MAX);
    TB_ASSERT(wall_ms >= 0 && wall_ms < INT64_C(1) << 47);

    uint64_t random = tb_random_u64();
    next_place(wall_ms, (uint32_t)(random >> RANDOM_BITS));
    uint64_t high = (uint64_t)last.ms << 16 | UINT64_C(8) << 12 | last.counter;
    uint64_t low = UINT64_C(2) << 62 | (uint64_t)book << RANDOM_BITS |
                   (random & ((UINT64_C(1) << RANDOM_BITS) - 1));

    memcpy(out, prefix, prefix_n);
    char *at = out + prefix_n;
    *at++ = '_';
    wide bits = (wide)high << 64 | low;
    for (int i = TB_ID_DIGITS - 1; i >= 0; i--, bits >>= 5)
        at[i] = digits[bits & 31];
    at[TB_ID_DIGITS] = '\0';
    return prefix_n + 1 + TB_ID_DIGITS;
}

/* The 26 digits at the end of `id` as bits; false unless they are a UUID of version 8. */
static bool read_bits(struct tb_str id, uint64_t *out_high, uint64_t *out_low)
{
    if (id.n < 1 + 1 + TB_ID_DIGITS || id.n >= TB_ID_ROOM)
        return false;
    const char *at = id.at + id.n - TB_ID_DIGITS;
    if (at[-1] != '_' || at[0] > '7') /* 26 digits hold 130 bits: the first two are 0 */
        return false;
    wide bits = 0;
    for (int i = 0; i < TB_ID_DIGITS; i++) {
        unsigned value = values[(unsigned char)at[i]];
        if (value == 0)
            return false;
        bits = bits << 5 | (value - 1);
    }
    *out_high = (uint64_t)(bits >> 64);
    *out_low = (uint64_t)bits;
    return (*out_high >> 12 & 15) == 8 && *out_low >> 62 == 2;
}

bool tb_id_check(struct tb_str id, const char *prefix)
{
    uint64_t high, low;
    size_t prefix_n = strlen(prefix);
    return id.n == prefix_n + 1 + TB_ID_DIGITS && memcmp(id.at, prefix, prefix_n) == 0 &&
           read_bits(id, &high, &low);
}

int32_t tb_id_book(struct tb_str id)
{
    uint64_t high, low;
    return read_bits(id, &high, &low) ? (int32_t)(low >> RANDOM_BITS & TB_BOOK_MAX) : 0;
}

int64_t tb_id_time(struct tb_str id)
{
    uint64_t high, low;
    return read_bits(id, &high, &low) ? (int64_t)(high >> 16) : -1;
}
