/* The master: opens the listening sockets and the shared memory, starts the processes of the
 * service, and keeps them running. It never loads a plugin, reads a request or talks to the
 * database, so that nothing a partner sends can bring it down.
 *
 * A generation is one set of processes made from one reading of the configuration and the plugins.
 * A new generation gets to accept only when all of its processes are ready, and the one before
 * stops accepting only when all of the new one accept; the sockets are shared and never closed in
 * between, so no connection is refused.
 *
 * Signals: SIGHUP new generation; SIGUSR2 the same with the binary that now lies at our path;
 * SIGTERM and SIGINT end gracefully, a second one at once; SIGQUIT ends at once. */
#ifndef TB_PROCESS_MASTER_H
#define TB_PROCESS_MASTER_H

#include "process/process.h"
#include <tongbao/req.h>

/** A region of shared memory the processes want. */
struct tb_region_want {
    const char *name;
    size_t bytes;
    uint32_t layout;                      /**< changes when the meaning of the bytes does */
    void (*init)(void *at, size_t bytes); /**< makes fresh memory usable; NULL: zeros are */
};

/** What one generation is made of. */
struct tb_plan {
    unsigned count[TB_PROCESS_KINDS];
    const char *listen[TB_LISTENERS_MAX]; /**< "host:port", "[v6]:port" */
    size_t listen_n;
    struct tb_region_want regions[TB_REGIONS_MAX];
    size_t regions_n;
    int64_t start_ms; /**< a process that is not ready by then is refused */
    int64_t grace_ms; /**< for requests in flight when a process ends */
    int64_t hung_ms;  /**< a loop that does not turn for so long is ended */
    enum tb_log_level log_level;
    const char *run_dir; /**< for the pid file, the status file and crash records; fixed at start */
    const struct tb_config *config;
};

struct tb_master_setup {
    const char *config_path;
    char *const *argv; /**< to start a new binary with */
    /** Read the configuration. False with a sentence in `why`. */
    bool (*plan)(const char *config_path, struct tb_plan *out_plan, char *why, size_t why_bytes);
    /** The plan is no longer used. */
    void (*forget)(struct tb_plan *plan);
    int (*main[TB_PROCESS_KINDS])(struct tb_process *process);
};

/** The shared memory the workers want; in worker.c.
 *  @param workers  how many there will be
 *  @return how many of `out_regions` were filled */
size_t tb_worker_regions(const struct tb_config *config, unsigned workers,
                         struct tb_region_want out_regions[TB_REGIONS_MAX]);

/** Run the service until it is told to end.
 *  @return 0 after an orderly end; 1 when it could not start, the reason having been logged */
int tb_master_run(const struct tb_master_setup *setup);

#endif
