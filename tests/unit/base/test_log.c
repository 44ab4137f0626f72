/* The log: lines that are always JSON, secrets that never are in them, a writer that never waits.
 */
#include "../yardstick.h"
#include "base/log.h"
#include "base/time.h"
#include "test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static int open_pipe(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What is in the pipe now, as NUL-terminated text. */
static const char *drain(void)
{
    static char text[512 * 1024];
    size_t n = 0;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    ssize_t got;
    while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    return text;
}

/* The only line there is, parsed. */
static json_t *only_line(void)
{
    const char *text = drain();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL)
        fail_msg("not JSON: %s", text);
    return json;
}

static const char *member(json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static void writes_one_json_object_a_line(void **state)
{
    (void)state;
    tb_log_start(ends[1], TB_LOG_INFO, "worker/3");
    tb_log_with(TB_LOG_WARN, "worker_died", TB_F_INT("pid", INT64_MIN), TB_F_BOOL("ready", true),
                TB_F_TEXT("route", TB_STR_NONE), TB_F_TIME("since", 1772271000123),
                TB_F_CSTR("why", "\"quoted\"\nand \xFF broken"));
    json_t *line = only_line();
    int64_t at;
    assert_true(tb_time_parse(tb_str(member(line, "at")), &at));
    assert_in_range(tb_wall_ms() - at, 0, 60000);
    assert_string_equal(member(line, "level"), "warn");
    assert_string_equal(member(line, "process"), "worker/3");
    assert_string_equal(member(line, "event"), "worker_died");
    assert_true(json_integer_value(json_object_get(line, "pid")) == INT64_MIN);
    assert_true(json_is_true(json_object_get(line, "ready")));
    assert_true(json_is_null(json_object_get(line, "route")));
    assert_string_equal(member(line, "since"), "2026-02-28T09:30:00.123Z");
    assert_string_equal(member(line, "why"), "\"quoted\"\nand \xEF\xBF\xBD broken");
    assert_null(json_object_get(line, "cut"));
    json_decref(line);
}

static void leaves_out_levels_below_the_least(void **state)
{
    (void)state;
    tb_log_start(ends[1], TB_LOG_WARN, NULL);
    tb_log_event(TB_LOG_INFO, "quiet");
    assert_string_equal(drain(), "");
    assert_false(tb_log_enabled(TB_LOG_INFO));
    tb_log_set_level(TB_LOG_DEBUG);
    tb_log_event(TB_LOG_DEBUG, "heard");
    json_t *line = only_line();
    assert_string_equal(member(line, "event"), "heard");
    assert_null(json_object_get(line, "process"));
    json_decref(line);
}

static void redacts_by_the_name_of_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool redacted;
    } cases[] = {
        {"authorization", true},
        {"Authorization", true},
        {"x-authorization", true},
        {"token", true},
        {"access_token", true},
        {"token_hint", true},
        {"client_secret", true},
        {"PASSWORD", true},
        {"set-cookie", true},
        {"client-assertion", true},
        {"pan", true},
        {"card.pan", true},
        {"code", true},
        {"code_verifier", true},
        {"api_key", true},
        {"api-key", true},
        {"dsn", true},
        {"private_key", true},
        {"status_code", false},
        {"error_code", false},
        {"company", false},
        {"panel", false},
        {"tokenizer", false},
        {"idempotency_key", false},
        {"route", false},
        {"", false},
        {"__", false},
        {"spin", false},
        {"codes", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (tb_log_redacts(cases[i].name) != cases[i].redacted)
            fail_msg("%s", cases[i].name);
    tb_log_start(ends[1], TB_LOG_INFO, NULL);
    tb_log_with(TB_LOG_INFO, "login", TB_F_CSTR("access_token", "eyJhbGci"),
                TB_F_INT("pin", 123456), TB_F_CSTR("partner", "ptr_1"));
    const char *text = drain();
    assert_null(strstr(text, "eyJ"));
    assert_null(strstr(text, "123456"));
    assert_non_null(strstr(text, "\"access_token\":\"[redacted]\""));
    assert_non_null(strstr(text, "\"pin\":\"[redacted]\""));
    assert_non_null(strstr(text, "\"partner\":\"ptr_1\""));
}

static void keeps_lines_within_their_bound_and_says_so(void **state)
{
    (void)state;
    static char huge[20000];
    memset(huge, '\x01', sizeof(huge)); /* six bytes each once escaped */
    struct tb_str long_text = {huge, sizeof(huge)};
    tb_log_start(ends[1], TB_LOG_INFO, NULL);
    tb_log_with(TB_LOG_INFO, "long", TB_F_TEXT("first", long_text), TB_F_INT("second", 2));
    json_t *line = only_line();
    assert_true(json_is_true(json_object_get(line, "cut")));
    assert_int_equal(json_integer_value(json_object_get(line, "second")), 2);
    json_decref(line);

    memset(huge, 'x', sizeof(huge));
    tb_log_with(TB_LOG_INFO, "long", TB_F_TEXT("a", long_text), TB_F_TEXT("b", long_text),
                TB_F_TEXT("c", long_text), TB_F_INT("d", 4));
    line = only_line();
    assert_true(json_is_true(json_object_get(line, "cut")));
    assert_int_equal(json_string_length(json_object_get(line, "a")), 2048);
    assert_null(json_object_get(line, "b"));
    assert_int_equal(json_integer_value(json_object_get(line, "d")), 4);
    json_decref(line);
}

static void holds_lines_back_until_enough_are_together(void **state)
{
    (void)state;
    struct tb_sink *sink = tb_sink_new(ends[1], 1000);
    for (int i = 0; i < 5; i++)
        tb_sink_add(sink, 0, "request", &TB_F_INT("status", 200), 1);
    assert_string_equal(drain(), "");
    assert_int_equal(tb_sink_flush(sink), 0);
    static const char one[] =
        "{\"at\":\"1970-01-01T00:00:00.000Z\",\"event\":\"request\",\"status\":200}\n";
    const char *text = drain();
    assert_int_equal(strlen(text), 5 * (sizeof(one) - 1));
    assert_memory_equal(text, one, sizeof(one) - 1);
    for (int i = 0; i < 40; i++)
        tb_sink_add(sink, 0, "request", NULL, 0);
    assert_true(strlen(drain()) >= 1000);
    tb_sink_free(sink);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* The reader sleeps: nothing blocks, memory is bounded, every line is either read or counted. */
static void drops_and_counts_when_the_reader_is_slow(void **state)
{
    (void)state;
    enum { LINES = 10000 };
    struct tb_sink *sink = tb_sink_new(ends[1], 0);
    int64_t began = tb_monotonic_ms();
    for (int i = 0; i < LINES; i++)
        tb_sink_add(sink, 0, "request", &TB_F_INT("number", i), 1);
    assert_true(tb_monotonic_ms() - began < stretched_ms(5000));
    uint64_t dropped = tb_sink_dropped(sink);
    assert_true(dropped > 0);
    size_t written = count_lines(drain());
    while (tb_sink_flush(sink) > 0)
        written += count_lines(drain());
    written += count_lines(drain());
    assert_int_equal(written + dropped, LINES);
    tb_sink_add(sink, 0, "after", NULL, 0);
    const char *text = drain();
    char expected[64];
    snprintf(expected, sizeof(expected), "\"event\":\"log_lines_dropped\",\"lines\":%llu}",
             (unsigned long long)dropped);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\"event\":\"after\""));
    assert_int_equal(tb_sink_dropped(sink), dropped);
    tb_sink_free(sink);
}

static void survives_a_reader_that_is_gone(void **state)
{
    (void)state;
    int broken[2];
    assert_int_equal(pipe(broken), 0);
    close(broken[0]);
    struct tb_sink *sink = tb_sink_new(broken[1], 0);
    tb_sink_add(sink, 0, "lost", NULL, 0);
    tb_sink_add(sink, 0, "lost", NULL, 0);
    assert_true(tb_sink_dropped(sink) > 0);
    tb_sink_free(sink);
    close(broken[1]);
}

static void writes_to_files_and_sockets_too(void **state)
{
    (void)state;
    char path[] = "/tmp/tb-log-XXXXXX";
    int file = mkstemp(path), sockets[2];
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    const int out[] = {file, sockets[0]}, in[] = {file, sockets[1]};
    for (size_t i = 0; i < COUNT(out); i++) {
        char text[256] = "";
        struct tb_sink *sink = tb_sink_new(out[i], 0);
        tb_sink_add(sink, 0, "here", NULL, 0);
        tb_sink_free(sink);
        if (in[i] == file)
            lseek(file, 0, SEEK_SET);
        assert_true(read(in[i], text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "{\"at\":\"1970-01-01T00:00:00.000Z\",\"event\":\"here\"}\n");
    }
    close(file);
    close(sockets[0]);
    close(sockets[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(writes_one_json_object_a_line, open_pipe, close_pipe),
    cmocka_unit_test_setup_teardown(leaves_out_levels_below_the_least, open_pipe, close_pipe),
    cmocka_unit_test_setup_teardown(redacts_by_the_name_of_the_field, open_pipe, close_pipe),
    cmocka_unit_test_setup_teardown(keeps_lines_within_their_bound_and_says_so, open_pipe,
                                    close_pipe),
    cmocka_unit_test_setup_teardown(holds_lines_back_until_enough_are_together, open_pipe,
                                    close_pipe),
    cmocka_unit_test_setup_teardown(drops_and_counts_when_the_reader_is_slow, open_pipe,
                                    close_pipe),
    cmocka_unit_test_setup_teardown(survives_a_reader_that_is_gone, open_pipe, close_pipe),
    cmocka_unit_test_setup_teardown(writes_to_files_and_sockets_too, open_pipe, close_pipe),
};
TEST_GROUP(tests, NULL, NULL);
