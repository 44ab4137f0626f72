/* Quarantine: a request that was being served in two crashes is not served again. The table is
 * small and in shared memory; only the master writes it. While it is empty, asking costs one load.
 *
 *     if (tb_quarantine_any(q) && tb_quarantined(q, hash)) ... refuse with TB_E_QUARANTINED
 */
#ifndef TB_PROCESS_QUARANTINE_H
#define TB_PROCESS_QUARANTINE_H

#include "process/crash.h"
#include <tongbao/types.h>

enum {
    TB_QUARANTINE_MAX = 256, /**< suspects and convicts; the oldest gives way */
    TB_QUARANTINE_CRASHES = 2,
};

struct tb_suspect {
    _Atomic uint64_t hash[2]; /**< both 0: unused */
    _Atomic uint32_t crashes;
};

/** In shared memory. Zero-filled it is empty, apart from the key. */
struct tb_quarantine {
    _Atomic uint32_t convicted_n;
    uint32_t next; /**< place to use when no other is free */
    uint64_t key[2];
    struct tb_suspect suspects[TB_QUARANTINE_MAX];
};

/** Give an unused table its secret key. Once, by the master. */
void tb_quarantine_init(struct tb_quarantine *q);

/** Hash of a request: SipHash-2-4 with 128 bits of the parts and their lengths, under the table's
 * key. Touches no memory but its arguments, so that a signal handler may call it. */
void tb_request_hash(const struct tb_quarantine *q, const struct tb_str *parts, size_t parts_n,
                     unsigned char out_hash[TB_CRASH_HASH]);

/** Note that the request was being served in a crash. Master only.
 *  @return in how many crashes it was so far; 0 for an all-zero hash */
uint32_t tb_quarantine_note(struct tb_quarantine *q, const unsigned char hash[TB_CRASH_HASH]);

/** Whether there is anything to ask for. */
static inline bool tb_quarantine_any(const struct tb_quarantine *q)
{
    return atomic_load_explicit(&q->convicted_n, memory_order_relaxed) != 0;
}

/** Whether the request with this hash is quarantined. */
bool tb_quarantined(const struct tb_quarantine *q, const unsigned char hash[TB_CRASH_HASH]);

#endif
