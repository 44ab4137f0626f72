/* Between the files of the log: how a line is made and how it goes out. */
#ifndef TB_BASE_SINK_H
#define TB_BASE_SINK_H

#include "base/log.h"

struct tb_sink {
    int fd;
    bool file;         /**< a regular file: takes everything at once */
    bool socket;       /**< has a flag of its own for not waiting */
    size_t hold;       /**< bytes to collect before writing */
    size_t n;          /**< bytes collected */
    uint64_t dropped;  /**< lines lost */
    uint64_t reported; /**< of these, lines the log has told of */
    char bytes[TB_LOG_BUFFER];
};

/** What stands before the fields of a line. */
struct tb_line_head {
    int64_t at_ms;
    const char *level;   /**< NULL: none */
    const char *process; /**< NULL: none */
    const char *event;
};

/** Write a line with its newline. @return its length */
size_t tb_line_make(char out[TB_LOG_LINE_MAX], const struct tb_line_head *head,
                    const struct tb_field *fields, size_t fields_n);

void tb_sink_open(struct tb_sink *sink, int fd, size_t hold_bytes);
void tb_sink_put(struct tb_sink *sink, const struct tb_line_head *head,
                 const struct tb_field *fields, size_t fields_n);

#endif
