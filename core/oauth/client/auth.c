/* Client authentication. The order matters: what the request claims to be is worked through to the
 * end for clients that exist and for those that do not, with keys, certificates and digests of
 * nobody where there are none; only then is it asked whether that was the registered method of a
 * client in good standing. */
#include "oauth/client/auth.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/dn.h"
#include "crypto/jose.h"
#include "crypto/x509.h"
#include "http/server.h"
#include "oauth/client/certificate.h"
#include "oauth/client/jwks.h"
#include "oauth/client/origin.h"
#include "oauth/errors.h"
#include "oauth/jti_replay.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <arpa/inet.h>
#include <strings.h>

enum { ID_SHOWN = 64, BASIC_MAX = 1024 };

static const char ASSERTION_TYPE[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/* How a request says who it is. */
struct claim {
    enum { BY_ASSERTION, BY_CERTIFICATE, BY_SECRET } method;
    struct tb_str client_id;
    struct tb_str assertion, secret;
};

/* ---- which method ---- */

/* `Basic base64(form(client_id) ":" form(secret))`, RFC 6749 §2.3.1. */
static const char *read_basic(struct tb_req *req, struct tb_str header, struct claim *out)
{
    static const char scheme[] = "basic ";
    unsigned char bytes[BASIC_MAX];
    size_t n, skip = sizeof(scheme) - 1;
    if (header.n < skip || strncasecmp(header.at, scheme, skip) != 0)
        return "an Authorization header of another scheme than Basic";
    struct tb_str text = {header.at + skip, header.n - skip};
    if (text.n > BASIC_MAX || !tb_base64_read(text, bytes, &n))
        return "Basic credentials that are not base64";
    const unsigned char *colon = memchr(bytes, ':', n);
    if (colon == NULL)
        return "Basic credentials without a colon";
    size_t id_n = (size_t)(colon - bytes);
    bool good = tb_form_decode(req, TB_BYTES(bytes, id_n), &out->client_id) &&
                tb_form_decode(req, TB_BYTES(colon + 1, n - id_n - 1), &out->secret);
    explicit_bzero(bytes, sizeof(bytes));
    out->method = BY_SECRET;
    return good ? NULL : "Basic credentials that are not form-encoded";
}

static const char *read_assertion(struct tb_req *req, struct tb_str type, struct tb_str assertion,
                                  struct claim *out)
{
    if (!tb_str_eq(type, TB_STR(ASSERTION_TYPE)) || assertion.at == NULL)
        return "an assertion that is missing or of an unknown type";
    out->method = BY_ASSERTION;
    out->assertion = assertion;
    if (out->client_id.at == NULL) /* RFC 7521 §4.2: then the assertion alone names the client */
        out->client_id = tb_json_str(tb_jws_peek(tb_run_of(req)->arena, assertion, 1), "sub");
    return NULL;
}

/* What the request claims; why it cannot be taken, in words for the log, or NULL. */
static const char *read_claim(struct tb_req *req, const struct tb_form *form, struct claim *out)
{
    const struct tb_incoming *in = tb_run_of(req)->in;
    struct tb_str type = tb_form_get(form, "client_assertion_type");
    struct tb_str assertion = tb_form_get(form, "client_assertion");
    struct tb_str client_id = tb_form_get(form, "client_id");
    bool asserted = type.at != NULL || assertion.at != NULL;
    const char *why;
    *out = (struct claim){.method = BY_CERTIFICATE, .client_id = client_id};
    if (tb_form_get(form, "client_secret").at != NULL)
        return "a secret in the body, which is no method here";
    if (asserted && in->authorization.at != NULL)
        return "more than one method at once";
    if (asserted) {
        why = read_assertion(req, type, assertion, out);
    } else if (in->authorization.at != NULL) {
        why = read_basic(req, in->authorization, out);
        if (why == NULL && client_id.at != NULL && !tb_str_eq(client_id, out->client_id))
            why = "a client_id in the body that is not the one of the header";
    } else {
        why = in->client_certificate.at == NULL ? "no method at all" : NULL;
    }
    if (why == NULL && out->client_id.n == 0)
        why = "no client_id";
    return why;
}

/* ---- private_key_jwt ---- */

struct finding {
    struct tb_client_keys *keys, *nobodys;
    enum tb_alg alg; /* registered; 0: any */
    bool missed;     /* out: the client has no such key */
};

/* The client's key, or nobody's: the signature is checked in any case. */
static struct tb_key *find_key(void *arg, struct tb_str kid, enum tb_alg alg)
{
    struct finding *finding = arg;
    struct tb_key *key = tb_client_keys_find(finding->keys, kid, alg);
    finding->missed = key == NULL || (finding->alg != 0 && finding->alg != alg);
    return finding->missed ? tb_client_keys_find(finding->nobodys, TB_STR_NONE, alg) : key;
}

static const char *check_assertion(struct tb_req *req, const struct tb_oauth_client *client,
                                   struct tb_str assertion, struct finding *finding,
                                   struct tb_jose *out)
{
    static const char *const types[] = {"JWT", "client-authentication+jwt", "", NULL};
    const struct tb_jose_policy policy = {
        .types = types,
        .algs = TB_ALGS,
        .bytes_max = TB_JOSE_BYTES_MAX,
        .find = find_key,
        .find_arg = finding,
        .issuer = client->id,
        .subject = client->id,
        .audience = tb_str(tb_oauth()->config->issuer),
        .required = TB_CLAIM_EXP | TB_CLAIM_JTI | TB_CLAIM_SUB,
        .ahead_s = TB_JOSE_AHEAD_S,
        /* their clock may be ahead of ours as far as iat may */
        .life_max_s = TB_ASSERTION_LIFE_S + TB_JOSE_AHEAD_S,
    };
    if (tb_jose_verify(&policy, assertion, tb_oauth_now_s(req), tb_run_of(req)->arena, out) != NULL)
        return finding->missed ? "an assertion by a key or algorithm it has not registered"
                               : tb_jose_reason_words(out->reason);
    return finding->missed ? "an assertion by nobody's key" : NULL;
}

static tb_err TB_SUSPENDS by_assertion(struct tb_req *req, const struct tb_oauth_client *client,
                                       struct tb_str assertion, struct tb_jose *out,
                                       const char **out_why)
{
    struct finding finding = {.alg = client->assertion_alg};
    TB_TRY(tb_oauth_client_keys(req, client, assertion, &finding.keys));
    finding.nobodys = tb_client_keys_read(tb_client_nobodys_jwks());
    *out_why = check_assertion(req, client, assertion, &finding, out);
    tb_client_keys_drop(finding.nobodys);
    return NULL;
}

static tb_err TB_SUSPENDS use_up(struct tb_req *req, const struct tb_oauth_client *client,
                                 const struct tb_jose *assertion, const char **out_why)
{
    bool first;
    TB_TRY(tb_jti_purpose(req, client->id, TB_JTI_OF_ASSERTION, assertion->claims, &first));
    if (!first)
        *out_why = "an assertion that was used before";
    return NULL;
}

/* ---- certificates ---- */

static const struct {
    const char *member;
    enum tb_san_kind kind;
} SUBJECTS[] = {
    {"tls_client_auth_san_dns", TB_SAN_DNS},
    {"tls_client_auth_san_uri", TB_SAN_URI},
    {"tls_client_auth_san_ip", TB_SAN_IP},
    {"tls_client_auth_san_email", TB_SAN_EMAIL},
};

static bool same_text_of_any_case(struct tb_str a, struct tb_str b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.at, b.at, a.n) == 0);
}

/* The same in any case from the last `mark` on, and exactly before it. */
static bool same_behind(struct tb_str a, struct tb_str b, char mark)
{
    const char *at = a.n == b.n ? memrchr(a.at, mark, a.n) : NULL;
    size_t n = at == NULL ? a.n : (size_t)(at - a.at);
    return a.n == b.n && memcmp(a.at, b.at, n) == 0 &&
           same_text_of_any_case((struct tb_str){a.at + n, a.n - n},
                                 (struct tb_str){b.at + n, b.n - n});
}

/* Where the path of a URI begins, or its end. */
static size_t path_at(struct tb_str uri)
{
    size_t at = 0;
    const char *slashes = memmem(uri.at, uri.n, "://", 3);
    if (slashes != NULL)
        at = (size_t)(slashes - uri.at) + 3;
    while (at < uri.n && strchr(slashes != NULL ? "/?#" : ":", uri.at[at]) == NULL)
        at++;
    return at;
}

/* Scheme and host are the same in any case, the rest is not (RFC 5280 §7.4). */
static bool same_uri(struct tb_str a, struct tb_str b)
{
    size_t n = path_at(a);
    return a.n == b.n && strncasecmp(a.at, b.at, n) == 0 &&
           memcmp(a.at + n, b.at + n, a.n - n) == 0;
}

/* An address has several texts (RFC 5952), a host name is the same in any case (RFC 4343, RFC 5280
 * §7.5). */
static bool same_name(enum tb_san_kind kind, struct tb_str registered, struct tb_str shown)
{
    unsigned char address[16];
    char numeric[INET6_ADDRSTRLEN], canonical[INET6_ADDRSTRLEN];
    if (kind == TB_SAN_DNS)
        return same_text_of_any_case(registered, shown);
    if (kind == TB_SAN_EMAIL)
        return same_behind(registered, shown, '@');
    if (kind == TB_SAN_URI)
        return same_uri(registered, shown);
    if (registered.n >= sizeof(numeric))
        return false;
    memcpy(numeric, registered.at, registered.n);
    numeric[registered.n] = '\0';
    int family = memchr(numeric, ':', registered.n) != NULL ? AF_INET6 : AF_INET;
    return inet_pton(family, numeric, address) == 1 &&
           inet_ntop(family, address, canonical, sizeof(canonical)) != NULL &&
           tb_str_eq(tb_str(canonical), shown);
}

static bool has_name(const struct tb_certificate *certificate, enum tb_san_kind kind,
                     struct tb_str registered)
{
    for (size_t i = 0; i < certificate->names_n; i++)
        if (certificate->names[i].kind == kind &&
            same_name(kind, registered, certificate->names[i].text))
            return true;
    return false;
}

/* RFC 8705 §2.1.2: exactly one of five members says whose certificate it must be. */
static bool subject_fits(const struct tb_oauth_client *client,
                         const struct tb_certificate *certificate)
{
    struct tb_str subject = tb_json_str(client->metadata, "tls_client_auth_subject_dn");
    size_t registered_n = subject.n > 0;
    bool fits = subject.n > 0 && tb_dn_same(subject, certificate->subject_der);
    for (size_t i = 0; i < TB_COUNT(SUBJECTS); i++) {
        struct tb_str name = tb_json_str(client->metadata, SUBJECTS[i].member);
        if (name.n == 0)
            continue;
        registered_n++;
        fits = has_name(certificate, SUBJECTS[i].kind, name);
    }
    return fits && registered_n == 1;
}

static tb_err TB_SUSPENDS by_certificate(struct tb_req *req, const struct tb_oauth_client *client,
                                         const char **out_why)
{
    const struct tb_incoming *in = tb_run_of(req)->in;
    struct tb_certificate certificate;
    struct tb_client_keys *keys;
    int64_t now_s = tb_oauth_now_s(req);
    TB_TRY(tb_oauth_client_keys(req, client, TB_STR_NONE, &keys));
    bool own = tb_client_keys_certificate(keys, in->certificate_thumbprint);
    if (!tb_certificate_read(in->client_certificate, tb_run_of(req)->arena, &certificate))
        *out_why = "a certificate that cannot be read";
    else if (now_s < certificate.not_before_s || now_s > certificate.not_after_s)
        *out_why = "a certificate outside its time";
    else if (client->auth == TB_AUTH_SELF_SIGNED_TLS)
        *out_why = own ? NULL : "a certificate that is not among the registered";
    else if (!in->client_verified)
        *out_why = "a certificate of no known authority";
    else
        *out_why = subject_fits(client, &certificate) ? NULL : "a certificate of another subject";
    return NULL;
}

/* ---- client_secret_basic ---- */

/* Compared with as many digests as there can be, whether there are so many or not. */
static const char *by_secret(const struct tb_oauth_client *client, struct tb_str secret)
{
    static const char nothing[TB_CLIENT_SECRET_CHARS + 1] =
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    unsigned char digest[TB_SHA256_BYTES];
    char text[TB_SHA256_BASE64URL];
    struct tb_str rest = client->secrets, live;
    unsigned same = 0;
    tb_sha256(&secret, 1, digest);
    tb_base64url_write(text, TB_BYTES(digest, sizeof(digest)));
    for (int i = 0; i < TB_CLIENT_SECRETS_MAX; i++) {
        bool there = tb_scope_next(&rest, &live);
        bool equal = tb_same_secret(TB_BYTES(text, sizeof(text)), there ? live : tb_str(nothing));
        same |= (unsigned)(there & equal);
    }
    return same != 0 ? NULL : "a secret that is not one of its live ones";
}

/* ---- the verdict ---- */

static bool method_registered(const struct tb_oauth_client *client, const struct claim *claim)
{
    switch (claim->method) {
    case BY_ASSERTION:
        return client->auth == TB_AUTH_PRIVATE_KEY_JWT;
    case BY_CERTIFICATE:
        return client->auth == TB_AUTH_TLS || client->auth == TB_AUTH_SELF_SIGNED_TLS;
    case BY_SECRET:
        return client->auth == TB_AUTH_SECRET_BASIC && client->sandbox;
    }
    return false;
}

static tb_err TB_SUSPENDS check_claim(struct tb_req *req, const struct claim *claim,
                                      struct tb_oauth_client **out_client, const char **out_why)
{
    struct tb_oauth_client *client;
    struct tb_jose assertion;
    TB_TRY(tb_oauth_client_find_any(req, claim->client_id, &client));
    *out_client = client;
    if (claim->method == BY_ASSERTION)
        TB_TRY(by_assertion(req, client, claim->assertion, &assertion, out_why));
    else if (claim->method == BY_CERTIFICATE)
        TB_TRY(by_certificate(req, client, out_why));
    else
        *out_why = by_secret(client, claim->secret);
    if (*out_why == NULL && !method_registered(client, claim))
        *out_why = "another method than the registered one";
    if (*out_why == NULL && !client->active)
        *out_why = "suspended";
    if (*out_why == NULL && claim->method == BY_ASSERTION)
        return use_up(req, client, &assertion, out_why);
    return NULL;
}

tb_err TB_SUSPENDS tb_client_authenticate(struct tb_req *req, const struct tb_form *form,
                                          struct tb_oauth_client **out)
{
    struct claim claim;
    *out = NULL;
    const char *why = read_claim(req, form, &claim);
    if (why == NULL)
        TB_TRY(check_claim(req, &claim, out, &why));
    if (why == NULL && claim.method == BY_CERTIFICATE)
        tb_certificate_seen(req, (*out)->id, tb_run_of(req)->in->client_certificate);
    if (why == NULL)
        tb_origin_judge(req, *out);
    tb_run_of(req)->caller.proven = why == NULL;
    tb_run_of(req)->caller.cause = why;
    if (why == NULL)
        return NULL;
    *out = NULL;
    struct tb_str id = claim.client_id;
    tb_log(req, TB_LOG_INFO, "client %.*s not authenticated: %s",
           (int)(id.n < ID_SHOWN ? id.n : ID_SHOWN), id.at == NULL ? "" : id.at, why);
    return tb_fail(req, TB_E_INVALID_CLIENT, "the client could not be authenticated");
}
