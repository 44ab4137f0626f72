/* The master's loop: signals, the swap of generations, and the end. One thread, one poll, no
 * allocation after the start. */
#include "process/master_impl.h"

#include "base/mem.h"
#include "base/time.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- generations ---- */

static void note_reload(struct tb_master *m, bool ok, const char *why)
{
    m->last_reload = (struct tb_reload){.at_ms = tb_wall_ms(), .generation = m->numbered, .ok = ok};
    snprintf(m->last_reload.why, sizeof(m->last_reload.why), "%s", why);
    m->status_stale = true;
}

/** The new generation is refused. Before there is a first one, that is the end. */
static void refuse_generation(struct tb_master *m, const char *why)
{
    note_reload(m, false, why);
    tb_log_with(TB_LOG_ERROR, "generation_refused", TB_F_INT("generation", m->numbered),
                TB_F_CSTR("why", why), TB_F_INT("kept", m->generation));
    if (m->generation == 0) {
        fprintf(stderr, "tongbao: cannot start: %s\n", why);
        m->stopping = true;
        m->exit_code = EXIT_FAILURE;
    }
}

static bool plan_fits(const struct tb_plan *plan, char *why, size_t why_bytes)
{
    unsigned total = 0;
    for (enum tb_process_kind kind = 0; kind < TB_PROCESS_KINDS; kind++)
        total += plan->count[kind];
    if (total == 0 || total > TB_POSTS_MAX) {
        snprintf(why, why_bytes, "%u processes asked for; between 1 and %d can be run", total,
                 TB_POSTS_MAX);
        return false;
    }
    return true;
}

static void begin(struct tb_master *m)
{
    char why[TB_PROCESS_WHY_BYTES] = "";
    m->reload_wanted = false;
    m->numbered++;
    memset(&m->next_plan, 0, sizeof(m->next_plan));
    if (!m->setup->plan(m->setup->config_path, &m->next_plan, why, sizeof(why))) {
        refuse_generation(m, why);
        return;
    }
    if (!plan_fits(&m->next_plan, why, sizeof(why)) ||
        !tb_listeners_open(m, &m->next_plan, why, sizeof(why)) ||
        !tb_regions_make(m, &m->next_plan, why, sizeof(why))) {
        m->incoming = m->numbered;
        tb_generation_give_up(m, why);
        return;
    }
    m->incoming = m->numbered;
    for (enum tb_process_kind kind = 0; kind < TB_PROCESS_KINDS; kind++) {
        for (unsigned i = 0; i < m->next_plan.count[kind]; i++) {
            if (!tb_child_start(m, &m->next_plan, m->incoming, kind, i)) {
                tb_generation_give_up(m, "no room or no memory for another process");
                return;
            }
        }
    }
}

void tb_generation_give_up(struct tb_master *m, const char *why)
{
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->generation == m->incoming)
            kill(c->pid, SIGKILL);
    }
    m->incoming = 0;
    if (m->planned)
        tb_listeners_prune(m, &m->plan);
    m->setup->forget(&m->next_plan);
    refuse_generation(m, why);
}

/** How many processes of a generation are in this state or further. */
static unsigned count_at(struct tb_master *m, uint32_t generation, enum tb_child_state state)
{
    unsigned n = 0;
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        n += c->generation == generation && c->state >= state;
    return n;
}

static unsigned wanted(const struct tb_plan *plan)
{
    unsigned n = 0;
    for (enum tb_process_kind kind = 0; kind < TB_PROCESS_KINDS; kind++)
        n += plan->count[kind];
    return n;
}

/** All processes of the incoming generation are ready: it becomes the current one and may accept.
 */
static void promote(struct tb_master *m)
{
    if (m->planned)
        m->setup->forget(&m->plan);
    m->plan = m->next_plan;
    m->planned = true;
    m->generation = m->incoming;
    m->incoming = 0;
    m->handover = true;
    memset(m->posts, 0, sizeof(m->posts));
    tb_log_set_level(m->plan.log_level);
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->generation == m->generation)
            tb_child_go(m, c);
    }
}

/** All processes of the current generation accept: those before it may stop. */
static void retire(struct tb_master *m)
{
    m->handover = false;
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->generation == m->generation || c->state == TB_CHILD_DRAINING)
            continue;
        if (c->state == TB_CHILD_STARTING)
            kill(c->pid, SIGKILL);
        else
            tb_child_drain(m, c, m->plan.grace_ms);
    }
    tb_listeners_prune(m, &m->plan);
    note_reload(m, true, "");
    tb_log_with(TB_LOG_INFO, "generation_serves", TB_F_INT("generation", m->generation),
                TB_F_INT("processes", wanted(&m->plan)));
}

static void advance(struct tb_master *m)
{
    if (m->stopping)
        return;
    if (m->incoming != 0 && count_at(m, m->incoming, TB_CHILD_READY) == wanted(&m->next_plan))
        promote(m);
    if (m->handover && count_at(m, m->generation, TB_CHILD_SERVING) == wanted(&m->plan))
        retire(m);
    if (m->incoming != 0 || m->handover || m->probe != 0)
        return;
    if (m->swap_wanted) {
        m->swap_wanted = false;
        tb_takeover_probe(m);
    } else if (m->reload_wanted) {
        begin(m);
    }
}

/* ---- the end ---- */

static void kill_all(struct tb_master *m)
{
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        kill(c->pid, SIGKILL);
}

static void stop(struct tb_master *m)
{
    if (m->stopping) {
        kill_all(m);
        return;
    }
    m->stopping = true;
    tb_log_with(TB_LOG_INFO, "ending", TB_F_INT("grace_ms", m->plan.grace_ms));
    if (m->probe != 0)
        kill(m->probe, SIGKILL);
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->state == TB_CHILD_STARTING)
            kill(c->pid, SIGKILL);
        else if (c->state != TB_CHILD_DRAINING)
            tb_child_drain(m, c, m->plan.grace_ms);
    }
}

/* ---- the loop ---- */

static void take_signals(struct tb_master *m)
{
    struct signalfd_siginfo info;
    while (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            m->reload_wanted = true;
            break;
        case SIGUSR2:
            m->swap_wanted = true;
            break;
        case SIGTERM:
        case SIGINT:
            stop(m);
            break;
        case SIGQUIT:
            m->stopping = true;
            kill_all(m);
            break;
        default: /* SIGCHLD: every turn reaps */
            break;
        }
    }
}

static void turn(struct tb_master *m)
{
    struct pollfd fds[1 + TB_CHILDREN_MAX];
    struct tb_child *owners[1 + TB_CHILDREN_MAX];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){.fd = m->signals, .events = POLLIN};
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        owners[n] = c;
        fds[n++] = (struct pollfd){.fd = c->control, .events = POLLIN};
    }
    int64_t due = tb_children_due(m);
    int64_t wait = due <= m->now_ms ? 0 : due - m->now_ms;
    poll(fds, n, (int)wait);
    m->now_ms = tb_monotonic_ms();
    /* A process that died leaves its end readable until it is reaped, below in this very turn. */
    for (nfds_t i = 1; i < n; i++) {
        if (fds[i].revents != 0)
            tb_child_hear(m, owners[i]);
    }
    if (fds[0].revents != 0)
        take_signals(m);
    if (m->probe != 0 && m->now_ms >= m->probe_kill_ms)
        kill(m->probe, SIGKILL);
    tb_children_reap(m);
    tb_children_tick(m);
    advance(m);
    if (m->status_stale)
        tb_record_status(m);
    tb_log_flush();
}

/* ---- the beginning ---- */

static void open_signals(struct tb_master *m)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < 6; i++)
        sigaddset(&set, (const int[]){SIGHUP, SIGUSR2, SIGTERM, SIGINT, SIGQUIT, SIGCHLD}[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
}

/** Descriptors are what connections are made of: take all we may have. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/** The run directory comes from the first plan; a later one cannot move it. */
static bool prepare(struct tb_master *m, char *why, size_t why_bytes)
{
    struct tb_plan first = {0};
    if (!m->setup->plan(m->setup->config_path, &first, why, why_bytes))
        return false;
    snprintf(m->run_dir, sizeof(m->run_dir), "%s", first.run_dir);
    tb_log_start(STDERR_FILENO, first.log_level, "master");
    bool inherited = tb_takeover_inherit(m);
    bool ok = tb_record_pid(m, why, why_bytes);
    if (ok && inherited) {
        m->plan = first;
        m->planned = true;
        return true;
    }
    m->setup->forget(&first);
    return ok;
}

int tb_master_run(const struct tb_master_setup *setup)
{
    struct tb_master *m = tb_mem(sizeof(*m));
    m->setup = setup;
    m->now_ms = m->watched_ms = tb_monotonic_ms();
    ssize_t n = readlink("/proc/self/exe", m->binary, sizeof(m->binary) - 1);
    m->binary[n > 0 ? n : 0] = '\0';
    open_signals(m);
    raise_limits();
    char why[TB_PROCESS_WHY_BYTES];
    if (!prepare(m, why, sizeof(why))) {
        fprintf(stderr, "tongbao: cannot start: %s\n", why);
        tb_mem_free(m);
        return EXIT_FAILURE;
    }
    m->reload_wanted = true;
    advance(m);
    while (!m->stopping || tb_children_n(m) > 0)
        turn(m);
    tb_record_gone(m);
    tb_log_event(TB_LOG_INFO, "ended");
    tb_log_flush();
    int exit_code = m->exit_code;
    if (m->planned)
        m->setup->forget(&m->plan);
    tb_mem_free(m);
    return exit_code;
}
