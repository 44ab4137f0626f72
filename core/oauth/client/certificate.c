/* What was written lately is remembered in a small table without search: two certificates on one
 * place displace each other, which costs a statement. */
#include "oauth/client/certificate.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/x509.h"
#include "oauth/server.h"
#include "runtime/run.h"

enum { REMEMBERED = 256 /* values of a byte */, AGAIN_S = 3600 };

static const char SQL_KEEP[] = "select oauth.keep_certificate($1, $2, $3, $4, $5)";

struct params {
    struct tb_param list[5];
};

/* The parameters of SQL_KEEP; false when it is no certificate. */
static bool read(struct tb_req *req, struct tb_str app, struct tb_str der, struct params *out,
                 struct tb_str *out_x5t)
{
    struct tb_certificate certificate;
    if (!tb_certificate_read(der, tb_run_of(req)->arena, &certificate))
        return false;
    *out = (struct params){{TB_TEXT(app), TB_TEXT(certificate.x5t), TB_TEXT(certificate.subject),
                            TB_TIME(certificate.not_after_s * 1000),
                            TB_TIME(tb_oauth_now_s(req) * 1000)}};
    *out_x5t = certificate.x5t;
    return true;
}

tb_err TB_SUSPENDS tb_certificates_keep(struct tb_req *req, struct tb_tx *tx, struct tb_str app,
                                        const json_t *metadata)
{
    const json_t *keys = tb_json_array(tb_json_object(metadata, "jwks"), "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *first = json_array_get(tb_json_array(json_array_get(keys, i), "x5c"), 0);
        struct tb_str text = {json_string_value(first), json_string_length(first)};
        unsigned char *der = text.n == 0 ? NULL : tb_alloc(req, text.n);
        struct params params;
        struct tb_rows *rows;
        struct tb_str x5t;
        size_t n;
        if (der == NULL || !tb_base64_read(text, der, &n) ||
            !read(req, app, TB_BYTES(der, n), &params, &x5t))
            continue;
        TB_TRY(tb_tx_query(tx, &rows, SQL_KEEP, params.list, 5));
    }
    return NULL;
}

/* Whether client and certificate were met within the hour; from now on they were. */
static bool met_lately(struct tb_str app, struct tb_str der, int64_t now_s)
{
    static struct {
        unsigned char digest[TB_SHA256_BYTES]; /* of both */
        int64_t at_s;
    } met[REMEMBERED];
    unsigned char digest[TB_SHA256_BYTES];
    const struct tb_str both[] = {app, der};
    tb_sha256(both, 2, digest);
    size_t place = digest[0];
    if (memcmp(met[place].digest, digest, sizeof(digest)) == 0 && now_s - met[place].at_s < AGAIN_S)
        return true;
    memcpy(met[place].digest, digest, sizeof(digest));
    met[place].at_s = now_s;
    return false;
}

void TB_SUSPENDS tb_certificate_seen(struct tb_req *req, struct tb_str app, struct tb_str der)
{
    struct params params;
    struct tb_rows *rows;
    struct tb_str x5t;
    if (met_lately(app, der, tb_oauth_now_s(req)) || !read(req, app, der, &params, &x5t))
        return;
    tb_err err = tb_store_query(req, tb_oauth()->store, &rows, SQL_KEEP, params.list, 5);
    if (err != NULL)
        tb_log(req, TB_LOG_WARN, "a client's certificate was not recorded: %s", err->code);
}
