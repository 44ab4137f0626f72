#include "http/tls.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/time.h"
#include <h2o.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* RFC 9325 §4.2: forward secrecy and authenticated encryption, nothing else. */
#define SUITES_12                                                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

enum {
    TICKET_HOUR_MS = 3600 * 1000,
    TICKET_LIFE_S = 3600,           /**< so that two hours' keys read every valid ticket */
    CLIENT_CHAIN_BYTES = 32 * 1024, /**< largest certificate message of a client */
    CLIENT_CHAIN_DEPTH = 4,
    NAME_BYTES = 16,
    SECRET_BYTES = 32,
};

struct tb_tls {
    SSL_CTX *context;
    struct tb_tls_files files;
    char why[256];
};

/* ---- session tickets ---- */

/* The secret of an hour is the hash of the one before, which is then forgotten: a process that is
 * taken over cannot read what was sealed more than an hour earlier. Three keys are derived from it.
 */
struct ticket_keys {
    unsigned char name[NAME_BYTES];
    unsigned char cipher[SECRET_BYTES];
    unsigned char mac[SECRET_BYTES];
};

static struct {
    bool drawn;
    int64_t hour;
    unsigned char secret[SECRET_BYTES];
    struct ticket_keys now, before;
} tickets;

static void derive(const unsigned char secret[SECRET_BYTES], const char *purpose,
                   unsigned char out[SECRET_BYTES])
{
    unsigned int n = 0;
    TB_ASSERT(HMAC(EVP_sha256(), secret, SECRET_BYTES, (const unsigned char *)purpose,
                   strlen(purpose), out, &n) != NULL &&
              n == SECRET_BYTES);
}

static void derive_keys(const unsigned char secret[SECRET_BYTES], struct ticket_keys *out)
{
    unsigned char name[SECRET_BYTES];
    derive(secret, "ticket name", name);
    memcpy(out->name, name, NAME_BYTES);
    derive(secret, "ticket cipher", out->cipher);
    derive(secret, "ticket mac", out->mac);
}

static void tickets_to_present(void)
{
    int64_t hour = tb_wall_ms() / TICKET_HOUR_MS;
    if (hour <= tickets.hour)
        return;
    while (tickets.hour < hour) {
        unsigned char next[SECRET_BYTES];
        if (tickets.hour == hour - 1)
            derive_keys(tickets.secret, &tickets.before);
        derive(tickets.secret, "next hour", next);
        memcpy(tickets.secret, next, SECRET_BYTES);
        OPENSSL_cleanse(next, sizeof(next));
        tickets.hour++;
    }
    derive_keys(tickets.secret, &tickets.now);
}

void tb_tls_ticket_seed(void)
{
    if (tickets.drawn)
        return;
    TB_ASSERT(RAND_priv_bytes(tickets.secret, SECRET_BYTES) == 1);
    tickets.hour = tb_wall_ms() / TICKET_HOUR_MS;
    derive_keys(tickets.secret, &tickets.now);
    tickets.before = tickets.now;
    tickets.drawn = true;
}

/* OpenSSL's ticket callback. @return -1 error; 0 not ours: full handshake; 1 read; 2 read, renew it
 */
static int on_ticket(SSL *ssl, unsigned char name[NAME_BYTES], unsigned char *iv,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    (void)ssl;
    tickets_to_present();
    const struct ticket_keys *keys = &tickets.now;
    if (sealing) {
        memcpy(name, keys->name, NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
    } else if (memcmp(name, keys->name, NAME_BYTES) != 0) {
        keys = &tickets.before;
        if (memcmp(name, keys->name, NAME_BYTES) != 0)
            return 0;
    }
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->cipher, iv, sealing) != 1)
        return -1;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)keys->mac,
                                          SECRET_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    return keys == &tickets.now ? 1 : 2;
}

/* ---- client certificates ---- */

/* Whatever a client shows completes the handshake; the verdict is kept in the session, tickets
 * included, and read by tb_tls_client_certificate. A self-signed certificate is a proof of
 * possession of its key, and RFC 8705 §2.2 and §3 ask for no more than that. */
static int judge_client(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    if (X509_verify_cert(chain) <= 0 && X509_STORE_CTX_get_error(chain) == X509_V_OK)
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
    ERR_clear_error();
    return 1;
}

/* How the private `struct st_h2o_socket_ssl_t` of libh2o 2.2.5 begins; the library has no accessor.
 * The build pins the version, and the assertion below would see another layout. */
struct h2o_ssl_head {
    SSL_CTX *context;
    SSL *ssl;
};

struct tb_str tb_tls_client_certificate(const void *socket_ssl, bool *out_verified)
{
    const struct h2o_ssl_head *head = socket_ssl;
    TB_ASSERT(head->ssl != NULL && SSL_get_SSL_CTX(head->ssl) == head->context);
    *out_verified = false;
    X509 *certificate = SSL_get0_peer_certificate(head->ssl);
    if (certificate == NULL)
        return TB_STR_NONE;
    int n = i2d_X509(certificate, NULL);
    if (n <= 0)
        return TB_STR_NONE;
    char *der = tb_mem((size_t)n);
    unsigned char *end = (unsigned char *)der;
    TB_ASSERT(i2d_X509(certificate, &end) == n);
    *out_verified = SSL_get_verify_result(head->ssl) == X509_V_OK;
    return (struct tb_str){der, (size_t)n};
}

/* ---- the context ---- */

/* HTTP/2 where the client can, HTTP/1.1 where it must. A client that speaks ALPN and offers neither
 * is not talking to us, whoever sent it here (RFC 7301 §3.2, RFC 9325 §3.7). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *offered, unsigned int offered_n, void *unused)
{
    static const unsigned char ours[] = "\2h2\10http/1.1";
    (void)ssl;
    (void)unused;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, offered, offered_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The library closes a socket whose handshake has failed without sending what OpenSSL has written,
 * so that a client is left to guess. Up to the ClientHello an alert is not encrypted, and is sent
 * from here; the client has read all there is, so nothing can be in its way. */
static void send_alert(const SSL *ssl, int where, int alert)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    if (where != SSL_CB_WRITE_ALERT || (state != TLS_ST_BEFORE && state != TLS_ST_SR_CLNT_HELLO))
        return;
    h2o_socket_t *sock = BIO_get_data(SSL_get_wbio(ssl));
    const unsigned char record[] = {SSL3_RT_ALERT,
                                    TLS1_2_VERSION >> 8,
                                    TLS1_2_VERSION & 0xff,
                                    0,
                                    2,
                                    (unsigned char)(alert >> 8),
                                    (unsigned char)alert};
    if (sock != NULL) /* one that does not fit into an empty socket buffer is not missed */
        (void)!send(h2o_socket_get_fd(sock), record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void explain(struct tb_tls *tls, const char *what, const char *file)
{
    char reason[160] = "unknown reason";
    unsigned long code = ERR_peek_last_error();
    if (code != 0)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    snprintf(tls->why, sizeof(tls->why), "%s %s: %s", what, file == NULL ? "" : file, reason);
}

/* Read certificate, key and anchors into `context`, whose own are replaced only by what is
 * complete. */
static bool load(struct tb_tls *tls, SSL_CTX *context)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, tls->files.certificate) != 1) {
        explain(tls, "cannot use the certificate", tls->files.certificate);
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, tls->files.key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        explain(tls, "cannot use the key", tls->files.key);
        return false;
    }
    X509_STORE *anchors = X509_STORE_new();
    TB_ASSERT(anchors != NULL);
    if (tls->files.client_ca != NULL && X509_STORE_load_file(anchors, tls->files.client_ca) != 1) {
        explain(tls, "cannot use the client CA", tls->files.client_ca);
        X509_STORE_free(anchors);
        return false;
    }
    SSL_CTX_set_cert_store(context, anchors);
    return true;
}

static void configure(SSL_CTX *context, bool ask_for_certificate)
{
    /* a session that began without the question must not stand in for an answer, nor the other way
     */
    const char *scope = ask_for_certificate ? "tongbao mtls" : "tongbao";

    TB_ASSERT(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    TB_ASSERT(SSL_CTX_set_cipher_list(context, SUITES_12) == 1);
    TB_ASSERT(SSL_CTX_set_ciphersuites(context, SUITES_13) == 1);
    TB_ASSERT(SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* an idle connection gives its 34 KiB of record buffers back */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_info_callback(context, send_alert);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_recv_max_early_data(context, 0);

    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    TB_ASSERT(SSL_CTX_set_session_id_context(context, (const unsigned char *)scope,
                                             (unsigned int)strlen(scope)) == 1);
    SSL_CTX_set_timeout(context, TICKET_LIFE_S);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);

    if (ask_for_certificate) {
        /* no list of CA names is sent: clients would hold back self-signed certificates */
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(context, judge_client, NULL);
        SSL_CTX_set_verify_depth(context, CLIENT_CHAIN_DEPTH);
        SSL_CTX_set_max_cert_list(context, CLIENT_CHAIN_BYTES);
    }
}

static SSL_CTX *context_new(struct tb_tls *tls)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    TB_ASSERT(context != NULL);
    configure(context, tls->files.ask_for_certificate);
    if (load(tls, context))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static char *copy_path(const char *path)
{
    return path == NULL ? NULL : tb_mem_text(path, strlen(path));
}

struct tb_tls *tb_tls_new(const struct tb_tls_files *files, const char **out_why)
{
    static char why[256];
    struct tb_tls *tls = tb_mem(sizeof(*tls));
    tls->files = (struct tb_tls_files){
        .certificate = copy_path(files->certificate),
        .key = copy_path(files->key),
        .client_ca = copy_path(files->client_ca),
        .ask_for_certificate = files->ask_for_certificate,
    };
    tb_tls_ticket_seed();
    tls->context = context_new(tls);
    if (tls->context == NULL) {
        memcpy(why, tls->why, sizeof(why));
        *out_why = why;
        tb_tls_free(tls);
        return NULL;
    }
    return tls;
}

void tb_tls_free(struct tb_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    tb_mem_free((void *)(uintptr_t)tls->files.certificate);
    tb_mem_free((void *)(uintptr_t)tls->files.key);
    tb_mem_free((void *)(uintptr_t)tls->files.client_ca);
    tb_mem_free(tls);
}

bool tb_tls_reload(struct tb_tls *tls, const char **out_why)
{
    /* Everything is read into a context aside; only what works there moves over. The live context
     * stays the same object: libh2o's sockets point to it before their handshake begins. */
    SSL_CTX *fresh = context_new(tls);
    if (fresh == NULL) {
        *out_why = tls->why;
        return false;
    }
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(fresh, &chain);
    bool moved = SSL_CTX_use_cert_and_key(tls->context, SSL_CTX_get0_certificate(fresh),
                                          SSL_CTX_get0_privatekey(fresh), chain, 1) == 1;
    if (moved)
        SSL_CTX_set1_cert_store(tls->context, SSL_CTX_get_cert_store(fresh));
    else
        explain(tls, "cannot use the certificate", tls->files.certificate);
    SSL_CTX_free(fresh);
    if (!moved)
        *out_why = tls->why;
    return moved;
}

void *tb_tls_context(struct tb_tls *tls)
{
    return tls->context;
}
