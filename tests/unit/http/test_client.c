/* Calling out: to the server_fixture in the same process, and to a peer that says what the test
 * likes. */
#include "../unit.h"

#include "../yardstick.h"
#include "base/assert.h"
#include "http/outbound/outbound.h"
#include "runtime/fault.h"
#include "server_fixture.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tongbao/plugin.h>
#include <unistd.h>

static struct server_fixture server_fixture;
static struct tb_http_client *client;
static uint16_t ports[4];
static char url[128];

static int open_house(void **state)
{
    (void)state;
    server_open(&server_fixture,
                &(struct server_kind){.ask_for_certificate = true, .trusts_ca = true});
    client = tb_http_client_new(server_fixture.loop);
    ports[0] = server_fixture.tls_port;
    ports[1] = server_fixture.plain_port;
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    tb_http_client_free(client);
    server_close(&server_fixture);
    return 0;
}

/* ---- one call on a fiber of its own ---- */

struct call {
    struct tb_outgoing out;
    int64_t within_ms;       /* deadline of the run; 0: none */
    int64_t cancel_after_ms; /* 0: never */

    tb_err err;
    char why[512];
    int status;
    char body[4096];
    size_t body_n;
    char type[64]; /* content-type */
    bool done;
};

struct canceller {
    struct tb_timer timer;
    struct tb_run *run;
};

static void cancel(struct tb_timer *timer)
{
    struct canceller *canceller = (struct canceller *)timer;
    canceller->run->gone = true;
    tb_run_cancel(canceller->run);
}

static tb_err job(struct tb_req *req, void *arg)
{
    struct call *call = arg;
    struct tb_run *run = tb_run_of(req);
    struct canceller canceller = {.timer.fired = cancel, .run = run};
    struct tb_reply reply;
    if (call->cancel_after_ms > 0)
        tb_timer_start(server_fixture.loop, &canceller.timer, call->cancel_after_ms);
    call->err = tb_http_client_call(req, client, &call->out, &reply);
    tb_timer_stop(server_fixture.loop, &canceller.timer);
    snprintf(call->why, sizeof(call->why), "%.*s", (int)run->problem.detail.n,
             run->problem.detail.at == NULL ? "" : run->problem.detail.at);
    if (call->err == NULL) {
        call->status = reply.status;
        call->body_n = reply.body.n;
        TB_ASSERT(reply.body.at != NULL);
        snprintf(call->body, sizeof(call->body), "%.*s", (int)reply.body.n, reply.body.at);
        for (size_t i = 0; i < reply.headers_n; i++)
            if (tb_str_eq(reply.headers[i].name, TB_STR("content-type")))
                snprintf(call->type, sizeof(call->type), "%.*s", (int)reply.headers[i].value.n,
                         reply.headers[i].value.at);
    }
    call->done = true;
    return NULL;
}

/* To the server_fixture by TLS, unless `call` says otherwise. */
static void make(struct call *call, const char *path)
{
    struct tb_outgoing *out = &call->out;
    if (out->url == NULL) {
        snprintf(url, sizeof(url), "https://localhost:%u%s", server_fixture.tls_port, path);
        out->url = url;
        out->reach.private_addresses = true;
    }
    if (out->reach.ports == NULL)
        out->reach.ports = ports;
    if (out->method == NULL)
        out->method = "GET";
    if (out->timeout_ms == 0)
        out->timeout_ms = 5000;
    if (out->answer_bytes == 0)
        out->answer_bytes = 1 << 19;
    if (out->ca == NULL)
        out->ca = server_fixture.certs.certificate;
    assert_null(tb_run_to_end(server_fixture.loop, job, call, call->within_ms));
    assert_true(call->done);
}

#define assert_has(text, piece)                                                                    \
    do {                                                                                           \
        if (strstr((text), (piece)) == NULL)                                                       \
            fail_msg("no \"%s\" in \"%s\"", (piece), (text));                                      \
    } while (0)

static void brings_the_request_there_and_the_answer_back(void **state)
{
    (void)state;
    static const struct tb_header headers[] = {
        {{"authorization", 13}, {"Bearer x", 8}},
        {{"content-type", 12}, {"application/json", 16}},
        {{"x-own", 5}, {"", 0}},
    };
    struct call call = {
        .out = {.method = "PUT", .headers = headers, .headers_n = 3, .body = TB_STR("{\"a\":1}")}};
    make(&call, "/echo/%2541?b=%20");
    assert_null(call.err);
    assert_int_equal(call.status, 200);
    assert_string_equal(call.type, "text/plain");
    assert_has(call.body, "version=200\n");
    assert_has(call.body, "method=PUT\n");
    assert_has(call.body, "path=/echo/%41\n");
    assert_has(call.body, "query=b=%20\n");
    assert_has(call.body, "authorization=Bearer x\n");
    assert_has(call.body, "content-type=application/json\n");
    assert_has(call.body, "body={\"a\":1}\n");
    assert_has(call.body, "x-own=\n");
}

static void adds_no_content_type_of_its_own(void **state)
{
    (void)state;
    struct call call = {.out = {.method = "POST", .body = TB_STR("plain")}};
    make(&call, "/echo");
    assert_has(call.body, "content-type -\n");
    assert_has(call.body, "body=plain\n");
}

static void gives_every_status_to_the_caller(void **state)
{
    (void)state;
    struct call missing = {.done = false}, empty = {.done = false},
                head = {.out = {.method = "HEAD"}};
    make(&missing, "/nothing");
    assert_null(missing.err);
    assert_int_equal(missing.status, 404);
    make(&empty, "/204");
    assert_int_equal(empty.status, 204);
    assert_int_equal(empty.body_n, 0);
    make(&head, "/many");
    assert_int_equal(head.status, 200);
    assert_int_equal(head.body_n, 0);
}

static void uses_a_connection_again(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct call call = {.done = false};
        make(&call, "/echo");
        assert_int_equal(call.status, 200);
    }
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 1);
}

static void makes_many_calls_at_once(void **state)
{
    (void)state;
    enum { CALLS = 40 };
    static struct call calls[CALLS];
    snprintf(url, sizeof(url), "https://localhost:%u/slow", server_fixture.tls_port);
    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = (struct call){.out = {.method = "GET",
                                         .url = url,
                                         .timeout_ms = 5000,
                                         .answer_bytes = 1000,
                                         .ca = server_fixture.certs.certificate,
                                         .reach = {.private_addresses = true, .ports = ports}}};
        assert_null(tb_run_detached(server_fixture.loop, "call", job, &calls[i], 0));
    }
    for (size_t i = 0; i < CALLS; i++) {
        server_until(&server_fixture, &calls[i].done);
        assert_null(calls[i].err);
        assert_string_equal(calls[i].body, "slow");
    }
}

static void shows_its_certificate(void **state)
{
    (void)state;
    struct certs known;
    certs_make(&known, "known",
               &(struct certs_kind){.name = "known", .issuer = &server_fixture.ca});
    struct call with = {.out = {.client_certificate = known.certificate, .client_key = known.key}};
    struct call without = {.done = false};
    make(&with, "/echo");
    assert_has(with.body, "verified=1");
    make(&without, "/echo"); /* and not by way of the other's connection */
    assert_has(without.body, "certificate=0 verified=0");
}

static void trusts_only_the_given_authorities(void **state)
{
    (void)state;
    struct call call = {.out = {.ca = server_fixture.ca.certificate}};
    make(&call, "/echo");
    assert_true(tb_is(call.err, TB_E_UPSTREAM));
    assert_has(call.why, "certificate");
}

/* ---- where it must not go ---- */

static void refuses_urls_that_lead_inside(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "017700000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "%31%32%37.0.0.1",
        "ip6-localhost",
        "\xe2\x91\xa0\x32\x37.0.0.1",
    };
    static const char *const ways[] = {"https://%s:%u/echo", "http://%s:%u/echo"};
    for (size_t i = 0; i < 2 * TB_COUNT(hosts); i++) {
        char text[128];
        snprintf(text, sizeof(text), ways[i % 2], hosts[i / 2],
                 i % 2 == 0 ? server_fixture.tls_port : server_fixture.plain_port);
        struct call call = {
            .out = {.url = text, .timeout_ms = 2000, .reach = {.plain_http = true}}};
        make(&call, NULL);
        if (!tb_is(call.err, TB_E_UPSTREAM))
            fail_msg("%s: %s", text, call.err == NULL ? "went through" : call.err->code);
    }
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 0);
}

static void refuses_urls_of_other_kinds(void **state)
{
    (void)state;
    char plain[64], user[64], port[64];
    snprintf(plain, sizeof(plain), "http://localhost:%u/", server_fixture.plain_port);
    snprintf(user, sizeof(user), "https://a:b@localhost:%u/", server_fixture.tls_port);
    snprintf(port, sizeof(port), "https://localhost:%u/", server_fixture.tls_port + 1);
    const struct {
        const char *url, *why;
    } cases[] = {
        {plain, "scheme"},
        {"file:///etc/passwd", "scheme"},
        {"gopher://localhost:70/", "scheme"},
        {"ftp://localhost/", "scheme"},
        {user, "not one"},
        {port, "port"},
        {"https://localhost/", "port"}, /* 443 is not among the ports of this call */
        {"localhost/x", "not one"},
        {"https://", "not one"},
        {"", "not one"},
        {"https://local host/", "not one"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct call call = {.out = {.url = cases[i].url, .reach = {.private_addresses = true}}};
        make(&call, NULL);
        assert_true(tb_is(call.err, TB_E_UPSTREAM));
        assert_has(call.why, cases[i].why);
    }
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 0);
}

static void refuses_fields_that_would_break_the_message(void **state)
{
    (void)state;
    static const struct tb_header headers[] = {{{"x-own", 5}, {"a\r\nx-evil: 1", 12}},
                                               {{"x-a: b\r\nx", 9}, {"1", 1}}};
    for (size_t i = 0; i < 2; i++) {
        struct call call = {.out = {.headers = &headers[i], .headers_n = 1}};
        make(&call, "/echo");
        assert_true(tb_is(call.err, TB_E_UPSTREAM));
        assert_has(call.why, "control character");
    }
}

static void uses_no_proxy_of_the_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"};
    for (size_t i = 0; i < 4; i++)
        setenv(names[i], "http://127.0.0.1:1", 1);
    struct call call = {.done = false};
    make(&call, "/echo");
    for (size_t i = 0; i < 4; i++)
        unsetenv(names[i]);
    assert_null(call.err);
}

/* ---- bounds ---- */

static void stops_at_the_size_it_was_given(void **state)
{
    (void)state;
    struct call fits = {.out = {.answer_bytes = 200000}}, tight = {.out = {.answer_bytes = 199999}};
    make(&fits, "/many");
    assert_int_equal(fits.body_n, 200000);
    make(&tight, "/many");
    assert_true(tb_is(tight.err, TB_E_UPSTREAM));
    assert_has(tight.why, "too large");
}

static void ends_at_its_time_the_runs_deadline_or_the_clients_leaving(void **state)
{
    (void)state;
    struct {
        struct call call;
        tb_err err;
    } cases[] = {
        {{.out = {.timeout_ms = 150}}, TB_E_DEADLINE},
        {{.within_ms = 150}, TB_E_DEADLINE},
        {{.cancel_after_ms = 150}, TB_E_CANCELLED},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        server_turn(&server_fixture, 1); /* the loop's clock is as old as its last turn */
        int64_t start_us = tb_loop_us();
        make(&cases[i].call, "/wait");
        int64_t took_ms = (tb_loop_us() - start_us) / 1000;
        assert_true(tb_is(cases[i].call.err, cases[i].err));
        assert_in_range(took_ms, 140, stretched_ms(1500));
    }
    server_release(&server_fixture);
    struct call after = {.done = false};
    make(&after, "/echo");
    assert_null(after.err);
}

/* ---- a peer that misbehaves ---- */

static int peer_fd;
static const char *peer_says;

static void peer_run(void *arg)
{
    (void)arg;
    char text[2048];
    int fd = accept(peer_fd, NULL, NULL);
    (void)!recv(fd, text, sizeof(text), 0);
    (void)!send(fd, peer_says, strlen(peer_says), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void copes_with_whatever_a_peer_says(void **state)
{
    (void)state;
    static char many_fields[20000] = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 150; i++)
        strcat(many_fields, "X-Field: value\r\n");
    strcat(many_fields, "Content-Length: 0\r\n\r\n");
    const struct {
        const char *says;
        int status; /* 0: TB_E_UPSTREAM */
    } cases[] = {
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nok", 302},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
         "Content-Length: 0\r\n\r\n",
         200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0},
        {"no HTTP at all\r\n\r\n", 0},
        {"", 0},
        {many_fields, 0},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    peer_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(peer_fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(peer_fd, 8), 0);
    assert_int_equal(getsockname(peer_fd, (struct sockaddr *)&address, &n), 0);
    ports[2] = ntohs(address.sin_port);
    char text[64];
    snprintf(text, sizeof(text), "http://127.0.0.1:%u/", ports[2]);
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct call call = {
            .out = {.url = text, .reach = {.private_addresses = true, .plain_http = true}}};
        peer_says = cases[i].says;
        server_start(peer_run, NULL);
        make(&call, NULL);
        server_join(&server_fixture);
        if (cases[i].status == 0 ? !tb_is(call.err, TB_E_UPSTREAM)
                                 : call.err != NULL || call.status != cases[i].status)
            fail_msg("case %zu: %s %d", i, call.why, call.status);
    }
    close(peer_fd);
    struct call refused = {
        .out = {.url = text, .reach = {.private_addresses = true, .plain_http = true}}};
    make(&refused, NULL);
    assert_true(tb_is(refused.err, TB_E_UPSTREAM));
    ports[2] = 0;
}

#ifdef TB_FAULTS
static void ends_a_call_at_once_that_libcurl_does_not_take(void **state)
{
    (void)state;
    static const struct tb_header headers[] = {{{"x-a", 3}, {"1", 1}}};
    static const char *const faults[] = {"curl_add:error", "curl_append:error:1",
                                         "curl_append:error:2", "curl_append:error:3"};
    for (size_t i = 0; i < TB_COUNT(faults); i++) {
        struct call call = {.out = {.headers = headers, .headers_n = 1}};
        tb_fault_set(faults[i]);
        make(&call, "/ok");
        tb_fault_set(NULL);
        assert_true(tb_is(call.err, TB_E_INTERNAL));
        call = (struct call){.out = {.headers = headers, .headers_n = 1}};
        make(&call, "/ok");
        assert_null(call.err);
    }
}
#endif

#define IN_THE_HOUSE(test) cmocka_unit_test_setup_teardown(test, open_house, close_house)
static const struct CMUnitTest tests[] = {
    IN_THE_HOUSE(brings_the_request_there_and_the_answer_back),
    IN_THE_HOUSE(adds_no_content_type_of_its_own),
    IN_THE_HOUSE(gives_every_status_to_the_caller),
    IN_THE_HOUSE(uses_a_connection_again),
    IN_THE_HOUSE(makes_many_calls_at_once),
    IN_THE_HOUSE(shows_its_certificate),
    IN_THE_HOUSE(trusts_only_the_given_authorities),
    IN_THE_HOUSE(refuses_urls_that_lead_inside),
    IN_THE_HOUSE(refuses_urls_of_other_kinds),
    IN_THE_HOUSE(refuses_fields_that_would_break_the_message),
    IN_THE_HOUSE(uses_no_proxy_of_the_environment),
    IN_THE_HOUSE(stops_at_the_size_it_was_given),
    IN_THE_HOUSE(ends_at_its_time_the_runs_deadline_or_the_clients_leaving),
    IN_THE_HOUSE(copes_with_whatever_a_peer_says),
#ifdef TB_FAULTS
    IN_THE_HOUSE(ends_a_call_at_once_that_libcurl_does_not_take),
#endif
};
TEST_GROUP(tests, NULL, NULL);
