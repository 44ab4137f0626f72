/* The names of a request: which of the client's are taken over, and what stands for the others. */
#include "../unit.h"

#include "http/names.h"
#include <string.h>

#define ID     "01890a5d-ac96-774b-bcce-b302099a8057"
#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void takes_over_an_id_that_is_a_uuid(void **state)
{
    (void)state;
    static const char *const others[] = {"", "1", ID "0", "01890a5d-ac96-774b-bcce-b302099a805g",
                                         "01890a5d_ac96_774b_bcce_b302099a8057"};
    char id[TB_UUID_CHARS + 1];
    tb_request_id_make(id, TB_STR("01890A5D-AC96-774B-BCCE-B302099A8057"));
    assert_string_equal(id, ID);
    assert_true(tb_interaction_id_fits(TB_STR(ID)));
    assert_false(tb_interaction_id_fits(TB_STR_NONE));
    for (size_t i = 0; i < TB_COUNT(others); i++) {
        tb_request_id_make(id, tb_str(others[i]));
        assert_true(tb_uuid_check(tb_str(id)));
        assert_string_not_equal(id, ID);
        assert_false(tb_interaction_id_fits(tb_str(others[i])));
    }
}

static void goes_on_with_a_trace_below_a_span_of_its_own(void **state)
{
    (void)state;
    char ours[TB_TRACEPARENT_CHARS + 1];
    tb_traceparent_make(ours, TB_STR("00-" TRACE "-" PARENT "-00"), ID);
    assert_memory_equal(ours, "00-" TRACE "-", 36);
    assert_memory_not_equal(ours + 36, PARENT, 16);
    assert_string_equal(ours + 52, "-00"); /* as the client decided about sampling */
}

static void begins_a_trace_where_none_came_that_is_well_formed(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-01-",
        "01-" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "-b7ad6b716920333:-01",
        "00-" TRACE "-" PARENT "-0/",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
    };
    for (size_t i = 0; i < TB_COUNT(others); i++) {
        char ours[TB_TRACEPARENT_CHARS + 1];
        tb_traceparent_make(ours, tb_str(others[i]), ID);
        assert_memory_equal(ours, "00-01890a5dac96774bbcceb302099a8057-", 36);
        assert_string_equal(ours + 52, "-01");
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_over_an_id_that_is_a_uuid),
    cmocka_unit_test(goes_on_with_a_trace_below_a_span_of_its_own),
    cmocka_unit_test(begins_a_trace_where_none_came_that_is_well_formed),
};
TEST_GROUP(tests, NULL, NULL);
