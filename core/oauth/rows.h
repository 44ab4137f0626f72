/* Cells of this room's statements. */
#ifndef TB_OAUTH_ROWS_H
#define TB_OAUTH_ROWS_H

#include <tongbao/req.h>

/** A bigint that is not negative, as PostgreSQL prints it. */
static inline int64_t tb_oauth_int(const struct tb_rows *rows, size_t row, size_t column)
{
    struct tb_str text = tb_cell(rows, row, column);
    int64_t value = 0;
    for (size_t i = 0; i < text.n; i++)
        value = value * 10 + (text.at[i] - '0');
    return value;
}

#endif
