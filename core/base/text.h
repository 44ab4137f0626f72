/* Building text piece by piece, without knowing its length before: in an arena, or in a buffer of
 * the caller that must not be outgrown. A piece that does not fit is not added at all, and from
 * then on the text has failed; one check at the end is enough.
 *
 *     struct tb_text t;
 *     tb_text_init(&t, arena);
 *     tb_text_add(&t, TB_STR("{\"id\":"));
 *     tb_text_add_json(&t, id);                  // quoted and escaped
 *     struct tb_str out = tb_text_end(&t);       // absent if the arena overflowed
 */
#ifndef TB_BASE_TEXT_H
#define TB_BASE_TEXT_H

#include "base/arena.h"
#include <stdint.h>

struct tb_text {
    struct tb_arena *arena; /**< NULL: `at` is a fixed buffer */
    void (*drain)(void *to,
                  struct tb_str piece); /**< takes what fills the buffer; NULL: it grows */
    void *to;
    char *at;
    size_t n, room; /**< bytes used, bytes there are (one of them is kept for the NUL) */
    bool failed;
};

void tb_text_init(struct tb_text *text, struct tb_arena *arena);

/** Build in `room` bytes at `buffer` (at least 1), no more. */
void tb_text_init_fixed(struct tb_text *text, char *buffer, size_t room);

/** Build nothing: what is added goes to `drain` by way of a buffer, which holds what was not taken
 * yet: tb_text_end gives that rest. `arena` is for those who write, and may be NULL. */
void tb_text_init_drain(struct tb_text *text, struct tb_arena *arena, char *buffer, size_t room,
                        void (*drain)(void *to, struct tb_str piece), void *to);

void tb_text_add(struct tb_text *text, struct tb_str piece);
void tb_text_add_char(struct tb_text *text, char c);
void tb_text_add_int(struct tb_text *text, int64_t value);
void tb_text_add_format(struct tb_text *text, const char *format, ...) TB_PRINTF(2, 3);

/** Add as a JSON string (RFC 8259 §7): quoted, control characters and quotes escaped. Bytes that
 * are not UTF-8 become U+FFFD, so that what is written is JSON whatever a client sent. */
void tb_text_add_json(struct tb_text *text, struct tb_str piece);

/** The same for terminals and logs: what is not visible (tb_text_visible) is escaped, too. Another
 * spelling of the same JSON. */
void tb_text_add_json_visible(struct tb_text *text, struct tb_str piece);

/** Add a whole JSON document whose texts are escaped so, too. */
void tb_text_add_document(struct tb_text *text, struct tb_str json);

/** Add what people read on a terminal: what is not visible becomes \u{202e}, a byte that is not
 * UTF-8 \x{80}. A newline stays where `lines`. */
void tb_text_add_visible(struct tb_text *text, struct tb_str piece, bool lines);

/** The finished text, NUL-terminated (the NUL not counted); absent if memory ran out. */
struct tb_str tb_text_end(struct tb_text *text);

/** Forget what was added after the text was `n` bytes long, and that it failed since. */
void tb_text_cut(struct tb_text *text, size_t n);

/** Value of a hexadecimal digit of either case; -1 for anything else. */
static inline int tb_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Decimal digits of `value` at `out` (room for 21); returns their number. No NUL. */
size_t tb_text_int(char *out, int64_t value);

/** A whole decimal integer, `-?(0|[1-9][0-9]*)`, within int64_t. @return false for anything else */
bool TB_NODISCARD tb_text_to_int(struct tb_str text, int64_t *out);

/** Bytes (1..4) of the well-formed UTF-8 sequence at the start of `at`, 0 when there is none. */
size_t tb_utf8_span(const char *at, size_t n);

/** Whether all of `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool tb_utf8_valid(struct tb_str text);

/* ---- what people read ---- */

enum {
    TB_NAME_CHARS_MAX = 140, /**< characters of a name: of a partner, an app, a user */
    TB_NOTE_CHARS_MAX = 500, /**< of a note or reason */
    TB_TEXT_WHY_BYTES = 96,  /**< of what tb_text_name_wrong says */
};

/** Bytes of `text` before the first character that does not show itself: a control character
 *  (Unicode category Cc), a line or paragraph separator (Zl, Zp), a format character (Cf: marks of
 *  direction, zero width, tags), a letter that is not drawn (Hangul fillers), or a byte that is not
 *  UTF-8. A text of which all is visible may stand in a name, a purpose, a note. */
size_t tb_text_visible(struct tb_str text);

/** Whether `text` is a name: 1 to `chars_max` visible characters, not all of them blanks.
 *  @return NULL, or what it does wrong, in `why`: "is empty", "has more than 140 characters",
 *          "holds U+202E, which is not visible", "is not UTF-8" */
const char *tb_text_name_wrong(struct tb_str text, size_t chars_max, char why[TB_TEXT_WHY_BYTES]);

/** Take the next part off the front of `rest`, in which `joint` stands between parts: "a|b|c".
 * Empty parts are passed over.
 *  @return false when there is none left */
bool tb_str_next(struct tb_str *rest, char joint, struct tb_str *out_part);

/** Whether `part` is one of the parts of `whole`; an empty one never is. */
bool tb_str_among(struct tb_str part, char joint, struct tb_str whole);

#endif
