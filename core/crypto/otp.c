#include "crypto/otp.h"
#include "base/assert.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { SHA1_BYTES = 20 };

void tb_hotp(struct tb_str secret, uint64_t counter, size_t digits, char *out)
{
    unsigned char message[8], code[SHA1_BYTES];
    unsigned code_n = 0;
    TB_ASSERT(digits >= TB_OTP_DIGITS && digits <= 8);
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)(counter >> (56 - 8 * i));
    TB_ASSERT(HMAC(EVP_sha1(), secret.at, (int)secret.n, message, sizeof(message), code, &code_n) !=
              NULL);
    TB_ASSERT(code_n == sizeof(code));
    const unsigned char *at = code + (code[SHA1_BYTES - 1] & 0x0f); /* RFC 4226 §5.3 */
    uint32_t number = (uint32_t)(at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 |
                      (uint32_t)at[2] << 8 | (uint32_t)at[3];
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
}

size_t tb_base32_write(char *out, struct tb_str data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0, bits_n = 0;
    size_t n = 0;
    for (size_t i = 0; i < data.n; i++) {
        bits = bits << 8 | (unsigned char)data.at[i];
        for (bits_n += 8; bits_n >= 5; bits_n -= 5)
            out[n++] = digits[bits >> (bits_n - 5) & 31];
    }
    if (bits_n > 0)
        out[n++] = digits[bits << (5 - bits_n) & 31];
    return n;
}
