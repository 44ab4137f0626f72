/* Outbound HTTP: libcurl's multi interface on the worker's loop, straight-line for the caller.
 * Every call has a deadline and a cap on the answer's size; addresses are checked before
 * connecting, so a URL a partner gave us cannot reach inside the bank (SSRF). Source: OWASP
 * API7:2023; Standard Webhooks, "server side request forgery". */
#ifndef TB_HTTP_OUTBOUND_OUTBOUND_H
#define TB_HTTP_OUTBOUND_OUTBOUND_H

#include "http/outbound/address.h"
#include "http/server.h"
#include <tongbao/req.h>

struct tb_http_client;

/** What a call may reach. */
struct tb_egress {
    bool private_addresses; /**< loopback, private, link-local…: only for the bank's own systems */
    bool plain_http;        /**< allow http:// */
    const uint16_t *ports;  /**< allowed ports, ends with 0; NULL: 443 only */
};

struct tb_outgoing {
    const char *method;
    const char *url;
    const struct tb_header *headers;
    size_t headers_n;
    struct tb_str body;  /**< absent: none is sent */
    int64_t timeout_ms;  /**< of the whole exchange; at most what the run's deadline leaves */
    size_t answer_bytes; /**< most the answer's body may have */
    struct tb_egress reach;
    const char *client_certificate, *client_key, *ca; /**< PEM files; NULL: none, none, system's */
};

struct tb_reply {
    int status;
    struct tb_str body;              /**< present, also when it is empty */
    const struct tb_header *headers; /**< names in lower case */
    size_t headers_n;
};

struct tb_http_client *tb_http_client_new(struct tb_loop *loop);

/** No call may be under way. */
void tb_http_client_free(struct tb_http_client *client);

/** Do the exchange. Redirects are not followed, proxies of the environment not used. The name is
 *  resolved once, every address checked, and the connection made to a checked address; connections
 * are kept and used again for the same host at the same address.
 *  @return NULL with an answer of any status; TB_E_UPSTREAM (refused, broken, too large, not
 * allowed: `detail` says which); TB_E_DEADLINE; TB_E_CANCELLED; TB_E_OVERLOAD Waits: yes. Memory:
 * *out_reply in the request's arena; what `out` points to must live until the return. */
tb_err TB_NODISCARD TB_SUSPENDS tb_http_client_call(struct tb_req *req,
                                                    struct tb_http_client *client,
                                                    const struct tb_outgoing *out,
                                                    struct tb_reply *out_reply);

#endif
