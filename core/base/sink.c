/* Lines on their way to a descriptor: collected, written in whole lines, dropped and counted when
 * the reader is too slow. Nothing here waits: a log that stops a gateway is worse than a gap in the
 * log, and the gap is told of. A process that writes to pipes ignores SIGPIPE. */
#include "base/sink.h"
#include "base/assert.h"
#include "base/mem.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void tb_sink_open(struct tb_sink *sink, int fd, size_t hold_bytes)
{
    struct stat about;
    TB_ASSERT(hold_bytes <= TB_LOG_BUFFER);
    bool known = fstat(fd, &about) == 0;
    sink->fd = fd;
    sink->file = known && S_ISREG(about.st_mode);
    sink->socket = known && S_ISSOCK(about.st_mode);
    sink->hold = hold_bytes;
    sink->n = 0;
    sink->dropped = sink->reported = 0;
}

struct tb_sink *tb_sink_new(int fd, size_t hold_bytes)
{
    struct tb_sink *sink = tb_mem(sizeof(*sink));
    tb_sink_open(sink, fd, hold_bytes);
    return sink;
}

void tb_sink_free(struct tb_sink *sink)
{
    if (sink == NULL)
        return;
    tb_sink_flush(sink);
    tb_mem_free(sink);
}

/* How much of `n` bytes to write at once. A pipe that polls writable takes PIPE_BUF bytes without
 * waiting and without mixing them with another process's; so: as many whole lines as that holds. */
static size_t piece(const struct tb_sink *sink, const char *at, size_t n)
{
    if (sink->file || n <= TB_LOG_LINE_MAX)
        return n;
    const char *newline = memrchr(at, '\n', TB_LOG_LINE_MAX);
    return newline == NULL ? TB_LOG_LINE_MAX : (size_t)(newline + 1 - at);
}

static bool takes_more(const struct tb_sink *sink)
{
    struct pollfd one = {.fd = sink->fd, .events = POLLOUT};
    return sink->file || (poll(&one, 1, 0) == 1 && (one.revents & POLLOUT) != 0);
}

static ssize_t write_some(const struct tb_sink *sink, const char *at, size_t n)
{
    ssize_t written;
    do {
        written = sink->socket ? send(sink->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                               : write(sink->fd, at, n);
    } while (written < 0 && errno == EINTR);
    return written;
}

static uint64_t count_lines(const char *at, size_t n)
{
    uint64_t lines = 0;
    for (const char *end = at + n; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        lines++;
    return lines;
}

size_t tb_sink_flush(struct tb_sink *sink)
{
    size_t done = 0;
    while (done < sink->n && takes_more(sink)) {
        const char *at = sink->bytes + done;
        ssize_t written = write_some(sink, at, piece(sink, at, sink->n - done));
        if (written < 0 && errno == EAGAIN)
            break;
        if (written < 0) { /* nobody reads any more, or the disk is full */
            sink->dropped += count_lines(at, sink->n - done);
            done = sink->n;
            break;
        }
        done += (size_t)written;
    }
    if (done > 0 && done < sink->n)
        memmove(sink->bytes, sink->bytes + done, sink->n - done);
    sink->n -= done;
    return sink->n;
}

static bool hold_line(struct tb_sink *sink, const char *line, size_t n)
{
    if (n > sizeof(sink->bytes) - sink->n)
        tb_sink_flush(sink);
    if (n > sizeof(sink->bytes) - sink->n)
        return false;
    memcpy(sink->bytes + sink->n, line, n);
    sink->n += n;
    return true;
}

/* Tell of the lines lost since the last report, as soon as there is room for it. */
static void report_dropped(struct tb_sink *sink, const struct tb_line_head *head)
{
    char line[TB_LOG_LINE_MAX];
    struct tb_line_head report = *head;
    report.event = "log_lines_dropped";
    uint64_t lines = sink->dropped - sink->reported;
    size_t n = tb_line_make(line, &report, &TB_F_INT("lines", lines), 1);
    if (hold_line(sink, line, n))
        sink->reported = sink->dropped;
}

void tb_sink_put(struct tb_sink *sink, const struct tb_line_head *head,
                 const struct tb_field *fields, size_t fields_n)
{
    char line[TB_LOG_LINE_MAX];
    size_t n = tb_line_make(line, head, fields, fields_n);
    if (sink->dropped > sink->reported)
        report_dropped(sink, head);
    if (sink->dropped > sink->reported || !hold_line(sink, line, n))
        sink->dropped++; /* not before the report: the log stays in order */
    if (sink->n >= sink->hold)
        tb_sink_flush(sink);
}

void tb_sink_add(struct tb_sink *sink, int64_t at_ms, const char *event,
                 const struct tb_field *fields, size_t fields_n)
{
    tb_sink_put(sink, &(struct tb_line_head){.at_ms = at_ms, .event = event}, fields, fields_n);
}

uint64_t tb_sink_dropped(const struct tb_sink *sink)
{
    return sink->dropped;
}
