/* What a refusal looks like to an OAuth client (RFC 6749 §5.2). */
#include "oauth/errors.h"
#include "base/text.h"

static const struct tb_error *const TABLE[] = {
#define TB_OAUTH_ERROR(name, ...) TB_E_##name,
#include "oauth/oauth_errors.def"
#undef TB_OAUTH_ERROR
};

bool tb_is_oauth_error(tb_err err)
{
    for (size_t i = 0; i < TB_COUNT(TABLE); i++)
        if (tb_is(err, TABLE[i]))
            return true;
    return false;
}

struct tb_str tb_oauth_error_code(tb_err err)
{
    if (tb_is_oauth_error(err))
        return tb_str(err->code);
    if (err->status == 429 || err->status == 503 || err->status == 504)
        return TB_STR("temporarily_unavailable");
    return err->status >= 500 ? TB_STR("server_error") : TB_STR("invalid_request");
}

/* %x20-21 / %x23-5B / %x5D-7E: what a description may consist of. */
static char described(char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?';
}

struct tb_str tb_oauth_error_body(struct tb_arena *arena, tb_err err, struct tb_str detail)
{
    struct tb_text text;
    struct tb_str words = detail.n > 0 ? detail : tb_str(err->title);
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"error\":\""));
    tb_text_add(&text, tb_oauth_error_code(err));
    tb_text_add(&text, TB_STR("\",\"error_description\":\""));
    for (size_t i = 0; i < words.n; i++)
        tb_text_add_char(&text, described(words.at[i]));
    tb_text_add(&text, TB_STR("\"}"));
    return tb_text_end(&text);
}
