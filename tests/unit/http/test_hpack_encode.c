/* Heads of answers, read back by nghttp2's decoder, which is strict. */
#include "../unit.h"

#include "http/guard/guard_h2o.h"
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tongbao/types.h>

/* Of libh2o's, what ends a connection. */
void h2o_hpack_dispose_header_table(h2o_hpack_header_table_t *table);

enum { MOST_FIELDS = 40, MOST_BYTES = 64 * 1024, FRAME = 16384 };

struct fields {
    h2o_header_t at[MOST_FIELDS];
    h2o_iovec_t names[MOST_FIELDS]; /* of those that are no tokens */
    size_t n;
};

/* A connection with its two ends. */
struct talk {
    h2o_http2_conn_t conn;
    nghttp2_hd_inflater *peer;
    h2o_timestamp_string_t date;
    h2o_buffer_t *buf;
    size_t bytes, frames; /* of the last answer */
};

static void talk_begin(struct talk *talk, uint32_t peer_table_size)
{
    memset(talk, 0, sizeof(*talk));
    talk->conn.peer_settings.header_table_size = peer_table_size;
    talk->conn._output_header_table.hpack_capacity = 4096;
    assert_int_equal(nghttp2_hd_inflate_new(&talk->peer), 0);
    if (peer_table_size != 4096)
        assert_int_equal(nghttp2_hd_inflate_change_table_size(talk->peer, peer_table_size), 0);
    strcpy(talk->date.rfc1123, "Mon, 23 Feb 2026 09:00:00 GMT");
    h2o_buffer_init(&talk->buf, &h2o_socket_buffer_prototype);
}

static void talk_end(struct talk *talk)
{
    h2o_hpack_dispose_header_table(&talk->conn._output_header_table);
    nghttp2_hd_inflate_del(talk->peer);
    h2o_buffer_dispose(&talk->buf);
}

static void add(struct fields *fields, const h2o_token_t *token, const char *name,
                const char *value)
{
    h2o_header_t *header = &fields->at[fields->n];
    fields->names[fields->n] = h2o_iovec_init(name, name == NULL ? 0 : strlen(name));
    header->name = token != NULL ? (h2o_iovec_t *)(uintptr_t)&token->buf
                                 : &fields->names[fields->n];
    header->value = h2o_iovec_init(value, strlen(value));
    fields->n++;
}

/* Take the frames off and put the pieces together. */
static size_t unframe(struct talk *talk, uint8_t *block)
{
    const uint8_t *at = (const uint8_t *)talk->buf->bytes, *end = at + talk->buf->size;
    size_t n = 0;
    talk->frames = 0;
    talk->bytes = talk->buf->size;
    for (bool last = false; !last;) {
        assert_true(end - at >= 9);
        size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        assert_true(length <= FRAME);
        assert_int_equal(at[3], talk->frames == 0 ? H2O_FRAME_HEADERS : H2O_FRAME_CONTINUATION);
        assert_int_equal(at[8], 7);
        last = (at[4] & H2O_FLAG_END_HEADERS) != 0;
        assert_true((size_t)(end - at) >= 9 + length);
        memcpy(block + n, at + 9, length);
        n += length;
        at += 9 + length;
        talk->frames++;
    }
    assert_ptr_equal(at, end);
    return n;
}

static void expect(struct talk *talk, const uint8_t **at, const uint8_t *end, const char *name,
                   size_t name_n, const char *value, size_t value_n)
{
    nghttp2_nv nv;
    int flags = 0;
    do {
        ssize_t used = nghttp2_hd_inflate_hd2(talk->peer, &nv, &flags, *at, (size_t)(end - *at), 1);
        if (used < 0)
            fail_msg("the peer cannot read it: %s", nghttp2_strerror((int)used));
        *at += used;
    } while ((flags & (NGHTTP2_HD_INFLATE_EMIT | NGHTTP2_HD_INFLATE_FINAL)) == 0);
    assert_true((flags & NGHTTP2_HD_INFLATE_EMIT) != 0);
    bool secret = strcmp(name, "set-cookie") == 0 || strcmp(name, "location") == 0;
    assert_int_equal((nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0, secret);
    assert_int_equal(nv.namelen, name_n);
    assert_memory_equal(nv.name, name, name_n);
    assert_int_equal(nv.valuelen, value_n);
    assert_memory_equal(nv.value, value, value_n);
}

static void answer(struct talk *talk, int status, struct fields *fields, size_t content_length)
{
    static uint8_t block[MOST_BYTES];
    char text[24];
    h2o_res_t res = {.status = status, .headers = {fields->at, fields->n, fields->n}};
    h2o_timestamp_t ts = {.str = &talk->date};
    const h2o_iovec_t nobody = {NULL, 0};
    talk->buf->size = 0;
    h2o_hpack_flatten_response(&talk->buf, &talk->conn._output_header_table, 7, FRAME, &res, &ts,
                               &nobody, content_length);
    const uint8_t *at = block, *end = block + unframe(talk, block);
    expect(talk, &at, end, ":status", 7, text, (size_t)snprintf(text, sizeof(text), "%d", status));
    expect(talk, &at, end, "date", 4, talk->date.rfc1123, H2O_TIMESTR_RFC1123_LEN);
    for (size_t i = 0; i < fields->n; i++)
        expect(talk, &at, end, fields->at[i].name->base, fields->at[i].name->len,
               fields->at[i].value.base, fields->at[i].value.len);
    if (content_length != SIZE_MAX)
        expect(talk, &at, end, "content-length", 14, text,
               (size_t)snprintf(text, sizeof(text), "%zu", content_length));
    assert_ptr_equal(at, end);
    nghttp2_hd_inflate_end_headers(talk->peer);
}

static void is_read_back_as_it_was_meant(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 204, 206, 304, 400, 404, 421, 500, 503};
    static const size_t lengths[] = {0, 9, 10, 65535, SIZE_MAX - 1, SIZE_MAX};
    struct talk talk;
    talk_begin(&talk, 4096);
    for (size_t i = 0; i < 60; i++) {
        struct fields fields = {.n = 0};
        add(&fields, H2O_TOKEN_CONTENT_TYPE, NULL, "application/json");
        add(&fields, H2O_TOKEN_CACHE_CONTROL, NULL, "no-store");
        add(&fields, NULL, "x-request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        add(&fields, NULL, "ratelimit-policy", "\"burst\";q=100;w=60");
        add(&fields, H2O_TOKEN_LOCATION, NULL, "");
        add(&fields, H2O_TOKEN_SET_COOKIE, NULL, "a=b");
        answer(&talk, statuses[i % 10], &fields, lengths[i % 6]);
    }
    talk_end(&talk);
}

static void sends_what_repeats_in_one_byte(void **state)
{
    (void)state;
    struct talk talk;
    talk_begin(&talk, 4096);
    size_t first = 0;
    for (int i = 0; i < 3; i++) {
        struct fields fields = {.n = 0};
        add(&fields, H2O_TOKEN_CONTENT_TYPE, NULL, "application/json");
        add(&fields, NULL, "ratelimit-policy", "\"burst\";q=100;w=60");
        answer(&talk, 200, &fields, SIZE_MAX);
        if (i == 0)
            first = talk.bytes;
    }
    assert_int_equal(talk.bytes, 9 + 4);
    assert_true(first > 90);
    talk_end(&talk);
}

/* The clock goes on, values change, some are too large for the table: the ends must not drift. */
static void stays_in_step_with_the_peer(void **state)
{
    (void)state;
    static const h2o_token_t *const tokens[] = {
        H2O_TOKEN_CONTENT_TYPE, H2O_TOKEN_CACHE_CONTROL, H2O_TOKEN_VARY, H2O_TOKEN_ETAG,
        H2O_TOKEN_LOCATION,     H2O_TOKEN_RETRY_AFTER,   H2O_TOKEN_LINK};
    static const char *const names[] = {"ratelimit-policy", "ratelimit", "x-request-id", "a"};
    static char values[50][6000];
    srandom(7541);
    for (size_t i = 0; i < 50; i++) {
        size_t n = random() % 10 == 0 ? (size_t)random() % 5999 : (size_t)random() % 40;
        for (size_t j = 0; j < n; j++)
            values[i][j] = (char)(' ' + random() % 95);
        values[i][n] = '\0';
    }
    for (int round = 0; round < 20; round++) {
        struct talk talk;
        talk_begin(&talk, round % 4 == 0 ? 65536 : 4096);
        for (int i = 0; i < 500; i++) {
            struct fields fields = {.n = 0};
            for (long n = random() % 8; n > 0; n--) {
                if (random() % 2 == 0)
                    add(&fields, tokens[random() % 7], NULL, values[random() % 50]);
                else
                    add(&fields, NULL, names[random() % 4], values[random() % 50]);
            }
            if (random() % 5 == 0) { /* a second passes */
                talk.date.rfc1123[23] = (char)('0' + i / 10 % 6);
                talk.date.rfc1123[24] = (char)('0' + i % 10);
            }
            answer(&talk, 200, &fields, (size_t)i);
        }
        talk_end(&talk);
    }
}

static void keeps_to_the_table_size_of_the_peer(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 32, 100, 4095};
    for (size_t i = 0; i < TB_COUNT(sizes); i++) {
        struct talk talk;
        talk_begin(&talk, sizes[i]);
        for (int j = 0; j < 5; j++) {
            struct fields fields = {.n = 0};
            add(&fields, H2O_TOKEN_CONTENT_TYPE, NULL, "application/json");
            answer(&talk, 200, &fields, 1);
        }
        talk_end(&talk);
    }
}

static void follows_a_peer_that_shrinks_its_table_later(void **state)
{
    (void)state;
    struct talk talk;
    talk_begin(&talk, 4096);
    for (int i = 0; i < 6; i++) {
        struct fields fields = {.n = 0};
        add(&fields, H2O_TOKEN_CONTENT_TYPE, NULL, "application/json");
        if (i == 3) {
            talk.conn.peer_settings.header_table_size = 0;
            assert_int_equal(nghttp2_hd_inflate_change_table_size(talk.peer, 0), 0);
        }
        answer(&talk, 200, &fields, 1);
    }
    assert_int_equal(talk.conn._output_header_table.num_entries, 0);
    talk_end(&talk);
}

static void splits_heads_larger_than_a_frame(void **state)
{
    (void)state;
    static char value[6000];
    memset(value, 'v', sizeof(value) - 1);
    for (size_t n = 1; n < 10; n++) {
        for (size_t cut = 0; cut < 3; cut++) {
            struct talk talk;
            struct fields fields = {.n = 0};
            talk_begin(&talk, 4096);
            for (size_t i = 0; i < n; i++)
                add(&fields, NULL, "x-large", value + cut);
            answer(&talk, 200, &fields, 1);
            assert_int_equal(talk.frames, (talk.bytes - 9 * talk.frames + FRAME - 1) / FRAME);
            talk_end(&talk);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_read_back_as_it_was_meant),
    cmocka_unit_test(sends_what_repeats_in_one_byte),
    cmocka_unit_test(stays_in_step_with_the_peer),
    cmocka_unit_test(keeps_to_the_table_size_of_the_peer),
    cmocka_unit_test(follows_a_peer_that_shrinks_its_table_later),
    cmocka_unit_test(splits_heads_larger_than_a_frame),
};
TEST_GROUP(tests, NULL, NULL);
