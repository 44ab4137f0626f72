/* The partner scripts of one worker: which partner has one, and which version of it a request
 * meets. Rows come from the books, four times a second; texts when a version is first called.
 *
 *     struct tb_script_row *row = tb_scripts_find(scripts, book, partner);   // NULL: none
 *     int32_t version = tb_script_pick(row, request_id);
 *     ...
 *     TB_TRY(tb_scripts_hold(req, scripts, row, version, &script, why, sizeof why));
 *     ... tb_script_run(req, script, &call, &result) ...
 *     tb_scripts_release(scripts, script);
 *     tb_script_note(x, row, version, hook, &result);
 *
 * What a decision does to a request stands in script_before.c and script_after.c. */
#ifndef TB_HOOKS_SCRIPTS_H
#define TB_HOOKS_SCRIPTS_H

#include "gateway/exchange.h"
#include "hooks/hooks.h"
#include "hooks/script_breaker.h"
#include "lua/vm_pool.h"

struct tb_metrics;
struct tb_store;

enum {
    TB_SCRIPTS_MS = 250,     /**< how often to call tb_scripts_refresh: what is activated counts
                                  on every worker within half a second */
    TB_SCRIPT_ID_BYTES = 36, /**< "scr_…" with its NUL */
    TB_SCRIPT_PARTNER_BYTES = 48,
    TB_SCRIPT_LIMITS = 8, /**< names of limits that one activation of a script may use */
};

/** What a worker knows of one partner in one book. Lives as long as the worker, so it may be kept
 *  over a wait; a refresh changes it in place. */
struct tb_script_row {
    int32_t book;
    int32_t version;                     /**< that runs; 0: none does */
    int32_t previous;                    /**< that serves what a canary leaves; 0: none does */
    int32_t canary;                      /**< percent of the requests that meet `version` */
    bool recording;                      /**< requests are kept for dry runs */
    enum tb_failure failure[TB_HOOKS_N]; /**< what becomes of a request when the hook fails */
    int64_t activated;                   /**< generation that let run what runs */
    struct {
        struct tb_script_breaker version, previous;
    } breakers[TB_HOOKS_N];
    int64_t settled_ms;                /**< loop clock: then what its long calls took is settled */
    uint32_t limits[TB_SCRIPT_LIMITS]; /**< digests of the names that its limits had so far */
    size_t limits_n;
    size_t partner_n;
    char partner[TB_SCRIPT_PARTNER_BYTES];
    char id[TB_SCRIPT_ID_BYTES];
    struct tb_script_row *chain;
};

struct tb_scripts_parts {
    struct tb_store *store; /**< borrowed, as all */
    struct tb_metrics *metrics;
    const struct tb_config *config; /**< script.* */
};

struct tb_scripts;

/** What a call may take, as script.* of the configuration says. */
struct tb_script_limits tb_script_limits_of(const struct tb_config *config);

struct tb_scripts *tb_scripts_new(const struct tb_scripts_parts *parts);

/** Take what changed in the books since the last time, at the first call all there is. While it
 *  leaves `*out_behind` set, call again with a fresh request.
 *  @return NULL; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_scripts_refresh(struct tb_req *req, struct tb_scripts *scripts,
                                                   bool *out_behind);

/** The row of a partner in a book; NULL when it never had a script. Waits: no; one look into a hash
 *  table, no memory. */
struct tb_script_row *tb_scripts_find(struct tb_scripts *scripts, int32_t book,
                                      struct tb_str partner);

/** The version that a request meets, the same for the same request id; 0: none. */
int32_t tb_script_pick(const struct tb_script_row *row, struct tb_str request_id);

/** What a script's tb.random() begins with: the same request, the same numbers. */
uint64_t tb_script_seed(struct tb_str request_id);

/** The state of a version, held until it is released.
 *  @param out  NULL with the reason in `why` when its text is not acceptable
 *  @return NULL; errors of tb_query. Waits: when the text must be loaded. */
tb_err TB_NODISCARD TB_SUSPENDS tb_scripts_hold(struct tb_req *req, struct tb_scripts *scripts,
                                                struct tb_script_row *row, int32_t version,
                                                struct tb_script **out, char *why,
                                                size_t why_bytes);
void tb_scripts_release(struct tb_scripts *scripts, struct tb_script *script);

/** An arena beside the request's own, which ends with that; NULL when that is full. */
struct tb_arena *tb_scripts_scratch(struct tb_exchange *x);

/** One entry of a partner's own tables as it is now, with a reference for the caller; NULL: none.
 *  @return NULL; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_entry(struct tb_req *req, struct tb_store *store,
                                                int32_t book, struct tb_str partner,
                                                struct tb_str table, struct tb_str key,
                                                json_t **out);

/** One entry of the partner's own tables, for tb.lookup; `arg` is not used: book and partner are
 * the request's own. As tb_script_lookup. */
tb_err TB_SUSPENDS tb_scripts_lookup(struct tb_req *req, void *arg, struct tb_str table,
                                     struct tb_str key, json_t **out);

/** Refuse the request, unless its Idempotency-Key was answered before: then it goes on to that
 *  answer, whatever a script thinks of it by now.
 *  @return NULL, with x->replays set; `err`; errors of tb_query. Waits: yes, for keyed operations.
 */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_refuse(struct tb_exchange *x, tb_err err);

/** One call of a hook of the version that the request meets. */
struct tb_script_turn {
    enum tb_script_hook hook;
    const char *off; /**< why the hook is left alone, which counts as failed; NULL: it is not */
    struct tb_script *script; /**< held; NULL: nothing to call */
    struct tb_script_result result;
};

/** Get ready to call a hook: it is left alone, or the script has it (then `script` is set), or its
 *  text is not acceptable (then result.end says so), or there is no such hook.
 *  @return NULL; errors of tb_query. Waits: when the text must be loaded. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_begin(struct tb_exchange *x, enum tb_script_hook hook,
                                                struct tb_script_turn *out_turn);

/** Call it, see that what it decides is what it may decide, and let go of the script.
 *  @param second  on_response's second argument, or NULL
 *  @return NULL; what ends the request itself: a lookup that failed, a deadline, a client gone
 *  Waits: in lookups. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_ask(struct tb_exchange *x, struct tb_script_turn *turn,
                                              const json_t *second);

/** Count, trace and write down how it ended. Waits: no. */
void tb_script_end(struct tb_exchange *x, const struct tb_script_turn *turn);

/** Copy as much of `words` as fits and is UTF-8: what a script throws need not be text. */
void tb_script_words(char *out, size_t room, const char *words);

/** Write into the trace what a hook's decision came to; `note` may be NULL. */
void tb_script_trace(struct tb_exchange *x, enum tb_script_hook hook, const char *verdict,
                     const char *note);

/** What the hooks are given, told to Lua directly; lives as long as the request. NULL when memory
 * ran out. Waits: no. */
const struct tb_script_member *tb_script_members(struct tb_exchange *x, size_t *out_n);

/** The same as JSON, as schemas/script/request.json says; lives as long as the request.
 *  NULL when memory ran out. Waits: no. */
json_t *tb_script_request(struct tb_exchange *x);

struct tb_vm_pool_stats tb_scripts_stats(const struct tb_scripts *scripts);

#endif
