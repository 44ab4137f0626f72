/* What a state takes: every block is counted, and refused above the limits. Nearly all are small (a
 * state is made of 400 to 800, a call takes 10 to 20), and to get them from the heap was half of
 * the time that making a state took. So they come from a front: one piece of memory of the state's
 * own, where a freed block waits for the next of its size, the last one first because the cache
 * still has it. What is large, or finds the front full, comes from the heap. */
#include "base/mem.h"
#include "lua/state.h"
#include "runtime/sanitize.h"
#include <string.h>

enum {
    GRAIN = 16,
#ifdef TB_HAS_ASAN
    FRONT_BYTES = 0, /* each block from the heap, so that what is written beside one is found */
#else
    FRONT_BYTES = 64 * 1024, /* the library and what some calls leave until it is collected */
#endif
};

void tb_script_front_open(struct tb_script_front *front)
{
    front->bytes = RUNNING_ON_VALGRIND ? 0 : FRONT_BYTES;
    front->at = tb_mem_try_raw(front->bytes);
    if (front->at == NULL)
        front->bytes = 0;
}

void tb_script_front_close(struct tb_script_front *front)
{
    tb_mem_free(front->at);
}

static size_t size_class(size_t n)
{
    return (n + GRAIN - 1) / GRAIN;
}

static bool is_of_front(const struct tb_script_front *front, const void *at)
{
    return (uintptr_t)at - (uintptr_t)front->at < front->bytes;
}

static void *take_block(struct tb_script_front *front, size_t n)
{
    size_t class = size_class(n);
    if (class < TB_SCRIPT_CLASSES) {
        void **freed = front->freed[class];
        if (freed != NULL) {
            front->freed[class] = *freed;
            return freed;
        }
        if (front->bytes - front->used >= class * GRAIN) {
            front->used += class * GRAIN;
            return front->at + front->used - class * GRAIN;
        }
    }
    return tb_mem_try_raw(n);
}

static void give_back(struct tb_script_front *front, void *at, size_t n)
{
    if (!is_of_front(front, at)) {
        tb_mem_free(at);
        return;
    }
    void **freed = at;
    *freed = front->freed[size_class(n)];
    front->freed[size_class(n)] = freed;
}

static void *resize(struct tb_script_front *front, void *at, size_t old_n, size_t n)
{
    if (!is_of_front(front, at))
        return tb_mem_try_resize(at, n);
    if (size_class(n) == size_class(old_n))
        return at;
    void *moved = take_block(front, n);
    if (moved == NULL)
        return NULL;
    memcpy(moved, at, old_n < n ? old_n : n);
    give_back(front, at, old_n);
    return moved;
}

void *tb_script_allocate(void *owner, void *at, size_t old_n, size_t n)
{
    struct tb_script *script = owner;
    if (n > old_n && (n > script->limits->object_bytes ||
                      script->bytes - old_n + n > script->limits->memory_bytes)) {
        script->starved = true;
        tb_script_look_soon(script);
        return NULL;
    }
    void *moved = NULL;
    if (n == 0)
        give_back(&script->front, at, old_n);
    else if ((moved = at == NULL ? take_block(&script->front, n)
                                 : resize(&script->front, at, old_n, n)) == NULL)
        return NULL;
    script->bytes += n - old_n;
    script->large += n > TB_SCRIPT_LARGE ? 1 : 0;
    script->large -= old_n > TB_SCRIPT_LARGE ? 1 : 0;
    script->churn += n > old_n ? n - old_n : 0;
    if (script->churn >= TB_SCRIPT_CHURN || n > TB_SCRIPT_LARGE) {
        script->churn = 0;
        tb_script_look_soon(script);
    }
    return moved;
}
