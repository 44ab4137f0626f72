/* URIs, host names and names of certificates as clients register them: of one meaning for every
 * reader, or refused. */
#include "oauth/client/metadata_names.h"
#include "base/text.h"
#include "crypto/dn.h"
#include "oauth/client/client_metadata.h"
#include "oauth/form.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <tongbao/plugin.h>

/* Whether `uri` begins so; what follows must be a host. */
static bool behind(struct tb_str uri, struct tb_str head, struct tb_str *out_rest)
{
    if (uri.n <= head.n || memcmp(uri.at, head.at, head.n) != 0)
        return false;
    *out_rest = (struct tb_str){uri.at + head.n, uri.n - head.n};
    return true;
}

/* ":" and a port, or nothing. */
static bool good_port(struct tb_str rest)
{
    int64_t port;
    if (rest.n == 0)
        return true;
    if (rest.at[0] != ':' || rest.n < 2 || !isdigit((unsigned char)rest.at[1]))
        return false;
    return tb_text_to_int((struct tb_str){rest.at + 1, rest.n - 1}, &port) && port > 0 &&
           port <= UINT16_MAX;
}

/* An IPv6 address in brackets; *out_n: where it ends. */
static bool good_bracketed(struct tb_str authority, size_t *out_n)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    const char *end = memchr(authority.at, ']', authority.n);
    size_t n = end == NULL ? 0 : (size_t)(end - authority.at) - 1;
    if (n == 0 || n >= sizeof(text))
        return false;
    memcpy(text, authority.at + 1, n);
    text[n] = '\0';
    *out_n = n + 2;
    return inet_pton(AF_INET6, text, address) == 1;
}

/* A host, whose labels are of letters, digits, "-" and "_"; *out_n: where it ends. */
static bool good_host(struct tb_str authority, size_t *out_n)
{
    size_t n = 0, label = 0;
    for (; n < authority.n && authority.at[n] != ':'; n++) {
        if (authority.at[n] == '.' && label == 0)
            return false;
        if (!isalnum((unsigned char)authority.at[n]) && strchr("-._", authority.at[n]) == NULL)
            return false;
        label = authority.at[n] == '.' ? 0 : label + 1;
    }
    *out_n = n;
    return n > 0;
}

/* Host and optional port, of characters that mean the same to every reader: no user before it, no
 * escapes, no backslash that some browsers take for a slash. */
static bool good_authority(struct tb_str rest)
{
    size_t n = 0, host;
    while (n < rest.n && rest.at[n] != '/' && rest.at[n] != '?')
        n++;
    struct tb_str authority = {rest.at, n};
    bool good = n > 0 && (rest.at[0] == '[' ? good_bracketed(authority, &host)
                                            : good_host(authority, &host));
    return good && good_port((struct tb_str){rest.at + host, n - host});
}

/* Characters of a URI (RFC 3986 §2), without a fragment. */
static bool good_characters(struct tb_str uri)
{
    for (size_t i = 0; i < uri.n; i++) {
        if ((unsigned char)uri.at[i] <= ' ' || (unsigned char)uri.at[i] >= 0x7f ||
            strchr("#\"<>\\^`{|}", uri.at[i]) != NULL)
            return false;
        if (uri.at[i] == '%' && (uri.n - i < 3 || !isxdigit((unsigned char)uri.at[i + 1]) ||
                                 !isxdigit((unsigned char)uri.at[i + 2])))
            return false;
    }
    return uri.n <= TB_METADATA_TEXT_MAX;
}

bool tb_uri_link(struct tb_str uri)
{
    struct tb_str rest;
    return behind(uri, TB_STR("https://"), &rest) && good_authority(rest) && good_characters(uri);
}

/* The parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207, JARM): in a registered
 * query they would stand there twice, and a client might read the wrong one. NULL: there is none.
 */
const char *tb_uri_response_parameter(struct tb_req *req, struct tb_str uri)
{
    static const char *const OURS[] = {"code",      "state",   "iss", "error", "error_description",
                                       "error_uri", "response"};
    const char *query = memchr(uri.at, '?', uri.n), *end = uri.at + uri.n;
    for (const char *at = query == NULL ? end : query + 1; at < end; at++) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        next = next == NULL ? end : next;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        struct tb_str name = {at, (size_t)((equals == NULL ? next : equals) - at)}, decoded;
        for (size_t i = 0; i < TB_COUNT(OURS) && tb_form_decode(req, name, &decoded); i++)
            if (tb_str_eq(decoded, tb_str(OURS[i])))
                return OURS[i];
        at = next;
    }
    return NULL;
}

/* http is for programs on the customer's own machine, which listen on its loopback address
 * (RFC 8252 §7.3). */
bool tb_uri_redirect(struct tb_str uri, bool native)
{
    static const char *const LOOPBACK[] = {"http://127.0.0.1", "http://[::1]", "http://localhost"};
    struct tb_str rest = TB_STR_NONE;
    if (tb_uri_link(uri))
        return true;
    if (!native || !behind(uri, TB_STR("http://"), &rest) || !good_authority(rest) ||
        !good_characters(uri))
        return false;
    for (size_t i = 0; i < TB_COUNT(LOOPBACK); i++)
        if (behind(uri, tb_str(LOOPBACK[i]), &rest) && strchr(":/?", rest.at[0]) != NULL)
            return true;
    return false;
}

/* ---- names in certificates (RFC 8705 §2.1.2) ---- */

static bool good_dns(struct tb_str text)
{
    size_t n;
    bool wild = text.n > 2 && memcmp(text.at, "*.", 2) == 0;
    struct tb_str host = {text.at + 2 * wild, text.n - 2 * (size_t)wild};
    return good_host(host, &n) && n == host.n;
}

static bool good_uri(struct tb_str text)
{
    const char *colon = memchr(text.at, ':', text.n);
    return colon != NULL && colon > text.at && isalpha((unsigned char)text.at[0]) &&
           colon + 1 < text.at + text.n && good_characters(text);
}

static bool good_ip(struct tb_str text)
{
    char numeric[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (text.n >= sizeof(numeric))
        return false;
    memcpy(numeric, text.at, text.n);
    numeric[text.n] = '\0';
    return inet_pton(AF_INET, numeric, address) == 1 || inet_pton(AF_INET6, numeric, address) == 1;
}

static bool good_email(struct tb_str text)
{
    const char *at = memchr(text.at, '@', text.n);
    size_t n;
    if (at == NULL || at == text.at)
        return false;
    struct tb_str host = {at + 1, text.n - (size_t)(at + 1 - text.at)};
    return good_host(host, &n) && n == host.n;
}

const struct tb_tls_name tb_tls_names[TB_TLS_NAMES] = {
    {"tls_client_auth_subject_dn", "must be a distinguished name (RFC 4514)", tb_dn_good},
    {"tls_client_auth_san_dns", "must be a host name", good_dns},
    {"tls_client_auth_san_uri", "must be a URI", good_uri},
    {"tls_client_auth_san_ip", "must be an IPv4 or IPv6 address", good_ip},
    {"tls_client_auth_san_email", "must be an e-mail address", good_email},
};
