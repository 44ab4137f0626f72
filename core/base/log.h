/* The log: one JSON object a line. A line says what happened (`event`, a constant in snake_case)
 * and carries typed fields; nothing is printf-ed into JSON. Fields whose name says that they hold a
 * secret (one table in log.c) are written as "[redacted]".
 *
 *     tb_log_start(STDERR_FILENO, TB_LOG_INFO, "worker/3");
 *     tb_log_with(TB_LOG_WARN, "worker_died", TB_F_INT("pid", pid), TB_F_TEXT("route", route));
 *
 *     {"at":"2026-02-28T09:30:00.000Z","level":"warn","process":"worker/3","event":"worker_died",…}
 *
 * Writing never blocks: what the reader of a pipe does not take in time waits in a bounded buffer,
 * and past that lines are dropped and counted. For the main thread of a process only. */
#ifndef TB_BASE_LOG_H
#define TB_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tongbao/req.h>
#include <tongbao/types.h>

enum {
    TB_LOG_LINE_MAX = 4096,    /**< bytes of a line with its newline: PIPE_BUF, so that lines of
                                    several processes in one pipe do not mix */
    TB_LOG_BUFFER = 64 * 1024, /**< bytes a sink holds back when its reader is slow */
};

enum { TB_LOG_NOWHERE = -1 /**< a descriptor: no line is made */ };

enum tb_field_kind { TB_FIELD_TEXT, TB_FIELD_INT, TB_FIELD_BOOL, TB_FIELD_TIME };

/** A field of a line. Made by the TB_F_* macros; `name` is a constant. */
struct tb_field {
    const char *name;
    enum tb_field_kind kind;
    struct tb_str text; /**< TB_FIELD_TEXT; absent is written as null */
    int64_t integer;    /**< TB_FIELD_INT, TB_FIELD_BOOL; TB_FIELD_TIME: ms since 1970 */
};

#define TB_F_TEXT(name_, str_)  ((struct tb_field){.name = (name_), .text = (str_)})
#define TB_F_CSTR(name_, text_) TB_F_TEXT(name_, tb_str(text_))
#define TB_F_INT(name_, value_)                                                                    \
    ((struct tb_field){.name = (name_), .kind = TB_FIELD_INT, .integer = (int64_t)(value_)})
#define TB_F_BOOL(name_, value_)                                                                   \
    ((struct tb_field){.name = (name_), .kind = TB_FIELD_BOOL, .integer = (value_) ? 1 : 0})
#define TB_F_TIME(name_, ms_)                                                                      \
    ((struct tb_field){.name = (name_), .kind = TB_FIELD_TIME, .integer = (ms_)})

/* ---- the log of the process ---- */

/** Send the log to `fd` (borrowed) from `least` upwards, each line marked with `process` (constant
 * or long-lived; NULL: unmarked). To be called again in a child: what the parent had not written
 * yet is the parent's. Without it lines go to stderr from TB_LOG_INFO upwards; with TB_LOG_NOWHERE
 * for `fd` there are none. */
void tb_log_start(int fd, enum tb_log_level least, const char *process);

/** Change the level: at reload. */
void tb_log_set_level(enum tb_log_level least);
bool tb_log_enabled(enum tb_log_level level);

/** Write a line now. What does not fit TB_LOG_LINE_MAX is left out and `"cut":true` is added. */
void tb_log_fields(enum tb_log_level level, const char *event, const struct tb_field *fields,
                   size_t fields_n);

/** A line without fields, and one with. */
#define tb_log_event(level, event) tb_log_fields((level), (event), NULL, 0)
#define tb_log_with(level, event, ...)                                                             \
    tb_log_fields((level), (event), (const struct tb_field[]){__VA_ARGS__},                        \
                  sizeof((const struct tb_field[]){__VA_ARGS__}) / sizeof(struct tb_field))

/** Try again to write what is held back. For the end of a turn. */
void tb_log_flush(void);

/* ---- a log of its own: the access log ---- */

struct tb_sink;

/** A sink that collects lines and writes when `hold_bytes` (0..TB_LOG_BUFFER) are together or at
 *  tb_sink_flush. `fd` is borrowed. Never NULL. */
struct tb_sink *tb_sink_new(int fd, size_t hold_bytes);

/** Write what can be written without waiting, and free. */
void tb_sink_free(struct tb_sink *sink);

/** Add a line {"at":…,"event":…,fields}. @param at_ms wall clock, ms since 1970 */
void tb_sink_add(struct tb_sink *sink, int64_t at_ms, const char *event,
                 const struct tb_field *fields, size_t fields_n);

/** Write what the descriptor takes now. @return bytes that are still held back */
size_t tb_sink_flush(struct tb_sink *sink);

/** Lines lost because the descriptor took none for too long. The next line that gets through is
 *  preceded by {"event":"log_lines_dropped","lines":n}. */
uint64_t tb_sink_dropped(const struct tb_sink *sink);

/** Whether a field of this name is written as "[redacted]". */
bool tb_log_redacts(const char *name);

#endif
