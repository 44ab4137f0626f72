/* The guard's own life: its tables, the connections it has counted in, and how one is made to
 * leave. A connection leaves in two steps: GOAWAY, so that the client knows and the library can
 * flush; and, if it is still there after a grace time, shutdown(2) of its socket, which makes the
 * library see an ordinary end of the connection. The guard never frees an object of the library. */
#include "http/guard/guard.h"
#include "base/assert.h"
#include "base/mem.h"
#include "http/guard/guard_conn.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

struct guard tb_guard_self;
struct guard_original tb_guard_original;

const struct tb_guard_limit tb_guard_limit_rows[TB_GUARD_LIMIT_N] = {
#define X(name, unit, value, min, max, reason)                                                     \
    {#name, unit, reason, value, min, max, offsetof(struct tb_guard_limits, name)},
    TB_GUARD_LIMITS(X)
#undef X
};

const struct tb_guard_kind tb_guard_kinds[TB_GUARD_KIND_N] = {
#define X(NAME, name, help) {#name, help},
    TB_GUARD_KINDS(X)
#undef X
};

static uint32_t *limit_field(struct tb_guard_limits *limits, const struct tb_guard_limit *row)
{
    return (uint32_t *)(void *)((char *)limits + row->offset);
}

void tb_guard_limits_init(struct tb_guard_limits *limits)
{
    for (size_t i = 0; i < TB_GUARD_LIMIT_N; i++)
        *limit_field(limits, &tb_guard_limit_rows[i]) = tb_guard_limit_rows[i].value;
}

bool tb_guard_limits_set(struct tb_guard_limits *limits, const char *name, uint32_t value)
{
    for (size_t i = 0; i < TB_GUARD_LIMIT_N; i++) {
        const struct tb_guard_limit *row = &tb_guard_limit_rows[i];
        if (strcmp(row->name, name) != 0)
            continue;
        if (value < row->min || value > row->max)
            return false;
        *limit_field(limits, row) = value;
        return true;
    }
    return false;
}

/* ---- addresses ---- */

static void peer_address(h2o_socket_t *sock, uint8_t out[16])
{
    struct sockaddr_storage ss;
    memset(out, 0, 16);
    if (h2o_socket_getpeername(sock, (struct sockaddr *)&ss) == 0)
        return;
    if (ss.ss_family == AF_INET) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &((struct sockaddr_in *)&ss)->sin_addr, 4);
    } else if (ss.ss_family == AF_INET6) {
        /* A client owns at least a /64, so its single addresses mean nothing; but a mapped IPv4
         * address is in the lower half. */
        const struct in6_addr *a = &((struct sockaddr_in6 *)&ss)->sin6_addr;
        memcpy(out, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
    }
}

static struct guard_peer **peer_slot(const uint8_t address[16])
{
    /* Seeded, so that a client cannot choose addresses that share a chain. */
    uint64_t half[2];
    memcpy(half, address, sizeof(half));
    uint64_t h = (half[0] ^ tb_guard_self.peer_seed) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ half[1]) * 0xbf58476d1ce4e5b9u;
    return &tb_guard_self.peer_heads[(h >> 32) & tb_guard_self.peer_mask];
}

/* Never runs out: there are as many peers as connections. */
static struct guard_peer *peer_of(const uint8_t address[16])
{
    struct guard_peer **slot = peer_slot(address), *p;
    for (p = *slot; p != NULL; p = p->next)
        if (memcmp(p->address, address, 16) == 0)
            return p;
    p = tb_guard_self.free_peers;
    TB_ASSERT(p != NULL);
    tb_guard_self.free_peers = p->next;
    memcpy(p->address, address, 16);
    p->connections = 0;
    p->next = *slot;
    *slot = p;
    return p;
}

static void peer_leave(struct guard_peer *p)
{
    if (--p->connections != 0)
        return;
    struct guard_peer **at = peer_slot(p->address);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->next = tb_guard_self.free_peers;
    tb_guard_self.free_peers = p;
}

/* ---- connections ---- */

static void free_if_unused(struct guarded *g)
{
    if (g->sock != NULL || g->works != 0 || g->busy != 0)
        return;
    peer_leave(g->peer);
    g->next_free = tb_guard_self.free_states;
    tb_guard_self.free_states = g;
    tb_guard_self.connections_n--;
}

static void on_close(void *data)
{
    struct guarded *g = data;
    void (*cb)(void *) = g->owner_on_close.cb;
    void *cb_data = g->owner_on_close.data;
    g->sock = NULL;
    g->conn = NULL;
    h2o_linklist_unlink(&g->link);
    free_if_unused(g);
    if (cb != NULL)
        cb(cb_data);
}

struct guarded *tb_guard_of(const h2o_socket_t *sock)
{
    return sock->on_close.cb == on_close ? sock->on_close.data : NULL;
}

void tb_guard_hold(struct guarded *g)
{
    g->busy++;
}

void tb_guard_release(struct guarded *g)
{
    g->busy--;
    free_if_unused(g);
}

bool tb_guard_accept(h2o_socket_t *sock)
{
    struct guard *guard = &tb_guard_self;
    uint8_t address[16];
    struct guarded *g = guard->free_states;
    if (g == NULL) {
        guard_count(TB_GUARD_CONNECTION_REFUSED);
        return false;
    }
    peer_address(sock, address);
    struct guard_peer *peer = peer_of(address);
    if (peer->connections >= guard->limits.address_connections) {
        guard_count(TB_GUARD_ADDRESS_REFUSED);
        return false;
    }
    peer->connections++;
    guard->free_states = g->next_free;
    guard->connections_n++;

    uint64_t now = guard_now();
    *g = (struct guarded){
        .sock = sock,
        .peer = peer,
        .owner_on_close = {sock->on_close.cb, sock->on_close.data},
        .frames = {guard->limits.frame_burst * 1000, now},
        .resets = {guard->limits.reset_burst * 1000, now},
        .accepted_ms = now,
        .useful_ms = now,
        .condemned = TB_GUARD_KIND_N,
    };
    h2o_linklist_insert(&guard->open, &g->link);
    sock->on_close.cb = on_close;
    sock->on_close.data = g;
    return true;
}

size_t tb_guard_connections(void)
{
    return tb_guard_self.connections_n;
}

/* ---- budgets ---- */

bool tb_guard_take(struct guard_bucket *bucket, uint32_t cost, uint32_t burst, uint32_t per_s)
{
    if (bucket->tokens < cost) {
        /* Filled only when it runs dry: the usual frame costs one comparison. */
        uint64_t now = guard_now();
        uint64_t elapsed_ms = now > bucket->filled_ms ? now - bucket->filled_ms : 0;
        uint64_t full = (uint64_t)burst * 1000;
        if (elapsed_ms > 3600000)
            elapsed_ms = 3600000;
        uint64_t filled = bucket->tokens + elapsed_ms * per_s;
        bucket->tokens = (uint32_t)(filled < full ? filled : full);
        bucket->filled_ms = now;
        if (bucket->tokens < cost)
            return false;
    }
    bucket->tokens -= cost;
    return true;
}

/* ---- leaving ---- */

void tb_guard_condemn(struct guarded *g, enum tb_guard_kind_index kind)
{
    if (g->condemned != TB_GUARD_KIND_N)
        return;
    g->condemned = kind;
    guard_count(kind);
}

void tb_guard_dismiss(struct guarded *g, int code, const char *why, uint32_t grace_ms)
{
    h2o_http2_conn_t *conn = g->conn;
    uint64_t cut_ms = guard_now() + grace_ms;
    if (g->cut_ms == 0 || cut_ms < g->cut_ms)
        g->cut_ms = cut_ms;
    if (conn == NULL || conn->state != H2O_CONN_OPEN)
        return;
    h2o_http2_encode_goaway_frame(&conn->_write.buf, conn->pull_stream_ids.max_open, code,
                                  h2o_iovec_init(why, strlen(why)));
    conn->state = H2O_CONN_HALF_CLOSED;
    h2o_http2_conn_request_write(conn);
}

void tb_guard_execute(struct guarded *g)
{
    if (g->condemned == TB_GUARD_KIND_N || g->executed || g->sock == NULL)
        return;
    g->executed = true;
    tb_guard_dismiss(g, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, tb_guard_kinds[g->condemned].name,
                     2 * GUARD_SWEEP_MS);
}

/* ---- start and stop ---- */

static void make_pools(struct guard *guard)
{
    uint32_t n = guard->limits.connections, heads = 1;
    while (heads < n)
        heads *= 2;
    guard->peer_mask = heads - 1;
    guard->states = tb_mem_array(n, sizeof(*guard->states));
    guard->peers = tb_mem_array(n, sizeof(*guard->peers));
    guard->peer_heads = tb_mem_array(heads, sizeof(*guard->peer_heads));
    for (uint32_t i = 0; i < n; i++) {
        guard->states[i].next_free = guard->free_states;
        guard->free_states = &guard->states[i];
        guard->peers[i].next = guard->free_peers;
        guard->free_peers = &guard->peers[i];
    }
}

void tb_guard_start(h2o_context_t *ctx, const struct tb_guard_limits *limits,
                    struct tb_guard_counters *counters)
{
    struct guard *guard = &tb_guard_self;
    TB_ASSERT(guard->ctx == NULL);
    TB_ASSERT(tb_guard_resolve());
    *guard = (struct guard){.ctx = ctx, .limits = *limits, .counters = counters};
    if (getrandom(&guard->peer_seed, sizeof(guard->peer_seed), 0) != sizeof(guard->peer_seed))
        guard->peer_seed = (uint64_t)(uintptr_t)guard; /* address layout is random enough */
    h2o_linklist_init_anchor(&guard->open);
    make_pools(guard);
    tb_guard_refusals_init(guard);
    tb_guard_works_init(guard);
    guard->sweep_entry.cb = tb_guard_sweep;
    h2o_timeout_init(ctx->loop, &guard->sweep_timeout, GUARD_SWEEP_MS);
    h2o_timeout_link(ctx->loop, &guard->sweep_timeout, &guard->sweep_entry);
}

void tb_guard_stop(void)
{
    struct guard *guard = &tb_guard_self;
    h2o_timeout_unlink(&guard->sweep_entry);
    h2o_timeout_dispose(guard->ctx->loop, &guard->sweep_timeout);
    guard->ctx = NULL;
    if (guard->connections_n != 0)
        return; /* work still runs and will come back to its connection; the process ends soon */
    tb_mem_free(guard->states);
    tb_mem_free(guard->peers);
    tb_mem_free((void *)guard->peer_heads);
    tb_mem_free(guard->works);
    *guard = (struct guard){0};
}
