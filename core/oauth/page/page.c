#include "oauth/page/page.h"
#include "http/server.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "runtime/run.h"

#define POLICY "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; "

#define FIELD(name, value)                                                                         \
    {                                                                                              \
        {(name), sizeof(name) - 1},                                                                \
        {                                                                                          \
            (value), sizeof(value) - 1                                                             \
        }                                                                                          \
    }

/* The last only where tb_page_is_strict. */
static const struct tb_header HEADERS[] = {
    FIELD("content-security-policy", POLICY "form-action 'self'"),
    FIELD("x-frame-options", "DENY"),
    FIELD("x-content-type-options", "nosniff"),
    FIELD("referrer-policy", "no-referrer"),
    FIELD("strict-transport-security", "max-age=31536000"),
};

static bool ends_in(struct tb_str text, struct tb_str tail)
{
    return text.n >= tail.n && memcmp(text.at + text.n - tail.n, tail.at, tail.n) == 0;
}

/* A host of this very machine: localhost and below (RFC 6761 §6.3), 127.0.0.0/8, ::1. */
static bool is_loopback(struct tb_str authority)
{
    struct tb_str host = authority;
    if (host.n > 0 && host.at[0] == '[')
        return host.n >= 5 && memcmp(host.at, "[::1]", 5) == 0;
    const char *colon = host.n == 0 ? NULL : memchr(host.at, ':', host.n);
    if (colon != NULL)
        host.n = (size_t)(colon - host.at);
    return tb_str_eq(host, TB_STR("localhost")) || ends_in(host, TB_STR(".localhost")) ||
           (host.n > 4 && memcmp(host.at, "127.", 4) == 0 &&
            strspn(host.at, "0123456789.") >= host.n);
}

bool tb_page_is_strict(struct tb_req *req)
{
    return !tb_oauth()->config->sandbox || !is_loopback(tb_run_of(req)->in->authority);
}

const struct tb_header *tb_page_headers(struct tb_req *req, size_t *out_n)
{
    *out_n = TB_COUNT(HEADERS) - (tb_page_is_strict(req) ? 0 : 1);
    return HEADERS;
}

/* ---- language ---- */

enum tb_lang tb_page_lang(struct tb_req *req, struct tb_str chosen, struct tb_str ui_locales)
{
    enum tb_lang lang = TB_LANG_ZH;
    if (!tb_lang_choose(chosen, &lang) && !tb_lang_choose(ui_locales, &lang) &&
        !tb_lang_choose(tb_header(req, "accept-language"), &lang))
        lang = TB_LANG_ZH;
    return lang;
}

/* ---- what every page has ---- */

static void add_session(struct tb_html *html, const struct tb_session *session)
{
    if (session == NULL || !session->whole)
        return;
    tb_html_raw(html, "<form class=\"who\" method=\"post\" action=\"/oauth/logout\">\n");
    tb_page_form_fields(html, session);
    tb_html(html, "<span>$</span>\n<button class=\"quiet\">$</button>\n</form>\n",
            tb_msg_with(html, TB_MSG_LOGGED_IN_AS, session->user->name),
            tb_msg(html, TB_MSG_LOG_OUT));
}

void tb_page_begin(struct tb_req *req, struct tb_html *html, enum tb_lang lang,
                   const struct tb_page_head *head)
{
    enum tb_lang other = lang == TB_LANG_ZH ? TB_LANG_EN : TB_LANG_ZH;
    tb_html_init(html, tb_run_of(req)->arena, lang);
    struct tb_str title = head->title;
    if (head->failed)
        title = tb_msg_with(html, TB_MSG_ERROR_PREFIX, title);
    tb_html(html,
            "<!doctype html>\n<html lang=\"$\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"robots\" content=\"noindex\">\n<title>$ · $</title>\n"
            "<link rel=\"stylesheet\" href=\"/oauth/style.css\">\n</head>\n<body>\n",
            tb_lang_tag(lang), title, tb_msg(html, TB_MSG_BANK));
    tb_html(html, "<a class=\"skip\" href=\"#content\">$</a>\n<header>\n<p class=\"bank\">$</p>\n",
            tb_msg(html, TB_MSG_SKIP), tb_msg(html, TB_MSG_BANK));
    if (head->here.at != NULL)
        tb_html(html,
                "<nav aria-label=\"$\"><a href=\"$lang=$\" lang=\"$\" hreflang=\"$\">$</a></nav>\n",
                tb_msg(html, TB_MSG_LANGUAGE), head->here, tb_lang_tag(other), tb_lang_tag(other),
                tb_lang_tag(other), tb_msg(html, TB_MSG_OTHER_LANGUAGE));
    add_session(html, head->session);
    tb_html(html, "</header>\n<main id=\"content\">\n<h1>$</h1>\n", head->title);
}

void tb_page_problem(struct tb_html *html, struct tb_str sentence, struct tb_str field)
{
    tb_html(html,
            "<div class=\"problem\" role=\"alert\" aria-labelledby=\"problem-title\">\n"
            "<h2 id=\"problem-title\">$</h2>\n",
            tb_msg(html, TB_MSG_PROBLEM));
    if (field.at == NULL)
        tb_html(html, "<p>$</p>\n</div>\n", sentence);
    else
        tb_html(html, "<ul>\n<li><a href=\"#$\">$</a></li>\n</ul>\n</div>\n", field, sentence);
}

void tb_page_form_fields(struct tb_html *html, const struct tb_session *session)
{
    tb_html(html,
            "<input type=\"hidden\" name=\"csrf\" value=\"$\">\n"
            "<input type=\"hidden\" name=\"lang\" value=\"$\">\n",
            tb_session_token(html->text.arena, session), tb_lang_tag(html->lang));
}

tb_err TB_SUSPENDS tb_page_form(struct tb_req *req, struct tb_form *out_form,
                                struct tb_session *out_session, enum tb_lang *out_lang)
{
    TB_TRY(tb_form_read(req, out_form));
    TB_TRY(tb_session_find(req, out_session));
    TB_TRY(tb_session_check(req, out_session, out_form));
    *out_lang = tb_page_lang(req, tb_form_get(out_form, "lang"), TB_STR_NONE);
    return NULL;
}

static struct tb_str end(struct tb_html *html)
{
    tb_html(html, "</main>\n<footer>\n<p>$</p>\n</footer>\n</body>\n</html>\n",
            tb_msg(html, TB_MSG_FOOT));
    return tb_text_end(&html->text);
}

/* ---- answering ---- */

/* How many bytes of `origin` a policy can say: all of a scheme, a host name and a port. What has
 * more in it (an IPv6 address, which has no form there, or a character that would end the
 * directive) is said by its scheme alone. */
static size_t sayable(struct tb_str origin)
{
    size_t scheme = origin.at[4] == 's' ? sizeof("https:") - 1 : sizeof("http:") - 1;
    for (size_t i = scheme + 2; i < origin.n; i++) {
        char c = origin.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == ':';
        if (!plain)
            return scheme;
    }
    return origin.n;
}

/* The policy of a page whose form leads on to `origin`. */
static struct tb_str policy_for(struct tb_arena *arena, struct tb_str origin)
{
    return tb_arena_format(arena, POLICY "form-action 'self' %.*s", (int)sayable(origin),
                           origin.at);
}

static tb_err set_headers(struct tb_req *req, struct tb_str origin)
{
    size_t n;
    const struct tb_header *headers = tb_page_headers(req, &n);
    for (size_t i = 0; i < n; i++) {
        struct tb_str value = headers[i].value;
        if (i == 0 && origin.n > sizeof("https://") - 1)
            value = policy_for(tb_run_of(req)->arena, origin);
        TB_TRY(tb_set_header(req, headers[i].name.at, value));
    }
    return NULL;
}

tb_err tb_page_reply(struct tb_req *req, int status, struct tb_html *html, struct tb_str origin)
{
    TB_TRY(set_headers(req, origin));
    return tb_reply_as(req, status, TB_PAGE_TYPE, end(html));
}

tb_err tb_page_redirect(struct tb_req *req, struct tb_str location)
{
    if (location.at == NULL)
        return TB_E_INTERNAL;
    TB_TRY(set_headers(req, TB_STR_NONE));
    TB_TRY(tb_set_header(req, "location", location));
    return tb_reply_as(req, 303, NULL, TB_STR_NONE);
}

/* ---- failures ---- */

static enum tb_msg words_for(tb_err err)
{
    if (tb_is(err, TB_E_FORM_FOREIGN))
        return TB_MSG_ERROR_FORM;
    if (tb_is(err, TB_E_IN_DOUBT))
        return TB_MSG_ERROR_DOUBT;
    switch (err->status) {
    case 404:
        return TB_MSG_ERROR_NOT_FOUND;
    case 405:
        return TB_MSG_ERROR_METHOD;
    case 429:
    case 503:
    case 504:
        return TB_MSG_ERROR_BUSY;
    default:
        return err->status < 500 ? TB_MSG_ERROR_REQUEST : TB_MSG_ERROR_INTERNAL;
    }
}

struct tb_str tb_page_error(struct tb_req *req, tb_err err, struct tb_str request_id)
{
    struct tb_html html;
    enum tb_lang lang = tb_page_lang(req, TB_STR_NONE, TB_STR_NONE);
    struct tb_page_head head = {.title = tb_msg_in(lang, TB_MSG_ERROR_TITLE)};
    tb_page_begin(req, &html, lang, &head);
    tb_html(&html, "<p>$</p>\n<p class=\"note\">$ <code>$</code></p>\n",
            tb_msg(&html, words_for(err)), tb_msg(&html, TB_MSG_ERROR_ID), request_id);
    struct tb_str cause = tb_run_of(req)->problem.detail;
    if (cause.at != NULL && tb_oauth()->config->sandbox)
        tb_html(&html, "<p class=\"note\">$ $</p>\n", tb_msg(&html, TB_MSG_ERROR_CAUSE), cause);
    return end(&html);
}
