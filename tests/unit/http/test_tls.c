/* TLS as a client sees it: who is accepted, what is refused, and what a resumed session remembers.
 */
#include "../unit.h"

#include "base/assert.h"
#include "base/time.h"
#include "http/tls.h"
#include "server_fixture.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server_fixture server_fixture;
static struct certs ca, known, expired, stranger;
static int64_t wall_ahead_ms;

int64_t __real_tb_wall_ms(void);
int64_t __wrap_tb_wall_ms(void);
int64_t __wrap_tb_wall_ms(void)
{
    return __real_tb_wall_ms() + wall_ahead_ms;
}

/* ---- a client ---- */

struct call {
    int version;               /* of TLS; 0: any */
    const struct certs *certs; /* the client's own */
    const char *suites;        /* of TLS 1.2 */
    const char *protocols;     /* ALPN, each with its length before it */
    SSL_SESSION *session;      /* to resume; afterwards the newest one */
    bool renegotiate;

    bool connected, resumed, renegotiated;
    char answer[4096];
    char server[64]; /* common name it showed */
    char suite[64];
    char protocol[16];
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct call *call = SSL_get_app_data(ssl);
    SSL_SESSION_free(call->session);
    call->session = session;
    return 1;
}

static void speak(struct call *call, SSL *ssl)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                     server_fixture.tls_host);
    SSL_write(ssl, text, n);
    size_t got = 0;
    while (got < sizeof(call->answer) - 1 &&
           (n = SSL_read(ssl, call->answer + got, (int)(sizeof(call->answer) - 1 - got))) > 0)
        got += (size_t)n;
    call->answer[got] = '\0';
}

static void run(void *arg)
{
    struct call *call = arg;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_cipher_list(context, call->suites == NULL ? "ALL" : call->suites);
    if (call->version != 0) {
        SSL_CTX_set_min_proto_version(context, call->version);
        SSL_CTX_set_max_proto_version(context, call->version);
    }
    if (call->certs != NULL) {
        TB_ASSERT(SSL_CTX_use_certificate_chain_file(context, call->certs->certificate) == 1);
        TB_ASSERT(SSL_CTX_use_PrivateKey_file(context, call->certs->key, SSL_FILETYPE_PEM) == 1);
    }
    if (call->protocols != NULL)
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)call->protocols,
                                (unsigned)strlen(call->protocols));
    SSL *ssl = SSL_new(context);
    SSL_set_app_data(ssl, call);
    int fd = server_dial(server_fixture.tls_port);
    SSL_set_fd(ssl, fd);
    if (call->session != NULL)
        SSL_set_session(ssl, call->session);
    call->connected = SSL_connect(ssl) == 1;
    if (call->connected) {
        const unsigned char *protocol;
        unsigned n;
        SSL_get0_alpn_selected(ssl, &protocol, &n);
        snprintf(call->protocol, sizeof(call->protocol), "%.*s", (int)n, protocol);
        call->resumed = SSL_session_reused(ssl) == 1;
        snprintf(call->suite, sizeof(call->suite), "%s", SSL_get_cipher_name(ssl));
        X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)),
                                  NID_commonName, call->server, sizeof(call->server));
        if (call->renegotiate)
            call->renegotiated = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1;
        speak(call, ssl);
        SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
}

static void make(struct call *call)
{
    server_start(run, call);
    server_join(&server_fixture);
}

#define assert_says(call, piece)                                                                   \
    do {                                                                                           \
        if (strstr((call)->answer, (piece)) == NULL)                                               \
            fail_msg("no \"%s\" in \"%s\"", (piece), (call)->answer);                              \
    } while (0)

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- the server_fixture, asking for certificates ---- */

static int open_house(void **state)
{
    (void)state;
    wall_ahead_ms = 0;
    /* the papers of the clients lie in the same directory as the server's: made after it */
    server_open(&server_fixture,
                &(struct server_kind){.ask_for_certificate = true, .trusts_ca = true});
    ca = server_fixture.ca;
    certs_make(&known, "known", &(struct certs_kind){.name = "known", .issuer = &ca});
    certs_make(&expired, "expired",
               &(struct certs_kind){.name = "expired", .issuer = &ca, .expired = true});
    certs_make(&stranger, "stranger", &(struct certs_kind){.name = "stranger"});
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    server_close(&server_fixture);
    return 0;
}

static void tells_verified_from_presented_certificates(void **state)
{
    (void)state;
    const struct {
        const struct certs *certs;
        bool shown, verified;
    } cases[] = {{NULL, false, false},
                 {&known, true, true},
                 {&expired, true, false},
                 {&stranger, true, false}};
    for (size_t i = 0; i < 2 * TB_COUNT(cases); i++) {
        struct call call = {.version = versions[i % 2], .certs = cases[i / 2].certs};
        make(&call);
        assert_true(call.connected);
        if (cases[i / 2].shown)
            assert_null(strstr(call.answer, "certificate=0"));
        else
            assert_says(&call, "certificate=0");
        assert_says(&call, cases[i / 2].verified ? "verified=1" : "verified=0");
        SSL_SESSION_free(call.session);
    }
}

static void remembers_the_certificate_in_a_resumed_session(void **state)
{
    (void)state;
    const struct {
        const struct certs *certs;
        const char *verdict;
    } cases[] = {{&known, "verified=1"}, {&stranger, "verified=0"}};
    for (size_t i = 0; i < 2 * TB_COUNT(cases); i++) {
        struct call first = {.version = versions[i % 2], .certs = cases[i / 2].certs};
        make(&first);
        assert_false(first.resumed);
        assert_non_null(first.session);
        /* the second time without a key of its own: the session vouches */
        struct call second = {.version = versions[i % 2], .session = first.session};
        make(&second);
        assert_true(second.connected);
        assert_true(second.resumed);
        assert_null(strstr(second.answer, "certificate=0"));
        assert_says(&second, cases[i / 2].verdict);
        SSL_SESSION_free(second.session);
    }
}

static void a_session_without_certificate_stays_without(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct call first = {.version = versions[i]};
        make(&first);
        struct call second = {.version = versions[i], .session = first.session, .certs = &known};
        make(&second);
        assert_true(second.resumed);
        assert_says(&second, "certificate=0 verified=0");
        SSL_SESSION_free(second.session);
    }
}

static void resumes_with_a_sibling_that_has_the_same_seed(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        struct call first = {.version = versions[i], .certs = &known};
        make(&first);
        close_house(state);
        open_house(state);
        struct call second = {.version = versions[i], .session = first.session};
        make(&second);
        assert_true(second.resumed);
        assert_null(strstr(second.answer, "certificate=0"));
        SSL_SESSION_free(second.session);
    }
}

static void forgets_ticket_keys_after_two_hours(void **state)
{
    (void)state;
    static const struct {
        int64_t hours;
        bool resumed;
    } cases[] = {{1, true}, {2, false}, {3, false}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct call first = {.version = TLS1_3_VERSION};
        make(&first);
        wall_ahead_ms += cases[i].hours * 3600 * 1000;
        struct call second = {.version = TLS1_3_VERSION, .session = first.session};
        make(&second);
        assert_true(second.connected);
        assert_int_equal(second.resumed, cases[i].resumed);
        SSL_SESSION_free(second.session);
    }
}

static void allows_no_early_data(void **state)
{
    (void)state;
    struct call call = {.version = TLS1_3_VERSION};
    make(&call);
    assert_int_equal(SSL_SESSION_get_max_early_data(call.session), 0);
    SSL_SESSION_free(call.session);
}

static void refuses_old_protocols_and_weak_suites(void **state)
{
    (void)state;
    static const struct call cases[] = {
        {.version = TLS1_VERSION},
        {.version = TLS1_1_VERSION},
        {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES128-SHA256"},
        {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES256-SHA"},
        {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES256-CCM"},
        {.version = TLS1_2_VERSION, .suites = "AES128-GCM-SHA256"},
        {.version = TLS1_2_VERSION, .suites = "aNULL"},
        {.version = TLS1_2_VERSION, .suites = "PSK"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct call call = cases[i];
        make(&call);
        if (call.connected)
            fail_msg("case %zu got %s", i, call.suite);
    }
    static const char *const good[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                       "ECDHE-ECDSA-AES256-GCM-SHA384",
                                       "ECDHE-ECDSA-CHACHA20-POLY1305"};
    for (size_t i = 0; i < TB_COUNT(good); i++) {
        struct call call = {.version = TLS1_2_VERSION, .suites = good[i]};
        make(&call);
        assert_true(call.connected);
        assert_string_equal(call.suite, good[i]);
        SSL_SESSION_free(call.session);
    }
}

static void refuses_renegotiation(void **state)
{
    (void)state;
    struct call call = {.version = TLS1_2_VERSION, .renegotiate = true};
    make(&call);
    assert_true(call.connected);
    assert_false(call.renegotiated);
    SSL_SESSION_free(call.session);
}

static void speaks_only_http(void **state)
{
    (void)state;
    static const struct {
        const char *offer, *protocol; /* NULL: refused */
    } cases[] = {
        {"\2h2\10http/1.1", "h2"},
        {"\10http/1.1\2h2", "h2"},
        {"\3foo\10http/1.1", "http/1.1"},
        {NULL, ""},
        {"\4smtp", NULL},
        {"\5h2-14", NULL},
        {"\3ftp\4imap", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct call call = {.protocols = cases[i].offer};
        make(&call);
        assert_int_equal(call.connected, cases[i].protocol != NULL);
        if (call.connected)
            assert_string_equal(call.protocol, cases[i].protocol);
        SSL_SESSION_free(call.session);
    }
}

static void reloads_the_certificate_or_keeps_the_old(void **state)
{
    (void)state;
    const char *why = NULL;
    struct call call = {.version = 0};
    make(&call);
    assert_string_equal(call.server, "localhost");

    certs_make(&server_fixture.certs, "server", &(struct certs_kind){.name = "renewed"});
    assert_true(tb_server_reload_tls(server_fixture.server, &why));
    struct call renewed = {.version = 0};
    make(&renewed);
    assert_string_equal(renewed.server, "renewed");

    FILE *file = fopen(server_fixture.certs.key, "w");
    fputs("not a key\n", file);
    fclose(file);
    assert_false(tb_server_reload_tls(server_fixture.server, &why));
    assert_non_null(strstr(why, server_fixture.certs.key));
    struct call kept = {.version = 0, .certs = &known};
    make(&kept);
    assert_string_equal(kept.server, "renewed");
    assert_says(&kept, "verified=1");
    SSL_SESSION_free(call.session);
    SSL_SESSION_free(renewed.session);
    SSL_SESSION_free(kept.session);
}

static void reload_takes_new_anchors(void **state)
{
    (void)state;
    const char *why = NULL;
    struct certs other, theirs;
    certs_make(&other, "ca", &(struct certs_kind){.name = "other", .authority = true});
    certs_make(&theirs, "theirs", &(struct certs_kind){.name = "theirs", .issuer = &other});
    struct call before = {.certs = &theirs};
    make(&before);
    assert_says(&before, "verified=0");
    assert_true(tb_server_reload_tls(server_fixture.server, &why));
    struct call after = {.certs = &theirs}, old = {.certs = &known};
    make(&after);
    assert_says(&after, "verified=1");
    make(&old);
    assert_says(&old, "verified=0");
    SSL_SESSION_free(before.session);
    SSL_SESSION_free(after.session);
    SSL_SESSION_free(old.session);
}

static void does_not_ask_for_a_certificate_unless_told(void **state)
{
    close_house(state);
    server_open(&server_fixture, &(struct server_kind){.connections = 0});
    certs_make(&stranger, "stranger", &(struct certs_kind){.name = "stranger"});
    struct call call = {.certs = &stranger};
    make(&call);
    assert_says(&call, "certificate=0 verified=0");
    SSL_SESSION_free(call.session);
}

static void says_why_files_cannot_be_used(void **state)
{
    (void)state;
    const struct {
        struct tb_tls_files files;
        const char *named;
    } cases[] = {
        {{.certificate = "/nowhere/c.pem", .key = known.key}, "/nowhere/c.pem"},
        {{.certificate = known.certificate, .key = "/nowhere/k.pem"}, "/nowhere/k.pem"},
        {{.certificate = known.certificate, .key = stranger.key}, stranger.key},
        {{.certificate = known.certificate, .key = known.key, .client_ca = "/nowhere/ca.pem"},
         "/nowhere/ca.pem"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        const char *why = NULL;
        assert_null(tb_tls_new(&cases[i].files, &why));
        if (strstr(why, cases[i].named) == NULL)
            fail_msg("%s", why);
    }
}

#define IN_THE_HOUSE(test) cmocka_unit_test_setup_teardown(test, open_house, close_house)
static const struct CMUnitTest tests[] = {
    IN_THE_HOUSE(tells_verified_from_presented_certificates),
    IN_THE_HOUSE(remembers_the_certificate_in_a_resumed_session),
    IN_THE_HOUSE(a_session_without_certificate_stays_without),
    IN_THE_HOUSE(resumes_with_a_sibling_that_has_the_same_seed),
    IN_THE_HOUSE(forgets_ticket_keys_after_two_hours),
    IN_THE_HOUSE(allows_no_early_data),
    IN_THE_HOUSE(refuses_old_protocols_and_weak_suites),
    IN_THE_HOUSE(refuses_renegotiation),
    IN_THE_HOUSE(speaks_only_http),
    IN_THE_HOUSE(reloads_the_certificate_or_keeps_the_old),
    IN_THE_HOUSE(reload_takes_new_anchors),
    IN_THE_HOUSE(does_not_ask_for_a_certificate_unless_told),
    IN_THE_HOUSE(says_why_files_cannot_be_used),
};
TEST_GROUP(tests, NULL, NULL);
