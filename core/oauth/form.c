/* The decoder of forms and queries. What a browser's parser would guess about, it refuses: a broken
 * escape, bytes that are not UTF-8, and a name that comes twice, which two readers could understand
 * in two ways. */
#include "oauth/form.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "http/server.h"
#include "oauth/errors.h"
#include "runtime/run.h"

bool tb_form_decode(struct tb_req *req, struct tb_str raw, struct tb_str *out)
{
    char *at = tb_arena_raw(tb_run_of(req)->arena, raw.n + 1);
    size_t n = 0;
    if (at == NULL)
        return false;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.at[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            unsigned char byte;
            if (raw.n - i < 3 || !tb_hex_read((struct tb_str){raw.at + i + 1, 2}, &byte))
                return false;
            c = (char)byte;
            i += 2;
        }
        if (c == '\0')
            return false;
        at[n++] = c;
    }
    at[n] = '\0';
    *out = (struct tb_str){at, n};
    return tb_utf8_valid(*out);
}

tb_err tb_form_add(struct tb_req *req, struct tb_form *form, struct tb_str name,
                   struct tb_str value)
{
    if (name.n > TB_FORM_NAME_MAX)
        return tb_fail(req, TB_E_INVALID_REQUEST, "a parameter's name is longer than %d bytes",
                       TB_FORM_NAME_MAX);
    if (value.n > TB_FORM_VALUE_MAX)
        return tb_fail(req, TB_E_INVALID_REQUEST, "parameter %.*s is longer than %d bytes",
                       (int)name.n, name.at, TB_FORM_VALUE_MAX);
    for (size_t i = 0; i < form->n; i++)
        if (tb_str_eq(form->pairs[i].name, name))
            return tb_fail(req, TB_E_INVALID_REQUEST, "parameter %.*s is sent more than once",
                           (int)name.n, name.at);
    if (form->n == TB_FORM_PAIRS_MAX)
        return tb_fail(req, TB_E_INVALID_REQUEST, "more than %d parameters", TB_FORM_PAIRS_MAX);
    if (form->pairs == NULL)
        form->pairs = tb_alloc(req, TB_FORM_PAIRS_MAX * sizeof(*form->pairs));
    if (form->pairs == NULL)
        return tb_fail(req, TB_E_INTERNAL, "no memory left for the parameters");
    form->pairs[form->n++] = (struct tb_form_pair){name, value};
    return NULL;
}

static tb_err add_pair(struct tb_req *req, struct tb_form *form, struct tb_str pair)
{
    const char *equals = memchr(pair.at, '=', pair.n);
    struct tb_str raw_name = {pair.at, equals != NULL ? (size_t)(equals - pair.at) : pair.n};
    struct tb_str raw_value = TB_STR("");
    struct tb_str name, value;
    if (equals != NULL)
        raw_value = (struct tb_str){equals + 1, pair.n - raw_name.n - 1};
    if (!tb_form_decode(req, raw_name, &name) || !tb_form_decode(req, raw_value, &value))
        return tb_fail(req, TB_E_INVALID_REQUEST,
                       "the parameters are not percent-encoded UTF-8 without NUL");
    return tb_form_add(req, form, name, value);
}

tb_err tb_form_parse(struct tb_req *req, struct tb_str text, struct tb_form *out)
{
    *out = (struct tb_form){0};
    while (text.n > 0) {
        const char *amp = memchr(text.at, '&', text.n);
        struct tb_str pair = {text.at, amp != NULL ? (size_t)(amp - text.at) : text.n};
        if (pair.n > 0)
            TB_TRY(add_pair(req, out, pair));
        size_t used = pair.n + (amp != NULL);
        text = (struct tb_str){text.at + used, text.n - used};
    }
    return NULL;
}

/* The media type without its parameters: a charset other than UTF-8 shows in the bytes. */
static bool is_form(struct tb_str type)
{
    static const char form[] = "application/x-www-form-urlencoded";
    size_t n = 0;
    while (n < type.n && type.at[n] != ';' && type.at[n] != ' ' && type.at[n] != '\t')
        n++;
    if (n != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = type.at[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c) != form[i])
            return false;
    }
    return true;
}

tb_err tb_form_read(struct tb_req *req, struct tb_form *out)
{
    const struct tb_incoming *in = tb_run_of(req)->in;
    *out = (struct tb_form){0};
    if (!is_form(in->content_type))
        return tb_fail(req, TB_E_MEDIA_TYPE, "send application/x-www-form-urlencoded");
    return tb_form_parse(req, in->body, out);
}

tb_err tb_form_query(struct tb_req *req, struct tb_form *out)
{
    return tb_form_parse(req, tb_run_of(req)->in->raw_query, out);
}

struct tb_str tb_form_get(const struct tb_form *form, const char *name)
{
    for (size_t i = 0; i < form->n; i++)
        if (tb_str_eq(form->pairs[i].name, tb_str(name)))
            return form->pairs[i].value.n > 0 ? form->pairs[i].value : TB_STR_NONE;
    return TB_STR_NONE;
}
