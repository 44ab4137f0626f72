/* Memory of one request: allocations are bumps in a chunk, all freed at once. It has a cap, and
 * once the cap is hit every later allocation fails too (sticky), so one check at the end is enough.
 *
 *     struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
 *     char *text = tb_arena_text(arena, at, n);
 *     tb_arena_defer(arena, free_rows, rows);      // runs at reset, last in first out
 *     tb_arena_reset(arena);                       // keeps the first chunk: ready for the next
 *
 * With TB_ARENA_MALLOC (the asan preset) each allocation is its own malloc, so that overruns are
 * found. Source: the workspace of varnish-cache; nginx's pool cleanups. */
#ifndef TB_BASE_ARENA_H
#define TB_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

struct tb_arena;

enum {
    TB_ARENA_CHUNK = 16 * 1024, /**< bytes of the first chunk */
    TB_ARENA_CAP = 1024 * 1024, /**< bytes one request may hold beside its body */
};

/** A new arena that hands out at most `cap_bytes`. Never NULL. */
struct tb_arena *tb_arena_new(size_t cap_bytes);

/** Run the deferred functions and free everything. */
void tb_arena_free(struct tb_arena *arena);

/** Run the deferred functions and forget everything but the first chunk. */
void tb_arena_reset(struct tb_arena *arena);

/** `n` zeroed bytes aligned to 16, or NULL once the cap is passed. */
void *tb_arena_alloc(struct tb_arena *arena, size_t n);

/** As tb_arena_alloc, not zeroed. */
void *tb_arena_raw(struct tb_arena *arena, size_t n);

/** Grow the latest allocation in place from `n` to `more` bytes (the new part is not zeroed). False
 * when it is not the latest or there is no room: then the caller allocates and copies. */
bool tb_arena_extend(struct tb_arena *arena, void *at, size_t n, size_t more);

/** A NUL-terminated copy, or NULL. */
char *tb_arena_text(struct tb_arena *arena, const char *at, size_t n);

/** A formatted, NUL-terminated text; absent once the cap is passed. */
struct tb_str tb_arena_format(struct tb_arena *arena, const char *format, ...) TB_PRINTF(2, 3);
struct tb_str tb_arena_vformat(struct tb_arena *arena, const char *format, va_list args);

/** Run `cleanup(data)` at reset, last registered first.
 *  @return false past the cap: it has run at once, and what it ended must not be used */
bool TB_NODISCARD tb_arena_defer(struct tb_arena *arena, void (*cleanup)(void *data), void *data);

/** Whether an allocation has failed since the last reset. */
bool tb_arena_overflowed(const struct tb_arena *arena);

/** Bytes it hands out at most. */
size_t tb_arena_cap(const struct tb_arena *arena);

/** Bytes handed out since the last reset. */
size_t tb_arena_used(const struct tb_arena *arena);

#endif
