/* A child process: what the master gives a process it starts, and how that process reports back.
 * The master fills the struct and calls the main function of its kind in the child; the rest is a
 * short story:
 *
 *     int tb_worker_main(struct tb_process *process)
 *     {
 *         struct tb_loop *loop = tb_loop_new();
 *         ... load plugins, connect ...
 *         if (why != NULL)
 *             return tb_process_refuse(process, "plugin %s: %s", name, why);
 *         tb_process_attach(process, loop, &calls, me); // from here on the loop gets go and drain
 *         tb_process_ready(process);
 *         tb_loop_run(loop); // calls.drain ends it with tb_process_drained
 *         return 0;
 *     }
 *
 * `go` comes when every process of the generation is ready: start to accept. `drain` comes when a
 * newer generation accepts, or the service ends: stop accepting, finish, then tb_process_drained.
 * `drain` also comes when the master is gone, so nothing is left behind. */
#ifndef TB_PROCESS_PROCESS_H
#define TB_PROCESS_PROCESS_H

#include "process/crash.h"
#include "process/quarantine.h"
#include "runtime/loop.h"
#include <tongbao/error.h>

struct tb_config;

enum tb_process_kind { TB_PROCESS_WORKER, TB_PROCESS_CLERK, TB_PROCESS_KINDS };

enum {
    TB_LISTENERS_MAX = 8,       /**< addresses one master listens on */
    TB_REGIONS_MAX = 16,        /**< named regions of shared memory */
    TB_PROCESS_WHY_BYTES = 512, /**< most of a sentence that says why a process refuses */
};

/** A listening socket, made by the master, shared by all workers of all generations. */
struct tb_listener {
    int fd;
    char address[72]; /**< as configured: "127.0.0.1:8443", "[::1]:8443" */
};

/** What the memory file of a region is called: its name and its layout. */
#define TB_REGION_FILE "%s:%u"

/** Shared memory that outlives generations: zero-filled when first made. The same name with another
 *  size or layout in a new generation is a new, zero-filled region. */
struct tb_region {
    char name[24];
    void *at;
    size_t bytes;
    uint32_t layout;
    int fd;
};

/** What one process writes about itself for the master and its siblings to read; in shared memory.
 */
struct tb_slot {
    _Atomic int32_t pid;
    _Atomic uint32_t generation;
    _Atomic uint64_t beats; /**< turns of the heartbeat; without one for long it is hung */
    struct tb_crash crash;
};

struct tb_process_calls {
    /** Start to accept; returning means that new connections are being taken. NULL: nothing to do.
     */
    void (*go)(void *owner);
    /** Stop accepting, finish what is begun within `grace_ms`, then call tb_process_drained. */
    void (*drain)(void *owner, int64_t grace_ms);
};

struct tb_process {
    enum tb_process_kind kind;
    unsigned index; /**< 0.., among the processes of its kind */
    unsigned count; /**< processes of its kind in this generation */
    uint32_t generation;
    bool replaces; /**< its generation serves already, and one of its processes fell */
    const struct tb_config *config; /**< of this generation, borrowed */
    const char *config_path;
    const char *run_dir;
    int64_t grace_ms; /**< for requests in flight, when nobody is left to name it */
    struct tb_listener listeners[TB_LISTENERS_MAX];
    size_t listeners_n; /**< 0 for every kind but workers */
    struct tb_region regions[TB_REGIONS_MAX];
    size_t regions_n;
    struct tb_slot *slot;
    const struct tb_quarantine *quarantine;

    /* The process's own. */
    int control;
    int ended;
    struct tb_loop *loop;
    const struct tb_process_calls *calls;
    void *owner;
    struct tb_watch control_watch, signal_watch;
    struct tb_timer beat;
    bool draining;
};

/** Take orders from the master on this loop: `calls` are called from it, outside any fiber. Also
 * starts the heartbeat: a loop that does not turn for the configured time is ended with a crash
 * record. */
void tb_process_attach(struct tb_process *process, struct tb_loop *loop,
                       const struct tb_process_calls *calls, void *owner);

/** Everything is loaded: `go` may come. */
void tb_process_ready(struct tb_process *process);

/** This process cannot start. The master logs the sentence and keeps the generation before.
 *  @return the exit status to return from the main function */
int TB_NODISCARD tb_process_refuse(struct tb_process *process, const char *format, ...)
    TB_PRINTF(2, 3);

/** All work is done: tells the master and stops the loop. */
void tb_process_drained(struct tb_process *process);

/** The shared region of that name, NULL when the master was not asked for one; its size in
 * *out_bytes (may be NULL). Memory: lives as long as the process. */
void *tb_process_region(const struct tb_process *process, const char *name, size_t *out_bytes);

/** "worker", "clerk". */
const char *tb_process_kind_name(enum tb_process_kind kind);

/** The main functions of the kinds; each runs in its own process and returns its exit status. */
int tb_worker_main(struct tb_process *process);
int tb_clerk_main(struct tb_process *process);

#endif
