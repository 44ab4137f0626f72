/* Number literals that LuaJIT's parser makes into values of its foreign function interface: 1LL,
 * 0x1fULL, 2i. The first one opens the whole FFI library in the state, with values that no budget
 * counts. So such a text is refused before the parser sees it.
 *
 * The scan splits a text where LuaJIT's lexer does (src/lj_lex.c): a first line that begins with #,
 * comments, strings and long brackets are passed over, names and numbers taken whole. Where the
 * lexer finds an error the text is refused anyway, so the two may differ behind that place. */
#include "lua/state.h"
#include <string.h>

struct scan {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes beyond ASCII belong to names, as in LuaJIT. */
static bool is_of_name(char c)
{
    char lower = (char)(c | 0x20);
    return is_digit(c) || c == '_' || (lower >= 'a' && lower <= 'z') || (unsigned char)c >= 0x80;
}

static char peek(const struct scan *scan, size_t ahead)
{
    return (size_t)(scan->end - scan->at) > ahead ? scan->at[ahead] : '\0';
}

static void skip_line(struct scan *scan)
{
    while (scan->at < scan->end && *scan->at != '\n' && *scan->at != '\r')
        scan->at++;
}

static void skip_string(struct scan *scan)
{
    char quote = *scan->at++;
    while (scan->at < scan->end && *scan->at != quote)
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    if (scan->at < scan->end)
        scan->at++;
}

/* How many = stand between two brackets of this kind; -1: it is no long bracket. */
static int level_of(const struct scan *scan, char bracket)
{
    int n = 0;
    while (peek(scan, (size_t)n + 1) == '=')
        n++;
    return peek(scan, (size_t)n + 1) == bracket ? n : -1;
}

/* @return false: no long bracket begins here */
static bool skip_long(struct scan *scan)
{
    int level = peek(scan, 0) == '[' ? level_of(scan, '[') : -1;
    if (level < 0)
        return false;
    scan->at += level + 2;
    while (scan->at < scan->end && (*scan->at != ']' || level_of(scan, ']') != level))
        scan->at++;
    scan->at = scan->end - scan->at > level + 2 ? scan->at + level + 2 : scan->end;
    return true;
}

static void skip_comment(struct scan *scan)
{
    scan->at += 2;
    if (!skip_long(scan))
        skip_line(scan);
}

/* A number is all that could belong to one; whether it does is the parser's to say. */
static struct tb_str take_number(struct scan *scan)
{
    const char *from = scan->at;
    if (*scan->at == '.')
        scan->at++;
    char exponent = *scan->at == '0' && (peek(scan, 1) | 0x20) == 'x' ? 'p' : 'e', last = '\0';
    while (scan->at < scan->end &&
           (is_of_name(*scan->at) || *scan->at == '.' ||
            ((*scan->at == '-' || *scan->at == '+') && (last | 0x20) == exponent)))
        last = *scan->at++;
    return (struct tb_str){from, (size_t)(scan->at - from)};
}

static void skip_name(struct scan *scan)
{
    while (scan->at < scan->end && is_of_name(*scan->at))
        scan->at++;
}

static void skip_head(struct scan *scan)
{
    if (scan->end - scan->at >= 3 && memcmp(scan->at, "\xEF\xBB\xBF", 3) == 0)
        scan->at += 3;
    if (peek(scan, 0) == '#')
        skip_line(scan);
}

struct tb_str tb_script_ffi_literal(struct tb_str source)
{
    struct scan scan = {source.at, source.at + source.n};
    skip_head(&scan);
    while (scan.at < scan.end) {
        char c = *scan.at, next = peek(&scan, 1);
        if (is_digit(c) || (c == '.' && is_digit(next))) {
            struct tb_str number = take_number(&scan);
            if (strchr("iIlLuU", number.at[number.n - 1]) != NULL)
                return number;
        } else if (is_of_name(c)) {
            skip_name(&scan);
        } else if (c == '"' || c == '\'') {
            skip_string(&scan);
        } else if (c == '-' && next == '-') {
            skip_comment(&scan);
        } else if (!skip_long(&scan)) {
            scan.at++;
        }
    }
    return TB_STR_NONE;
}
