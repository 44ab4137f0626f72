/* tb.match, tb.find and tb.replace: regular expressions of PCRE2 on text, each attempt bounded by
 * steps and memory. PCRE2 counts steps anew for every place it begins at, so the places are walked
 * here and the clock is looked at between them. Within an attempt a single step may run over the
 * whole text, and there are thousands of steps: so PCRE2 calls out before every item of a pattern,
 * and the budget has its say there, too. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/mem.h"
#include "base/text.h"
#include "lua/state.h"
#include <pcre2.h>
#include <string.h>

enum {
    PATTERN_BYTES = 512,
    TEXT_BYTES = 64 * 1024,
    GROUPS = 16,
    STEPS = 5000, /**< of one attempt: half a millisecond */
    DEPTH = 500,
    HEAP_KIB = 256,
    RESULT_BYTES = 256 * 1024,
    UNITS_AN_ATTEMPT = 16, /**< see tb_script_charge */
    CASES = 0x40000,       /**< characters whose other cases are looked for: a millisecond */
    WORDS_BYTES = 128,
};

struct tb_pattern {
    pcre2_code *code;
    uint32_t groups;
    size_t bytes; /**< that count as the script's */
    size_t n;
    char source[];
};

static pcre2_match_context *bounds;
static pcre2_match_data *found; /* of one attempt; a worker has one thread */

/* An item is next. What is left until the next one is a run over the text at most. */
static int on_item(pcre2_callout_block *item, void *script)
{
    (void)item;
    return tb_script_spent(script) ? PCRE2_ERROR_CALLOUT : 0;
}

static const char *in_words(int error, char words[static WORDS_BYTES])
{
    pcre2_get_error_message(error, (unsigned char *)words, WORDS_BYTES);
    return words;
}

static void prepare(lua_State *lua)
{
    if (bounds != NULL)
        return;
    bounds = pcre2_match_context_create(NULL);
    found = pcre2_match_data_create(GROUPS + 1, NULL);
    if (bounds == NULL || found == NULL)
        luaL_error(lua, "not enough memory");
    pcre2_set_match_limit(bounds, STEPS);
    pcre2_set_depth_limit(bounds, DEPTH);
    pcre2_set_heap_limit(bounds, HEAP_KIB);
}

static void pattern_free(struct tb_script *script, struct tb_pattern *pattern)
{
    script->bytes -= pattern->bytes;
    pcre2_code_free(pattern->code);
    tb_mem_free(pattern);
}

void tb_script_patterns_free(struct tb_script *script)
{
    for (uint32_t i = 0; i < script->patterns_n; i++)
        pattern_free(script, script->patterns[i]);
    script->patterns_n = 0;
}

/* ---- compiling, once for each text ---- */

/* Whether a setting like (?i) stands in it. */
static bool ignores_case(struct tb_str source)
{
    static const char settings[] = "imnsxJUaDPSTWr^-";
    for (size_t i = 0; i + 2 < source.n; i++) {
        if (source.at[i] != '(' || source.at[i + 1] != '?')
            continue;
        for (size_t at = i + 2; at < source.n && strchr(settings, source.at[at]) != NULL; at++)
            if (source.at[at] == 'i')
                return true;
    }
    return false;
}

/* The last character that a range can have whose end is written there, or one behind it. */
static uint32_t range_end(struct tb_str rest)
{
    enum { LAST = 0x10ffff };
    size_t at = 0;
    while (at < rest.n && (rest.at[at] == ' ' || rest.at[at] == '\t')) /* (?xx) */
        at++;
    unsigned char first = at < rest.n ? (unsigned char)rest.at[at] : '\0';
    if (first != '\\')
        return first < 0x80 ? 0x7f : first < 0xe0 ? 0x7ff : first < 0xf0 ? 0xffff : LAST;
    char kind = at + 1 < rest.n ? rest.at[at + 1] : '\0';
    if (kind != 'x')
        return kind != '\0' && strchr("EQoN", kind) != NULL ? LAST : 0x1ff;
    if (at + 2 >= rest.n || rest.at[at + 2] != '{')
        return 0xff;
    uint32_t code = 0;
    int digit;
    for (at += 3; at < rest.n && code <= LAST && (digit = tb_hex_digit(rest.at[at])) >= 0; at++)
        code = code * 16 + (uint32_t)digit;
    return at < rest.n && rest.at[at] == '}' && code <= LAST ? code : LAST;
}

/* While it compiles, PCRE2 looks for the other case of every character of a range: 4 ms for one
 * that goes to the end of Unicode, and a pattern has room for 80. */
static void refuse_wide_ranges(lua_State *lua, struct tb_str source)
{
    uint64_t characters = 0;
    if (!ignores_case(source))
        return;
    for (size_t i = 0; i < source.n; i++)
        if (source.at[i] == '-')
            characters += range_end((struct tb_str){source.at + i + 1, source.n - i - 1});
    if (characters > CASES)
        luaL_error(lua, "a pattern that ignores case has no room for such wide ranges");
}

/* What a script's patterns take is its memory like any. */
static void take_memory(lua_State *lua, struct tb_pattern *pattern)
{
    struct tb_script *script = tb_script_of(lua);
    size_t code_bytes = 0;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &code_bytes);
    pattern->bytes = sizeof(*pattern) + pattern->n + code_bytes;
    script->bytes += pattern->bytes;
    if (script->bytes <= script->limits->memory_bytes)
        return;
    pattern_free(script, pattern);
    script->starved = true;
    luaL_error(lua, "not enough memory");
}

static struct tb_pattern *compile(lua_State *lua, const char *source, size_t n)
{
    int error;
    char words[WORDS_BYTES];
    PCRE2_SIZE at;
    uint32_t groups = 0;
    refuse_wide_ranges(lua, (struct tb_str){source, n});
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)source, n,
                                     PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT,
                                     &error, &at, NULL);
    if (code == NULL)
        luaL_error(lua, "not a pattern: %s at byte %d", in_words(error, words), (int)at + 1);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    struct tb_pattern *pattern = tb_mem(sizeof(*pattern) + n);
    pattern->code = code;
    pattern->groups = groups;
    pattern->n = n;
    memcpy(pattern->source, source, n);
    take_memory(lua, pattern);
    return pattern;
}

/* The pattern at `index`, moved to the front of those remembered; the last one falls out. */
static const struct tb_pattern *pattern_at(lua_State *lua, int index)
{
    struct tb_script *script = tb_script_of(lua);
    struct tb_pattern *pattern = NULL;
    size_t n;
    const char *source = luaL_checklstring(lua, index, &n);
    if (n > PATTERN_BYTES)
        luaL_error(lua, "a pattern has at most %d bytes", PATTERN_BYTES);
    uint32_t i = 0;
    while (i < script->patterns_n &&
           (script->patterns[i]->n != n || memcmp(script->patterns[i]->source, source, n) != 0))
        i++;
    if (i < script->patterns_n) {
        pattern = script->patterns[i];
    } else {
        tb_script_charge(lua, n * 64);
        pattern = compile(lua, source, n);
        if (i == TB_SCRIPT_PATTERNS)
            pattern_free(script, script->patterns[--i]);
        else
            script->patterns_n++;
    }
    memmove(&script->patterns[1], &script->patterns[0], i * sizeof(script->patterns[0]));
    script->patterns[0] = pattern;
    if (pattern->groups > GROUPS)
        luaL_error(lua, "a pattern has at most %d groups", GROUPS);
    return pattern;
}

/* ---- searching ---- */

struct text {
    const char *at;
    size_t n;
    bool checked; /* it is UTF-8 */
};

static struct text text_at(lua_State *lua, int index)
{
    struct text text = {.checked = false};
    text.at = luaL_checklstring(lua, index, &text.n);
    if (text.n > TEXT_BYTES)
        luaL_error(lua, "a text to search has at most %d bytes", TEXT_BYTES);
    return text;
}

static bool within_character(const struct text *text, size_t at)
{
    return at < text->n && ((unsigned char)text->at[at] & 0xc0) == 0x80;
}

/* The first match from byte `from` on, in `found`. The first attempt of all checks that the text is
 * UTF-8. */
static bool search(lua_State *lua, const struct tb_pattern *pattern, struct text *text, size_t from)
{
    char words[WORDS_BYTES];
    pcre2_set_callout(bounds, on_item, tb_script_of(lua));
    for (size_t at = from; at <= text->n; at++) {
        if (within_character(text, at))
            continue;
        uint32_t options = PCRE2_ANCHORED | (text->checked ? PCRE2_NO_UTF_CHECK : 0);
        int outcome = pcre2_match(pattern->code, (PCRE2_SPTR)text->at, text->n, at, options, found,
                                  bounds);
        text->checked = outcome >= 0 || outcome == PCRE2_ERROR_NOMATCH;
        if (outcome >= 0)
            return true;
        if (outcome == PCRE2_ERROR_MATCHLIMIT || outcome == PCRE2_ERROR_DEPTHLIMIT ||
            outcome == PCRE2_ERROR_HEAPLIMIT)
            luaL_error(lua, "the pattern takes too many steps on this text");
        if (outcome == PCRE2_ERROR_CALLOUT)
            tb_script_check(lua);
        else if (outcome != PCRE2_ERROR_NOMATCH)
            luaL_error(lua, "the text cannot be searched: %s", in_words(outcome, words));
        tb_script_charge(lua, UNITS_AN_ATTEMPT);
    }
    return false;
}

static void push_group(lua_State *lua, struct text text, uint32_t group)
{
    const PCRE2_SIZE *bytes = pcre2_get_ovector_pointer(found);
    PCRE2_SIZE from = bytes[2 * (size_t)group], to = bytes[2 * (size_t)group + 1];
    if (from == PCRE2_UNSET || to < from)
        lua_pushnil(lua);
    else
        lua_pushlstring(lua, text.at + from, to - from);
}

static int push_groups(lua_State *lua, const struct tb_pattern *pattern, struct text text)
{
    luaL_checkstack(lua, GROUPS, "too many values");
    for (uint32_t group = 1; group <= pattern->groups; group++)
        push_group(lua, text, group);
    return (int)pattern->groups;
}

static size_t start_at(lua_State *lua, int index, struct text text)
{
    lua_Integer from = luaL_optinteger(lua, index, 1);
    if (from < 1 || (size_t)from > text.n + 1)
        luaL_error(lua, "a search begins at a byte from 1 to %d", (int)text.n + 1);
    return (size_t)from - 1;
}

int tb_script_match(lua_State *lua)
{
    prepare(lua);
    struct text text = text_at(lua, 1);
    const struct tb_pattern *pattern = pattern_at(lua, 2);
    if (!search(lua, pattern, &text, start_at(lua, 3, text)))
        return lua_pushnil(lua), 1;
    if (pattern->groups > 0)
        return push_groups(lua, pattern, text);
    push_group(lua, text, 0);
    return 1;
}

int tb_script_find(lua_State *lua)
{
    prepare(lua);
    struct text text = text_at(lua, 1);
    const struct tb_pattern *pattern = pattern_at(lua, 2);
    if (!search(lua, pattern, &text, start_at(lua, 3, text)))
        return lua_pushnil(lua), 1;
    const PCRE2_SIZE *bytes = pcre2_get_ovector_pointer(found);
    lua_pushinteger(lua, (lua_Integer)bytes[0] + 1);
    lua_pushinteger(lua, (lua_Integer)bytes[1]);
    return 2 + push_groups(lua, pattern, text);
}

/* ---- replacing ---- */

/* The replacement with $0 to $9 for what was found; $$ is a dollar. */
static void add_replacement(lua_State *lua, luaL_Buffer *out, struct text text, struct text with,
                            const struct tb_pattern *pattern)
{
    const PCRE2_SIZE *bytes = pcre2_get_ovector_pointer(found);
    for (size_t i = 0; i < with.n; i++) {
        if (with.at[i] != '$') {
            luaL_addchar(out, with.at[i]);
            continue;
        }
        char next = ++i < with.n ? with.at[i] : '\0';
        uint32_t group = (uint32_t)(next - '0');
        if (next == '$')
            luaL_addchar(out, '$');
        else if (next < '0' || next > '9' || group > pattern->groups)
            luaL_error(lua, "in a replacement $ stands before a group's number or another $");
        else if (bytes[2 * (size_t)group] != PCRE2_UNSET)
            luaL_addlstring(out, text.at + bytes[2 * (size_t)group],
                            bytes[2 * (size_t)group + 1] - bytes[2 * (size_t)group]);
    }
}

int tb_script_replace(lua_State *lua)
{
    prepare(lua);
    struct text text = text_at(lua, 1), with = {.checked = true};
    const struct tb_pattern *pattern = pattern_at(lua, 2);
    with.at = luaL_checklstring(lua, 3, &with.n);
    lua_Integer most = luaL_optinteger(lua, 4, TEXT_BYTES), times = 0;
    size_t at = 0, written = 0;
    luaL_Buffer out;
    luaL_buffinit(lua, &out);
    while (times < most && at <= text.n && search(lua, pattern, &text, at)) {
        const PCRE2_SIZE *bytes = pcre2_get_ovector_pointer(found);
        size_t from = bytes[0], to = bytes[1];
        if (to < from || from < at) /* \K in what stands around the match */
            luaL_error(lua,
                       "tb.replace takes no match that begins before the search or behind its end");
        written += from - at + with.n * (1 + (to - from));
        if (written > RESULT_BYTES)
            luaL_error(lua, "tb.replace gives at most %d bytes", RESULT_BYTES);
        luaL_addlstring(&out, text.at + at, from - at);
        add_replacement(lua, &out, text, with, pattern);
        times++;
        at = to;
        if (to == from) { /* nothing was matched: go on behind the next character */
            do
                if (at < text.n)
                    luaL_addchar(&out, text.at[at]);
            while (within_character(&text, ++at));
        }
        tb_script_charge(lua, UNITS_AN_ATTEMPT);
    }
    if (at < text.n)
        luaL_addlstring(&out, text.at + at, text.n - at);
    luaL_pushresult(&out);
    lua_pushinteger(lua, times);
    return 2;
}
