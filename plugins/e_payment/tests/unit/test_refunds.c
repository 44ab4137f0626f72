/* Handlers of refunds against a fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <tongbao/fake.h>

#include "refunds.c"

#define PAYMENT "pay_01k9x3m6h0g00801v9r5t2n8qd"
#define REFUND  "rfd_01k9x3m6h0g00801v9r5t2n8qe"

static struct tb_req *begin(struct tb_fake *fake)
{
    struct tb_req *req = tb_fake_begin(fake);
    fake->path[0] = (struct tb_fake_value){"payment_id", PAYMENT};
    fake->path[1] = (struct tb_fake_value){"refund_id", REFUND};
    return req;
}

static void asks_for_the_refund_as_it_is_by_payment_and_id(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = begin(&fake);
    struct tb_str cells[] = {TB_STR("{\"now\":true}")};
    fake.answer = (struct tb_answer){
        .status = 201,
        .body = TB_STR("{\"then\":true}"),
        .location = TB_STR("/e-payment/v1/payments/" PAYMENT "/refunds/" REFUND),
        .replayed = true};
    fake.rows = (struct tb_rows){.n = 1, .columns = 1, .cells = cells};
    fake.headers[0] = (struct tb_fake_value){"prefer", "current"};
    assert_null(e_payment_create_refund(req));
    assert_string_equal(fake.called, "e_payment.refund");
    assert_string_equal(fake.params[4].text.at, PAYMENT);
    assert_string_equal(fake.params[5].text.at, REFUND);
    assert_string_equal(fake.reply.at, "{\"now\":true}");
    tb_fake_end(&fake);
}

static void finds_no_refund_where_the_books_have_none(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = begin(&fake);
    assert_true(tb_is(e_payment_get_refund(req), TB_E_NOT_FOUND));
    assert_non_null(strstr(fake.detail, REFUND));
    assert_true(tb_is(e_payment_list_refunds(req), TB_E_NOT_FOUND)); /* of no payment */
    assert_non_null(strstr(fake.detail, PAYMENT));
    tb_fake_end(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_the_refund_as_it_is_by_payment_and_id),
        cmocka_unit_test(finds_no_refund_where_the_books_have_none),
    };
    return cmocka_run_group_tests_name("refunds", tests, NULL, NULL);
}
