/* The documents behind jwks_uri. The database keeps what was fetched, so that one worker's fetch
 * serves all, and says whose turn it is, so that however many requests name a key nobody has, the
 * client's server is asked every 30 s at most. */
#include "base/json.h"
#include "oauth/jwks.h"
#include "oauth/reach.h"
#include "oauth/server.h"
#include "runtime/run.h"

enum {
    FRESH_S = 300,  /* a document is not asked for again before */
    STALE_S = 3600, /* one that cannot be renewed counts so long */
    FETCH_MS = 5000,
    LOOK_MS = 50, /* how often to look whether another's fetch has ended */
    LOOKS = 110,
};

/* What the database has of a uri. */
struct document {
    struct tb_str body; /* absent: nothing yet */
    int64_t fetched_s;
    bool busy;
};

static const char SQL_BEGIN[] = "select oauth.begin_jwks($1, $2, interval '30 s')";
static const char SQL_LOOK[] = "select body, extract(epoch from fetched_at)::bigint, busy "
                               "from oauth.jwks where uri = $1";
static const char SQL_KEEP[] =
    "update oauth.jwks set body = $2, fetched_at = $3, busy = false where uri = $1";
static const char SQL_GIVE_UP[] = "update oauth.jwks set busy = false where uri = $1";

/* ---- asking the client's server ---- */

/* The document, or absent when the server has none to give. Why, goes to the log: the client's own
 * people learn it from the bank, a stranger from nobody. */
static struct tb_str TB_SUSPENDS ask(struct tb_req *req, struct tb_str uri)
{
    static const struct tb_header headers[] = {
        {{"accept", 6}, {"application/jwk-set+json, application/json", 42}}};
    struct tb_run *run = tb_run_of(req);
    struct tb_reply reply;
    char *url = tb_arena_text(run->arena, uri.at, uri.n);
    if (url == NULL)
        return TB_STR_NONE;
    uint16_t ports[TB_REACH_PORTS];
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
    tb_err err = tb_client_call(req, tb_oauth()->outbound, &out, &reply);
    if (err == NULL && reply.status == 200 && tb_jwks_formed(reply.body))
        return reply.body;
    tb_log(req, TB_LOG_WARN, "no keys from %s: %s", url,
           err != NULL ? (run->problem.detail.at != NULL ? run->problem.detail.at : err->code)
                       : "the answer is not a JWK Set");
    run->problem = (struct tb_problem){0}; /* the request itself has not failed by that */
    return TB_STR_NONE;
}

static tb_err TB_SUSPENDS fetch(struct tb_req *req, struct tb_str uri, struct document *document)
{
    struct tb_rows *rows;
    struct tb_str body = ask(req, uri);
    if (body.at == NULL)
        return tb_query(req, &rows, SQL_GIVE_UP, TB_TEXT(uri));
    document->body = body;
    document->fetched_s = tb_oauth_now_s(req);
    return tb_query(req, &rows, SQL_KEEP, TB_TEXT(uri), TB_TEXT(body),
                    TB_TIME(document->fetched_s * 1000));
}

/* ---- or waiting for another's fetch ---- */

static tb_err TB_SUSPENDS look(struct tb_req *req, struct tb_str uri, struct document *document)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_LOOK, TB_TEXT(uri)));
    if (rows->n == 0)
        return NULL;
    document->body = tb_cell(rows, 0, 0);
    document->fetched_s = tb_cell_int(rows, 0, 1);
    document->busy = tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t"));
    return NULL;
}

static tb_err TB_SUSPENDS await(struct tb_req *req, struct tb_str uri, struct document *document)
{
    TB_TRY(look(req, uri, document));
    for (int i = 0; i < LOOKS && document->busy; i++) {
        TB_TRY(tb_sleep(req, LOOK_MS));
        TB_TRY(look(req, uri, document));
    }
    return NULL;
}

/* Bring the document up to date, if it is this request's turn to. */
static tb_err TB_SUSPENDS renew(struct tb_req *req, struct tb_str uri, bool wait,
                                struct document *document)
{
    struct tb_rows *rows;
    int64_t now_ms = tb_oauth_now_s(req) * 1000;
    TB_TRY(tb_query(req, &rows, SQL_BEGIN, TB_TEXT(uri), TB_TIME(now_ms)));
    if (tb_str_eq(tb_cell(rows, 0, 0), TB_STR("mine")))
        return fetch(req, uri, document);
    return wait ? await(req, uri, document) : NULL;
}

/* ---- the keys ---- */

static void drop(void *keys)
{
    tb_client_keys_drop(keys);
}

static tb_err lend(struct tb_req *req, struct tb_str text, struct tb_client_keys **out)
{
    *out = tb_client_keys_read(text);
    if (!tb_arena_defer(tb_run_of(req)->arena, drop, *out))
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
    struct document document = {client->fetched, client->fetched_s, false};
    int64_t age_s = tb_oauth_now_s(req) - document.fetched_s;
    bool usable = document.body.at != NULL && age_s < STALE_S;
    struct tb_str kid = tb_json_str(tb_jws_peek(tb_run_of(req)->arena, token, 0), "kid");
    TB_TRY(lend(req, usable ? document.body : TB_STR_NONE, out));
    bool missing = !usable || lacks(*out, kid);
    if (!missing && age_s < FRESH_S)
        return NULL;
    TB_TRY(renew(req, client->jwks_uri, missing, &document));
    if (document.body.at == NULL || tb_oauth_now_s(req) - document.fetched_s >= STALE_S)
        return NULL;
    return lend(req, document.body, out);
}
