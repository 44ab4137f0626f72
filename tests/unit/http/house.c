#include "house.h"
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
    struct house *house;
    struct exchange *next;
    bool gone, ended;
};

static void maybe_free(struct exchange *x)
{
    if (!x->gone || !x->ended)
        return;
    x->house->freed++;
    tb_arena_reset(x->in.arena);
    x->next = x->house->spare;
    x->house->spare = x;
}

static struct tb_incoming *begin(void *owner)
{
    struct house *house = owner;
    if (house->full)
        return NULL;
    struct exchange *x = house->spare;
    if (x != NULL) {
        house->spare = x->next;
    } else {
        x = tb_mem(sizeof(*x));
        x->in.arena = tb_arena_new(TB_ARENA_CAP);
    }
    struct tb_arena *arena = x->in.arena;
    memset(x, 0xa5, sizeof(*x)); /* the server must set every field it promises */
    x->in.arena = arena;
    x->house = house;
    x->next = NULL;
    x->gone = x->ended = false;
    tb_run_init(&x->run, house->loop, arena);
    house->begun++;
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
    struct house *house = owner;
    struct exchange *x = (struct exchange *)in;
    if (in->path.n >= 5 && memcmp(in->path.at, "/echo", 5) == 0) {
        echo(x);
    } else if (tb_str_eq(in->path, TB_STR("/slow"))) {
        TB_ASSERT(tb_fiber_start(house->loop, slow, x) == NULL);
    } else if (tb_str_eq(in->path, TB_STR("/wait"))) {
        x->next = house->waiting;
        house->waiting = x;
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

void house_release(struct house *house)
{
    while (house->waiting != NULL) {
        struct exchange *x = house->waiting;
        house->waiting = x->next;
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

void house_open(struct house *house, const struct house_kind *kind)
{
    static const struct tb_http_owner calls = {begin, request, gone};
    const char *why = NULL;
    memset(house, 0, sizeof(*house));
    house->loop = tb_loop_new();
    house->tls_fd = listen_somewhere(&house->tls_port);
    house->plain_fd = listen_somewhere(&house->plain_port);
    snprintf(house->tls_host, sizeof(house->tls_host), "localhost:%u", house->tls_port);
    snprintf(house->plain_host, sizeof(house->plain_host), "localhost:%u", house->plain_port);
    paper_begin();
    paper_make(&house->paper, "server", &(struct paper_kind){.name = "localhost"});
    paper_make(&house->ca, "ca", &(struct paper_kind){.name = "ca", .authority = true});

    struct tb_guard_limits guard;
    tb_guard_limits_init(&guard);
    if (kind->connections != 0)
        guard.connections = kind->connections;
    if (kind->address_connections != 0)
        guard.address_connections = kind->address_connections;
    const char *hosts[] = {house->tls_host, house->plain_host, "api.bank.example"};
    const struct tb_http_setup setup = {
        .hosts = hosts,
        .hosts_n = 3,
        .certificate = house->paper.certificate,
        .key = house->paper.key,
        .client_ca = kind->trusts_ca ? house->ca.certificate : NULL,
        .plain_h2 = true,
        .body_bytes = 1 << 20,
        .handshake_ms = 5000,
        .head_ms = 5000,
        .idle_ms = 60000,
        .problem_base = TB_STR("https://docs.bank.example/problems/"),
        .guard = &guard,
    };
    house->server = tb_server_open(house->loop, &setup, &calls, house, &house->counters, &why);
    if (house->server == NULL)
        fprintf(stderr, "%s\n", why);
    TB_ASSERT(house->server != NULL);
    tb_server_listen(house->server, house->tls_fd,
                     kind->ask_for_certificate ? TB_DOOR_MTLS : TB_DOOR_TLS);
    tb_server_listen(house->server, house->plain_fd, TB_DOOR_PLAIN);
}

static void on_drained(void *owner)
{
    struct house *house = owner;
    house->drained = true;
}

void house_drain(struct house *house, int64_t grace_ms)
{
    house->draining = true;
    tb_server_drain(house->server, grace_ms, on_drained);
}

void house_close(struct house *house)
{
    house_release(house);
    if (!house->draining)
        house_drain(house, 0);
    house_until(house, &house->drained);
    for (int i = 0; i < 100 && (house->begun != house->freed ||
                                tb_server_stats(house->server).connections > 0);
         i++)
        house_turn(house, 5);
    struct tb_http_stats stats = tb_server_stats(house->server);
    TB_ASSERT(stats.connections == 0 && stats.requests_open == 0);
    TB_ASSERT(house->begun == house->freed);
    while (house->spare != NULL) {
        struct exchange *x = house->spare;
        house->spare = x->next;
        tb_arena_free(x->in.arena);
        tb_mem_free(x);
    }
    tb_server_free(house->server);
    tb_loop_free(house->loop);
    close(house->tls_fd);
    close(house->plain_fd);
    paper_forget();
}

/* ---- turning the loop ---- */

void house_turn(struct house *house, int64_t ms)
{
    int64_t end_us = tb_loop_us() + ms * 1000;
    for (int64_t turns = 0; turns <= ms / 4 || tb_loop_us() < end_us; turns++)
        tb_loop_turn(house->loop, 2);
}

void house_until(struct house *house, const bool *flag)
{
    for (int64_t end_us = tb_loop_us() + 60 * 1000 * 1000; !*flag;) {
        TB_ASSERT(tb_loop_us() < end_us);
        tb_loop_turn(house->loop, 2);
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

void house_start(void (*work)(void *arg), void *arg)
{
    helper.work = work;
    helper.arg = arg;
    atomic_store(&helper.done, false);
    TB_ASSERT(pthread_create(&helper.thread, NULL, help, NULL) == 0);
}

void house_join(struct house *house)
{
    while (!atomic_load(&helper.done))
        tb_loop_turn(house->loop, 2);
    pthread_join(helper.thread, NULL);
}

int house_dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TB_ASSERT(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}
