/* Blocking work on helper threads: at most four for each loop, started when first needed, fed from
 * one bounded queue. The result goes back by tb_loop_post, so a fiber is only ever woken on its
 * thread. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/loop_impl.h"
#include "runtime/run.h"
#include <signal.h>

enum { THREADS = 4, QUEUE = 256, THREAD_STACK = 1024 * 1024 };

/* On the stack of the fiber that waits for it. */
struct task {
    struct tb_loop *loop;
    void (*work)(void *arg);
    void *arg;
    struct tb_wake wake;
    struct task *next;
};

struct tb_helpers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct task *first, **last;
    size_t queued, idle, threads_n;
    bool ending;
    pthread_t threads[THREADS];
};

static void task_done(void *data)
{
    tb_fiber_wake(((struct task *)data)->wake);
}

static void *help(void *arg)
{
    struct tb_helpers *helpers = arg;
    pthread_mutex_lock(&helpers->lock);
    for (;;) {
        while (helpers->first == NULL && !helpers->ending) {
            helpers->idle++;
            pthread_cond_wait(&helpers->more, &helpers->lock);
            helpers->idle--;
        }
        struct task *task = helpers->first;
        if (task == NULL)
            break;
        helpers->first = task->next;
        if (helpers->first == NULL)
            helpers->last = &helpers->first;
        helpers->queued--;
        pthread_mutex_unlock(&helpers->lock);
        task->work(task->arg);
        tb_loop_post(task->loop, task_done, task);
        pthread_mutex_lock(&helpers->lock);
    }
    pthread_mutex_unlock(&helpers->lock);
    return NULL;
}

static struct tb_helpers *new_helpers(void)
{
    struct tb_helpers *helpers = tb_mem(sizeof(*helpers));
    pthread_mutex_init(&helpers->lock, NULL);
    pthread_cond_init(&helpers->more, NULL);
    helpers->last = &helpers->first;
    return helpers;
}

/* Signals are the main thread's business. */
static bool add_thread(struct tb_helpers *helpers)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&helpers->threads[helpers->threads_n], &attr, help, helpers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed == 0)
        helpers->threads_n++;
    return failed == 0;
}

static bool enqueue(struct tb_helpers *helpers, struct task *task)
{
    pthread_mutex_lock(&helpers->lock);
    bool busy = helpers->idle <= helpers->queued;
    bool fits = helpers->queued < QUEUE;
    if (fits && busy && helpers->threads_n < THREADS)
        fits = add_thread(helpers) || helpers->threads_n > 0;
    if (fits) {
        *helpers->last = task;
        helpers->last = &task->next;
        helpers->queued++;
        pthread_cond_signal(&helpers->more);
    }
    pthread_mutex_unlock(&helpers->lock);
    return fits;
}

tb_err TB_SUSPENDS tb_offload(struct tb_req *req, void (*work)(void *arg), void *arg)
{
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(!run->in_transaction);
    if (run->loop->helpers == NULL)
        run->loop->helpers = new_helpers();
    struct task task = {.loop = run->loop, .work = work, .arg = arg, .wake = tb_fiber_token()};
    if (!enqueue(run->loop->helpers, &task))
        return TB_E_OVERLOAD;
    tb_wait_always(req);
    return NULL;
}

void tb_helpers_free(struct tb_helpers *helpers)
{
    pthread_mutex_lock(&helpers->lock);
    TB_ASSERT(helpers->first == NULL);
    helpers->ending = true;
    pthread_cond_broadcast(&helpers->more);
    pthread_mutex_unlock(&helpers->lock);
    for (size_t i = 0; i < helpers->threads_n; i++)
        pthread_join(helpers->threads[i], NULL);
    pthread_cond_destroy(&helpers->more);
    pthread_mutex_destroy(&helpers->lock);
    tb_mem_free(helpers);
}
