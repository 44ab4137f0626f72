/* Formats, which are enforced here. */
#include "../unit.h"

#include "helper.h"
#include "schema/format.h"
#include <stdint.h>

static struct tb_arena *arena; /* of the words */

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

struct format_case {
    const char *format, *text;
    bool fits;
};

static void check_formats(const struct format_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tb_format format;
        assert_true(tb_format_find(arena, cases[i].format, &format));
        assert_string_equal(format.name, cases[i].format);
        assert_non_null(format.words);
        if (format.check(tb_str(cases[i].text), format.argument) != cases[i].fits)
            fail_msg("%s \"%s\" should %s", cases[i].format, cases[i].text,
                     cases[i].fits ? "fit" : "not fit");
    }
}
#define CHECK_FORMATS(cases) check_formats((cases), TB_COUNT(cases))

static void knows_instants_and_dates(void **state)
{
    (void)state;
    static const struct format_case cases[] = {
        {"date-time", "2026-02-28T09:30:00Z", true},
        {"date-time", "2026-02-28T09:30:00.123456+08:00", true},
        {"date-time", "2028-02-29T00:00:00z", true},
        {"date-time", "2026-02-29T00:00:00Z", false},
        {"date-time", "2026-02-28 09:30:00Z", false},
        {"date-time", "2026-02-28T09:30:00", false},
        {"date-time", "2026-02-28T24:00:00Z", false},
        {"date-time", "2026-02-28", false},
        {"date-time", "", false},
        {"date", "2028-02-29", true},
        {"date", "2026-02-29", false},
        {"date", "2026-13-01", false},
        {"date", "2026-1-01", false},
        {"date", "2026-01-01T00:00:00Z", false},
    };
    CHECK_FORMATS(cases);
}

static void knows_uuids_and_our_ids(void **state)
{
    (void)state;
    static const struct format_case cases[] = {
        {"uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", true},
        {"uuid", "2EB8AA08-AA98-11EA-B4AA-73B441D16380", true},
        {"uuid", "00000000-0000-0000-0000-000000000000", true},
        {"uuid", "2eb8aa08aa9811eab4aa73b441d16380", false},
        {"uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", false},
        {"uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g", false},
        {"uuid", "2eb8aa08-aa98-11ea-b4aa073b441d16380", false},
        {"tb-id:acc", "acc_01k9x3m6h0g00801v9r5t2n8qd", true},
        {"tb-id:pay", "acc_01k9x3m6h0g00801v9r5t2n8qd", false},
        {"tb-id:acc", "acc_01k9x3m6h0g00801v9r5t2n8q", false},
        {"tb-id:acc", "acc_01K9X3M6H0G00801V9R5T2N8QD", false},
        {"tb-id:acc", "acc_", false},
        {"tb-id:acc", "", false},
        {"tb-id:a", "acc_", false},
    };
    CHECK_FORMATS(cases);
}

static void knows_uris(void **state)
{
    (void)state;
    static const struct format_case cases[] = {
        {"uri", "https://example.com", true},
        {"uri", "https://user:pw@example.com:8443/a/b?c=d#e", true},
        {"uri", "http://[2001:db8::7]/c=GB?objectClass?one", true},
        {"uri", "http://[2001:db8::7]:80", true},
        {"uri", "urn:uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380", true},
        {"uri", "mailto:a@example.com", true},
        {"uri", "file:///etc/hosts", true},
        {"uri", "http://example.com:/", true},
        {"uri", "x:", true},
        {"uri", "http://example.com/%e5%ae%9d", true},
        {"uri", "/relative/path", false},
        {"uri", "//example.com/", false},
        {"uri", "example.com", false},
        {"uri", ":nothing", false},
        {"uri", "1http://example.com", false},
        {"uri", "ht_tp://example.com", false},
        {"uri", "http://example.com/a b", false},
        {"uri", "http://example.com/<x>", false},
        {"uri", "http://example.com/%zz", false},
        {"uri", "http://example.com/%e", false},
        {"uri", "http://example.com/宝", false},
        {"uri", "http://example.com:80a/", false},
        {"uri", "http://[::1", false},
        {"uri", "http://[::1]x/", false},
        {"uri", "http://a@b@c/", false},
        {"uri", "http://example.com/\\x", false},
        {"uri", "http://example.com/#a#b", false},
        {"uri", "", false},
    };
    CHECK_FORMATS(cases);
}

static void knows_mailboxes(void **state)
{
    (void)state;
    static const struct format_case cases[] = {
        {"email", "a@example.com", true},
        {"email", "first.last+tag@mail.example.co", true},
        {"email", "a@localhost", true},
        {"email", "o'brien@example.com", true},
        {"email", "example.com", false},
        {"email", "a@", false},
        {"email", "@example.com", false},
        {"email", "a@b@example.com", false},
        {"email", ".a@example.com", false},
        {"email", "a.@example.com", false},
        {"email", "a..b@example.com", false},
        {"email", "a@example..com", false},
        {"email", "a@.com", false},
        {"email", "a@-x.com", false},
        {"email", "a@x-.com", false},
        {"email", "a b@example.com", false},
        {"email", "\"a b\"@example.com", false},
        {"email", "a@[127.0.0.1]", false},
        {"email", "a@example.com\n", false},
        {"email", "a234567890123456789012345678901234567890123456789012345678901234@x.y", true},
        {"email", "a2345678901234567890123456789012345678901234567890123456789012345@x.y", false},
        {"email", "", false},
    };
    CHECK_FORMATS(cases);
}

static void knows_no_other_format(void **state)
{
    (void)state;
    struct tb_format format;
    static const char *const names[] = {"",         "ipv4",      "Date",     "datetime",
                                        "tb-id:",   "tb-id:ACC", "tb-id:a1", "tb-id:ninelette",
                                        "tb-id acc"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        assert_false(tb_format_find(arena, names[i], &format));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(knows_instants_and_dates),
    cmocka_unit_test(knows_uuids_and_our_ids),
    cmocka_unit_test(knows_uris),
    cmocka_unit_test(knows_mailboxes),
    cmocka_unit_test(knows_no_other_format),
};
TEST_GROUP(tests, make_arena, free_arena);
