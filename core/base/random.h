/* Unpredictable bytes: the kernel's generator, read in blocks. Safe over fork (a child never gets
 * what its parent got) and from any thread. */
#ifndef TB_BASE_RANDOM_H
#define TB_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tongbao/types.h>

enum { TB_UUID_CHARS = 36 };

/** Fill `n` bytes at `out` with random bytes fit for keys. Does not fail: a kernel without random
 *  bytes ends the process. Waits: only at boot, before the kernel's generator is seeded. */
void tb_random_bytes(void *out, size_t n);

/** 64 random bits. */
uint64_t tb_random_u64(void);

/** Write a random UUID (RFC 9562 version 4) in lower case and a NUL: for request ids. */
void tb_uuid_make(char out[TB_UUID_CHARS + 1]);

/** Whether `text` is a UUID of RFC 9562 (8-4-4-4-12 hexadecimal digits of either case, version 1 to
 * 8, the variant of the RFC): what a client may send as its own request id. */
bool tb_uuid_check(struct tb_str text);

#endif
