/* Scopes as texts: names with one space between (RFC 6749 §3.3). Their order says nothing. */
#ifndef TB_OAUTH_SCOPE_H
#define TB_OAUTH_SCOPE_H

#include "base/arena.h"
#include <tongbao/req.h>

/** Take the next name off the front of `rest`, in which blanks may stand anywhere.
 *  @return false when there is none */
bool tb_scope_next(struct tb_str *rest, struct tb_str *out_name);

/** Whether `scope` is well-formed: one name or more of the RFC's characters, single spaces between,
 *  no more than TB_GRANT_SCOPES_MAX. */
bool tb_scope_good(struct tb_str scope);

/** Whether `name` is one of the names in `scope`, compared whole and exactly. */
bool tb_scope_has(struct tb_str scope, struct tb_str name);

/** Whether every name in `scope` is one of those in `allowed`. An absent scope is within any. */
bool tb_scope_within(struct tb_str scope, struct tb_str allowed);

/** The names that are in both, in the order of `a`, each once; "" when there are none. In the
 *  arena; absent when it is full. */
struct tb_str tb_scope_common(struct tb_arena *arena, struct tb_str a, struct tb_str b);

/** The names of `a` and then those of `b`, each once. In the arena; absent when it is full. */
struct tb_str tb_scope_join(struct tb_arena *arena, struct tb_str a, struct tb_str b);

#endif
