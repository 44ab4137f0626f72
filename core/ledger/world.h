/* Worlds: the live one and the sandboxes. A worker remembers the worlds it has met, because every
 * request needs its world's clock; what it remembers is at most a second old. */
#ifndef TB_LEDGER_WORLD_H
#define TB_LEDGER_WORLD_H

#include <stdbool.h>
#include <tongbao/req.h>

struct tb_worlds;

/** A world, by the book that its business is kept in. */
struct tb_world {
    int32_t book;
    bool live;
    int64_t clock_offset_ms; /**< world time minus wall time */
};

enum { TB_WORLDS_REMEMBERED = 4096 };

struct tb_worlds *tb_worlds_new(void);

/** The world of a book.
 *  @return NULL; TB_E_NOT_ENTITLED (there is no such world any more); TB_E_STORE
 *  Waits: only when it is not remembered, or was read more than a second ago and is being asked for
 *  the first time since; while the books cannot be reached, what is remembered still counts. */
tb_err TB_NODISCARD TB_SUSPENDS tb_world_find(struct tb_req *req, struct tb_worlds *worlds,
                                              int32_t book, struct tb_world *out_world);

#endif
