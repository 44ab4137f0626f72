/* Problem documents, read back by a JSON parser. */
#include "../unit.h"

#include "http/problem.h"
#include <jansson.h>
#include <string.h>

static struct tb_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static json_t *written(const struct tb_problem_of *of)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_problem_write(&text, of);
    struct tb_str out = tb_text_end(&text);
    json_error_t error;
    json_t *json = json_loadb(out.at, out.n, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, out.at);
    return json;
}

static const char *text_of(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void says_all_it_knows(void **state)
{
    (void)state;
    const struct tb_problem problem = {
        .detail = TB_STR("the amount is too large"),
        .places = {{.pointer = "/amount/amount", .code = "range", .detail = "at most 9"},
                   {.pointer = ""},
                   {.parameter = "limit", .detail = "at most 100"},
                   {.header = "if-match"}},
        .places_n = 4,
        .places_total = 20,
        .retry_after_s = 7,
        .decline_code = "limit_exceeded",
    };
    json_t *json = written(&(struct tb_problem_of){
        .err = TB_E_OVERLOAD,
        .problem = &problem,
        .request_id = TB_STR("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        .trace = TB_STR("trc_1"),
        .base = TB_STR("https://docs.bank.example/problems/"),
    });
    assert_string_equal(text_of(json, "type"), "https://docs.bank.example/problems/overloaded");
    assert_string_equal(text_of(json, "doc_url"), "https://docs.bank.example/problems/overloaded");
    assert_string_equal(text_of(json, "title"), TB_E_OVERLOAD->title);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 503);
    assert_string_equal(text_of(json, "detail"), "the amount is too large");
    assert_string_equal(text_of(json, "instance"), "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_string_equal(text_of(json, "request_id"), "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_string_equal(text_of(json, "code"), "overloaded");
    assert_string_equal(text_of(json, "decline_code"), "limit_exceeded");
    assert_string_equal(text_of(json, "trace"), "trc_1");
    assert_true(json_is_true(json_object_get(json, "retryable")));
    assert_int_equal(json_integer_value(json_object_get(json, "retry_after")), 7);
    assert_int_equal(json_integer_value(json_object_get(json, "errors_total")), 20);
    json_t *errors = json_object_get(json, "errors");
    assert_int_equal(json_array_size(errors), 4);
    assert_string_equal(text_of(json_array_get(errors, 3), "header"), "if-match");
    assert_string_equal(text_of(json_array_get(errors, 0), "pointer"), "/amount/amount");
    assert_string_equal(text_of(json_array_get(errors, 0), "code"), "range");
    assert_string_equal(text_of(json_array_get(errors, 0), "detail"), "at most 9");
    assert_int_equal(json_object_size(json_array_get(errors, 1)), 1);
    assert_string_equal(text_of(json_array_get(errors, 1), "pointer"), "");
    assert_string_equal(text_of(json_array_get(errors, 2), "parameter"), "limit");
    json_decref(json);
}

static void leaves_out_what_it_does_not_know(void **state)
{
    (void)state;
    json_t *json = written(&(struct tb_problem_of){.err = TB_E_NOT_FOUND});
    assert_int_equal(json_object_size(json), 6);
    assert_string_equal(text_of(json, "type"), "about:blank");
    assert_string_equal(text_of(json, "code"), "not_found");
    assert_true(json_is_false(json_object_get(json, "retryable")));
    json_decref(json);
}

static void says_what_to_do_in_the_language_of_the_reader(void **state)
{
    (void)state;
    json_t *json = written(&(struct tb_problem_of){.err = TB_E_NOT_FOUND});
    assert_string_equal(text_of(json, "title"), TB_E_NOT_FOUND->title);
    assert_string_equal(text_of(json, "remedy"), TB_E_NOT_FOUND->remedy);
    json_decref(json);
    const struct tb_error_words *words = tb_error_words("not_found", TB_LANG_ZH);
    json = written(&(struct tb_problem_of){.err = TB_E_NOT_FOUND, .words = words});
    assert_string_equal(text_of(json, "title"), words->title);
    assert_string_equal(text_of(json, "remedy"), words->remedy);
    json_decref(json);
}

/* What the database said is for who owns the world it said it in. */
static void tells_the_cause_to_the_owner_alone(void **state)
{
    (void)state;
    const struct tb_problem problem = {
        .sqlstate = TB_STR("22009"),
        .cause = TB_STR("time zone displacement out of range: \"+23:59\""),
    };
    for (int owner = 0; owner < 2; owner++) {
        json_t *json = written(&(struct tb_problem_of){
            .err = TB_E_INTERNAL, .problem = &problem, .owner = owner != 0});
        const json_t *cause = json_object_get(json, "cause");
        if (owner != 0) {
            assert_string_equal(text_of(cause, "sqlstate"), "22009");
            assert_true(strncmp(text_of(cause, "message"), "time zone", 9) == 0);
        } else {
            assert_null(cause);
        }
        json_decref(json);
    }
}

static void prefers_a_registered_type(void **state)
{
    (void)state;
    json_t *json = written(&(struct tb_problem_of){
        .err = TB_E_RATE_LIMITED,
        .base = TB_STR("https://docs/"),
        .type = TB_STR("https://iana.org/assignments/http-problem-types#quota-exceeded"),
    });
    assert_string_equal(text_of(json, "type"),
                        "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_string_equal(text_of(json, "doc_url"), "https://docs/rate_limited");
    json_decref(json);
}

static void adds_the_members_an_operation_brings(void **state)
{
    (void)state;
    const struct tb_problem problem = {.extra = TB_STR("{\"payment\": \"pay_1\", \"left\": {}}")};
    const struct tb_problem nothing = {.extra = TB_STR("{}")};
    json_t *json = written(&(struct tb_problem_of){.err = TB_E_CONFLICT, .problem = &problem});
    assert_string_equal(text_of(json, "payment"), "pay_1");
    assert_true(json_is_object(json_object_get(json, "left")));
    json_decref(json);
    json = written(&(struct tb_problem_of){.err = TB_E_CONFLICT, .problem = &nothing});
    assert_int_equal(json_object_size(json), 6);
    json_decref(json);
}

static void escapes_whatever_a_client_can_bring_in(void **state)
{
    (void)state;
    static const char evil[] = "\",\"status\":200,\"x\":\"\\ \n\x01 \xff \xe4\xb8\xad </script>";
    const struct tb_problem problem = {
        .detail = {evil, sizeof(evil) - 1},
        .places = {{.pointer = evil, .parameter = evil, .code = evil, .detail = evil}},
        .places_n = 1,
        .places_total = 1,
        .decline_code = evil,
    };
    json_t *json = written(&(struct tb_problem_of){.err = TB_E_INVALID,
                                                   .problem = &problem,
                                                   .request_id = {evil, sizeof(evil) - 1},
                                                   .trace = {evil, sizeof(evil) - 1},
                                                   .base = {evil, sizeof(evil) - 1}});
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 422);
    assert_null(json_object_get(json, "x"));
    assert_non_null(strstr(text_of(json, "detail"), "\xe4\xb8\xad"));
    assert_non_null(strstr(text_of(json, "detail"), "\xef\xbf\xbd"));
    json_decref(json);
}

static void fails_whole_when_there_is_no_room(void **state)
{
    (void)state;
    char room[40];
    struct tb_text text;
    tb_text_init_fixed(&text, room, sizeof(room));
    tb_problem_write(&text, &(struct tb_problem_of){.err = TB_E_NOT_FOUND});
    assert_null(tb_text_end(&text).at);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(says_all_it_knows),
    cmocka_unit_test(leaves_out_what_it_does_not_know),
    cmocka_unit_test(says_what_to_do_in_the_language_of_the_reader),
    cmocka_unit_test(tells_the_cause_to_the_owner_alone),
    cmocka_unit_test(prefers_a_registered_type),
    cmocka_unit_test(adds_the_members_an_operation_brings),
    cmocka_unit_test(escapes_whatever_a_client_can_bring_in),
    cmocka_unit_test(fails_whole_when_there_is_no_room),
};
TEST_GROUP(tests, make_arena, free_arena);
