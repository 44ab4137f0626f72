/* Making lines: the head, the fields, what is redacted; and the log of the process itself. */
#include "base/log.h"
#include "base/sink.h"
#include "base/text.h"
#include "base/time.h"
#include <string.h>
#include <unistd.h>

enum {
    TEXT_MAX = 2048, /**< longest value of a field, so that one cannot crowd out all */
    TAIL = sizeof(",\"cut\":true}\n") /**< kept free for the end of the line */
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* ---- redaction ---- */

/* A field is redacted when one of the words of its name is one of these ("client_secret",
 * "set-cookie"), or when the whole name is one of the second list: words too common to match inside
 * others ("status_code" is no secret, "code" is an authorization code). */
static const char *const secret_words[] = {
    "assertion", "authorization", "cookie",  "credential", "credentials", "cvv",      "dpop",
    "dsn",       "jwt",           "otp",     "pan",        "passphrase",  "passwd",   "password",
    "pin",       "secret",        "secrets", "token",      "tokens",      "verifier",
};
static const char *const secret_names[] = {"api_key", "code", "key", "private_key", "signature"};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whether the `n` bytes at `at` are `word`, without regard to case; '-' counts as '_'. */
static bool is_word(const char *at, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (word[i] == '\0' || (at[i] == '-' ? '_' : lower(at[i])) != word[i])
            return false;
    return word[n] == '\0';
}

static bool is_listed(const char *at, size_t n, const char *const *list, size_t list_n)
{
    char first = lower(at[0]);
    for (size_t i = 0; i < list_n; i++)
        if (list[i][0] == first && is_word(at, n, list[i]))
            return true;
    return false;
}

bool tb_log_redacts(const char *name)
{
    for (const char *at = name; *at != '\0';) {
        size_t n = 0;
        while (is_letter_or_digit(at[n]))
            n++;
        if (n > 0 && is_listed(at, n, secret_words, TB_COUNT(secret_words)))
            return true;
        at += at[n] == '\0' ? n : n + 1;
    }
    return is_listed(name, strlen(name), secret_names, TB_COUNT(secret_names));
}

/* ---- a line ---- */

static void add_name(struct tb_text *line, const char *name)
{
    tb_text_add_char(line, ',');
    tb_text_add_json(line, tb_str(name));
    tb_text_add_char(line, ':');
}

static void add_time(struct tb_text *line, int64_t ms)
{
    char text[TB_TIME_CHARS + 1];
    tb_time_format(ms, text);
    tb_text_add_char(line, '"');
    tb_text_add(line, (struct tb_str){text, TB_TIME_CHARS});
    tb_text_add_char(line, '"');
}

/* Add a value; false when a part of it was left out. */
static bool add_value(struct tb_text *line, const struct tb_field *field)
{
    struct tb_str text = field->text;
    if (tb_log_redacts(field->name)) {
        tb_text_add(line, TB_STR("\"[redacted]\""));
        return true;
    }
    switch (field->kind) {
    case TB_FIELD_INT:
        tb_text_add_int(line, field->integer);
        return true;
    case TB_FIELD_BOOL:
        tb_text_add(line, field->integer ? TB_STR("true") : TB_STR("false"));
        return true;
    case TB_FIELD_TIME:
        add_time(line, field->integer);
        return true;
    case TB_FIELD_TEXT:
        break;
    }
    if (text.at == NULL)
        tb_text_add(line, TB_STR("null"));
    else
        tb_text_add_json_visible(line,
                                 (struct tb_str){text.at, text.n < TEXT_MAX ? text.n : TEXT_MAX});
    return text.n <= TEXT_MAX;
}

size_t tb_line_make(char out[TB_LOG_LINE_MAX], const struct tb_line_head *head,
                    const struct tb_field *fields, size_t fields_n)
{
    struct tb_text line;
    tb_text_init_fixed(&line, out, TB_LOG_LINE_MAX - TAIL);
    tb_text_add(&line, TB_STR("{\"at\":"));
    add_time(&line, head->at_ms);
    const char *const names[] = {"level", "process", "event"};
    const char *const values[] = {head->level, head->process, head->event};
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        if (values[i] == NULL)
            continue;
        add_name(&line, names[i]);
        tb_text_add_json(&line, tb_str(values[i]));
    }
    bool whole = !line.failed;
    for (size_t i = 0; i < fields_n; i++) {
        size_t before = line.n;
        add_name(&line, fields[i].name);
        if (!add_value(&line, &fields[i]))
            whole = false;
        if (line.failed) {
            tb_text_cut(&line, before);
            whole = false;
        }
    }
    line.room = TB_LOG_LINE_MAX;
    if (!whole)
        tb_text_add(&line, TB_STR(",\"cut\":true"));
    tb_text_add(&line, TB_STR("}\n"));
    return line.n;
}

/* ---- the log of the process ---- */

static struct {
    struct tb_sink sink;
    enum tb_log_level least;
    const char *process;
} process_log = {.sink = {.fd = STDERR_FILENO}, .least = TB_LOG_INFO};

void tb_log_start(int fd, enum tb_log_level least, const char *process)
{
    tb_sink_open(&process_log.sink, fd, 0);
    process_log.least = least;
    process_log.process = process;
}

void tb_log_set_level(enum tb_log_level least)
{
    process_log.least = least;
}

bool tb_log_enabled(enum tb_log_level level)
{
    return level >= process_log.least && process_log.sink.fd != TB_LOG_NOWHERE;
}

void tb_log_fields(enum tb_log_level level, const char *event, const struct tb_field *fields,
                   size_t fields_n)
{
    if (!tb_log_enabled(level))
        return;
    struct tb_line_head head = {.at_ms = tb_wall_ms(),
                                .level = level_names[level],
                                .process = process_log.process,
                                .event = event};
    tb_sink_put(&process_log.sink, &head, fields, fields_n);
}

void tb_log_flush(void)
{
    tb_sink_flush(&process_log.sink);
}
