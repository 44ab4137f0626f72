/* PCRE2 in UTF mode with just-in-time code. ECMA-262 differs from Perl in what `$`, `.` and `\u`
 * mean and in the empty class; options of PCRE2 cover these. Groups capture nothing, so back
 * references, which no bound makes cheap, are refused. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "schema/regex.h"
#include "base/mem.h"
#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct tb_regex {
    pcre2_code *code;
    const char *source;
};

/* Made once, then only read. */
static pcre2_general_context *memory;
static pcre2_compile_context *reading;
static pcre2_match_context *bounds;

/* Match data is written to by a match. One is kept for whoever comes next; a thread that finds it
 * taken makes its own and drops it afterwards. */
static _Atomic(pcre2_match_data *) spare;

static void *memory_take(PCRE2_SIZE n, void *data)
{
    (void)data;
    return tb_mem_try(n);
}

static void memory_give(void *at, void *data)
{
    (void)data;
    tb_mem_free(at);
}

static void contexts_make(void)
{
    memory = pcre2_general_context_create(memory_take, memory_give, NULL);
    reading = pcre2_compile_context_create(memory);
    pcre2_set_newline(reading, PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_parens_nest_limit(reading, 32);
    pcre2_set_compile_extra_options(reading, PCRE2_EXTRA_ALT_BSUX);
    bounds = pcre2_match_context_create(memory);
    pcre2_set_match_limit(bounds, TB_REGEX_MATCHES);
    pcre2_set_depth_limit(bounds, TB_REGEX_DEPTH);
    pcre2_set_heap_limit(bounds, TB_REGEX_HEAP_KIB);
}

static void regex_end(void *code)
{
    pcre2_code_free(code);
}

const struct tb_regex *tb_regex_compile(struct tb_arena *arena, struct tb_str pattern, char *why,
                                        size_t why_bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, contexts_make);
    if (pattern.n > TB_REGEX_BYTES) {
        snprintf(why, why_bytes, "is longer than %d bytes", TB_REGEX_BYTES);
        return NULL;
    }
    const uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                             PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
    int error;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.at, pattern.n, options, &error, &at,
                                     reading);
    if (code == NULL) {
        unsigned char words[128];
        pcre2_get_error_message(error, words, sizeof(words));
        snprintf(why, why_bytes, "is not a regular expression: %s at byte %zu", (char *)words, at);
        return NULL;
    }
    size_t size = 0;
    pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
    if (size > TB_REGEX_CODE_BYTES) {
        snprintf(why, why_bytes, "compiles to more than %d bytes", TB_REGEX_CODE_BYTES);
        pcre2_code_free(code);
        return NULL;
    }
    (void)pcre2_jit_compile(code,
                            PCRE2_JIT_COMPLETE); /* without it matches are slower, not other */
    struct tb_regex *regex = tb_arena_alloc(arena, sizeof(*regex));
    if (!tb_arena_defer(arena, regex_end, code) || regex == NULL) {
        snprintf(why, why_bytes, "does not fit in the schema's memory");
        return NULL;
    }
    regex->code = code;
    regex->source = tb_arena_text(arena, pattern.at, pattern.n);
    return regex;
}

enum tb_regex_verdict tb_regex_search(const struct tb_regex *regex, struct tb_str text)
{
    pcre2_match_data *match = atomic_exchange_explicit(&spare, NULL, memory_order_acquire);
    if (match == NULL)
        match = pcre2_match_data_create(1, memory);
    if (match == NULL)
        return TB_REGEX_TOO_COSTLY;
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text.at, text.n, 0, PCRE2_NO_UTF_CHECK, match,
                            bounds);
    pcre2_match_data *other = NULL;
    if (!atomic_compare_exchange_strong_explicit(&spare, &other, match, memory_order_release,
                                                 memory_order_relaxed))
        pcre2_match_data_free(match);
    if (found == PCRE2_ERROR_NOMATCH)
        return TB_REGEX_NO;
    return found >= 0 ? TB_REGEX_YES : TB_REGEX_TOO_COSTLY;
}

const char *tb_regex_source(const struct tb_regex *regex)
{
    return regex->source;
}
