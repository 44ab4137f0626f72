/* Turns: a worker has one thread, and a script may compute for milliseconds. After each slice it
 * waits here until the loop has served everybody else; of all calls that have more to compute one
 * goes on in each turn of the loop, so that many of them take no more from the others than one. */
#include "lua/state.h"
#include "runtime/run.h"

static _Thread_local struct tb_script_spot *first, *last;

static void enter(struct tb_script_spot *spot)
{
    *spot = (struct tb_script_spot){.in_line = true};
    if (first == NULL)
        first = spot;
    else
        last->next = spot;
    last = spot;
}

static struct tb_script_spot *before(const struct tb_script_spot *spot)
{
    struct tb_script_spot *at = first;
    while (at->next != spot)
        at = at->next;
    return at;
}

void tb_script_leave_line(struct tb_script_spot *spot)
{
    if (!spot->in_line)
        return;
    spot->in_line = false;
    struct tb_script_spot *ahead = spot == first ? NULL : before(spot);
    if (spot == last)
        last = ahead;
    if (ahead != NULL) {
        ahead->next = spot->next;
        return;
    }
    first = spot->next;
    if (first != NULL)
        tb_fiber_wake(first->wake);
}

tb_err TB_SUSPENDS tb_script_next_turn(struct tb_req *req, struct tb_script_spot *spot)
{
    tb_err err = NULL;
    tb_script_leave_line(spot);
    enter(spot);
    if (spot != first) {
        spot->wake = tb_fiber_token();
        err = tb_wait(req);
    }
    if (err == NULL)
        err = tb_sleep(req, 0);
    if (err != NULL)
        tb_script_leave_line(spot);
    return err;
}
