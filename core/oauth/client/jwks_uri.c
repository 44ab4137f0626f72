/* The documents behind jwks_uri. The database keeps what was fetched, so that one worker's fetch
 * serves all, and says whose turn it is, so that however many requests name a key nobody has, the
 * client's server is asked every 30 s at most. Within a worker all who need a document share one
 * flight, a run of its own that fetches it or looks whether another worker has: a request that
 * waits costs no query. Flights and waiters are bounded, in all and for each host, so that servers
 * that never answer hold up nobody but those who registered them. */
#include "base/json.h"
#include "base/mem.h"
#include "oauth/client/jwks.h"
#include "oauth/egress.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include "store/query.h"
#include <tongbao/plugin.h>

enum {
    FRESH_S = 300,  /* a document is not asked for again before */
    STALE_S = 3600, /* one that cannot be renewed counts so long */
    FETCH_MS = 5000,
    LOOK_MS = 200, /* how often to look whether another worker's fetch has ended */
    LOOKS = 28,
    FLIGHT_MS = 15000,
    RETRY_S = 5, /* what a request is told that may not wait */
};

/* What the database has of a uri. */
struct document {
    struct tb_str body; /* absent: nothing yet */
    int64_t fetched_s;
    bool busy;
};

/* A request that waits for a flight; on its fiber's stack. */
struct waiter {
    struct waiter *next;
    struct tb_wake wake;
    struct tb_client_keys *keys; /* counted for it; NULL: there are none to be had */
    bool landed;                 /* no flight has it any more */
    bool refused;                /* the flight did not start */
};

/* A document on its way to this worker. */
struct flight {
    struct flight *next;
    struct tb_str uri, host; /* in `text` */
    char *text;
    struct waiter *waiters;
    size_t waiters_n;
};

static struct flight *flights;

static const char SQL_BEGIN[] = "select oauth.begin_jwks($1, $2, interval '30 s')";
static const char SQL_LOOK[] = "select body, extract(epoch from fetched_at)::bigint, busy "
                               "from oauth.jwks where uri = $1";
static const char SQL_KEEP[] =
    "update oauth.jwks set body = $2, fetched_at = $3, busy = false where uri = $1";
static const char SQL_GIVE_UP[] = "update oauth.jwks set busy = false where uri = $1";

/* ---- asking the client's server ---- */

/* The document, or absent when the server has none to give. Why, goes to the log: the client's own
 * people learn it from the bank, a stranger from nobody. */
static struct tb_str TB_SUSPENDS fetch_jwks(struct tb_req *req, const char *url)
{
    static const struct tb_header headers[] = {
        {{"accept", 6}, {"application/jwk-set+json, application/json", 42}}};
    struct tb_run *run = tb_run_of(req);
    struct tb_reply reply;
    uint16_t ports[TB_EGRESS_PORTS];
    const char *ca = tb_oauth()->config->oauth_ca;
    struct tb_outgoing out = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .headers_n = 1,
        .timeout_ms = FETCH_MS,
        .answer_bytes = TB_JWKS_BYTES_MAX,
        .reach = tb_oauth_reach(url, ports),
        .ca = ca[0] == '\0' ? NULL : ca,
    };
    tb_err err = tb_http_client_call(req, tb_oauth()->outbound, &out, &reply);
    if (err == NULL && reply.status == 200 && tb_jwks_formed(reply.body))
        return reply.body;
    tb_log(req, TB_LOG_WARN, "no keys from %s: %s", url,
           err != NULL ? (run->problem.detail.at != NULL ? run->problem.detail.at : err->code)
                       : "the answer is not a JWK Set");
    return TB_STR_NONE;
}

static tb_err TB_SUSPENDS query(struct tb_req *req, struct tb_rows **rows, const char *sql,
                                const struct tb_param *params, size_t n)
{
    return tb_store_query(req, tb_oauth()->store, rows, sql, params, n);
}

static tb_err TB_SUSPENDS fetch(struct tb_req *req, const struct flight *flight,
                                struct document *document)
{
    struct tb_rows *rows;
    struct tb_str body = fetch_jwks(req, flight->uri.at);
    if (body.at == NULL)
        return query(req, &rows, SQL_GIVE_UP, &TB_TEXT(flight->uri), 1);
    document->body = body;
    document->fetched_s = tb_oauth_now_s(req);
    const struct tb_param params[] = {TB_TEXT(flight->uri), TB_TEXT(body),
                                      TB_TIME(document->fetched_s * 1000)};
    return query(req, &rows, SQL_KEEP, params, TB_COUNT(params));
}

/* ---- or waiting for another worker's fetch ---- */

static tb_err TB_SUSPENDS look(struct tb_req *req, const struct flight *flight,
                               struct document *document)
{
    struct tb_rows *rows;
    TB_TRY(query(req, &rows, SQL_LOOK, &TB_TEXT(flight->uri), 1));
    if (rows->n == 0)
        return NULL;
    document->body = tb_cell(rows, 0, 0);
    document->fetched_s = tb_cell_int(rows, 0, 1);
    document->busy = tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t"));
    return NULL;
}

static tb_err TB_SUSPENDS await(struct tb_req *req, const struct flight *flight,
                                struct document *document)
{
    TB_TRY(look(req, flight, document));
    for (int i = 0; i < LOOKS && document->busy; i++) {
        TB_TRY(tb_sleep(req, LOOK_MS));
        TB_TRY(look(req, flight, document));
    }
    return NULL;
}

/* ---- flights ---- */

static void land(struct flight *flight, struct tb_client_keys *keys, bool refused)
{
    struct flight **at = &flights;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    for (struct waiter *w = flight->waiters, *next; w != NULL; w = next) {
        next = w->next;
        w->keys = tb_client_keys_hold(keys);
        w->landed = true;
        w->refused = refused;
        tb_fiber_wake(w->wake);
    }
    tb_client_keys_drop(keys);
    tb_mem_free(flight->text);
    tb_mem_free(flight);
}

static tb_err TB_SUSPENDS bring(struct tb_req *req, const struct flight *flight,
                                struct document *document)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_TEXT(flight->uri), TB_TIME(tb_oauth_now_s(req) * 1000)};
    TB_TRY(query(req, &rows, SQL_BEGIN, params, TB_COUNT(params)));
    if (tb_str_eq(tb_cell(rows, 0, 0), TB_STR("mine")))
        return fetch(req, flight, document);
    return await(req, flight, document);
}

static tb_err TB_SUSPENDS fly(struct tb_req *req, void *arg)
{
    struct flight *flight = arg;
    struct document document = {.body = TB_STR_NONE};
    tb_err err = bring(req, flight, &document);
    bool usable = err == NULL && document.body.at != NULL &&
                  tb_oauth_now_s(req) - document.fetched_s < STALE_S;
    land(flight, usable ? tb_client_keys_read(document.body) : NULL, false);
    return err;
}

static struct tb_str host_of(struct tb_str uri)
{
    const char *from = memmem(uri.at, uri.n, "://", 3);
    if (from == NULL)
        return uri;
    from += 3;
    size_t left = (size_t)(uri.at + uri.n - from), n = 0;
    while (n < left && strchr("/?#", from[n]) == NULL)
        n++;
    return (struct tb_str){from, n};
}

/* What is in the air, in all and for one host. */
struct load {
    size_t flights_n, waiters_n, host_flights_n, host_waiters_n;
};

static struct load load_of(struct tb_str host)
{
    struct load load = {0};
    for (const struct flight *at = flights; at != NULL; at = at->next) {
        bool same = tb_str_eq(at->host, host);
        load.flights_n++;
        load.waiters_n += at->waiters_n;
        load.host_flights_n += same;
        load.host_waiters_n += same ? at->waiters_n : 0;
    }
    return load;
}

static struct flight *flight_of(struct tb_str uri)
{
    struct flight *at = flights;
    while (at != NULL && !tb_str_eq(at->uri, uri))
        at = at->next;
    return at;
}

static struct flight *flight_new(struct tb_str uri)
{
    struct flight *flight = tb_mem(sizeof(*flight));
    flight->text = tb_mem_text(uri.at, uri.n);
    flight->uri = (struct tb_str){flight->text, uri.n};
    flight->host = host_of(flight->uri);
    flight->next = flights;
    flights = flight;
    return flight;
}

static void join(struct flight *flight, struct waiter *waiter)
{
    struct waiter **at = &flight->waiters;
    while (*at != NULL)
        at = &(*at)->next;
    *at = waiter;
    flight->waiters_n++;
}

static void leave(struct flight *flight, struct waiter *waiter)
{
    struct waiter **at = &flight->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    flight->waiters_n--;
}

static tb_err refuse_overload(struct tb_req *req)
{
    tb_run_of(req)->problem.retry_after_s = RETRY_S;
    return tb_fail(req, TB_E_OVERLOAD, "too many wait for keys behind a jwks_uri");
}

static void drop_keys(void *keys)
{
    tb_client_keys_drop(keys);
}

static bool has_room(struct tb_str uri, bool wait, const struct flight *flight)
{
    const struct tb_config *config = tb_oauth()->config;
    const struct load load = load_of(host_of(uri));
    if (wait && (load.waiters_n >= (size_t)config->limits_jwks_waiters ||
                 load.host_waiters_n >= (size_t)config->limits_jwks_waiters_host))
        return false;
    return flight != NULL || (load.flights_n < (size_t)config->limits_jwks_fetches &&
                              load.host_flights_n < (size_t)config->limits_outbound_host);
}

/* Bring the document up to date, and wait for it or not; *out: what it has, for the arena. */
static tb_err TB_SUSPENDS renew(struct tb_req *req, struct tb_str uri, bool wait,
                                struct tb_client_keys **out)
{
    struct waiter waiter = {.keys = NULL};
    struct flight *flight = flight_of(uri);
    bool first = flight == NULL;
    if (!has_room(uri, wait, flight))
        return wait ? refuse_overload(req) : NULL;
    if (first)
        flight = flight_new(uri);
    if (wait) {
        waiter.wake = tb_fiber_token();
        join(flight, &waiter);
    }
    /* It begins at once, and may have landed when this returns. */
    if (first && tb_run_detached(tb_oauth()->loop, "jwks", fly, flight, FLIGHT_MS) != NULL)
        land(flight, NULL, true);
    if (!wait)
        return NULL;
    tb_err err = tb_wait(req);
    if (err != NULL && !waiter.landed)
        leave(flight, &waiter);
    if (err != NULL || waiter.refused) {
        tb_client_keys_drop(waiter.keys);
        return err != NULL ? err : refuse_overload(req);
    }
    if (waiter.keys == NULL)
        return NULL;
    *out = waiter.keys;
    return tb_arena_defer(tb_run_of(req)->arena, drop_keys, waiter.keys)
               ? NULL
               : tb_fail(req, TB_E_INTERNAL, "no memory left for the client's keys");
}

/* ---- the keys ---- */

static tb_err lend(struct tb_req *req, struct tb_str text, struct tb_client_keys **out)
{
    *out = tb_client_keys_read(text);
    if (!tb_arena_defer(tb_run_of(req)->arena, drop_keys, *out))
        return tb_fail(req, TB_E_INTERNAL, "no memory left for the client's keys");
    return NULL;
}

static bool lacks(const struct tb_client_keys *keys, struct tb_str kid)
{
    return kid.at != NULL && !tb_client_keys_names(keys, kid);
}

tb_err TB_SUSPENDS tb_oauth_client_keys(struct tb_req *req, const struct tb_oauth_client *client,
                                        struct tb_str token, struct tb_client_keys **out)
{
    if (client->jwks.at != NULL || client->jwks_uri.at == NULL)
        return lend(req, client->jwks, out);
    int64_t age_s = tb_oauth_now_s(req) - client->fetched_s;
    bool usable = client->fetched.at != NULL && age_s < STALE_S;
    struct tb_str kid = tb_json_str(tb_jws_peek(tb_run_of(req)->arena, token, 0), "kid");
    TB_TRY(lend(req, usable ? client->fetched : TB_STR_NONE, out));
    bool missing = !usable || lacks(*out, kid);
    if (!missing && age_s < FRESH_S)
        return NULL;
    return renew(req, client->jwks_uri, missing, out);
}
