/* Making keys and tokens of any form, right or wrong, for the tests. */
#ifndef TB_TESTS_CRYPTO_FORGE_H
#define TB_TESTS_CRYPTO_FORGE_H

#include "crypto/jose.h"

/** The key of a JWK in text; NULL when it is refused. The text may lack its braces. */
struct tb_key *key_of(const char *jwk, enum tb_jwk_part part);

/** A token of this header and payload, whatever they are, truly signed by `key`. */
struct tb_str forge(struct tb_arena *arena, struct tb_key *key, struct tb_str header,
                    struct tb_str payload);

/** A token with this text for a signature. */
struct tb_str forge_with(struct tb_arena *arena, struct tb_str header, struct tb_str payload,
                         struct tb_str signature);

/** The one key of a policy, given as find_arg, whatever its kid. */
struct tb_key *find_only(void *arg, struct tb_str kid, enum tb_alg alg);

#endif
