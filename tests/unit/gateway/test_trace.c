/* Decision traces: what is kept of whom, what gives way, and how long a stage took. */
#include "../unit.h"

#include "gateway/trace_ring.h"
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RINGS = 2 };

static struct tb_trace_ring *rings_open(void)
{
    void *memory = mmap(NULL, RINGS * sizeof(struct tb_trace_ring), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static void rings_close(struct tb_trace_ring *rings)
{
    munmap(rings, RINGS * sizeof(struct tb_trace_ring));
}

static int64_t ticks = 1000; /* moves with each record, of which a hundred have one millisecond */

/* Keep a record of `partner`, or of a stranger at `partner`, and say its id. */
static void keep(struct tb_traces *traces, const char *partner, bool known, int status,
                 const char *request_id, char id[TB_UUID_CHARS + 1])
{
    ticks++;
    struct tb_trace trace = {
        .status = (uint16_t)status, .at_ms = ticks / 100 + 1, .order = (uint64_t)ticks};
    tb_uuid_make(id);
    memcpy(trace.id, id, TB_UUID_CHARS);
    memcpy(trace.request_id, request_id == NULL ? id : request_id, TB_UUID_CHARS);
    if (known)
        snprintf(trace.partner, sizeof(trace.partner), "%s", partner);
    trace.share = known ? tb_trace_share(trace.partner, status >= 400)
                        : tb_trace_share_of_stranger(partner, status >= 400);
    tb_trace_keep(traces, &trace);
}

static void flood(struct tb_traces *traces, const char *who, bool known, int status, size_t n)
{
    char id[TB_UUID_CHARS + 1];
    for (size_t i = 0; i < n; i++)
        keep(traces, who, known, status, NULL, id);
}

static bool is_there(const struct tb_traces *traces, const char *id)
{
    struct tb_trace found;
    return tb_trace_find(traces, tb_str(id), &found) && memcmp(found.id, id, TB_UUID_CHARS) == 0;
}

static void is_found_by_the_servers_id_alone(void **state)
{
    (void)state;
    static const char sent[] = "0b1e2f0c-4a3d-4e5f-8a9b-0c1d2e3f4a5b";
    struct tb_trace_ring *rings = rings_open();
    struct tb_traces *traces = tb_traces_open(rings, RINGS);
    char first[TB_UUID_CHARS + 1], second[TB_UUID_CHARS + 1], other[TB_UUID_CHARS + 1];
    keep(traces, "ptr_a", true, 403, sent, first);
    keep(traces, "ptr_a", true, 200, sent, second);
    keep(traces, "ptr_b", true, 200, sent, other);
    assert_true(is_there(traces, first) && is_there(traces, second) && is_there(traces, other));
    assert_false(is_there(traces, sent));

    struct tb_trace found[8];
    struct tb_trace_query query = {.request_id = tb_str(sent)};
    assert_int_equal(tb_trace_search(traces, &query, found, 8), 3);
    assert_memory_equal(found[0].id, other, TB_UUID_CHARS);
    query.partner = TB_STR("ptr_a");
    assert_int_equal(tb_trace_search(traces, &query, found, 8), 2);
    assert_memory_equal(found[0].id, second, TB_UUID_CHARS);
    assert_memory_equal(found[1].id, first, TB_UUID_CHARS);
    assert_int_equal(tb_trace_search(traces, &query, found, 1), 2); /* one of which is told */
    assert_memory_equal(found[0].id, second, TB_UUID_CHARS);
    tb_traces_close(traces);
    rings_close(rings);
}

static void keeps_what_a_flood_of_others_would_push_out(void **state)
{
    (void)state;
    struct tb_trace_ring *rings = rings_open();
    struct tb_traces *traces = tb_traces_open(rings, RINGS);
    char quiet[TB_UUID_CHARS + 1], refused[TB_UUID_CHARS + 1], stranger[TB_UUID_CHARS + 1];
    char peer[48], partner[32];
    keep(traces, "ptr_quiet", true, 200, NULL, quiet);
    keep(traces, "ptr_loud", true, 422, NULL, refused);
    keep(traces, "192.0.2.7", false, 401, NULL, stranger);

    flood(traces, "ptr_loud", true, 200, 3 * (size_t)TB_TRACE_RING);
    assert_true(is_there(traces, quiet));
    assert_true(is_there(traces, refused)); /* its own refusal is not buried under successes */
    assert_true(is_there(traces, stranger));
    for (size_t i = 0; i < 4 * (size_t)TB_TRACE_RING; i++) { /* from any number of networks */
        snprintf(peer, sizeof(peer), "2001:db8:%zx::%zx", i % 60000, i);
        flood(traces, peer, false, 401, 1);
    }
    assert_true(is_there(traces, quiet) && is_there(traces, refused));
    for (size_t i = 0; i < 150; i++) { /* and from many that are known */
        snprintf(partner, sizeof(partner), "ptr_%zu", i);
        flood(traces, partner, true, 200, 200);
    }
    assert_true(is_there(traces, quiet) && is_there(traces, refused));
    tb_traces_close(traces);
    rings_close(rings);
}

static void uses_all_its_room_for_one_that_is_alone(void **state)
{
    (void)state;
    struct tb_trace_ring *rings = rings_open();
    struct tb_traces *traces = tb_traces_open(rings, RINGS);
    char id[TB_UUID_CHARS + 1];
    keep(traces, "ptr_a", true, 200, NULL, id);
    flood(traces, "ptr_a", true, 200, TB_TRACE_RING - 1);
    assert_true(is_there(traces, id));
    flood(traces, "ptr_a", true, 200, 1);
    assert_false(is_there(traces, id));
    tb_traces_close(traces);
    rings_close(rings);
}

static void counts_right_with_more_shares_than_chunks(void **state)
{
    (void)state;
    struct tb_trace_ring *rings = rings_open();
    struct tb_traces *traces = tb_traces_open(rings, RINGS);
    char partner[32], id[TB_UUID_CHARS + 1];
    for (size_t i = 0; i < 3000; i++) {
        snprintf(partner, sizeof(partner), "ptr_%zu", i % 700);
        keep(traces, partner, true, i % 3 == 0 ? 404 : 200, NULL, id);
        assert_true(is_there(traces, id));
    }
    tb_traces_close(traces);
    rings_close(rings);
}

static void goes_on_where_the_worker_before_it_ended(void **state)
{
    (void)state;
    struct tb_trace_ring *rings = rings_open();
    char quiet[TB_UUID_CHARS + 1];
    pid_t pid = fork();
    if (pid == 0) { /* dies without closing */
        struct tb_traces *theirs = tb_traces_open(rings, RINGS);
        flood(theirs, "ptr_loud", true, 200, 2 * (size_t)TB_TRACE_RING);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    struct tb_traces *traces = tb_traces_open(rings, RINGS);
    assert_int_equal(rings[0].owner, getpid()); /* and not the second ring */
    ticks += 3 * TB_TRACE_RING;
    keep(traces, "ptr_quiet", true, 200, NULL, quiet);
    flood(traces, "ptr_loud", true, 200, 2 * (size_t)TB_TRACE_RING);
    assert_true(is_there(traces, quiet));

    struct tb_traces *second = tb_traces_open(rings, RINGS), *third = tb_traces_open(rings, RINGS);
    assert_true(is_there(second, quiet) && is_there(third, quiet)); /* read by all */
    flood(third, "ptr_a", true, 200, 1);                            /* has no ring: kept nowhere */
    struct tb_trace found;
    struct tb_trace_query query = {.partner = TB_STR("ptr_a")};
    assert_int_equal(tb_trace_search(third, &query, &found, 1), 0);
    tb_traces_close(traces);
    tb_traces_close(second);
    tb_traces_close(third);
    rings_close(rings);
}

static void tells_how_long_a_slow_stage_took(void **state)
{
    (void)state;
    static const char *const stages[] = {"admit", "handler", NULL};
    struct tb_arena *arena = tb_arena_new(65536);
    struct tb_trace trace = {.stages_n = 2, .refused_by = UINT8_MAX};
    struct tb_text text;
    trace.ticks[0] = (uint64_t)(2.5 * tb_ticks_per_us());
    trace.ticks[1] = (uint64_t)(3000000 * tb_ticks_per_us()); /* 2^32 ticks are about 2 s */
    tb_text_init(&text, arena);
    tb_trace_write(&text, &trace, stages, "GET /x", false);
    struct tb_str out = tb_text_end(&text);
    const char *handler = strstr(out.at, "\"handler\",\"verdict\":\"none\",\"microseconds\":");
    assert_non_null(handler);
    double us = 0;
    assert_int_equal(sscanf(strrchr(handler, ':'), ":%lf", &us), 1);
    assert_true(us > 2999990 && us < 3000010);
    tb_arena_free(arena);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_found_by_the_servers_id_alone),
    cmocka_unit_test(keeps_what_a_flood_of_others_would_push_out),
    cmocka_unit_test(uses_all_its_room_for_one_that_is_alone),
    cmocka_unit_test(counts_right_with_more_shares_than_chunks),
    cmocka_unit_test(goes_on_where_the_worker_before_it_ended),
    cmocka_unit_test(tells_how_long_a_slow_stage_took),
};
TEST_GROUP(tests, NULL, NULL);
