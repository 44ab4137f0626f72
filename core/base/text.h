/* Building text in an arena, piece by piece, without knowing its length before.
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
    struct tb_arena *arena;
    char *at;
    size_t n, room;
    bool failed;
};

void tb_text_init(struct tb_text *text, struct tb_arena *arena);
void tb_text_add(struct tb_text *text, struct tb_str piece);
void tb_text_add_char(struct tb_text *text, char c);
void tb_text_add_int(struct tb_text *text, int64_t value);
void tb_text_add_format(struct tb_text *text, const char *format, ...) TB_PRINTF(2, 3);

/** Add as a JSON string (RFC 8259 §7): quoted, control characters and quotes escaped. */
void tb_text_add_json(struct tb_text *text, struct tb_str piece);

/** The finished text, NUL-terminated (the NUL not counted); absent if memory ran out. */
struct tb_str tb_text_end(struct tb_text *text);

/** Decimal digits of `value` at `out` (room for 21); returns their number. No NUL. */
size_t tb_text_int(char *out, int64_t value);

#endif
