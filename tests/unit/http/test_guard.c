/* The guard without a network: its tables, its self-check, its budgets, how it counts connections
 * and work, and what it makes of HTTP/1. */
#include "../unit.h"

#include "http/guard/guard_conn.h"
#include "http/guard/guard_syntax.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tongbao/types.h>

static h2o_globalconf_t config;
static h2o_context_t ctx;
static struct tb_guard_counters counters;

/* One context for all tests, never disposed of: the library would lose its message queue. */
static int make_context(void **state)
{
    (void)state;
    h2o_config_init(&config);
    h2o_config_register_path(
        h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535), "/", 0);
    h2o_context_init(&ctx, h2o_evloop_create(), &config);
    return 0;
}

static int start(void **state)
{
    struct tb_guard_limits limits;
    (void)state;
    memset(&counters, 0, sizeof(counters));
    tb_guard_limits_init(&limits);
    assert_true(tb_guard_limits_set(&limits, "connections", 16));
    assert_true(tb_guard_limits_set(&limits, "address_connections", 3));
    assert_true(tb_guard_limits_set(&limits, "orphans", 2));
    assert_true(tb_guard_limits_set(&limits, "works", 16));
    tb_guard_start(&ctx, &limits, &counters);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tb_guard_stop();
    h2o_evloop_run(ctx.loop, 0); /* frees the closed sockets */
    return 0;
}

static void every_limit_has_its_default_within_its_bounds(void **state)
{
    struct tb_guard_limits limits;
    (void)state;
    tb_guard_limits_init(&limits);
    for (size_t i = 0; i < TB_GUARD_LIMIT_N; i++) {
        const struct tb_guard_limit *row = &tb_guard_limit_rows[i];
        assert_in_range(row->value, row->min, row->max);
        assert_true(strlen(row->reason) > 10 && strlen(row->unit) > 0);
        assert_true(tb_guard_limits_set(&limits, row->name, row->min));
        assert_true(tb_guard_limits_set(&limits, row->name, row->max));
        if (row->min > 0)
            assert_false(tb_guard_limits_set(&limits, row->name, row->min - 1));
        assert_false(tb_guard_limits_set(&limits, row->name, row->max + 1));
    }
    assert_false(tb_guard_limits_set(&limits, "no_such_limit", 1));
}

static void stands_in_front_of_the_library(void **state)
{
    char why[256] = "";
    (void)state;
    if (!tb_guard_check(why, sizeof(why)))
        fail_msg("%s", why);
}

static void a_budget_refills_with_time_up_to_its_burst(void **state)
{
    (void)state;
    struct guard_bucket b = {3000, guard_now()};
    for (int i = 0; i < 3; i++)
        assert_true(tb_guard_take(&b, 1000, 3, 2));
    assert_false(tb_guard_take(&b, 1000, 3, 2));
    ctx.loop->_now += 499;
    assert_false(tb_guard_take(&b, 1000, 3, 2));
    ctx.loop->_now += 1;
    assert_true(tb_guard_take(&b, 1000, 3, 2));
    ctx.loop->_now += 1000000;
    assert_true(tb_guard_take(&b, 3000, 3, 2));
    assert_false(tb_guard_take(&b, 1000, 3, 2));
    ctx.loop->_now -= 5000; /* a clock that goes back gives nothing, and takes nothing */
    assert_false(tb_guard_take(&b, 1000, 3, 2));
    guard_give(&b, 10000, 3);
    assert_int_equal(b.tokens, 3000);
}

/* ---- connections ---- */

static unsigned closed_n;

static void count_close(void *data)
{
    (void)data;
    closed_n++;
}

static h2o_socket_t *make_socket(int *out_peer)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    *out_peer = fds[1];
    h2o_socket_t *sock = h2o_evloop_socket_create(ctx.loop, fds[0], 0);
    sock->on_close.cb = count_close;
    return sock;
}

static void counts_connections_of_an_address(void **state)
{
    h2o_socket_t *socks[4];
    int peers[4];
    (void)state;
    closed_n = 0;
    for (int i = 0; i < 4; i++) {
        socks[i] = make_socket(&peers[i]);
        assert_int_equal(tb_guard_accept(socks[i]), i < 3);
    }
    assert_int_equal(counters.of[TB_GUARD_ADDRESS_REFUSED], 1);
    assert_int_equal(tb_guard_connections(), 3);
    h2o_socket_close(socks[0]);
    assert_int_equal(tb_guard_connections(), 2);
    assert_true(tb_guard_accept(socks[3]));
    for (int i = 1; i < 4; i++)
        h2o_socket_close(socks[i]);
    assert_int_equal(tb_guard_connections(), 0);
    assert_int_equal(closed_n, 4); /* the owner's callback is kept */
    for (int i = 0; i < 4; i++)
        close(peers[i]);
}

/* ---- work ---- */

struct fake_conn {
    h2o_conn_t super;
    h2o_socket_t *sock;
};

static h2o_socket_t *get_socket(h2o_conn_t *conn)
{
    return ((struct fake_conn *)(void *)conn)->sock;
}

static const h2o_conn_callbacks_t fake_callbacks = {.get_socket = get_socket};

static void begin_request(h2o_req_t *req, struct fake_conn *conn)
{
    memset(req, 0, sizeof(*req));
    h2o_mem_init_pool(&req->pool);
    req->conn = &conn->super;
}

static void work_outlives_request_and_connection(void **state)
{
    int peer;
    (void)state;
    struct fake_conn conn = {.super = {.callbacks = &fake_callbacks}, .sock = make_socket(&peer)};
    h2o_req_t reqs[3];
    struct tb_guard_work *works[3];
    assert_true(tb_guard_accept(conn.sock));
    const struct guarded *g = tb_guard_of(conn.sock);
    for (int i = 0; i < 3; i++) {
        begin_request(&reqs[i], &conn);
        works[i] = tb_guard_work_begin(&reqs[i]);
        assert_non_null(works[i]);
    }
    h2o_mem_clear_pool(&reqs[0].pool);
    h2o_mem_clear_pool(&reqs[1].pool);
    assert_int_equal(g->orphans, 2);
    tb_guard_work_end(works[0]);
    assert_int_equal(g->orphans, 1);
    begin_request(&reqs[0], &conn);
    works[0] = tb_guard_work_begin(&reqs[0]);
    h2o_mem_clear_pool(&reqs[0].pool);
    assert_int_equal(g->condemned, TB_GUARD_KIND_N);
    h2o_mem_clear_pool(&reqs[2].pool);
    assert_int_equal(g->condemned, TB_GUARD_ORPHANS);
    h2o_socket_close(conn.sock);
    assert_int_equal(tb_guard_connections(), 1);
    for (int i = 0; i < 3; i++)
        tb_guard_work_end(works[i]);
    assert_int_equal(tb_guard_connections(), 0);
    close(peer);
}

static void work_that_ends_in_time_is_no_orphan(void **state)
{
    int peer;
    (void)state;
    struct fake_conn conn = {.super = {.callbacks = &fake_callbacks}, .sock = make_socket(&peer)};
    assert_true(tb_guard_accept(conn.sock));
    const struct guarded *g = tb_guard_of(conn.sock);
    for (int i = 0; i < 100; i++) {
        h2o_req_t req;
        begin_request(&req, &conn);
        tb_guard_work_end(tb_guard_work_begin(&req));
        h2o_mem_clear_pool(&req.pool);
    }
    assert_int_equal(g->orphans, 0);
    assert_int_equal(g->works, 0);
    h2o_socket_close(conn.sock);
    close(peer);
}

static void refuses_work_when_there_is_no_room(void **state)
{
    int peer;
    (void)state;
    struct fake_conn conn = {.super = {.callbacks = &fake_callbacks}, .sock = make_socket(&peer)};
    h2o_req_t req;
    struct tb_guard_work *works[16];
    begin_request(&req, &conn);
    for (int i = 0; i < 16; i++)
        assert_non_null(works[i] = tb_guard_work_begin(&req));
    assert_null(tb_guard_work_begin(&req));
    assert_int_equal(counters.of[TB_GUARD_WORK_REFUSED], 1);
    for (int i = 0; i < 16; i++)
        tb_guard_work_end(works[i]);
    h2o_mem_clear_pool(&req.pool);
    h2o_socket_close(conn.sock);
    close(peer);
}

/* ---- HTTP/1 ---- */

static int parse(const char *head)
{
    char text[65536];
    const char *method, *path;
    size_t method_len, path_len, n = 100, len = strlen(head);
    int minor;
    struct phr_header headers[100];
    memcpy(text, head, len + 1);
    return phr_parse_request(text, len, &method, &method_len, &path, &path_len, &minor, headers, &n,
                             0);
}

/* Whether the head that was just parsed goes on only to be answered. */
static bool refused(void)
{
    bool was = tb_guard_self.refused_head != NULL;
    tb_guard_self.refused_head = NULL;
    return was;
}

static void refuses_heads_that_two_parsers_could_read_differently(void **state)
{
    static const char *const good[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a?b=c[d]&e=%2F HTTP/1.1\r\nhost: a:8443\r\nX:\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \t\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET https://a/b HTTP/1.1\r\nHost: c\r\n\r\n",
        "GET http://a:80?b HTTP/1.1\r\nHost: c\r\n\r\n",
    };
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/b HTTP/1.1\r\n\r\n",
        "GET https://c@a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https:// HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1234567890123456789\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(good); i++)
        if (parse(good[i]) != (int)strlen(good[i]) || refused())
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        if (parse(bad[i]) != (int)strlen(bad[i]) || !refused())
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\n"), -2);
    size_t counted = counters.of[TB_GUARD_HTTP1_REFUSED];
    assert_int_equal(counted, TB_COUNT(bad));
    assert_int_equal(parse("PRI * HTTP/2.0\r\n\r\n"), -1); /* the library's cue, not an attack */
    assert_int_equal(counters.of[TB_GUARD_HTTP1_REFUSED], counted);
    assert_false(refused());
}

static void a_refused_head_keeps_its_method_and_its_names(void **state)
{
    static const char head[] = "HEAD /a HTTP/1.1\r\nHost: a\r\nExpect: b\r\nX-Request-Id: c\r\n"
                               "Authorization: d\r\nTraceparent: e\r\n\r\n";
    char text[sizeof(head)];
    const char *method, *path;
    size_t method_len, path_len, n = 100;
    int minor;
    struct phr_header headers[100];
    (void)state;
    memcpy(text, head, sizeof(head));
    assert_int_equal(phr_parse_request(text, sizeof(head) - 1, &method, &method_len, &path,
                                       &path_len, &minor, headers, &n, 0),
                     sizeof(head) - 1);
    assert_true(refused());
    assert_int_equal(counters.of[TB_GUARD_EXPECTATION], 1);
    assert_int_equal(n, 2);
    assert_memory_equal(method, "HEAD", method_len);
    assert_memory_equal(headers[0].value, "c", 1);
    assert_memory_equal(headers[1].value, "e", 1);
}

/* Decode `coded` in two reads, cut at `cut`. @return what the decoder said last */
static ssize_t dechunk(const char *coded, size_t cut, char *out, size_t *out_len)
{
    struct phr_chunked_decoder d = {.consume_trailer = 1};
    size_t len = strlen(coded), n = cut, at = 0;
    memcpy(out, coded, cut);
    ssize_t ret = phr_decode_chunked(&d, out, &n);
    at = n;
    if (ret == -2) {
        memcpy(out + at, coded + cut, len - cut);
        n = len - cut;
        ret = phr_decode_chunked(&d, out + at, &n);
        at += n;
    }
    *out_len = at;
    return ret;
}

static void decodes_chunks_cut_anywhere(void **state)
{
    static const char coded[] = "5\r\nhello\r\n0A;x=y\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n";
    (void)state;
    for (size_t cut = 0; cut < sizeof(coded); cut++) {
        char out[sizeof(coded)];
        size_t len;
        assert_int_equal(dechunk(coded, cut, out, &len), 0);
        assert_int_equal(len, 15);
        assert_memory_equal(out, "hello0123456789", 15);
    }
}

static void leaves_what_follows_the_chunks(void **state)
{
    char out[64];
    size_t len;
    (void)state;
    assert_int_equal(dechunk("1\r\na\r\n0\r\n\r\nGET /", 16, out, &len), 5);
    assert_memory_equal(out, "aGET /", 6);
}

static void refuses_chunks_that_two_parsers_could_read_differently(void **state)
{
    static const char *const bad[] = {
        "\r\n",       "1\na\r\n0\r\n\r\n", "1 \r\na\r\n", "x\r\n",          "0x1\r\na\r\n",
        "-1\r\n",     "123456789\r\n",     "1\r\nab\r\n", "1\r\na\n0\r\n",  "1\r\na\r\r\n",
        "1;a\nb\r\n", "0\r\nX: y\n\r\n",   "0\r\n\n",     "0\r\n X: y\r\n", "0\r\nX\x01: y\r\n",
        "1;\x7f\r\n", "1\r\nab\n0\r\n",
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        for (size_t cut = 0; cut <= strlen(bad[i]); cut++) {
            char out[64];
            size_t len;
            if (dechunk(bad[i], cut, out, &len) != -1)
                fail_msg("taken: case %zu, cut at %zu", i, cut);
        }
}

/* ---- syntax ---- */

static void knows_an_authority_and_a_target(void **state)
{
    static const struct {
        const char *text;
        bool authority, target;
    } cases[] = {
        {"example.com", true, false}, {"example.com:8443", true, false},
        {"[::1]:80", true, false},    {"a@b", false, false},
        {"a/b", false, false},        {"a b", false, false},
        {"", false, false},           {"a\\b", false, false},
        {"/", false, true},           {"/a?b=c", false, true},
        {"/a#b", false, false},       {"/a b", false, false},
        {"/a\\b", false, false},      {"/\x80", false, false},
        {"*", false, false},          {"/[a]{b}|\"", false, true},
        {"\x7f", false, false},
    };
    h2o_iovec_t get = {H2O_STRLIT("GET")};
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        h2o_iovec_t v = {(char *)(uintptr_t)cases[i].text, strlen(cases[i].text)};
        if (tb_guard_authority_ok(v) != cases[i].authority ||
            tb_guard_target_ok(v, get) != cases[i].target)
            fail_msg("%s", cases[i].text);
    }
}

static void compares_authorities_without_case(void **state)
{
    h2o_iovec_t names[] = {{H2O_STRLIT("api.bank.example")}, {H2O_STRLIT("localhost:8443")}};
    h2o_req_t req;
    (void)state;
    memset(&req, 0, sizeof(req));
    req.input.authority = h2o_iovec_init(H2O_STRLIT("API.bank.example"));
    assert_true(tb_guard_authority(&req, names, 2));
    req.input.authority = h2o_iovec_init(H2O_STRLIT("localhost"));
    assert_false(tb_guard_authority(&req, names, 2));
    assert_int_equal(counters.of[TB_GUARD_MISDIRECTED], 1);
}

#define GUARDED(test) cmocka_unit_test_setup_teardown(test, start, stop)
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_limit_has_its_default_within_its_bounds),
    cmocka_unit_test(stands_in_front_of_the_library),
    GUARDED(a_budget_refills_with_time_up_to_its_burst),
    GUARDED(counts_connections_of_an_address),
    GUARDED(work_outlives_request_and_connection),
    GUARDED(work_that_ends_in_time_is_no_orphan),
    GUARDED(refuses_work_when_there_is_no_room),
    GUARDED(refuses_heads_that_two_parsers_could_read_differently),
    GUARDED(a_refused_head_keeps_its_method_and_its_names),
    GUARDED(decodes_chunks_cut_anywhere),
    GUARDED(leaves_what_follows_the_chunks),
    GUARDED(refuses_chunks_that_two_parsers_could_read_differently),
    cmocka_unit_test(knows_an_authority_and_a_target),
    GUARDED(compares_authorities_without_case),
};
TEST_GROUP(tests, make_context, NULL);
