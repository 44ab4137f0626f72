/* The keys of clients: which of a set are used and found, and how they are fetched from a server
 * that may be slow, wrong or gone. */
#include "../unit.h"

#include "base/json.h"
#include "crypto/jose.h"
#include "oauth/client/jwks.h"
#include "oauth_fixture.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VISITORS = 16, ANSWER_ROOM = 256 * 1024 };

static struct fixture fixture;
static struct tb_arena *arena;
static struct tb_key *first, *second;

/* ---- a server that says what the test likes ---- */

static struct {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic int asked;
    _Atomic int slow_ms;
    pthread_mutex_t lock;
    char answer[ANSWER_ROOM]; /* whole, head and body */
} shelf = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void serve_one(int fd)
{
    char request[4096];
    ssize_t n = read(fd, request, sizeof(request));
    if (n <= 0)
        return;
    shelf.asked++;
    usleep((useconds_t)shelf.slow_ms * 1000);
    pthread_mutex_lock(&shelf.lock);
    size_t left = strlen(shelf.answer);
    for (const char *at = shelf.answer; left > 0 && n > 0; at += n, left -= (size_t)n)
        n = send(fd, at, left, MSG_NOSIGNAL);
    pthread_mutex_unlock(&shelf.lock);
}

static void *serve(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(shelf.fd, NULL, NULL)) >= 0; close(fd))
        serve_one(fd);
    return NULL;
}

static void open_shelf(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    shelf.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(shelf.fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(shelf.fd, 32), 0);
    assert_int_equal(getsockname(shelf.fd, (struct sockaddr *)&address, &n), 0);
    shelf.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&shelf.thread, NULL, serve, NULL), 0);
}

static void close_shelf(void)
{
    shutdown(shelf.fd, SHUT_RDWR);
    pthread_join(shelf.thread, NULL);
    close(shelf.fd);
}

static void put(const char *status, const char *body)
{
    pthread_mutex_lock(&shelf.lock);
    snprintf(shelf.answer, sizeof(shelf.answer),
             "HTTP/1.1 %s\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s", status,
             strlen(body), body);
    pthread_mutex_unlock(&shelf.lock);
}

/* ---- sets ---- */

static const char *set_of(struct tb_key *one, struct tb_key *other)
{
    const char *more = other == NULL ? "" : tb_key_write_jwk(other, TB_JWK_PUBLIC, arena).at;
    return tb_arena_format(arena, "{\"keys\":[%s%s%s]}",
                           tb_key_write_jwk(one, TB_JWK_PUBLIC, arena).at, other == NULL ? "" : ",",
                           more)
        .at;
}

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, true);
    arena = tb_arena_new(TB_ARENA_CAP * 16);
    first = tb_key_make(TB_ALG_ES256);
    second = tb_key_make(TB_ALG_ES256);
    open_shelf();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_shelf();
    tb_key_free(first);
    tb_key_free(second);
    tb_arena_free(arena);
    fixture_close(&fixture);
    return 0;
}

static int empty_tables(void **state)
{
    (void)state;
    pg_do(&fixture.pg, "truncate oauth.jwks");
    fixture.settings.oauth_private_addresses = true;
    shelf.asked = 0;
    shelf.slow_ms = 0;
    put("200 OK", set_of(first, NULL));
    return 0;
}

static void passes_over_what_is_not_ours_to_use(void **state)
{
    (void)state;
    const char *good = tb_key_write_jwk(first, TB_JWK_PUBLIC, arena).at;
    const char *secret = tb_key_write_jwk(second, TB_JWK_PRIVATE, arena).at;
    struct tb_str text = tb_arena_format(
        arena,
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},7,null,{\"kty\":\"EC\",\"crv\":\"P-384\"},%s,"
        "{\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"x\",\"e\":\"AQAB\"},%s]}",
        secret, good);
    struct tb_client_keys *keys = tb_client_keys_read(text);
    assert_non_null(tb_client_keys_find(keys, tb_key_kid(first), TB_ALG_ES256));
    assert_non_null(tb_client_keys_find(keys, TB_STR_NONE, TB_ALG_ES256));
    assert_null(tb_client_keys_find(keys, tb_key_kid(first), TB_ALG_PS256));
    assert_null(tb_client_keys_find(keys, tb_key_kid(second), TB_ALG_ES256));
    assert_null(tb_client_keys_find(keys, TB_STR(""), TB_ALG_ES256));
    tb_client_keys_drop(keys);
}

static void with_two_keys_a_token_must_name_one(void **state)
{
    (void)state;
    struct tb_client_keys *keys = tb_client_keys_read(tb_str(set_of(first, second)));
    assert_null(tb_client_keys_find(keys, TB_STR_NONE, TB_ALG_ES256));
    assert_non_null(tb_client_keys_find(keys, tb_key_kid(second), TB_ALG_ES256));
    tb_client_keys_drop(keys);
}

static void of_keys_with_one_kid_the_algorithm_decides(void **state)
{
    (void)state;
    struct tb_key *other = tb_key_make(TB_ALG_ED25519);
    char *jwk = tb_arena_text(arena, tb_key_write_jwk(other, TB_JWK_PUBLIC, arena).at,
                              tb_key_write_jwk(other, TB_JWK_PUBLIC, arena).n);
    char *kid = strstr(jwk, tb_key_kid(other).at);
    memcpy(kid, tb_key_kid(first).at, tb_key_kid(first).n);
    struct tb_str text = tb_arena_format(arena, "{\"keys\":[%s,%s]}", jwk,
                                         tb_key_write_jwk(first, TB_JWK_PUBLIC, arena).at);
    struct tb_client_keys *keys = tb_client_keys_read(text);
    struct tb_key *found = tb_client_keys_find(keys, tb_key_kid(first), TB_ALG_ES256);
    assert_true(tb_str_eq(tb_key_thumbprint(found), tb_key_thumbprint(first)));
    found = tb_client_keys_find(keys, tb_key_kid(first), TB_ALG_ED25519);
    assert_true(tb_str_eq(tb_key_thumbprint(found), tb_key_thumbprint(other)));
    tb_client_keys_drop(keys);
    tb_key_free(other);
}

static void what_is_no_set_has_no_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {
        NULL, "", "x", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[],\"keys\":[]}"};
    for (size_t i = 0; i < TB_COUNT(texts); i++) {
        struct tb_client_keys *keys = tb_client_keys_read(tb_str(texts[i]));
        assert_null(tb_client_keys_find(keys, TB_STR_NONE, TB_ALG_ES256));
        assert_false(tb_client_keys_certificate(keys, TB_STR("x")));
        tb_client_keys_drop(keys);
    }
}

static void a_set_is_parsed_once_and_outlives_its_place_in_the_cache(void **state)
{
    (void)state;
    struct tb_str text = tb_str(set_of(first, NULL));
    struct tb_client_keys *keys = tb_client_keys_read(text), *again = tb_client_keys_read(text);
    assert_ptr_equal(keys, again);
    tb_client_keys_drop(again);
    for (int i = 0; i < 5000; i++) /* displaces whatever there is */
        tb_client_keys_drop(tb_client_keys_read(tb_arena_format(arena, "{\"keys\":[%d]}", i)));
    again = tb_client_keys_read(text);
    assert_ptr_not_equal(keys, again);
    assert_non_null(tb_client_keys_find(keys, tb_key_kid(first), TB_ALG_ES256));
    tb_client_keys_drop(keys);
    tb_client_keys_drop(again);
}

static void looks_at_a_jws_without_believing_it(void **state)
{
    (void)state;
    struct tb_str token = tb_jose_sign(first, "JWT", TB_STR("{\"sub\":\"x\"}"), arena);
    assert_true(tb_str_eq(tb_json_str(tb_jws_peek(arena, token, 0), "kid"), tb_key_kid(first)));
    assert_true(tb_str_eq(tb_json_str(tb_jws_peek(arena, token, 1), "sub"), TB_STR("x")));
    static const char *const bad[] = {NULL, "", ".", "..", "a", "e30", "e30.", "W10.W10."};
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        assert_null(tb_jws_peek(arena, tb_str(bad[i]), 1));
    assert_non_null(tb_jws_peek(arena, TB_STR("e30"), 0));
}

/* ---- by uri ---- */

struct looking {
    struct visit visit; /* first */
    char url[128];
    struct tb_str token;
    struct tb_key *expected;
    bool found;
};

/* The client as the database has it at this moment. */
static tb_err TB_SUSPENDS read_document(struct tb_req *req, struct tb_oauth_client *client)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows,
                    "select body, extract(epoch from fetched_at)::bigint from oauth.jwks "
                    "where uri = $1",
                    TB_TEXT(client->jwks_uri)));
    if (rows->n > 0) {
        client->fetched = tb_cell(rows, 0, 0);
        client->fetched_s = tb_cell_int(rows, 0, 1);
    }
    return NULL;
}

static tb_err TB_SUSPENDS act(struct visit *visit)
{
    struct looking *looking = (struct looking *)visit;
    struct tb_oauth_client client = {.jwks_uri = tb_str(looking->url)};
    struct tb_client_keys *keys;
    struct tb_req *req = &visit->run.req;
    TB_TRY(read_document(req, &client));
    TB_TRY(tb_oauth_client_keys(req, &client, looking->token, &keys));
    assert_null(
        visit->run.problem.detail.at); /* a server of theirs that fails is not our failure */
    looking->found = tb_client_keys_find(keys, tb_key_kid(looking->expected), TB_ALG_ES256) != NULL;
    return NULL;
}

static struct looking looking_for(struct tb_key *key)
{
    struct looking looking = {.expected = key,
                              .token = tb_jose_sign(key, "JWT", TB_STR("{}"), arena)};
    snprintf(looking.url, sizeof(looking.url), "http://127.0.0.1:%u/keys", shelf.port);
    return looking;
}

static bool finds(struct tb_key *key)
{
    struct looking looking = looking_for(key);
    assert_string_equal(fixture_do(&fixture, &looking.visit, act), "ok");
    return looking.found;
}

/* Whether the shelf has been asked so often, in a while: nobody waits for what is not needed. */
static bool asked_becomes(int n)
{
    for (int i = 0; i < 500 && (shelf.asked < n || tb_fiber_stats(fixture.loop).live > 0); i++)
        tb_loop_turn(fixture.loop, 10);
    return shelf.asked == n;
}

static void fetches_once_in_five_minutes(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(finds(first));
    pg_do(&fixture.pg, "update oauth.jwks set fetched_at = fetched_at - interval '290 s', "
                       "tried_at = tried_at - interval '290 s'");
    assert_true(finds(first));
    assert_int_equal(shelf.asked, 1);
    pg_do(&fixture.pg, "update oauth.jwks set fetched_at = fetched_at - interval '11 s', "
                       "tried_at = tried_at - interval '11 s'");
    assert_true(finds(first));
    assert_true(asked_becomes(2));
    assert_true(finds(first));
    assert_true(asked_becomes(2));
}

static void a_new_kid_is_looked_for_once_in_thirty_seconds(void **state)
{
    (void)state;
    assert_true(finds(first));
    put("200 OK", set_of(first, second));
    for (int i = 0; i < 3; i++)
        assert_false(finds(second));
    assert_int_equal(shelf.asked, 1);
    pg_do(&fixture.pg, "update oauth.jwks set tried_at = tried_at - interval '31 s'");
    assert_true(finds(second));
    assert_true(finds(second));
    assert_true(finds(first));
    assert_int_equal(shelf.asked, 2);
}

static void many_who_ask_at_once_wait_for_one_fetch(void **state)
{
    (void)state;
    static struct looking lookings[VISITORS];
    shelf.slow_ms = 200;
    for (int i = 0; i < VISITORS; i++) {
        lookings[i] = looking_for(first);
        fixture_start(&fixture, &lookings[i].visit, act);
    }
    for (int i = 0; i < VISITORS; i++) {
        fixture_wait(&fixture, &lookings[i].visit, 1);
        assert_true(lookings[i].found);
    }
    assert_int_equal(shelf.asked, 1);
}

/* What a request that waits costs the database: every turn that is asked for is counted. */
static void who_waits_asks_the_database_nothing(void **state)
{
    (void)state;
    static struct looking lookings[VISITORS];
    pg_do(&fixture.pg,
          "create sequence turns;"
          "create function count_turn() returns trigger language plpgsql as "
          "$$ begin perform nextval('public.turns'); return null; end $$;"
          "create trigger turns before insert on oauth.jwks execute function count_turn()");
    shelf.slow_ms = 200;
    for (int i = 0; i < VISITORS; i++) {
        lookings[i] = looking_for(first);
        fixture_start(&fixture, &lookings[i].visit, act);
    }
    for (int i = 0; i < VISITORS; i++) {
        fixture_wait(&fixture, &lookings[i].visit, 1);
        assert_true(lookings[i].found);
    }
    assert_int_equal(pg_number(&fixture.pg, "select last_value from turns"), 1);
    pg_do(&fixture.pg, "drop trigger turns on oauth.jwks");
}

static int count(const struct looking *lookings, int n, const char *code)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        found += lookings[i].visit.err != NULL && strcmp(lookings[i].visit.err->code, code) == 0;
    return found;
}

static void no_more_wait_than_may(void **state)
{
    (void)state;
    static struct looking lookings[8];
    struct looking elsewhere = looking_for(first);
    shelf.slow_ms = 200;
    fixture.settings.limits_jwks_waiters_host = 4;
    for (int i = 0; i < 8; i++) {
        lookings[i] = looking_for(first);
        fixture_start(&fixture, &lookings[i].visit, act);
    }
    snprintf(elsewhere.url, sizeof(elsewhere.url), "http://localhost:%u/keys", shelf.port);
    fixture_start(&fixture, &elsewhere.visit, act);
    for (int i = 0; i < 8; i++)
        fixture_wait(&fixture, &lookings[i].visit, 1);
    fixture_wait(&fixture, &elsewhere.visit, 1);
    assert_int_equal(count(lookings, 8, "overloaded"), 4);
    assert_true(elsewhere.found); /* another host's are not theirs to hold up */
    for (int i = 0; i < 8; i++)
        if (lookings[i].visit.err != NULL)
            assert_true(lookings[i].visit.run.problem.retry_after_s > 0);
    fixture.settings.limits_jwks_waiters_host = 32;
}

/* Documents of one host that are fetched at a time. */
static void no_more_are_fetched_of_a_host_than_may(void **state)
{
    (void)state;
    static struct looking lookings[8];
    shelf.slow_ms = 200;
    for (int i = 0; i < 8; i++) {
        lookings[i] = looking_for(first);
        snprintf(lookings[i].url, sizeof(lookings[i].url), "http://127.0.0.1:%u/keys?%d",
                 shelf.port, i);
        fixture_start(&fixture, &lookings[i].visit, act);
    }
    for (int i = 0; i < 8; i++)
        fixture_wait(&fixture, &lookings[i].visit, 1);
    assert_int_equal(count(lookings, 8, "overloaded"), 8 - fixture.settings.limits_outbound_host);
    assert_int_equal(shelf.asked, fixture.settings.limits_outbound_host);
}

static void while_the_server_is_gone_the_last_answer_counts_for_an_hour(void **state)
{
    (void)state;
    assert_true(finds(first));
    put("503 Service Unavailable", "");
    pg_do(&fixture.pg, "update oauth.jwks set fetched_at = now() - interval '59 min', "
                       "tried_at = now() - interval '59 min'");
    assert_true(finds(first));
    assert_true(asked_becomes(2));
    assert_true(finds(first));
    assert_true(asked_becomes(2));
    pg_do(&fixture.pg, "update oauth.jwks set fetched_at = now() - interval '61 min', "
                       "tried_at = now() - interval '61 min'");
    assert_false(finds(first));
    assert_int_equal(shelf.asked, 3);
}

static void a_turn_that_was_never_ended_is_over_after_a_while(void **state)
{
    (void)state;
    struct looking looking = looking_for(first);
    pg_do(&fixture.pg, tb_arena_format(arena,
                                       "insert into oauth.jwks values ('%s', null, null, now() - "
                                       "interval '31 s', true)",
                                       looking.url)
                           .at);
    assert_true(finds(first));
    assert_int_equal(shelf.asked, 1);
}

static void takes_no_answer_that_is_not_a_set(void **state)
{
    (void)state;
    static char large[TB_JWKS_BYTES_MAX + 1024];
    memset(large, ' ', sizeof(large) - 1);
    const char *good = set_of(first, NULL);
    memcpy(large, good, strlen(good));
    const char *const bad[][2] = {
        {"404 Not Found", good},        {"302 Found\r\nlocation: /other", good},
        {"204 No Content", ""},         {"200 OK", "{}"},
        {"200 OK", "<html></html>"},    {"200 OK", ""},
        {"200 OK", "{\"keys\":\"x\"}"}, {"200 OK", large},
        {"201 Created", good},
    };
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        pg_do(&fixture.pg, "truncate oauth.jwks");
        put(bad[i][0], bad[i][1]);
        if (finds(first))
            fail_msg("taken: %s %.40s", bad[i][0], bad[i][1]);
    }
    assert_int_equal(
        pg_number(&fixture.pg, "select count(*) from oauth.jwks where body is not null"), 0);
}

static void reaches_no_private_address_unless_told_so(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "http://127.0.0.1:%u/keys",
        "https://127.0.0.1/%u",
        "https://localhost/%u",
        "https://[::1]:%u/keys",
        "https://2130706433:%u/keys",
        "https://169.254.169.254/%u",
        "https://10.0.0.1/%u",
        "file:///etc/passwd?%u",
        "ftp://bank.example/%u",
        "https://user@127.0.0.1:%u",
        "nonsense %u",
    };
    fixture.settings.oauth_private_addresses = false;
    for (size_t i = 0; i < TB_COUNT(urls); i++) {
        struct looking looking = looking_for(first);
        snprintf(looking.url, sizeof(looking.url), "%s",
                 tb_arena_format(arena, "%.*s%u%s", (int)(strchr(urls[i], '%') - urls[i]), urls[i],
                                 shelf.port, strchr(urls[i], '%') + 2)
                     .at);
        assert_string_equal(fixture_do(&fixture, &looking.visit, act), "ok");
        assert_false(looking.found);
    }
    assert_int_equal(shelf.asked, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, empty_tables)

static const struct CMUnitTest tests[] = {
    TEST(passes_over_what_is_not_ours_to_use),
    TEST(with_two_keys_a_token_must_name_one),
    TEST(of_keys_with_one_kid_the_algorithm_decides),
    TEST(what_is_no_set_has_no_keys),
    TEST(a_set_is_parsed_once_and_outlives_its_place_in_the_cache),
    TEST(looks_at_a_jws_without_believing_it),
    TEST(fetches_once_in_five_minutes),
    TEST(a_new_kid_is_looked_for_once_in_thirty_seconds),
    TEST(many_who_ask_at_once_wait_for_one_fetch),
    TEST(who_waits_asks_the_database_nothing),
    TEST(no_more_wait_than_may),
    TEST(no_more_are_fetched_of_a_host_than_may),
    TEST(while_the_server_is_gone_the_last_answer_counts_for_an_hour),
    TEST(a_turn_that_was_never_ended_is_over_after_a_while),
    TEST(takes_no_answer_that_is_not_a_set),
    TEST(reaches_no_private_address_unless_told_so),
};
TEST_GROUP(tests, set_up, tear_down);
