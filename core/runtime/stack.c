/* Mapping stacks. Their memory is only touched by use, so 256 KiB costs what the deepest call took.
 */
#include "runtime/stack.h"

#include "base/assert.h"
#include "runtime/fiber.h"
#include "runtime/sanitize.h"
#include <stdint.h>
#include <sys/mman.h>

/* A multiple of every page size in use, and wide enough that no frame steps over it. */
enum { GUARD = 64 * 1024 };

bool tb_stack_map(struct tb_stack *stack)
{
    char *at = mmap(NULL, GUARD + TB_FIBER_STACK, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED)
        return false;
    if (mprotect(at, GUARD, PROT_NONE) != 0) {
        munmap(at, GUARD + TB_FIBER_STACK);
        return false;
    }
    stack->low = at + GUARD;
    stack->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(stack->low,
                                                           stack->low + TB_FIBER_STACK - 1);
#ifdef TB_HAS_ASAN
    /* The leak check does not know that pointers may stand on a mapped stack. */
    __lsan_register_root_region(stack->low, TB_FIBER_STACK);
#endif
    return true;
}

void tb_stack_unmap(struct tb_stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#ifdef TB_HAS_ASAN
    __lsan_unregister_root_region(stack->low, TB_FIBER_STACK);
    __asan_unpoison_memory_region(stack->low, TB_FIBER_STACK);
#endif
    munmap(stack->low - GUARD, GUARD + TB_FIBER_STACK);
    stack->low = NULL;
}

/* The tools see reads of a dead stack as errors; here they are meant. */
__attribute__((no_sanitize("address", "thread"))) size_t tb_stack_used(const struct tb_stack *stack)
{
    if (RUNNING_ON_VALGRIND)
        return 0;
    const uint64_t *word = (const uint64_t *)(const void *)stack->low;
    size_t words = TB_FIBER_STACK / sizeof(*word), i = 0;
    while (i < words && word[i] == 0)
        i++;
    return (words - i) * sizeof(*word);
}
