/* What every test of the store stands on: a cluster, a loop, a store, and actors: fibers with a run
 * of their own that do one thing and keep its outcome. */
#ifndef TB_TESTS_STAGE_H
#define TB_TESTS_STAGE_H

#include "../yardstick.h"
#include "pg.h"
#include "store/batch.h"
#include "store/query.h"
#include "store/tx.h"

/** A deadline that is not met. */
enum { ENOUGH_MS = 120 * 1000 };

struct stage {
    struct pg pg;
    struct tb_loop *loop;
    struct tb_store *store;
};

/** Open the store and wait until it is up. NULL in `options->dsn`: the cluster's own. */
void stage_open(struct stage *stage, struct tb_store_options options);

/** Let all actors end, then close the store and the loop. */
void stage_close(struct stage *stage);

/** One fiber of a test. Keep it until it has ended. */
struct actor {
    struct tb_run run;
    struct stage *stage;
    tb_err (*act)(struct actor *actor);
    tb_err err;
    bool ended;
    int64_t began_us, took_us;

    const char *sql;         /**< for act_query */
    const char *function;    /**< for act_call, "t.put" if NULL */
    int32_t book;            /**< 1 if 0 */
    char key[64], body[256]; /**< "" for no key; "null" if "" */
    char cell[64];           /**< first cell, or the body of the answer */
    struct tb_answer answer; /**< its texts are gone once the actor has ended */
    long long number;
};

/** Start `actor` with what is set in it. @param within_ms  its deadline; 0: none */
void stage_start(struct stage *stage, struct actor *actor, tb_err (*act)(struct actor *actor),
                 int64_t within_ms);

/** Take turns until these actors have ended, two minutes at most. */
void stage_wait(struct stage *stage, const struct actor *actors, size_t n);

/** Start one and wait for it. @return its outcome */
tb_err stage_do(struct stage *stage, struct actor *actor, tb_err (*act)(struct actor *actor),
                int64_t within_ms);

/** A statement that takes so long at the server. One of four texts, so that the next three leave it
 * alone. */
const char *stage_sleep_sql(int64_t ms);

/** Take turns for `ms`, or more, so that there are some on a busy machine, too. */
void stage_idle(struct stage *stage, int64_t ms);

tb_err act_query(struct actor *actor);
tb_err act_call(struct actor *actor);

#endif
