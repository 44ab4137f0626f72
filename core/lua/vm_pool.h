/* Pool of the Lua states (VMs) that a worker keeps: one for each version of a script that was
 * called lately. How many there are and what they take is bounded; the one that was not called for
 * the longest time gives way. A state that is worn is replaced with the next call.
 *
 *     struct tb_script *script = tb_vm_pool_find(states, version);
 *     if (script == NULL) {
 *         … load the text, which waits …
 *         script = tb_vm_pool_add(states, version, text, why, sizeof why);
 *     }
 *     … tb_script_run(req, script, …) …
 *     tb_vm_pool_release(states, script);
 */
#ifndef TB_LUA_VM_POOL_H
#define TB_LUA_VM_POOL_H

#include "lua/script.h"

struct tb_vm_pool;

enum { TB_VM_POOL_VERSION_BYTES = 64 };

/** @param limits      of each state; borrowed
 *  @param most        states kept; those that are in a call are never given up, so there can be
 * more
 *  @param most_bytes  what they may take together, as tb_script_bytes counts, when no call is under
 *                     way */
struct tb_vm_pool *tb_vm_pool_new(const struct tb_script_limits *limits, size_t most,
                                  size_t most_bytes);
void tb_vm_pool_free(struct tb_vm_pool *states);

/** The state of a version, held for the caller until it is released; NULL when there is none that
 *  can be used. */
struct tb_script *tb_vm_pool_find(struct tb_vm_pool *states, struct tb_str version);

/** Make a state of a version's text, held for the caller; another may have made one while the text
 *  was being loaded, then that is taken.
 *  @param version  at most TB_VM_POOL_VERSION_BYTES, names the text for ever
 *  @return NULL when the text is not acceptable, with the reason in `why` */
struct tb_script *tb_vm_pool_add(struct tb_vm_pool *states, struct tb_str version,
                                 struct tb_str text, char *why, size_t why_bytes);

void tb_vm_pool_release(struct tb_vm_pool *states, struct tb_script *script);

struct tb_vm_pool_stats {
    size_t states, bytes;
    uint64_t made, evicted, worn;
};
struct tb_vm_pool_stats tb_vm_pool_stats(const struct tb_vm_pool *states);

#endif
