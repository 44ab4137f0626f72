/* A host for a plugin's unit tests: no gateway, no database. The test says what the request brings
 * and what the books answer, calls the handler, and looks at what came out.
 *
 *     struct tb_fake fake;
 *     struct tb_req *req = tb_fake_begin(&fake);
 *     fake.path[0] = (struct tb_fake_value){"payment_id", "pay_01…"};
 *     fake.rows = (struct tb_rows){.n = 1, .columns = 1, .cells = &TB_STR("{}")};
 *     assert_null(handler(req));
 *     assert_int_equal(fake.status, 200);
 *     tb_fake_end(&fake);
 *
 * Header-only, so that a test links nothing but its plugin and cmocka. */
#ifndef TONGBAO_FAKE_H
#define TONGBAO_FAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <tongbao/tongbao.h>

enum { TB_FAKE_VALUES = 16, TB_FAKE_ALLOCS = 256 };

struct tb_fake_value {
    const char *name, *value;
};

struct tb_fake {
    struct tb_req req; /**< first: a fake is a request */

    /* What comes in; set by the test. */
    int64_t now_ms;
    const char *partner, *app;
    const char *subject, *consent, *details; /**< NULL: absent */
    const char *channel;                     /**< that the partner's script chose; NULL: none */
    int32_t book;
    struct tb_fake_value path[TB_FAKE_VALUES], query[TB_FAKE_VALUES], headers[TB_FAKE_VALUES],
        config[TB_FAKE_VALUES];
    const char *body;
    struct tb_page page;

    /* What the books answer. */
    struct tb_rows rows;
    struct tb_answer answer;
    tb_err store_error; /**< when set, queries and calls fail with it */

    /* What was asked and answered; read by the test. */
    const char *sql;
    struct tb_param params[TB_FAKE_VALUES];
    size_t params_n;
    const char *called;
    int status;
    const char *media_type;
    struct tb_str reply;
    struct tb_fake_value reply_headers[TB_FAKE_VALUES];
    size_t reply_headers_n;
    char detail[256];
    const char *pointer;
    const struct tb_page *paged;

    json_t *json;
    void *allocs[TB_FAKE_ALLOCS];
    size_t allocs_n;
    unsigned ids;
};

static inline struct tb_fake *tb_fake_of(struct tb_req *req)
{
    return (struct tb_fake *)req;
}

static inline void *tb_fake_alloc(struct tb_req *req, size_t n)
{
    struct tb_fake *fake = tb_fake_of(req);
    if (fake->allocs_n == TB_FAKE_ALLOCS)
        return NULL;
    void *at = calloc(1, n == 0 ? 1 : n);
    fake->allocs[fake->allocs_n++] = at;
    return at;
}

static inline const char *tb_fake_text(struct tb_req *req, struct tb_str text)
{
    char *copy = tb_fake_alloc(req, text.n + 1);
    if (copy != NULL && text.n > 0)
        memcpy(copy, text.at, text.n);
    return copy;
}

static inline struct tb_str tb_fake_find(const struct tb_fake_value *values, const char *name)
{
    for (size_t i = 0; i < TB_FAKE_VALUES && values[i].name != NULL; i++)
        if (strcmp(values[i].name, name) == 0)
            return tb_str(values[i].value);
    return TB_STR_NONE;
}

static inline tb_err tb_fake_refuse(struct tb_req *req, tb_err err, const char *pointer,
                                    const char *format, va_list args)
{
    struct tb_fake *fake = tb_fake_of(req);
    vsnprintf(fake->detail, sizeof(fake->detail), format, args);
    fake->pointer = pointer;
    return err;
}

static inline void tb_fake_log(struct tb_req *req, enum tb_log_level level, const char *format,
                               va_list args)
{
    (void)req;
    (void)level;
    (void)format;
    (void)args;
}

static inline int64_t tb_fake_now(struct tb_req *req)
{
    return tb_fake_of(req)->now_ms;
}

static inline struct tb_str tb_fake_partner(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->partner);
}

static inline struct tb_str tb_fake_app(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->app);
}

static inline struct tb_str tb_fake_subject(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->subject);
}

static inline struct tb_str tb_fake_consent(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->consent);
}

static inline struct tb_str tb_fake_details(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->details);
}

static inline struct tb_str tb_fake_routed(struct tb_req *req, const char *name)
{
    return strcmp(name, "channel") == 0 ? tb_str(tb_fake_of(req)->channel) : TB_STR_NONE;
}

static inline int32_t tb_fake_book(struct tb_req *req)
{
    return tb_fake_of(req)->book;
}

static inline struct tb_str tb_fake_path(struct tb_req *req, const char *name)
{
    return tb_fake_find(tb_fake_of(req)->path, name);
}

static inline struct tb_str tb_fake_query_param(struct tb_req *req, const char *name)
{
    return tb_fake_find(tb_fake_of(req)->query, name);
}

static inline struct tb_str tb_fake_header(struct tb_req *req, const char *name)
{
    return tb_fake_find(tb_fake_of(req)->headers, name);
}

static inline struct tb_str tb_fake_config(struct tb_req *req, const char *key)
{
    return tb_fake_find(tb_fake_of(req)->config, key);
}

static inline struct tb_str tb_fake_body(struct tb_req *req)
{
    return tb_str(tb_fake_of(req)->body);
}

static inline json_t *tb_fake_json(struct tb_req *req)
{
    struct tb_fake *fake = tb_fake_of(req);
    if (fake->json == NULL && fake->body != NULL)
        fake->json = json_loads(fake->body, JSON_REJECT_DUPLICATES, NULL);
    return fake->json;
}

static inline struct tb_str tb_fake_id(struct tb_req *req, const char *prefix)
{
    char *id = tb_fake_alloc(req, strlen(prefix) + 28);
    if (id != NULL)
        snprintf(id, strlen(prefix) + 28, "%s_%026u", prefix, ++tb_fake_of(req)->ids);
    return tb_str(id);
}

static inline tb_err tb_fake_query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                                   const struct tb_param *params, size_t params_n)
{
    struct tb_fake *fake = tb_fake_of(req);
    fake->sql = sql;
    fake->params_n = params_n < TB_FAKE_VALUES ? params_n : TB_FAKE_VALUES;
    memcpy(fake->params, params, fake->params_n * sizeof(*params));
    *out_rows = &fake->rows;
    return fake->store_error;
}

static inline tb_err tb_fake_call(struct tb_req *req, struct tb_answer *out_answer,
                                  const struct tb_call *call)
{
    struct tb_fake *fake = tb_fake_of(req);
    fake->called = call->function;
    *out_answer = fake->answer;
    return fake->store_error;
}

static inline tb_err tb_fake_page(struct tb_req *req, struct tb_page *out_page)
{
    *out_page = tb_fake_of(req)->page;
    return NULL;
}

static inline tb_err tb_fake_set_header(struct tb_req *req, const char *name, struct tb_str value)
{
    struct tb_fake *fake = tb_fake_of(req);
    if (fake->reply_headers_n < TB_FAKE_VALUES)
        fake->reply_headers[fake->reply_headers_n++] = (struct tb_fake_value){
            tb_fake_text(req, tb_str(name)), tb_fake_text(req, value)};
    return NULL;
}

static inline tb_err tb_fake_reply_as(struct tb_req *req, int status, const char *media_type,
                                      struct tb_str body)
{
    tb_fake_of(req)->status = status;
    tb_fake_of(req)->media_type = media_type;
    tb_fake_of(req)->reply = body;
    return NULL;
}

static inline tb_err tb_fake_reply(struct tb_req *req, int status, struct tb_str body)
{
    return tb_fake_reply_as(req, status, "application/json", body);
}

static inline tb_err tb_fake_reply_page(struct tb_req *req, const struct tb_page *page,
                                        const struct tb_rows *rows)
{
    tb_fake_of(req)->status = 200;
    tb_fake_of(req)->media_type = "application/json";
    tb_fake_of(req)->paged = page;
    tb_fake_of(req)->reply = rows->n > 0 ? tb_cell(rows, 0, 0) : TB_STR_NONE;
    return NULL;
}

/** Make `fake` an empty request of partner `ptr_fake` in book 1 at 2026-01-15T08:00:00Z.
 *  @return the request to hand to a handler */
static inline struct tb_req *tb_fake_begin(struct tb_fake *fake)
{
    static const struct tb_host host = {
        .size = sizeof(struct tb_host),
        .alloc = tb_fake_alloc,
        .refuse = tb_fake_refuse,
        .log = tb_fake_log,
        .now = tb_fake_now,
        .partner = tb_fake_partner,
        .app = tb_fake_app,
        .book = tb_fake_book,
        .path = tb_fake_path,
        .query_param = tb_fake_query_param,
        .header = tb_fake_header,
        .body = tb_fake_body,
        .json = tb_fake_json,
        .id = tb_fake_id,
        .config = tb_fake_config,
        .query = tb_fake_query,
        .call = tb_fake_call,
        .page = tb_fake_page,
        .set_header = tb_fake_set_header,
        .reply = tb_fake_reply,
        .reply_page = tb_fake_reply_page,
        .reply_as = tb_fake_reply_as,
        .subject = tb_fake_subject,
        .consent = tb_fake_consent,
        .details = tb_fake_details,
        .routed = tb_fake_routed,
    };
    memset(fake, 0, sizeof(*fake));
    fake->req.host = &host;
    fake->now_ms = INT64_C(1768464000000);
    fake->partner = "ptr_fake";
    fake->app = "app_fake";
    fake->subject = fake->app;
    fake->book = 1;
    fake->page.limit = 20;
    return &fake->req;
}

/** Free what the request allocated. */
static inline void tb_fake_end(struct tb_fake *fake)
{
    json_decref(fake->json);
    while (fake->allocs_n > 0)
        free(fake->allocs[--fake->allocs_n]);
}

#endif
