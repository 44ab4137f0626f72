/* The parameters of a media type: ";" name "=" token or quoted string, with blanks around the ";".
 * What does not follow the grammar names no charset that could be trusted, and is refused under the
 * text that stands there. */
#include "base/media.h"
#include <string.h>
#include <strings.h>

static struct tb_str trimmed(const char *from, const char *end)
{
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (from < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct tb_str){from, (size_t)(end - from)};
}

static bool is_any_case(struct tb_str text, const char *word)
{
    return text.n == strlen(word) && strncasecmp(text.at, word, text.n) == 0;
}

/* Where the parameter that begins at `at` ends: at a ";" that is not quoted. */
static const char *parameter_end(const char *at, const char *end)
{
    bool quoted = false;
    for (; at < end && (quoted || *at != ';'); at++) {
        if (quoted && *at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            quoted = !quoted;
    }
    return at;
}

bool tb_media_charset(struct tb_str type, struct tb_str *out_charset)
{
    const char *end = type.at + type.n;
    for (const char *at = type.n == 0 ? end : memchr(type.at, ';', type.n);
         at != NULL && at < end;) {
        const char *stop = parameter_end(at + 1, end);
        struct tb_str parameter = trimmed(at + 1, stop);
        const char *equals = parameter.n == 0 ? NULL : memchr(parameter.at, '=', parameter.n);
        at = stop;
        if (equals == NULL || !is_any_case(trimmed(parameter.at, equals), "charset"))
            continue;
        struct tb_str value = trimmed(equals + 1, parameter.at + parameter.n);
        if (value.n >= 2 && value.at[0] == '"' && value.at[value.n - 1] == '"')
            value = (struct tb_str){value.at + 1, value.n - 2};
        *out_charset = value;
        if (!is_any_case(value, "utf-8") && !is_any_case(value, "us-ascii"))
            return false;
    }
    return true;
}
