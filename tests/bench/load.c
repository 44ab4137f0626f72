/* A load over HTTP/2 and TLS that no load tool of the distribution can make: payments, each with
 * its own key and reference, or GETs by many partners in turn, with another flow of them beside
 * that is counted apart. Closed loop (as fast as answers come) or at a fixed rate; at a fixed rate
 * a request's time runs from the moment it was due, so that a stalled server cannot hide behind a
 * client that waits (Tene, "coordinated omission"). Prints one JSON object. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, STREAMS_MAX = 256, BODY_BYTES = 512, ID_BYTES = 40, BUCKETS = 4096 };

static struct {
    const char *host, *port, *ca;
    char authority[200];
    const char *path; /* of GETs; NULL: payments */
    size_t connections, streams;
    double seconds;
    char (*accounts)[ID_BYTES];
    size_t accounts_n;
    const char *creditor; /* NULL: a random one */
} opt = {.connections = 8, .streams = 32, .seconds = 10};

/* Requests that are counted together, on connections of their own. */
struct flow {
    char **tokens; /* "Bearer …", taken in turn */
    size_t tokens_n, turn;
    double rate; /* requests a second; 0: closed loop */
    int64_t next_due_us;
    struct connection *connections;
    size_t connections_n, next_connection;
    uint64_t statuses[600], failed, done;
    uint64_t histogram[BUCKETS]; /* 64 buckets for each power of two of microseconds */
};

static struct flow flows[2]; /* the second is the one beside */
static size_t flows_n = 1;

struct stream {
    struct connection *connection;
    int64_t due_us;
    char key[40], body[BODY_BYTES];
    size_t body_n, sent_n;
    int status;
    bool busy;
};

struct connection {
    struct flow *flow;
    int fd;
    SSL *ssl;
    nghttp2_session *session;
    struct stream streams[STREAMS_MAX];
    size_t busy_n;
    const uint8_t *out; /* what nghttp2 gave and TLS has not taken */
    size_t out_n;
};

static struct connection connections[CONNECTIONS_MAX + 1];
static SSL_CTX *tls;
static uint64_t state[2], run_id, made;
static int64_t begin_us, end_us;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(3);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* xorshift128+: the load must not cost more than what it measures. */
static uint64_t next_random(void)
{
    uint64_t a = state[0], b = state[1];
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return state[1] + b;
}

static size_t bucket_of(int64_t us)
{
    uint64_t v = us < 1 ? 1 : (uint64_t)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(v);
    uint64_t within = power >= 6 ? (v >> (power - 6)) & 63 : (v << (6 - power)) & 63;
    size_t at = (size_t)power * 64 + (size_t)within;
    return at < BUCKETS ? at : BUCKETS - 1;
}

static int64_t percentile(const struct flow *flow, double p)
{
    uint64_t want = (uint64_t)((double)flow->done * p), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += flow->histogram[i];
        if (seen > want)
            return (int64_t)((double)(1ull << (i / 64)) * (1.0 + (double)(i % 64) / 64.0));
    }
    return 0;
}

static void make_payment(struct stream *s)
{
    uint64_t number = made++;
    size_t debtor = next_random() % opt.accounts_n, creditor;
    do
        creditor = next_random() % opt.accounts_n;
    while (creditor == debtor);
    const char *to = opt.creditor != NULL ? opt.creditor : opt.accounts[creditor];
    if (strcmp(to, opt.accounts[debtor]) == 0)
        debtor = (debtor + 1) % opt.accounts_n;
    snprintf(s->key, sizeof(s->key), "%016llx%012llx", (unsigned long long)run_id,
             (unsigned long long)number);
    int n = snprintf(s->body, sizeof(s->body),
                     "{\"reference\":\"%s\",\"debtor_account\":\"%s\",\"creditor_account\":\"%s\","
                     "\"amount\":{\"amount\":%llu,\"currency\":\"CNY\"},\"purpose\":\"goods\"}",
                     s->key, opt.accounts[debtor], to,
                     (unsigned long long)(1 + next_random() % 1000));
    s->body_n = (size_t)n;
    s->sent_n = 0;
    s->status = 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)user;
    struct stream *s = source->ptr;
    size_t n = s->body_n - s->sent_n < room ? s->body_n - s->sent_n : room;
    memcpy(buf, s->body + s->sent_n, n);
    s->sent_n += n;
    if (s->sent_n == s->body_n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

#define NV(name_, value_, length_, flags_)                                                         \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name_), (uint8_t *)(uintptr_t)(value_), sizeof(name_) - 1,          \
            (length_), (flags_)                                                                    \
    }

/* The authorization of the next request. When partners take turns no token is worth a place in the
 * table that compresses headers. */
static nghttp2_nv authorization(struct flow *flow)
{
    char *token = flow->tokens[flow->turn++ % flow->tokens_n];
    uint8_t flags = flow->tokens_n > 1 ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
    return (nghttp2_nv)NV("authorization", token, strlen(token), flags);
}

static void submit_get(struct stream *s)
{
    nghttp2_nv fields[] = {
        NV(":method", "GET", 3, 0),
        NV(":scheme", "https", 5, 0),
        NV(":authority", opt.authority, strlen(opt.authority), 0),
        NV(":path", opt.path, strlen(opt.path), 0),
        authorization(s->connection->flow),
    };
    s->status = 0;
    if (nghttp2_submit_request(s->connection->session, NULL, fields, 5, NULL, s) < 0)
        die("submit");
}

static void submit_payment(struct stream *s)
{
    make_payment(s);
    char length[8];
    int length_n = snprintf(length, sizeof(length), "%zu", s->body_n);
    nghttp2_nv fields[] = {
        NV(":method", "POST", 4, 0),
        NV(":scheme", "https", 5, 0),
        NV(":authority", opt.authority, strlen(opt.authority), 0),
        NV(":path", "/e-payment/v1/payments", 22, 0),
        authorization(s->connection->flow),
        NV("content-type", "application/json", 16, 0),
        NV("content-length", length, (size_t)length_n, 0),
        NV("idempotency-key", s->key, strlen(s->key), NGHTTP2_NV_FLAG_NO_INDEX),
    };
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    if (nghttp2_submit_request(s->connection->session, NULL, fields, 8, &body, s) < 0)
        die("submit");
}

static void submit(struct stream *s, int64_t due_us)
{
    if (opt.path != NULL)
        submit_get(s);
    else
        submit_payment(s);
    s->due_us = due_us;
    s->busy = true;
    s->connection->busy_n++;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s != NULL && name_n == 7 && memcmp(name, ":status", 7) == 0 && value_n == 3)
        s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)user;
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s == NULL)
        return 0;
    struct flow *flow = s->connection->flow;
    int64_t now = now_us();
    s->busy = false;
    s->connection->busy_n--;
    if (error != 0 || s->status == 0) {
        flow->failed++;
    } else {
        flow->statuses[s->status < 600 ? s->status : 0]++;
        flow->histogram[bucket_of(now - s->due_us)]++;
        flow->done++;
    }
    if (flow->rate <= 0 && now < end_us)
        submit(s, now);
    return 0;
}

static void open_connection(struct connection *c, int poll)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(opt.host, opt.port, &hints, &found) != 0)
        die("resolve");
    c->fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, found->ai_addr, found->ai_addrlen) != 0)
        die("connect");
    freeaddrinfo(found);
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, opt.host);
    if (SSL_connect(c->ssl) != 1)
        die("TLS handshake");
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
    nghttp2_session_callbacks *calls;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    nghttp2_session_client_new(&c->session, calls, c);
    nghttp2_session_callbacks_del(calls);
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_submit_settings(c->session, 0, &window, 1);
    nghttp2_session_set_local_window_size(c->session, 0, 0, 1 << 28);
    for (size_t i = 0; i < opt.streams; i++)
        c->streams[i].connection = c;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
}

static void flush(struct connection *c)
{
    for (;;) {
        if (c->out_n == 0) {
            ssize_t n = nghttp2_session_mem_send(c->session, &c->out);
            if (n <= 0)
                return;
            c->out_n = (size_t)n;
        }
        int sent = SSL_write(c->ssl, c->out, (int)c->out_n);
        if (sent <= 0)
            return;
        c->out += sent;
        c->out_n -= (size_t)sent;
    }
}

static void receive(struct connection *c)
{
    uint8_t buf[16384];
    for (;;) {
        int n = SSL_read(c->ssl, buf, sizeof(buf));
        if (n <= 0) {
            if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
                die("connection lost");
            return;
        }
        if (nghttp2_session_mem_recv(c->session, buf, (size_t)n) < 0)
            die("HTTP/2");
    }
}

/* At a fixed rate: hand every request that is due to the connection with most room. */
static void submit_due(struct flow *flow, int64_t now)
{
    while (flow->rate > 0 && flow->next_due_us <= now && flow->next_due_us < end_us) {
        struct connection *c = NULL;
        for (size_t i = 0; i < flow->connections_n && c == NULL; i++, flow->next_connection++) {
            c = &flow->connections[flow->next_connection % flow->connections_n];
            c = c->busy_n < opt.streams ? c : NULL;
        }
        if (c == NULL)
            return; /* all streams busy: it stays due, and its time runs */
        for (size_t i = 0; i < opt.streams; i++)
            if (!c->streams[i].busy) {
                submit(&c->streams[i], flow->next_due_us);
                break;
            }
        flow->next_due_us += (int64_t)(1e6 / flow->rate);
    }
}

static bool all_idle(void)
{
    for (size_t i = 0; i < opt.connections + flows_n - 1; i++)
        if (connections[i].busy_n > 0)
            return false;
    return true;
}

/* Until the next request is due: a millisecond too late would be a millisecond that is measured. */
static struct timespec patience(int64_t now)
{
    int64_t wait_us = 100000;
    for (size_t i = 0; i < flows_n; i++)
        if (flows[i].rate > 0 && flows[i].next_due_us < end_us &&
            flows[i].next_due_us - now < wait_us)
            wait_us = flows[i].next_due_us > now ? flows[i].next_due_us - now : 1000;
    return (struct timespec){.tv_nsec = (long)(wait_us * 1000)};
}

static void run(int poll)
{
    struct epoll_event events[CONNECTIONS_MAX];
    begin_us = now_us();
    end_us = begin_us + (int64_t)(opt.seconds * 1e6);
    for (size_t f = 0; f < flows_n; f++) {
        flows[f].next_due_us = begin_us;
        for (size_t i = 0; flows[f].rate <= 0 && i < flows[f].connections_n * opt.streams; i++)
            submit(&flows[f].connections[i / opt.streams].streams[i % opt.streams], begin_us);
    }
    for (;;) {
        int64_t now = now_us();
        for (size_t f = 0; f < flows_n; f++)
            submit_due(&flows[f], now);
        for (size_t i = 0; i < opt.connections + flows_n - 1; i++)
            flush(&connections[i]);
        if (now >= end_us && (all_idle() || now > end_us + 15000000))
            return;
        struct timespec wait = patience(now_us());
        int n = epoll_pwait2(poll, events, CONNECTIONS_MAX, &wait, NULL);
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr);
    }
}

static void read_accounts(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t room = 0;
    char line[ID_BYTES];
    if (file == NULL)
        die(path);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (opt.accounts_n == room) {
            room = room == 0 ? 1024 : room * 2;
            opt.accounts = realloc(opt.accounts, room * sizeof(*opt.accounts));
        }
        memcpy(opt.accounts[opt.accounts_n++], line, sizeof(line));
    }
    fclose(file);
    if (opt.accounts_n < 2)
        die("fewer than two accounts");
}

/* One token a line. */
static void read_tokens(struct flow *flow, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[8192];
    if (file == NULL)
        die(path);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if ((flow->tokens_n & (flow->tokens_n - 1)) == 0)
            flow->tokens = realloc(flow->tokens, (flow->tokens_n * 2 + 1) * sizeof(char *));
        if (asprintf(&flow->tokens[flow->tokens_n++], "Bearer %s", line) < 0)
            die("memory");
    }
    fclose(file);
    if (flow->tokens_n == 0)
        die(path);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"host", 1, 0, 'h'},        {"port", 1, 0, 'p'},
        {"ca", 1, 0, 'a'},          {"token", 1, 0, 't'},
        {"accounts", 1, 0, 'A'},    {"creditor", 1, 0, 'c'},
        {"seconds", 1, 0, 's'},     {"rate", 1, 0, 'r'},
        {"get", 1, 0, 'g'},         {"beside", 1, 0, 'b'},
        {"beside-rate", 1, 0, 'B'}, {"connections", 1, 0, 'n'},
        {"streams", 1, 0, 'm'},     {0, 0, 0, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'h':
            opt.host = optarg;
            break;
        case 'p':
            opt.port = optarg;
            break;
        case 'a':
            opt.ca = optarg;
            break;
        case 't':
            read_tokens(&flows[0], optarg);
            break;
        case 'A':
            read_accounts(optarg);
            break;
        case 'c':
            opt.creditor = optarg;
            break;
        case 's':
            opt.seconds = strtod(optarg, NULL);
            break;
        case 'r':
            flows[0].rate = strtod(optarg, NULL);
            break;
        case 'g':
            opt.path = optarg;
            break;
        case 'b':
            read_tokens(&flows[1], optarg);
            flows_n = 2;
            break;
        case 'B':
            flows[1].rate = strtod(optarg, NULL);
            break;
        case 'n':
            opt.connections = strtoul(optarg, NULL, 10);
            break;
        case 'm':
            opt.streams = strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
    if (opt.host == NULL || opt.port == NULL || opt.ca == NULL || flows[0].tokens_n == 0 ||
        (opt.accounts_n == 0) == (opt.path == NULL) || opt.connections > CONNECTIONS_MAX ||
        opt.streams > STREAMS_MAX) {
        fputs(
            "load --host H --port P --ca FILE --token FILE\n"
            "     (--accounts FILE [--creditor ID] | --get PATH [--beside TOKENS --beside-rate N])\n"
            "     [--seconds N] [--rate N] [--connections N] [--streams N]\n",
            stderr);
        exit(2);
    }
    snprintf(opt.authority, sizeof(opt.authority), "%s:%s", opt.host, opt.port);
}

static void print_flow(const struct flow *flow)
{
    double seconds = (double)(now_us() - begin_us) / 1e6;
    if (seconds > opt.seconds)
        seconds = opt.seconds;
    printf("\"requests\":%llu,\"failed\":%llu,\"per_second\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld,"
           "\"p999_us\":%lld,\"status\":{",
           (unsigned long long)flow->done, (unsigned long long)flow->failed,
           (double)flow->done / seconds, (long long)percentile(flow, 0.5),
           (long long)percentile(flow, 0.99), (long long)percentile(flow, 0.999));
    const char *comma = "";
    for (size_t i = 100; i < 600; i++)
        if (flow->statuses[i] > 0) {
            printf("%s\"%zu\":%llu", comma, i, (unsigned long long)flow->statuses[i]);
            comma = ",";
        }
    putchar('}');
}

static void print_result(void)
{
    putchar('{');
    print_flow(&flows[0]);
    if (flows_n > 1) {
        printf(",\"beside\":{");
        print_flow(&flows[1]);
        putchar('}');
    }
    puts("}");
}

int main(int argc, char **argv)
{
    static const unsigned char alpn[] = {2, 'h', '2'};
    read_options(argc, argv);
    if (getrandom(state, sizeof(state), 0) < 0 || getrandom(&run_id, sizeof(run_id), 0) < 0)
        die("getrandom");
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(tls, alpn, sizeof(alpn));
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(tls, opt.ca, NULL) != 1)
        die(opt.ca);
    prctl(PR_SET_TIMERSLACK, 1);
    int poll = epoll_create1(0);
    flows[0].connections = connections;
    flows[0].connections_n = opt.connections;
    flows[1].connections = &connections[opt.connections];
    flows[1].connections_n = 1;
    for (size_t i = 0; i < opt.connections + flows_n - 1; i++) {
        connections[i].flow = &flows[i / opt.connections];
        open_connection(&connections[i], poll);
    }
    run(poll);
    print_result();
    return flows[0].failed + flows[1].failed > 0;
}
