/* Which Content-Types name a charset that is not UTF-8. */
#include "../unit.h"

#include "base/media.h"
#include <string.h>

static void names_a_charset_other_than_utf8(void **state)
{
    static const struct {
        const char *type, *charset; /* NULL: it is UTF-8 */
    } cases[] = {
        {"", NULL},
        {"application/json", NULL},
        {"application/json;charset=utf-8", NULL},
        {"application/json; charset=\"UTF-8\"", NULL},
        {"application/json ; CHARSET = us-ascii", NULL},
        {"a/b;x=\"y;charset=z\\\";charset=z\"", NULL},
        {"a/b;", NULL},
        {"a/b;;charset", NULL},
        {"a/b;xcharset=z", NULL},
        {"a/b;charset=utf-16", "utf-16"},
        {"a/b;charset=\"latin1\"", "latin1"},
        {"a/b;charset=utf-8;charset=utf-7", "utf-7"},
        {"a/b;x=\"y\";charset=z", "z"},
        {"a/b;charset=", ""},
        {"a/b;charset=\"", "\""},
        {"a/b;charset=\"utf-8", "\"utf-8"},
        {"a/b;charset=utf-8 x", "utf-8 x"},
    };
    struct tb_str charset;
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        bool utf8 = tb_media_charset(tb_str(cases[i].type), &charset);
        if (utf8 != (cases[i].charset == NULL) ||
            (!utf8 && !tb_str_eq(charset, tb_str(cases[i].charset))))
            fail_msg("%s", cases[i].type);
    }
    assert_true(tb_media_charset(TB_STR_NONE, &charset));
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(names_a_charset_other_than_utf8)};
TEST_GROUP(tests, NULL, NULL);
