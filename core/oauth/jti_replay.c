/* Replay check of a jti: INSERT … ON CONFLICT DO NOTHING decides which of several concurrent uses
 * wins. */
#include "oauth/jti_replay.h"
#include "base/json.h"
#include "crypto/digest.h"
#include <tongbao/plugin.h>

static const char SQL_USE[] =
    "insert into oauth.used_jti (client, digest, expires_at) values ($1, $2, $3) "
    "on conflict do nothing returning 1";

tb_err TB_SUSPENDS tb_jti_purpose(struct tb_req *req, struct tb_str client,
                                  enum tb_jti_use_once use, const json_t *claims, bool *out_first)
{
    unsigned char digest[TB_SHA256_BYTES];
    char text[TB_SHA256_BASE64URL];
    struct tb_rows *rows;
    int64_t exp_s = 0;
    struct tb_str parts[] = {use == TB_JTI_OF_ASSERTION ? TB_STR("")
                                                        : TB_STR("backchannel request\n"),
                             tb_json_str(claims, "jti")};
    *out_first = false;
    bool good = tb_json_int(claims, "exp", &exp_s);
    tb_sha256(parts, TB_COUNT(parts), digest);
    tb_base64url_write(text, TB_BYTES(digest, sizeof(digest)));
    TB_TRY(tb_query(req, &rows, SQL_USE, TB_TEXT(client), TB_TEXT(TB_BYTES(text, sizeof(text))),
                    TB_TIME(exp_s * 1000)));
    *out_first = good && rows->n == 1;
    return NULL;
}
