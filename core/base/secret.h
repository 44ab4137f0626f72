/* Bytes that must not be seen: keys, passwords, tokens. A type of its own, so that a secret cannot
 * be passed where text is expected: no function of the log or of the text builder takes it. */
#ifndef TB_BASE_SECRET_H
#define TB_BASE_SECRET_H

#include <stddef.h>

/** Zero-initialise. The bytes are followed by a NUL that `n` does not count. */
struct tb_secret {
    unsigned char *at;
    size_t n;
};

enum { TB_SECRET_FILE_MAX = 16 * 1024 };

/** Keep a copy of `n` bytes; what was kept before is wiped. */
void tb_secret_set(struct tb_secret *secret, const void *bytes, size_t n);

/** Overwrite and forget. Safe to call twice. */
void tb_secret_wipe(struct tb_secret *secret);

/** Keep the content of a file, without one newline at its end.
 *  @return NULL, or why not (constant text): missing, not a regular file, empty, larger than
 *          TB_SECRET_FILE_MAX, or readable by others than its owner and group
 *  Waits: for the disk; use it at start. */
const char *tb_secret_read(struct tb_secret *secret, const char *path);

#endif
