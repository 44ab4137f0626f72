#include "gateway/problem_page.h"
#include "gateway/gateway.h"
#include "oauth/page/page.h"
#include <stdio.h>
#include <strings.h>

const struct tb_query_param tb_problem_page_query[] = {
    {"lang", TB_Q_ENUM, 0, 0, "en|zh-CN", "Language of the page, whatever the browser prefers."},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

/* ---- what the client wants ---- */

/* Where a media type stands in an Accept header; SIZE_MAX where it is not named or has weight 0.
 * Browsers name text/html first; programs that name both in another order get JSON. */
static size_t place_in(struct tb_str accept, struct tb_str type)
{
    for (size_t at = 0; at + type.n <= accept.n; at++) {
        if (strncasecmp(accept.at + at, type.at, type.n) != 0)
            continue;
        const char *rest = accept.at + at + type.n;
        size_t left = accept.n - at - type.n;
        bool refused = left >= 4 && memcmp(rest, ";q=0", 4) == 0 && (left == 4 || rest[4] == ',');
        return refused ? SIZE_MAX : at;
    }
    return SIZE_MAX;
}

static bool wants_page(struct tb_req *req)
{
    struct tb_str accept = tb_header(req, "accept");
    size_t html = place_in(accept, TB_STR("text/html"));
    return html != SIZE_MAX && html < place_in(accept, TB_STR("application/json"));
}

static enum tb_lang lang_of(struct tb_req *req)
{
    enum tb_lang lang = TB_LANG_EN;
    if (tb_lang_choose(tb_query_param(req, "lang"), &lang) ||
        tb_lang_choose(tb_header(req, "accept-language"), &lang))
        return lang;
    return TB_LANG_EN;
}

/* ---- the page ---- */

static tb_err page_of_none(struct tb_req *req, enum tb_lang lang)
{
    struct tb_html html;
    struct tb_page_head head = {.title = tb_msg_in(lang, TB_MSG_ERROR_TITLE)};
    tb_page_begin(req, &html, lang, &head);
    tb_html(&html, "<p>$</p>\n", tb_msg(&html, TB_MSG_ERROR_NOT_FOUND));
    return tb_page_reply(req, 404, &html, TB_STR_NONE);
}

static tb_err page_of(struct tb_req *req, enum tb_lang lang, tb_err err, const char *title,
                      const char *remedy)
{
    struct tb_html html;
    char status[8];
    struct tb_page_head head = {
        .title = tb_str(title),
        .here = tb_arena_format(tb_run_of(req)->arena, "/problems/%s?", err->code),
    };
    snprintf(status, sizeof(status), "%d", (int)err->status);
    tb_page_begin(req, &html, lang, &head);
    tb_html(
        &html,
        "<dl>\n<dt>$</dt>\n<dd><code>$</code></dd>\n<dt>$</dt>\n<dd>$</dd>\n<dt>$</dt>\n"
        "<dd>$</dd>\n<dt>$</dt>\n<dd>$</dd>\n</dl>\n",
        tb_msg(&html, TB_MSG_PROBLEM_CODE), tb_str(err->code), tb_msg(&html, TB_MSG_PROBLEM_STATUS),
        tb_str(status), tb_msg(&html, TB_MSG_PROBLEM_REMEDY), tb_str(remedy),
        tb_msg(&html, TB_MSG_PROBLEM_RETRY),
        tb_msg(&html, err->retryable ? TB_MSG_PROBLEM_RETRYABLE : TB_MSG_PROBLEM_NOT_RETRYABLE));
    return tb_page_reply(req, 200, &html, TB_STR_NONE);
}

tb_err tb_problem_page(struct tb_req *req)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(tb_exchange_of(req)->gateway);
    tb_err err = parts->error_by_code(tb_path(req, "code"));
    enum tb_lang lang = lang_of(req);
    bool page = wants_page(req);
    if (err == NULL && !page)
        return tb_fail_at(req, TB_E_NOT_FOUND, "?code", "there is no problem of this name");
    TB_TRY(tb_set_header(req, "vary", TB_STR("accept, accept-language")));
    const struct tb_error_words *words = err == NULL ? NULL : parts->error_words(err->code, lang);
    bool translated = page || words != NULL;
    TB_TRY(tb_set_header(req, "content-language", tb_lang_tag(translated ? lang : TB_LANG_EN)));
    if (err == NULL)
        return page_of_none(req, lang);
    const char *title = words == NULL ? err->title : words->title;
    const char *remedy = words == NULL ? err->remedy : words->remedy;
    if (page)
        return page_of(req, lang, err, title, remedy);
    return tb_reply_json(req, 200,
                         json_pack("{s:s, s:s, s:i, s:s, s:b, s:s}", "object", "problem_type",
                                   "code", err->code, "status", (int)err->status, "title", title,
                                   "retryable", (int)err->retryable, "remedy", remedy));
}
