/* Notifications of ping mode, as a client's server sees them: one for each decision, tried again
 * when the server is not well, and nowhere else than registered. */
#include "../unit.h"

#include "../yardstick.h"
#include "oauth/request/backchannel.h"
#include "oauth/request/ping.h"
#include "par_fixture.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS_MAX = 16, CALL_BYTES = 4096 };

/* A client's server: a thread that writes down what it is sent and answers as it was told, one
 * answer after another, the last for all that follow. */
static struct {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic(const char *const *) answers;
    char calls[CALLS_MAX][CALL_BYTES];
    _Atomic int calls_n;
    _Atomic bool closed;
} server;

static struct scene scene;

static void answer(int fd, const char *status)
{
    char head[300];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %s\r\nlocation: http://127.0.0.1:%d/elsewhere\r\ncontent-length: "
                     "0\r\nconnection: close\r\n\r\n",
                     status, server.port);
    assert_int_equal(write(fd, head, (size_t)n), n);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(server.fd, NULL, NULL);
        if (server.closed || fd < 0)
            return NULL;
        char *call = server.calls[server.calls_n % CALLS_MAX];
        size_t n = 0;
        ssize_t got;
        call[0] = '\0';
        while (strstr(call, "\r\n\r\n{") == NULL || strchr(call, '}') == NULL) {
            got = read(fd, call + n, CALL_BYTES - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
            call[n] = '\0';
        }
        /* The count first: who has the answer looks at it. */
        const char *const *answers = server.answers;
        if (answers[1] != NULL)
            server.answers = answers + 1;
        server.calls_n++;
        answer(fd, answers[0]);
        close(fd);
    }
}

static int set_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    (void)state;
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(server.fd, 16), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &n), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    scene_open(&scene);
    scene.fixture.settings.oauth_private_addresses = true;
    tb_backchannel_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server.closed = true;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    scene_close(&scene);
    return 0;
}

/* A request that the customer decides at once; the server will answer so. */
static const char *decided(const char *const *answers, const char *url, bool approve)
{
    static const struct param params[] = {{"scope", "openid"},
                                          {"login_hint", "wei@w7"},
                                          {"binding_message", "W4SCT"},
                                          {"client_notification_token", "8d67dc78.7faa/4d41=="},
                                          {NULL, NULL}};
    server.answers = answers;
    server.calls_n = 0;
    scene_client(
        &scene, tb_arena_format(scene.arena,
                                ",\"grant_types\":[\"urn:openid:params:grant-type:ciba\"],"
                                "\"scope\":\"openid\",\"backchannel_token_delivery_mode\":\"ping\","
                                "\"backchannel_client_notification_endpoint\":\"%s\"",
                                url)
                    .at);
    const struct answered *answered = post(&scene, "/oauth/backchannel",
                                           form_text(&scene, params, NULL), NULL);
    expect(answered, "ok", "", "asking");
    const char *id = json_string_value(json_object_get(answered->json, "auth_req_id"));
    id = tb_arena_text(scene.arena, id, strlen(id));
    pg_do(&scene.fixture.pg,
          approve ? "select oauth.backchannel_decide(digest, '" CUSTOMER "', true, 'grn_1', now()) "
                    "from oauth.backchannel"
                  : "select oauth.backchannel_decide(digest, '" CUSTOMER "', false, null, now()) "
                    "from oauth.backchannel");
    return id;
}

static const char *here(const char *path)
{
    return tb_arena_format(scene.arena, "http://127.0.0.1:%d%s", server.port, path).at;
}

/* Take turns until the row says so, ten seconds at most; false when it never does. */
static bool comes_true(const char *condition)
{
    const char *sql = tb_arena_format(scene.arena,
                                      "select count(*) from oauth.backchannel where %s", condition)
                          .at;
    int64_t until_us = tb_loop_us() + 1000 * stretched_ms(10000);
    while (tb_loop_us() < until_us) {
        for (int i = 0; i < 5; i++)
            tb_loop_turn(scene.fixture.loop, 20);
        if (pg_number(&scene.fixture.pg, sql) == 1)
            return true;
    }
    return false;
}

static void tells_the_client_once(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    for (int approve = 0; approve < 2; approve++) {
        const char *id = decided(answers, here("/cb?a=b"), approve);
        assert_true(comes_true("notification is null and notify_at is null"));
        assert_int_equal(server.calls_n, 1);
        assert_int_equal(strncmp(server.calls[0], "POST /cb?a=b HTTP/", 18), 0);
        assert_non_null(strstr(server.calls[0], "uthorization: Bearer 8d67dc78.7faa/4d41==\r\n"));
        assert_non_null(strstr(server.calls[0], "ontent-type: application/json\r\n"));
        struct tb_str body = tb_arena_format(scene.arena, "\r\n\r\n{\"auth_req_id\":\"%s\"}", id);
        assert_non_null(strstr(server.calls[0], body.at));
    }
}

static void takes_other_answers_as_final(void **state)
{
    (void)state;
    static const char *const answers[][2] = {
        {"200 OK", NULL},        {"401 Unauthorized", NULL},       {"403 Forbidden", NULL},
        {"404 Not Found", NULL}, {"307 Temporary Redirect", NULL}, {"302 Found", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(answers); i++) {
        decided(answers[i], here("/cb"), true);
        if (!comes_true("notification is null and notified_n = 1"))
            fail_msg("%s is not final", answers[i][0]);
        assert_int_equal(server.calls_n, 1);
    }
}

static void tries_again_a_few_times_when_the_server_fails(void **state)
{
    (void)state;
    static const char *const answers[] = {"503 Service Unavailable", "200 OK", NULL};
    static const char *const never[] = {"500 Internal Server Error", NULL};
    decided(answers, here("/cb"), true);
    assert_true(comes_true("notify_at > now() and notified_n = 1"));
    assert_true(comes_true("notification is null and notified_n = 2")); /* some 2 s later */
    assert_int_equal(server.calls_n, 2);
    decided(never, here("/cb"), true);
    for (int n = 1; n < 4; n++) { /* put back, no longer taken: that would last for 30 s */
        char condition[128];
        snprintf(condition, sizeof(condition),
                 "notified_n = %d and notify_at - now() not between interval '20 s' and '30 s'", n);
        assert_true(comes_true(condition));
        pg_do(&scene.fixture.pg, "update oauth.backchannel set notify_at = now() - interval '1 s'");
    }
    assert_true(comes_true("notification is null and notify_at is null and notified_n = 4"));
}

/* What a worker that died in between leaves is a row that was taken and not put back. */
static void sends_what_a_dead_worker_had_taken(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    decided(answers, here("/cb"), true);
    pg_do(&scene.fixture.pg, "select oauth.take_notifications(now(), interval '2 s', 1, 1, 1)");
    assert_true(comes_true("notification is null and notified_n = 2"));
    assert_int_equal(server.calls_n, 1);
}

static void reaches_no_private_address_unless_it_is_set(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    scene.fixture.settings.oauth_private_addresses = false;
    decided(answers, here("/cb"), true);
    assert_true(comes_true("notify_at > now() and notified_n = 1"));
    assert_int_equal(server.calls_n, 0);
    scene.fixture.settings.oauth_private_addresses = true;
}

/* A server that takes connections and never answers. */
static int black_hole(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

/* A second client, with `n` notifications of it that were due before that of the first. */
static void neighbour(const char *url, int n)
{
    pg_do(&scene.fixture.pg,
          tb_arena_format(
              scene.arena,
              "insert into oauth.client (app, metadata, created_at, updated_at) select '" OTHER
              "', metadata || jsonb_build_object('backchannel_client_notification_endpoint', '%s'),"
              " now(), now() from oauth.client where app = '" CLIENT "'",
              url)
              .at);
    for (int i = 1; i <= n; i++) {
        struct tb_str digest = tb_arena_format(scene.arena, "%02d%041d", i, 0);
        struct tb_str sealed = tb_ping_seal(scene.arena, digest, TB_STR("id"), TB_STR("token"));
        pg_do(
            &scene.fixture.pg,
            tb_arena_format(
                scene.arena,
                "insert into oauth.backchannel (digest, client, book, world, user_id, params, state,"
                " grant_id, interval_s, created_at, expires_at, decided_at, notification,"
                " notify_at) select '%s', '" OTHER
                "', book, world, user_id, params, state, grant_id,"
                " interval_s, created_at, expires_at, decided_at, '%s', now() - interval '1 min' "
                "from oauth.backchannel where client = '" CLIENT "'",
                digest.at, sealed.at)
                .at);
    }
}

static int64_t taken(void)
{
    return pg_number(
        &scene.fixture.pg,
        "select count(*) from oauth.take_notifications(now(), interval '30 s', 100, 2, 3)");
}

static void a_client_and_a_host_have_their_shares(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    decided(answers, "https://one.example/cb", true);
    neighbour("https://one.example:443/other", 5);
    assert_int_equal(taken(), 3); /* two of the neighbour's, and the first's own */
    assert_int_equal(taken(), 0); /* as many as may be are being sent */
    assert_int_equal(pg_number(&scene.fixture.pg, "select count(*) from oauth.backchannel where "
                                                  "client = '" CLIENT "' and taken_until > now()"),
                     1);
    pg_do(&scene.fixture.pg, "select oauth.put_notification(digest, null) from oauth.backchannel "
                             "where digest like '01%'");
    assert_int_equal(taken(), 1); /* the next in order */
    assert_int_equal(pg_number(&scene.fixture.pg, "select count(*) from oauth.backchannel where "
                                                  "digest like '03%' and taken_until > now()"),
                     1);
    pg_do(&scene.fixture.pg,
          "update oauth.client set metadata = metadata || "
          "'{\"backchannel_client_notification_endpoint\": \"https://ONE.example/cb\"}';"
          "update oauth.backchannel set taken_until = null, notify_at = now() - interval '1 s' "
          "where notification is not null");
    assert_int_equal(taken(), 3); /* a host is one, whichever clients' it is */
    pg_do(&scene.fixture.pg, "delete from oauth.backchannel");
}

static void a_server_that_never_answers_delays_its_own_only(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    uint16_t port;
    int hole = black_hole(&port);
    decided(answers, here("/cb"), true);
    neighbour(tb_arena_format(scene.arena, "http://127.0.0.1:%d/never", port).at, 20);
    assert_true(comes_true("client = '" CLIENT "' and notification is null"));
    assert_int_equal(server.calls_n, 1);
    assert_int_equal(pg_number(&scene.fixture.pg, "select count(*) from oauth.backchannel "
                                                  "where client = '" OTHER "' and notified_n > 0"),
                     scene.fixture.settings.limits_outbound_client);
    pg_do(&scene.fixture.pg, "delete from oauth.backchannel");
    close(hole);
}

static void who_is_no_longer_to_be_notified_is_not(void **state)
{
    (void)state;
    static const char *const answers[] = {"204 No Content", NULL};
    static const char *const losses[] = {
        "update oauth.client set metadata = metadata || "
        "'{\"backchannel_token_delivery_mode\": \"poll\"}'",
        "update oauth.client set metadata = metadata || '{\"grant_types\": [\"refresh_token\"]}'",
        "update oauth.client set metadata = metadata - 'backchannel_client_notification_endpoint'",
        "update bank.app set state = 'suspended' where id = '" CLIENT "'",
    };
    for (size_t i = 0; i < TB_COUNT(losses); i++) {
        decided(answers, here("/cb"), true);
        pg_do(&scene.fixture.pg, losses[i]);
        if (!comes_true("notification is null and notify_at is null and notified_n = 1"))
            fail_msg("%s", losses[i]);
        assert_int_equal(server.calls_n, 0);
    }
    pg_do(&scene.fixture.pg, "update bank.app set state = 'active'");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tells_the_client_once),
    cmocka_unit_test(takes_other_answers_as_final),
    cmocka_unit_test(tries_again_a_few_times_when_the_server_fails),
    cmocka_unit_test(sends_what_a_dead_worker_had_taken),
    cmocka_unit_test(reaches_no_private_address_unless_it_is_set),
    cmocka_unit_test(a_client_and_a_host_have_their_shares),
    cmocka_unit_test(a_server_that_never_answers_delays_its_own_only),
    cmocka_unit_test(who_is_no_longer_to_be_notified_is_not),
};
TEST_GROUP(tests, set_up, tear_down);
