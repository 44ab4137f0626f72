/* A worker: everything a request needs, on one loop. Made in this order: products, books, keys,
 * limits, gateway, server; it is ready when its products are loaded and the books have been asked
 * for keys. A worker whose books are away starts all the same and answers 503 until they are back:
 * then it is there at once. */
#include "base/log.h"
#include "base/metrics.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "directory/entitlements.h"
#include "gateway/gateway.h"
#include "gateway/host.h"
#include "gateway/job_host.h"
#include "gateway/stage/pipeline.h"
#include "gateway/trace_ring.h"
#include "hooks/recorder.h"
#include "hooks/scripts.h"
#include "http/guard/guard.h"
#include "ledger/world.h"
#include "oauth/request/backchannel.h"
#include "oauth/token/revoke.h"
#include "oauth/token/token.h"
#include "process/master.h"
#include "runtime/run.h"
#include "worker/parts.h"
#include <stdio.h>
#include <unistd.h>

enum {
    REVOKED_LAYOUT = 1,
    PROOFS_LAYOUT = 1,
    GUARD_LAYOUT = 1,
    REVOKED_MAX = 65536,
    PROOFS_MAX = 1 << 20, /* DPoP proofs live 70 s: 15,000 a second fit */
    ACCESS_HOLD_BYTES = 32 * 1024,
    KEYS_MS = 2000,       /* how often keys are read again */
    UPKEEP_MS = 250,      /* how often counters are published and the access log is written out */
    HEALTH_MS = 1000,     /* what products said of their health counts so long */
    FIRST_KEYS_MS = 3000, /* a start waits so long for the books before it goes on without */
};

struct worker {
    struct tb_process *process;
    const struct tb_config *config;
    struct tb_loop *loop;
    struct tb_registry *registry;
    struct tb_store *store;
    struct tb_secret secret;
    struct tb_keystore *keystore;      /* of access tokens */
    struct tb_keystore *response_keys; /* of what clients verify */
    struct tb_http_client *outbound;
    struct tb_revocations revocations;
    int64_t refresh_ms, keys_ms; /* when revocations and keys are read next; loop clock */
    int64_t scripts_ms;          /* and partners' scripts */
    bool scripts_behind;
    bool refreshing;
    struct tb_scripts *scripts;
    struct tb_token_checker *tokens;
    struct tb_worlds *worlds;
    struct tb_limit_set standard;
    struct tb_apps *apps;
    struct tb_limiter *limiter;
    struct tb_metrics *metrics;
    struct tb_sink *access_log;
    struct tb_hmac *cursor_key;
    struct tb_traces *traces;
    struct tb_gateway *gateway;
    struct tb_server *server;
    struct tb_timer upkeep;
    int64_t health_ms; /* when products are asked next how they are; loop clock */
    tb_err ill;        /* what the first that is not well said; NULL: all are */
    const char *ill_product;
    char why[TB_WHY_BYTES];
};

/* ---- shared memory ---- */

static void init_jti_set(void *at, size_t bytes)
{
    tb_jti_set_init(at, bytes);
}

size_t tb_worker_regions(const struct tb_config *config, unsigned workers,
                         struct tb_region_want out_regions[TB_REGIONS_MAX])
{
    (void)config;
    const struct tb_region_want wants[] = {
        {"guard", sizeof(struct tb_guard_counters), GUARD_LAYOUT, NULL},
        {"metrics", tb_metrics_bytes(), tb_metrics_layout(), NULL},
        {"limits", tb_limiter_bytes(TB_LIMIT_BUCKETS), TB_LIMIT_LAYOUT, NULL},
        {"traces", workers * TB_TRACE_RINGS_EACH * sizeof(struct tb_trace_ring), TB_TRACE_LAYOUT,
         NULL},
        {"revoked", tb_jti_set_bytes(REVOKED_MAX), REVOKED_LAYOUT, init_jti_set},
        {"proofs", tb_jti_set_bytes(PROOFS_MAX), PROOFS_LAYOUT, init_jti_set},
    };
    for (size_t i = 0; i < TB_COUNT(wants); i++)
        out_regions[i] = wants[i];
    return TB_COUNT(wants);
}

/* ---- crash records and quarantine: which request it was ---- */

/* What makes a request the same request when it comes again: who, what, and the body. */
static void hash_request(const struct tb_quarantine *q, const struct tb_exchange *x,
                         unsigned char out[TB_CRASH_HASH])
{
    struct tb_str parts[] = {x->in.method, x->in.path, x->in.raw_query, x->in.authorization,
                             x->in.body};
    tb_request_hash(q, parts, TB_COUNT(parts), out);
}

static const struct tb_quarantine *the_quarantine; /* for the signal handler */

/* Runs in the signal handler: reads and copies only. */
static void describe(struct tb_serving *out)
{
    const struct tb_run *run = tb_fiber_run();
    if (run == NULL)
        return;
    if (run->label != NULL)
        strncpy(out->route, run->label, sizeof(out->route) - 1);
    if (run->req.host != tb_plugin_host())
        return; /* a job: it has no client */
    const struct tb_exchange *x = (const struct tb_exchange *)run;
    memcpy(out->request_id, x->request_id, sizeof(out->request_id));
    memcpy(out->partner, x->trace.partner, sizeof(out->partner) - 1);
    hash_request(the_quarantine, x, out->hash);
}

static bool quarantined(void *owner, const struct tb_exchange *x)
{
    const struct tb_quarantine *q = ((struct worker *)owner)->process->quarantine;
    unsigned char hash[TB_CRASH_HASH];
    if (!tb_quarantine_any(q))
        return false;
    hash_request(q, x, hash);
    return tb_quarantined(q, hash);
}

/* ---- health ---- */

static tb_err health(void *owner, const char **out_product)
{
    struct worker *w = owner;
    int64_t now_ms = tb_loop_now_ms(w->loop);
    if (now_ms >= w->health_ms) {
        w->ill = tb_registry_health(w->registry, w->config, &w->ill_product);
        w->health_ms = now_ms + HEALTH_MS;
    }
    *out_product = w->ill_product;
    return w->ill;
}

/* ---- making it ---- */

static bool make_limits(struct worker *w)
{
    const struct tb_limit_window windows[] = {
        {"burst", w->config->rate_burst, w->config->rate_burst_window_ms, TB_LIMIT_APP,
         TB_LIMIT_ROLLING},
        {"daily", w->config->rate_daily, 0, TB_LIMIT_APP, TB_LIMIT_DAY},
    };
    size_t bytes, operations_n;
    void *memory = tb_process_region(w->process, "limits", &bytes);
    w->limiter = tb_limiter_open(memory, bytes);
    struct tb_operation *const *operations = tb_registry_operations(w->registry, &operations_n);
    w->apps = tb_apps_new(&w->standard, operations, operations_n);
    return tb_limit_set_init(&w->standard, windows, TB_COUNT(windows), w->why, sizeof(w->why));
}

static bool make_keys(struct worker *w)
{
    static const char cursor_purpose[] = "tongbao cursors 1";
    if (!tb_parts_secret(w->config, &w->secret, w->why, sizeof(w->why)))
        return false;
    w->keystore = tb_keystore_new(&w->secret);
    w->response_keys = tb_keystore_new(&w->secret);
    w->revocations.set = tb_process_region(w->process, "revoked", NULL);
    struct tb_token_rules rules = tb_parts_token_rules(w->config, w->keystore, w->revocations.set);
    w->tokens = tb_token_checker_new(&rules);
    /* A key of its own for each purpose, so that no code of one can pass for another's. */
    unsigned char derived[TB_SHA256_BYTES];
    struct tb_hmac *master = tb_hmac_new(TB_BYTES(w->secret.at, w->secret.n));
    tb_hmac_sha256(master, &TB_STR(cursor_purpose), 1, derived);
    tb_hmac_free(master);
    w->cursor_key = tb_hmac_new(TB_BYTES(derived, sizeof(derived)));
    explicit_bzero(derived, sizeof(derived));
    return true;
}

static void open_oauth(struct worker *w)
{
    w->outbound = tb_http_client_new(w->loop);
    const struct tb_oauth_parts parts = {
        .loop = w->loop,
        .config = w->config,
        .store = w->store,
        .outbound = w->outbound,
        .token_keys = w->keystore,
        .response_keys = w->response_keys,
        .tokens = w->tokens,
        .proofs = tb_process_region(w->process, "proofs", NULL),
        .revocations = &w->revocations,
        .master = w->secret,
    };
    tb_parts_oauth(w->registry, &parts);
    tb_backchannel_open();
}

static void number_operations(struct worker *w)
{
    size_t n;
    struct tb_operation *const *operations = tb_registry_operations(w->registry, &n);
    size_t shared_n = 0;
    for (size_t i = 0; i < n; i++) {
        operations[i]->metric = tb_metrics_operation(
            w->metrics, (struct tb_str){operations[i]->key, operations[i]->key_n});
        shared_n += operations[i]->metric == TB_METRICS_OPERATIONS - 1;
    }
    if (shared_n > 0) /* many generations with other routes; the next start has room again */
        tb_log_with(TB_LOG_WARN, "operations_not_counted_apart", TB_F_INT("n", (int64_t)shared_n));
}

static void open_metrics(struct worker *w)
{
    size_t bytes;
    void *memory = tb_process_region(w->process, "metrics", &bytes);
    w->metrics = tb_metrics_open(memory, bytes);
}

/* The rows are read with the keys, before the first request. */
static bool make_scripts(struct worker *w)
{
    if (!tb_hooks_open(w->config->schemas_directory, w->why, sizeof(w->why)))
        return false;
    const struct tb_scripts_parts parts = {
        .store = w->store,
        .metrics = w->metrics,
        .config = w->config,
    };
    w->scripts = tb_scripts_new(&parts);
    return true;
}

static void make_gateway(struct worker *w)
{
    size_t bytes, operations_n;
    struct tb_trace_ring *rings = tb_process_region(w->process, "traces", &bytes);
    size_t rings_n = bytes / sizeof(struct tb_trace_ring);
    w->traces = tb_traces_open(rings, rings_n);
    w->access_log = tb_sink_new(STDERR_FILENO, ACCESS_HOLD_BYTES);
    number_operations(w);
    struct tb_gateway_parts parts = {
        .loop = w->loop,
        .config = w->config,
        .host = tb_plugin_host(),
        .store = w->store,
        .tokens = w->tokens,
        .keys = w->keystore,
        .worlds = w->worlds = tb_worlds_new(),
        .apps = w->apps,
        .limiter = w->limiter,
        .scripts = w->scripts,
        .metrics = w->metrics,
        .guard = tb_process_region(w->process, "guard", NULL),
        .access_log = w->access_log,
        .router = tb_registry_router(w->registry),
        .operations = tb_registry_operations(w->registry, &operations_n),
        .traces = w->traces,
        .cursor_key = w->cursor_key,
        .error_by_code = tb_parts_error,
        .error_words = tb_parts_words,
        .health = health,
        .run = tb_pipeline_run,
        .stage_names = tb_pipeline_names(),
        .ended = tb_recorder_keep,
        .quarantined = quarantined,
        .owner = w,
    };
    const struct tb_recorder_parts recorder = {
        .loop = w->loop,
        .store = w->store,
        .metrics = w->metrics,
        .days = w->config->script_recording_days,
        .schemas = w->config->schemas_directory,
    };
    tb_recorder_open(&recorder);
    parts.operations_n = operations_n;
    w->gateway = tb_gateway_new(&parts);
}

static bool make_server(struct worker *w)
{
    const char *sentence = NULL;
    w->server = tb_server_new(w->loop, w->config, tb_gateway_calls(), w->gateway,
                              tb_process_region(w->process, "guard", NULL), &sentence);
    if (w->server == NULL)
        snprintf(w->why, sizeof(w->why), "%s", sentence);
    return w->server != NULL;
}

/* ---- upkeep ---- */

static tb_err TB_SUSPENDS refresh_keys(struct tb_req *req, struct worker *w, int64_t now_s)
{
    int64_t now_ms = tb_loop_now_ms(w->loop);
    if (now_ms < w->keys_ms)
        return NULL;
    TB_TRY(tb_oauth_keys_refresh(req, w->keystore, TB_KEYS_OF_TOKENS, &tb_oauth_schedule, now_s));
    TB_TRY(tb_oauth_keys_refresh(req, w->response_keys, TB_KEYS_OF_RESPONSES, &tb_oauth_schedule,
                                 now_s));
    w->keys_ms = now_ms + KEYS_MS;
    return NULL;
}

static tb_err TB_SUSPENDS refresh_revoked(struct tb_req *req, struct worker *w, int64_t now_s)
{
    if (tb_loop_now_ms(w->loop) < w->refresh_ms)
        return NULL;
    tb_err err = tb_revocations_refresh(req, &w->revocations, now_s);
    int64_t pause_ms = err == NULL ? (int64_t)TB_OAUTH_REVOKED_MS : UPKEEP_MS;
    w->refresh_ms = tb_loop_now_ms(w->loop) + (w->revocations.behind ? 0 : pause_ms);
    return err;
}

static tb_err TB_SUSPENDS refresh_scripts(struct tb_req *req, struct worker *w)
{
    int64_t now_ms = tb_loop_now_ms(w->loop);
    if (now_ms < w->scripts_ms)
        return NULL;
    tb_err err = tb_scripts_refresh(req, w->scripts, &w->scripts_behind);
    w->scripts_ms = now_ms + (w->scripts_behind ? 0 : TB_SCRIPTS_MS);
    return err;
}

/* Keys, revocations and scripts as the books have them. Soon again when that failed. */
static tb_err TB_SUSPENDS refresh(struct tb_req *req, void *arg)
{
    struct worker *w = arg;
    int64_t now_s = tb_wall_ms() / 1000;
    tb_job_equip(req, w->store);
    tb_err err = refresh_keys(req, w, now_s);
    if (err == NULL)
        err = refresh_revoked(req, w, now_s);
    if (err == NULL)
        err = refresh_scripts(req, w);
    w->refreshing = false;
    return err;
}

/* A generation that lacks its migrations must not serve; one that serves already is kept whole,
 * whatever was applied since. Books that are away are waited for while it serves. */
static tb_err TB_SUSPENDS check_books(struct tb_req *req, struct worker *w)
{
    struct tb_migration_set sets[TB_SETS_MAX];
    const struct tb_str *detail = &tb_run_of(req)->problem.detail;
    size_t n = tb_parts_migrations(w->registry, sets);
    tb_err err = tb_migrate_check(req, w->store, sets, n);
    if (tb_is(err, TB_E_CONFLICT))
        snprintf(w->why, sizeof(w->why), "%.*s", (int)detail->n, detail->at);
    return err;
}

static tb_err TB_SUSPENDS first_refresh(struct tb_req *req, void *arg)
{
    struct worker *w = arg;
    TB_TRY(tb_store_await(req, w->store, FIRST_KEYS_MS));
    if (!w->process->replaces)
        TB_TRY(check_books(req, w));
    return refresh(req, arg);
}

static void refresh_when_due(struct worker *w)
{
    int64_t now_ms = tb_loop_now_ms(w->loop);
    if (w->refreshing || (now_ms < w->refresh_ms && now_ms < w->scripts_ms) ||
        !tb_store_ready(w->store))
        return;
    w->refreshing = true;
    if (tb_run_detached(w->loop, "refresh", refresh, w, 5000) != NULL)
        w->refreshing = false; /* no fiber is free: at the next turn */
}

static void publish_counts(struct worker *w)
{
    struct tb_metrics *m = w->metrics;
    struct tb_store_stats store = tb_store_stats(w->store);
    struct tb_http_stats http = tb_server_stats(w->server);
    struct tb_fiber_stats fibers = tb_fiber_stats(w->loop);
    struct tb_token_cache_stats tokens = tb_token_checker_stats(w->tokens);
    tb_gauge(m, TB_M_REQUESTS_OPEN, tb_gateway_open(w->gateway));
    tb_gauge(m, TB_M_CONNECTIONS, http.connections);
    tb_count_to(m, TB_M_ACCEPTED, http.accepted);
    tb_count_to(m, TB_M_ACCEPT_REFUSED, http.refused);
    tb_count_to(m, TB_M_REJECTED, http.rejected);
    tb_count_to(m, TB_M_TOKEN_HITS, tokens.hits);
    tb_count_to(m, TB_M_TOKEN_MISSES, tokens.misses);
    tb_count_to(m, TB_M_TOKEN_EVICTED, tokens.evicted);
    tb_gauge(m, TB_M_FIBERS, fibers.live);
    tb_count_to(m, TB_M_SLOW_SLICES, fibers.slow_slices);
    tb_count_to(m, TB_M_LATE_WAKES, fibers.late_wakes);
    tb_gauge(m, TB_M_STORE_CONNECTIONS, (uint64_t)store.connections_up);
    tb_gauge(m, TB_M_STORE_QUEUED, store.queued + store.calls_queued);
    tb_gauge(m, TB_M_STORE_IN_FLIGHT, store.in_flight + store.calls_in_flight);
    tb_count_to(m, TB_M_STORE_STATEMENTS, store.statements);
    tb_count_to(m, TB_M_STORE_CALLS, store.calls);
    tb_count_to(m, TB_M_STORE_BATCHES, store.batches);
    tb_count_to(m, TB_M_STORE_CONFLICTS, store.conflicts);
    tb_count_to(m, TB_M_STORE_SPLITS, store.splits);
    tb_count_to(m, TB_M_STORE_POISONED, store.poisoned);
    tb_count_to(m, TB_M_STORE_IN_DOUBT, store.in_doubt);
    tb_count_to(m, TB_M_STORE_OVERLOADS, store.overloads);
    tb_count_to(m, TB_M_STORE_LOSSES, store.losses);
    struct tb_vm_pool_stats scripts = tb_scripts_stats(w->scripts);
    tb_gauge(m, TB_M_SCRIPT_STATES, scripts.states);
    tb_gauge(m, TB_M_SCRIPT_BYTES, scripts.bytes);
    tb_count_to(m, TB_M_SCRIPT_MADE, scripts.made);
    tb_count_to(m, TB_M_SCRIPT_EVICTED, scripts.evicted);
    tb_count_to(m, TB_M_SCRIPT_WORN, scripts.worn);
}

static void upkeep(struct tb_timer *timer)
{
    struct worker *w = TB_CONTAINER(struct worker, upkeep, timer);
    publish_counts(w);
    tb_sink_flush(w->access_log);
    tb_log_flush();
    refresh_when_due(w);
    tb_timer_start(w->loop, timer, UPKEEP_MS);
}

/* ---- its life ---- */

static void go(void *owner)
{
    struct worker *w = owner;
    char mtls[TB_ADDRESS_ROOM];
    tb_parts_address(w->config, w->config->listen_mtls_port, mtls);
    for (size_t i = 0; i < w->process->listeners_n; i++) {
        const struct tb_listener *at = &w->process->listeners[i];
        bool asks = w->config->listen_mtls_port != 0 && strcmp(at->address, mtls) == 0;
        tb_server_listen(w->server, at->fd, asks ? TB_LISTENER_MTLS : TB_LISTENER_TLS);
    }
}

static void drained(void *owner)
{
    struct tb_gateway *gateway = owner;
    struct worker *w = tb_gateway_parts(gateway)->owner;
    tb_sink_flush(w->access_log);
    tb_process_drained(w->process);
}

static void drain(void *owner, int64_t grace_ms)
{
    struct worker *w = owner;
    tb_server_drain(w->server, grace_ms, drained);
}

int tb_worker_main(struct tb_process *process)
{
    static const struct tb_process_calls calls = {.go = go, .drain = drain};
    static struct worker w; /* one in a process; the signal handler may look at it */
    w.process = process;
    w.config = process->config;
    the_quarantine = process->quarantine;
    tb_crash_install(&process->slot->crash, describe);
    w.loop = tb_loop_new();
    tb_fiber_limit(w.loop, (size_t)w.config->limits_fibers);
    w.registry = tb_parts_registry(w.config, w.why, sizeof(w.why));
    if (w.registry == NULL || !make_limits(&w) || !make_keys(&w))
        return tb_process_refuse(process, "%s", w.why);
    w.store = tb_parts_store(w.loop, w.config, w.registry, "tongbao worker");
    open_oauth(&w);
    open_metrics(&w);
    if (!make_scripts(&w))
        return tb_process_refuse(process, "%s", w.why);
    make_gateway(&w);
    if (!make_server(&w))
        return tb_process_refuse(process, "%s", w.why);
    tb_err err;
    do /* a token that was revoked must not count with the first request */
        err = tb_run_to_end(w.loop, first_refresh, &w, FIRST_KEYS_MS + 2000);
    while (err == NULL && (w.revocations.behind || w.scripts_behind));
    if (tb_is(err, TB_E_CONFLICT))
        return tb_process_refuse(process, "%s", w.why);
    if (err != NULL)
        tb_log_with(TB_LOG_WARN, "starting_without_books", TB_F_CSTR("error", err->code));
    tb_process_attach(process, w.loop, &calls, &w);
    w.upkeep.fired = upkeep;
    tb_timer_start(w.loop, &w.upkeep, UPKEEP_MS);
    tb_process_ready(process);
    tb_loop_run(w.loop);
    tb_registry_stop(w.registry);
    return 0;
}
