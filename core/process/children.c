/* Processes: started, watched, replaced. A process that falls is replaced at once; one that keeps
 * falling is replaced ever more slowly, so that a fault at every start does not eat the machine. */
#include "process/master_impl.h"

#include "base/assert.h"
#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FAST_MS = 1000,  /**< a process that served for less died fast */
    BACKOFF_MS = 50, /**< wait after the second fast death in a row; doubles */
    BACKOFF_MAX_MS = 10000,
    WATCH_MS = 1000, /**< beats are looked at so often */
    ABORT_MS = 3000, /**< for a hung process to write its record */
};

const char *tb_child_state_name(enum tb_child_state state)
{
    static const char *const names[] = {[TB_CHILD_STARTING] = "starting",
                                        [TB_CHILD_READY] = "ready",
                                        [TB_CHILD_GOING] = "going",
                                        [TB_CHILD_SERVING] = "serving",
                                        [TB_CHILD_DRAINING] = "draining"};
    return names[state];
}

struct tb_child *tb_child_next(struct tb_master *m, const struct tb_child *after)
{
    size_t i = after == NULL ? 0 : (size_t)(after - m->children) + 1;
    for (; i < TB_CHILDREN_MAX; i++) {
        if (m->children[i].pid != 0)
            return &m->children[i];
    }
    return NULL;
}

size_t tb_children_n(const struct tb_master *m)
{
    size_t n = 0;
    for (size_t i = 0; i < TB_CHILDREN_MAX; i++)
        n += m->children[i].pid != 0;
    return n;
}

/* ---- starting ---- */

/** In the new process: leave behind what is the master's, and run the main function of its kind. */
static _Noreturn void run_child(struct tb_master *m, struct tb_process *process, pid_t master,
                                enum tb_log_level log_level)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != master)
        _exit(0);
    static char name[16];
    snprintf(name, sizeof(name), "tb-%s/%u", tb_process_kind_name(process->kind), process->index);
    prctl(PR_SET_NAME, name);
    tb_log_start(STDERR_FILENO, log_level, name + 3);

    close(m->signals);
    close(m->pid_file);
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        close(c->control);
    if (process->kind != TB_PROCESS_WORKER) {
        for (size_t i = 0; i < m->listeners_n; i++)
            close(m->listeners[i].fd);
    }
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    /* The terminal's and the operator's signals are the master's to answer. */
    for (size_t i = 0; i < 4; i++)
        signal((const int[]){SIGHUP, SIGINT, SIGQUIT, SIGUSR2}[i], SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exit(m->setup->main[process->kind](process));
}

static void fill_process(const struct tb_master *m, const struct tb_plan *plan,
                         struct tb_process *process)
{
    process->count = plan->count[process->kind];
    process->config = plan->config;
    process->config_path = m->setup->config_path;
    process->run_dir = m->run_dir;
    process->grace_ms = plan->grace_ms;
    if (process->kind == TB_PROCESS_WORKER) {
        for (size_t i = 0; i < m->listeners_n; i++) {
            for (size_t j = 0; j < plan->listen_n; j++) {
                if (strcmp(m->listeners[i].address, plan->listen[j]) == 0)
                    process->listeners[process->listeners_n++] = m->listeners[i];
            }
        }
    }
    memcpy(process->regions, m->regions, sizeof(process->regions));
    process->regions_n = m->regions_n;
    process->quarantine = m->quarantine;
}

bool tb_child_start(struct tb_master *m, const struct tb_plan *plan, uint32_t generation,
                    enum tb_process_kind kind, unsigned index)
{
    size_t place = 0;
    while (place < TB_CHILDREN_MAX && m->children[place].pid != 0)
        place++;
    int pair[2];
    if (place == TB_CHILDREN_MAX || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;

    struct tb_slot *slot = &m->slots[place];
    memset(slot, 0, sizeof(*slot));
    slot->generation = generation;
    pid_t master = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        static struct tb_process process; /* lives as long as the process */
        process = (struct tb_process){.kind = kind, .index = index, .generation = generation};
        process.control = pair[1];
        process.slot = slot;
        process.replaces = generation == m->generation;
        slot->pid = getpid();
        fill_process(m, plan, &process);
        run_child(m, &process, master, plan->log_level);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return false;
    }
    m->children[place] = (struct tb_child){.pid = pid,
                                           .control = pair[0],
                                           .kind = kind,
                                           .index = index,
                                           .generation = generation,
                                           .started_ms = m->now_ms,
                                           .kill_ms = m->now_ms + plan->start_ms};
    m->status_stale = true;
    return true;
}

/* ---- ending ---- */

static void describe_end(const struct tb_child *c, int status, char *out, size_t out_bytes)
{
    if (c->why[0] != '\0')
        snprintf(out, out_bytes, "%s", c->why);
    else if (WIFSIGNALED(status))
        snprintf(out, out_bytes, "died of signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, out_bytes, "ended with exit code %d", WEXITSTATUS(status));
}

/** Plan to fill the place of a process of the current generation again. */
static void schedule(struct tb_master *m, const struct tb_child *c, const char *why)
{
    struct tb_post *post = &m->posts[c->kind][c->index];
    bool fast = c->ready_ms == 0 || m->now_ms - c->ready_ms < FAST_MS;
    post->fast_deaths = fast ? post->fast_deaths + 1 : 0;
    int64_t wait = 0;
    if (post->fast_deaths > 1) {
        wait = BACKOFF_MS;
        for (unsigned i = 2; i < post->fast_deaths && wait < BACKOFF_MAX_MS; i++)
            wait *= 2;
        if (wait > BACKOFF_MAX_MS)
            wait = BACKOFF_MAX_MS;
    }
    post->due_ms = m->now_ms + wait;
    tb_log_with(TB_LOG_ERROR, "process_replaced", TB_F_CSTR("kind", tb_process_kind_name(c->kind)),
                TB_F_INT("index", c->index), TB_F_INT("pid", c->pid), TB_F_CSTR("why", why),
                TB_F_INT("fast_deaths", post->fast_deaths), TB_F_INT("wait_ms", wait));
}

static void ended(struct tb_master *m, struct tb_child *c, int status)
{
    tb_child_hear(m, c);
    close(c->control);
    char why[TB_PROCESS_WHY_BYTES];
    describe_end(c, status, why, sizeof(why));
    if (WIFSIGNALED(status) || m->slots[c - m->children].crash.stage != TB_CRASH_NONE)
        tb_record_crash(m, c, status);
    struct tb_child gone = *c;
    *c = (struct tb_child){0};
    m->status_stale = true;

    bool orderly = gone.state == TB_CHILD_DRAINING && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (orderly)
        tb_child_log(TB_LOG_INFO, "process_ended", &gone, NULL);
    else if (!m->stopping && gone.generation == m->incoming)
        tb_generation_give_up(m, why);
    else if (!m->stopping && gone.generation == m->generation && gone.state != TB_CHILD_DRAINING)
        schedule(m, &gone, why);
    else
        tb_child_log(TB_LOG_WARN, "process_ended", &gone, why);
}

void tb_children_reap(struct tb_master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->probe) {
            tb_takeover_probed(m, status);
            continue;
        }
        for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
            if (c->pid == pid) {
                ended(m, c, status);
                break;
            }
        }
    }
}

/* ---- watching ---- */

/** Whether someone has stopped the process (SIGSTOP, a debugger): it is not hung then. */
static bool is_stopped(pid_t pid)
{
    char path[32], stat[256];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[n > 0 ? n : 0] = '\0';
    const char *paren = strrchr(stat, ')'); /* the state follows the name, "(tb-worker/0) R" */
    return paren != NULL && paren[1] == ' ' && (paren[2] == 'T' || paren[2] == 't');
}

static void watch_beats(struct tb_master *m)
{
    /* When we did not run ourselves, nobody's silence means anything. */
    bool slept = m->now_ms - m->watched_ms > 3 * WATCH_MS;
    m->watched_ms = m->now_ms;
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->state == TB_CHILD_STARTING || c->unwatched)
            continue;
        uint64_t beats = m->slots[c - m->children].beats;
        if (slept || beats != c->beats || is_stopped(c->pid)) {
            c->beats = beats;
            c->beat_ms = m->now_ms;
        } else if (m->now_ms - c->beat_ms >= m->plan.hung_ms) {
            tb_child_log(TB_LOG_ERROR, "process_hung", c, "its loop has not turned for too long");
            kill(c->pid, SIGABRT);
            c->unwatched = true;
            c->kill_ms = m->now_ms + ABORT_MS;
        }
    }
}

/** A process had its time: to start, to drain, or to write its record. */
static void end_patience(struct tb_child *c)
{
    if (c->state == TB_CHILD_STARTING && c->why[0] == '\0')
        snprintf(c->why, sizeof(c->why), "%s %u did not become ready in time",
                 tb_process_kind_name(c->kind), c->index);
    kill(c->pid, SIGKILL);
    c->kill_ms = 0;
}

void tb_children_tick(struct tb_master *m)
{
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c)) {
        if (c->kill_ms != 0 && m->now_ms >= c->kill_ms)
            end_patience(c);
    }
    if (m->now_ms - m->watched_ms >= WATCH_MS)
        watch_beats(m);
    if (m->stopping || !m->planned)
        return;
    for (enum tb_process_kind kind = 0; kind < TB_PROCESS_KINDS; kind++) {
        for (unsigned i = 0; i < m->plan.count[kind]; i++) {
            struct tb_post *post = &m->posts[kind][i];
            if (post->due_ms == 0 || m->now_ms < post->due_ms)
                continue;
            bool started = tb_child_start(m, &m->plan, m->generation, kind, i);
            post->due_ms = started ? 0 : m->now_ms + WATCH_MS;
        }
    }
}

int64_t tb_children_due(const struct tb_master *m)
{
    int64_t due = m->watched_ms + WATCH_MS;
    for (size_t i = 0; i < TB_CHILDREN_MAX; i++) {
        const struct tb_child *c = &m->children[i];
        if (c->pid != 0 && c->kill_ms != 0 && c->kill_ms < due)
            due = c->kill_ms;
    }
    for (enum tb_process_kind kind = 0; kind < TB_PROCESS_KINDS; kind++) {
        for (unsigned i = 0; i < m->plan.count[kind]; i++) {
            int64_t post = m->posts[kind][i].due_ms;
            if (post != 0 && post < due)
                due = post;
        }
    }
    return due;
}
