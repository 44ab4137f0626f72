/* One table from errors_zh.def; the lint sees that every error has its row. */
#include "base/error_words.h"

#define TB_ERROR(name, status, code, retryable, title, remedy)                                     \
    static const char CODE_##name[] = code;
#include <tongbao/errors.def>
#undef TB_ERROR

static const struct tb_error_words WORDS[] = {
#define TB_ERROR_ZH(name, title_, remedy_)                                                         \
    {.code = CODE_##name, .lang = "zh", .title = (title_), .remedy = (remedy_)},
#include <tongbao/errors_zh.def>
#undef TB_ERROR_ZH
};

const struct tb_error_words *tb_error_words_find(const struct tb_error_words *words, size_t n,
                                                 const char *code, enum tb_lang lang)
{
    if (lang == TB_LANG_EN)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i].code, code) == 0 &&
            memcmp(words[i].lang, tb_lang_tag(lang).at, strlen(words[i].lang)) == 0)
            return &words[i];
    return NULL;
}

const struct tb_error_words *tb_error_words(const char *code, enum tb_lang lang)
{
    return tb_error_words_find(WORDS, TB_COUNT(WORDS), code, lang);
}
