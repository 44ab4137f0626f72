/* Handlers of payments against a fake host. What money does is tested in ../sql. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <tongbao/fake.h>

#include "payments.c"

#define PAYMENT "pay_01k9x3m6h0g00801v9r5t2n8qd"

static struct tb_req *paid(struct tb_fake *fake, bool replayed)
{
    struct tb_req *req = tb_fake_begin(fake);
    fake->answer = (struct tb_answer){.status = 201,
                                      .body = TB_STR("{\"then\":true}"),
                                      .location = TB_STR("/e-payment/v1/payments/" PAYMENT),
                                      .replayed = replayed};
    return req;
}

static void says(const struct tb_fake *fake, const char *name, const char *value)
{
    struct tb_str found = tb_fake_find(fake->reply_headers, name);
    assert_non_null(found.at);
    assert_string_equal(found.at, value);
}

static void answers_a_payment_with_what_the_books_said(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = paid(&fake, false);
    assert_null(e_payment_create_payment(req));
    assert_string_equal(fake.called, "e_payment.pay");
    assert_int_equal(fake.status, 201);
    assert_string_equal(fake.reply.at, "{\"then\":true}");
    says(&fake, "location", "/e-payment/v1/payments/" PAYMENT);
    assert_null(tb_fake_find(fake.reply_headers, "idempotency-replayed").at);
    tb_fake_end(&fake);
}

static void gives_a_replay_as_it_was_or_as_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *prefer;
        bool now;
    } cases[] = {
        {NULL, false},        {"", false},
        {"current", true},    {"respond-async, current", true},
        {"currently", false}, {"wait=5,current", true},
        {"stored", false},
    };
    struct tb_str cells[] = {TB_STR("{\"now\":true}")};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_fake fake;
        struct tb_req *req = paid(&fake, true);
        fake.rows = (struct tb_rows){.n = 1, .columns = 1, .cells = cells};
        if (cases[i].prefer != NULL)
            fake.headers[0] = (struct tb_fake_value){"prefer", cases[i].prefer};
        assert_null(e_payment_create_payment(req));
        assert_string_equal(fake.reply.at, cases[i].now ? "{\"now\":true}" : "{\"then\":true}");
        says(&fake, "idempotency-replayed", "true");
        if (cases[i].now) {
            says(&fake, "preference-applied", "current");
            assert_string_equal(fake.params[4].text.at, PAYMENT);
        }
        tb_fake_end(&fake);
    }
}

static void finds_no_payment_where_the_books_have_none(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = tb_fake_begin(&fake);
    fake.path[0] = (struct tb_fake_value){"payment_id", PAYMENT};
    assert_true(tb_is(e_payment_get_payment(req), TB_E_NOT_FOUND));
    assert_non_null(strstr(fake.detail, PAYMENT));
    fake.store_error = TB_E_STORE;
    assert_true(tb_is(e_payment_get_payment(req), TB_E_STORE));
    tb_fake_end(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_payment_with_what_the_books_said),
        cmocka_unit_test(gives_a_replay_as_it_was_or_as_it_is),
        cmocka_unit_test(finds_no_payment_where_the_books_have_none),
    };
    return cmocka_run_group_tests_name("payments", tests, NULL, NULL);
}
