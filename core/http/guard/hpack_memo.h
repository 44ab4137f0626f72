/* Access tokens that were decoded before. A client sends its token with every request and must keep
 * it out of HPACK's table (RFC 7541 §7.1.3), so it comes Huffman-coded each time: some 560 octets,
 * whose decoding costs the library more than all else it does for a small request. The same octets
 * always decode to the same text; here they are recognised, and the library is handed the text.
 *
 *     struct tb_hpack_block block = tb_hpack_memo_open(src, len, value_at);
 *     ret = original(req, table, block.at, block.n, …);
 *     if (ret == 0 && block.coded_n > 0)
 *         tb_hpack_memo_learn(&block, value);
 */
#ifndef TB_HTTP_GUARD_HPACK_MEMO_H
#define TB_HTTP_GUARD_HPACK_MEMO_H

#include <stddef.h>
#include <stdint.h>
#include <tongbao/types.h>

enum {
    TB_HPACK_MEMO_PLACES = 128,   /**< tokens of one worker */
    TB_HPACK_MEMO_CODED_MIN = 64, /**< shorter ones are decoded faster than looked for */
    TB_HPACK_MEMO_CODED_MAX = 1024,
    TB_HPACK_MEMO_PLAIN_MAX = 1638,  /**< a code has at least five bits */
    TB_HPACK_MEMO_BLOCK_MAX = 20480, /**< larger blocks go as they came */
};

/** A header block for the library. */
struct tb_hpack_block {
    const uint8_t *at; /**< as it came, or in a buffer that lives until the next open */
    size_t n;
    const uint8_t *coded; /**< a token that may be learnt; NULL: none, or it was known */
    size_t coded_n;
};

/** The block with its token in plain, if it is known.
 *  @param value_at  offset of the string literal that holds the token; 0: the block has none */
struct tb_hpack_block tb_hpack_memo_open(const uint8_t *src, size_t len, size_t value_at);

/** Remember what the token of an accepted block decodes to. Only visible ASCII is remembered, so
 * that nothing the library would complain of is ever taken from here. */
void tb_hpack_memo_learn(const struct tb_hpack_block *block, struct tb_str plain);

#endif
