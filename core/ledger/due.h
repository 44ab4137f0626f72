/* Due work: statements that a room wants run on their period. Each room that has tables exports an
 * array of them, ended by a row without name, and the clerk (worker/clerk.c) walks the arrays. A
 * statement is a transaction of its own, safe to run twice and by several clerks. A sandbox has
 * thousands of books and few in which something is due, so the clerk first asks which those are.
 *
 *     const struct tb_due tb_ledger_due[] = {
 *         {"seal", TB_DUE_TURN_MS, TB_DUE_BOOKS "exists (...)" TB_DUE_PAGE,
 *          "select bank.seal($1, $2)", false},
 *         {0},
 *     };
 */
#ifndef TB_LEDGER_DUE_H
#define TB_LEDGER_DUE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TB_DUE_TURN_MS = 1000,
    TB_DUE_BOOKS_MAX = 4096, /**< books of one page */
};

/** Parameters of `sql`: book ($1), wall clock ($2); of `books`: the wall clock ($1), and the book
 * behind which to go on ($2); of `sql` without `books`, which is for all at once: the wall clock.
 */
struct tb_due {
    const char *name; /**< in the log and in metrics */
    int64_t every_ms;
    const char *books; /**< selects those it is due for; NULL: one statement is for all */
    const char *sql;
    bool retention; /**< $3 of both is events.retention in ms */
};

/** The time of the world that a book ($1) is of, at the wall clock $2. */
#define TB_DUE_WORLD_TIME                                                                          \
    "($2::timestamptz + (select w.clock_offset_ms from bank.world w join bank.book b on b.world "  \
    "= w.id where b.book = $1) * interval '1 ms')"

#define TB_DUE_BOOKS      "select b.book from bank.book b join bank.world w on w.id = b.world where "
#define TB_DUE_BOOKS_TIME "$1::timestamptz + w.clock_offset_ms * interval '1 ms'"
#define TB_DUE_PAGE       " and b.book > $2 order by b.book limit 4096" /* TB_DUE_BOOKS_MAX */

#endif
