/* One function for each format; see the table at the end. */
#include "schema/format.h"
#include "base/id.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Whether `c` is one of the characters of `set`; NUL never is. */
static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool check_date_time(struct tb_str text, const char *argument)
{
    (void)argument;
    int64_t ms;
    return tb_time_parse(text, &ms);
}

static bool check_date(struct tb_str text, const char *argument)
{
    (void)argument;
    struct tb_date date;
    return tb_date_parse(text, &date);
}

static bool check_uuid(struct tb_str text, const char *argument)
{
    (void)argument;
    if (text.n != TB_UUID_CHARS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.at[i] != '-' : !is_hex(text.at[i]))
            return false;
    }
    return true;
}

static bool check_id(struct tb_str text, const char *argument)
{
    return tb_id_check(text, argument);
}

/* Characters of RFC 3986: unreserved, those of `also`, and %XX. */
static bool uri_part(struct tb_str part, const char *also)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.at[i];
        if (c == '%') {
            if (part.n - i < 3 || !is_hex(part.at[i + 1]) || !is_hex(part.at[i + 2]))
                return false;
            i += 2;
        } else if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "-._~") && !is_one_of(c, also)) {
            return false;
        }
    }
    return true;
}

/* Cut `text` at the first byte of `set`: what is before it, *rest begins with it. */
static struct tb_str cut(struct tb_str text, const char *set, struct tb_str *rest)
{
    size_t n = 0;
    while (n < text.n && !is_one_of(text.at[n], set))
        n++;
    *rest = (struct tb_str){text.at + n, text.n - n};
    return (struct tb_str){text.at, n};
}

static struct tb_str tail(struct tb_str text, size_t n)
{
    return (struct tb_str){text.at + n, text.n - n};
}

#define SUB_DELIMS "!$&'()*+,;="

/* [user@]host[:port], host a name, an IPv4 address or something in brackets. */
static bool uri_authority(struct tb_str text)
{
    struct tb_str rest, user = cut(text, "@", &rest);
    struct tb_str host = text;
    if (rest.n > 0) {
        if (!uri_part(user, SUB_DELIMS ":"))
            return false;
        host = tail(rest, 1);
    }
    struct tb_str port;
    if (host.n > 0 && host.at[0] == '[') {
        struct tb_str literal = cut(tail(host, 1), "]", &port);
        if (port.n == 0 || literal.n == 0 || !uri_part(literal, SUB_DELIMS ":"))
            return false;
        port = tail(port, 1);
    } else if (!uri_part(cut(host, ":", &port), SUB_DELIMS)) {
        return false;
    }
    if (port.n > 0 && port.at[0] != ':')
        return false;
    for (size_t i = 1; i < port.n; i++) {
        if (!is_digit(port.at[i]))
            return false;
    }
    return true;
}

/* An absolute URI with its scheme, RFC 3986 §3. */
static bool check_uri(struct tb_str text, const char *argument)
{
    (void)argument;
    struct tb_str rest, scheme = cut(text, ":", &rest);
    if (rest.n == 0 || scheme.n == 0 || !is_alpha(scheme.at[0]))
        return false;
    for (size_t i = 1; i < scheme.n; i++) {
        if (!is_alpha(scheme.at[i]) && !is_digit(scheme.at[i]) && !is_one_of(scheme.at[i], "+-."))
            return false;
    }
    rest = tail(rest, 1);
    if (rest.n >= 2 && memcmp(rest.at, "//", 2) == 0 &&
        !uri_authority(cut(tail(rest, 2), "/?#", &rest)))
        return false;
    if (!uri_part(cut(rest, "?#", &rest), SUB_DELIMS ":@/"))
        return false;
    if (rest.n > 0 && rest.at[0] == '?' &&
        !uri_part(cut(tail(rest, 1), "#", &rest), SUB_DELIMS ":@/?"))
        return false;
    return rest.n == 0 || uri_part(tail(rest, 1), SUB_DELIMS ":@/?");
}

/* Names separated by dots, none empty, of letters, digits and `also`. */
static bool dotted(struct tb_str text, const char *also)
{
    bool empty = true;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '.' ? empty : !is_alpha(c) && !is_digit(c) && !is_one_of(c, also))
            return false;
        empty = c == '.';
    }
    return !empty;
}

/* Mailbox of RFC 5321 §4.1.2 as people write it: no quoted local part, no address literal. */
static bool check_email(struct tb_str text, const char *argument)
{
    (void)argument;
    struct tb_str rest, local = cut(text, "@", &rest);
    if (rest.n < 2 || local.n > 64 || text.n > 254 || !dotted(local, "!#$%&'*+-/=?^_`{|}~"))
        return false;
    struct tb_str domain = tail(rest, 1);
    if (!dotted(domain, "-"))
        return false;
    while (domain.n > 0) {
        struct tb_str label = cut(domain, ".", &domain);
        if (label.n > 63 || label.at[0] == '-' || label.at[label.n - 1] == '-')
            return false;
        if (domain.n > 0)
            domain = tail(domain, 1);
    }
    return true;
}

/* What people are given to read (base/text.h). */
static bool check_line(struct tb_str text, const char *argument)
{
    (void)argument;
    return tb_text_visible(text) == text.n;
}

static const struct tb_format formats[] = {
    {.name = "date-time",
     .check = check_date_time,
     .words = "an RFC 3339 time such as 2026-02-28T09:30:00Z"},
    {.name = "date", .check = check_date, .words = "a date that exists, such as 2026-02-28"},
    {.name = "uuid", .check = check_uuid, .words = "a UUID"},
    {.name = "uri", .check = check_uri, .words = "an absolute URI"},
    {.name = "email", .check = check_email, .words = "an e-mail address"},
    {.name = "tb-line",
     .check = check_line,
     .words = "one line without control characters, marks of direction and characters that are "
              "not drawn"},
};

#define ID_FORMAT "tb-id:"

bool tb_format_find(struct tb_arena *arena, const char *name, struct tb_format *out)
{
    for (size_t i = 0; i < TB_COUNT(formats); i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *out = formats[i];
            return true;
        }
    }
    const char *prefix = name + sizeof(ID_FORMAT) - 1;
    if (strncmp(name, ID_FORMAT, sizeof(ID_FORMAT) - 1) != 0)
        return false;
    size_t n = strspn(prefix, "abcdefghijklmnopqrstuvwxyz");
    if (n == 0 || n > TB_ID_PREFIX_MAX || prefix[n] != '\0')
        return false;
    *out = (struct tb_format){.name = name, .check = check_id, .argument = prefix};
    out->words = tb_arena_format(arena, "an id: %s_ and %d characters", prefix, TB_ID_DIGITS).at;
    return true;
}
