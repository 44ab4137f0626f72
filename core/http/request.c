/* Requests in, answers out: from libh2o's request to a tb_incoming and from tb_http_reply to
 * libh2o's response. This is the hot path of the gateway: one block of the owner's arena holds
 * everything that is copied, and nothing here calls malloc. */
#include "base/assert.h"
#include "http/connection.h"
#include "http/guard/guard_h2o.h"
#include "http/names.h"
#include "http/path.h"
#include "http/problem.h"
#include <string.h>

enum { PROBLEM_BYTES = 2048 };

/* Ties a request of libh2o to the owner's. It lies in the request's pool and hangs on a field that
 * only libh2o's file handler uses, so that the dispose hook finds it in O(1). */
struct tie {
    h2o_filereq_t super;
    h2o_req_t *req;
    struct tb_server *server;
    struct connection *conn;
    struct tb_incoming *in;
    bool replied;
};

static struct tb_str str_of(h2o_iovec_t vec)
{
    return (struct tb_str){vec.base, vec.len};
}

static h2o_iovec_t vec_of(struct tb_str text)
{
    return (h2o_iovec_t){(char *)(uintptr_t)text.at, text.n};
}

/* ---- answers ---- */

/* Only HTTP/1 shows it, and no client may depend on it (RFC 9110 §15.1). */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } usual[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {303, "See Other"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < TB_COUNT(usual); i++)
        if (usual[i].status == status)
            return usual[i].reason;
    return status < 400 ? "OK" : status < 500 ? "Client Error" : "Server Error";
}

/* Answers of these statuses have neither body nor length (RFC 9110 §6.4.1, §8.6). */
static bool is_bodiless(int status)
{
    return status == 204 || status == 304;
}

static void set_headers(h2o_req_t *req, const struct tb_header *headers, size_t headers_n)
{
    h2o_header_t *out = h2o_mem_alloc_pool(&req->pool, headers_n * sizeof(*out));
    req->res.headers.entries = out;
    req->res.headers.size = req->res.headers.capacity = headers_n;
    for (size_t i = 0; i < headers_n; i++) {
        struct tb_str name = headers[i].name;
        const h2o_token_t *token = h2o_lookup_token(name.at, name.n);
        h2o_iovec_t *text;
        if (token != NULL) {
            text = (h2o_iovec_t *)(uintptr_t)&token->buf;
        } else {
            text = h2o_mem_alloc_pool(&req->pool, sizeof(*text));
            *text = vec_of(name);
        }
        out[i] = (h2o_header_t){.name = text, .value = vec_of(headers[i].value)};
    }
}

static void send_answer(h2o_req_t *req, int status, const struct tb_header *headers,
                        size_t headers_n, struct tb_str body)
{
    static h2o_generator_t generator;
    h2o_iovec_t piece = vec_of(body);
    bool bodiless = is_bodiless(status);
    bool silent = bodiless || body.n == 0 ||
                  h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
    req->res.status = status;
    if (req->version < 0x200)
        req->res.reason = reason_of(status);
    req->res.content_length = bodiless ? SIZE_MAX : body.n;
    req->res.original.status =
        status; /* nobody rewrites answers: no copy of the headers is needed */
    set_headers(req, headers, headers_n);
    h2o_start_response(req, &generator);
    h2o_send(req, &piece, silent ? 0 : 1, H2O_SEND_STATE_FINAL);
}

void tb_http_reply(struct tb_incoming *in, int status, const struct tb_header *headers,
                   size_t headers_n, struct tb_str body)
{
    struct tie *tie = in->link;
    if (tie == NULL)
        return;
    TB_ASSERT(!tie->replied);
    tie->replied = true;
    send_answer(tie->req, status, headers, headers_n, body); /* may end in the farewell */
}

/* ---- refusals of the server's own ---- */

static struct tb_str sent(const h2o_req_t *req, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    return at < 0 ? TB_STR_NONE : str_of(req->headers.entries[at].value);
}

/* The names of an answer that no owner gives. */
struct names {
    char request_id[TB_UUID_CHARS + 1], traceparent[TB_TRACEPARENT_CHARS + 1];
    char problem[PROBLEM_BYTES];
};

static struct names *make_names(h2o_req_t *req)
{
    struct names *names = h2o_mem_alloc_pool(&req->pool, sizeof(*names));
    struct tb_str id = sent(req, "x-request-id");
    if (id.at == NULL)
        id = sent(req, "x-fapi-interaction-id");
    tb_request_id_make(names->request_id, id);
    tb_traceparent_make(names->traceparent, sent(req, "traceparent"), names->request_id);
    return names;
}

static size_t put_names(h2o_req_t *req, const struct names *names, struct tb_header *headers)
{
    size_t n = 0;
    struct tb_str interaction_id = sent(req, "x-fapi-interaction-id");
    headers[n++] = (struct tb_header){TB_STR("cache-control"), TB_STR("no-store")};
    headers[n++] = (struct tb_header){TB_STR("x-request-id"), tb_str(names->request_id)};
    headers[n++] = (struct tb_header){TB_STR("traceparent"), tb_str(names->traceparent)};
    if (tb_interaction_id_fits(interaction_id))
        headers[n++] = (struct tb_header){TB_STR("x-fapi-interaction-id"), interaction_id};
    return n;
}

static int reject(struct tb_server *server, h2o_req_t *req, tb_err err, const char *why)
{
    struct names *names = make_names(req);
    struct tb_problem problem = {.detail = tb_str(why),
                                 .retry_after_s = err->status == 503 ? 1 : 0};
    enum tb_lang lang = TB_LANG_EN;
    if (!tb_lang_choose(sent(req, "accept-language"), &lang))
        lang = TB_LANG_EN;
    struct tb_problem_of of = {.err = err,
                               .words = tb_error_words(err->code, lang),
                               .problem = &problem,
                               .base = server->problem_base,
                               .request_id = tb_str(names->request_id)};
    struct tb_text text;
    tb_text_init_fixed(&text, names->problem, PROBLEM_BYTES);
    tb_problem_write(&text, &of);
    struct tb_header headers[8];
    size_t headers_n = put_names(req, names, headers);
    headers[headers_n++] = (struct tb_header){TB_STR("content-type"), TB_PROBLEM_TYPE};
    headers[headers_n++] = (struct tb_header){TB_STR("content-language"), tb_lang_tag(lang)};
    headers[headers_n++] = (struct tb_header){TB_STR("vary"), TB_STR("accept-language")};
    if (err->status == 503)
        headers[headers_n++] = (struct tb_header){TB_STR("retry-after"), TB_STR("1")};
    server->stats.rejected++;
    send_answer(req, err->status, headers, headers_n, tb_text_end(&text));
    return 0;
}

/* "OPTIONS *" is about the server (RFC 9110 §9.3.7): what is asked of it at all. */
static int answer_for_server(h2o_req_t *req)
{
    struct tb_header headers[5];
    size_t headers_n = put_names(req, make_names(req), headers);
    headers[headers_n++] = (struct tb_header){TB_STR("allow"),
                                              TB_STR("GET, HEAD, POST, PUT, PATCH, DELETE, "
                                                     "OPTIONS")};
    send_answer(req, 204, headers, headers_n, TB_STR_NONE);
    return 0;
}

/* ---- requests ---- */

/* Called by libh2o for every request, in place of its own: that decodes the path a first time,
 * repairs what it takes for dot segments, and tells stderr in a client's words when it cannot. */
h2o_iovec_t h2o_url_normalize_path(h2o_mem_pool_t *pool, const char *path, size_t len,
                                   size_t *query_at, size_t **norm_indexes)
{
    (void)pool;
    const char *query = len == 0 ? NULL : memchr(path, '?', len);
    *query_at = query == NULL ? SIZE_MAX : (size_t)(query - path);
    *norm_indexes = NULL;
    return h2o_iovec_init(path, query == NULL ? len : *query_at);
}

/* The host a request is for, as configured; absent when it is not one of ours. Clients name the
 * same host again and again, so the connection remembers the last. */
static struct tb_str authority_of(struct tb_server *server, struct connection *conn, h2o_req_t *req)
{
    struct tb_str sent = str_of(req->input.authority);
    /* libh2o puts its default where a client sent none */
    if (sent.at == (*req->conn->hosts)->authority.hostport.base)
        return TB_STR_NONE;
    if (conn->authority.at != NULL && tb_str_eq(sent, conn->authority))
        return conn->authority;
    if (!tb_guard_authority(req, server->hosts, server->hosts_n))
        return TB_STR_NONE;
    for (size_t i = 0; i < server->hosts_n; i++) {
        if (h2o_lcstris(sent.at, sent.n, server->hosts[i].base, server->hosts[i].len)) {
            conn->authority = str_of(server->hosts[i]);
            return conn->authority;
        }
    }
    return TB_STR_NONE;
}

/* Remember a field that must be single. The first one counts; `repeated` tells of the others. */
static void take_single(struct tb_incoming *in, struct tb_str *field, const char *name,
                        struct tb_str value)
{
    if (field->at == NULL)
        *field = value;
    else
        in->repeated = name;
}

/* Note the fields the gateway looks at in every request. */
static void take_usual(struct tb_incoming *in, const struct tb_header *header)
{
    struct tb_str name = header->name, value = header->value;
    switch (name.n) {
    case sizeof("origin") - 1:
        if (in->origin.at == NULL && memcmp(name.at, "origin", name.n) == 0)
            in->origin = value;
        break;
    case sizeof("content-encoding") - 1:
        if (in->content_encoding.at == NULL && memcmp(name.at, "content-encoding", name.n) == 0 &&
            !h2o_lcstris(value.at, value.n, H2O_STRLIT("identity")))
            in->content_encoding = value;
        break;
    case sizeof("traceparent") - 1:
        if (in->traceparent.at == NULL && memcmp(name.at, "traceparent", name.n) == 0)
            in->traceparent = value;
        break;
    case sizeof("content-type") - 1: /* and x-request-id */
        if (memcmp(name.at, "content-type", name.n) == 0)
            take_single(in, &in->content_type, "content-type", value);
        else if (in->request_id.at == NULL && memcmp(name.at, "x-request-id", name.n) == 0)
            in->request_id = value;
        break;
    case sizeof("authorization") - 1:
        if (memcmp(name.at, "authorization", name.n) == 0)
            take_single(in, &in->authorization, "authorization", value);
        break;
    case sizeof("idempotency-key") - 1:
        if (memcmp(name.at, "idempotency-key", name.n) == 0)
            take_single(in, &in->idempotency_key, "idempotency-key", value);
        break;
    case sizeof("x-idempotency-key") - 1:
        if (memcmp(name.at, "x-idempotency-key", name.n) == 0)
            take_single(in, &in->idempotency_key, "idempotency-key", value);
        break;
    case sizeof("x-fapi-interaction-id") - 1:
        if (in->interaction_id.at == NULL && memcmp(name.at, "x-fapi-interaction-id", name.n) == 0)
            in->interaction_id = value;
        break;
    default:
        break;
    }
}

static struct tb_str copy(char **to, struct tb_str from)
{
    struct tb_str out = {*to, from.n};
    if (from.n > 0)
        memcpy(*to, from.at, from.n);
    *to += from.n;
    return out;
}

static struct tb_str method_of(h2o_iovec_t method)
{
    static const struct tb_str usual[] = {{H2O_STRLIT("GET")}, {H2O_STRLIT("POST")}};
    for (size_t i = 0; i < TB_COUNT(usual); i++)
        if (h2o_memis(method.base, method.len, usual[i].at, usual[i].n))
            return usual[i];
    return TB_STR_NONE;
}

static void copy_headers(struct tb_incoming *in, const h2o_headers_t *from, struct tb_header *to,
                         char **text)
{
    in->headers = to;
    in->headers_n = from->size;
    for (size_t i = 0; i < from->size; i++, to++) {
        const h2o_header_t *header = &from->entries[i];
        to->name = h2o_iovec_is_token(header->name) ? str_of(*header->name)
                                                    : copy(text, str_of(*header->name));
        to->value = copy(text, str_of(header->value));
        take_usual(in, to);
    }
    if (in->request_id.at == NULL)
        in->request_id = in->interaction_id;
}

/* Fill `in`. Everything it points to is constant or in one block of its arena.
 * @return false when the arena has no room */
static bool take_request(struct tb_incoming *in, h2o_req_t *req, struct connection *conn,
                         const struct tb_target *target)
{
    const h2o_headers_t *headers = &req->headers;
    struct tb_str method = method_of(req->method);
    size_t bytes = (target->encoded ? 2 : 1) * target->path.n + target->query.n + req->entity.len +
                   conn->certificate.n + sizeof(conn->thumbprint) +
                   (method.at == NULL ? req->method.len : 0);
    for (size_t i = 0; i < headers->size; i++) {
        bytes += headers->entries[i].value.len;
        if (!h2o_iovec_is_token(headers->entries[i].name))
            bytes += headers->entries[i].name->len;
    }
    struct tb_header *block = tb_arena_raw(in->arena, headers->size * sizeof(*block) + bytes);
    if (block == NULL)
        return false;
    char *text = (char *)(block + headers->size);

    in->method = method.at != NULL ? method : copy(&text, str_of(req->method));
    in->path.at = text;
    if (target->encoded) {
        in->path.n = tb_path_decode(target->path, text);
        text += in->path.n;
        in->raw_path = copy(&text, target->path);
    } else {
        in->path = in->raw_path = copy(&text, target->path);
    }
    if (target->query.at != NULL)
        in->raw_query = copy(&text, target->query);
    copy_headers(in, headers, block, &text);
    if (req->entity.base != NULL)
        in->body = copy(&text, str_of(req->entity));
    if (conn->certificate.at != NULL) {
        in->client_certificate = copy(&text, conn->certificate);
        in->certificate_thumbprint = copy(&text,
                                          TB_BYTES(conn->thumbprint, sizeof(conn->thumbprint)));
    }
    in->client_verified = conn->client_verified;
    memcpy(in->peer, conn->peer, sizeof(in->peer));
    in->http_version = (uint16_t)req->version;
    return true;
}

/* Once for each connection: neither the certificate nor its thumbprint changes on the way. */
static void read_certificate(struct connection *conn)
{
    unsigned char digest[TB_SHA256_BYTES];
    conn->certificate_read = true;
    conn->certificate = tb_tls_client_certificate(conn->socket->ssl, &conn->client_verified);
    if (conn->certificate.at == NULL)
        return;
    tb_sha256(&conn->certificate, 1, digest);
    tb_base64url_write(conn->thumbprint, TB_BYTES(digest, sizeof(digest)));
}

int tb_server_on_request(h2o_handler_t *self, h2o_req_t *req)
{
    struct tb_server *server = ((struct handler *)self)->server;
    struct connection *conn = connection_of(server, req);
    struct tb_target target;
    const char *why = NULL;
    tb_err err;

    if (tb_guard_refusal(req, &err, &why))
        return reject(server, req, err, why);
    struct tb_str authority = authority_of(server, conn, req);
    if (authority.at == NULL)
        return reject(server, req, TB_E_MISDIRECTED, NULL);
    if (h2o_memis(req->input.path.base, req->input.path.len, H2O_STRLIT("*")))
        return answer_for_server(req); /* the guard lets it pass with OPTIONS only */
    err = tb_target_split(str_of(req->input.path), &target, &why);
    if (err != NULL)
        return reject(server, req, err, why);
    if (conn->tls && !conn->certificate_read)
        read_certificate(conn);

    struct tb_guard_work *work = tb_guard_work_begin(req);
    if (work == NULL)
        return reject(server, req, TB_E_OVERLOAD, NULL);
    struct tb_incoming *in = server->calls->begin(server->owner);
    if (in == NULL) {
        tb_guard_work_end(work);
        return reject(server, req, TB_E_OVERLOAD, NULL);
    }
    struct tie *tie = h2o_mem_alloc_pool(&req->pool, sizeof(*tie));
    *tie = (struct tie){.req = req, .server = server, .conn = conn, .in = in};
    *in = (struct tb_incoming){.arena = in->arena, .link = tie, .work = work};
    in->authority = authority;
    req->filereq = &tie->super;
    conn->requests_open++;
    server->stats.requests_open++;
    if (!take_request(in, req, conn, &target)) {
        tie->replied = true;
        tb_http_done(in);
        return reject(server, req, req->entity.len > 0 ? TB_E_TOO_LARGE : TB_E_HEADERS_TOO_LARGE,
                      NULL);
    }
    server->stats.requests++;
    server->calls->request(server->owner, in);
    return 0;
}

void tb_server_on_farewell(h2o_logger_t *self, h2o_req_t *req)
{
    (void)self;
    if (req->filereq == NULL)
        return;
    struct tie *tie = TB_CONTAINER(struct tie, super, req->filereq);
    struct tb_incoming *in = tie->in;
    req->filereq = NULL;
    tie->conn->requests_open--;
    tie->server->stats.requests_open--;
    in->link = NULL;
    tie->server->calls->gone(tie->server->owner, in);
}

void tb_http_done(struct tb_incoming *in)
{
    struct tb_guard_work *work = in->work;
    in->work = NULL;
    tb_guard_work_end(work);
}

struct tb_str tb_http_header(const struct tb_incoming *in, struct tb_str name)
{
    for (size_t i = 0; i < in->headers_n; i++)
        if (tb_str_eq(in->headers[i].name, name))
            return in->headers[i].value;
    return TB_STR_NONE;
}
