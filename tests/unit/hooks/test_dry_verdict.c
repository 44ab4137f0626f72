/* What a dry run counts, and what it calls a change. */
#include "../unit.h"

#include <stdint.h>

#include "hooks/dry_count.h"
#include <stdio.h>

#define COUNT(array) (TB_COUNT(array))

#define A (1u << TB_DRY_ALLOW)
#define D (1u << TB_DRY_DENY)
#define E (1u << TB_DRY_ERROR)
#define R (1u << TB_DRY_ROUTE)
#define S (1u << TB_DRY_SET)
#define L (1u << TB_DRY_LIMIT)
#define P (1u << TB_DRY_APPROVALS)
#define W (1u << TB_DRY_WORDS)

/* "!" is an error, "" no decision. The decision lives as long as the test. */
static struct tb_dry_verdict verdict_of(const char *decision)
{
    struct tb_dry_verdict verdict = {.outcome = TB_DRY_ERROR, .kinds = E};
    if (decision[0] == '!')
        snprintf(verdict.why, sizeof(verdict.why), "line 3: no");
    else
        tb_dry_judge(&verdict, decision[0] == '\0' ? NULL : json_loads(decision, 0, NULL));
    return verdict;
}

static void forget(struct tb_dry_verdict *verdict)
{
    json_decref((json_t *)(uintptr_t)verdict->decision);
}

static void tells_what_a_decision_comes_to(void **state)
{
    (void)state;
    static const struct {
        const char *decision;
        uint32_t kinds;
    } cases[] = {
        {"", A},
        {"{}", A},
        {"{\"note\":\"n\"}", A},
        {"{\"deny\":{\"code\":\"c\"}}", D},
        {"{\"deny\":{\"code\":\"c\"},\"route\":{\"channel\":\"x\"}}", D},
        {"{\"route\":{\"channel\":\"x\"}}", A | R},
        {"{\"set\":{\"a\":1},\"approvals\":2}", A | S | P},
        {"{\"limit\":{\"name\":\"n\",\"quota\":1,\"window_s\":1}}", A | L},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_dry_verdict verdict = verdict_of(cases[i].decision);
        if (verdict.kinds != cases[i].kinds)
            fail_msg("%s: %x", cases[i].decision, verdict.kinds);
        forget(&verdict);
    }
}

static void names_what_changes(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        uint32_t changes;
    } cases[] = {
        {"", "", 0},
        {"", "{}", 0},
        {"!", "!", 0},
        {"", "{\"deny\":{\"code\":\"c\"}}", D},
        {"{\"deny\":{\"code\":\"c\"}}", "", A},
        {"{\"deny\":{\"code\":\"c\"}}", "{\"set\":{\"a\":1}}", A},
        {"", "!", E},
        {"!", "{\"deny\":{\"code\":\"c\"}}", D},
        {"{\"deny\":{\"code\":\"c\"}}", "{\"deny\":{\"code\":\"d\"}}", W},
        {"{\"deny\":{\"code\":\"c\"}}", "{\"deny\":{\"code\":\"c\"}}", 0},
        {"", "{\"note\":\"n\"}", W},
        {"{\"route\":{\"channel\":\"x\"}}", "{\"route\":{\"channel\":\"x\"}}", 0},
        {"{\"route\":{\"channel\":\"x\"}}", "{\"route\":{\"channel\":\"y\"}}", R},
        {"{\"route\":{\"channel\":\"x\"}}", "", R},
        {"{\"set\":{\"a\":1},\"note\":\"n\"}", "{\"set\":{\"a\":2},\"approvals\":1}", S | P},
        {"{\"set\":{\"a\":1,\"b\":2}}", "{\"set\":{\"b\":2,\"a\":1}}", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_dry_verdict before = verdict_of(cases[i].before);
        struct tb_dry_verdict after = verdict_of(cases[i].after);
        uint32_t changes = tb_dry_changes(&before, &after);
        if (changes != cases[i].changes)
            fail_msg("%s to %s: %x", cases[i].before, cases[i].after, changes);
        forget(&before);
        forget(&after);
    }
}

static int64_t at(const json_t *json, const char *object, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(json, object), name));
}

static void counts_requests_and_names_the_first_of_each_kind(void **state)
{
    (void)state;
    struct tb_dry_count count;
    struct tb_dry_verdict verdicts[TB_DRY_SIDES];
    verdicts[TB_DRY_BEFORE] = verdict_of("");
    tb_dry_count_open(&count);
    for (int i = 0; i < 25; i++) {
        char id[8];
        struct tb_dry_request request = {.json = json_object(), .status = 201};
        request.id = (struct tb_str){id, (size_t)snprintf(id, sizeof(id), "r%d", i)};
        verdicts[TB_DRY_AFTER] = verdict_of(i % 2 == 0 ? "{\"deny\":{\"code\":\"c\"}}" : "");
        tb_dry_count_call(&count, TB_DRY_AFTER, i == 7 ? 900 : 100);
        tb_dry_count_request(&count, &request, verdicts);
        forget(&verdicts[TB_DRY_AFTER]);
        json_decref(request.json);
    }
    json_t *json = tb_dry_count_json(&count);
    assert_int_equal(json_integer_value(json_object_get(json, "replayed")), 25);
    assert_int_equal(json_integer_value(json_object_get(json, "changed")), 13);
    assert_int_equal(at(json, "after", "deny"), 13);
    assert_int_equal(at(json, "after", "allow"), 12);
    assert_int_equal(at(json, "before", "allow"), 25);
    assert_int_equal(at(json, "changes", "deny"), 13);
    assert_int_equal(at(json, "after", "slowest_ns"), 900);
    assert_int_equal(at(json, "after", "mean_ns"), 132);
    const json_t *ids = json_object_get(json_object_get(json, "samples"), "deny");
    assert_int_equal(json_array_size(ids), 10);
    assert_string_equal(json_string_value(json_array_get(ids, 9)), "r18");
    assert_int_equal(json_array_size(count.lines), 13);
    tb_dry_count_told(&count);
    assert_int_equal(json_array_size(count.lines), 0);
    assert_int_equal(count.lines_told, 13);
    json_decref(json);
    tb_dry_count_close(&count);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tells_what_a_decision_comes_to),
    cmocka_unit_test(names_what_changes),
    cmocka_unit_test(counts_requests_and_names_the_first_of_each_kind),
};
TEST_GROUP(tests, NULL, NULL);
