/* Counting in rows of shared memory, and the page Prometheus reads. */
#include "test.h"

#include "base/metrics.h"
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *memory_new(void)
{
    void *memory = mmap(NULL, tb_metrics_bytes(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static void memory_end(void *memory)
{
    munmap(memory, tb_metrics_bytes());
}

/* The value behind the sample `name`, labels and all; -1 when it is not on the page. */
static int64_t sample(const struct tb_metrics *metrics, const char *name)
{
    struct tb_arena *arena = tb_arena_new(TB_METRICS_PAGE_BYTES);
    struct tb_text page;
    tb_text_init(&page, arena);
    tb_metrics_write(&page, metrics);
    struct tb_str text = tb_text_end(&page);
    assert_non_null(text.at);
    char line[256];
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(text.at, line);
    int64_t value = at == NULL ? -1 : strtoll(at + strlen(line), NULL, 10);
    tb_arena_free(arena);
    return value;
}

/* Run `work` in a process of its own, which then ends as it likes. */
static void in_process(void *memory, void (*work)(struct tb_metrics *metrics), bool killed)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
        work(metrics);
        if (killed)
            raise(SIGKILL);
        tb_metrics_close(metrics);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(killed, WIFSIGNALED(status));
}

static void count_some(struct tb_metrics *metrics)
{
    tb_count(metrics, TB_M_RATE_LIMITED, 5);
    tb_count_to(metrics, TB_M_STORE_CALLS, 3);
    tb_count_to(metrics, TB_M_STORE_CALLS, 7);
    tb_gauge(metrics, TB_M_FIBERS, 9);
    tb_observe(metrics, TB_H_REQUEST, 100);
}

static void sums_over_processes_and_keeps_what_the_dead_counted(void **state)
{
    (void)state;
    void *memory = memory_new();
    struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
    count_some(metrics);
    for (int i = 1; i <= 10; i++) {
        in_process(memory, count_some, i % 2 == 0);
        assert_int_equal(sample(metrics, "tongbao_rate_limited_total"), 5 * (i + 1));
        assert_int_equal(sample(metrics, "tongbao_store_calls_total"), 7 * (i + 1));
        assert_int_equal(sample(metrics, "tongbao_fibers"), 9); /* of the living */
        assert_int_equal(sample(metrics, "tongbao_request_seconds_count"), i + 1);
    }
    tb_gauge(metrics, TB_M_FIBERS, 2);
    assert_int_equal(sample(metrics, "tongbao_fibers"), 2);
    tb_metrics_close(metrics);
    memory_end(memory);
}

static void reach(struct tb_metrics *metrics)
{
    tb_gauge(metrics, TB_M_SCRIPT_GENERATION, 3);
    assert_int_equal(sample(metrics, "tongbao_script_generation"), 3);
}

static void shows_the_lowest_of_the_living_that_have_set_it(void **state)
{
    (void)state;
    void *memory = memory_new();
    struct tb_metrics *opened[3];
    for (size_t i = 0; i < COUNT(opened); i++)
        opened[i] = tb_metrics_open(memory, tb_metrics_bytes());
    assert_int_equal(sample(opened[0], "tongbao_script_generation"), 0);
    tb_gauge(opened[0], TB_M_SCRIPT_GENERATION, 7);
    tb_gauge(opened[1], TB_M_SCRIPT_GENERATION, 5);
    assert_int_equal(sample(opened[2], "tongbao_script_generation"), 5);
    for (int killed = 0; killed < 2; killed++) {
        in_process(memory, reach, killed);
        assert_int_equal(sample(opened[0], "tongbao_script_generation"), 5);
    }
    tb_gauge(opened[2], TB_M_SCRIPT_GENERATION, 0);
    assert_int_equal(sample(opened[0], "tongbao_script_generation"), 0); /* that is a value, too */
    tb_metrics_close(opened[2]);
    tb_metrics_close(opened[1]);
    assert_int_equal(sample(opened[0], "tongbao_script_generation"), 7);
    tb_metrics_close(opened[0]);
    memory_end(memory);
}

static void gives_each_living_process_a_row_of_its_own(void **state)
{
    (void)state;
    void *memory = memory_new();
    struct tb_metrics *opened[20];
    for (size_t i = 0; i < COUNT(opened); i++) {
        opened[i] = tb_metrics_open(memory, tb_metrics_bytes());
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(opened[i]->row, opened[k]->row);
    }
    struct tb_metrics_row *freed = opened[7]->row;
    tb_metrics_close(opened[7]);
    opened[7] = tb_metrics_open(memory, tb_metrics_bytes());
    assert_ptr_equal(opened[7]->row, freed);
    for (size_t i = 0; i < COUNT(opened); i++)
        tb_metrics_close(opened[i]);
    memory_end(memory);
}

static void counts_on_without_a_row(void **state)
{
    (void)state;
    void *memory = memory_new();
    enum { MANY = 330 };
    struct tb_metrics *opened[MANY];
    for (size_t i = 0; i < MANY; i++) {
        opened[i] = tb_metrics_open(memory, tb_metrics_bytes());
        tb_count(opened[i], TB_M_REPLAYED, 1);
    }
    assert_int_equal(sample(opened[0], "tongbao_replayed_total"), 320);
    for (size_t i = 0; i < MANY; i++)
        tb_metrics_close(opened[i]);
    memory_end(memory);
}

static void puts_durations_into_powers_of_two(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        size_t bucket;
    } cases[] = {
        {0, 0},    {15, 0},   {16, 1},        {31, 1},        {32, 2},
        {1023, 6}, {1024, 7}, {33554431, 21}, {33554432, 22}, {UINT64_MAX, 22},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(tb_histogram_bucket(cases[i].us), cases[i].bucket);

    void *memory = memory_new();
    struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
    tb_observe(metrics, TB_H_REQUEST, 10);
    tb_observe(metrics, TB_H_REQUEST, 1000);
    tb_observe(metrics, TB_H_REQUEST, 2000000);
    tb_observe(metrics, TB_H_REQUEST, 40000000);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"0.000016\"}"), 1);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"0.000512\"}"), 1);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"0.001024\"}"), 2);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"2.097152\"}"), 3);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"33.554432\"}"), 3);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_bucket{le=\"+Inf\"}"), 4);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_count"), 4);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_sum"), 42);
    tb_metrics_close(metrics);
    memory_end(memory);
}

static void counts_answers_by_operation_and_class(void **state)
{
    (void)state;
    void *memory = memory_new();
    struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
    struct tb_metrics *other = tb_metrics_open(memory, tb_metrics_bytes());
    uint32_t get = tb_metrics_operation(metrics, TB_STR("GET /a/v1/b/{id}"));
    uint32_t post = tb_metrics_operation(other, TB_STR("POST /a/v1/b"));
    assert_int_not_equal(get, post);
    assert_int_equal(tb_metrics_operation(other, TB_STR("GET /a/v1/b/{id}")), get);
    static const int statuses[] = {200, 201, 304, 404, 429, 500, 0, 999};
    for (size_t i = 0; i < COUNT(statuses); i++)
        tb_count_answer(metrics, get, statuses[i], 100);
    tb_count_answer(other, get, 200, 100);
    tb_count_answer(other, TB_METRICS_OPERATIONS - 1, 404, 100);

#define GET "tongbao_answers_total{operation=\"GET /a/v1/b/{id}\",class="
    assert_int_equal(sample(metrics, GET "\"2xx\"}"), 3);
    assert_int_equal(sample(metrics, GET "\"3xx\"}"), 1);
    assert_int_equal(sample(metrics, GET "\"4xx\"}"), 2);
    assert_int_equal(sample(metrics, GET "\"5xx\"}"), 1);
    assert_int_equal(sample(metrics, GET "\"gone\"}"), 2);
#undef GET
    assert_int_equal(
        sample(metrics, "tongbao_answers_total{operation=\"POST /a/v1/b\",class=\"2xx\"}"), -1);
    assert_int_equal(sample(metrics, "tongbao_answers_total{operation=\"other\",class=\"4xx\"}"),
                     1);
    assert_int_equal(
        sample(metrics, "tongbao_operation_seconds_count{operation=\"GET /a/v1/b/{id}\"}"), 9);
    assert_int_equal(sample(metrics, "tongbao_request_seconds_count"), 10);
    tb_metrics_close(metrics);
    tb_metrics_close(other);
    memory_end(memory);
}

static void counts_each_of_a_thousand_operations_and_those_beyond_together(void **state)
{
    (void)state;
    enum { MANY = TB_METRICS_OPERATIONS + 43 };
    assert_true(TB_METRICS_OPERATIONS > 1000);
    void *memory = memory_new();
    struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
    char key[160];
    for (uint32_t i = 0; i < MANY; i++) {
        int n = snprintf(key, sizeof(key), "GET /product/v1/%" PRIu32 "/", i);
        memset(key + n, 'x', 127 - (size_t)n); /* as long as one may be */
        key[127] = '\0';
        uint32_t at = tb_metrics_operation(metrics, tb_str(key));
        assert_int_equal(at, i < TB_METRICS_OPERATIONS - 1 ? i : TB_METRICS_OPERATIONS - 1);
        if (at < TB_METRICS_OPERATIONS - 1)
            assert_string_equal(tb_metrics_operation_key(metrics, at), key);
        for (uint64_t us = 1; us < UINT64_C(1) << 36; us *= 2)
            tb_count_answer(metrics, at, (int)(us % 5) * 100 + 200, us);
    }
    assert_null(tb_metrics_operation_key(metrics, TB_METRICS_OPERATIONS - 1));
    memset(key, 'x', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    assert_int_equal(tb_metrics_operation(metrics, tb_str(key)), TB_METRICS_OPERATIONS - 1);
    /* And the fullest page there can be fits into the memory meant for it. */
    assert_int_equal(sample(metrics, "tongbao_operation_seconds_count{operation=\"other\"}"),
                     36 * (MANY - (TB_METRICS_OPERATIONS - 1)));
    tb_metrics_close(metrics);
    memory_end(memory);
}

static void writes_what_the_format_asks_for(void **state)
{
    (void)state;
    void *memory = memory_new();
    struct tb_metrics *metrics = tb_metrics_open(memory, tb_metrics_bytes());
    tb_count_answer(metrics, tb_metrics_operation(metrics, TB_STR("GET /a")), 200, 5);
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text page;
    tb_text_init(&page, arena);
    tb_metrics_write(&page, metrics);
    tb_metrics_write_head(&page, "x_total", "counter", "Things.");
    tb_metrics_write_sample(&page, "x_total", TB_STR("kind=\"a\""), UINT64_MAX);
    char *at = (char *)(uintptr_t)tb_text_end(&page).at;
    char family[128] = "";
    for (char *line = strsep(&at, "\n"); line != NULL && *line != '\0'; line = strsep(&at, "\n")) {
        char name[128], type[16];
        if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
            snprintf(family, sizeof(family), "%s", name);
            size_t n = strlen(name);
            bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;
            assert_int_equal(total, strcmp(type, "counter") == 0);
        } else if (line[0] != '#') {
            assert_memory_equal(line, family, strlen(family));
            char *end, *value = strrchr(line, ' ');
            assert_non_null(value);
            (void)strtod(value, &end);
            assert_int_equal(*end, '\0');
        }
    }
    tb_arena_free(arena);
    tb_metrics_close(metrics);
    memory_end(memory);
}

static void agrees_with_its_page_in_the_documents(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_metrics_document(&text);
    FILE *page = fopen(TB_SOURCE_DIR "/docs/metrics.md", "r");
    assert_non_null(page);
    static char found[65536];
    found[fread(found, 1, sizeof(found) - 1, page)] = '\0';
    fclose(page);
    assert_text(tb_text_end(&text), found);
    tb_arena_free(arena);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_over_processes_and_keeps_what_the_dead_counted),
    cmocka_unit_test(shows_the_lowest_of_the_living_that_have_set_it),
    cmocka_unit_test(gives_each_living_process_a_row_of_its_own),
    cmocka_unit_test(counts_on_without_a_row),
    cmocka_unit_test(puts_durations_into_powers_of_two),
    cmocka_unit_test(counts_answers_by_operation_and_class),
    cmocka_unit_test(counts_each_of_a_thousand_operations_and_those_beyond_together),
    cmocka_unit_test(writes_what_the_format_asks_for),
    cmocka_unit_test(agrees_with_its_page_in_the_documents),
};
TEST_GROUP(tests, NULL, NULL);
