/* Names that are a few keys away from what was sent. */
#include "base/nearest.h"
#include "base/text.h"
#include "test.h"

static const char *nearest_of(const char *word, const char *const *names)
{
    struct tb_nearest nearest = {.word = tb_str(word)};
    for (; *names != NULL; names++)
        tb_nearest_try(&nearest, tb_str(*names));
    return nearest.name.at;
}

static void finds_what_was_meant(void **state)
{
    (void)state;
    static const char *const names[] = {
        "state",          "reference", "created[gte]", "created[lt]", "limit",
        "starting_after", "to",        "amount",       "amounts",     NULL};
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"crated[gte]", "created[gte]"},
        {"created[gt]", "created[gte]"},
        {"State", "state"},
        {"LIMIT", "limit"},
        {"refrence", "reference"},
        {"startingAfter", "starting_after"},
        {"limti", "limit"},
        {"amount", "amount"},
        {"amuonts", "amounts"},
        {"stat", "state"},
        {"offset", NULL},
        {"page", NULL},
        {"x", NULL},
        {"", NULL},
        {"creditor", NULL},
        {"ot", "to"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *found = nearest_of(cases[i].word, names);
        if (cases[i].meant == NULL ? found != NULL
                                   : found == NULL || strcmp(found, cases[i].meant) != 0)
            fail_msg("%s: %s", cases[i].word, found == NULL ? "nothing" : found);
    }
}

static void does_not_look_at_what_is_too_long(void **state)
{
    (void)state;
    char word[TB_NEAREST_BYTES + 2];
    memset(word, 'a', sizeof(word));
    word[TB_NEAREST_BYTES + 1] = '\0';
    const char *const names[] = {word, NULL};
    assert_null(nearest_of(word, names));
    word[TB_NEAREST_BYTES] = '\0';
    assert_non_null(nearest_of(word, names));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(finds_what_was_meant),
    cmocka_unit_test(does_not_look_at_what_is_too_long),
};
TEST_GROUP(tests, NULL, NULL);
