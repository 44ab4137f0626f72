/* Sets of scope names that stay texts: they are short, and are stored and shown as they are. */
#include "oauth/scope.h"
#include "base/text.h"
#include "crypto/grant.h"

bool tb_scope_next(struct tb_str *rest, struct tb_str *out_name)
{
    return tb_str_next(rest, ' ', out_name);
}

bool tb_scope_good(struct tb_str scope)
{
    size_t names = 1;
    char before = ' ';
    for (size_t i = 0; i < scope.n; i++) {
        char c = scope.at[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\' || (c == ' ' && before == ' '))
            return false;
        names += c == ' ';
        before = c;
    }
    return before != ' ' && names <= TB_GRANT_SCOPES_MAX;
}

bool tb_scope_has(struct tb_str scope, struct tb_str name)
{
    return tb_str_among(name, ' ', scope);
}

bool tb_scope_within(struct tb_str scope, struct tb_str allowed)
{
    for (struct tb_str one; tb_scope_next(&scope, &one);)
        if (!tb_scope_has(allowed, one))
            return false;
    return true;
}

/* Add the names of `from` that are in `allowed` (absent: any) and not yet in `text`. */
static void add_names(struct tb_text *text, struct tb_str from, struct tb_str allowed)
{
    for (struct tb_str one; tb_scope_next(&from, &one);) {
        if (allowed.at != NULL && !tb_scope_has(allowed, one))
            continue;
        if (tb_scope_has((struct tb_str){text->at, text->n}, one))
            continue;
        if (text->n > 0)
            tb_text_add_char(text, ' ');
        tb_text_add(text, one);
    }
}

struct tb_str tb_scope_common(struct tb_arena *arena, struct tb_str a, struct tb_str b)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    add_names(&text, a, b.at != NULL ? b : TB_STR(""));
    return tb_text_end(&text);
}

struct tb_str tb_scope_join(struct tb_arena *arena, struct tb_str a, struct tb_str b)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    add_names(&text, a, TB_STR_NONE);
    add_names(&text, b, TB_STR_NONE);
    return tb_text_end(&text);
}
