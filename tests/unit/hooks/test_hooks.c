/* What hooks may decide. */
#include "../lua/lua_fixture.h"

#include "hooks/hooks.h"

static struct tb_arena *arena;

static bool good(enum tb_script_hook hook, const char *decision, char *why)
{
    json_t *json = json_loads(decision, 0, NULL);
    assert_non_null(json);
    why[0] = '\0';
    bool verdict = tb_script_decision_good(hook, json, arena, why, TB_SCRIPT_WHY_BYTES);
    json_decref(json);
    return verdict;
}

static void takes_decisions_of_their_shape(void **state)
{
    (void)state;
    static const struct {
        enum tb_script_hook hook;
        const char *decision;
    } cases[] = {
        {TB_HOOK_ON_REQUEST, "{}"},
        {TB_HOOK_ON_REQUEST,
         "{\"deny\": {\"code\": \"above_limit\", \"detail\": \"at most 50,000.00\"}}"},
        {TB_HOOK_ON_REQUEST,
         "{\"set\": {\"purpose\": \"rent\", \"metadata\": {\"a\": null}}, \"note\": \"mapped\"}"},
        {TB_HOOK_ON_REQUEST, "{\"route\": {\"channel\": \"fast-lane\"}, \"approvals\": 2}"},
        {TB_HOOK_ON_REQUEST,
         "{\"limit\": {\"name\": \"night\", \"quota\": 10, \"window_s\": 3600}}"},
        {TB_HOOK_ON_RESPONSE,
         "{\"redact\": [\"/metadata/internal\"], \"links\": {\"self\": \"/e-payment/v1/payments\"}}"},
    };
    char why[TB_SCRIPT_WHY_BYTES];
    for (size_t i = 0; i < COUNT(cases); i++)
        if (!good(cases[i].hook, cases[i].decision, why))
            fail_msg("%s: %s", cases[i].decision, why);
}

static void knows_hooks_from_what_only_looks_like_them(void **state)
{
    (void)state;
    static const struct {
        const char *source, *why;
    } cases[] = {
        {"return { on_request = function() end }", ""},
        {"return { on_request = function() end, on_response = function() end }", ""},
        {"return {}", "has no hook"},
        {"return { on_response = function() end, on_reqest = function() end }",
         "on_reqest, which is no hook"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[TB_SCRIPT_WHY_BYTES] = "";
        struct tb_script *script = tb_script_new(&tb_script_limits, tb_str(cases[i].source), why,
                                                 sizeof(why));
        assert_non_null(script);
        bool fine = tb_script_hooks_good(script, why, sizeof(why));
        tb_script_free(script);
        if (fine != (cases[i].why[0] == '\0') || strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].source, why);
    }
}

static void refuses_others_and_says_where(void **state)
{
    (void)state;
    static const struct {
        enum tb_script_hook hook;
        const char *decision, *why;
    } cases[] = {
        {TB_HOOK_ON_REQUEST, "{\"allow\": true}", "/allow"},
        {TB_HOOK_ON_REQUEST, "{\"deny\": {}}", "/deny/code"},
        {TB_HOOK_ON_REQUEST, "{\"deny\": {\"code\": \"No Spaces\"}}", "/deny/code"},
        {TB_HOOK_ON_REQUEST, "{\"deny\": true}", "/deny"},
        {TB_HOOK_ON_REQUEST, "{\"set\": []}", "/set"},
        {TB_HOOK_ON_REQUEST, "{\"approvals\": 0}", "/approvals"},
        {TB_HOOK_ON_REQUEST, "{\"approvals\": 1.5}", "/approvals"},
        {TB_HOOK_ON_REQUEST, "{\"limit\": {\"name\": \"night\", \"quota\": 0, \"window_s\": 1}}",
         "/limit/quota"},
        {TB_HOOK_ON_REQUEST, "[]", "whole"},
        {TB_HOOK_ON_RESPONSE, "{\"status\": 200}", "/status"},
        {TB_HOOK_ON_RESPONSE, "{\"deny\": {\"code\": \"x\"}}", "/deny"},
        {TB_HOOK_ON_RESPONSE, "{\"links\": {\"self\": \"https://other.example/\"}}", "/links/self"},
    };
    char why[TB_SCRIPT_WHY_BYTES];
    for (size_t i = 0; i < COUNT(cases); i++)
        if (good(cases[i].hook, cases[i].decision, why) || strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].decision, why);
}

static int set_up(void **state)
{
    (void)state;
    char why[TB_SCRIPT_WHY_BYTES];
    arena = tb_arena_new(TB_ARENA_CAP);
    if (tb_hooks_open(TB_SOURCE_DIR "/schemas", why, sizeof(why)))
        return 0;
    print_error("%s\n", why);
    return 1;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_decisions_of_their_shape),
    cmocka_unit_test(knows_hooks_from_what_only_looks_like_them),
    cmocka_unit_test(refuses_others_and_says_where),
};
TEST_GROUP(tests, set_up, tear_down);
