/* Stage "idempotency": reads the key of a write and binds it to this very request by a fingerprint.
 * What the key protects happens in the database, in the transaction of the effect. */
#include "base/json.h"
#include "crypto/digest.h"
#include "gateway/gateway.h"

/* Begins what is hashed, so that a later way of making fingerprints is another one. */
static const char FINGERPRINT_VERSION[] = "2\n";

enum { DIGEST_BUFFER_BYTES = 2048 /* most requests fit */ };

/* Under whose right the request acts: the consent, or a grant without one; absent for the app's
 * own. A refreshed token acts under the same. */
static struct tb_str right_of(const struct tb_grant *grant)
{
    if (grant == NULL)
        return TB_STR_NONE;
    return grant->consent.at != NULL ? grant->consent : grant->family;
}

/* A digest of a text that is never held as a whole: what is made of a body is as large as it. */
struct digest {
    struct tb_sha256 *hash; /* NULL while all of it is in the buffer */
    char buffer[DIGEST_BUFFER_BYTES];
};

static void add_to_digest(void *to, struct tb_str piece)
{
    struct digest *digest = to;
    if (digest->hash == NULL)
        digest->hash = tb_sha256_begin();
    tb_sha256_add(digest->hash, piece);
}

static void end_digest(struct digest *digest, struct tb_str rest,
                       unsigned char out[TB_SHA256_BYTES])
{
    if (digest->hash == NULL) {
        tb_sha256(&rest, 1, out);
        return;
    }
    tb_sha256_add(digest->hash, rest);
    tb_sha256_end(digest->hash, out);
}

/* SHA-256 over version, operation, path, consent and the body in canonical form: members in another
 * order or other white space are the same request. The consent belongs to it because the answer
 * shows what was done under that consent, which no other consent's token may see. */
static tb_err fingerprint(struct tb_exchange *x)
{
    struct tb_text canonical;
    struct digest digest = {.hash = NULL};
    unsigned char bytes[TB_SHA256_BYTES];
    tb_text_init_drain(&canonical, x->run.arena, digest.buffer, sizeof(digest.buffer),
                       add_to_digest, &digest);
    tb_text_add(&canonical, TB_STR(FINGERPRINT_VERSION));
    tb_text_add(&canonical, x->in.method);
    tb_text_add_char(&canonical, ' ');
    tb_text_add(&canonical, x->in.path);
    tb_text_add_char(&canonical, '\n');
    tb_text_add(&canonical, right_of(x->grant));
    tb_text_add_char(&canonical, '\n');
    /* Of what the partner sent: a repeated request stays the same when its script has changed. */
    json_t *json = x->sent_body != NULL ? x->sent_body : x->json;
    if (json != NULL)
        tb_json_canonical(&canonical, json);
    struct tb_str rest = tb_text_end(&canonical);
    end_digest(&digest, rest, bytes);
    if (rest.at == NULL)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the request needs too much memory");
    tb_hex_write(x->fingerprint, TB_BYTES((const char *)bytes, sizeof(bytes)));
    x->fingerprint[2 * sizeof(bytes)] = '\0';
    return NULL;
}

tb_err tb_stage_idempotency(struct tb_exchange *x)
{
    bool wanted = (x->match.operation->route->flags & TB_R_KEY) != 0;
    if (!wanted)
        return NULL;
    if (x->in.idempotency_key.at == NULL)
        return tb_fail_at(&x->run.req, TB_E_KEY_MISSING,
                          "idempotency-key:", "%s needs an Idempotency-Key",
                          x->match.operation->key);
    TB_TRY(tb_exchange_key(x));
    return fingerprint(x);
}
