/* The store of a worker: its connections to PostgreSQL and what waits for them. Reads share a few
 * connections in libpq's pipeline mode, a transaction has one of those to itself, batched calls
 * have their own. Connections come up, get lost and come back without anybody's help.
 *
 *     struct tb_store *store = tb_store_open(loop, &(struct tb_store_options){.dsn = dsn});
 *     TB_TRY(tb_store_await(req, store, 5000));
 *     TB_TRY(tb_store_query(req, store, &rows, SQL, params, n));      // query.h
 */
#ifndef TB_STORE_POOL_H
#define TB_STORE_POOL_H

#include "runtime/run.h"

struct tb_store;

/** Zero in a number means its default. */
struct tb_store_options {
    /** libpq connection string; several hosts may be named, by address or in /etc/hosts: libpq
     * waits for a name server without letting others run. */
    const char *dsn;
    const char *application; /**< shown by pg_stat_activity; "tongbao" if NULL */
    int connections;         /**< for reads and transactions; 4 */
    int batch_connections;   /**< for batched calls; 2 */
    int batch_size;          /**< most calls in one batch; 64 */
    size_t queue;            /**< most reads, and most calls, that wait for a connection; 4096 */
    int64_t wait_ms;         /**< longest wait for a connection; 2000 */
    int64_t statement_ms;    /**< the server ends a statement that takes longer; 10000 */
    int64_t connect_ms;      /**< one attempt to connect; 5000 */

    /** The error with this stable code (errors.def, then the plugins'), NULL if there is none. Maps
     *  the refusals of batched calls; NULL: the table of errors.def only. */
    tb_err (*error_by_code)(struct tb_str code);
};

/** Open a store on `loop`. The texts of `options` are copied. Connects in the background.
 *  Never NULL. Waits: no. */
struct tb_store *tb_store_open(struct tb_loop *loop, const struct tb_store_options *options);

/** Close all connections and free everything. Nobody may be waiting for the store any more: end the
 *  requests and jobs first. */
void tb_store_close(struct tb_store *store);

/** Wait until a connection of each kind is up.
 *  @return NULL; TB_E_STORE (not within `ms`); TB_E_DEADLINE; TB_E_CANCELLED */
tb_err TB_NODISCARD TB_SUSPENDS tb_store_await(struct tb_req *req, struct tb_store *store,
                                               int64_t ms);

/** Why a connection was last lost or did not come up; "" when that never was. For people. */
const char *tb_store_trouble(const struct tb_store *store);

/** Whether reads and calls can be served now: a connection of each kind is up. For /readyz. */
bool tb_store_ready(const struct tb_store *store);

enum { TB_STORE_SIZES = 11 }; /**< classes of batch sizes: 1, 2, 3..4, 5..8, … , 513..1024 */

struct tb_store_stats {
    int connections, connections_up; /**< of both kinds */
    int exclusive;                   /**< in a transaction */
    size_t queued, in_flight;        /**< statements that wait for a connection, that were sent */
    size_t calls_queued, calls_in_flight;
    uint64_t statements, transactions, calls, batches;
    uint64_t batch_sizes[TB_STORE_SIZES];
    uint64_t connects, losses; /**< connections made, and lost after they were up */
    uint64_t overloads;        /**< refused: queue full or waited too long */
    uint64_t abandoned;        /**< answers nobody waited for any more */
    uint64_t dropped;          /**< connections dropped because the server did not answer */
    uint64_t reprepared;       /**< statements whose plan the server did not have or allow */
    uint64_t conflicts;        /**< serialization failures and deadlocks, tried again */
    uint64_t splits;           /**< batches that raised and were cut in two */
    uint64_t poisoned;         /**< calls that raised alone */
    uint64_t resent;           /**< calls sent again because their outcome was not seen */
    uint64_t in_doubt;         /**< calls that ended so */
};
struct tb_store_stats tb_store_stats(const struct tb_store *store);

#endif
