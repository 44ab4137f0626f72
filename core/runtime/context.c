/* Making a context: lay out a stack as the switch would have left it, so that the first switch to
 * it "returns" into the entry trampoline. Where there is no switch in assembly, ucontext does the
 * work at the price of a system call for each switch (the signal mask). */
#include "runtime/context.h"

#include <stdint.h>
#include <string.h>

#ifdef TB_CONTEXT_UCONTEXT

static void trampoline(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    uintptr_t entry = (uintptr_t)(((uint64_t)entry_high << 32) | entry_low);
    uintptr_t arg = (uintptr_t)(((uint64_t)arg_high << 32) | arg_low);
    ((void (*)(void *))entry)((void *)arg);
}

void tb_context_make(struct tb_context *context, void *low, size_t n, void (*entry)(void *arg),
                     void *arg)
{
    uint64_t e = (uintptr_t)entry, a = (uintptr_t)arg;
    getcontext(&context->uc);
    context->uc.uc_stack.ss_sp = low;
    context->uc.uc_stack.ss_size = n;
    context->uc.uc_link = NULL;
    /* makecontext passes ints only. */
    makecontext(&context->uc, (void (*)(void))trampoline, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(a >> 32), (unsigned)a);
}

void tb_context_switch(struct tb_context *from, struct tb_context *to)
{
    swapcontext(&from->uc, &to->uc);
}

#else

/* In context_<machine>.S: calls the function and argument found in two saved registers. */
void tb_context_entry(void);

#ifdef __x86_64__

void tb_context_make(struct tb_context *context, void *low, size_t n, void (*entry)(void *arg),
                     void *arg)
{
    enum { CONTROL, R15, R14, R13, R12, RBX, RBP, RETURN, WORDS = RETURN + 3 };
    /* Two zero words end the stack, and leave it aligned to 16 when the trampoline begins. */
    uint64_t *sp = (uint64_t *)((char *)low + n) - WORDS;
    memset(sp, 0, WORDS * sizeof(*sp));
    sp[CONTROL] = 0x1f80 | (uint64_t)0x037f
                               << 32; /* the ABI's initial mxcsr and x87 control word */
    sp[R12] = (uintptr_t)entry;
    sp[RBX] = (uintptr_t)arg;
    sp[RETURN] = (uintptr_t)tb_context_entry;
    context->sp = sp;
}

#else

void tb_context_make(struct tb_context *context, void *low, size_t n, void (*entry)(void *arg),
                     void *arg)
{
    enum { X19 = 0, X20 = 1, X30 = 11, WORDS = 22 };
    uint64_t *sp = (uint64_t *)((char *)low + n) - WORDS;
    memset(sp, 0, WORDS * sizeof(*sp));
    sp[X19] = (uintptr_t)entry;
    sp[X20] = (uintptr_t)arg;
    sp[X30] = (uintptr_t)tb_context_entry;
    context->sp = sp;
}

#endif
#endif
