/* The heap behind mem.h. */
#include "base/mem.h"
#include "base/assert.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *tb_mem(size_t n)
{
    return tb_mem_array(1, n);
}

void *tb_mem_array(size_t count, size_t size)
{
    void *at = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    TB_ASSERT(at != NULL); /* calloc refuses a product that overflows */
    return at;
}

void *tb_mem_try(size_t n)
{
    return calloc(1, n == 0 ? 1 : n);
}

void *tb_mem_try_raw(size_t n)
{
    return malloc(n == 0 ? 1 : n);
}

void *tb_mem_try_resize(void *at, size_t n)
{
    return realloc(at, n == 0 ? 1 : n);
}

void *tb_mem_resize(void *at, size_t n)
{
    void *moved = tb_mem_try_resize(at, n);
    TB_ASSERT(moved != NULL);
    return moved;
}

char *tb_mem_text(const char *at, size_t n)
{
    TB_ASSERT(n < SIZE_MAX);
    char *copy = malloc(n + 1);
    TB_ASSERT(copy != NULL);
    if (n > 0)
        memcpy(copy, at, n);
    copy[n] = '\0';
    return copy;
}

void tb_mem_free(void *at)
{
    free(at);
}

void tb_mem_free_secret(void *at, size_t n)
{
    if (at == NULL)
        return;
    explicit_bzero(at, n);
    free(at);
}
