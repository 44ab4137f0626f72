/* Parameters as they come: what is decoded, what is refused, and what counts as not sent. */
#include "../unit.h"

#include "oauth/form.h"
#include "oauth_fixture.h"
#include <stdio.h>
#include <string.h>

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

struct reading {
    const char *want; /* "name=value|…", or what is wrong */
    char got[512];
};

static void print(const struct tb_form *form, char *out, size_t room)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < form->n && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%s=%s", i == 0 ? "" : "|",
                              form->pairs[i].name.at, form->pairs[i].value.at);
}

static tb_err read_body(struct visit *visit)
{
    struct tb_form form;
    struct reading *reading = visit->arg;
    tb_err err = tb_form_read(&visit->run.req, &form);
    if (err == NULL)
        print(&form, reading->got, sizeof(reading->got));
    return err;
}

static tb_err read_query(struct visit *visit)
{
    struct tb_form form;
    struct reading *reading = visit->arg;
    tb_err err = tb_form_query(&visit->run.req, &form);
    if (err == NULL)
        print(&form, reading->got, sizeof(reading->got));
    return err;
}

static void reads_names_and_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"a=1", "a=1"},
        {"a=1&b=2", "a=1|b=2"},
        {"a=1&&b=2&", "a=1|b=2"},
        {"a", "a="},
        {"a=", "a="},
        {"=1", "=1"},
        {"a=b=c", "a=b=c"},
        {"a=%41%62+%2B%25", "a=Ab +%"},
        {"a%3Db=1", "a=b=1"},
        {"%c3%a9=%E9%80%9A", "é=通"},
        {"A=1&a=2", "A=1|a=2"},
        {"scope=accounts%3Aread+openid", "scope=accounts:read openid"},
        {"a=;b=2", "a=;b=2"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct reading reading = {.want = rows[i].want};
        struct visit body = {.arg = &reading,
                             .in = {.content_type = TB_STR("application/x-www-form-urlencoded"),
                                    .body = tb_str(rows[i].text)}};
        struct visit query = {.arg = &reading, .in = {.raw_query = tb_str(rows[i].text)}};
        assert_string_equal(fixture_do(&fixture, &body, read_body), "ok");
        assert_string_equal(reading.got, rows[i].want);
        memset(reading.got, 0, sizeof(reading.got));
        assert_string_equal(fixture_do(&fixture, &query, read_query), "ok");
        assert_string_equal(reading.got, rows[i].want);
    }
}

static void refuses_what_has_two_readings(void **state)
{
    (void)state;
    static const struct tb_str rows[] = {
        {"a=1&a=2", 7}, {"a=1&a=", 6},    {"a=1&b=2&%61=3", 13}, {"a=%", 3},
        {"a=%4", 4},    {"a=%4g", 5},     {"a=%g4", 5},          {"%=1", 3},
        {"a=%00", 5},   {"a%00=1", 6},    {"a=\0", 3},           {"a=%ff", 5},
        {"a=\xff", 3},  {"a=%c3", 5},     {"a=%c0%80", 8},       {"a=%ed%a0%80", 11},
        {"a=%+1", 5},   {"a=%25&a=%", 9},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct reading reading = {0};
        struct visit visit = {.arg = &reading, .in = {.raw_query = rows[i]}};
        if (strcmp(fixture_do(&fixture, &visit, read_query), "invalid_request") != 0)
            fail_msg("accepted: %s as %s", rows[i].at, reading.got);
    }
}

static void names_the_parameter_that_came_twice(void **state)
{
    (void)state;
    struct reading reading;
    struct visit visit = {.arg = &reading, .in = {.raw_query = TB_STR("state=1&code=2&state=3")}};
    assert_string_equal(fixture_do(&fixture, &visit, read_query), "invalid_request");
    assert_string_equal(visit.detail, "parameter state is sent more than once");
}

static void takes_bodies_that_are_forms_only(void **state)
{
    (void)state;
    static const struct {
        const char *type, *outcome;
    } rows[] = {
        {"application/x-www-form-urlencoded", "ok"},
        {"Application/X-WWW-Form-Urlencoded", "ok"},
        {"application/x-www-form-urlencoded; charset=UTF-8", "ok"},
        {"application/x-www-form-urlencoded;charset=utf-8", "ok"},
        {"application/x-www-form-urlencoded ;a", "ok"},
        {NULL, "unsupported_media_type"},
        {"", "unsupported_media_type"},
        {"application/json", "unsupported_media_type"},
        {"text/plain", "unsupported_media_type"},
        {"multipart/form-data; boundary=x", "unsupported_media_type"},
        {"application/x-www-form-urlencode", "unsupported_media_type"},
        {"application/x-www-form-urlencodedx", "unsupported_media_type"},
        {"application/x-www-form-urlencoded,application/json", "unsupported_media_type"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct reading reading;
        struct visit visit = {.arg = &reading,
                              .in = {.content_type = tb_str(rows[i].type), .body = TB_STR("a=1")}};
        assert_string_equal(fixture_do(&fixture, &visit, read_body), rows[i].outcome);
    }
}

static tb_err read_and_get(struct visit *visit)
{
    struct tb_form form;
    struct tb_req *req = &visit->run.req;
    TB_TRY(tb_form_query(req, &form));
    assert_true(tb_str_eq(tb_form_get(&form, "a"), TB_STR("1")));
    assert_null(tb_form_get(&form, "empty").at);
    assert_null(tb_form_get(&form, "absent").at);
    assert_null(tb_form_get(&form, "").at);
    TB_TRY(tb_form_add(req, &form, TB_STR("absent"), TB_STR("2")));
    assert_true(tb_str_eq(tb_form_get(&form, "absent"), TB_STR("2")));
    struct tb_form made = {0};
    assert_null(tb_form_get(&made, "a").at);
    TB_TRY(tb_form_add(req, &made, TB_STR("a"), TB_STR("x y&")));
    assert_true(tb_str_eq(tb_form_get(&made, "a"), TB_STR("x y&")));
    return tb_form_add(req, &form, TB_STR("a"), TB_STR("3"));
}

static void an_empty_value_is_none_and_a_name_counts_once(void **state)
{
    (void)state;
    struct visit visit = {.in = {.raw_query = TB_STR("a=1&empty=")}};
    assert_string_equal(fixture_do(&fixture, &visit, read_and_get), "invalid_request");
    assert_string_equal(visit.detail, "parameter a is sent more than once");
}

static const char *read_of(const char *text, size_t n)
{
    struct reading reading;
    struct visit visit = {.arg = &reading, .in = {.raw_query = {text, n}}};
    return fixture_do(&fixture, &visit, read_query);
}

static void has_bounds(void **state)
{
    (void)state;
    static char text[TB_FORM_VALUE_MAX + 64];
    size_t n = 0;
    for (int i = 0; i < TB_FORM_PAIRS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "p%d=&", i);
    assert_string_equal(read_of(text, n), "ok");
    n += (size_t)snprintf(text + n, sizeof(text) - n, "q=");
    assert_string_equal(read_of(text, n), "invalid_request");

    memset(text, 'n', TB_FORM_NAME_MAX + 1);
    assert_string_equal(read_of(text, TB_FORM_NAME_MAX), "ok");
    assert_string_equal(read_of(text, TB_FORM_NAME_MAX + 1), "invalid_request");

    memset(text, 'v', sizeof(text));
    memcpy(text, "a=", 2);
    assert_string_equal(read_of(text, TB_FORM_VALUE_MAX + 2), "ok");
    assert_string_equal(read_of(text, TB_FORM_VALUE_MAX + 3), "invalid_request");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_names_and_values),
    cmocka_unit_test(refuses_what_has_two_readings),
    cmocka_unit_test(names_the_parameter_that_came_twice),
    cmocka_unit_test(takes_bodies_that_are_forms_only),
    cmocka_unit_test(an_empty_value_is_none_and_a_name_counts_once),
    cmocka_unit_test(has_bounds),
};
TEST_GROUP(tests, set_up, tear_down);
