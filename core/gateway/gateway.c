/* Exchanges: made when a request arrives, run on a fiber through the pipeline, answered, recorded,
 * and pooled again once both the fiber has ended and libh2o has let go. */
#include "gateway/gateway.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "gateway/record.h"

enum { POOL_MAX = 1024 /* idle exchanges kept, with their first arena chunk */ };

struct tb_gateway {
    struct tb_gateway_parts parts;
    struct tb_exchange *free;
    size_t free_n, open_n;
};

struct tb_gateway *tb_gateway_new(const struct tb_gateway_parts *parts)
{
    struct tb_gateway *gateway = tb_mem(sizeof(*gateway));
    gateway->parts = *parts;
    return gateway;
}

const struct tb_gateway_parts *tb_gateway_parts(const struct tb_gateway *gateway)
{
    return &gateway->parts;
}

size_t tb_gateway_open(const struct tb_gateway *gateway)
{
    return gateway->open_n;
}

/* Forget the last request. Only what a stage reads before it writes is cleared: the struct is large
 * and this is done for every request. */
static void renew(struct tb_exchange *x)
{
    tb_run_init(&x->run, x->gateway->parts.loop, x->run.arena);
    x->run.req.host = x->gateway->parts.host;
    x->run.in = &x->in;
    x->match.operation = NULL;
    x->match.params_n = 0;
    x->grant = NULL;
    x->dpop_scheme = false;
    x->world_offset_ms = 0;
    x->json = NULL;
    x->query_n = 0;
    x->body = TB_STR_NONE;
    x->script = NULL;
    x->script_version = 0;
    x->script_shapes = true;
    x->script_input = NULL;
    x->sent_body = NULL;
    x->routed = NULL;
    x->replays = false;
    x->key = TB_STR_NONE;
    x->fingerprint[0] = '\0';
    x->status = 0;
    x->reply = TB_STR_NONE;
    x->reply_headers_n = 0;
    x->own_headers_n = TB_REPLY_HEADERS_MAX;
    x->trace.operation = UINT16_MAX;
    x->trace.refused_by = UINT8_MAX;
    x->trace.stages_n = 0;
    x->trace.why[0] = '\0';
    x->trace.cause[0] = '\0';
    x->trace.partner[0] = '\0';
    x->trace.app[0] = '\0';
    for (size_t i = 0; i < TB_TRACE_SCRIPTS; i++)
        x->trace.scripts[i].verdict[0] = '\0';
    x->ended = true; /* until it has arrived: libh2o may let go of it before */
    x->gone = false;
}

/* Beside what every request may need: its body as it came, as a script has made it, and once more
 * for a text of that size that was outgrown. */
static size_t arena_cap(const struct tb_gateway *gateway)
{
    return TB_ARENA_CAP + 3 * (size_t)gateway->parts.config->limits_body_max_bytes;
}

static struct tb_incoming *begin(void *owner)
{
    struct tb_gateway *gateway = owner;
    struct tb_exchange *x = gateway->free;
    if (x != NULL) {
        gateway->free = x->next_free;
        gateway->free_n--;
    } else {
        x = tb_mem(sizeof(*x));
        x->run.arena = tb_arena_new(arena_cap(gateway));
        x->gateway = gateway;
    }
    renew(x);
    gateway->open_n++;
    x->in.arena = x->run.arena;
    return &x->in;
}

static void release(struct tb_exchange *x)
{
    struct tb_gateway *gateway = x->gateway;
    gateway->open_n--;
    tb_arena_reset(x->run.arena);
    if (gateway->free_n == POOL_MAX) {
        tb_arena_free(x->run.arena);
        tb_mem_free(x);
        return;
    }
    x->next_free = gateway->free;
    gateway->free = x;
    gateway->free_n++;
}

static struct tb_exchange *exchange_of(struct tb_incoming *in)
{
    return TB_CONTAINER(struct tb_exchange, in, in);
}

/* Answer with what the stages left, or with the refusal, and let go unless libh2o still reads it.
 */
static void finish(struct tb_exchange *x, tb_err err)
{
    if (err == NULL && tb_arena_overflowed(x->run.arena))
        err = TB_E_INTERNAL;
    if (err != NULL)
        tb_exchange_refuse(x, err);
    tb_record(x, err);
    if (x->gateway->parts.ended != NULL)
        x->gateway->parts.ended(x);
    tb_http_reply(&x->in, x->status, x->reply_headers, x->reply_headers_n, x->reply);
    tb_http_done(&x->in);
    x->ended = true;
    if (x->gone)
        release(x);
}

/* The whole life of a request on its fiber. */
static void TB_SUSPENDS serve(void *arg)
{
    struct tb_exchange *x = arg;
    tb_run_begin(&x->run);
    tb_err err = x->gateway->parts.run(x);
    tb_run_end(&x->run);
    finish(x, err);
}

static void arrived(void *owner, struct tb_incoming *in)
{
    struct tb_gateway *gateway = owner;
    struct tb_exchange *x = exchange_of(in);
    x->ended = false;
    tb_exchange_name(x);
    x->started_ms = tb_loop_now_ms(gateway->parts.loop);
    x->started_ticks = tb_ticks();
    x->run.deadline_ms = x->started_ms + gateway->parts.config->limits_request_deadline_ms;
    tb_err err = tb_fiber_start(gateway->parts.loop, serve, x);
    if (err != NULL)
        finish(x, err);
}

static void gone(void *owner, struct tb_incoming *in)
{
    (void)owner;
    struct tb_exchange *x = exchange_of(in);
    x->gone = true;
    if (x->ended)
        release(x);
    else
        tb_run_cancel(&x->run);
}

const struct tb_http_owner *tb_gateway_calls(void)
{
    static const struct tb_http_owner calls = {.begin = begin, .request = arrived, .gone = gone};
    return &calls;
}
