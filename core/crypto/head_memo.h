/* Heads of tokens that carry their key with them, as DPoP proofs do. A client makes a new proof for
 * each request, but its head, with the public key in it, is the same each time; reading the key
 * costs as much as checking the signature. So the key of a head that once verified is kept, under
 * the very bytes of the head.
 *
 * One memo belongs to one policy (crypto/jose.h) of one worker, because what it remembers is that
 * this policy accepts the head. Nothing here waits. */
#ifndef TB_CRYPTO_HEAD_MEMO_H
#define TB_CRYPTO_HEAD_MEMO_H

#include "crypto/key.h"

struct tb_head_memo;

/** An empty memo for about `entries` heads (rounded up to a power of two), some 3 KiB each. */
struct tb_head_memo *tb_head_memo_new(size_t entries);
void tb_head_memo_free(struct tb_head_memo *memo);

/** The key of a head, compared byte by byte; NULL when it is not known. Borrowed until the next
 *  call of tb_head_memo_keep. */
struct tb_key *tb_head_memo_find(const struct tb_head_memo *memo, struct tb_str head);

/** Remember a head whose signature has verified, and own its key from now on. What was in its place
 *  goes: a table that strangers fill with keys of their own loses time, never an answer. */
void tb_head_memo_keep(struct tb_head_memo *memo, struct tb_str head, struct tb_key *key);

#endif
