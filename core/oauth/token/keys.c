/* Reading, offering and reading again: the table's exclusion constraint decides whose offer is
 * taken, so several processes may find a key due at once. */
#include "oauth/token/keys.h"
#include "oauth/rows.h"
#include "oauth/token/token.h"
#include "runtime/run.h"

const struct tb_key_schedule tb_oauth_schedule = {
    .alg = TB_ALG_ES256,
    .period_s = 90 * 86400,
    .lead_s = 2 * 86400,
    .overlap_s = TB_TOKEN_LIFE_MAX_S + 86400,
};

static const char SQL_KEYS[] =
    "select kid, alg, extract(epoch from signs_from)::bigint, extract(epoch from signs_until)::bigint, "
    "extract(epoch from valid_until)::bigint, sealed from oauth.signing_key "
    "where purpose = $1 and valid_until > $2 order by signs_from";

static const char SQL_OFFER[] =
    "insert into oauth.signing_key (kid, purpose, alg, made_at, signs_from, signs_until, "
    "valid_until, sealed) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing";

static const char SQL_ROTATE[] =
    "select oauth.rotate_key($1, $2, $3, $4 * interval '1 s', $5, $6, $7, $8, $9, $10)";

const char *tb_key_purpose_name(enum tb_key_purpose purpose)
{
    return purpose == TB_KEYS_OF_TOKENS ? "token" : "response";
}

static struct tb_param purpose_param(enum tb_key_purpose purpose)
{
    return TB_TEXT(tb_str(tb_key_purpose_name(purpose)));
}

static tb_err TB_SUSPENDS load(struct tb_req *req, struct tb_keystore *keys,
                               enum tb_key_purpose purpose, int64_t now_s)
{
    struct tb_rows *rows;
    struct tb_key_row list[TB_KEYSTORE_KEYS_MAX + 1]; /* one too many is for the store to refuse */
    TB_TRY(tb_query(req, &rows, SQL_KEYS, purpose_param(purpose), TB_TIME(now_s * 1000)));
    size_t n = rows->n <= TB_KEYSTORE_KEYS_MAX ? rows->n : TB_KEYSTORE_KEYS_MAX + 1;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct tb_key_row){.kid = tb_cell(rows, i, 0),
                                      .alg = tb_cell(rows, i, 1),
                                      .signs_from_s = tb_oauth_int(rows, i, 2),
                                      .signs_until_s = tb_oauth_int(rows, i, 3),
                                      .valid_until_s = tb_oauth_int(rows, i, 4),
                                      .sealed = tb_cell(rows, i, 5)};
    const char *why = tb_keystore_load(keys, list, n, now_s);
    if (why != NULL)
        return tb_fail(req, TB_E_INTERNAL, "%s", why);
    return NULL;
}

static tb_err make(struct tb_req *req, const struct tb_keystore *keys,
                   const struct tb_key_schedule *schedule, int64_t now_s, struct tb_key_row *out)
{
    if (!tb_keystore_make(keys, schedule, now_s, tb_run_of(req)->arena, out))
        return tb_fail(req, TB_E_INTERNAL, "no memory left for a new signing key");
    return NULL;
}

static tb_err TB_SUSPENDS offer(struct tb_req *req, const struct tb_keystore *keys,
                                enum tb_key_purpose purpose, const struct tb_key_schedule *schedule,
                                int64_t now_s)
{
    struct tb_rows *rows;
    struct tb_key_row row;
    TB_TRY(make(req, keys, schedule, now_s, &row));
    tb_log(req, TB_LOG_INFO, "offering the next %s key %s", tb_key_purpose_name(purpose),
           row.kid.at);
    return tb_query(req, &rows, SQL_OFFER, TB_TEXT(row.kid), purpose_param(purpose),
                    TB_TEXT(row.alg), TB_TIME(now_s * 1000), TB_TIME(row.signs_from_s * 1000),
                    TB_TIME(row.signs_until_s * 1000), TB_TIME(row.valid_until_s * 1000),
                    TB_TEXT(row.sealed));
}

tb_err TB_SUSPENDS tb_oauth_keys_refresh(struct tb_req *req, struct tb_keystore *keys,
                                         enum tb_key_purpose purpose,
                                         const struct tb_key_schedule *schedule, int64_t now_s)
{
    TB_TRY(load(req, keys, purpose, now_s));
    if (!tb_keystore_due(keys, schedule, now_s))
        return NULL;
    TB_TRY(offer(req, keys, purpose, schedule, now_s));
    return load(req, keys, purpose, now_s);
}

tb_err TB_SUSPENDS tb_oauth_keys_rotate(struct tb_req *req, struct tb_keystore *keys,
                                        enum tb_key_purpose purpose,
                                        const struct tb_key_schedule *schedule, const char *who,
                                        int64_t from_s, int64_t now_s)
{
    struct tb_key_status live[TB_KEYSTORE_KEYS_MAX];
    struct tb_rows *rows;
    struct tb_key_row row;
    TB_TRY(load(req, keys, purpose, now_s));
    size_t live_n = tb_keystore_status(keys, now_s, live);
    if (live_n > TB_KEYSTORE_KEYS_MAX - 3) /* this one, one of the schedule, and one in a race */
        return tb_fail(req, TB_E_CONFLICT, "%zu keys are live already; wait for one to end",
                       live_n);
    TB_TRY(make(req, keys, schedule, now_s, &row));
    int64_t until_s = from_s + schedule->period_s;
    TB_TRY(tb_query(req, &rows, SQL_ROTATE, TB_TEXT(tb_str(who)), purpose_param(purpose),
                    TB_TIME(from_s * 1000), TB_INT(schedule->overlap_s), TB_TEXT(row.kid),
                    TB_TEXT(row.alg), TB_TIME(now_s * 1000), TB_TIME(until_s * 1000),
                    TB_TIME((until_s + schedule->overlap_s) * 1000), TB_TEXT(row.sealed)));
    return load(req, keys, purpose, now_s);
}
