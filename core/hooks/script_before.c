/* Stage "script:before": the partner's own rules about a request. It stands before the schema, so
 * that a script may give the body its shape, and what it makes is checked like any body. It can
 * only narrow: everything that scope, consent, entitlement, limits and books say still holds.
 *
 * A script never hides what was done: before it refuses a request whose Idempotency-Key was
 * answered, that answer is given. A partner without a script costs one look into a hash table. */
#include "base/json.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "hooks/scripts.h"
#include "limit/limit.h"
#include <stdio.h>

static bool is_scripted(const struct tb_exchange *x)
{
    return (x->match.flags & (TB_R_RAW | TB_R_OAUTH | TB_R_HTML | TB_R_UNSCRIPTED)) == 0;
}

static tb_err TB_SUSPENDS refuse_request(struct tb_exchange *x, tb_err err)
{
    err = tb_script_refuse(x, err);
    if (err == NULL)
        tb_script_trace(x, TB_HOOK_ON_REQUEST, "answered", NULL);
    else
        tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_SCRIPT_DENIED, 1);
    return err;
}

/* ---- the parts of a decision ---- */

static tb_err TB_SUSPENDS deny(struct tb_exchange *x, const json_t *denial)
{
    struct tb_str code = tb_json_str(denial, "code"), detail = tb_json_str(denial, "detail");
    struct tb_text extra;
    tb_text_init(&extra, x->run.arena);
    tb_text_add(&extra, TB_STR("{\"script\":{\"code\":"));
    tb_text_add_json(&extra, code);
    if (detail.at != NULL) {
        tb_text_add(&extra, TB_STR(",\"detail\":"));
        tb_text_add_json(&extra, detail);
    }
    tb_text_add(&extra, TB_STR("}}"));
    tb_script_trace(x, TB_HOOK_ON_REQUEST, "deny", NULL);
    x->run.problem.extra = tb_text_end(&extra);
    if (detail.at == NULL)
        detail = TB_STR("it gave no words, only a code");
    return refuse_request(x, tb_fail(&x->run.req, TB_E_SCRIPT_DENIED, "%.*s: %.*s", (int)code.n,
                                     code.at, (int)detail.n, detail.at));
}

/* Under a consent, that many users of the company have approved it. Nobody approves what a partner
 * does by its own access. */
static tb_err TB_SUSPENDS demand_approvals(struct tb_exchange *x, int64_t wanted)
{
    static const char sql[] = "select script.approvals($1, $2)";
    struct tb_rows *rows;
    int64_t approvals = 0;
    bool consented = x->grant->consent.at != NULL;
    if (consented) {
        TB_TRY(
            tb_query(&x->run.req, &rows, sql, TB_INT(x->grant->book), TB_TEXT(x->grant->consent)));
        approvals = tb_cell_int(rows, 0, 0);
    }
    if (approvals >= wanted)
        return NULL;
    tb_script_trace(x, TB_HOOK_ON_REQUEST, "approvals", NULL);
    if (!consented)
        return refuse_request(x,
                              tb_fail(&x->run.req, TB_E_APPROVALS,
                                      "%lld approvals are asked for, and there is no consent that "
                                      "anybody could have approved",
                                      (long long)wanted));
    return refuse_request(x,
                          tb_fail(&x->run.req, TB_E_APPROVALS,
                                  "the consent has %lld of the %lld approvals that are asked for",
                                  (long long)approvals, (long long)wanted));
}

/* A bucket beside those that were agreed. Its subject is no app's, so it can take nothing from
 * them.
 */
static tb_err TB_SUSPENDS take_limit(struct tb_exchange *x, const json_t *limit)
{
    struct tb_limit_set *set = tb_arena_alloc(x->run.arena, sizeof(*set));
    struct tb_str subject = tb_arena_format(x->run.arena, "script %.*s", (int)x->grant->app.n,
                                            x->grant->app.at);
    struct tb_limit_verdict verdict;
    char why[128];
    int64_t quota = 0, window_s = 0;
    if (set == NULL || subject.at == NULL)
        return TB_E_INTERNAL;
    (void)tb_json_int(limit, "quota", &quota);
    (void)tb_json_int(limit, "window_s", &window_s);
    const struct tb_limit_window window = {tb_json_str(limit, "name").at, quota, window_s * 1000,
                                           TB_LIMIT_APP, TB_LIMIT_ROLLING};
    if (!tb_limit_set_init(set, &window, 1, why, sizeof(why))) /* the schema knows the range */
        return tb_fail(&x->run.req, TB_E_INTERNAL, "%s", why);
    const struct tb_limit_subject who = {.app = subject};
    if (tb_limit_take(tb_gateway_parts(x->gateway)->limiter, set, &who, 1,
                      tb_loop_now_ms(x->run.loop) * 1000000, &verdict))
        return NULL;
    tb_script_trace(x, TB_HOOK_ON_REQUEST, "limit", NULL);
    return refuse_request(x, tb_exchange_limited(x, &verdict));
}

/* The body with the script's changes, beside what came: the fingerprint is of that. */
static tb_err change_body(struct tb_exchange *x, const json_t *patch, struct tb_str account)
{
    json_t *changed = json_deep_copy(x->json);
    if (!tb_json_defer(x->run.arena, changed))
        return TB_E_INTERNAL;
    if (patch != NULL && !tb_json_merge(changed, patch))
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the script's changes are nested too deep");
    if (account.at != NULL)
        (void)json_object_set_new(changed, "debtor_account", json_stringn(account.at, account.n));
    char *text = json_dumps(changed, JSON_COMPACT);
    if (text == NULL)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the changed body is not JSON");
    size_t n = strlen(text);
    char *kept = tb_arena_text(x->run.arena, text, n);
    free(text);
    if (kept == NULL)
        return TB_E_INTERNAL;
    x->sent_body = x->json;
    x->json = changed;
    x->body = (struct tb_str){kept, n};
    return NULL;
}

/* ---- the whole ---- */

static tb_err TB_SUSPENDS apply(struct tb_exchange *x, const json_t *decision)
{
    const json_t *denial = tb_json_object(decision, "deny"), *limit, *route, *set;
    int64_t approvals;
    struct tb_str note = tb_json_str(decision, "note");
    tb_script_trace(x, TB_HOOK_ON_REQUEST, "allow", note.at);
    if (denial != NULL)
        return deny(x, denial);
    if (tb_json_int(decision, "approvals", &approvals))
        TB_TRY(demand_approvals(x, approvals));
    if (!x->replays && (limit = tb_json_object(decision, "limit")) != NULL)
        TB_TRY(take_limit(x, limit));
    if (x->replays)
        return NULL;
    route = tb_json_object(decision, "route");
    set = tb_json_object(decision, "set");
    struct tb_str account = json_is_object(x->json) ? tb_json_str(route, "account") : TB_STR_NONE;
    x->routed = route;
    if (route != NULL || set != NULL) {
        tb_script_trace(x, TB_HOOK_ON_REQUEST, set != NULL ? "change" : "route", NULL);
        tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_SCRIPT_CHANGED, 1);
    }
    if (!json_is_object(x->json) || (set == NULL && account.at == NULL))
        return NULL;
    return change_body(x, set, account);
}

/* Each name is a bucket of the memory that all partners' limits share, so they are few: a script
 * that made one for each payee would leave no room to others. */
static bool limit_is_known(struct tb_script_row *row, struct tb_str name)
{
    uint32_t digest = (uint32_t)tb_script_seed(name);
    for (size_t i = 0; i < row->limits_n; i++)
        if (row->limits[i] == digest)
            return true;
    if (row->limits_n == TB_SCRIPT_LIMITS)
        return false;
    row->limits[row->limits_n++] = digest;
    return true;
}

static void judge_limit(struct tb_exchange *x, struct tb_script_result *result)
{
    const json_t *limit = tb_json_object(result->decision, "limit");
    if (result->end != TB_SCRIPT_DONE || limit == NULL ||
        limit_is_known(x->script, tb_json_str(limit, "name")))
        return;
    result->end = TB_SCRIPT_ANSWER;
    snprintf(result->why, sizeof(result->why),
             "its limits have more than %d names since it was activated", TB_SCRIPT_LIMITS);
}

/* What becomes of the request when the script did not decide. In a sandbox the answer says `why`;
 * the trace, which only the script's owner reads, says it everywhere. */
static tb_err TB_SUSPENDS failed(struct tb_exchange *x, const char *how, const char *why)
{
    bool told = why[0] != '\0' && tb_gateway_parts(x->gateway)->config->sandbox;
    if (x->script->failure[TB_HOOK_ON_REQUEST] == TB_FAILURE_OPEN)
        return NULL;
    /* a script may well trip over a body that nobody would take: that is what to mend first */
    TB_TRY(tb_stage_schema(x));
    if (x->replays)
        return NULL;
    return refuse_request(x, tb_fail(&x->run.req, TB_E_SCRIPT_FAILED,
                                     "on_request of version %d did not decide: %s%s%s",
                                     x->script_version, how, told ? ": " : "", told ? why : ""));
}

/* The books are away, and with them a text or an entry of a table: as if the script had failed, but
 * worth another try. */
static tb_err undecided(struct tb_exchange *x, tb_err err)
{
    bool open = x->script->failure[TB_HOOK_ON_REQUEST] == TB_FAILURE_OPEN;
    if (!open || !(tb_is(err, TB_E_STORE) || tb_is(err, TB_E_OVERLOAD)))
        return err;
    x->run.problem = (struct tb_problem){0};
    return NULL;
}

static tb_err TB_SUSPENDS consider(struct tb_exchange *x)
{
    struct tb_script_turn turn;
    tb_err err = tb_script_begin(x, TB_HOOK_ON_REQUEST, &turn);
    if (err == NULL && turn.script != NULL) {
        tb_script_trace(x, TB_HOOK_ON_REQUEST, "allow", NULL);
        err = tb_script_ask(x, &turn, NULL);
        judge_limit(x, &turn.result);
        tb_script_end(x, &turn);
    }
    if (err != NULL)
        return undecided(x, err);
    if (turn.off != NULL)
        return failed(x, turn.off, "");
    if (turn.result.end != TB_SCRIPT_DONE)
        return failed(x, tb_script_end_word(turn.result.end), turn.result.why);
    return turn.result.decision == NULL ? NULL : apply(x, turn.result.decision);
}

tb_err TB_SUSPENDS tb_stage_script_before(struct tb_exchange *x)
{
    struct tb_scripts *scripts = tb_gateway_parts(x->gateway)->scripts;
    if (x->grant == NULL || scripts == NULL)
        return NULL;
    struct tb_script_row *row = tb_scripts_find(scripts, x->grant->book, x->grant->partner);
    if (row == NULL || !is_scripted(x))
        return NULL;
    x->script = row;
    x->script_version = tb_script_pick(row,
                                       (struct tb_str){x->request_id, sizeof(x->request_id) - 1});
    return x->script_version == 0 ? NULL : consider(x);
}
