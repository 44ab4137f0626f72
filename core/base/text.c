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

void tb_text_init_drain(struct tb_text *text, struct tb_arena *arena, char *buffer, size_t room,
                        void (*drain)(void *to, struct tb_str piece), void *to)
{
    TB_ASSERT(room > 0);
    *text = (struct tb_text){.arena = arena, .at = buffer, .room = room, .drain = drain, .to = to};
}

static void flush(struct tb_text *text)
{
    if (text->n > 0)
        text->drain(text->to, (struct tb_str){text->at, text->n});
    text->n = 0;
}

/* Make room for `more` bytes and the NUL. Growth doubles, in place when the arena allows it. */
static bool reserve(struct tb_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->room - text->n > more)
        return true;
    if (text->drain != NULL) {
        flush(text);
        text->failed = text->room <= more;
        return !text->failed;
    }
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
    if (text->drain != NULL && piece.n >= text->room && !text->failed) {
        flush(text);
        text->drain(text->to, piece);
        return;
    }
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

/* ---- what people read ---- */

struct range {
    uint32_t from, to;
};

static bool within(const struct range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c <= ranges[i].to)
            return c >= ranges[i].from;
    return false;
}

#define WITHIN(ranges, c) within(ranges, TB_COUNT(ranges), c)

/* Unicode 15: Cc, Cf, Zl, Zp, and the letters that are not drawn (of Default_Ignorable_Code_Point
 * what is no mark). */
static const struct range HIDDEN[] = {
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x0600, 0x0605},
    {0x061C, 0x061C},   {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x0890, 0x0891},
    {0x08E2, 0x08E2},   {0x115F, 0x1160},   {0x17B4, 0x17B5},   {0x180E, 0x180E},
    {0x200B, 0x200F},   {0x2028, 0x202E},   {0x2060, 0x2064},   {0x2066, 0x206F},
    {0x3164, 0x3164},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},   {0xFFF9, 0xFFFB},
    {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
};

static const struct range BLANKS[] = {
    /* Zs */
    {0x0020, 0x0020}, {0x00A0, 0x00A0}, {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};

static bool is_hidden(uint32_t c)
{
    return WITHIN(HIDDEN, c);
}

/* Add one code unit as \u202e; a character beyond the basic plane is two (RFC 8259 §7). */
static void add_unit(struct tb_text *text, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    char form[6] = {
        '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    tb_text_add(text, (struct tb_str){form, 6});
}

/* Add one character that a JSON string cannot hold as it is. */
static void add_escape(struct tb_text *text, uint32_t c)
{
    static const char names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (c < sizeof(names) && names[c] != 0) {
        char short_form[2] = {'\\', names[c]};
        tb_text_add(text, (struct tb_str){short_form, 2});
    } else if (c < 0x10000) {
        add_unit(text, c);
    } else {
        add_unit(text, 0xD800 + ((c - 0x10000) >> 10));
        add_unit(text, 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
}

/* @return the bytes of the character at the start of `at`, 0 when there is none; *out: it */
static size_t decode(const char *at, size_t n, uint32_t *out)
{
    const unsigned char *b = (const unsigned char *)at;
    size_t span = tb_utf8_span(at, n);
    uint32_t c = span == 0 ? 0 : span == 1 ? b[0] : b[0] & (0xFFu >> (span + 1));
    for (size_t i = 1; i < span; i++)
        c = c << 6 | (b[i] & 0x3Fu);
    *out = c;
    return span;
}

static void add_json(struct tb_text *text, struct tb_str piece, bool visible)
{
    size_t before = text->n;
    tb_text_add_char(text, '"');
    size_t i = 0;
    while (i < piece.n && !text->failed) {
        size_t run = i, span = 1;
        uint32_t c = 0;
        while (run < piece.n && span > 0) {
            c = (unsigned char)piece.at[run];
            if (c < 0x20 || c == '"' || c == '\\')
                break;
            span = c < 0x80 ? 1 : decode(piece.at + run, piece.n - run, &c);
            if (visible && span > 0 && is_hidden(c))
                break;
            run += span;
        }
        tb_text_add(text, (struct tb_str){piece.at + i, run - i});
        if (run < piece.n && span == 0)
            tb_text_add(text, TB_STR("\xEF\xBF\xBD"));
        else if (run < piece.n)
            add_escape(text, c);
        i = run + (span == 0 || c < 0x80 ? 1 : span);
    }
    tb_text_add_char(text, '"');
    if (text->failed)
        text->n = before; /* all of it or nothing */
}

void tb_text_add_json(struct tb_text *text, struct tb_str piece)
{
    add_json(text, piece, false);
}

void tb_text_add_json_visible(struct tb_text *text, struct tb_str piece)
{
    add_json(text, piece, true);
}

/* Outside of texts a document is ASCII, and its newlines are its own. What is no UTF-8 stands
 * nowhere in it. */
void tb_text_add_document(struct tb_text *text, struct tb_str json)
{
    while (json.n > 0) {
        uint32_t c = 0;
        size_t n = tb_text_visible(json);
        tb_text_add(text, (struct tb_str){json.at, n});
        json = (struct tb_str){json.at + n, json.n - n};
        n = json.n == 0 ? 0 : decode(json.at, json.n, &c);
        if (n == 1 && c == '\n')
            tb_text_add_char(text, '\n');
        else if (n > 0)
            add_escape(text, c);
        n = n == 0 && json.n > 0 ? 1 : n;
        json = (struct tb_str){json.at + n, json.n - n};
    }
}

void tb_text_add_visible(struct tb_text *text, struct tb_str piece, bool lines)
{
    while (piece.n > 0) {
        uint32_t c;
        size_t n = tb_text_visible(piece);
        tb_text_add(text, (struct tb_str){piece.at, n});
        piece = (struct tb_str){piece.at + n, piece.n - n};
        if (piece.n == 0)
            return;
        size_t span = decode(piece.at, piece.n, &c);
        if (span == 0)
            tb_text_add_format(text, "\\x{%02x}", (unsigned char)piece.at[0]);
        else if (c == '\n' && lines)
            tb_text_add_char(text, '\n');
        else
            tb_text_add_format(text, "\\u{%04x}", c);
        span = span == 0 ? 1 : span;
        piece = (struct tb_str){piece.at + span, piece.n - span};
    }
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

size_t tb_text_visible(struct tb_str text)
{
    size_t i = 0;
    while (i < text.n) {
        uint32_t c = (unsigned char)text.at[i];
        size_t span = c < 0x80 ? 1 : decode(text.at + i, text.n - i, &c);
        if (span == 0 || is_hidden(c))
            return i;
        i += span;
    }
    return i;
}

const char *tb_text_name_wrong(struct tb_str text, size_t chars_max, char why[TB_TEXT_WHY_BYTES])
{
    size_t visible = tb_text_visible(text), chars = 0;
    uint32_t c;
    bool blank = true;
    for (size_t i = 0; i < visible; chars++) {
        i += decode(text.at + i, visible - i, &c);
        blank = blank && WITHIN(BLANKS, c);
    }
    if (visible < text.n && decode(text.at + visible, text.n - visible, &c) == 0)
        return "is not UTF-8";
    if (visible < text.n)
        snprintf(why, TB_TEXT_WHY_BYTES, "holds U+%04X, which is not visible", (unsigned)c);
    else if (blank)
        return "is empty";
    else if (chars > chars_max)
        snprintf(why, TB_TEXT_WHY_BYTES, "has more than %zu characters", chars_max);
    else
        return NULL;
    return why;
}

/* ---- parts ---- */

bool tb_str_next(struct tb_str *rest, char joint, struct tb_str *out_part)
{
    size_t from = 0, to;
    while (from < rest->n && rest->at[from] == joint)
        from++;
    for (to = from; to < rest->n && rest->at[to] != joint;)
        to++;
    *out_part = to > from ? (struct tb_str){rest->at + from, to - from} : TB_STR_NONE;
    if (rest->at != NULL)
        *rest = (struct tb_str){rest->at + to, rest->n - to};
    return to > from;
}

bool tb_str_among(struct tb_str part, char joint, struct tb_str whole)
{
    for (struct tb_str one; tb_str_next(&whole, joint, &one);)
        if (tb_str_eq(one, part))
            return true;
    return false;
}
