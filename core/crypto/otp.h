/* One-time passwords of an authenticator app: HOTP (RFC 4226) and its clock, TOTP (RFC 6238), with
 * HMAC-SHA-1, six digits and steps of 30 seconds, which is what every app does whatever it is told.
 * Secrets travel to the app in base32 (RFC 4648 §6). */
#ifndef TB_CRYPTO_OTP_H
#define TB_CRYPTO_OTP_H

#include <stdint.h>
#include <tongbao/types.h>

enum {
    TB_OTP_SECRET_BYTES = 20, /**< as RFC 4226 §4 recommends */
    TB_OTP_DIGITS = 6,
    TB_OTP_STEP_S = 30,
};

/** Characters that the base32 text (without padding) of `n` bytes takes. */
#define TB_BASE32_CHARS(n) (((n)*8 + 4) / 5)

/** The code of `counter` under `secret`: `digits` (6..8) digits at `out`, no NUL. */
void tb_hotp(struct tb_str secret, uint64_t counter, size_t digits, char *out);

/** Write TB_BASE32_CHARS(data.n) characters, upper case, no NUL; returns their number. */
size_t tb_base32_write(char *out, struct tb_str data);

#endif
