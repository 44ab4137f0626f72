/* Pages. A cursor is the sort key and id of a row, signed together with the route and filters it
 * was made for: "v1." + base64url(payload) + "." + base64url(first 16 bytes of HMAC-SHA256). A
 * client that changes a filter under an old cursor would silently skip rows; it is told instead. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "gateway/gateway.h"

enum { MAC_BYTES = 16, CURSOR_MAX = 512, PAGE_DEFAULT = 20 };

#define NOT_OURS "the cursor was not made by this list with these filters"

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

/* Split "v1.place.mac" and check the MAC. False when it is not ours, or not for this. */
static bool open_cursor(struct tb_exchange *x, struct tb_str cursor, struct tb_str scope,
                        struct tb_str *out_place)
{
    struct tb_arena *arena = x->run.arena;
    if (cursor.n < 4 || cursor.n > CURSOR_MAX || memcmp(cursor.at, "v1.", 3) != 0)
        return false;
    struct tb_str rest = {cursor.at + 3, cursor.n - 3};
    const char *dot = memchr(rest.at, '.', rest.n);
    if (dot == NULL)
        return false;
    struct tb_str left = {rest.at, (size_t)(dot - rest.at)};
    struct tb_str right = {dot + 1, rest.n - left.n - 1};
    struct tb_str mac;
    unsigned char want[TB_SHA256_BYTES];
    if (!decode(arena, left, out_place) || !decode(arena, right, &mac))
        return false;
    sign(x, scope, *out_place, want);
    return tb_same_secret(mac, TB_BYTES(want, MAC_BYTES));
}

tb_err tb_exchange_page(struct tb_req *req, struct tb_page *out_page)
{
    struct tb_exchange *x = tb_exchange_of(req);
    struct tb_str limit = tb_query_param(req, "limit");
    struct tb_str after = tb_query_param(req, "starting_after");
    struct tb_str before = tb_query_param(req, "ending_before");
    int64_t most = tb_gateway_parts(x->gateway)->config->limits_page;
    *out_page = (struct tb_page){.limit = most < PAGE_DEFAULT ? most : PAGE_DEFAULT,
                                 .scope = scope_of(x)};
    if (limit.at != NULL) {
        out_page->limit = 0;
        for (size_t i = 0; i < limit.n; i++) /* 1..100: the query stage has checked */
            out_page->limit = out_page->limit * 10 + (limit.at[i] - '0');
    }
    if (after.at != NULL && before.at != NULL)
        return tb_fail_at(req, TB_E_BAD_PARAMETER, "?ending_before",
                          "send starting_after or ending_before, not both");
    if (after.at != NULL && !open_cursor(x, after, out_page->scope, &out_page->after))
        return tb_fail_at(req, TB_E_BAD_CURSOR, "?starting_after", NOT_OURS);
    if (before.at != NULL && !open_cursor(x, before, out_page->scope, &out_page->before))
        return tb_fail_at(req, TB_E_BAD_CURSOR, "?ending_before", NOT_OURS);
    return NULL;
}

static void add_cursor(struct tb_exchange *x, struct tb_text *text, struct tb_str scope,
                       struct tb_str place)
{
    unsigned char mac[TB_SHA256_BYTES];
    sign(x, scope, place, mac);
    tb_text_add(text, TB_STR("\"v1."));
    tb_text_add(text, tb_base64url(x->run.arena, place));
    tb_text_add_char(text, '.');
    tb_text_add(text, tb_base64url(x->run.arena, TB_BYTES(mac, MAC_BYTES)));
    tb_text_add_char(text, '"');
}

/* The cursor leads on in the direction the client came: behind the last object, or before the
 * first. */
tb_err tb_exchange_reply_page(struct tb_req *req, const struct tb_page *page,
                              const struct tb_rows *rows)
{
    struct tb_exchange *x = tb_exchange_of(req);
    if (rows->n == 0)
        return tb_fail_at(req, TB_E_BAD_CURSOR,
                          page->before.at != NULL ? "?ending_before" : "?starting_after",
                          "what the cursor stands at is no longer there");
    bool more = tb_str_eq(tb_cell(rows, 0, 1), TB_STR("t"));
    struct tb_text text;
    tb_text_init(&text, x->run.arena);
    tb_text_add(&text, TB_STR("{\"object\":\"list\",\"data\":"));
    tb_text_add(&text, tb_cell(rows, 0, 0));
    tb_text_add(&text, more ? TB_STR(",\"has_more\":true,\"next_cursor\":")
                            : TB_STR(",\"has_more\":false,\"next_cursor\":"));
    if (more)
        add_cursor(x, &text, page->scope, tb_cell(rows, 0, page->before.at != NULL ? 2 : 3));
    else
        tb_text_add(&text, TB_STR("null"));
    tb_text_add_char(&text, '}');
    return tb_reply(req, 200, tb_text_end(&text));
}
