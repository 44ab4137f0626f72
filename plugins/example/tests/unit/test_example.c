/* The product's own test: its handlers against a fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <tongbao/fake.h>

#include "example.c"

static void answers_pong(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = tb_fake_begin(&fake);
    assert_null(ping(req));
    assert_int_equal(fake.status, 200);
    assert_string_equal(fake.reply.at, "{\"pong\":true}");
    tb_fake_end(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_pong)};
    return cmocka_run_group_tests_name("plugin example", tests, NULL, NULL);
}
