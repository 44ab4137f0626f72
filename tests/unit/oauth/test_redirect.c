/* Which redirect URIs are a client's. */
#include "../unit.h"

#include "oauth/request/redirect.h"
#include <string.h>

static bool registered(const char *metadata, const char *uri)
{
    json_t *json = json_loads(metadata, 0, NULL);
    assert_non_null(json);
    const struct tb_oauth_client client = {.metadata = json};
    bool is = tb_redirect_registered(&client, tb_str(uri));
    json_decref(json);
    return is;
}

struct redirect {
    const char *uri;
    bool good;
};

static void judge(const char *metadata, const struct redirect *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (registered(metadata, cases[i].uri) != cases[i].good)
            fail_msg("%s %s", cases[i].uri, cases[i].good ? "is refused" : "is accepted");
}

static void compares_https_byte_by_byte(void **state)
{
    (void)state;
    static const struct redirect cases[] = {
        {"https://client.example/back", true},
        {"https://client.example:444/back", false},
        {"https://client.example/back/", false},
        {"https://client.example/back?x=1", false},
        {"https://client.example/back#x", false},
        {"https://client.example/Back", false},
        {"https://client.example/%62ack", false},
        {"https://client.example", false},
        {"https://", false},
        {"HTTPS://client.example/back", false},
        {"", false},
    };
    judge("{\"redirect_uris\":[\"https://client.example/back\"]}", cases, TB_COUNT(cases));
    judge("{\"application_type\":\"native\",\"redirect_uris\":[\"https://client.example/back\"]}",
          cases, TB_COUNT(cases));
}

static void excepts_the_port_of_loopback_for_native_apps(void **state)
{
    (void)state;
    static const struct redirect cases[] = {
        {"http://127.0.0.1/back", true},
        {"http://127.0.0.1:49152/back", true},
        {"http://127.0.0.1:/back", false},
        {"http://127.0.0.1:123456/back", false},
        {"http://127.0.0.1:80x/back", false},
        {"http://127.0.0.1:80@evil.example/back", false},
        {"http://127.0.0.1.evil.example/back", false},
        {"http://127.0.0.1@evil.example/back", false},
        {"http://127.0.0.1/other", false},
        {"http://127.0.0.1/back?x=1", false},
        {"http://[::1]:5000/six?a=b", true},
        {"http://[::1]:5000/six", false},
        {"http://[::1]/back", false},
        {"http://localhost:5000/back", false},
        {"http://client.example/back", false},
    };
    judge("{\"application_type\":\"native\",\"redirect_uris\":[\"http://127.0.0.1:8080/back\","
          "\"http://[::1]/six?a=b\",\"http://client.example/back\"]}",
          cases, TB_COUNT(cases));
}

static void knows_no_http_for_apps_on_the_web(void **state)
{
    (void)state;
    static const struct redirect cases[] = {{"http://127.0.0.1/back", false},
                                            {"http://client.example/back", false}};
    judge("{\"application_type\":\"web\",\"redirect_uris\":[\"http://127.0.0.1/back\","
          "\"http://client.example/back\"]}",
          cases, 2);
    judge("{\"redirect_uris\":[\"http://127.0.0.1/back\",\"http://client.example/back\"]}", cases,
          2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(compares_https_byte_by_byte),
    cmocka_unit_test(excepts_the_port_of_loopback_for_native_apps),
    cmocka_unit_test(knows_no_http_for_apps_on_the_web),
};
TEST_GROUP(tests, NULL, NULL);
