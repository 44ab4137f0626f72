#include "server_fixture.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* libh2o never frees the message queue of a context; one context lives as long as its process. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_multithread_create_queue\n";
}

const char *__lsan_default_options(void);
__attribute__((visibility("default"))) const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

struct exchange {
    struct tb_incoming in;
    struct tb_run run;
    struct server_fixture *server_fixture;
    struct exchange *next;
    bool gone, ended;
};

static void maybe_free(struct exchange *x)
{
    if (!x->gone || !x->ended)
        return;
    x->server_fixture->freed++;
    tb_arena_reset(x->in.arena);
    x->next = x->server_fixture->spare;
    x->server_fixture->spare = x;
}

static struct tb_incoming *begin(void *owner)
{
    struct server_fixture *server_fixture = owner;
    if (server_fixture->full)
        return NULL;
    struct exchange *x = server_fixture->spare;
    if (x != NULL) {
        server_fixture->spare = x->next;
    } else {
        x = tb_mem(sizeof(*x));
        x->in.arena = tb_arena_new(TB_ARENA_CAP);
    }
    struct tb_arena *arena = x->in.arena;
    memset(x, 0xa5, sizeof(*x)); /* the server must set every field it promises */
    x->in.arena = arena;
    x->server_fixture = server_fixture;
    x->next = NULL;
    x->gone = x->ended = false;
    tb_run_init(&x->run, server_fixture->loop, arena);
    server_fixture->begun++;
    return &x->in;
}

static void end(struct exchange *x)
{
    tb_http_done(&x->in);
    x->ended = true;
    maybe_free(x);
}

static void reply(struct exchange *x, int status, struct tb_str body)
{
    static const struct tb_header headers[] = {
        {{"content-type", 12}, {"text/plain", 10}},
        {{"x-request-id", 12}, {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", 36}},
    };
    tb_http_reply(&x->in, status, headers, 2, body);
}

static void line(struct tb_text *out, const char *name, struct tb_str value)
{
    tb_text_add(out, tb_str(name));
    if (value.at == NULL) {
        tb_text_add(out, TB_STR(" -\n"));
        return;
    }
    tb_text_add_char(out, '=');
    tb_text_add(out, value);
    tb_text_add_char(out, '\n');
}

static void echo(struct exchange *x)
{
    const struct tb_incoming *in = &x->in;
    struct tb_text out;
    tb_text_init(&out, in->arena);
    line(&out, "method", in->method);
    line(&out, "path", in->path);
    line(&out, "query", in->raw_query);
    line(&out, "authority", in->authority);
    line(&out, "authorization", in->authorization);
    line(&out, "content-type", in->content_type);
    line(&out, "idempotency-key", in->idempotency_key);
    line(&out, "request-id", in->request_id);
    line(&out, "traceparent", in->traceparent);
    line(&out, "body", in->body);
    line(&out, "x-own", tb_http_header(in, TB_STR("x-own")));
    line(&out, "peer", tb_str(in->peer));
    line(&out, "repeated", tb_str(in->repeated));
    tb_text_add_format(&out, "version=%x\ncertificate=%zu verified=%d\n", in->http_version,
                       in->client_certificate.n, in->client_verified);
    reply(x, 200, tb_text_end(&out));
    end(x);
}

static void slow(void *arg)
{
    struct exchange *x = arg;
    tb_run_begin(&x->run);
    tb_err err = tb_sleep(&x->run.req, 1 + random() % 4);
    TB_ASSERT(err == NULL || (tb_is(err, TB_E_CANCELLED) && x->gone));
    reply(x, 200, TB_STR("slow"));
    tb_run_end(&x->run);
    end(x);
}

static void many(struct exchange *x)
{
    static const struct tb_header headers[10] = {
        {{"content-type", 12}, {"text/plain", 10}},
        {{"x-1", 3}, {"1", 1}},
        {{"x-2", 3}, {"2", 1}},
        {{"x-3", 3}, {"3", 1}},
        {{"x-4", 3}, {"4", 1}},
        {{"x-5", 3}, {"5", 1}},
        {{"x-6", 3}, {"6", 1}},
        {{"x-7", 3}, {"7", 1}},
        {{"x-8", 3}, {"8", 1}},
        {{"retry-after", 11}, {"1", 1}},
    };
    char *body = tb_arena_raw(x->in.arena, 200000);
    memset(body, 'm', 200000);
    tb_http_reply(&x->in, 200, headers, 10, (struct tb_str){body, 200000});
    end(x);
}

static void request(void *owner, struct tb_incoming *in)
{
    struct server_fixture *server_fixture = owner;
    struct exchange *x = (struct exchange *)in;
    if (in->path.n >= 5 && memcmp(in->path.at, "/echo", 5) == 0) {
        echo(x);
    } else if (tb_str_eq(in->path, TB_STR("/slow"))) {
        TB_ASSERT(tb_fiber_start(server_fixture->loop, slow, x) == NULL);
    } else if (tb_str_eq(in->path, TB_STR("/wait"))) {
        x->next = server_fixture->waiting;
        server_fixture->waiting = x;
    } else if (tb_str_eq(in->path, TB_STR("/many"))) {
        many(x);
    } else {
        reply(x, tb_str_eq(in->path, TB_STR("/204")) ? 204 : 404, TB_STR_NONE);
        end(x);
    }
}

static void gone(void *owner, struct tb_incoming *in)
{
    struct exchange *x = (struct exchange *)in;
    (void)owner;
    TB_ASSERT(!x->gone);
    x->gone = true;
    if (!x->ended && x->run.fiber != NULL)
        tb_run_cancel(&x->run);
    if (in->work == NULL)
        x->ended = true; /* refused behind `begin`: the server has ended the work itself */
    maybe_free(x);
}

void server_release(struct server_fixture *server_fixture)
{
    while (server_fixture->waiting != NULL) {
        struct exchange *x = server_fixture->waiting;
        server_fixture->waiting = x->next;
        reply(x, 200, TB_STR("released"));
        end(x);
    }
}

static int listen_somewhere(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    TB_ASSERT(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 512) == 0);
    TB_ASSERT(getsockname(fd, (struct sockaddr *)&address, &n) == 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

void server_open(struct server_fixture *server_fixture, const struct server_kind *kind)
{
    static const struct tb_http_owner calls = {begin, request, gone};
    const char *why = NULL;
    memset(server_fixture, 0, sizeof(*server_fixture));
    server_fixture->loop = tb_loop_new();
    server_fixture->tls_fd = listen_somewhere(&server_fixture->tls_port);
    server_fixture->plain_fd = listen_somewhere(&server_fixture->plain_port);
    snprintf(server_fixture->tls_host, sizeof(server_fixture->tls_host), "localhost:%u",
             server_fixture->tls_port);
    snprintf(server_fixture->plain_host, sizeof(server_fixture->plain_host), "localhost:%u",
             server_fixture->plain_port);
    certs_begin();
    certs_make(&server_fixture->certs, "server", &(struct certs_kind){.name = "localhost"});
    certs_make(&server_fixture->ca, "ca", &(struct certs_kind){.name = "ca", .authority = true});

    struct tb_guard_limits guard;
    tb_guard_limits_init(&guard);
    if (kind->connections != 0)
        guard.connections = kind->connections;
    if (kind->address_connections != 0)
        guard.address_connections = kind->address_connections;
    const char *hosts[] = {server_fixture->tls_host, server_fixture->plain_host,
                           "api.bank.example"};
    const struct tb_http_setup setup = {
        .hosts = hosts,
        .hosts_n = 3,
        .certificate = server_fixture->certs.certificate,
        .key = server_fixture->certs.key,
        .client_ca = kind->trusts_ca ? server_fixture->ca.certificate : NULL,
        .plain_h2 = true,
        .body_bytes = 1 << 20,
        .handshake_ms = 5000,
        .head_ms = 5000,
        .idle_ms = 60000,
        .problem_base = TB_STR("https://docs.bank.example/problems/"),
        .guard = &guard,
    };
    server_fixture->server = tb_server_open(server_fixture->loop, &setup, &calls, server_fixture,
                                            &server_fixture->counters, &why);
    if (server_fixture->server == NULL)
        fprintf(stderr, "%s\n", why);
    TB_ASSERT(server_fixture->server != NULL);
    tb_server_listen(server_fixture->server, server_fixture->tls_fd,
                     kind->ask_for_certificate ? TB_LISTENER_MTLS : TB_LISTENER_TLS);
    tb_server_listen(server_fixture->server, server_fixture->plain_fd, TB_LISTENER_PLAIN);
}

static void on_drained(void *owner)
{
    struct server_fixture *server_fixture = owner;
    server_fixture->drained = true;
}

void server_drain(struct server_fixture *server_fixture, int64_t grace_ms)
{
    server_fixture->draining = true;
    tb_server_drain(server_fixture->server, grace_ms, on_drained);
}

void server_close(struct server_fixture *server_fixture)
{
    server_release(server_fixture);
    if (!server_fixture->draining)
        server_drain(server_fixture, 0);
    server_until(server_fixture, &server_fixture->drained);
    for (int i = 0; i < 100 && (server_fixture->begun != server_fixture->freed ||
                                tb_server_stats(server_fixture->server).connections > 0);
         i++)
        server_turn(server_fixture, 5);
    struct tb_http_stats stats = tb_server_stats(server_fixture->server);
    TB_ASSERT(stats.connections == 0 && stats.requests_open == 0);
    TB_ASSERT(server_fixture->begun == server_fixture->freed);
    while (server_fixture->spare != NULL) {
        struct exchange *x = server_fixture->spare;
        server_fixture->spare = x->next;
        tb_arena_free(x->in.arena);
        tb_mem_free(x);
    }
    tb_server_free(server_fixture->server);
    tb_loop_free(server_fixture->loop);
    close(server_fixture->tls_fd);
    close(server_fixture->plain_fd);
    certs_forget();
}

/* ---- turning the loop ---- */

void server_turn(struct server_fixture *server_fixture, int64_t ms)
{
    int64_t end_us = tb_loop_us() + ms * 1000;
    for (int64_t turns = 0; turns <= ms / 4 || tb_loop_us() < end_us; turns++)
        tb_loop_turn(server_fixture->loop, 2);
}

void server_until(struct server_fixture *server_fixture, const bool *flag)
{
    for (int64_t end_us = tb_loop_us() + 60 * 1000 * 1000; !*flag;) {
        TB_ASSERT(tb_loop_us() < end_us);
        tb_loop_turn(server_fixture->loop, 2);
    }
}

static struct {
    pthread_t thread;
    void (*work)(void *arg);
    void *arg;
    atomic_bool done;
} helper;

static void *help(void *unused)
{
    (void)unused;
    helper.work(helper.arg);
    atomic_store(&helper.done, true);
    return NULL;
}

void server_start(void (*work)(void *arg), void *arg)
{
    helper.work = work;
    helper.arg = arg;
    atomic_store(&helper.done, false);
    TB_ASSERT(pthread_create(&helper.thread, NULL, help, NULL) == 0);
}

void server_join(struct server_fixture *server_fixture)
{
    while (!atomic_load(&helper.done))
        tb_loop_turn(server_fixture->loop, 2);
    pthread_join(helper.thread, NULL);
}

int server_dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TB_ASSERT(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}
