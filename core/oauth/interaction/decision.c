/* Rows are locked in the order request, consent, grant, which is that of everything else that ends
 * or uses them. */
#include "oauth/interaction/decision.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include "oauth/errors.h"
#include "oauth/request/backchannel.h"
#include "oauth/server.h"
#include "runtime/run.h"

static const char SQL_USE[] =
    "update oauth.pushed_request set used_at = $2 where digest = $1 and used_at is null "
    "and expires_at > $2 returning digest";

static const char SQL_BACKCHANNEL[] = "select oauth.backchannel_decide($1, $2, $3, $4, $5)";

static const char SQL_OPEN_CONSENT[] =
    "select consent.open($1, $2, $3, $4, $5, $6, $7::jsonb, $8, null, $9)";

static const char SQL_DECIDE_CONSENT[] =
    "select d.status, d.refusal, nullif(d.details, '[]')::text "
    "from consent.decide($1, $2, $3, $4, $5::text[], $6) d";

static const char SQL_OPEN_GRANT[] =
    "select oauth.open_grant($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9::jsonb, $10, $11, $12, $13)";

static const char SQL_PUT_CODE[] = "select oauth.put_code($1, $2, $3, $4, $5, $6, $7)";

/* What one run of the transaction works with: made anew when it runs again. */
struct work {
    struct tb_decision *decision;
    char consent[TB_ID_ROOM], grant[TB_ID_ROOM];
    struct tb_str details; /* as granted, JSON text or absent */
    struct tb_str claims;  /* of the request, JSON text or absent */
    struct tb_str asked;   /* details as asked for, JSON text or absent */
    int64_t now_ms;
};

/* A value's text in the arena; absent for none. */
static struct tb_str text_of(struct tb_req *req, const json_t *json)
{
    struct tb_text text;
    if (json == NULL)
        return TB_STR_NONE;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_json_canonical(&text, json);
    return tb_text_end(&text);
}

/* ---- the steps ---- */

static tb_err TB_SUSPENDS use_up(struct tb_req *req, struct tb_tx *tx, const struct work *work)
{
    const struct tb_decision *decision = work->decision;
    const struct tb_authz_request *asked = decision->asked;
    struct tb_rows *rows;
    bool done;
    if (asked->request_uri.at != NULL) {
        const struct tb_param params[] = {TB_TEXT(asked->digest), TB_TIME(work->now_ms)};
        TB_TRY(tb_tx_query(tx, &rows, SQL_USE, params, TB_COUNT(params)));
        done = rows->n > 0;
    } else {
        const struct tb_param params[] = {
            TB_TEXT(asked->digest), TB_TEXT(decision->session->user->id),
            TB_BOOL(decision->approve), decision->approve ? TB_TEXT(tb_str(work->grant)) : TB_NULL,
            TB_TIME(work->now_ms)};
        TB_TRY(tb_tx_query(tx, &rows, SQL_BACKCHANNEL, params, TB_COUNT(params)));
        done = tb_str_eq(tb_cell(rows, 0, 0), TB_STR("ok"));
    }
    return done ? NULL : tb_fail(req, TB_E_INVALID_REQUEST_URI, "somebody has decided already");
}

static tb_err TB_SUSPENDS decide_consent(struct tb_req *req, struct tb_tx *tx, struct work *work)
{
    struct tb_decision *decision = work->decision;
    const struct tb_authz_request *asked = decision->asked;
    const struct tb_user *user = decision->session->user;
    const struct tb_param opening[] = {
        TB_INT(user->book),         TB_TEXT(tb_str(work->consent)), TB_TEXT(asked->client->partner),
        TB_TEXT(asked->client->id), TB_TEXT(user->company),         TB_TEXT(user->id),
        TB_TEXT(work->asked),       TB_TEXT(asked->scope),          TB_TIME(work->now_ms)};
    const struct tb_param deciding[] = {TB_INT(user->book),          TB_TEXT(tb_str(work->consent)),
                                        TB_TEXT(user->id),           TB_BOOL(decision->approve),
                                        TB_TEXT(decision->accounts), TB_TIME(work->now_ms)};
    struct tb_rows *rows;
    TB_TRY(tb_tx_query(tx, &rows, SQL_OPEN_CONSENT, opening, TB_COUNT(opening)));
    TB_TRY(tb_tx_query(tx, &rows, SQL_DECIDE_CONSENT, deciding, TB_COUNT(deciding)));
    decision->status = tb_cell(rows, 0, 0);
    decision->refusal = tb_cell(rows, 0, 1);
    work->details = tb_cell(rows, 0, 2);
    if (decision->refusal.at != NULL)
        return tb_fail(req, TB_E_CONFLICT, "the consent cannot be given so"); /* undoes it all */
    return NULL;
}

static tb_err TB_SUSPENDS open_grant(struct tb_tx *tx, const struct work *work)
{
    const struct tb_session *session = work->decision->session;
    const struct tb_authz_request *asked = work->decision->asked;
    const struct tb_param params[] = {
        TB_TEXT(tb_str(work->grant)), TB_INT(session->user->book),
        TB_TEXT(asked->client->id),   TB_TEXT(asked->client->partner),
        TB_TEXT(session->user->id),   TB_TEXT(asked->scope),
        TB_TEXT(work->details),       TB_TEXT(tb_str(work->consent)),
        TB_TEXT(work->claims),        TB_TEXT(tb_json_str(asked->params, "nonce")),
        TB_TEXT(session->acr),        TB_TIME(session->auth_time_s * 1000),
        TB_TIME(work->now_ms)};
    struct tb_rows *rows;
    return tb_tx_query(tx, &rows, SQL_OPEN_GRANT, params, TB_COUNT(params));
}

static tb_err TB_SUSPENDS put_code(struct tb_tx *tx, const struct work *work)
{
    const struct tb_authz_request *asked = work->decision->asked;
    const struct tb_param params[] = {TB_TEXT(work->decision->code.digest),
                                      TB_TEXT(tb_str(work->grant)),
                                      TB_TEXT(asked->client->id),
                                      TB_TEXT(asked->redirect_uri),
                                      TB_TEXT(tb_json_str(asked->params, "code_challenge")),
                                      TB_TEXT(tb_json_str(asked->params, "dpop_jkt")),
                                      TB_TIME(work->now_ms)};
    struct tb_rows *rows;
    return tb_tx_query(tx, &rows, SQL_PUT_CODE, params, TB_COUNT(params));
}

/* ---- together ---- */

static tb_err TB_SUSPENDS write_decision(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct work *work = arg;
    const struct tb_decision *decision = work->decision;
    int32_t book = decision->session == NULL ? 0 : decision->session->user->book;
    if (book > 0) {
        tb_id_make(work->consent, "cns", book, tb_wall_ms());
        tb_id_make(work->grant, "grn", book, tb_wall_ms());
    }
    TB_TRY(use_up(req, tx, work));
    if (decision->session != NULL)
        TB_TRY(decide_consent(req, tx, work));
    if (!decision->approve)
        return NULL;
    TB_TRY(open_grant(tx, work));
    return decision->asked->request_uri.at == NULL ? NULL : put_code(tx, work);
}

tb_err TB_SUSPENDS tb_decide(struct tb_req *req, struct tb_decision *decision)
{
    struct work work = {
        .decision = decision,
        .asked = text_of(req, decision->asked->details),
        .claims = text_of(req, tb_json_object(decision->asked->params, "claims")),
        .now_ms = tb_oauth_now_s(req) * 1000,
    };
    if (!tb_handle_make(tb_run_of(req)->arena, &decision->code))
        return TB_E_INTERNAL;
    tb_err err = tb_tx_run(req, tb_oauth()->store, write_decision, &work);
    if (err != NULL && decision->refusal.at != NULL && tb_is(err, TB_E_CONFLICT))
        return NULL;
    if (err == NULL && decision->asked->request_uri.at == NULL)
        tb_ping_soon();
    return err;
}

enum tb_msg tb_refusal_word(struct tb_str refusal)
{
    static const struct {
        const char *refusal;
        enum tb_msg word;
    } known[] = {
        {"account_required", TB_MSG_CHOOSE_ONE_ERROR},
        {"not_pending", TB_MSG_TOO_LATE},
        {"expired", TB_MSG_TOO_LATE},
        {"unknown_consent", TB_MSG_TOO_LATE},
        {"same_account", TB_MSG_SAME_ACCOUNT},
        {"over_limit", TB_MSG_OVER_LIMIT},
        {"already_approved", TB_MSG_ALREADY_APPROVED},
    };
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (tb_str_eq(refusal, tb_str(known[i].refusal)))
            return known[i].word;
    return TB_MSG_WRONG_ACCOUNT; /* of another company, closed, of another currency */
}
