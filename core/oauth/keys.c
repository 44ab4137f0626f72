/* Reading, offering and reading again: the table's exclusion constraint decides whose offer is
 * taken, so several processes may find a key due at once. */
#include "oauth/keys.h"
#include "oauth/rows.h"
#include "oauth/token.h"
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
    "where valid_until > $1 order by signs_from";

static const char SQL_OFFER[] =
    "insert into oauth.signing_key (kid, alg, made_at, signs_from, signs_until, valid_until, sealed) "
    "values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";

static tb_err TB_SUSPENDS load(struct tb_req *req, struct tb_keystore *keys, int64_t now_s)
{
    struct tb_rows *rows;
    struct tb_key_row list[TB_KEYSTORE_KEYS_MAX + 1]; /* one too many is for the store to refuse */
    TB_TRY(tb_query(req, &rows, SQL_KEYS, TB_TIME(now_s * 1000)));
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

static tb_err TB_SUSPENDS offer(struct tb_req *req, const struct tb_keystore *keys,
                                const struct tb_key_schedule *schedule, int64_t now_s)
{
    struct tb_rows *rows;
    struct tb_key_row row;
    if (!tb_keystore_make(keys, schedule, now_s, tb_run_of(req)->arena, &row))
        return tb_fail(req, TB_E_INTERNAL, "no memory left for a new signing key");
    tb_log(req, TB_LOG_INFO, "offering the next signing key %s", row.kid.at);
    return tb_query(req, &rows, SQL_OFFER, TB_TEXT(row.kid), TB_TEXT(row.alg),
                    TB_TIME(now_s * 1000), TB_TIME(row.signs_from_s * 1000),
                    TB_TIME(row.signs_until_s * 1000), TB_TIME(row.valid_until_s * 1000),
                    TB_TEXT(row.sealed));
}

tb_err TB_SUSPENDS tb_oauth_keys_refresh(struct tb_req *req, struct tb_keystore *keys,
                                         const struct tb_key_schedule *schedule, int64_t now_s)
{
    TB_TRY(load(req, keys, now_s));
    if (!tb_keystore_due(keys, schedule, now_s))
        return NULL;
    TB_TRY(offer(req, keys, schedule, now_s));
    return load(req, keys, now_s);
}
