/* Each worker looks every second for notifications that are due, and takes what it has senders for:
 * a share for each client and each host (SQL oauth.take_notifications), so that a client's slow
 * server keeps nobody else waiting. What the answer means: any 2xx is done; 5xx, or no answer, is
 * tried again a few times; everything else is final, redirects and 401 among it. */
#include "oauth/request/ping.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "oauth/egress.h"
#include "oauth/request/backchannel.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include "store/query.h"
#include <tongbao/plugin.h>

enum {
    TURN_MS = 1000,
    ANSWER_MS = 5000, /* less than the 30 s for which a notification is taken */
    ANSWER_BYTES = 4096,
};

/* Before the second attempt, the third, … */
static const int64_t PAUSES_MS[] = {2000, 10000, 60000};

static const char SQL_TAKE[] = "select digest, notification, notified_n, endpoint "
                               "from oauth.take_notifications($1, interval '30 s', $2, $3, $4)";

static const char SQL_PUT[] = "select oauth.put_notification($1, $2)";

static struct tb_secret seal_key;
static struct tb_timer turn;
static int64_t senders; /* runs that send, each one notification */
static bool taking;     /* a run takes what is due */
static bool more;       /* and shall look again: something has come or ended meanwhile */

/** A notification that this worker has taken. */
struct notice {
    struct tb_str digest, sealed, endpoint; /**< in memory of its own */
    int64_t attempt;                        /**< 1 for the first */
};

/* ---- what is sealed ---- */

struct tb_str tb_ping_seal(struct tb_arena *arena, struct tb_str digest, struct tb_str auth_req_id,
                           struct tb_str token)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"auth_req_id\":"));
    tb_text_add_json(&text, auth_req_id);
    tb_text_add(&text, TB_STR(",\"token\":"));
    tb_text_add_json(&text, token);
    tb_text_add_char(&text, '}');
    struct tb_str plain = tb_text_end(&text);
    return plain.at == NULL ? TB_STR_NONE : tb_seal(&seal_key, digest, plain, arena);
}

static bool unseal(struct tb_arena *arena, const struct notice *notice, struct tb_str *out_id,
                   struct tb_str *out_token)
{
    static const struct tb_json_limits sealed = {.bytes = 8192, .depth = 1, .members = 2};
    struct tb_secret plain = {0};
    json_t *json;
    if (!tb_unseal(&seal_key, notice->digest, notice->sealed, &plain))
        return false;
    tb_err err = tb_json_parse(arena, TB_BYTES(plain.at, plain.n), &sealed, &json, NULL);
    tb_secret_wipe(&plain);
    if (err != NULL)
        return false;
    *out_id = tb_json_str(json, "auth_req_id");
    *out_token = tb_json_str(json, "token");
    return out_id->at != NULL && out_token->at != NULL;
}

/* ---- sending one ---- */

/* Whether it should be tried again. */
static bool TB_SUSPENDS deliver(struct tb_req *req, const struct notice *notice)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str id, token;
    struct tb_reply reply;
    uint16_t ports[TB_EGRESS_PORTS];
    if (notice->endpoint.at == NULL || !unseal(arena, notice, &id, &token)) {
        tb_log(req, TB_LOG_WARN, "a notification has no endpoint, or does not open: dropped");
        return false;
    }
    const struct tb_header headers[] = {
        {TB_STR("content-type"), TB_STR("application/json")},
        {TB_STR("authorization"), tb_arena_format(arena, "Bearer %.*s", (int)token.n, token.at)},
    };
    const char *url = tb_arena_text(arena, notice->endpoint.at, notice->endpoint.n);
    const char *ca = tb_oauth()->config->oauth_ca;
    if (url == NULL)
        return true;
    struct tb_outgoing out = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .headers_n = TB_COUNT(headers),
        .body = tb_arena_format(arena, "{\"auth_req_id\":\"%.*s\"}", (int)id.n, id.at),
        .timeout_ms = ANSWER_MS,
        .answer_bytes = ANSWER_BYTES,
        .reach = tb_oauth_reach(url, ports),
        .ca = ca[0] == '\0' ? NULL : ca,
    };
    if (out.body.at == NULL || headers[1].value.at == NULL)
        return true;
    if (tb_http_client_call(req, tb_oauth()->outbound, &out, &reply) != NULL) {
        struct tb_str why = tb_run_of(req)->problem.detail;
        tb_log(req, TB_LOG_WARN, "a notification did not reach %s: %.*s", url, (int)why.n, why.at);
        tb_run_of(req)->problem = (struct tb_problem){0};
        return true;
    }
    if (reply.status < 200 || reply.status > 299)
        tb_log(req, TB_LOG_WARN, "%s answered a notification with %d", url, reply.status);
    return reply.status >= 500;
}

static struct tb_str copy_text(struct tb_str text)
{
    return text.at == NULL ? text : (struct tb_str){tb_mem_text(text.at, text.n), text.n};
}

static void forget(struct notice *notice)
{
    tb_mem_free((char *)(uintptr_t)notice->digest.at);
    tb_mem_free((char *)(uintptr_t)notice->sealed.at);
    tb_mem_free((char *)(uintptr_t)notice->endpoint.at);
    tb_mem_free(notice);
}

static tb_err TB_SUSPENDS send_one(struct tb_req *req, void *arg)
{
    struct notice *notice = arg;
    struct tb_loop *loop = tb_run_of(req)->loop;
    struct tb_rows *rows;
    bool again = deliver(req, notice) && notice->attempt <= (int64_t)TB_COUNT(PAUSES_MS);
    int64_t pause_ms = again ? PAUSES_MS[notice->attempt - 1] : 0;
    const struct tb_param params[] = {TB_TEXT(notice->digest),
                                      again ? TB_TIME(tb_loop_wall_ms(loop) + pause_ms) : TB_NULL};
    tb_err err = tb_store_query(req, tb_oauth()->store, &rows, SQL_PUT, params, TB_COUNT(params));
    forget(notice);
    senders--;
    tb_ping_soon(); /* its client's next has waited for it */
    return err;
}

/* One that cannot be started is due again when its lease is over. */
static void start(const struct tb_rows *rows, size_t row)
{
    struct notice *notice = tb_mem(sizeof(*notice));
    *notice = (struct notice){.digest = copy_text(tb_cell(rows, row, 0)),
                              .sealed = copy_text(tb_cell(rows, row, 1)),
                              .attempt = tb_cell_int(rows, row, 2),
                              .endpoint = copy_text(tb_cell(rows, row, 3))};
    senders++;
    if (tb_run_detached(tb_oauth()->loop, "notify", send_one, notice, 0) == NULL)
        return;
    senders--;
    forget(notice);
}

/* ---- when ---- */

static tb_err TB_SUSPENDS take_notification(struct tb_req *req, void *arg)
{
    const struct tb_config *config = tb_oauth()->config;
    struct tb_rows *rows;
    tb_err err = NULL;
    (void)arg;
    for (more = true; more && err == NULL && senders < config->limits_notifications;) {
        const struct tb_param params[] = {TB_TIME(tb_loop_wall_ms(tb_run_of(req)->loop)),
                                          TB_INT(config->limits_notifications - senders),
                                          TB_INT(config->limits_outbound_client),
                                          TB_INT(config->limits_outbound_host)};
        more = false;
        err = tb_store_query(req, tb_oauth()->store, &rows, SQL_TAKE, params, TB_COUNT(params));
        for (size_t i = 0; err == NULL && i < rows->n; i++)
            start(rows, i);
    }
    taking = false;
    return err;
}

void tb_ping_soon(void)
{
    more = true;
    if (taking || !tb_store_ready(tb_oauth()->store))
        return;
    taking = true;
    if (tb_run_detached(tb_oauth()->loop, "notifications", take_notification, NULL, 0) != NULL)
        taking = false; /* no fiber is free: at the next turn */
}

static void on_turn(struct tb_timer *timer)
{
    tb_ping_soon();
    tb_timer_start(tb_oauth()->loop, timer, TURN_MS);
}

void tb_ping_open(void)
{
    tb_secret_derive(&seal_key, &tb_oauth()->master, "tongbao notifications 1");
    turn.fired = on_turn;
    tb_timer_start(tb_oauth()->loop, &turn, TURN_MS);
}
