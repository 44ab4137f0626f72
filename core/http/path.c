#include "http/path.h"
#include "base/text.h"
#include <stdint.h>

/* What a byte of a target means here. */
enum { NO, OK, SLASH, DOT, PERCENT, QUERY };

/* clang-format off */
static const uint8_t kind[256] = {
    /* 0x20 */ ['!'] = OK, ['"'] = OK, ['$'] = OK, ['&'] = OK, ['\''] = OK, ['('] = OK, [')'] = OK,
    ['*'] = OK, ['+'] = OK, [','] = OK, ['-'] = OK, [';'] = OK, [':'] = OK, ['<'] = OK, ['='] = OK,
    ['>'] = OK, ['@'] = OK, ['['] = OK, [']'] = OK, ['^'] = OK, ['_'] = OK, ['`'] = OK, ['{'] = OK,
    ['|'] = OK, ['}'] = OK, ['~'] = OK,
    ['0'] = OK, ['1'] = OK, ['2'] = OK, ['3'] = OK, ['4'] = OK, ['5'] = OK, ['6'] = OK, ['7'] = OK,
    ['8'] = OK, ['9'] = OK,
    ['A'] = OK, ['B'] = OK, ['C'] = OK, ['D'] = OK, ['E'] = OK, ['F'] = OK, ['G'] = OK, ['H'] = OK,
    ['I'] = OK, ['J'] = OK, ['K'] = OK, ['L'] = OK, ['M'] = OK, ['N'] = OK, ['O'] = OK, ['P'] = OK,
    ['Q'] = OK, ['R'] = OK, ['S'] = OK, ['T'] = OK, ['U'] = OK, ['V'] = OK, ['W'] = OK, ['X'] = OK,
    ['Y'] = OK, ['Z'] = OK,
    ['a'] = OK, ['b'] = OK, ['c'] = OK, ['d'] = OK, ['e'] = OK, ['f'] = OK, ['g'] = OK, ['h'] = OK,
    ['i'] = OK, ['j'] = OK, ['k'] = OK, ['l'] = OK, ['m'] = OK, ['n'] = OK, ['o'] = OK, ['p'] = OK,
    ['q'] = OK, ['r'] = OK, ['s'] = OK, ['t'] = OK, ['u'] = OK, ['v'] = OK, ['w'] = OK, ['x'] = OK,
    ['y'] = OK, ['z'] = OK,
    ['/'] = SLASH, ['.'] = DOT, ['%'] = PERCENT, ['?'] = QUERY,
};
/* clang-format on */

/* The byte that %XX at `at` stands for, -1 when it is not one. */
static int percent(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = tb_hex_digit(at[1]), low = tb_hex_digit(at[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

size_t tb_path_decode(struct tb_str path, char *out)
{
    char *start = out;
    for (const char *at = path.at, *end = path.at + path.n; at < end;) {
        if (*at == '%') {
            *out++ = (char)percent(at, end);
            at += 3;
        } else {
            *out++ = *at++;
        }
    }
    return (size_t)(out - start);
}

/* "." and ".." as whole segments. */
static bool is_dots(const char *from, const char *to)
{
    return (to - from == 1 && from[0] == '.') ||
           (to - from == 2 && from[0] == '.' && from[1] == '.');
}

/* What only a decoded path shows: dot segments behind %2E, and broken UTF-8. */
static tb_err check_decoded(struct tb_str path, const char **out_why)
{
    char text[TB_PATH_BYTES];
    size_t n = tb_path_decode(path, text);
    *out_why = "the path is not UTF-8";
    if (!tb_utf8_valid((struct tb_str){text, n}))
        return TB_E_BAD_REQUEST;
    *out_why = "the path has a dot segment";
    const char *segment = text + 1;
    for (const char *at = segment; at <= text + n; at++) {
        if (at != text + n && *at != '/')
            continue;
        if (is_dots(segment, at))
            return TB_E_BAD_REQUEST;
        segment = at + 1;
    }
    return NULL;
}

static tb_err check_query(const char *at, const char *end, const char **out_why)
{
    *out_why = "the query has a byte that must be percent-encoded";
    for (; at < end; at++)
        if (kind[(uint8_t)*at] == NO)
            return TB_E_BAD_REQUEST;
    return NULL;
}

/* Check the path's bytes up to the query. @return where it ends; NULL when it is refused */
static const char *scan_path(const char *at, const char *end, bool *encoded, bool *dots)
{
    for (; at < end; at++) {
        switch (kind[(uint8_t)*at]) {
        case NO:
            return NULL;
        case PERCENT: {
            int byte = percent(at, end);
            if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\')
                return NULL;
            *encoded = true;
            break;
        }
        case DOT:
            *dots = *dots || at[-1] == '/';
            break;
        case QUERY:
            return at;
        default:
            break;
        }
    }
    return at;
}

tb_err tb_target_split(struct tb_str target, struct tb_target *out, const char **out_why)
{
    *out_why = "the path and query are longer than 8192 bytes";
    if (target.n > TB_TARGET_BYTES)
        return TB_E_URI_TOO_LONG;
    *out_why = "the path does not begin with a slash";
    if (target.n == 0 || target.at[0] != '/')
        return TB_E_BAD_REQUEST;

    bool encoded = false, dots = false;
    const char *end = target.at + target.n;
    const char *path_end = scan_path(target.at, end, &encoded, &dots);
    *out_why = "the path has a byte or an escape that is not allowed";
    if (path_end == NULL)
        return TB_E_BAD_REQUEST;
    *out = (struct tb_target){.path = {target.at, (size_t)(path_end - target.at)},
                              .encoded = encoded};
    *out_why = "the path is longer than 2048 bytes";
    if (out->path.n > TB_PATH_BYTES)
        return TB_E_URI_TOO_LONG;
    if (encoded || dots)
        TB_TRY(check_decoded(out->path, out_why));
    if (path_end < end) {
        out->query = (struct tb_str){path_end + 1, (size_t)(end - path_end - 1)};
        TB_TRY(check_query(path_end + 1, end, out_why));
    }
    return NULL;
}
