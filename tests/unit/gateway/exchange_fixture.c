#include "exchange_fixture.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "crypto/digest.h"
#include "gateway/host.h"
#include "gateway/trace_ring.h"
#include "oauth/server.h"
#include "oauth/token/dpop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATIENCE_US = 120 * 1000 * 1000, FAMINE_STEP = 16, FAMINE_MOST = 64 * 1024 };

static const char YAML[] = "issuer: https://bank.example\nmtls_origin: https://mtls.bank.example\n"
                           "sandbox: true\n";

static struct tb_oauth_parts oauth; /* of the process, as the authorization server is */

static void *memory_new(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static bool is_quarantined(void *owner, const struct tb_exchange *x)
{
    (void)x;
    return ((const struct fixture *)owner)->quarantined;
}

static struct tb_config *read_config(void)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_parse("fixture", TB_STR(YAML), &errors);
    if (config == NULL)
        fail_msg("%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    return config;
}

static tb_err await(struct tb_req *req, void *store)
{
    return tb_store_await(req, store, PATIENCE_US / 1000);
}

static struct tb_store *open_store(struct tb_loop *loop, const char *dsn)
{
    if (dsn == NULL)
        return NULL;
    struct tb_store *store = tb_store_open(loop, &(struct tb_store_options){.dsn = dsn});
    assert_null(tb_run_to_end(loop, await, store, 0));
    return store;
}

void fixture_open(struct fixture *f)
{
    fixture_open_on(f, NULL);
}

void fixture_open_on(struct fixture *f, const char *dsn)
{
    *f = (struct fixture){.loop = tb_loop_new(), .config = read_config()};
    f->settings = *f->config;
    f->host = *tb_plugin_host();
    f->metrics_memory = memory_new(tb_metrics_bytes());
    f->traces_memory = memory_new(sizeof(struct tb_trace_ring));
    f->access_fd = memfd_create("access", 0);
    assert_true(f->access_fd >= 0);
    f->plugin = (struct tb_plugin){.name = "shop", .version = "1.0.0"};
    oauth = (struct tb_oauth_parts){.loop = f->loop, .config = &f->settings};
    tb_secret_set(&oauth.master, "0123456789abcdef0123456789abcdef", 32);
    tb_oauth_open(&oauth);
    tb_dpop_open(&oauth.master);
    f->parts = (struct tb_gateway_parts){
        .loop = f->loop,
        .config = &f->settings,
        .host = &f->host,
        .store = open_store(f->loop, dsn),
        .metrics = tb_metrics_open(f->metrics_memory, tb_metrics_bytes()),
        .access_log = tb_sink_new(f->access_fd, 0),
        .router = tb_router_new(),
        .traces = tb_traces_open(f->traces_memory, 1),
        .cursor_key = tb_hmac_new(TB_STR("the key that cursors are signed with")),
        .error_words = tb_error_words,
        .quarantined = is_quarantined,
        .owner = f,
    };
    f->gateway = tb_gateway_new(&f->parts);
}

struct tb_gateway_parts *fixture_parts(struct fixture *f)
{
    return (struct tb_gateway_parts *)tb_gateway_parts(f->gateway);
}

static void feed(struct fixture *f)
{
    if (f->own == NULL)
        return;
    tb_arena_free(tb_run_borrow(&f->x->run.req, f->own));
    f->own = NULL;
}

void fixture_close(struct fixture *f)
{
    if (f->x != NULL) {
        feed(f);
        tb_arena_free(f->x->run.arena);
        tb_mem_free(f->x);
    }
    tb_mem_free(f->gateway);
    tb_hmac_free(f->parts.cursor_key);
    tb_traces_close(f->parts.traces);
    tb_router_free((struct tb_router *)f->parts.router);
    tb_sink_free(f->parts.access_log);
    tb_metrics_close(f->parts.metrics);
    munmap(f->metrics_memory, tb_metrics_bytes());
    munmap(f->traces_memory, sizeof(struct tb_trace_ring));
    close(f->access_fd);
    tb_secret_wipe(&oauth.master);
    if (f->parts.store != NULL)
        tb_store_close(f->parts.store);
    tb_loop_free(f->loop);
    tb_config_free(f->config);
}

static void set_operation(struct fixture *f, const char *method, const char *path)
{
    f->route = (struct tb_route){.method = method, .path = path, .level = TB_A1};
    f->operation = (struct tb_operation){.plugin = &f->plugin, .route = &f->route};
    f->operation.key_n = (size_t)snprintf(f->operation.key, sizeof(f->operation.key), "%s %s",
                                          method, path);
    f->operation.writes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

struct tb_exchange *fixture_request(struct fixture *f, const char *method, const char *path)
{
    const struct tb_http_owner *calls = tb_gateway_calls();
    if (f->x != NULL) {
        feed(f);
        calls->gone(f->gateway, &f->x->in);
    }
    struct tb_incoming *in = calls->begin(f->gateway);
    f->x = TB_CONTAINER(struct tb_exchange, in, in);
    *in = (struct tb_incoming){
        .arena = f->x->run.arena,
        .method = tb_str(method),
        .path = tb_str(path),
        .raw_path = tb_str(path),
        .authority = TB_STR("bank.example"),
        .headers = f->headers,
        .peer = "192.0.2.7",
    };
    set_operation(f, method, path);
    f->x->match = (struct tb_match){.operation = &f->operation};
    f->x->started_ms = tb_loop_now_ms(f->loop);
    f->x->started_ticks = tb_ticks();
    tb_exchange_name(f->x);
    return f->x;
}

void fixture_flags(struct fixture *f, uint32_t flags)
{
    f->route.flags = flags;
    f->x->match.flags = flags;
}

void fixture_header(struct fixture *f, const char *name, const char *value)
{
    assert_true(f->x->in.headers_n < FIXTURE_HEADERS);
    f->headers[f->x->in.headers_n++] = (struct tb_header){tb_str(name), tb_str(value)};
}

void fixture_starve(struct fixture *f, size_t cap)
{
    assert_null(f->own);
    f->own = tb_run_borrow(&f->x->run.req, tb_arena_new(cap));
}

static const char *word(tb_err err)
{
    return err == NULL ? "ok" : err->code;
}

const char *fixture_stage(struct fixture *f, tb_stage stage)
{
    return word(stage(f->x));
}

struct visit {
    struct tb_exchange *x;
    tb_stage stage;
    tb_err err;
    bool ended;
};

static void visit_main(void *arg)
{
    struct visit *visit = arg;
    tb_run_begin(&visit->x->run);
    visit->err = visit->stage(visit->x);
    tb_run_end(&visit->x->run);
    visit->ended = true;
}

const char *fixture_wait(struct fixture *f, tb_stage stage)
{
    struct visit visit = {.x = f->x, .stage = stage};
    int64_t until_us = tb_loop_us() + PATIENCE_US;
    assert_null(tb_fiber_start(f->loop, visit_main, &visit));
    while (!visit.ended) {
        tb_loop_turn(f->loop, 100);
        if (tb_loop_us() > until_us)
            fail_msg("the stage does not end");
    }
    return word(visit.err);
}

const char *fixture_detail(const struct fixture *f)
{
    const char *detail = f->x->run.problem.detail.at;
    return detail == NULL ? "" : detail;
}

const char *fixture_place(const struct fixture *f)
{
    static char text[256];
    const struct tb_place *place = &f->x->run.problem.places[0];
    if (f->x->run.problem.places_n == 0)
        return "none";
    if (place->parameter != NULL)
        snprintf(text, sizeof(text), "?%s", place->parameter);
    else if (place->header != NULL)
        snprintf(text, sizeof(text), "%s:", place->header);
    else
        snprintf(text, sizeof(text), "%s", place->pointer);
    return text;
}

const char *fixture_reply_header(const struct fixture *f, const char *name)
{
    static char text[512];
    const char *found = NULL;
    for (size_t i = 0; i < f->x->reply_headers_n; i++) {
        struct tb_header header = f->x->reply_headers[i];
        if (!tb_str_eq(header.name, tb_str(name)))
            continue;
        snprintf(text, sizeof(text), "%.*s", (int)header.value.n, header.value.at);
        found = text;
    }
    return found;
}

const char *fixture_reply(const struct fixture *f)
{
    static char text[8192];
    snprintf(text, sizeof(text), "%.*s", (int)f->x->reply.n,
             f->x->reply.at == NULL ? "" : f->x->reply.at);
    return text;
}

const char *fixture_access_log(struct fixture *f)
{
    static char text[4096];
    tb_sink_flush(f->parts.access_log);
    lseek(f->access_fd, 0, SEEK_SET);
    ssize_t n = read(f->access_fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(ftruncate(f->access_fd, 0), 0);
    lseek(f->access_fd, 0, SEEK_SET);
    return text;
}

void fixture_famine(struct fixture *f, bool (*once)(struct fixture *f, size_t cap))
{
    bool good = once(f, FAMINE_MOST);
    assert_true(good);
    size_t used = tb_arena_used(f->x->run.arena) + FAMINE_STEP;
    for (size_t cap = 0; cap < used; cap += FAMINE_STEP)
        good &= once(f, cap);
    assert_false(good);
}
