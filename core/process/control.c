/* Orders and reports between the master and a process: one message a packet on a socket pair, a
 * letter and, for some, text.
 *
 *     master → process   G            go: accept
 *                        D<ms>        drain within so many milliseconds
 *     process → master   R            ready
 *                        X<sentence>  refused
 *                        S            serving: accepts
 *                        E            ended: drained, about to exit
 *
 * The end of the connection tells a process that its master is gone; the master hears of a
 * process's end from the kernel and only reads here. */
#include "process/master_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void order(const struct tb_child *c, const char *message, size_t n)
{
    if (send(c->control, message, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE &&
        errno != ECONNRESET)
        tb_child_log(TB_LOG_WARN, "order_refused", c, strerrordesc_np(errno));
}

void tb_child_go(struct tb_master *m, struct tb_child *c)
{
    order(c, "G", 1);
    c->state = TB_CHILD_GOING;
    m->status_stale = true;
}

void tb_child_drain(struct tb_master *m, struct tb_child *c, int64_t grace_ms)
{
    enum { SLACK_MS = 3000 }; /* beyond its grace, for the way out */
    char message[32];
    int n = snprintf(message, sizeof(message), "D%" PRId64, grace_ms);
    order(c, message, (size_t)n);
    c->state = TB_CHILD_DRAINING;
    c->kill_ms = m->now_ms + grace_ms + SLACK_MS;
    m->status_stale = true;
}

static void heard_ready(struct tb_master *m, struct tb_child *c)
{
    c->ready_ms = m->now_ms;
    c->beat_ms = m->now_ms;
    c->kill_ms = 0;
    c->state = TB_CHILD_READY;
    if (c->generation == m->generation)
        tb_child_go(m, c);
}

void tb_child_hear(struct tb_master *m, struct tb_child *c)
{
    char message[TB_PROCESS_WHY_BYTES];
    ssize_t n;
    while ((n = recv(c->control, message, sizeof(message) - 1, MSG_DONTWAIT)) > 0) {
        message[n] = '\0';
        m->status_stale = true;
        switch (message[0]) {
        case 'R':
            if (c->state == TB_CHILD_STARTING)
                heard_ready(m, c);
            break;
        case 'X':
            memcpy(c->why, message + 1, (size_t)n);
            break;
        case 'S':
            if (c->state == TB_CHILD_GOING)
                c->state = TB_CHILD_SERVING;
            break;
        default: /* 'E': its exit follows */
            break;
        }
    }
}
