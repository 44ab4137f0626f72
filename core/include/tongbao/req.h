/* The request as a handler sees it: what came in, the services it may use, and the answer it gives.
 * Every service is reached through the function table at the head of `struct tb_req`, so a plugin
 * links against nothing and its unit tests pass a table of their own. The host appends to the table
 * and never reorders it; `size` says how much of it this host has. */
#ifndef TONGBAO_REQ_H
#define TONGBAO_REQ_H

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

struct tb_req;

/** The rows of a query, in the request's arena. Cells are text as PostgreSQL prints it; a NULL cell
 *  has `at` NULL. */
struct tb_rows {
    size_t n;
    size_t columns;
    const struct tb_str *cells; /**< row by row, n * columns of them */
};

/** A batched SQL function: `function(book int, calls tb.call[]) returns setof tb.answer`. The host
 * sends the request itself: path parameters, body, partner, app, time, and a fresh id whose 26
 * digits the function puts behind the prefixes of what it makes. */
struct tb_call {
    const char *function; /**< "schema.name" */
};

/** What a batched call answered: a success, whose body is JSON text ready for the client. A refusal
 * is returned as an error instead. */
struct tb_answer {
    int status;             /**< 200..299 */
    struct tb_str body;     /**< JSON, absent for 204 */
    struct tb_str location; /**< path for the Location header, or absent */
    bool replayed;          /**< stored answer of an earlier request with the same key */
};

/** A page asked for by the client: `limit`, `starting_after`, `ending_before`, all checked. A place
 * is what a list's SQL function says of a row's position; at most one of the two is there. */
struct tb_page {
    int64_t limit;        /**< 1..100 */
    struct tb_str after;  /**< the page behind this place, or absent */
    struct tb_str before; /**< the page before this place, or absent */
    struct tb_str scope;  /**< what cursors are bound to: partner, book, route, filters */
};

enum tb_log_level { TB_LOG_DEBUG, TB_LOG_INFO, TB_LOG_WARN, TB_LOG_ERROR };

/** Services of the host. Call them through the functions below. */
struct tb_host {
    size_t size; /**< sizeof(struct tb_host) of the host */

    void *(*alloc)(struct tb_req *req, size_t n);
    tb_err (*refuse)(struct tb_req *req, tb_err err, const char *pointer, const char *format,
                     va_list args);
    void (*log)(struct tb_req *req, enum tb_log_level level, const char *format, va_list args);
    int64_t (*now)(struct tb_req *req);

    struct tb_str (*partner)(struct tb_req *req);
    struct tb_str (*app)(struct tb_req *req);
    int32_t (*book)(struct tb_req *req);

    struct tb_str (*path)(struct tb_req *req, const char *name);
    struct tb_str (*query_param)(struct tb_req *req, const char *name);
    struct tb_str (*header)(struct tb_req *req, const char *name);
    struct tb_str (*body)(struct tb_req *req);
    json_t *(*json)(struct tb_req *req);
    struct tb_str (*id)(struct tb_req *req, const char *prefix);
    struct tb_str (*config)(struct tb_req *req, const char *key);

    tb_err (*query)(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                    const struct tb_param *params, size_t params_n);
    tb_err (*call)(struct tb_req *req, struct tb_answer *out_answer, const struct tb_call *call);
    tb_err (*page)(struct tb_req *req, struct tb_page *out_page);

    tb_err (*set_header)(struct tb_req *req, const char *name, struct tb_str value);
    tb_err (*reply)(struct tb_req *req, int status, struct tb_str body);
    tb_err (*reply_page)(struct tb_req *req, const struct tb_page *page,
                         const struct tb_rows *rows);

    /* since 1.1 */
    tb_err (*reply_as)(struct tb_req *req, int status, const char *media_type, struct tb_str body);
    struct tb_str (*subject)(struct tb_req *req);
    struct tb_str (*consent)(struct tb_req *req);
    struct tb_str (*routed)(struct tb_req *req, const char *name);

    /* since 1.2 */
    struct tb_str (*details)(struct tb_req *req);
};

/** Whether this host has the service; for those that were appended after 1.0. */
#define TB_HOST_HAS(req, service) ((req)->host->size > offsetof(struct tb_host, service))

/** The context of everything that may wait. The host's own state follows it in memory. */
struct tb_req {
    const struct tb_host *host;
};

/* ---- memory and errors ---- */

/** `n` bytes, zeroed, aligned for any type, valid until the request ends. NULL when the request's
 *  1 MiB is used up; the request then fails with `internal` at its next fallible call. */
static inline void *tb_alloc(struct tb_req *req, size_t n)
{
    return req->host->alloc(req, n);
}

/** Record why the request fails and return `err`, so that a handler can say `return tb_fail(…)`.
 *  `format` becomes the problem's `detail`: for the partner's eyes, no secrets. */
static inline tb_err TB_PRINTF(3, 4) TB_NODISCARD
    tb_fail(struct tb_req *req, tb_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_err out = req->host->refuse(req, err, NULL, format, args);
    va_end(args);
    return out;
}

/** As tb_fail, for one place in the request: `pointer` is an RFC 6901 JSON pointer into the body
 * such as "/amount"; "?limit" is a parameter of the query or the path, "if-match:" a header field.
 */
static inline tb_err TB_PRINTF(4, 5) TB_NODISCARD
    tb_fail_at(struct tb_req *req, tb_err err, const char *pointer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_err out = req->host->refuse(req, err, pointer, format, args);
    va_end(args);
    return out;
}

/** One line in the log, with the request's id, partner and route added. No secrets, no bodies. */
static inline void TB_PRINTF(3, 4)
    tb_log(struct tb_req *req, enum tb_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    req->host->log(req, level, format, args);
    va_end(args);
}

/* ---- what came in ---- */

/** World time in ms since 1970-01-01T00:00Z: the only clock for business rules. */
static inline int64_t tb_now(struct tb_req *req)
{
    return req->host->now(req);
}

/** Id of the partner (`ptr_…`), of its app (`app_…`), and the book its world keeps. */
static inline struct tb_str tb_partner(struct tb_req *req)
{
    return req->host->partner(req);
}
static inline struct tb_str tb_app(struct tb_req *req)
{
    return req->host->app(req);
}
static inline int32_t tb_book(struct tb_req *req)
{
    return req->host->book(req);
}

/** Whom the token speaks for: a customer of the bank (`usr_…`), or the app itself where nobody
 *  consented. Absent on open routes. Since 1.1. */
static inline struct tb_str tb_subject(struct tb_req *req)
{
    return TB_HOST_HAS(req, subject) ? req->host->subject(req) : TB_STR_NONE;
}

/** The consent (`cns_…`) the token stands for; absent when it stands for the app. Since 1.1. */
static inline struct tb_str tb_consent(struct tb_req *req)
{
    return TB_HOST_HAS(req, consent) ? req->host->consent(req) : TB_STR_NONE;
}

/** What the token may do of what its consent allows: its authorization_details (RFC 9396), JSON
 * text of an array of one, which may be narrower than the consent's; absent when it stands for the
 * app. A read by a consent passes it to the SQL that finds the rows. Since 1.2. */
static inline struct tb_str tb_details(struct tb_req *req)
{
    return TB_HOST_HAS(req, details) ? req->host->details(req) : TB_STR_NONE;
}

/** What the partner's script decided about the way of this request: "channel", "variant", "adapter"
 * or "account"; absent when it decided nothing. For the operation to take or leave; it never widens
 *  what the partner may do. Since 1.1. */
static inline struct tb_str tb_routed(struct tb_req *req, const char *name)
{
    return TB_HOST_HAS(req, routed) ? req->host->routed(req, name) : TB_STR_NONE;
}

/** A parameter of the route's path, already checked against its type. Always present. */
static inline struct tb_str tb_path(struct tb_req *req, const char *name)
{
    return req->host->path(req, name);
}

/** A query parameter declared by the route, decoded and checked; absent when not sent. */
static inline struct tb_str tb_query_param(struct tb_req *req, const char *name)
{
    return req->host->query_param(req, name);
}

/** A header field, name in lower case; absent when not sent. */
static inline struct tb_str tb_header(struct tb_req *req, const char *name)
{
    return req->host->header(req, name);
}

/** Whether the client prefers the resource as it is now to the stored answer of an earlier request:
 *  `Prefer: current`, alone or in a list (RFC 7240). */
static inline bool tb_prefers_current(struct tb_req *req)
{
    struct tb_str field = tb_header(req, "prefer");
    for (size_t at = 0; at < field.n;) {
        while (at < field.n && (field.at[at] == ' ' || field.at[at] == ','))
            at++;
        size_t from = at;
        while (at < field.n && field.at[at] != ',' && field.at[at] != ' ')
            at++;
        if (tb_str_eq((struct tb_str){field.at + from, at - from}, TB_STR("current")))
            return true;
    }
    return false;
}

/** The body as it arrived, and as JSON. The JSON is borrowed; NULL when the route takes no body. */
static inline struct tb_str tb_body(struct tb_req *req)
{
    return req->host->body(req);
}
static inline json_t *tb_json(struct tb_req *req)
{
    return req->host->json(req);
}

/** A new id with this prefix (lower-case letters) in the world's book, NUL-terminated: "pay_…". */
static inline struct tb_str tb_id(struct tb_req *req, const char *prefix)
{
    return req->host->id(req, prefix);
}

/** The value of one of the plugin's own configuration keys, as text; its default when not set. */
static inline struct tb_str tb_config(struct tb_req *req, const char *key)
{
    return req->host->config(req, key);
}

#define TB_BOOK(req)        TB_INT(tb_book(req))
#define TB_PARTNER(req)     TB_TEXT(tb_partner(req))
#define TB_PATH(req, name)  TB_TEXT(tb_path((req), (name)))
#define TB_QUERY(req, name) TB_TEXT(tb_query_param((req), (name)))

/* ---- the books ---- */

/** Run one prepared statement that reads. `sql` must be a constant: it is prepared once for each
 *  connection and found again by its address and text.
 *  @return NULL; TB_E_STORE, TB_E_DEADLINE, TB_E_OVERLOAD, TB_E_CANCELLED
 *  Waits: yes. Memory: *out_rows in the request's arena. */
static inline tb_err TB_NODISCARD TB_SUSPENDS tb_query_params(struct tb_req *req,
                                                              struct tb_rows **out_rows,
                                                              const char *sql,
                                                              const struct tb_param *params,
                                                              size_t params_n)
{
    return req->host->query(req, out_rows, sql, params, params_n);
}

#define tb_query(req, out_rows, sql, ...)                                                          \
    tb_query_params((req), (out_rows), (sql), (const struct tb_param[]){__VA_ARGS__},              \
                    sizeof((const struct tb_param[]){__VA_ARGS__}) / sizeof(struct tb_param))

/** Hand this request to a batched function, exactly once for each Idempotency-Key: key, effect,
 *  events and answer commit together.
 *  @return NULL with a success in *out_answer; the function's refusal; TB_E_KEY_REUSED;
 *          TB_E_STORE (nothing happened); TB_E_IN_DOUBT (repeat with the same key)
 *  Waits: yes, to the end, even when the client goes away. Memory: the request's arena. */
static inline tb_err TB_NODISCARD TB_SUSPENDS tb_call(struct tb_req *req,
                                                      struct tb_answer *out_answer,
                                                      const struct tb_call *call)
{
    return req->host->call(req, out_answer, call);
}

/** A cell; absent where there is no such row or column. */
static inline struct tb_str tb_cell(const struct tb_rows *rows, size_t row, size_t column)
{
    if (row >= rows->n || column >= rows->columns)
        return TB_STR_NONE;
    return rows->cells[row * rows->columns + column];
}

/** A cell of an integer type (smallint, int, bigint); 0 for NULL. */
static inline int64_t tb_cell_int(const struct tb_rows *rows, size_t row, size_t column)
{
    struct tb_str text = tb_cell(rows, row, column);
    uint64_t value = 0;
    size_t minus = text.n > 0 && text.at[0] == '-';
    for (size_t i = minus; i < text.n; i++)
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    return (int64_t)(minus ? 0 - value : value);
}

/** The page the client asks for; refuses cursors that are not ours or belong to other filters. */
static inline tb_err TB_NODISCARD tb_page(struct tb_req *req, struct tb_page *out_page)
{
    return req->host->page(req, out_page);
}

/* ---- the answer ---- */

/** Add a response header; `name` in lower case, value visible ASCII. Both are copied. */
static inline tb_err TB_NODISCARD tb_set_header(struct tb_req *req, const char *name,
                                                struct tb_str value)
{
    return req->host->set_header(req, name, value);
}

/** Answer with JSON text. The text must live as long as the request (arena or constant). */
static inline tb_err TB_NODISCARD tb_reply(struct tb_req *req, int status, struct tb_str body)
{
    return req->host->reply(req, status, body);
}

/** Answer with a body of another media type than JSON; `media_type` is a constant. The body lives
 * as long as the request; it may be absent for 204 and 303. Since 1.1. */
static inline tb_err TB_NODISCARD tb_reply_as(struct tb_req *req, int status,
                                              const char *media_type, struct tb_str body)
{
    if (!TB_HOST_HAS(req, reply_as))
        return tb_fail(req, TB_E_INTERNAL, "this host answers with JSON only");
    return req->host->reply_as(req, status, media_type, body);
}

/** Answer with a JSON value, which this takes over (also on error; NULL, as json_pack gives for
 * values it cannot take, is an error). */
static inline tb_err TB_NODISCARD tb_reply_json(struct tb_req *req, int status, json_t *value)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t n = text == NULL ? 0 : strlen(text);
    char *kept = text == NULL ? NULL : (char *)tb_alloc(req, n + 1);
    json_decref(value);
    if (kept != NULL)
        memcpy(kept, text, n);
    free(text);
    if (kept == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the answer is not JSON, or too large");
    return tb_reply(req, status, (struct tb_str){kept, n});
}

/** Answer with what a batched call gave: status, body, Location, Idempotency-Replayed. */
static inline tb_err TB_NODISCARD tb_reply_answer(struct tb_req *req,
                                                  const struct tb_answer *answer)
{
    if (answer->location.at != NULL)
        TB_TRY(tb_set_header(req, "location", answer->location));
    if (answer->replayed)
        TB_TRY(tb_set_header(req, "idempotency-replayed", TB_STR("true")));
    return tb_reply(req, answer->status, answer->body);
}

/** The id at the end of a path such as a Location: what stands behind its last slash. */
static inline struct tb_str tb_last_segment(struct tb_str path)
{
    size_t from = path.n;
    while (from > 0 && path.at[from - 1] != '/')
        from--;
    return (struct tb_str){path.at + from, path.n - from};
}

/** Answer with the JSON text in the first column of row `row`. */
static inline tb_err TB_NODISCARD tb_reply_row(struct tb_req *req, int status,
                                               const struct tb_rows *rows, size_t row)
{
    return tb_reply(req, status, tb_cell(rows, row, 0));
}

/** Answer with a list. `rows` is what a SQL function returning tb.page gave, one row: the objects
 * as a JSON array, whether there are more, and the places of the first and the last of them. No row
 * means that what the cursor stands at is no longer there: TB_E_BAD_CURSOR. */
static inline tb_err TB_NODISCARD tb_reply_page(struct tb_req *req, const struct tb_page *page,
                                                const struct tb_rows *rows)
{
    return req->host->reply_page(req, page, rows);
}

#endif
