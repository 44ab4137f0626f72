/* The SDK towards hosts of its own age and older ones: what was appended is asked for only where it
 * is. */
#include "../unit.h"

#include <stdio.h>

#include <tongbao/fake.h>

static void says_for_whom_a_request_acts(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = tb_fake_begin(&fake);
    assert_string_equal(tb_subject(req).at, "app_fake");
    assert_null(tb_consent(req).at);
    fake.subject = "usr_1";
    fake.consent = "cns_1";
    assert_string_equal(tb_subject(req).at, "usr_1");
    assert_string_equal(tb_consent(req).at, "cns_1");
    tb_fake_end(&fake);
}

static void answers_with_any_media_type_and_with_no_body(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = tb_fake_begin(&fake);
    assert_null(tb_reply_as(req, 200, "text/css", TB_STR("a{}")));
    assert_string_equal(fake.media_type, "text/css");
    assert_string_equal(fake.reply.at, "a{}");
    assert_null(tb_reply(req, 200, TB_STR("{}")));
    assert_string_equal(fake.media_type, "application/json");
    assert_null(tb_set_header(req, "location", TB_STR("/there")));
    assert_null(tb_reply_as(req, 303, "text/html", TB_STR_NONE));
    assert_int_equal(fake.status, 303);
    assert_null(fake.reply.at);
    tb_fake_end(&fake);
}

static void asks_an_older_host_for_nothing_it_lacks(void **state)
{
    (void)state;
    struct tb_fake fake;
    struct tb_req *req = tb_fake_begin(&fake);
    struct tb_host older = *req->host;
    older.size = offsetof(struct tb_host, reply_as);
    older.reply_as = NULL;
    older.subject = NULL;
    older.consent = NULL;
    fake.req.host = &older;
    assert_null(tb_subject(req).at);
    assert_null(tb_consent(req).at);
    assert_true(tb_is(tb_reply_as(req, 200, "text/css", TB_STR("a{}")), TB_E_INTERNAL));
    assert_null(tb_reply(req, 200, TB_STR("{}")));
    assert_int_equal(fake.status, 200);
    tb_fake_end(&fake);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(says_for_whom_a_request_acts),
    cmocka_unit_test(answers_with_any_media_type_and_with_no_body),
    cmocka_unit_test(asks_an_older_host_for_nothing_it_lacks),
};
TEST_GROUP(tests, NULL, NULL);
