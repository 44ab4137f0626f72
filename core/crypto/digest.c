/* SHA-256 and HMAC through EVP. The algorithm is fetched once and a context is kept for each
 * thread: fetching it by name costs twice as much as hashing a short request does. */
#include "crypto/digest.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/* ---- SHA-256 ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static EVP_MD *sha256;
static _Thread_local EVP_MD_CTX *thread_context;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void prepare(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    TB_ASSERT(sha256 != NULL);
    TB_ASSERT(pthread_key_create(&at_thread_end, free_context) == 0);
}

/* With a digest of fixed size and memory at hand EVP has no way to fail but a broken library. */
static void must(int result)
{
    TB_ASSERT(result == 1);
}

void tb_sha256(const struct tb_str *parts, size_t n, unsigned char out[TB_SHA256_BYTES])
{
    if (thread_context == NULL) {
        pthread_once(&once, prepare);
        thread_context = EVP_MD_CTX_new();
        TB_ASSERT(thread_context != NULL);
        TB_ASSERT(pthread_setspecific(at_thread_end, thread_context) == 0);
    }
    must(EVP_DigestInit_ex2(thread_context, sha256, NULL));
    for (size_t i = 0; i < n; i++)
        must(EVP_DigestUpdate(thread_context, parts[i].at, parts[i].n));
    must(EVP_DigestFinal_ex(thread_context, out, NULL));
}

/* The incremental digest *is* an EVP_MD_CTX; its name keeps OpenSSL out of the header. */
struct tb_sha256 *tb_sha256_begin(void)
{
    pthread_once(&once, prepare);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    TB_ASSERT(context != NULL);
    must(EVP_DigestInit_ex2(context, sha256, NULL));
    return (struct tb_sha256 *)context;
}

void tb_sha256_add(struct tb_sha256 *hash, struct tb_str piece)
{
    must(EVP_DigestUpdate((EVP_MD_CTX *)hash, piece.at, piece.n));
}

void tb_sha256_end(struct tb_sha256 *hash, unsigned char out[TB_SHA256_BYTES])
{
    must(EVP_DigestFinal_ex((EVP_MD_CTX *)hash, out, NULL));
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
}

/* ---- HMAC ---- */

struct tb_hmac {
    EVP_MAC *mac;
    EVP_MAC_CTX *context;
};

struct tb_hmac *tb_hmac_new(struct tb_str key)
{
    struct tb_hmac *hmac = tb_mem(sizeof(*hmac));
    hmac->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    TB_ASSERT(hmac->mac != NULL);
    hmac->context = EVP_MAC_CTX_new(hmac->mac);
    TB_ASSERT(hmac->context != NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };
    /* A NULL key means "as before" to EVP, so that an empty one needs an address. */
    must(EVP_MAC_init(hmac->context, (const unsigned char *)(key.n == 0 ? "" : key.at), key.n,
                      params));
    return hmac;
}

void tb_hmac_free(struct tb_hmac *hmac)
{
    if (hmac == NULL)
        return;
    EVP_MAC_CTX_free(hmac->context);
    EVP_MAC_free(hmac->mac);
    tb_mem_free(hmac);
}

void tb_hmac_sha256(struct tb_hmac *hmac, const struct tb_str *parts, size_t n,
                    unsigned char out[TB_SHA256_BYTES])
{
    size_t written;
    must(EVP_MAC_init(hmac->context, NULL, 0, NULL));
    for (size_t i = 0; i < n; i++)
        must(EVP_MAC_update(hmac->context, (const unsigned char *)parts[i].at, parts[i].n));
    must(EVP_MAC_final(hmac->context, out, &written, TB_SHA256_BYTES));
    TB_ASSERT(written == TB_SHA256_BYTES);
}

bool tb_same_secret(struct tb_str a, struct tb_str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.at, b.at, a.n) == 0);
}

/* ---- base64url and hexadecimal ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t tb_base64url_write(char *out, struct tb_str data)
{
    const unsigned char *in = (const unsigned char *)data.at;
    char *to = out;
    size_t i = 0;
    for (; i + 3 <= data.n; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = alphabet[bits >> 6 & 63];
        *to++ = alphabet[bits & 63];
    }
    if (i < data.n) {
        bool two = i + 2 == data.n;
        uint32_t bits = (uint32_t)in[i] << 16 | (two ? (uint32_t)in[i + 1] << 8 : 0);
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        if (two)
            *to++ = alphabet[bits >> 6 & 63];
    }
    return (size_t)(to - out);
}

struct tb_str tb_base64url(struct tb_arena *arena, struct tb_str data)
{
    char *out = tb_arena_raw(arena, TB_BASE64URL_CHARS(data.n) + 1);
    if (out == NULL)
        return TB_STR_NONE;
    size_t n = tb_base64url_write(out, data);
    out[n] = '\0';
    return (struct tb_str){out, n};
}

/* Value of each character plus 1, so that 0 is "not in the alphabet". */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

/* The same character in the alphabet of URLs; NUL, which is in neither, for one of that alone. */
static unsigned char in_urls(unsigned char c)
{
    switch (c) {
    case '+':
        return '-';
    case '/':
        return '_';
    case '-':
    case '_':
        return '\0';
    default:
        return c;
    }
}

static inline bool decode(struct tb_str text, bool standard, unsigned char *out, size_t *out_n)
{
    const unsigned char *in = (const unsigned char *)text.at;
    size_t tail = text.n % 4;
    if (tail == 1) /* 6 bits are no byte */
        return false;
    uint32_t bits = 0;
    unsigned held = 0;
    unsigned char *to = out;
    for (size_t i = 0; i < text.n; i++) {
        unsigned value = values[standard ? in_urls(in[i]) : in[i]];
        if (value == 0)
            return false;
        bits = bits << 6 | (value - 1);
        held += 6;
        if (held >= 8) {
            held -= 8;
            *to++ = (unsigned char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    *out_n = (size_t)(to - out);
    return bits == 0;
}

bool tb_base64url_read(struct tb_str text, unsigned char *out, size_t *out_n)
{
    return decode(text, false, out, out_n);
}

bool tb_base64_read(struct tb_str text, unsigned char *out, size_t *out_n)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.at[text.n - 1 - padding] == '=')
        padding++;
    return text.n % 4 == 0 && decode((struct tb_str){text.at, text.n - padding}, true, out, out_n);
}

void tb_hex_write(char *out, struct tb_str data)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.n; i++) {
        unsigned char byte = (unsigned char)data.at[i];
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
}

bool tb_hex_read(struct tb_str text, unsigned char *out)
{
    if (text.n % 2 != 0)
        return false;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = tb_hex_digit(text.at[i]), low = tb_hex_digit(text.at[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}
