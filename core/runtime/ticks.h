/* The processor's own counter: cheap enough to be read at both ends of every slice of a fiber. Its
 * unit is found only when a slice looks long, by comparing with the clock since the loop began. */
#ifndef TB_RUNTIME_TICKS_H
#define TB_RUNTIME_TICKS_H

#include "runtime/loop.h"
#include <stdint.h>

/** Fewer ticks than this are surely less than 20 ms: no counter of x86-64 in use is slower than
 *  1 GHz; those of aarch64 run at 1 MHz or more. */
#if defined(__x86_64__)
#define TB_TICKS_SUSPICIOUS 20000000u
#else
#define TB_TICKS_SUSPICIOUS 20000u
#endif

static inline uint64_t tb_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)tb_loop_us();
#endif
}

struct tb_tick_origin {
    uint64_t ticks;
    int64_t us;
};

static inline void tb_tick_origin_set(struct tb_tick_origin *origin)
{
    *origin = (struct tb_tick_origin){tb_ticks(), tb_loop_us()};
}

/** `ticks`, which have just passed, in ms. */
static inline int64_t tb_ticks_ms(const struct tb_tick_origin *origin, uint64_t ticks)
{
    double us_per_tick = (double)(tb_loop_us() - origin->us) /
                         (double)(tb_ticks() - origin->ticks + 1);
    return (int64_t)((double)ticks * us_per_tick / 1000);
}

#endif
