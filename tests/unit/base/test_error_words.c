/* Every error of the core can be read in Chinese. */
#include "base/error_words.h"
#include "test.h"

static const struct tb_error *const errors[] = {
#define TB_ERROR(name, ...) TB_E_##name,
#include <tongbao/errors.def>
#undef TB_ERROR
};

/* Whether there is a character that a sentence in English has not. */
static bool is_chinese(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0x80) != 0)
            return true;
    return false;
}

static void every_error_has_words_in_chinese(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        const struct tb_error_words *words = tb_error_words(errors[i]->code, TB_LANG_ZH);
        if (words == NULL || !is_chinese(words->title) || !is_chinese(words->remedy))
            fail_msg("%s has no row in errors_zh.def", errors[i]->code);
        assert_null(tb_error_words(errors[i]->code, TB_LANG_EN));
    }
    assert_null(tb_error_words("no_such_error", TB_LANG_ZH));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_error_has_words_in_chinese),
};
TEST_GROUP(tests, NULL, NULL);
