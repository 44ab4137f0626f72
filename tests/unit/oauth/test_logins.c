/* Users and what slows down who guesses: marks of browsers, counters by address, users' forms. */
#include "../unit.h"

#include "crypto/password.h"
#include "oauth/user/device.c"
#include "oauth/user/throttle.h"
#include "oauth/user/user.h"
#include "par_fixture.h"
#include <stdio.h>
#include <string.h>

#define LOGIN "wei@w7"

static struct scene scene;

static int set_up(void **state)
{
    (void)state;
    scene_open(&scene);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_close(&scene);
    return 0;
}

/* ---- marks of browsers ---- */

struct marking {
    struct visit visit;         /* first */
    const char *login, *cookie; /* cookie: without its name; NULL: what was given last */
    const char *issued;         /* of a mark with a right code, made by hand; NULL: none is made */
    bool known;
};

static char given[256]; /* the latest cookie */

static tb_err set_header(struct tb_req *req, const char *name, struct tb_str value)
{
    (void)req;
    assert_string_equal(name, "set-cookie");
    snprintf(given, sizeof(given), "%.*s", (int)value.n, value.at);
    return NULL;
}

static tb_err give_mark(struct visit *visit)
{
    static struct tb_host host;
    host = *visit->run.req.host;
    host.set_header = set_header;
    visit->run.req.host = &host;
    return tb_device_mark(&visit->run.req, TB_STR(LOGIN));
}

static tb_err look(struct visit *visit)
{
    struct marking *marking = (struct marking *)visit;
    struct tb_arena *small = visit->run.arena;
    struct tb_str login = tb_str(marking->login), field = tb_str(given);
    const char *name = name_for(small, login).at;
    if (marking->issued != NULL) {
        struct tb_str mark = tb_arena_format(small, "%s.x", marking->issued);
        field = tb_arena_format(small, "%s%s.%s", name, mark.at, code_of(small, login, mark).at);
    } else if (marking->cookie != NULL) {
        field = tb_arena_format(small, "%s%s", name, marking->cookie);
    }
    visit_header(visit, "cookie", field);
    marking->known = tb_device(&visit->run.req, login).at != NULL;
    return NULL;
}

static bool known(struct marking marking)
{
    assert_string_equal(fixture_do(&scene.fixture, &marking.visit, look), "ok");
    return marking.known;
}

static void a_mark_counts_for_the_login_it_was_made_for(void **state)
{
    (void)state;
    struct visit visit = {.arg = NULL};
    assert_string_equal(fixture_do(&scene.fixture, &visit, give_mark), "ok");
    char *attributes = strchr(given, ';');
    assert_non_null(strstr(attributes, "Secure; HttpOnly"));
    assert_true(known((struct marking){.login = LOGIN}));
    assert_false(known((struct marking){.login = "far@w8"}));
    const char *mark = tb_arena_text(scene.arena, strchr(given, '=') + 1,
                                     (size_t)(attributes - strchr(given, '=') - 1));
    assert_true(known((struct marking){.login = LOGIN, .cookie = mark}));
    assert_false(known((struct marking){.login = "far@w8", .cookie = mark}));
    attributes[-1] = attributes[-1] == 'A' ? 'Q' : 'A';
    assert_false(known((struct marking){.login = LOGIN}));
}

static void a_mark_counts_until_its_end(void **state)
{
    (void)state;
    long long now_s = tb_loop_wall_ms(scene.fixture.loop) / 1000;
    const struct {
        const char *issued;
        bool known;
    } rows[] = {
        {tb_arena_format(scene.arena, "%lld", now_s).at, true},
        {tb_arena_format(scene.arena, "%lld", now_s - TB_DEVICE_LIFE_S + 600).at, true},
        {tb_arena_format(scene.arena, "%lld", now_s - TB_DEVICE_LIFE_S).at, false},
        {"", false},
        {"soon", false},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        if (known((struct marking){.login = LOGIN, .issued = rows[i].issued}) != rows[i].known)
            fail_msg("issued %s", rows[i].issued);
}

static void a_cookie_of_another_form_is_no_mark(void **state)
{
    (void)state;
    long long now_s = tb_loop_wall_ms(scene.fixture.loop) / 1000;
    const char *cookies[] = {"",
                             ".",
                             "..",
                             tb_arena_format(scene.arena, "%lld", now_s).at,
                             tb_arena_format(scene.arena, "%lld.x", now_s).at,
                             tb_arena_format(scene.arena, "%lld.x.", now_s).at,
                             tb_arena_format(scene.arena, "%lld.x.x", now_s).at};
    for (size_t i = 0; i < TB_COUNT(cookies); i++)
        assert_false(known((struct marking){.login = LOGIN, .cookie = cookies[i]}));
}

/* ---- counters ---- */

struct trying {
    struct visit visit; /* first */
    int64_t wait_s;
};

static tb_err TB_SUSPENDS try_once(struct visit *visit)
{
    struct trying *trying = (struct trying *)visit;
    return tb_throttle_attempt(&visit->run.req, TB_THROTTLE_PASSWORD, TB_STR(LOGIN),
                               &trying->wait_s);
}

static bool may_try(const char *peer)
{
    struct trying trying = {.wait_s = -1};
    snprintf(trying.visit.in.peer, sizeof(trying.visit.in.peer), "%s", peer);
    assert_string_equal(fixture_do(&scene.fixture, &trying.visit, try_once), "ok");
    return trying.wait_s == 0;
}

static void all_addresses_of_a_subscriber_count_as_one(void **state)
{
    (void)state;
    scene.fixture.settings.login_failures = 2;
    assert_true(may_try("2001:db8::1"));
    assert_true(may_try("2001:db8::2"));
    assert_false(may_try("2001:db8::ffff:3"));
    assert_true(may_try("2001:db8:0:1::1"));
    assert_true(may_try("192.0.2.1"));
    assert_true(may_try("192.0.2.2"));
    scene.fixture.settings.login_failures = scene.fixture.config->login_failures;
}

static void no_attempt_is_judged_that_memory_keeps_from_being_counted(void **state)
{
    (void)state;
    const char *code = "";
    for (size_t bytes = 1; strcmp(code, "ok") != 0; bytes += 64) {
        struct trying trying = {.visit.in.peer = "198.51.100.1"};
        trying.visit.run.arena = tb_arena_new(bytes);
        pg_do(&scene.fixture.pg, "truncate oauth.login_throttle");
        code = fixture_do(&scene.fixture, &trying.visit, try_once);
    }
    assert_int_equal(pg_number(&scene.fixture.pg, "select count(*) from oauth.login_throttle"), 3);
}

/* ---- users ---- */

struct making {
    struct visit visit; /* first */
    struct tb_user_order order;
    struct tb_user_made made;
};

static tb_err TB_SUSPENDS make(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *making = arg;
    return tb_user_make(req, tx, &making->order, &making->made);
}

static tb_err TB_SUSPENDS make_user(struct visit *visit)
{
    return tb_tx_run(&visit->run.req, tb_oauth()->store, make, visit);
}

static void a_user_has_a_login_and_a_name_in_their_form(void **state)
{
    (void)state;
    static const struct {
        const char *login, *name, *totp, *code;
    } rows[] = {
        {"New.User_1-x@w7", "Wang", NULL, "ok"},
        {"new.user_1-x@W7", "Wang", NULL, "conflict"},
        {"", "Wang", NULL, "invalid_body"},
        {"a b", "Wang", NULL, "invalid_body"},
        {"w\xc3\xa9i", "Wang", NULL, "invalid_body"},
        {"a123456789a123456789a123456789a123456789a123456789a123456789a1234", "Wang", NULL,
         "invalid_body"},
        {"second", "", NULL, "invalid_body"},
        {"second", "\xff", NULL, "invalid_body"},
        {"second", "Wang", "short", "invalid_body"},
        {"second", "Wang", "01234567890123456789", "ok"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct making making = {.order = {.book = 7,
                                          .login = tb_str(rows[i].login),
                                          .name = tb_str(rows[i].name),
                                          .company = TB_STR("pty_1"),
                                          .role = TB_STR("initiator"),
                                          .hash = TB_STR("x"),
                                          .totp = tb_str(rows[i].totp)}};
        const char *code = fixture_do(&scene.fixture, &making.visit, make_user);
        if (strcmp(code, rows[i].code) != 0)
            fail_msg("%s, %s: %s", rows[i].login, rows[i].name, code);
    }
    assert_int_equal(
        pg_number(&scene.fixture.pg,
                  "select count(*) from oauth.user_account where login = 'new.user_1-x@w7'"),
        1);
}

static tb_err TB_SUSPENDS reset(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *making = arg;
    return tb_user_reset(req, tx, making->order.login, TB_STR("y"), TB_STR("operator:x"),
                         &making->made);
}

static tb_err TB_SUSPENDS reset_user(struct visit *visit)
{
    return tb_tx_run(&visit->run.req, tb_oauth()->store, reset, visit);
}

static void nobody_is_given_a_new_password(void **state)
{
    (void)state;
    static const char *const logins[] = {"nobody@w7", "no login", ""};
    for (size_t i = 0; i < TB_COUNT(logins); i++) {
        struct making making = {.order.login = tb_str(logins[i])};
        assert_string_equal(fixture_do(&scene.fixture, &making.visit, reset_user), "not_found");
    }
}

static tb_err TB_SUSPENDS hash_password(struct visit *visit)
{
    struct tb_str hash;
    return tb_user_password(&visit->run.req, tb_str(visit->arg), &hash);
}

static void a_password_has_its_length(void **state)
{
    (void)state;
    char text[TB_PASSWORD_BYTES_MAX + 2] = "";
    memset(text, 'a', TB_PASSWORD_BYTES_MAX + 1);
    struct visit visit = {.arg = text};
    assert_string_equal(fixture_do(&scene.fixture, &visit, hash_password), TB_E_INVALID->code);
    text[TB_PASSWORD_BYTES_MIN - 1] = '\0';
    visit = (struct visit){.arg = text};
    assert_string_equal(fixture_do(&scene.fixture, &visit, hash_password), TB_E_INVALID->code);
}

static tb_err TB_SUSPENDS show_factor(struct visit *visit)
{
    bool right = false;
    const struct tb_user user = {.id = TB_STR(CUSTOMER),
                                 .factor = tb_second_factor(TB_STR("totp")),
                                 .sealed = tb_str(visit->arg)};
    return tb_user_factor(&visit->run.req, &user, TB_STR("123456"), &right);
}

static void a_second_factor_opens_for_its_own_user_only(void **state)
{
    (void)state;
    struct tb_secret key = {NULL, 0};
    assert_null(tb_second_factor(TB_STR("sms")));
    tb_secret_derive(&key, &tb_oauth()->master, "tongbao second factors 1");
    static const char *const owners[] = {CUSTOMER, "usr_2"};
    static const char *const codes[] = {"ok", "internal"};
    for (size_t i = 0; i < 2; i++) {
        struct tb_str sealed = tb_seal(&key, tb_str(owners[i]), TB_STR("01234567890123456789"),
                                       scene.arena);
        struct visit visit = {.arg = (void *)(uintptr_t)sealed.at};
        assert_string_equal(fixture_do(&scene.fixture, &visit, show_factor), codes[i]);
    }
    tb_secret_wipe(&key);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_mark_counts_for_the_login_it_was_made_for),
    cmocka_unit_test(a_mark_counts_until_its_end),
    cmocka_unit_test(a_cookie_of_another_form_is_no_mark),
    cmocka_unit_test(all_addresses_of_a_subscriber_count_as_one),
    cmocka_unit_test(no_attempt_is_judged_that_memory_keeps_from_being_counted),
    cmocka_unit_test(a_user_has_a_login_and_a_name_in_their_form),
    cmocka_unit_test(nobody_is_given_a_new_password),
    cmocka_unit_test(a_password_has_its_length),
    cmocka_unit_test(a_second_factor_opens_for_its_own_user_only),
};
TEST_GROUP(tests, set_up, tear_down);
