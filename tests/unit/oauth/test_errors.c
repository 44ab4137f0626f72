/* How refusals read on the endpoints of OAuth. */
#include "../unit.h"

#include "oauth/errors.h"

static void errors_read_as_rfc_6749_writes_them(void **state)
{
    (void)state;
    static const struct {
        tb_err err;
        const char *detail, *body;
    } rows[] = {
        {TB_E_INVALID_GRANT, "the code is not valid",
         "{\"error\":\"invalid_grant\",\"error_description\":\"the code is not valid\"}"},
        {TB_E_INVALID_REGISTRATION_TOKEN, "x",
         "{\"error\":\"invalid_token\",\"error_description\":\"x\"}"},
        {TB_E_INVALID_CLIENT, NULL,
         "{\"error\":\"invalid_client\",\"error_description\":\"The client could not be "
         "authenticated.\"}"},
        {TB_E_RATE_LIMITED, "x",
         "{\"error\":\"temporarily_unavailable\",\"error_description\":\"x\"}"},
        {TB_E_STORE, "x", "{\"error\":\"temporarily_unavailable\",\"error_description\":\"x\"}"},
        {TB_E_DEADLINE, "x", "{\"error\":\"temporarily_unavailable\",\"error_description\":\"x\"}"},
        {TB_E_INTERNAL, "x", "{\"error\":\"server_error\",\"error_description\":\"x\"}"},
        {TB_E_UPSTREAM, "x", "{\"error\":\"server_error\",\"error_description\":\"x\"}"},
        {TB_E_METHOD, "x", "{\"error\":\"invalid_request\",\"error_description\":\"x\"}"},
        {TB_E_TOO_LARGE, "x", "{\"error\":\"invalid_request\",\"error_description\":\"x\"}"},
        {TB_E_INVALID_REQUEST, "a\"b\\c\n\x7f\xc3\xa9~",
         "{\"error\":\"invalid_request\",\"error_description\":\"a?b?c????~\"}"},
    };
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_string_equal(tb_oauth_error_body(arena, rows[i].err, tb_str(rows[i].detail)).at,
                            rows[i].body);
    assert_true(tb_is_oauth_error(TB_E_SLOW_DOWN));
    assert_false(tb_is_oauth_error(TB_E_TOKEN_INVALID));
    tb_arena_free(arena);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(errors_read_as_rfc_6749_writes_them),
};
TEST_GROUP(tests, NULL, NULL);
