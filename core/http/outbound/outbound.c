#include "http/outbound/outbound.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/fault.h"
#include "runtime/fiber.h"
#include "runtime/run.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
    CONNECT_MS = 5000,
    CONNECTIONS_KEPT = 64,
    ADDRESSES_TRIED = 3, /**< of a name, one after the other while none connects */
    ANSWER_HEADERS = 100,
    ANSWER_HEADER_BYTES = 16 * 1024,
};

struct tb_http_client {
    struct tb_loop *loop;
    CURLM *multi;
    struct tb_timer timer;
    size_t calls; /**< under way */
};

/** A socket of libcurl's. */
struct line {
    struct tb_watch watch;
    struct tb_http_client *client;
    curl_socket_t fd;
};

/** Where a URL leads. */
struct place {
    char *host; /**< libcurl's; IPv6 addresses in brackets */
    uint16_t port;
    char name[256]; /**< the host for the resolver: no brackets */
    char addresses[ADDRESSES_TRIED][INET6_ADDRSTRLEN];
    size_t addresses_n;
    bool private_address; /**< one that may not be reached was among them */
    int failure;          /**< of getaddrinfo */
};

/** A call under way. Lives on the fiber's stack; libcurl points to it until the handle is removed.
 */
struct call {
    struct tb_req *req;
    struct tb_http_client *client;
    const struct tb_outgoing *out;
    CURLU *url;
    CURL *easy;
    struct curl_slist *headers;
    struct tb_wake wake;
    CURLcode result;
    int status;
    char why[CURL_ERROR_SIZE];
    struct tb_text body;
    bool too_large;
    struct tb_header *answer_headers;
    size_t answer_headers_n, answer_header_bytes;
};

/* ---- libcurl on the loop ---- */

static void finish_calls(struct tb_http_client *client)
{
    int left;
    for (CURLMsg *msg; (msg = curl_multi_info_read(client->multi, &left)) != NULL;) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        struct call *call;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call->result = msg->data.result;
        tb_fiber_wake(call->wake);
    }
}

static void act(struct tb_http_client *client, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(client->multi, fd, events, &running);
    finish_calls(client);
}

static void line_ready(struct tb_watch *watch, bool readable, bool writable)
{
    struct line *line = (struct line *)watch;
    act(line->client, line->fd,
        (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void timer_fired(struct tb_timer *timer)
{
    struct tb_http_client *client = TB_CONTAINER(struct tb_http_client, timer, timer);
    act(client, CURL_SOCKET_TIMEOUT, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
    struct tb_http_client *client = user;
    struct line *line = socket_user;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (line != NULL) {
            tb_watch_close(&line->watch);
            tb_mem_free(line);
        }
        return 0;
    }
    if (line == NULL) {
        line = tb_mem(sizeof(*line));
        line->client = client;
        line->fd = fd;
        line->watch.ready = line_ready;
        tb_watch_open(client->loop, &line->watch, fd);
        curl_multi_assign(client->multi, fd, line);
    }
    tb_watch_want(&line->watch, (what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct tb_http_client *client = user;
    (void)multi;
    tb_timer_stop(client->loop, &client->timer);
    if (timeout_ms >= 0)
        tb_timer_start(client->loop, &client->timer, timeout_ms);
    return 0;
}

struct tb_http_client *tb_http_client_new(struct tb_loop *loop)
{
    TB_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    struct tb_http_client *client = tb_mem(sizeof(*client));
    client->loop = loop;
    client->timer.fired = timer_fired;
    client->multi = curl_multi_init();
    TB_ASSERT(client->multi != NULL);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return client;
}

void tb_http_client_free(struct tb_http_client *client)
{
    if (client == NULL)
        return;
    TB_ASSERT(client->calls == 0);
    curl_multi_cleanup(client->multi);
    tb_timer_stop(client->loop, &client->timer);
    tb_mem_free(client);
    curl_global_cleanup();
}

/* ---- where to ---- */

static bool port_allowed(const struct tb_egress *reach, uint16_t port)
{
    if (reach->ports == NULL)
        return port == 443;
    for (const uint16_t *at = reach->ports; *at != 0; at++)
        if (*at == port)
            return true;
    return false;
}

/* libcurl rewrites hosts like "0x7f.1" or "%6c" into what they mean. A host that does not stand in
 * the URL as libcurl reads it has two readings, and is refused. */
static bool host_is_literal(const char *url, const char *host)
{
    const char *at = strstr(url, "://");
    return at != NULL && strncasecmp(at + 3, host, strlen(host)) == 0;
}

static tb_err read_url(struct call *call, struct place *place)
{
    struct tb_req *req = call->req;
    const struct tb_outgoing *out = call->out;
    CURLU *parts = call->url;
    char *scheme = NULL, *port = NULL;
    int64_t number = 0;
    if (curl_url_set(parts, CURLUPART_URL, out->url, CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return tb_fail(req, TB_E_UPSTREAM, "the URL is not one");
    bool plain = strcmp(scheme, "http") == 0, secure = strcmp(scheme, "https") == 0;
    curl_free(scheme);
    if (!secure && !(plain && out->reach.plain_http))
        return tb_fail(req, TB_E_UPSTREAM, "the URL's scheme is not allowed");
    if (curl_url_get(parts, CURLUPART_HOST, &place->host, 0) != CURLUE_OK ||
        !host_is_literal(out->url, place->host))
        return tb_fail(req, TB_E_UPSTREAM, "the URL's host is not plain");
    if (curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        (void)!tb_text_to_int(tb_str(port), &number);
        curl_free(port);
    }
    if (number < 1 || number > UINT16_MAX || !port_allowed(&out->reach, (uint16_t)number))
        return tb_fail(req, TB_E_UPSTREAM, "the URL's port is not allowed");
    place->port = (uint16_t)number;

    size_t n = strlen(place->host);
    bool bracketed = n > 2 && place->host[0] == '[' && place->host[n - 1] == ']';
    struct tb_str name = {place->host + bracketed, n - 2 * (size_t)bracketed};
    if (name.n == 0 || name.n >= sizeof(place->name))
        return tb_fail(req, TB_E_UPSTREAM, "the URL's host is not plain");
    memcpy(place->name, name.at, name.n);
    place->name[name.n] = '\0';
    return NULL;
}

/* On a helper thread. */
static void resolve(void *arg)
{
    struct place *place = arg;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    place->failure = getaddrinfo(place->name, NULL, &hints, &found);
    for (struct addrinfo *at = found; place->failure == 0 && at != NULL; at = at->ai_next) {
        if (!tb_sockaddr_public(at->ai_addr))
            place->private_address = true;
        if (place->addresses_n < ADDRESSES_TRIED &&
            getnameinfo(at->ai_addr, at->ai_addrlen, place->addresses[place->addresses_n],
                        INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST) == 0)
            place->addresses_n++;
    }
    if (found != NULL)
        freeaddrinfo(found);
}

static tb_err TB_SUSPENDS find_addresses(struct call *call, struct place *place)
{
    struct tb_req *req = call->req;
    TB_TRY(tb_offload(req, resolve, place));
    if (place->failure != 0 || place->addresses_n == 0)
        return tb_fail(req, TB_E_UPSTREAM, "the name %s cannot be resolved", place->name);
    if (place->private_address && !call->out->reach.private_addresses)
        return tb_fail(req, TB_E_UPSTREAM, "the address of %s is not public", place->name);
    return NULL;
}

/* ---- the exchange ---- */

/* CURLOPT_OPENSOCKETFUNCTION: checks the resolved address again (SSRF, DNS rebinding). */
static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct call *call = user;
    if (purpose != CURLSOCKTYPE_IPCXN)
        return CURL_SOCKET_BAD;
    if (!call->out->reach.private_addresses && !tb_sockaddr_public(&address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_body(char *at, size_t size, size_t n, void *user)
{
    struct call *call = user;
    size_t bytes = size * n;
    if (bytes > call->out->answer_bytes - call->body.n) {
        call->too_large = true;
        return 0;
    }
    tb_text_add(&call->body, (struct tb_str){at, bytes});
    return call->body.failed ? 0 : bytes;
}

static struct tb_str trimmed(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r' || to[-1] == '\n'))
        to--;
    return (struct tb_str){from, (size_t)(to - from)};
}

/* One line of the answer's head. A new status line (after 100 Continue) begins the list again. */
static size_t on_header(char *at, size_t size, size_t n, void *user)
{
    struct call *call = user;
    size_t bytes = size * n;
    struct tb_arena *arena = tb_run_of(call->req)->arena;
    if (bytes >= 5 && memcmp(at, "HTTP/", 5) == 0) {
        call->answer_headers_n = 0;
        return bytes;
    }
    const char *colon = memchr(at, ':', bytes);
    if (colon == NULL)
        return bytes;
    call->answer_header_bytes += bytes;
    if (call->answer_headers_n == ANSWER_HEADERS ||
        call->answer_header_bytes > ANSWER_HEADER_BYTES) {
        call->too_large = true;
        return 0;
    }
    struct tb_str name = trimmed(at, colon), value = trimmed(colon + 1, at + bytes);
    char *text = tb_arena_text(arena, name.at, name.n);
    const char *copy = tb_arena_text(arena, value.at, value.n);
    if (text == NULL || copy == NULL)
        return 0;
    for (char *c = text; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    call->answer_headers[call->answer_headers_n++] = (struct tb_header){{text, name.n},
                                                                        {copy, value.n}};
    return bytes;
}

static bool has_control(struct tb_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return true;
    return false;
}

/* Add a line to a list of libcurl's; without memory for it the list stays as it was. */
static bool append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = TB_FAULT("curl_append") ? NULL : curl_slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static tb_err add_headers(struct call *call)
{
    struct tb_arena *arena = tb_run_of(call->req)->arena;
    bool typed = false;
    for (size_t i = 0; i < call->out->headers_n; i++) {
        const struct tb_header *header = &call->out->headers[i];
        if (has_control(header->name) || has_control(header->value))
            return tb_fail(call->req, TB_E_UPSTREAM, "a header field has a control character");
        /* libcurl drops "name:"; an empty value is written "name;" */
        struct tb_str line = tb_arena_format(
            arena, header->value.n > 0 ? "%.*s: %.*s" : "%.*s;%.*s", (int)header->name.n,
            header->name.at, (int)header->value.n, header->value.at);
        if (line.at == NULL || !append(&call->headers, line.at))
            return tb_fail(call->req, TB_E_INTERNAL, "no memory for the call");
        typed = typed || tb_str_eq(header->name, TB_STR("content-type"));
    }
    if (!append(&call->headers, "Expect:") || (!typed && !append(&call->headers, "Content-Type:")))
        return tb_fail(call->req, TB_E_INTERNAL, "no memory for the call");
    return NULL;
}

static void set_exchange(struct call *call)
{
    CURL *easy = call->easy;
    const struct tb_outgoing *out = call->out;
    curl_easy_setopt(easy, CURLOPT_CURLU, call->url); /* as checked, not parsed a second time */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, out->reach.plain_http ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    if (strcmp(out->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        if (out->body.at != NULL) {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, out->body.at);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)out->body.n);
        }
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, out->method);
    }
}

static void set_transport(struct call *call, struct curl_slist *connect_to, int64_t timeout_ms)
{
    CURL *easy = call->easy;
    const struct tb_outgoing *out = call->out;
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (out->ca != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, out->ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (out->client_certificate != NULL) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, out->client_certificate);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, out->client_key);
    }
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

/* One attempt at one address. The result is in call->result unless the wait failed. */
static tb_err TB_SUSPENDS try_address(struct call *call, const char *address, uint16_t port,
                                      int64_t timeout_ms)
{
    /* "any host and port" goes to this address; TLS still asks for the name in the URL */
    char to[INET6_ADDRSTRLEN + 16];
    bool six = strchr(address, ':') != NULL;
    snprintf(to, sizeof(to), "::%s%s%s:%u", six ? "[" : "", address, six ? "]" : "", port);
    struct curl_slist *connect_to = curl_slist_append(NULL, to);
    call->easy = curl_easy_init();
    TB_ASSERT(connect_to != NULL && call->easy != NULL);
    set_exchange(call);
    set_transport(call, connect_to, timeout_ms);

    call->wake = tb_fiber_token();
    call->client->calls++;
    CURLMcode added = TB_FAULT("curl_add") ? CURLM_OUT_OF_MEMORY
                                           : curl_multi_add_handle(call->client->multi, call->easy);
    tb_err err = added == CURLM_OK
                     ? tb_wait(call->req)
                     : tb_fail(call->req, TB_E_INTERNAL, "%s", curl_multi_strerror(added));
    if (err == NULL) {
        long status = 0;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
    }
    curl_multi_remove_handle(call->client->multi, call->easy);
    call->client->calls--;
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(connect_to);
    return err;
}

static tb_err check_result(struct call *call, const struct place *place, struct tb_reply *reply)
{
    struct tb_req *req = call->req;
    if (call->too_large)
        return tb_fail(req, TB_E_UPSTREAM, "the answer of %s is too large", place->name);
    if (call->body.failed)
        return tb_fail(req, TB_E_UPSTREAM, "no memory for the answer of %s", place->name);
    if (call->result == CURLE_OPERATION_TIMEDOUT)
        return tb_fail(req, TB_E_DEADLINE, "%s did not answer in time", place->name);
    if (call->result != CURLE_OK)
        return tb_fail(req, TB_E_UPSTREAM, "%s: %s", place->name,
                       call->why[0] != '\0' ? call->why : curl_easy_strerror(call->result));
    reply->status = call->status;
    reply->body = tb_text_end(&call->body);
    reply->headers = call->answer_headers;
    reply->headers_n = call->answer_headers_n;
    return NULL;
}

static tb_err TB_SUSPENDS exchange(struct call *call, struct place *place, struct tb_reply *reply)
{
    int64_t start_ms = tb_loop_now_ms(call->client->loop);
    TB_TRY(read_url(call, place));
    TB_TRY(add_headers(call));
    TB_TRY(find_addresses(call, place));
    for (size_t i = 0; i < place->addresses_n; i++) {
        int64_t left_ms = call->out->timeout_ms - (tb_loop_now_ms(call->client->loop) - start_ms);
        if (left_ms <= 0)
            return tb_fail(call->req, TB_E_DEADLINE, "%s did not answer in time", place->name);
        TB_TRY(try_address(call, place->addresses[i], place->port, left_ms));
        /* only while nothing was sent is it safe to go on to the next */
        if (call->result != CURLE_COULDNT_CONNECT)
            break;
    }
    return check_result(call, place, reply);
}

tb_err tb_http_client_call(struct tb_req *req, struct tb_http_client *client,
                           const struct tb_outgoing *out, struct tb_reply *out_reply)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct place place = {.host = NULL};
    struct call call = {.req = req, .client = client, .out = out, .url = curl_url()};
    TB_ASSERT(call.url != NULL);
    *out_reply = (struct tb_reply){.status = 0};
    tb_text_init(&call.body, arena);
    call.answer_headers = tb_arena_alloc(arena, ANSWER_HEADERS * sizeof(*call.answer_headers));
    tb_err err = call.answer_headers == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory for the call")
                                             : exchange(&call, &place, out_reply);
    curl_slist_free_all(call.headers);
    curl_free(place.host);
    curl_url_cleanup(call.url);
    return err;
}
