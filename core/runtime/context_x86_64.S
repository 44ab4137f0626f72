/* Switch of contexts for x86-64 (System V ABI). A call preserves rbx, rbp, r12-r15, the control bits
 * of mxcsr and the x87 control word; the caller has saved the rest. Popping the return address and
 * jumping, instead of `ret`, spares the return predictor a certain miss: half the cost of a switch.
 * tb_context_make in context.c lays out the same frame. */
#if defined(__x86_64__) && !defined(TB_CONTEXT_UCONTEXT)
    .text

/* void tb_context_switch(struct tb_context *from, struct tb_context *to) */
    .globl  tb_context_switch
    .hidden tb_context_switch
    .type   tb_context_switch, @function
    .p2align 4
tb_context_switch:
    .cfi_startproc
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movq    %rsp, (%rdi)
    movq    (%rsi), %rsp            /* every suspended stack has this frame on top */
    ldmxcsr (%rsp)
    fldcw   4(%rsp)
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmp     *%rcx
    .cfi_endproc
    .size   tb_context_switch, . - tb_context_switch

/* Where a fresh stack begins: the outermost frame, so a backtrace ends here. */
    .globl  tb_context_entry
    .hidden tb_context_entry
    .type   tb_context_entry, @function
    .p2align 4
tb_context_entry:
    .cfi_startproc
    .cfi_undefined %rip
    movq    %rbx, %rdi
    callq   *%r12
    ud2
    .cfi_endproc
    .size   tb_context_entry, . - tb_context_entry
#endif
    .section .note.GNU-stack, "", @progbits
