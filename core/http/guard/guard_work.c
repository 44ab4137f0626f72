/* Backend work outlives the stream that asked for it: a client that resets its streams frees their
 * slots at once, while database and bank go on. So work is counted where it ends. A cookie in the
 * request's pool tells when the request is gone; from then on its work is an orphan of the
 * connection, and a connection may have only so many. */
#include "base/mem.h"
#include "http/guard/guard_conn.h"

struct work_cookie {
    struct tb_guard_work *work; /* NULL once it has ended */
};

struct tb_guard_work {
    struct tb_guard_work *next_free;
    struct guarded *g;          /* NULL for a connection the guard does not know */
    struct work_cookie *cookie; /* NULL once the request is gone */
};

void tb_guard_works_init(struct guard *guard)
{
    guard->works = tb_mem_array(guard->limits.works, sizeof(*guard->works));
    for (uint32_t i = 0; i < guard->limits.works; i++) {
        guard->works[i].next_free = guard->free_works;
        guard->free_works = &guard->works[i];
    }
}

static void request_gone(void *data)
{
    struct work_cookie *cookie = data;
    struct tb_guard_work *work = cookie->work;
    if (work == NULL)
        return;
    work->cookie = NULL;
    if (work->g != NULL && ++work->g->orphans > tb_guard_self.limits.orphans)
        tb_guard_condemn(work->g, TB_GUARD_ORPHANS);
}

struct tb_guard_work *tb_guard_work_begin(h2o_req_t *req)
{
    struct guard *guard = &tb_guard_self;
    struct tb_guard_work *work = guard->free_works;
    if (work == NULL) {
        guard_count(TB_GUARD_WORK_REFUSED);
        return NULL;
    }
    guard->free_works = work->next_free;
    work->g = tb_guard_of(req->conn->callbacks->get_socket(req->conn));
    work->cookie = h2o_mem_alloc_shared(&req->pool, sizeof(*work->cookie), request_gone);
    work->cookie->work = work;
    if (work->g != NULL)
        work->g->works++;
    return work;
}

void tb_guard_work_end(struct tb_guard_work *work)
{
    if (work == NULL)
        return;
    struct guarded *g = work->g;
    if (work->cookie != NULL)
        work->cookie->work = NULL;
    else if (g != NULL)
        g->orphans--;
    work->next_free = tb_guard_self.free_works;
    tb_guard_self.free_works = work;
    if (g != NULL) {
        /* Freed here when it was the last thing to hold the closed connection. */
        tb_guard_hold(g);
        g->works--;
        tb_guard_release(g);
    }
}
