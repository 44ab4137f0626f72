/* Pages. A cursor is the sort key and id of a row, signed together with the route and filters it
 * was made for: "v1." + base64url(payload) + "." + base64url(first 16 bytes of HMAC-SHA256). A
 * client that changes a filter under an old cursor would silently skip rows; it is told instead. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "gateway/gateway.h"

enum { MAC_BYTES = 16, CURSOR_MAX = 512, PAGE_DEFAULT = 20 };

/* Everything a cursor is bound to: partner, book, route and every filter, in the route's order. */
static struct tb_str scope_of(struct tb_exchange *x)
{
    struct tb_text text;
    tb_text_init(&text, x->run.arena);
    tb_text_add_int(&text, tb_book(&x->run.req));
    tb_text_add_char(&text, '\n');
    tb_text_add(&text, tb_partner(&x->run.req));
    tb_text_add_char(&text, '\n');
    tb_text_add(&text, x->in.path);
    const struct tb_route *route = x->match.operation->route;
    for (const struct tb_query_param *p = route->query; p != NULL && p->name != NULL; p++) {
        struct tb_str value = tb_query_param(&x->run.req, p->name);
        if (value.at == NULL)
            continue;
        tb_text_add_format(&text, "\n%s=%zu:", p->name, value.n);
        tb_text_add(&text, value);
    }
    return tb_text_end(&text);
}

static void sign(struct tb_exchange *x, struct tb_str scope, struct tb_str payload,
                 unsigned char out_mac[TB_SHA256_BYTES])
{
    struct tb_str parts[] = {scope, TB_STR("\n"), payload};
    tb_hmac_sha256(tb_gateway_parts(x->gateway)->cursor_key, parts, TB_COUNT(parts), out_mac);
}

/* The bytes behind a piece of base64url text. */
static bool decode(struct tb_arena *arena, struct tb_str text, struct tb_str *out)
{
    unsigned char *at = tb_arena_raw(arena, text.n);
    size_t n;
    if (at == NULL || !tb_base64url_read(text, at, &n))
        return false;
    *out = TB_BYTES(at, n);
    return true;
}

static tb_err refuse(struct tb_exchange *x)
{
    return tb_fail(&x->run.req, TB_E_BAD_CURSOR,
                   "the cursor was not made by this list with these filters");
}

/* Split "v1.payload.mac", check the MAC, and split the payload at its newline. */
static tb_err open_cursor(struct tb_exchange *x, struct tb_str cursor, struct tb_page *page)
{
    struct tb_arena *arena = x->run.arena;
    if (cursor.n < 4 || cursor.n > CURSOR_MAX || memcmp(cursor.at, "v1.", 3) != 0)
        return refuse(x);
    struct tb_str rest = {cursor.at + 3, cursor.n - 3};
    const char *dot = memchr(rest.at, '.', rest.n);
    if (dot == NULL)
        return refuse(x);
    struct tb_str payload, mac;
    struct tb_str left = {rest.at, (size_t)(dot - rest.at)};
    struct tb_str right = {dot + 1, rest.n - left.n - 1};
    unsigned char want[TB_SHA256_BYTES];
    if (!decode(arena, left, &payload) || !decode(arena, right, &mac))
        return refuse(x);
    sign(x, page->scope, payload, want);
    if (!tb_same_secret(mac, TB_BYTES(want, MAC_BYTES)))
        return refuse(x);
    const char *newline = memchr(payload.at, '\n', payload.n);
    if (newline == NULL)
        return refuse(x);
    page->at = (struct tb_str){payload.at, (size_t)(newline - payload.at)};
    page->id = (struct tb_str){newline + 1, payload.n - page->at.n - 1};
    return NULL;
}

tb_err tb_exchange_page(struct tb_req *req, struct tb_page *out_page)
{
    struct tb_exchange *x = tb_exchange_of(req);
    struct tb_str limit = tb_query_param(req, "limit");
    struct tb_str after = tb_query_param(req, "starting_after");
    struct tb_str before = tb_query_param(req, "ending_before");
    *out_page = (struct tb_page){.limit = PAGE_DEFAULT, .scope = scope_of(x)};
    if (limit.at != NULL) {
        out_page->limit = 0;
        for (size_t i = 0; i < limit.n; i++) /* 1..100: the query stage has checked */
            out_page->limit = out_page->limit * 10 + (limit.at[i] - '0');
    }
    if (after.at != NULL && before.at != NULL)
        return tb_fail(req, TB_E_BAD_PARAMETER, "send starting_after or ending_before, not both");
    if (after.at == NULL && before.at == NULL)
        return NULL;
    out_page->backwards = before.at != NULL;
    return open_cursor(x, after.at != NULL ? after : before, out_page);
}

static void add_cursor(struct tb_exchange *x, struct tb_text *text, const struct tb_page *page,
                       const struct tb_rows *rows, size_t row)
{
    struct tb_text payload_text;
    unsigned char mac[TB_SHA256_BYTES];
    tb_text_init(&payload_text, x->run.arena);
    tb_text_add(&payload_text, tb_cell(rows, row, 1));
    tb_text_add_char(&payload_text, '\n');
    tb_text_add(&payload_text, tb_cell(rows, row, 2));
    struct tb_str payload = tb_text_end(&payload_text);
    sign(x, page->scope, payload, mac);
    tb_text_add(text, TB_STR("\"v1."));
    tb_text_add(text, tb_base64url(x->run.arena, payload));
    tb_text_add_char(text, '.');
    tb_text_add(text, tb_base64url(x->run.arena, TB_BYTES(mac, MAC_BYTES)));
    tb_text_add_char(text, '"');
}

/* Rows come in the list's order for a forward page and in reverse for a backward one. */
tb_err tb_exchange_reply_page(struct tb_req *req, const struct tb_page *page,
                              const struct tb_rows *rows)
{
    struct tb_exchange *x = tb_exchange_of(req);
    size_t limit = (size_t)page->limit;
    size_t shown = rows->n < limit ? rows->n : limit;
    bool more = rows->n > limit;
    struct tb_text text;
    tb_text_init(&text, x->run.arena);
    tb_text_add(&text, TB_STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            tb_text_add_char(&text, ',');
        tb_text_add(&text, tb_cell(rows, page->backwards ? shown - 1 - i : i, 0));
    }
    tb_text_add(&text, more ? TB_STR("],\"has_more\":true,\"next_cursor\":")
                            : TB_STR("],\"has_more\":false,\"next_cursor\":"));
    if (more)
        add_cursor(x, &text, page, rows, shown - 1);
    else
        tb_text_add(&text, TB_STR("null"));
    tb_text_add_char(&text, '}');
    return tb_reply(req, 200, tb_text_end(&text));
}
