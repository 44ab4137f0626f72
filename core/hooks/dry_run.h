/* A dry run: recorded requests through a version of a script, beside another version or none, to
 * see what would change before it does. Same request, same clock, same random numbers as when it
 * was recorded; only the partner's tables are read as they are now. The books keep what came of it.
 *
 *     struct tb_dry_run *run;
 *     TB_TRY(tb_dry_run_begin(req, store, &ask, &run));
 *     TB_TRY(tb_dry_run_replay(req, run));
 *     tb_dry_run_free(run);
 *
 * It needs compiled decisions (tb_hooks_open). */
#ifndef TB_HOOKS_DRY_RUN_H
#define TB_HOOKS_DRY_RUN_H

#include "hooks/hooks.h"
#include "store/pool.h"

enum {
    TB_DRY_RUN_SLICE_US = 500, /**< other fibers get their turn after so long, and one call */
    TB_DRY_RUN_CPU_S = 60,     /**< one that has taken more processor time is ended */
    TB_DRY_RUN_LINES = 10000,  /**< differences kept; all are counted */
    TB_DRY_RUN_SAMPLES = 10,   /**< ids named for each kind of change */
    TB_DRY_RUN_MOST = 100000,  /**< recordings */
    TB_DRY_RUN_DECISION_BYTES =
        2048, /**< of a decision in a difference; a larger one is not told */
};

struct tb_dry_run_ask {
    int32_t book;
    struct tb_str partner;
    struct tb_str id; /**< "dry_…", fresh */
    struct tb_str by; /**< "client:app_…" or "operator:…" */
    int32_t version;
    int32_t against;     /**< another version; 0: none */
    bool against_active; /**< the one that runs now, or none if none does */
    int64_t since_ms;    /**< wall clock; only what was recorded later; 0: all there is */
    int64_t most;        /**< the newest so many */
    struct tb_script_limits limits; /**< of each call */
    bool alone;                     /**< nobody else is on this loop: no turns are left to others */
    void (*told)(void *arg, int64_t replayed, int64_t recordings); /**< at most once a second; may
                                                                        be NULL */
    bool (*stop)(void *arg); /**< whether to end, asked as often; may be NULL */
    void *arg;
};

struct tb_dry_run;

/** Write down that it begins.
 *  @param ask  its texts are copied
 *  @return NULL; TB_E_NOT_FOUND (no script); TB_E_INVALID (no such version); TB_E_CONFLICT (two are
 *          running already); errors of a transaction
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_dry_run_begin(struct tb_req *req, struct tb_store *store,
                                                 const struct tb_dry_run_ask *ask,
                                                 struct tb_dry_run **out_run);

/** Replay to the end, and write down how it ended: done, cancelled, or failed with the reason. That
 *  a script fails on requests is counted, not a failure of the run.
 *  @return NULL; errors of the books, when the end could not be written either
 *  Waits: yes, long; leaves two thirds of the time to other fibers. */
tb_err TB_NODISCARD TB_SUSPENDS tb_dry_run_replay(struct tb_req *req, struct tb_dry_run *run);

void tb_dry_run_free(struct tb_dry_run *run);

const char *tb_dry_run_status(const struct tb_dry_run *run);

#endif
