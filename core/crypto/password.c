#include "crypto/password.h"
#include "base/assert.h"
#include <sodium.h>
#include <stdio.h>

_Static_assert(TB_PASSWORD_HASH_ROOM == crypto_pwhash_argon2id_STRBYTES, "room for its text");
_Static_assert(TB_PASSWORD_MEMORY == crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE, "as promised");

/* Of no password: 32 random bytes that were thrown away. Same cost as those that are made. */
static const char OF_NOBODY[TB_PASSWORD_HASH_ROOM] =
    "$argon2id$v=19$m=65536,t=2,p=1$oltb9iu008VYdlMa8b+mAA$c"
    "DoyNwvfZh+6Tpqh12HsXrl5rjbKaTpw9xBkrooLyxE";

bool tb_password_hash(struct tb_str password, char out[TB_PASSWORD_HASH_ROOM])
{
    if (password.n < TB_PASSWORD_BYTES_MIN || password.n > TB_PASSWORD_BYTES_MAX)
        return false;
    TB_ASSERT(sodium_init() >= 0);
    return crypto_pwhash_argon2id_str(out, password.at, password.n, TB_PASSWORD_PASSES,
                                      TB_PASSWORD_MEMORY) == 0;
}

bool tb_password_check(struct tb_str password, struct tb_str hash)
{
    char text[TB_PASSWORD_HASH_ROOM] = {0};
    bool known = hash.at != NULL && hash.n < sizeof(text);
    struct tb_str shown = password.n <= TB_PASSWORD_BYTES_MAX ? password : TB_STR("");
    if (known)
        memcpy(text, hash.at, hash.n);
    else
        memcpy(text, OF_NOBODY, sizeof(text));
    TB_ASSERT(sodium_init() >= 0);
    bool right = crypto_pwhash_argon2id_str_verify(text, shown.at, shown.n) == 0;
    return right && known && shown.n == password.n;
}
