/* Random bytes from getrandom(2), a block at a time: a system call for each id would cost more than
 * the id. What is handed out is wiped from the block at once, so that a later leak of memory does
 * not reveal earlier secrets. */
#include "base/random.h"
#include "base/assert.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { BLOCK_BYTES = 1024 };

struct block {
    uint64_t epoch; /**< the epoch it was filled in */
    size_t left;    /**< unused bytes, at the end of `bytes` */
    unsigned char bytes[BLOCK_BYTES];
};

static _Thread_local struct block block;

/* A number that differs in each process. It lies in a page that the kernel zeroes in a child
 * (MADV_WIPEONFORK): zero means "not drawn yet in this process", and a block of another epoch was
 * inherited from the parent and is thrown away. This holds for every kind of fork, also those that
 * run no pthread_atfork handler. */
static _Atomic(uint64_t) *_Atomic epoch_page;

static void read_kernel(void *out, size_t n)
{
    for (unsigned char *at = out; n > 0;) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        TB_ASSERT(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

/* Map the page; when two threads meet here, the first one's stays. NULL when the kernel cannot
 * wipe. */
static _Atomic(uint64_t) *map_epoch_page(void)
{
    enum { PAGE = 4096 };
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    _Atomic(uint64_t) *mine = page, *other = NULL;
    if (madvise(page, PAGE, MADV_WIPEONFORK) == 0 &&
        atomic_compare_exchange_strong(&epoch_page, &other, mine))
        return mine;
    munmap(page, PAGE);
    return other;
}

/* This process's epoch, never 0; or 0 when a fork could not be noticed and nothing may be kept. */
static uint64_t current_epoch(void)
{
    _Atomic(uint64_t) *epoch = atomic_load_explicit(&epoch_page, memory_order_acquire);
    if (epoch == NULL && (epoch = map_epoch_page()) == NULL)
        return 0;
    uint64_t now = atomic_load_explicit(epoch, memory_order_acquire);
    if (now != 0)
        return now;
    uint64_t drawn;
    read_kernel(&drawn, sizeof(drawn));
    drawn |= 1;
    return atomic_compare_exchange_strong(epoch, &now, drawn) ? drawn : now;
}

void tb_random_bytes(void *out, size_t n)
{
    uint64_t epoch = current_epoch();
    if (n > BLOCK_BYTES / 4 || epoch == 0) {
        read_kernel(out, n);
        return;
    }
    if (block.epoch != epoch || block.left < n) {
        read_kernel(block.bytes, sizeof(block.bytes));
        block.epoch = epoch;
        block.left = sizeof(block.bytes);
    }
    unsigned char *from = block.bytes + sizeof(block.bytes) - block.left;
    memcpy(out, from, n);
    explicit_bzero(from, n);
    block.left -= n;
}

uint64_t tb_random_u64(void)
{
    uint64_t bits;
    tb_random_bytes(&bits, sizeof(bits));
    return bits;
}

static bool is_hyphen_place(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

void tb_uuid_make(char out[TB_UUID_CHARS + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    tb_random_bytes(bytes, sizeof(bytes));
    bytes[6] = (unsigned char)(0x40 | (bytes[6] & 0x0f)); /* version 4 */
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f)); /* variant of the RFC */
    size_t at = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (is_hyphen_place(at))
            out[at++] = '-';
        out[at++] = hex[bytes[i] >> 4];
        out[at++] = hex[bytes[i] & 15];
    }
    out[TB_UUID_CHARS] = '\0';
}

bool tb_uuid_check(struct tb_str text)
{
    if (text.n != TB_UUID_CHARS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (is_hyphen_place(i) ? c != '-' : !hex)
            return false;
    }
    return text.at[14] >= '1' && text.at[14] <= '8' && strchr("89abAB", text.at[19]) != NULL;
}
