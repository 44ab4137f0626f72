/* Descriptors, by an epoll of our own inside h2o's; and messages from other threads, by an eventfd
 * among those descriptors. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/loop_impl.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A callback may close any watch: tb_watch_close takes its event out of the report going on. */
static void report(h2o_socket_t *socket, const char *error)
{
    (void)error;
    struct tb_loop *loop = socket->data;
    struct tb_watches *watches = &loop->watches;
    watches->events_n = epoll_wait(watches->epoll_fd, watches->events, TB_WATCH_EVENTS, 0);
    for (int i = 0; i < watches->events_n; i++) {
        struct tb_watch *watch = watches->events[i].data.ptr;
        if (watch == NULL)
            continue;
        uint32_t got = watches->events[i].events;
        uint32_t broken = got & (EPOLLERR | EPOLLHUP);
        bool readable = (watch->events & EPOLLIN) != 0 && (broken != 0 || (got & EPOLLIN) != 0);
        bool writable = (watch->events & EPOLLOUT) != 0 && (broken != 0 || (got & EPOLLOUT) != 0);
        if (readable || writable)
            watch->ready(watch, readable, writable);
    }
    watches->events_n = 0;
}

void tb_watches_open(struct tb_loop *loop)
{
    struct tb_watches *watches = &loop->watches;
    watches->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    TB_ASSERT(watches->epoll_fd >= 0);
    watches->socket = h2o_evloop_socket_create(loop->h2o, watches->epoll_fd,
                                               H2O_SOCKET_FLAG_DONT_READ);
    watches->socket->data = loop;
    h2o_socket_read_start(watches->socket, report);
}

void tb_watches_close(struct tb_loop *loop)
{
    h2o_socket_close(loop->watches.socket);
}

void tb_watch_open(struct tb_loop *loop, struct tb_watch *watch, int fd)
{
    TB_ASSERT(watch->loop == NULL && watch->ready != NULL && fd >= 0);
    watch->loop = loop;
    watch->fd = fd;
    watch->events = 0;
}

void tb_watch_want(struct tb_watch *watch, bool read, bool write)
{
    TB_ASSERT(watch->loop != NULL);
    uint32_t events = (read ? (uint32_t)EPOLLIN : 0) | (write ? (uint32_t)EPOLLOUT : 0);
    if (events == watch->events)
        return;
    int op = watch->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    watch->events = events;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int failed = epoll_ctl(watch->loop->watches.epoll_fd, op, watch->fd, &event);
    /* A descriptor closed too early has left the epoll by itself; all else is our mistake. */
    TB_ASSERT(failed == 0 || (op == EPOLL_CTL_DEL && (errno == EBADF || errno == ENOENT)));
}

void tb_watch_close(struct tb_watch *watch)
{
    if (watch->loop == NULL)
        return;
    tb_watch_want(watch, false, false);
    struct tb_watches *watches = &watch->loop->watches;
    for (int i = 0; i < watches->events_n; i++)
        if (watches->events[i].data.ptr == watch)
            watches->events[i].data.ptr = NULL;
    watch->loop = NULL;
}

struct tb_post {
    void (*wake)(void *data);
    void *data;
    struct tb_post *next;
};

static struct tb_post *take_posts(struct tb_posts *posts)
{
    pthread_mutex_lock(&posts->lock);
    struct tb_post *first = posts->first;
    posts->first = NULL;
    posts->last = &posts->first;
    pthread_mutex_unlock(&posts->lock);
    return first;
}

static void posts_ready(struct tb_watch *watch, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct tb_posts *posts = TB_OWNER(watch, struct tb_posts, watch);
    uint64_t count;
    (void)!read(watch->fd, &count, sizeof(count));
    for (struct tb_post *post = take_posts(posts), *next; post != NULL; post = next) {
        next = post->next;
        post->wake(post->data);
        tb_mem_free(post);
    }
}

void tb_posts_open(struct tb_loop *loop)
{
    struct tb_posts *posts = &loop->posts;
    pthread_mutex_init(&posts->lock, NULL);
    posts->last = &posts->first;
    posts->watch.ready = posts_ready;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TB_ASSERT(fd >= 0);
    tb_watch_open(loop, &posts->watch, fd);
    tb_watch_want(&posts->watch, true, false);
}

void tb_posts_close(struct tb_loop *loop)
{
    struct tb_posts *posts = &loop->posts;
    int fd = posts->watch.fd;
    tb_watch_close(&posts->watch);
    close(fd);
    for (struct tb_post *post = take_posts(posts), *next; post != NULL; post = next) {
        next = post->next;
        tb_mem_free(post);
    }
    pthread_mutex_destroy(&posts->lock);
}

void tb_loop_post(struct tb_loop *loop, void (*wake)(void *data), void *data)
{
    struct tb_posts *posts = &loop->posts;
    struct tb_post *post = tb_mem(sizeof(*post));
    *post = (struct tb_post){.wake = wake, .data = data};
    pthread_mutex_lock(&posts->lock);
    *posts->last = post;
    posts->last = &post->next;
    pthread_mutex_unlock(&posts->lock);
    (void)!write(posts->watch.fd, &(uint64_t){1}, sizeof(uint64_t));
}
