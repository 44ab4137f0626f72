/* Text building, decimal integers and UTF-8. */
#include "base/text.h"
#include "base/assert.h"
#include <stdio.h>
#include <string.h>

void tb_text_init(struct tb_text *text, struct tb_arena *arena)
{
    *text = (struct tb_text){.arena = arena};
}

void tb_text_init_fixed(struct tb_text *text, char *buffer, size_t room)
{
    TB_ASSERT(room > 0);
    *text = (struct tb_text){.at = buffer, .room = room};
}

/* Make room for `more` bytes and the NUL. Growth doubles, in place when the arena allows it. */
static bool reserve(struct tb_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->room - text->n > more)
        return true;
    if (text->arena == NULL || more > (size_t)TB_ARENA_CAP * 64) {
        text->failed = true;
        return false;
    }
    size_t room = text->room == 0 ? 112 : text->room * 2;
    if (room < text->n + more + 1)
        room = text->n + more + 1;
    if (text->room > 0 && tb_arena_extend(text->arena, text->at, text->room, room)) {
        text->room = room;
        return true;
    }
    char *moved = tb_arena_raw(text->arena, room);
    if (moved == NULL) {
        text->failed = true;
        return false;
    }
    if (text->n > 0)
        memcpy(moved, text->at, text->n);
    text->at = moved;
    text->room = room;
    return true;
}

void tb_text_add(struct tb_text *text, struct tb_str piece)
{
    if (piece.n == 0 || !reserve(text, piece.n))
        return;
    memcpy(text->at + text->n, piece.at, piece.n);
    text->n += piece.n;
}

void tb_text_add_char(struct tb_text *text, char c)
{
    if (reserve(text, 1))
        text->at[text->n++] = c;
}

void tb_text_add_int(struct tb_text *text, int64_t value)
{
    char digits[21];
    tb_text_add(text, (struct tb_str){digits, tb_text_int(digits, value)});
}

void tb_text_add_format(struct tb_text *text, const char *format, ...)
{
    va_list args;
    if (!reserve(text, 1))
        return;
    va_start(args, format);
    int n = vsnprintf(text->at + text->n, text->room - text->n, format, args);
    va_end(args);
    if (n < 0)
        text->failed = true;
    if (n < 0 || !reserve(text, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(text->at + text->n, text->room - text->n, format, args);
    va_end(args);
    text->n += (size_t)n;
}

/* Add one character that a JSON string cannot hold as it is. */
static void add_escape(struct tb_text *text, unsigned char c)
{
    static const char names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    static const char hex[] = "0123456789abcdef";
    if (c < sizeof names && names[c] != 0) {
        char short_form[2] = {'\\', names[c]};
        tb_text_add(text, (struct tb_str){short_form, 2});
    } else {
        char long_form[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        tb_text_add(text, (struct tb_str){long_form, 6});
    }
}

void tb_text_add_json(struct tb_text *text, struct tb_str piece)
{
    size_t before = text->n;
    tb_text_add_char(text, '"');
    size_t i = 0;
    while (i < piece.n && !text->failed) {
        size_t run = i, span = 1;
        while (run < piece.n && span > 0) {
            unsigned char c = (unsigned char)piece.at[run];
            if (c < 0x20 || c == '"' || c == '\\')
                break;
            span = c < 0x80 ? 1 : tb_utf8_span(piece.at + run, piece.n - run);
            run += span;
        }
        tb_text_add(text, (struct tb_str){piece.at + i, run - i});
        if (run < piece.n && span == 0)
            tb_text_add(text, TB_STR("\xEF\xBF\xBD"));
        else if (run < piece.n)
            add_escape(text, (unsigned char)piece.at[run]);
        i = run + 1;
    }
    tb_text_add_char(text, '"');
    if (text->failed)
        text->n = before; /* all of it or nothing */
}

struct tb_str tb_text_end(struct tb_text *text)
{
    if (!reserve(text, 0))
        return TB_STR_NONE;
    text->at[text->n] = '\0';
    return (struct tb_str){text->at, text->n};
}

void tb_text_cut(struct tb_text *text, size_t n)
{
    TB_ASSERT(n <= text->n);
    text->n = n;
    text->failed = false;
}

size_t tb_text_int(char *out, int64_t value)
{
    char digits[20];
    size_t n = 0, sign = value < 0;
    uint64_t rest = sign ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (sign)
        out[0] = '-';
    for (size_t i = 0; i < n; i++)
        out[sign + i] = digits[n - 1 - i];
    return sign + n;
}

bool tb_text_to_int(struct tb_str text, int64_t *out)
{
    size_t i = text.n > 0 && text.at[0] == '-';
    bool negative = i == 1;
    if (i == text.n || (text.at[i] == '0' && (negative || text.n > 1)))
        return false; /* nothing, a leading zero, or minus zero */
    int64_t value = 0;
    for (; i < text.n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        int digit = text.at[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *out = value;
    return true;
}

/* Well-formed sequences: Unicode 15, table 3-7. Only the second byte has narrower bounds. */
size_t tb_utf8_span(const char *at, size_t n)
{
    if (n == 0)
        return 0;
    const unsigned char *b = (const unsigned char *)at;
    if (b[0] < 0x80)
        return 1;
    size_t length = b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;
    if (length == 0 || n < length)
        return 0;
    unsigned char low = b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool tb_utf8_valid(struct tb_str text)
{
    for (size_t i = 0; i < text.n;) {
        size_t span = tb_utf8_span(text.at + i, text.n - i);
        if (span == 0)
            return false;
        i += span;
    }
    return true;
}
