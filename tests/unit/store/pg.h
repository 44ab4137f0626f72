/* A PostgreSQL of one's own: a cluster in a fresh directory under /tmp, reached by a socket there,
 * gone with the test. As root it runs as user postgres. */
#ifndef TB_TESTS_PG_H
#define TB_TESTS_PG_H

#include <stdbool.h>
#include <sys/types.h>

struct pg {
    char dir[64];
    char dsn[160];
    pid_t pid; /**< of the postmaster; 0: not running */
};

/** Make and start a cluster. @param durable  fsync on, as in production */
void pg_make(struct pg *pg, bool durable);

/** Stop it and remove everything. */
void pg_remove(struct pg *pg);

/** kill -9 of the postmaster and all its children. */
void pg_kill(struct pg *pg);

/** Start again after pg_kill. Returns when it answers. */
void pg_start(struct pg *pg);

/** Run a script, or fail the test. Blocks; for set-up and for looking at what happened. */
void pg_do(const struct pg *pg, const char *sql);

/** The first cell of a query as a number. */
long long pg_number(const struct pg *pg, const char *sql);

#endif
