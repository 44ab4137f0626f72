/* A child process as seen from inside: orders in, reports out, and a heartbeat that the master
 * watches. */
#include "process/process.h"

#include "base/assert.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BEAT_MS = 500,
    LAST_S = 5, /**< beyond the grace, a process that was told to end is killed by its own alarm */
};

const char *tb_process_kind_name(enum tb_process_kind kind)
{
    static const char *const names[] = {
        [TB_PROCESS_WORKER] = "worker", [TB_PROCESS_CLERK] = "clerk"};
    return names[kind];
}

void *tb_process_region(const struct tb_process *process, const char *name, size_t *out_bytes)
{
    for (size_t i = 0; i < process->regions_n; i++) {
        if (strcmp(process->regions[i].name, name) != 0)
            continue;
        if (out_bytes != NULL)
            *out_bytes = process->regions[i].bytes;
        return process->regions[i].at;
    }
    return NULL;
}

/* ---- reports ---- */

static void report(const struct tb_process *process, const char *message, size_t n)
{
    /* A master that is gone hears nothing; the control watch notices. */
    (void)!send(process->control, message, n, MSG_NOSIGNAL);
}

void tb_process_ready(struct tb_process *process)
{
    report(process, "R", 1);
}

int tb_process_refuse(struct tb_process *process, const char *format, ...)
{
    char message[TB_PROCESS_WHY_BYTES] = "X";
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message + 1, sizeof(message) - 2, format, args);
    va_end(args);
    TB_ASSERT(n >= 0);
    report(process, message, strlen(message));
    return EXIT_FAILURE;
}

void tb_process_drained(struct tb_process *process)
{
    report(process, "E", 1);
    tb_timer_stop(process->loop, &process->beat);
    tb_watch_close(&process->control_watch);
    tb_watch_close(&process->signal_watch);
    tb_loop_stop(process->loop);
}

/* ---- orders ---- */

static void drain(struct tb_process *process, int64_t grace_ms)
{
    if (process->draining)
        return;
    process->draining = true;
    /* Whatever the loop does from here on, the process ends. */
    alarm((unsigned)(grace_ms / 1000) + LAST_S);
    process->calls->drain(process->owner, grace_ms);
}

/** Nobody is left to take orders from: end, and give the addresses free for the next master. */
static void orphaned(struct tb_process *process)
{
    tb_watch_want(&process->control_watch, false, false);
    drain(process, process->grace_ms);
    for (size_t i = 0; i < process->listeners_n; i++)
        close(process->listeners[i].fd);
    process->listeners_n = 0;
}

static void go(struct tb_process *process)
{
    if (process->draining)
        return;
    if (process->calls->go != NULL)
        process->calls->go(process->owner);
    report(process, "S", 1);
}

static void on_control(struct tb_watch *watch, bool readable, bool writable)
{
    (void)readable;
    (void)writable;
    struct tb_process *process = TB_CONTAINER(struct tb_process, control_watch, watch);
    char message[64];
    ssize_t n = recv(process->control, message, sizeof(message) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        orphaned(process);
        return;
    }
    message[n] = '\0';
    if (message[0] == 'G')
        go(process);
    else if (message[0] == 'D')
        drain(process, strtoll(message + 1, NULL, 10));
}

/* SIGTERM reaches a process from the kernel when its master dies, or from whoever ends the whole
 * group. The alarm is set in the handler, for a loop that will never look. */
static int term_event = -1;
static unsigned term_alarm_s;

static void on_sigterm(int signal)
{
    (void)signal;
    int saved_errno = errno;
    uint64_t one = 1;
    alarm(term_alarm_s);
    (void)!write(term_event, &one, sizeof(one));
    errno = saved_errno;
}

static void on_term_event(struct tb_watch *watch, bool readable, bool writable)
{
    (void)readable;
    (void)writable;
    struct tb_process *process = TB_CONTAINER(struct tb_process, signal_watch, watch);
    uint64_t count;
    (void)!read(process->ended, &count, sizeof(count));
    drain(process, process->grace_ms);
}

static void on_beat(struct tb_timer *timer)
{
    struct tb_process *process = TB_CONTAINER(struct tb_process, beat, timer);
    atomic_fetch_add_explicit(&process->slot->beats, 1, memory_order_relaxed);
    tb_timer_start(process->loop, timer, BEAT_MS);
}

void tb_process_attach(struct tb_process *process, struct tb_loop *loop,
                       const struct tb_process_calls *calls, void *owner)
{
    process->loop = loop;
    process->calls = calls;
    process->owner = owner;
    process->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TB_ASSERT(process->ended >= 0);
    term_event = process->ended;
    term_alarm_s = (unsigned)(process->grace_ms / 1000) + LAST_S;
    struct sigaction action = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    TB_ASSERT(sigaction(SIGTERM, &action, NULL) == 0);

    process->control_watch.ready = on_control;
    tb_watch_open(loop, &process->control_watch, process->control);
    tb_watch_want(&process->control_watch, true, false);
    process->signal_watch.ready = on_term_event;
    tb_watch_open(loop, &process->signal_watch, process->ended);
    tb_watch_want(&process->signal_watch, true, false);
    process->beat.fired = on_beat;
    on_beat(&process->beat);
}
