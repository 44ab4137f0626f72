/* A direct-mapped table by the last octets of a token, which is where its signature lies. Two
 * tokens on one place displace each other; that costs a decoding. Whole tokens are compared, so
 * nobody is ever given another's. */
#include "http/guard/hpack_memo.h"
#include <stdbool.h>
#include <string.h>

static struct place {
    uint32_t coded_n, plain_n; /* 0: empty */
    uint8_t coded[TB_HPACK_MEMO_CODED_MAX];
    char plain[TB_HPACK_MEMO_PLAIN_MAX];
} places[TB_HPACK_MEMO_PLACES];

static uint8_t rewritten[TB_HPACK_MEMO_BLOCK_MAX];

static struct place *slot_of_token(const uint8_t *coded, size_t n)
{
    uint64_t tail;
    memcpy(&tail, coded + n - 16, sizeof(tail)); /* the very end has padding */
    return &places[(tail * 0x9e3779b97f4a7c15u) >> 57];
}
_Static_assert(TB_HPACK_MEMO_PLACES == 1 << (64 - 57), "the hash picks one of the places");

/* The octets of the Huffman string literal at `src`, and where it ends; false when it is none of a
 * size that is kept. The guard has walked the block already, so it is whole. */
static bool find_coded(const uint8_t *src, const uint8_t *end, const uint8_t **out_coded,
                       size_t *out_n)
{
    if (end - src < 4 || *src != 0xff) /* Huffman, and longer than fits the prefix */
        return false;
    size_t n = 0x7f + (src[1] & 0x7fu);
    const uint8_t *at = src + 2;
    if (src[1] & 0x80)
        n += (size_t)(*at++ & 0x7f) << 7;
    if (n < TB_HPACK_MEMO_CODED_MIN || n > TB_HPACK_MEMO_CODED_MAX || n > (size_t)(end - at))
        return false;
    *out_coded = at;
    *out_n = n;
    return true;
}

/* Append a string literal that is not coded (RFC 7541 §5.2). */
static size_t write_plain(uint8_t *out, const struct place *place)
{
    uint8_t *at = out;
    size_t rest = place->plain_n - 0x7f; /* it was longer when coded */
    *at++ = 0x7f;
    for (; rest >= 0x80; rest >>= 7)
        *at++ = (uint8_t)(0x80 | (rest & 0x7f));
    *at++ = (uint8_t)rest;
    memcpy(at, place->plain, place->plain_n);
    return (size_t)(at - out) + place->plain_n;
}

struct tb_hpack_block tb_hpack_memo_open(const uint8_t *src, size_t len, size_t value_at)
{
    struct tb_hpack_block block = {.at = src, .n = len};
    const uint8_t *coded;
    size_t coded_n;
    if (value_at == 0 || len + TB_HPACK_MEMO_PLAIN_MAX > sizeof(rewritten) ||
        !find_coded(src + value_at, src + len, &coded, &coded_n))
        return block;
    const struct place *place = slot_of_token(coded, coded_n);
    if (place->coded_n != coded_n || memcmp(place->coded, coded, coded_n) != 0) {
        block.coded = coded;
        block.coded_n = coded_n;
        return block;
    }
    memcpy(rewritten, src, value_at);
    size_t n = value_at + write_plain(rewritten + value_at, place);
    size_t behind = len - (size_t)(coded + coded_n - src);
    memcpy(rewritten + n, coded + coded_n, behind);
    block.at = rewritten;
    block.n = n + behind;
    return block;
}

void tb_hpack_memo_learn(const struct tb_hpack_block *block, struct tb_str plain)
{
    if (plain.n < 0x80 || plain.n > TB_HPACK_MEMO_PLAIN_MAX)
        return;
    for (size_t i = 0; i < plain.n; i++)
        if (plain.at[i] < 0x20 || plain.at[i] > 0x7e)
            return;
    struct place *place = slot_of_token(block->coded, block->coded_n);
    place->coded_n = (uint32_t)block->coded_n;
    place->plain_n = (uint32_t)plain.n;
    memcpy(place->coded, block->coded, block->coded_n);
    memcpy(place->plain, plain.at, plain.n);
}
