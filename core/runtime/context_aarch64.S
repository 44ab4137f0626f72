/* Switch of contexts for aarch64 (AAPCS64). A call preserves x19-x29, the link register's value and
 * the low halves of v8-v15. tb_context_make in context.c lays out the same frame: x19..x30 in words
 * 0..11, d8..d15 in words 12..19, fpcr in word 20. */
#if defined(__aarch64__) && !defined(TB_CONTEXT_UCONTEXT)
    .text

/* void tb_context_switch(struct tb_context *from, struct tb_context *to) */
    .globl  tb_context_switch
    .hidden tb_context_switch
    .type   tb_context_switch, %function
    .p2align 4
tb_context_switch:
    .cfi_startproc
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mrs     x9, fpcr
    str     x9, [sp, #160]
    mov     x10, sp
    str     x10, [x0]
    ldr     x10, [x1]
    mov     sp, x10                 /* every suspended stack has this frame on top */
    ldr     x9, [sp, #160]
    msr     fpcr, x9
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    add     sp, sp, #176
    .cfi_adjust_cfa_offset -176
    br      x30
    .cfi_endproc
    .size   tb_context_switch, . - tb_context_switch

/* Where a fresh stack begins: the outermost frame, so a backtrace ends here. */
    .globl  tb_context_entry
    .hidden tb_context_entry
    .type   tb_context_entry, %function
    .p2align 4
tb_context_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov     x0, x20
    blr     x19
    brk     #0
    .cfi_endproc
    .size   tb_context_entry, . - tb_context_entry
#endif
    .section .note.GNU-stack, "", %progbits
