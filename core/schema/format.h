/* The formats a string may be asked to have. Unlike in the bare standard they are enforced, and an
 * instant, a date or an id is what the rest of Tongbao takes for one. */
#ifndef TB_SCHEMA_FORMAT_H
#define TB_SCHEMA_FORMAT_H

#include "base/arena.h"
#include <stdbool.h>
#include <tongbao/types.h>

/** A format, ready to use. `argument` is the prefix of a typed id. */
struct tb_format {
    bool (*check)(struct tb_str text, const char *argument);
    const char *name;
    const char *argument;
    const char *words; /**< what a string must be, for a person: "a date such as 2026-02-28" */
};

/** Find the format `name`: date-time, date, uuid, uri, email, tb-line for one visible line, or
 *  tb-id:<prefix> for an id of ours.
 *  @param arena  of the words
 *  @param name   borrowed for as long as the format is used
 *  @return false when there is none */
bool tb_format_find(struct tb_arena *arena, const char *name, struct tb_format *out);

#endif
