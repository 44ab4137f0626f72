/* Types common to the files of this room: the loop's parts and the calls between them. */
#ifndef TB_RUNTIME_LOOP_IMPL_H
#define TB_RUNTIME_LOOP_IMPL_H

#include "runtime/loop.h"
#include <h2o/socket.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>

_Static_assert(H2O_USE_LIBUV == 0, "the headers must describe the evloop build of libh2o");

struct tb_fiber;
struct tb_fibers;
struct tb_helpers;
struct tb_post;
struct tb_run;

/** A binary heap of timers, smallest due time at 1. */
struct tb_timers {
    struct tb_timer **heap;
    uint32_t n, room;
};

enum { TB_WATCH_EVENTS = 64 };

/** Descriptors are watched by an epoll of our own that stands in h2o's as one more descriptor: it
 *  needs no dup of each descriptor, and interest changes without ceremony. */
struct tb_watches {
    int epoll_fd;
    h2o_socket_t *socket;
    struct epoll_event events[TB_WATCH_EVENTS]; /**< of the report going on */
    int events_n;
};

/** Messages from other threads. */
struct tb_posts {
    pthread_mutex_t lock;
    struct tb_post *first, **last;
    struct tb_watch watch;
};

struct tb_loop {
    h2o_loop_t *h2o;
    uint64_t h2o_now; /**< h2o's clock when now_ms was read */
    int64_t now_ms;
    bool stopping;
    bool turning; /**< within tb_loop_turn */
    bool touched; /**< a fiber ran between turns: the next must not wait before its hooks */
    struct tb_hook *hooks;
    struct tb_timers timers;
    struct tb_watches watches;
    struct tb_posts posts;
    struct tb_fibers *fibers;
    struct tb_helpers *helpers; /**< NULL until the first tb_offload */
};

/** Fire what is due. */
void tb_timers_run(struct tb_loop *loop);

void tb_watches_open(struct tb_loop *loop);
void tb_watches_close(struct tb_loop *loop);

void tb_posts_open(struct tb_loop *loop);
void tb_posts_close(struct tb_loop *loop);

struct tb_fibers *tb_fibers_new(struct tb_loop *loop);
void tb_fibers_free(struct tb_fibers *fibers);
void tb_fibers_run(struct tb_fibers *fibers);
bool tb_fibers_ready(const struct tb_fibers *fibers);

/** End the fiber's wait with TB_E_CANCELLED if it is in one that may be cancelled. */
void tb_fiber_cancel(struct tb_fiber *fiber);

/** Set or forget (NULL) what the running fiber executes. */
void tb_fiber_bind(struct tb_run *run);

void tb_helpers_free(struct tb_helpers *helpers);

#endif
