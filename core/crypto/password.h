/* Passwords at rest: Argon2id (RFC 9106) by libsodium, in its text form with parameters and salt.
 * Each call takes some 50 ms of processor and 64 MiB on purpose, so a request runs it off the loop:
 *
 *     static void work(void *arg) { struct try *t = arg; t->right = tb_password_check(…); }
 *     TB_TRY(tb_offload(req, work, &try));
 */
#ifndef TB_CRYPTO_PASSWORD_H
#define TB_CRYPTO_PASSWORD_H

#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

/** libsodium's limits for interactive use: what a login may cost, and four helper threads of a
 * worker at the same time. */
enum {
    TB_PASSWORD_PASSES = 2,                /**< Argon2's t */
    TB_PASSWORD_MEMORY = 64 * 1024 * 1024, /**< bytes, Argon2's m */
    TB_PASSWORD_BYTES_MIN = 8,             /**< of a new password */
    TB_PASSWORD_BYTES_MAX = 256,           /**< of any password */
    TB_PASSWORD_HASH_ROOM = 128,           /**< bytes a hash and its NUL may take */
};

/** Hash a new password with a fresh salt.
 *  @return false when it is shorter or longer than allowed, or memory ran out
 *  Waits: no, but takes long; any thread. */
bool TB_NODISCARD tb_password_hash(struct tb_str password, char out[TB_PASSWORD_HASH_ROOM]);

/** Whether `password` is the one `hash` was made of. An absent hash costs as much and is false: so
 * that a login nobody has takes as long as a wrong password.
 *  Waits: no, but takes long; any thread. */
bool TB_NODISCARD tb_password_check(struct tb_str password, struct tb_str hash);

#endif
