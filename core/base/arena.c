/* The arena: chunks in a list, a pointer that moves. The first chunk lies behind the arena itself
 * and outlives a reset, so that a request that stays within it costs no call of malloc at all. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16 };

/* Behind the last byte of each chunk: whoever writes past an allocation at the end of a chunk is
 * found at reset, before the chunk is used again. */
static const unsigned char canary[ALIGN] = "tongbao canary.";

struct chunk {
    struct chunk *next;
    char *end;  /**< where the canary is; NULL: there is none */
    bool first; /**< part of the arena's own memory */
};

struct cleanup {
    struct cleanup *next;
    void (*run)(void *data);
    void *data;
};

struct tb_arena {
    char *at, *end;           /**< free part of the current chunk */
    size_t left;              /**< bytes that may still be handed out; 0 once one did not fit */
    size_t refused;           /**< what `left` was when one did not fit */
    size_t cap;               /**< `left` of an empty arena */
    bool overflowed;          /**< sticky until reset */
    struct cleanup *cleanups; /**< last registered first */
    struct chunk *chunks;     /**< newest first; the last of them is the first chunk */
};

/* Headers are padded so that what follows them keeps the alignment. */
static size_t padded(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

#define HEAD padded(sizeof(struct chunk))

static void *overflow(struct tb_arena *arena)
{
    if (!arena->overflowed)
        arena->refused = arena->left;
    arena->overflowed = true;
    arena->left = 0; /* makes every later allocation fail without a test of its own */
    return NULL;
}

#ifdef TB_ARENA_MALLOC

static struct tb_arena *make(void)
{
    return tb_mem(sizeof(struct tb_arena));
}

static void reuse_first_chunk(struct tb_arena *arena)
{
    (void)arena; /* nothing is kept, so that a use after reset is found too */
}

/* One malloc for each allocation, of the exact size, so that the sanitizer sees its borders. */
static void *take_memory(struct tb_arena *arena, size_t size, size_t n)
{
    struct chunk *chunk = tb_mem_try_raw(HEAD + n);
    if (chunk == NULL)
        return overflow(arena);
    chunk->next = arena->chunks;
    chunk->end = NULL;
    chunk->first = false;
    arena->chunks = chunk;
    arena->left -= size;
    return (char *)chunk + HEAD;
}

bool tb_arena_extend(struct tb_arena *arena, void *at, size_t n, size_t more)
{
    (void)arena, (void)at, (void)n, (void)more;
    return false;
}

#else

static void open_chunk(struct tb_arena *arena, struct chunk *chunk, size_t room)
{
    chunk->next = arena->chunks;
    chunk->first = arena->chunks == NULL;
    arena->chunks = chunk;
    arena->at = (char *)chunk + HEAD;
    arena->end = arena->at + room;
    chunk->end = arena->end;
    memcpy(chunk->end, canary, sizeof(canary));
}

static struct chunk *first_chunk(struct tb_arena *arena)
{
    return (struct chunk *)((char *)arena + padded(sizeof(*arena)));
}

static struct tb_arena *make(void)
{
    struct tb_arena *arena = tb_mem_try_raw(padded(sizeof(*arena)) + HEAD + TB_ARENA_CHUNK +
                                            sizeof(canary));
    TB_ASSERT(arena != NULL);
    memset(arena, 0, sizeof(*arena));
    open_chunk(arena, first_chunk(arena), TB_ARENA_CHUNK);
    return arena;
}

static void reuse_first_chunk(struct tb_arena *arena)
{
    open_chunk(arena, first_chunk(arena), TB_ARENA_CHUNK);
}

/* A new chunk that holds at least `size`, twice as large as the one before it where the cap allows:
 * the number of chunks stays small and what is left over of the old one is at most half. */
static void *take_from_new_chunk(struct tb_arena *arena, size_t size)
{
    size_t room = 2 * (size_t)(arena->chunks->end - (char *)arena->chunks);
    if (room > arena->left)
        room = arena->left;
    if (room < size)
        room = size;
    struct chunk *chunk = tb_mem_try_raw(HEAD + room + sizeof(canary));
    if (chunk == NULL)
        return overflow(arena);
    open_chunk(arena, chunk, room);
    arena->left -= size;
    arena->at += size;
    return arena->at - size;
}

static void *take_memory(struct tb_arena *arena, size_t size, size_t n)
{
    (void)n;
    if (size > (size_t)(arena->end - arena->at))
        return take_from_new_chunk(arena, size);
    void *at = arena->at;
    arena->at += size;
    arena->left -= size;
    return at;
}

bool tb_arena_extend(struct tb_arena *arena, void *at, size_t n, size_t more)
{
    size_t old = padded(n == 0 ? 1 : n);
    if (at == NULL || arena->at - (char *)at != (ptrdiff_t)old || more < n || more > arena->cap)
        return false;
    size_t growth = padded(more == 0 ? 1 : more) - old;
    if (growth > arena->left || growth > (size_t)(arena->end - arena->at))
        return false;
    arena->at += growth;
    arena->left -= growth;
    return true;
}

#endif

struct tb_arena *tb_arena_new(size_t cap_bytes)
{
    struct tb_arena *arena = make();
    arena->cap = arena->left = cap_bytes & ~(size_t)(ALIGN - 1);
    return arena;
}

void tb_arena_reset(struct tb_arena *arena)
{
    while (arena->cleanups != NULL) {
        struct cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next;
        cleanup->run(cleanup->data);
    }
    while (arena->chunks != NULL) {
        struct chunk *chunk = arena->chunks;
        TB_ASSERT(chunk->end == NULL || memcmp(chunk->end, canary, sizeof(canary)) == 0);
        arena->chunks = chunk->next;
        if (!chunk->first)
            tb_mem_free(chunk);
    }
    reuse_first_chunk(arena);
    arena->left = arena->cap;
    arena->refused = 0;
    arena->overflowed = false;
}

void tb_arena_free(struct tb_arena *arena)
{
    if (arena == NULL)
        return;
    tb_arena_reset(arena);
    tb_mem_free(arena);
}

void *tb_arena_raw(struct tb_arena *arena, size_t n)
{
    if (n > arena->left) /* first, so that rounding up cannot wrap */
        return overflow(arena);
    size_t size = padded(n == 0 ? 1 : n);
    if (size > arena->left)
        return overflow(arena);
    return take_memory(arena, size, n);
}

void *tb_arena_alloc(struct tb_arena *arena, size_t n)
{
    void *at = tb_arena_raw(arena, n);
    return at == NULL ? NULL : memset(at, 0, n);
}

char *tb_arena_text(struct tb_arena *arena, const char *at, size_t n)
{
    char *copy = n == SIZE_MAX ? overflow(arena) : tb_arena_raw(arena, n + 1);
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, at, n);
    copy[n] = '\0';
    return copy;
}

struct tb_str tb_arena_vformat(struct tb_arena *arena, const char *format, va_list args)
{
    char quick[256]; /* most texts fit, and are then formatted once */
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(quick, sizeof(quick), format, args);
    struct tb_str out = TB_STR_NONE;
    if (n >= 0 && (size_t)n < sizeof(quick)) {
        out.at = tb_arena_text(arena, quick, (size_t)n);
    } else if (n >= 0) {
        char *at = tb_arena_raw(arena, (size_t)n + 1);
        if (at != NULL)
            vsnprintf(at, (size_t)n + 1, format, again);
        out.at = at;
    }
    va_end(again);
    if (out.at != NULL)
        out.n = (size_t)n;
    return out;
}

struct tb_str tb_arena_format(struct tb_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct tb_str out = tb_arena_vformat(arena, format, args);
    va_end(args);
    return out;
}

bool tb_arena_defer(struct tb_arena *arena, void (*cleanup)(void *data), void *data)
{
    struct cleanup *one = tb_arena_raw(arena, sizeof(*one));
    if (one == NULL) {
        cleanup(data);
        return false;
    }
    *one = (struct cleanup){.next = arena->cleanups, .run = cleanup, .data = data};
    arena->cleanups = one;
    return true;
}

bool tb_arena_overflowed(const struct tb_arena *arena)
{
    return arena->overflowed;
}

size_t tb_arena_cap(const struct tb_arena *arena)
{
    return arena->cap;
}

size_t tb_arena_used(const struct tb_arena *arena)
{
    return arena->cap - arena->left - arena->refused;
}
