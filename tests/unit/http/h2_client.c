#include "h2_client.h"
#include "base/assert.h"
#include "base/mem.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { BODY_MOST = 1 << 20 };

struct errand {
    const struct server_fixture *server_fixture;
    const struct asking *asking;
    struct answer *answer;
    size_t head_n, sent;
};

static size_t on_body(char *at, size_t size, size_t n, void *user)
{
    struct answer *answer = ((struct errand *)user)->answer;
    size_t bytes = size * n;
    TB_ASSERT(answer->body_n + bytes < BODY_MOST);
    memcpy(answer->body + answer->body_n, at, bytes);
    answer->body_n += bytes;
    return bytes;
}

static size_t on_head(char *at, size_t size, size_t n, void *user)
{
    struct errand *errand = user;
    size_t bytes = size * n;
    TB_ASSERT(errand->head_n + bytes < sizeof(errand->answer->head));
    memcpy(errand->answer->head + errand->head_n, at, bytes);
    errand->head_n += bytes;
    return bytes;
}

static size_t on_send(char *at, size_t size, size_t n, void *user)
{
    struct errand *errand = user;
    size_t left = errand->asking->body_n - errand->sent;
    size_t bytes = size * n < left ? size * n : left;
    memcpy(at, errand->asking->body + errand->sent, bytes);
    errand->sent += bytes;
    return bytes;
}

static void set_body(CURL *easy, struct errand *errand)
{
    const struct asking *asking = errand->asking;
    if (asking->chunked) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(easy, CURLOPT_READDATA, errand);
    } else if (asking->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, asking->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(asking->body_n != 0 ? asking->body_n : strlen(asking->body)));
    }
    if (asking->method != NULL && strcmp(asking->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (asking->method != NULL)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, asking->method);
}

static void run(void *arg)
{
    struct errand *errand = arg;
    const struct asking *asking = errand->asking;
    const struct server_fixture *server_fixture = errand->server_fixture;
    char url[16 * 1024];
    uint16_t port = asking->plain ? server_fixture->plain_port : server_fixture->tls_port;
    char to[64];
    snprintf(to, sizeof(to), "::127.0.0.1:%u", port);
    if (asking->host == NULL)
        snprintf(url, sizeof(url), "%s://localhost:%u%s", asking->plain ? "http" : "https", port,
                 asking->path);
    else
        snprintf(url, sizeof(url), "%s://%s%s", asking->plain ? "http" : "https", asking->host,
                 asking->path);
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    struct curl_slist *connect_to = curl_slist_append(NULL, to);
    for (size_t i = 0; asking->headers != NULL && asking->headers[i] != NULL; i++)
        headers = curl_slist_append(headers, asking->headers[i]);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(easy, CURLOPT_CAINFO, server_fixture->certs.certificate);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, asking->host == NULL ? 2L : 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     asking->http1   ? (long)CURL_HTTP_VERSION_1_1
                     : asking->plain ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                     : (long)CURL_HTTP_VERSION_2TLS);
    if (asking->certificate != NULL) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, asking->certificate);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, asking->key);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, errand);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, errand);
    set_body(easy, errand);

    CURLcode code = curl_easy_perform(easy);
    long status = 0, version = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    errand->answer->answered = code == CURLE_OK;
    snprintf(errand->answer->why, sizeof(errand->answer->why), "%s", curl_easy_strerror(code));
    errand->answer->status = (int)status;
    errand->answer->version = version == CURL_HTTP_VERSION_2 ? 20 : 11;
    curl_slist_free_all(headers);
    curl_slist_free_all(connect_to);
    curl_easy_cleanup(easy);
}

void ask_begin(struct server_fixture *server_fixture, const struct asking *asking,
               struct answer *out)
{
    static struct errand errand;
    *out = (struct answer){.body = tb_mem(BODY_MOST)};
    errand = (struct errand){.server_fixture = server_fixture, .asking = asking, .answer = out};
    server_start(run, &errand);
}

void ask_end(struct server_fixture *server_fixture)
{
    server_join(server_fixture);
}

void ask(struct server_fixture *server_fixture, const struct asking *asking, struct answer *out)
{
    ask_begin(server_fixture, asking, out);
    ask_end(server_fixture);
}

void answer_free(struct answer *answer)
{
    tb_mem_free(answer->body);
}
