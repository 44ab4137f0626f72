/* Long-lived memory: the only place that calls malloc. Small allocations of fixed size cannot fail
 * (the process ends with a crash record); anything whose size a client chooses uses tb_mem_try. */
#ifndef TB_BASE_MEM_H
#define TB_BASE_MEM_H

#include <stddef.h>

/** `n` zeroed bytes; never NULL. Free with tb_mem_free. Waits: no. */
void *tb_mem(size_t n);

/** An array of `count` zeroed elements of `size` bytes; overflow of the product ends the process.
 */
void *tb_mem_array(size_t count, size_t size);

/** `n` zeroed bytes or NULL. */
void *tb_mem_try(size_t n);

/** `n` bytes, not zeroed, or NULL. */
void *tb_mem_try_raw(size_t n);

/** Resize; the new part is not zeroed; never NULL. */
void *tb_mem_resize(void *at, size_t n);

/** Resize, or NULL with `at` as it was. */
void *tb_mem_try_resize(void *at, size_t n);

/** A copy of `n` bytes with a NUL behind them; never NULL. */
char *tb_mem_text(const char *at, size_t n);

void tb_mem_free(void *at);

/** Overwrite in a way the compiler keeps, then free. For secrets. */
void tb_mem_free_secret(void *at, size_t n);

#endif
