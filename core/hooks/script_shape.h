/* Reshaping of an answer by on_response: a merge patch that leaves alone what says what was done,
 * and pointers to what is left out. The shaped answer still has the operation's shape. */
#ifndef TB_HOOKS_SCRIPT_SHAPE_H
#define TB_HOOKS_SCRIPT_SHAPE_H

#include "base/arena.h"
#include "schema/schema.h"

/** Shape a copy of an answer as a decision says: `set` is a merge patch that may add members, and
 *  change texts, booleans and nulls, but no id, number, state, time, date or list; `redact` are
 * JSON pointers to members that go, where "*" stands for every element of a list (1,024 of them at
 * most).
 *  @param decision  of the hook, already found to have its shape
 *  @param schema    what the answer must still fit when it has changed, or NULL
 *  @param out       the shaped answer, in the arena; NULL: nothing changed
 *  @param why       when it is refused: what the script may not do, for its author
 *  @return whether it may be shaped so. Waits: no. */
bool TB_NODISCARD tb_script_shape(const json_t *answer, const json_t *decision,
                                  const struct tb_schema *schema, struct tb_arena *arena,
                                  json_t **out, char *why, size_t why_bytes);

#endif
