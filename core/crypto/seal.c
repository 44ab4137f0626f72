/* AES-256-GCM with random nonces of 96 bits: safe for 2^32 seals under one key (NIST SP 800-38D
 * §8.3), and a bank's signing keys number dozens. */
#include "crypto/seal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/random.h"
#include "crypto/digest.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

enum { VERSION = 1, NONCE = 12, TAG = 16, HEAD = 1 + NONCE, EXTRA = HEAD + TAG };

void tb_secret_derive(struct tb_secret *out, const struct tb_secret *master, const char *label)
{
    unsigned char derived[TB_SHA256_BYTES];
    struct tb_str text = tb_str(label);
    struct tb_hmac *hmac = tb_hmac_new(TB_BYTES(master->at, master->n));
    tb_hmac_sha256(hmac, &text, 1, derived);
    tb_hmac_free(hmac);
    tb_secret_set(out, derived, sizeof(derived));
    explicit_bzero(derived, sizeof(derived));
}

/* A context for `key` and `nonce` that has been told the name. */
static EVP_CIPHER_CTX *begin(const struct tb_secret *key, struct tb_str name,
                             const unsigned char *nonce, int encrypt)
{
    int n;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    TB_ASSERT(context != NULL && key->n == TB_SEAL_KEY_BYTES && name.n <= TB_SEAL_BYTES_MAX);
    TB_ASSERT(EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), key->at, nonce, encrypt, NULL) == 1);
    TB_ASSERT(EVP_CipherUpdate(context, NULL, &n, (const unsigned char *)name.at, (int)name.n) ==
              1);
    return context;
}

struct tb_str tb_seal(const struct tb_secret *key, struct tb_str name, struct tb_str plain,
                      struct tb_arena *arena)
{
    if (plain.n > TB_SEAL_BYTES_MAX)
        return TB_STR_NONE;
    unsigned char *bytes = tb_arena_raw(arena, plain.n + EXTRA);
    if (bytes == NULL)
        return TB_STR_NONE;
    int n, last;
    bytes[0] = VERSION;
    tb_random_bytes(bytes + 1, NONCE);
    EVP_CIPHER_CTX *context = begin(key, name, bytes + 1, 1);
    TB_ASSERT(EVP_CipherUpdate(context, bytes + HEAD, &n, (const unsigned char *)plain.at,
                               (int)plain.n) == 1);
    TB_ASSERT(EVP_CipherFinal_ex(context, bytes + HEAD + n, &last) == 1);
    TB_ASSERT(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, bytes + HEAD + plain.n) ==
              1);
    EVP_CIPHER_CTX_free(context);
    return tb_base64url(arena, TB_BYTES(bytes, plain.n + EXTRA));
}

bool tb_unseal(const struct tb_secret *key, struct tb_str name, struct tb_str sealed,
               struct tb_secret *out)
{
    if (sealed.n > TB_BASE64URL_CHARS(TB_SEAL_BYTES_MAX + EXTRA) || name.n > TB_SEAL_BYTES_MAX)
        return false;
    size_t room = sealed.n * 3 / 4 + 1, bytes_n;
    unsigned char *bytes = tb_mem(2 * room), *plain = bytes + room;
    bool opened = tb_base64url_read(sealed, bytes, &bytes_n) && bytes_n >= EXTRA &&
                  bytes[0] == VERSION;
    if (opened) {
        int n, last, text_n = (int)bytes_n - EXTRA;
        EVP_CIPHER_CTX *context = begin(key, name, bytes + 1, 0);
        opened = EVP_CipherUpdate(context, plain, &n, bytes + HEAD, text_n) == 1 &&
                 EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, bytes + HEAD + text_n) ==
                     1 &&
                 EVP_CipherFinal_ex(context, plain + n, &last) == 1;
        if (opened)
            tb_secret_set(out, plain, (size_t)text_n);
        EVP_CIPHER_CTX_free(context);
        ERR_clear_error();
    }
    tb_mem_free_secret(bytes, 2 * room);
    return opened;
}
