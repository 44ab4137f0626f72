/* Clients that leave at any moment: in the middle of the handshake, of a frame, while fibers wait
 * for something on their behalf, while answers are under way. Nothing may be left behind. Worth
 * most under the address sanitizer. */
#include "../unit.h"

#include "base/assert.h"
#include "server_fixture.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { VISITS = 1000, MOST_BYTES = 8192 };

static struct server_fixture server_fixture;

/* Everything one client will send. */
struct speech {
    char bytes[MOST_BYTES];
    size_t n;
};

static void say(struct speech *speech, const char *bytes, size_t n)
{
    TB_ASSERT(speech->n + n <= MOST_BYTES);
    memcpy(speech->bytes + speech->n, bytes, n);
    speech->n += n;
}

static void say_frame(struct speech *speech, uint8_t type, uint8_t flags, uint32_t stream,
                      const char *payload, size_t n)
{
    const char head[9] = {(char)(n >> 16),      (char)(n >> 8),      (char)n,
                          (char)type,           (char)flags,         (char)(stream >> 24),
                          (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    say(speech, head, sizeof(head));
    say(speech, payload, n);
}

static void say_request(struct speech *speech, uint32_t stream, bool tls, const char *path)
{
    char block[256];
    const char *host = tls ? server_fixture.tls_host : server_fixture.plain_host;
    int n = snprintf(block, sizeof(block), "\x82%c\x01%c%s\x04%c%s", tls ? '\x87' : '\x86',
                     (char)strlen(host), host, (char)strlen(path), path);
    say_frame(speech, 1, 0x5, stream, block, (size_t)n); /* HEADERS, END_HEADERS | END_STREAM */
}

static const char *some_path(void)
{
    static const char *const paths[] = {"/slow", "/slow", "/slow", "/echo", "/many", "/404"};
    return paths[(size_t)random() % (TB_COUNT(paths))];
}

static void prepare_h2(struct speech *speech, bool tls)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    say(speech, preface, sizeof(preface) - 1);
    say_frame(speech, 4, 0, 0, "", 0);
    uint32_t streams = 1 + (uint32_t)random() % 12;
    for (uint32_t i = 0; i < streams; i++) {
        say_request(speech, 2 * i + 1, tls, some_path());
        if (random() % 6 == 0) /* and changes its mind */
            say_frame(speech, 3, 0, 2 * (uint32_t)(random() % (i + 1)) + 1, "\0\0\0\x8", 4);
    }
}

static void prepare_h1(struct speech *speech, bool tls)
{
    char text[256];
    for (long n = 1 + random() % 3; n > 0; n--) {
        int bytes = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", some_path(),
                             tls ? server_fixture.tls_host : server_fixture.plain_host);
        say(speech, text, (size_t)bytes);
    }
}

static void leave(int fd)
{
    if (random() % 2 == 0) { /* RST instead of FIN */
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(fd);
}

static void pause_a_little(void)
{
    const struct timespec ms = {.tv_nsec = random() % 4000000};
    nanosleep(&ms, NULL);
}

static void visit(SSL_CTX *context)
{
    struct speech speech = {.n = 0};
    bool tls = random() % 4 == 0, h2 = random() % 3 != 0;
    int fd = server_dial(tls ? server_fixture.tls_port : server_fixture.plain_port);
    SSL *ssl = NULL;
    if (tls) {
        static const unsigned char h2_name[] = "\2h2";
        ssl = SSL_new(context);
        SSL_set_fd(ssl, fd);
        if (h2)
            SSL_set_alpn_protos(ssl, h2_name, sizeof(h2_name) - 1);
        if (random() % 10 == 0) { /* gone within the handshake */
            SSL_free(ssl);
            send(fd, "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL);
            leave(fd);
            return;
        }
        TB_ASSERT(SSL_connect(ssl) == 1);
    }
    if (h2)
        prepare_h2(&speech, tls);
    else
        prepare_h1(&speech, tls);
    size_t cut = random() % 3 == 0 ? (size_t)random() % speech.n : speech.n;
    if (cut > 0 && tls)
        SSL_write(ssl, speech.bytes, (int)cut);
    else if (cut > 0)
        send(fd, speech.bytes, cut, MSG_NOSIGNAL);
    if (random() % 3 != 0)
        pause_a_little();
    SSL_free(ssl);
    ERR_clear_error();
    leave(fd);
}

static void visit_often(void *arg)
{
    (void)arg;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    for (int i = 0; i < VISITS; i++)
        visit(context);
    SSL_CTX_free(context);
}

static void leaves_nothing_behind_when_clients_vanish(void **state)
{
    (void)state;
    server_open(&server_fixture, &(struct server_kind){.ask_for_certificate = true});
    srandom(20260223);
    server_start(visit_often, NULL);
    server_join(&server_fixture);
    for (int i = 0; i < 200 && tb_server_stats(server_fixture.server).connections > 0; i++)
        server_turn(&server_fixture, 10);
    struct tb_http_stats stats = tb_server_stats(server_fixture.server);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.requests_open, 0);
    assert_true(stats.requests > VISITS);
    assert_int_equal(server_fixture.begun, server_fixture.freed);
    server_close(&server_fixture);
}

static void drops_answers_that_come_too_late(void **state)
{
    (void)state;
    server_open(&server_fixture, &(struct server_kind){.connections = 0});
    for (int rst = 0; rst < 2; rst++) {
        struct speech speech = {.n = 0};
        static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        say(&speech, preface, sizeof(preface) - 1);
        say_frame(&speech, 4, 0, 0, "", 0);
        say_request(&speech, 1, false, "/wait");
        say_request(&speech, 3, false, "/wait");
        int fd = server_dial(server_fixture.plain_port);
        send(fd, speech.bytes, speech.n, MSG_NOSIGNAL);
        server_turn(&server_fixture, 30);
        assert_int_equal(tb_server_stats(server_fixture.server).requests_open, 2);
        if (rst) { /* the stream alone, then the connection */
            speech.n = 0;
            say_frame(&speech, 3, 0, 1, "\0\0\0\x8", 4);
            send(fd, speech.bytes, speech.n, MSG_NOSIGNAL);
            server_turn(&server_fixture, 30);
            assert_int_equal(tb_server_stats(server_fixture.server).requests_open, 1);
        }
        close(fd);
        server_turn(&server_fixture, 30);
        assert_int_equal(tb_server_stats(server_fixture.server).requests_open, 0);
        assert_int_equal(tb_server_stats(server_fixture.server).connections, 0);
        assert_true(server_fixture.begun == server_fixture.freed + 2);
        server_release(&server_fixture);
        assert_int_equal(server_fixture.begun, server_fixture.freed);
    }
    server_close(&server_fixture);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(leaves_nothing_behind_when_clients_vanish),
    cmocka_unit_test(drops_answers_that_come_too_late),
};
TEST_GROUP(tests, NULL, NULL);
