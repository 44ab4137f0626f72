/* Stacks of fibers: mapped with a guard page below, and the tools that follow stacks are told. */
#ifndef TB_RUNTIME_STACK_H
#define TB_RUNTIME_STACK_H

#include <stdbool.h>
#include <stddef.h>

/** A stack of TB_FIBER_STACK bytes; `low` is its lowest usable address, the page below is the
 * guard. */
struct tb_stack {
    char *low;
    unsigned valgrind_id;
};

/** False when the kernel gives no more memory. */
bool tb_stack_map(struct tb_stack *stack);
void tb_stack_unmap(struct tb_stack *stack);

/** Bytes ever used of a stack that is not in use now, to the last non-zero word. Costs
 * microseconds. */
size_t tb_stack_used(const struct tb_stack *stack);

#endif
