/* Tokens recognised by their coded octets: what the library is handed must decode to the same. */
#include "../unit.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/guard/hpack_memo.h"

enum { TOKEN_BYTES = 700, BEFORE = 3 };

struct coded {
    uint8_t block[4096];
    size_t n, value_at;
    char token[TOKEN_BYTES + 8];
};

/* A block of one indexed field, the token as nghttp2 codes it, and another field behind it. */
static struct coded code(unsigned seed)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct coded c = {.n = 0};
    srandom(seed);
    memcpy(c.token, "Bearer ", 7);
    for (size_t i = 0; i < TOKEN_BYTES; i++)
        c.token[7 + i] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
    nghttp2_nv fields[] = {
        {(uint8_t *)(uintptr_t) ":method", (uint8_t *)(uintptr_t) "GET", 7, 3, 0},
        {(uint8_t *)(uintptr_t) "authorization", (uint8_t *)c.token, 13, strlen(c.token), 0},
        {(uint8_t *)(uintptr_t) "accept", (uint8_t *)(uintptr_t) "*/*", 6, 3,
         NGHTTP2_NV_FLAG_NO_INDEX},
    };
    nghttp2_hd_deflater *deflater;
    assert_int_equal(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    ssize_t n = nghttp2_hd_deflate_hd(deflater, c.block, sizeof(c.block), fields, 3);
    assert_true(n > 0);
    nghttp2_hd_deflate_del(deflater);
    c.n = (size_t)n;
    assert_int_equal(c.block[1], 0x1f); /* never indexed, the name's index behind the prefix */
    c.value_at = BEFORE;
    return c;
}

/* The block decodes to the three fields, by an independent decoder. */
static void decodes(const struct tb_hpack_block *block, const char *token)
{
    nghttp2_hd_inflater *inflater;
    const uint8_t *at = block->at;
    size_t left = block->n, fields = 0;
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    while (left > 0) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, at, left, 1);
        assert_true(used >= 0);
        at += used;
        left -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
            continue;
        if (fields++ == 1) {
            assert_int_equal(field.valuelen, strlen(token));
            assert_memory_equal(field.value, token, field.valuelen);
        }
    }
    assert_int_equal(fields, 3);
    nghttp2_hd_inflate_del(inflater);
}

static void hands_out_a_known_token_in_plain(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct coded c = code(seed);
        struct tb_hpack_block first = tb_hpack_memo_open(c.block, c.n, c.value_at);
        assert_ptr_equal(first.at, c.block);
        assert_true(first.coded_n > 400);
        decodes(&first, c.token);
        tb_hpack_memo_learn(&first, tb_str(c.token));
        struct tb_hpack_block again = tb_hpack_memo_open(c.block, c.n, c.value_at);
        assert_ptr_not_equal(again.at, c.block);
        assert_null(again.coded);
        decodes(&again, c.token);
    }
}

static void takes_no_token_for_another(void **state)
{
    (void)state;
    struct coded c = code(7);
    struct tb_hpack_block first = tb_hpack_memo_open(c.block, c.n, c.value_at);
    tb_hpack_memo_learn(&first, tb_str(c.token));
    for (size_t i = 0; i < first.coded_n; i++) {
        struct coded other = c;
        size_t at = (size_t)(first.coded - c.block) + i;
        other.block[at] ^= 1;
        struct tb_hpack_block block = tb_hpack_memo_open(other.block, other.n, other.value_at);
        assert_ptr_equal(block.at, other.block);
    }
}

static void leaves_what_it_cannot_keep_as_it_came(void **state)
{
    (void)state;
    struct coded c = code(9);
    assert_ptr_equal(tb_hpack_memo_open(c.block, c.n, 0).at, c.block);
    assert_null(tb_hpack_memo_open(c.block, c.n, 0).coded);
    assert_null(tb_hpack_memo_open(c.block, c.value_at + 3, c.value_at).coded); /* cut off */
    struct tb_hpack_block first = tb_hpack_memo_open(c.block, c.n, c.value_at);
    c.token[100] = '\x7f';
    tb_hpack_memo_learn(&first, tb_str(c.token));
    assert_ptr_equal(tb_hpack_memo_open(c.block, c.n, c.value_at).at, c.block);
    tb_hpack_memo_learn(&first, TB_STR("short"));
    assert_ptr_equal(tb_hpack_memo_open(c.block, c.n, c.value_at).at, c.block);
    uint8_t plain[] = {0x82, 0x1f, 0x08, 0x05, 'a', 'b', 'c', 'd', 'e'};
    assert_null(tb_hpack_memo_open(plain, sizeof(plain), 3).coded);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hands_out_a_known_token_in_plain),
    cmocka_unit_test(takes_no_token_for_another),
    cmocka_unit_test(leaves_what_it_cannot_keep_as_it_came),
};
TEST_GROUP(tests, NULL, NULL);
