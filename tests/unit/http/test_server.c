/* The server from outside: what reaches its owner, what it refuses by itself, how it leaves. */
#include "../unit.h"

#include "../yardstick.h"
#include "h2_client.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server_fixture server_fixture;

static int open_house(void **state)
{
    (void)state;
    server_open(&server_fixture, &(struct server_kind){.connections = 0});
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    server_close(&server_fixture);
    return 0;
}

#define assert_has(text, piece)                                                                    \
    do {                                                                                           \
        if (strstr((text), (piece)) == NULL)                                                       \
            fail_msg("no \"%s\" in \"%s\"", (piece), (text));                                      \
    } while (0)
#define assert_has_not(text, piece) assert_null(strstr((text), (piece)))

static void answers_over_both_protocols_with_and_without_tls(void **state)
{
    (void)state;
    static const struct {
        bool plain, http1;
        const char *version;
    } ways[] = {{false, false, "version=200\n"},
                {false, true, "version=101\n"},
                {true, false, "version=200\n"},
                {true, true, "version=101\n"}};
    for (size_t i = 0; i < TB_COUNT(ways); i++) {
        struct answer answer;
        ask(&server_fixture,
            &(struct asking){.path = "/echo", .plain = ways[i].plain, .http1 = ways[i].http1},
            &answer);
        assert_true(answer.answered);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.version, ways[i].http1 ? 11 : 20);
        assert_has(answer.body, ways[i].version);
        assert_has(answer.body, "peer=127.0.0.1\n");
        answer_free(&answer);
    }
}

static void tells_the_owner_what_the_client_said(void **state)
{
    (void)state;
    static const char *const headers[] = {"Authorization: Bearer abc",
                                          "Content-Type: application/json",
                                          "Idempotency-Key: \"k-1\"",
                                          "X-Request-Id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                                          "Traceparent: 00-aa-bb-01",
                                          "X-Own: own value",
                                          NULL};
    for (int http1 = 0; http1 < 2; http1++) {
        struct answer answer;
        ask(&server_fixture,
            &(struct asking){.path = "/echo/%e4%b8%ad/a%20b?x=%31&y=a+b",
                             .http1 = http1 != 0,
                             .method = "PATCH",
                             .headers = headers,
                             .body = "{\"amount\":1}"},
            &answer);
        assert_int_equal(answer.status, 200);
        assert_has(answer.body, "method=PATCH\n");
        assert_has(answer.body, "path=/echo/\xe4\xb8\xad/a b\n");
        assert_has(answer.body, "query=x=%31&y=a+b\n");
        assert_has(answer.body, "authority=localhost:");
        assert_has(answer.body, "authorization=Bearer abc\n");
        assert_has(answer.body, "content-type=application/json\n");
        assert_has(answer.body, "idempotency-key=\"k-1\"\n");
        assert_has(answer.body, "request-id=6ba7b810-9dad-11d1-80b4-00c04fd430c8\n");
        assert_has(answer.body, "traceparent=00-aa-bb-01\n");
        assert_has(answer.body, "body={\"amount\":1}\n");
        assert_has(answer.body, "x-own=own value\n");
        assert_has(answer.body, "repeated -\n");
        assert_has(answer.body, "certificate=0 verified=0\n");
        answer_free(&answer);
    }
}

static void tells_absent_from_empty(void **state)
{
    (void)state;
    struct answer answer;
    ask(&server_fixture, &(struct asking){.path = "/echo"}, &answer);
    assert_has(answer.body, "query -\n");
    assert_has(answer.body, "authorization -\n");
    assert_has(answer.body, "body -\n");
    answer_free(&answer);
    ask(&server_fixture, &(struct asking){.path = "/echo?", .method = "POST", .body = ""}, &answer);
    assert_has(answer.body, "query=\n");
    assert_has(answer.body, "method=POST\n");
    answer_free(&answer);
}

static void finds_the_aliases_of_the_usual_fields(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Idempotency-Key: old", "X-Fapi-Interaction-Id: f-1",
                                          NULL};
    struct answer answer;
    ask(&server_fixture, &(struct asking){.path = "/echo", .headers = headers}, &answer);
    assert_has(answer.body, "idempotency-key=old\n");
    assert_has(answer.body, "request-id=f-1\n");
    answer_free(&answer);
}

static void names_a_field_that_came_twice_and_keeps_the_first(void **state)
{
    (void)state;
    static const char *const headers[] = {"Authorization: Bearer one",
                                          "Authorization: Bearer two",
                                          "Idempotency-Key: a",
                                          "X-Idempotency-Key: b",
                                          "Content-Type: text/plain",
                                          "Content-Type: text/html",
                                          NULL};
    for (int http1 = 0; http1 < 2; http1++) {
        struct answer answer;
        ask(&server_fixture,
            &(struct asking){.path = "/echo", .headers = headers, .http1 = http1 != 0}, &answer);
        assert_has(answer.body, "repeated=content-type\n");
        assert_has(answer.body, "authorization=Bearer one\n");
        assert_has(answer.body, "idempotency-key=a\n");
        assert_has(answer.body, "content-type=text/plain\n");
        answer_free(&answer);
    }
}

static void serves_every_configured_host_and_no_other(void **state)
{
    (void)state;
    static const char *const id[] = {"X-Request-Id: 6BA7B810-9DAD-11D1-80B4-00C04FD430C8", NULL};
    static const char *const foreign[] = {"other.example", "api.bank.example.evil.example",
                                          "api.bank.example:81", "127.0.0.1"};
    struct answer answer;
    ask(&server_fixture, &(struct asking){.path = "/echo", .host = "API.bank.example"}, &answer);
    assert_int_equal(answer.status, 200);
    assert_has(answer.body, "authority=api.bank.example\n");
    answer_free(&answer);
    for (size_t i = 0; i < 2 * TB_COUNT(foreign); i++) {
        uint64_t begun = server_fixture.begun;
        ask(&server_fixture,
            &(struct asking){
                .path = "/echo", .host = foreign[i / 2], .http1 = i % 2 != 0, .headers = id},
            &answer);
        assert_int_equal(answer.status, 421);
        assert_int_equal(server_fixture.begun, begun);
        assert_has(answer.head, "application/problem+json");
        assert_has(answer.head, "x-request-id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        assert_has(answer.body, "\"code\":\"misdirected_request\"");
        assert_has(answer.body,
                   "\"type\":\"https://docs.bank.example/problems/misdirected_request\"");
        answer_free(&answer);
    }
}

static void refuses_targets_with_two_readings(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
    } cases[] = {
        {"/echo/../admin", 400}, {"/echo/%2e%2e/admin", 400}, {"/echo%2fadmin", 400},
        {"/echo/%00", 400},      {"/echo/%5c", 400},          {"/echo/%ff", 400},
        {"/echo/%zz", 400},      {"/echo/.well-known", 200},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct answer answer;
        ask(&server_fixture, &(struct asking){.path = cases[i].path}, &answer);
        if (answer.status != cases[i].status)
            fail_msg("%s: %d, %s", cases[i].path, answer.status, answer.why);
        answer_free(&answer);
    }
    char path[4000] = "/echo?";
    memset(path + 6, 'q', sizeof(path) - 7);
    struct answer answer;
    ask(&server_fixture, &(struct asking){.path = path}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    path[5] = '/';
    ask(&server_fixture, &(struct asking){.path = path}, &answer);
    assert_int_equal(answer.status, 414);
    answer_free(&answer);
}

static void sends_length_but_no_body_to_head(void **state)
{
    (void)state;
    for (int http1 = 0; http1 < 2; http1++) {
        struct answer answer;
        ask(&server_fixture,
            &(struct asking){.path = "/many", .method = "HEAD", .http1 = http1 != 0}, &answer);
        assert_true(answer.answered);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.body_n, 0);
        assert_non_null(strcasestr(answer.head, "content-length: 200000"));
        answer_free(&answer);
        ask(&server_fixture, &(struct asking){.path = "/204", .http1 = http1 != 0}, &answer);
        assert_true(answer.answered);
        assert_int_equal(answer.status, 204);
        assert_null(strcasestr(answer.head, "content-length"));
        assert_null(strcasestr(answer.head, "transfer-encoding"));
        answer_free(&answer);
    }
}

static void sends_large_answers_whole_with_all_fields(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct answer answer;
        ask(&server_fixture,
            &(struct asking){.path = "/many", .http1 = (way & 1) != 0, .plain = (way & 2) != 0},
            &answer);
        assert_int_equal(answer.body_n, 200000);
        for (size_t i = 0; i < answer.body_n; i++)
            assert_int_equal(answer.body[i], 'm');
        assert_has(answer.head, "x-8: 8\r\n");
        assert_has(answer.head, "retry-after: 1\r\n");
        assert_non_null(strcasestr(answer.head, "\ndate: "));
        assert_null(strcasestr(answer.head, "\nserver: "));
        answer_free(&answer);
    }
}

static void takes_bodies_up_to_the_limit(void **state)
{
    (void)state;
    static char body[1100000];
    memset(body, 'b', sizeof(body));
    struct answer answer;
    for (int way = 0; way < 4; way++) {
        ask(&server_fixture,
            &(struct asking){.path = "/echo",
                             .method = "POST",
                             .body = body,
                             .body_n = 200000,
                             .http1 = (way & 1) != 0,
                             .chunked = (way & 2) != 0},
            &answer);
        assert_int_equal(answer.status, 200);
        assert_true(answer.body_n > 200000 && answer.body_n < 201000);
        answer_free(&answer);
    }
    /* as large as the limit, but more than an arena holds beside the rest */
    for (int way = 0; way < 2; way++) {
        ask(&server_fixture,
            &(struct asking){.path = "/echo",
                             .method = "POST",
                             .body = body,
                             .body_n = 1 << 20,
                             .http1 = (way & 1) != 0},
            &answer);
        assert_int_equal(answer.status, 413);
        assert_has(answer.body, "\"code\":\"body_too_large\"");
        answer_free(&answer);
    }
    /* answered while the body still comes in */
    for (int way = 0; way < 4; way++) {
        ask(&server_fixture,
            &(struct asking){.path = "/echo",
                             .method = "POST",
                             .body = body,
                             .body_n = sizeof(body),
                             .http1 = (way & 1) != 0,
                             .chunked = (way & 2) != 0},
            &answer);
        assert_int_equal(answer.status, 413);
        assert_has(answer.head, "content-type: application/problem+json");
        assert_has(answer.body, "\"code\":\"body_too_large\"");
        answer_free(&answer);
    }
}

static void answers_503_when_the_owner_has_no_room(void **state)
{
    (void)state;
    struct answer answer;
    server_fixture.full = true;
    ask(&server_fixture, &(struct asking){.path = "/echo"}, &answer);
    server_fixture.full = false;
    assert_int_equal(answer.status, 503);
    assert_has(answer.head, "retry-after: 1");
    assert_has(answer.body, "\"retry_after\":1");
    answer_free(&answer);
}

/* ---- accepting ---- */

static size_t serve_all(const int *fds, size_t n)
{
    size_t served = 0;
    char text[512];
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0 && recv(fds[i], text, sizeof(text), MSG_DONTWAIT) > 0)
            served++;
    return served;
}

static void send_request(int fd)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "GET /404 HTTP/1.1\r\nHost: %s\r\n\r\n",
                     server_fixture.plain_host);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

static void pauses_accepting_at_the_limit_and_goes_on_when_one_leaves(void **state)
{
    (void)state;
    int fds[20];
    server_open(&server_fixture,
                &(struct server_kind){.connections = 16, .address_connections = 100});
    for (size_t i = 0; i < 20; i++) {
        fds[i] = server_dial(server_fixture.plain_port);
        send_request(fds[i]);
    }
    server_turn(&server_fixture, 100);
    assert_int_equal(tb_server_stats(server_fixture.server).connections, 16);
    assert_int_equal(serve_all(fds, 20), 16);
    close(fds[0]);
    close(fds[1]);
    server_turn(&server_fixture, 100);
    assert_int_equal(tb_server_stats(server_fixture.server).connections, 16);
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 18);
    for (size_t i = 2; i < 20; i++)
        close(fds[i]);
    server_turn(&server_fixture, 100);
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 20);
    server_close(&server_fixture);
}

static void limits_the_connections_of_one_address(void **state)
{
    (void)state;
    int fds[8];
    server_open(&server_fixture,
                &(struct server_kind){.connections = 100, .address_connections = 5});
    for (size_t i = 0; i < 8; i++) {
        fds[i] = server_dial(server_fixture.plain_port);
        send(fds[i], "GET", 3, MSG_NOSIGNAL);
    }
    server_turn(&server_fixture, 100);
    assert_int_equal(tb_server_stats(server_fixture.server).connections, 5);
    assert_int_equal(tb_server_stats(server_fixture.server).refused, 3);
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    server_close(&server_fixture);
}

static void rests_without_descriptors_and_recovers(void **state)
{
    (void)state;
    int taken[512];
    size_t n = 0;
    struct rlimit old, few = {.rlim_cur = 256};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fd = server_dial(server_fixture.plain_port);
    send_request(fd);
    while (n < 512 && (taken[n] = dup(fd)) >= 0)
        n++;
    int64_t start_us = tb_loop_us();
    server_turn(&server_fixture, 350);
    int64_t tries = 3 + (tb_loop_us() - start_us) / 100000;
    struct tb_http_stats stats = tb_server_stats(server_fixture.server);
    assert_int_equal(serve_all(&fd, 1), 0);
    assert_in_range(stats.starved, 2, tries); /* one try each 100 ms, not each turn */
    for (size_t i = 0; i < n; i++)
        close(taken[i]);
    server_turn(&server_fixture, 300);
    assert_int_equal(serve_all(&fd, 1), 1);
    close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* ---- leaving ---- */

static void drains_idle_connections_and_accepts_no_more(void **state)
{
    (void)state;
    int fds[4];
    server_open(&server_fixture, &(struct server_kind){.connections = 0});
    for (size_t i = 0; i < 4; i++) {
        fds[i] = server_dial(server_fixture.plain_port);
        send_request(fds[i]);
    }
    server_turn(&server_fixture, 50);
    assert_int_equal(serve_all(fds, 4), 4);
    int64_t start_us = tb_loop_us();
    server_drain(&server_fixture, 8000);
    int late = server_dial(server_fixture.plain_port);
    send_request(late);
    server_until(&server_fixture, &server_fixture.drained);
    assert_true(tb_loop_us() - start_us < 7500 * 1000);
    assert_int_equal(tb_server_stats(server_fixture.server).connections, 0);
    assert_int_equal(serve_all(&late, 1), 0);
    assert_int_equal(tb_server_stats(server_fixture.server).accepted, 4);
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    close(late);
    server_close(&server_fixture);
}

static void lets_requests_finish_while_it_drains(void **state)
{
    (void)state;
    for (int http1 = 0; http1 < 2; http1++) {
        struct answer answer;
        server_open(&server_fixture, &(struct server_kind){.connections = 0});
        const struct asking asking = {.path = "/wait", .http1 = http1 != 0};
        ask_begin(&server_fixture, &asking, &answer);
        for (int i = 0; i < 500 && server_fixture.waiting == NULL; i++)
            server_turn(&server_fixture, 5);
        assert_non_null(server_fixture.waiting);
        server_drain(&server_fixture, 8000);
        server_turn(&server_fixture, 2000);
        assert_false(server_fixture.drained);
        server_release(&server_fixture);
        ask_end(&server_fixture);
        assert_true(answer.answered);
        assert_string_equal(answer.body, "released");
        if (http1)
            assert_non_null(strcasestr(answer.head, "connection: close"));
        server_until(&server_fixture, &server_fixture.drained);
        answer_free(&answer);
        server_close(&server_fixture);
    }
}

static void cuts_what_is_left_when_the_grace_is_over(void **state)
{
    (void)state;
    for (int http1 = 0; http1 < 2; http1++) {
        struct answer answer;
        server_open(&server_fixture, &(struct server_kind){.connections = 0});
        const struct asking asking = {.path = "/wait", .http1 = http1 != 0};
        ask_begin(&server_fixture, &asking, &answer);
        for (int i = 0; i < 500 && server_fixture.waiting == NULL; i++)
            server_turn(&server_fixture, 5);
        int64_t start_us = tb_loop_us();
        server_drain(&server_fixture, 300);
        server_until(&server_fixture, &server_fixture.drained);
        assert_true(tb_loop_us() - start_us < stretched_ms(1500) * 1000);
        ask_end(&server_fixture);
        assert_false(answer.answered);
        answer_free(&answer);
        server_close(&server_fixture);
    }
}

#define BEFORE_AND_AFTER(test) cmocka_unit_test_setup_teardown(test, open_house, close_house)
static const struct CMUnitTest tests[] = {
    BEFORE_AND_AFTER(answers_over_both_protocols_with_and_without_tls),
    BEFORE_AND_AFTER(tells_the_owner_what_the_client_said),
    BEFORE_AND_AFTER(tells_absent_from_empty),
    BEFORE_AND_AFTER(finds_the_aliases_of_the_usual_fields),
    BEFORE_AND_AFTER(names_a_field_that_came_twice_and_keeps_the_first),
    BEFORE_AND_AFTER(serves_every_configured_host_and_no_other),
    BEFORE_AND_AFTER(refuses_targets_with_two_readings),
    BEFORE_AND_AFTER(sends_length_but_no_body_to_head),
    BEFORE_AND_AFTER(sends_large_answers_whole_with_all_fields),
    BEFORE_AND_AFTER(takes_bodies_up_to_the_limit),
    BEFORE_AND_AFTER(answers_503_when_the_owner_has_no_room),
    BEFORE_AND_AFTER(rests_without_descriptors_and_recovers),
    cmocka_unit_test(pauses_accepting_at_the_limit_and_goes_on_when_one_leaves),
    cmocka_unit_test(limits_the_connections_of_one_address),
    cmocka_unit_test(drains_idle_connections_and_accepts_no_more),
    cmocka_unit_test(lets_requests_finish_while_it_drains),
    cmocka_unit_test(cuts_what_is_left_when_the_grace_is_over),
};
TEST_GROUP(tests, NULL, NULL);
