/* Hooks that keep failing are left alone for a while, each version's for itself, so that a canary
 * that fails takes nothing from the version beside it. A worker that has seen 20 failures among its
 * last 50 calls turns the hook off, and the books tell it to all workers as they tell an
 * activation: what the partner reads there is true everywhere within half a second.
 *
 * After 30 s the hook is called again. What it did before is not forgotten, so if it goes on
 * failing it is off again at the next failure; an activation begins anew.
 *
 * A worker has one thread. A script that computes for long gives way to others, but not
 * everywhere: where a function of the host's is at work, or calls the script back, nobody else is
 * served. What a partner's calls take so beyond 200 us at a stretch is counted, whether they fail
 * or not, and a partner that has used up its share of the worker (script.long) is left alone until
 * that is made up for. No activation makes up for it. */
#ifndef TB_HOOKS_SCRIPT_BREAKER_H
#define TB_HOOKS_SCRIPT_BREAKER_H

#include "hooks/hooks.h"
#include "lua/script.h"

struct tb_exchange;
struct tb_loop;
struct tb_script_row;

enum {
    TB_BREAKER_CALLS = 50,    /**< looked back on */
    TB_BREAKER_FAILURES = 20, /**< among them turn a hook off */
    TB_BREAKER_OFF_MS = 30 * 1000,
    TB_SCRIPT_SAVED_MS = 20 * 1000, /**< a share is saved for so long */
};

/** The last calls of one hook of one version on this worker. */
struct tb_script_breaker {
    uint64_t failed;      /**< bit i: the i-th last call failed; the lowest 50 count */
    int64_t off_until_ms; /**< loop clock; not called before */
    int64_t told_ms;      /**< when a failure was last written to the books */
};

/** Charge a partner for what its call held up others.
 *  @param held_ns  as in struct tb_script_result; below 0: nothing
 *  @param long_ms  script.long: what is settled in a second */
void tb_script_held(struct tb_script_row *row, int64_t held_ns, int64_t long_ms, int64_t now_ms);

/** Whether a partner's calls have used up its share of this worker. */
bool tb_script_too_long(const struct tb_script_row *row, int64_t now_ms);

/** Whether the hook of a version is left alone because it failed too often. */
bool tb_script_off(struct tb_script_row *row, int32_t version, enum tb_script_hook hook,
                   int64_t now_ms);

/** Count a call's end and cost; write its failure down, at most one a second; turn the hook off
 *  when 20 of the last 50 calls failed. Waits: no: what is written goes its own way. */
void tb_script_note(struct tb_exchange *x, struct tb_script_row *row, int32_t version,
                    enum tb_script_hook hook, const struct tb_script_result *result);

/** Write down that a hook was not called because of tb_script_too_long, at most once a second.
 *  Waits: no, as above. */
void tb_script_note_too_long(struct tb_exchange *x, struct tb_script_row *row, int32_t version,
                             enum tb_script_hook hook, const char *why);

/** Leave alone what other workers have turned off.
 *  @param off  `off` of script.changes; absent: nothing is */
void tb_script_breakers_hear(struct tb_script_row *row, struct tb_str off, struct tb_loop *loop);

#endif
