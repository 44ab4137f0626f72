/* JSON from outside: checked in one pass before the parser sees it, so that nothing a client sends
 * can cost more stack or memory than its limits say; then parsed with duplicate names refused.
 *
 *     struct tb_json_error where;
 *     json_t *json;
 *     tb_err err = tb_json_parse(arena, body, &tb_json_limits, &json, &where);
 *     if (err != NULL)
 *         return tb_fail_at(req, err, where.pointer, "%s at byte %zu", where.reason, where.offset);
 */
#ifndef TB_BASE_JSON_H
#define TB_BASE_JSON_H

#include "base/text.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum { TB_JSON_DEPTH_MAX = 64 /**< no limits may ask for more: jansson recurses */ };

struct tb_json_limits {
    size_t bytes;     /**< of the whole text */
    uint32_t depth;   /**< containers within containers, 1..TB_JSON_DEPTH_MAX */
    uint32_t members; /**< members of objects and elements of arrays, in total */
    bool reals; /**< allow numbers that are not integers (never in requests: money is whole) */
};

/** What a request may have: 1 MiB, 32 levels, 1,000 members, integers only. */
extern const struct tb_json_limits tb_json_limits;

/** Where and why a text was refused. */
struct tb_json_error {
    const char *reason; /**< constant, fit for a client's eyes */
    size_t offset;      /**< byte, from 0 */
    uint32_t line;      /**< from 1 */
    uint32_t column;    /**< byte within the line, from 1 */
    bool beyond;        /**< a number that would be taken, but for its size */
    char pointer[128];  /**< RFC 6901 pointer of the innermost value around it, names as they were
                             written; "" is the whole text, also when the pointer is too long */
};

/** Check size, depth, number of members, encoding, raw control characters and the kind of numbers,
 * in one pass. Grammar is the parser's business.
 *  @return NULL; TB_E_TOO_LARGE (bytes); TB_E_BAD_ENCODING (not UTF-8, or something before it);
 *          TB_E_BAD_NUMBER (a real, an integer beyond int64); TB_E_BAD_JSON. *out_error is set on
 *          failure; may be NULL */
tb_err TB_NODISCARD tb_json_check(struct tb_str text, const struct tb_json_limits *limits,
                                  struct tb_json_error *out_error);

/** Let `json` end with the arena, which takes the caller's reference.
 *  @return false when `json` is NULL, and past the arena's cap, where it has ended already */
bool tb_json_defer(struct tb_arena *arena, json_t *json);

/** Check and parse. Refused besides what tb_json_check refuses: duplicate member names, NUL and
 * lone surrogates in strings, anything behind the value.
 *  @param arena  drops the value at its reset; NULL: the caller owns it (json_decref)
 *  @return as tb_json_check; TB_E_INTERNAL when the arena is full */
tb_err TB_NODISCARD tb_json_parse(struct tb_arena *arena, struct tb_str text,
                                  const struct tb_json_limits *limits, json_t **out_json,
                                  struct tb_json_error *out_error);

/* ---- members: borrowed; absent, false or NULL when `object` is no object (or NULL), has no such
 *      member or one of another type ---- */

struct tb_str tb_json_str(const json_t *object, const char *name);
bool tb_json_int(const json_t *object, const char *name, int64_t *out);
bool tb_json_bool(const json_t *object, const char *name, bool *out);
json_t *tb_json_object(const json_t *object, const char *name);
json_t *tb_json_array(const json_t *object, const char *name);

/* ---- JSON pointer (RFC 6901) ---- */

/** Add "/" and the escaped name, or "/" and the index. */
void tb_json_pointer_name(struct tb_text *pointer, struct tb_str name);
void tb_json_pointer_index(struct tb_text *pointer, size_t index);

/** The value `pointer` points at; NULL when there is none or the pointer is malformed. */
json_t *tb_json_at(json_t *json, struct tb_str pointer);

/** Change the object `target` as the object `patch` says: members of null go, objects are merged,
 *  everything else takes the place of what was there. Values of the patch become part of the target
 *  and must not be changed afterwards.
 *  @return false when the patch is deeper than TB_JSON_DEPTH_MAX; the target is changed in part
 *  Waits: no. Source: RFC 7396. */
bool TB_NODISCARD tb_json_merge(json_t *target, const json_t *patch);

/* ---- canonical form ---- */

/** Add `json` so that equal values give equal bytes: no blanks, members sorted by name, one way to
 *  escape. As RFC 8785, except that names are sorted by their UTF-8 bytes (the same order but for
 *  names beyond U+FFFF) and that reals are written with 17 digits. For fingerprints. The text fails
 *  when the value is deeper than TB_JSON_DEPTH_MAX or memory ends; it must have an arena. */
void tb_json_canonical(struct tb_text *text, const json_t *json);

#endif
