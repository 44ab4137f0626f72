/* The master's own state, shared by the files that make it up: master.c (signals, generations, the
 * end), children.c (start, watch and replace processes), control.c (orders and reports), listen.c,
 * region.c, record.c (log, status file, crash records) and takeover.c (a new binary under the same
 * process id). */
#ifndef TB_PROCESS_MASTER_IMPL_H
#define TB_PROCESS_MASTER_IMPL_H

#include "base/log.h"
#include "process/master.h"
#include <sys/types.h>

enum {
    TB_CHILDREN_MAX = 1024, /**< processes of all generations together */
    TB_POSTS_MAX = 300,     /**< processes of one generation */
};

enum tb_child_state {
    TB_CHILD_STARTING,
    TB_CHILD_READY,    /**< has loaded everything */
    TB_CHILD_GOING,    /**< was told to accept */
    TB_CHILD_SERVING,  /**< accepts */
    TB_CHILD_DRAINING, /**< finishes what is begun */
};

struct tb_child {
    pid_t pid; /**< 0: unused */
    int control;
    enum tb_process_kind kind;
    unsigned index;
    uint32_t generation;
    enum tb_child_state state;
    int64_t started_ms, ready_ms;
    int64_t kill_ms; /**< when patience ends; 0: never */
    uint64_t beats;  /**< last seen, at beat_ms */
    int64_t beat_ms;
    bool unwatched; /**< its beats are not looked at: it was hung, or writes them elsewhere */
    char why[TB_PROCESS_WHY_BYTES]; /**< its refusal */
};

/** A place of the current generation that must be filled. */
struct tb_post {
    unsigned fast_deaths;
    int64_t due_ms; /**< when to fill it again; 0: it is filled */
};

/** Told to everyone who asks for the state of the service. */
struct tb_reload {
    int64_t at_ms; /**< wall clock; 0: there was none */
    uint32_t generation;
    bool ok;
    char why[TB_PROCESS_WHY_BYTES];
};

struct tb_master {
    const struct tb_master_setup *setup;
    char binary[512]; /**< our own path, as it was when we started */
    char run_dir[400];
    int signals;  /**< signalfd */
    int pid_file; /**< open and locked */
    int64_t now_ms;

    struct tb_plan plan, next_plan;
    bool planned;        /**< `plan` is filled */
    uint32_t numbered;   /**< generations so far, refused ones too */
    uint32_t generation; /**< current; 0: none yet */
    uint32_t incoming;   /**< being started; 0: none */
    bool handover;       /**< the current one was told to accept, the one before still does */
    bool reload_wanted, swap_wanted;
    struct tb_reload last_reload;
    pid_t probe; /**< the new binary, trying the configuration; 0: none */
    int64_t probe_kill_ms;

    bool stopping;
    int exit_code;

    struct tb_listener listeners[TB_LISTENERS_MAX];
    size_t listeners_n;
    struct tb_region regions[TB_REGIONS_MAX];
    size_t regions_n;
    struct tb_slot *slots; /**< TB_CHILDREN_MAX, in shared memory */
    struct tb_quarantine *quarantine;
    struct tb_child children[TB_CHILDREN_MAX]; /**< the slot has the same place */
    struct tb_post posts[TB_PROCESS_KINDS][TB_POSTS_MAX];
    int64_t watched_ms; /**< when the beats were last looked at */
    bool status_stale;
};

/* ---- children.c ---- */

/** Fork a process for a place in a generation. False when there is no room or no memory. */
bool tb_child_start(struct tb_master *m, const struct tb_plan *plan, uint32_t generation,
                    enum tb_process_kind kind, unsigned index);

/** Note every process that has ended. */
void tb_children_reap(struct tb_master *m);

/** Whatever is due: places to fill, patience that ended, loops that hang. */
void tb_children_tick(struct tb_master *m);

/** When tb_children_tick has something to do next; INT64_MAX: nothing. */
int64_t tb_children_due(const struct tb_master *m);

/** Walk the processes there are: NULL gives the first, the last gives NULL. */
struct tb_child *tb_child_next(struct tb_master *m, const struct tb_child *after);

size_t tb_children_n(const struct tb_master *m);
const char *tb_child_state_name(enum tb_child_state state);

/* ---- control.c ---- */

void tb_child_go(struct tb_master *m, struct tb_child *c);
void tb_child_drain(struct tb_master *m, struct tb_child *c, int64_t grace_ms);

/** Take what a process has to say. */
void tb_child_hear(struct tb_master *m, struct tb_child *c);

/* ---- master.c ---- */

/** A process of the incoming generation refused or died: give the generation up. */
void tb_generation_give_up(struct tb_master *m, const char *why);

/* ---- listen.c ---- */

/** Open the addresses of the plan that are not open yet. False with a sentence. */
bool tb_listeners_open(struct tb_master *m, const struct tb_plan *plan, char *why,
                       size_t why_bytes);

/** Close those the plan does not name. */
void tb_listeners_prune(struct tb_master *m, const struct tb_plan *plan);

/* ---- region.c ---- */

/** Make the regions the plan wants and the master's own. False with a sentence. */
bool tb_regions_make(struct tb_master *m, const struct tb_plan *plan, char *why, size_t why_bytes);

/** Map an inherited region. */
bool tb_region_adopt(struct tb_master *m, const char *name, int fd, size_t bytes, uint32_t layout);

/* ---- record.c ---- */

/** Log something about a process; `why` may be NULL. */
void tb_child_log(enum tb_log_level level, const char *event, const struct tb_child *c,
                  const char *why);

/** Write the crash record of a process that died of a signal; note its request in the quarantine.
 */
void tb_record_crash(struct tb_master *m, const struct tb_child *c, int status);

/** Write the status file. */
void tb_record_status(struct tb_master *m);

/** Write, or remove, the pid file. False when another master has it. */
bool tb_record_pid(struct tb_master *m, char *why, size_t why_bytes);
void tb_record_gone(struct tb_master *m);

/* ---- takeover.c ---- */

/** Start to try the binary at our path. */
void tb_takeover_probe(struct tb_master *m);

/** The probe ended; go on with the new binary if it is good. Returns only if it is not. */
void tb_takeover_probed(struct tb_master *m, int status);

/** Take over what the binary before us left. False when there is nothing. */
bool tb_takeover_inherit(struct tb_master *m);

#endif
