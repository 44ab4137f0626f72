/* Machine contexts: the part of a fiber that depends on the processor. A context is a saved stack
 * pointer; everything else that a call must preserve is pushed on the stack it points to. Only
 * fiber.c uses this. */
#ifndef TB_RUNTIME_CONTEXT_H
#define TB_RUNTIME_CONTEXT_H

#include <stddef.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define TB_CONTEXT_UCONTEXT
#endif

#ifdef TB_CONTEXT_UCONTEXT
#include <ucontext.h>
struct tb_context {
    ucontext_t uc;
};
#else
struct tb_context {
    void *sp;
};
#endif

/** Prepare `context` so that the first switch to it calls `entry(arg)` on the stack of `n` bytes at
 *  `low` (n a multiple of 16). `entry` must never return. */
void tb_context_make(struct tb_context *context, void *low, size_t n, void (*entry)(void *arg),
                     void *arg);

/** Save the processor in `from` and continue where `to` was saved. */
void tb_context_switch(struct tb_context *from, struct tb_context *to);

#endif
