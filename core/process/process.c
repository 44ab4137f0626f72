/* The seat as seen from inside the process: orders in, reports out, and a pulse that the master
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

void *tb_process_region(const struct tb_process *seat, const char *name, size_t *out_bytes)
{
    for (size_t i = 0; i < seat->regions_n; i++) {
        if (strcmp(seat->regions[i].name, name) != 0)
            continue;
        if (out_bytes != NULL)
            *out_bytes = seat->regions[i].bytes;
        return seat->regions[i].at;
    }
    return NULL;
}

/* ---- reports ---- */

static void report(const struct tb_process *seat, const char *message, size_t n)
{
    /* A master that is gone hears nothing; the control watch notices. */
    (void)!send(seat->control, message, n, MSG_NOSIGNAL);
}

void tb_process_ready(struct tb_process *seat)
{
    report(seat, "R", 1);
}

int tb_process_refuse(struct tb_process *seat, const char *format, ...)
{
    char message[TB_PROCESS_WHY_BYTES] = "X";
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message + 1, sizeof(message) - 2, format, args);
    va_end(args);
    TB_ASSERT(n >= 0);
    report(seat, message, strlen(message));
    return EXIT_FAILURE;
}

void tb_process_drained(struct tb_process *seat)
{
    report(seat, "E", 1);
    tb_timer_stop(seat->loop, &seat->beat);
    tb_watch_close(&seat->control_watch);
    tb_watch_close(&seat->signal_watch);
    tb_loop_stop(seat->loop);
}

/* ---- orders ---- */

static void drain(struct tb_process *seat, int64_t grace_ms)
{
    if (seat->draining)
        return;
    seat->draining = true;
    /* Whatever the loop does from here on, the process ends. */
    alarm((unsigned)(grace_ms / 1000) + LAST_S);
    seat->calls->drain(seat->owner, grace_ms);
}

/** Nobody is left to take orders from: end, and give the addresses free for the next master. */
static void orphaned(struct tb_process *seat)
{
    tb_watch_want(&seat->control_watch, false, false);
    drain(seat, seat->grace_ms);
    for (size_t i = 0; i < seat->listeners_n; i++)
        close(seat->listeners[i].fd);
    seat->listeners_n = 0;
}

static void go(struct tb_process *seat)
{
    if (seat->draining)
        return;
    if (seat->calls->go != NULL)
        seat->calls->go(seat->owner);
    report(seat, "S", 1);
}

static void on_control(struct tb_watch *watch, bool readable, bool writable)
{
    (void)readable;
    (void)writable;
    struct tb_process *seat = TB_CONTAINER(struct tb_process, control_watch, watch);
    char message[64];
    ssize_t n = recv(seat->control, message, sizeof(message) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        orphaned(seat);
        return;
    }
    message[n] = '\0';
    if (message[0] == 'G')
        go(seat);
    else if (message[0] == 'D')
        drain(seat, strtoll(message + 1, NULL, 10));
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
    struct tb_process *seat = TB_CONTAINER(struct tb_process, signal_watch, watch);
    uint64_t count;
    (void)!read(seat->ended, &count, sizeof(count));
    drain(seat, seat->grace_ms);
}

static void on_beat(struct tb_timer *timer)
{
    struct tb_process *seat = TB_CONTAINER(struct tb_process, beat, timer);
    atomic_fetch_add_explicit(&seat->slot->beats, 1, memory_order_relaxed);
    tb_timer_start(seat->loop, timer, BEAT_MS);
}

void tb_process_attach(struct tb_process *seat, struct tb_loop *loop,
                       const struct tb_process_calls *calls, void *owner)
{
    seat->loop = loop;
    seat->calls = calls;
    seat->owner = owner;
    seat->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TB_ASSERT(seat->ended >= 0);
    term_event = seat->ended;
    term_alarm_s = (unsigned)(seat->grace_ms / 1000) + LAST_S;
    struct sigaction action = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    TB_ASSERT(sigaction(SIGTERM, &action, NULL) == 0);

    seat->control_watch.ready = on_control;
    tb_watch_open(loop, &seat->control_watch, seat->control);
    tb_watch_want(&seat->control_watch, true, false);
    seat->signal_watch.ready = on_term_event;
    tb_watch_open(loop, &seat->signal_watch, seat->ended);
    tb_watch_want(&seat->signal_watch, true, false);
    seat->beat.fired = on_beat;
    on_beat(&seat->beat);
}
