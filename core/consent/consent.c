/* The stage that holds a customer's token against its consent, and the end of a consent. Both are
 * one statement: what may be done, and that it was done, are decided and written in one place. */
#include "consent/consent.h"
#include "oauth/token/revoke.h"
#include "runtime/loop.h"
#include "runtime/run.h"

static const char SQL_USE[] = "select consent.use($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
static const char SQL_STANDS[] =
    "select consent.standing(consent.narrow(c, $4), $5) from consent.consent c "
    "where c.book = $1 and c.id = $2 and c.app = $3";
static const char SQL_KNOWN[] = "select from consent.known($1, $2, $3, $4) k where k";
static const char SQL_REVOKE[] = "select consent.revoke($1, $2, $3, $4, $5)";

static tb_err refused(struct tb_req *req, struct tb_str code)
{
    static const struct {
        tb_err err;
        const char *detail;
    } refusals[] = {
        {TB_E_CONSENT_REVOKED, "the consent is not given any more"},
        {TB_E_CONSENT_EXPIRED, "the consent has run out"},
        {TB_E_CONSENT_PENDING, "the consent is not in force yet"},
        {TB_E_CONSENT_MISMATCH, "the consent is of a type that does not open this operation"},
        {TB_E_CONSENT_LIMIT, "the uses of this day are used up"},
        {TB_E_NOT_FOUND, "the consent does not open such an account"},
    };
    for (size_t i = 0; i < TB_COUNT(refusals); i++)
        if (tb_str_eq(code, tb_str(refusals[i].err->code)))
            return tb_fail(req, refusals[i].err, "%s", refusals[i].detail);
    return tb_fail(req, TB_E_INTERNAL, "the use of a consent was refused for no known reason");
}

/* Who the customer is may be known under any consent that has not ended, also one that waits for
 * others or is used up. A grant without a consent ends by itself. */
static tb_err TB_SUSPENDS judge_asking_who(struct tb_req *req, const struct tb_grant *grant)
{
    struct tb_rows *rows;
    if (grant->consent.at == NULL)
        return NULL;
    TB_TRY(tb_query(req, &rows, SQL_STANDS, TB_INT(grant->book), TB_TEXT(grant->consent),
                    TB_TEXT(grant->app), TB_TEXT(grant->details), TB_TIME(tb_now(req))));
    struct tb_str code = rows->n == 0 ? tb_str(TB_E_CONSENT_REVOKED->code) : tb_cell(rows, 0, 0);
    bool over = tb_str_eq(code, tb_str(TB_E_CONSENT_REVOKED->code)) ||
                tb_str_eq(code, tb_str(TB_E_CONSENT_EXPIRED->code));
    return over ? refused(req, code) : NULL;
}

tb_err TB_SUSPENDS tb_consent_stage(struct tb_req *req, const struct tb_grant *grant,
                                    const struct tb_consent_use *use)
{
    struct tb_rows *rows;
    if (grant->family.at == NULL && grant->consent.at == NULL)
        return NULL;
    if (use->any)
        return judge_asking_who(req, grant);
    if (grant->consent.at == NULL || use->types == NULL)
        return tb_fail(req, TB_E_CONSENT_MISMATCH,
                       "no consent of a customer opens this operation; use a token of your own");
    if (use->writes)
        return NULL;
    TB_TRY(tb_query(req, &rows, SQL_USE, TB_INT(grant->book), TB_TEXT(grant->consent),
                    TB_TEXT(grant->details), TB_TEXT(grant->app), TB_TEXT(tb_id(req, "rct")),
                    TB_TEXT(use->operation), TB_TEXT(tb_str(use->types)), TB_TEXT(use->account),
                    TB_TEXT(use->request), TB_TIME(tb_now(req))));
    struct tb_str code = tb_cell(rows, 0, 0);
    return code.at == NULL ? NULL : refused(req, code);
}

/* Uses are refused by the consent's status from the commit on. What the statement returns are
 * grants whose tokens could still read; that memory knows of them spares other workers the wait
 * until they read of it. */
tb_err TB_SUSPENDS tb_consent_revoke(struct tb_req *req, int32_t book, struct tb_str consent,
                                     const char *by_kind, struct tb_str by)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_KNOWN, TB_INT(book), TB_TEXT(consent), TB_TEXT(tb_str(by_kind)),
                    TB_TEXT(by)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no consent %.*s", (int)consent.n, consent.at);
    TB_TRY(tb_query(req, &rows, SQL_REVOKE, TB_INT(book), TB_TEXT(consent),
                    TB_TEXT(tb_str(by_kind)), TB_TEXT(by),
                    TB_TIME(tb_loop_wall_ms(tb_run_of(req)->loop))));
    for (size_t i = 0; i < rows->n; i++)
        TB_TRY(tb_grant_ended(req, tb_cell(rows, i, 0)));
    return NULL;
}
