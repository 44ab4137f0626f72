/* A direct-mapped table by book number: two books on one place displace each other, which costs a
 * query, never an answer. */
#include "ledger/world.h"
#include "base/mem.h"
#include "runtime/run.h"

enum { FRESH_MS = 1000 };

struct place {
    struct tb_world world;
    int64_t read_ms;  /* loop clock; 0: empty */
    int64_t asked_ms; /* start of the refresh in flight; 0: none */
};

struct tb_worlds {
    struct place places[TB_WORLDS_REMEMBERED];
};

struct tb_worlds *tb_worlds_new(void)
{
    return tb_mem(sizeof(struct tb_worlds));
}

static struct place *slot_of_book(struct tb_worlds *worlds, int32_t book)
{
    return &worlds->places[(uint32_t)book % TB_WORLDS_REMEMBERED];
}

static const char SQL_WORLD[] = "select w.kind = 'live', w.clock_offset_ms from bank.book b "
                                "join bank.world w on w.id = b.world where b.book = $1";

static tb_err TB_SUSPENDS read_world(struct tb_req *req, int32_t book, struct tb_world *out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_WORLD, TB_INT(book)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_ENTITLED, "the token's world does not exist any more");
    *out = (struct tb_world){
        .book = book,
        .live = tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t")),
        .clock_offset_ms = tb_cell_int(rows, 0, 1),
    };
    return NULL;
}

tb_err TB_SUSPENDS tb_world_find(struct tb_req *req, struct tb_worlds *worlds, int32_t book,
                                 struct tb_world *out_world)
{
    struct place *place = slot_of_book(worlds, book);
    int64_t now_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    bool known = place->read_ms != 0 && place->world.book == book;
    bool fresh = now_ms - place->read_ms < FRESH_MS;
    bool being_read = now_ms - place->asked_ms < FRESH_MS;
    if (known && (fresh || being_read)) {
        *out_world = place->world;
        return NULL;
    }
    place->asked_ms = now_ms;
    struct tb_world world;
    tb_err err = read_world(req, book, &world);
    if (err == NULL) {
        *place = (struct place){.world = world, .read_ms = tb_loop_now_ms(tb_run_of(req)->loop)};
        *out_world = world;
        return NULL;
    }
    /* While the books are away what was known still counts, unless another book took its place. */
    if (!known || !tb_is(err, TB_E_STORE) || place->world.book != book)
        return err;
    tb_run_of(req)->problem = (struct tb_problem){0};
    *out_world = place->world;
    return NULL;
}
