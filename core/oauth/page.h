/* The bank's own pages: HTML without a script, in Chinese or English, under headers that let
 * nothing else in. What is here is for the gateway, which answers failures of routes with TB_R_HTML
 * by a page; the pages themselves are in authorize.c, login.c, decide.c and dashboard.c. */
#ifndef TB_OAUTH_PAGE_H
#define TB_OAUTH_PAGE_H

#include "http/server.h"
#include <tongbao/plugin.h>
#include <tongbao/req.h>

#define TB_PAGE_TYPE TB_STR("text/html; charset=utf-8")

/** The product that serves the pages. */
extern const struct tb_plugin tb_oauth_pages_product;

/** The fields every page carries besides content-type and cache-control: content security policy,
 * no frames, no sniffing, no referrer, transport security. Constant. */
const struct tb_header *tb_page_headers(size_t *out_n);

/** The page that tells a person that something went wrong: what, in their language (the request's
 * Accept-Language), what they can do, and the request's id. Says nothing of the inside: the run's
 * detail is not shown. Goes out with the error's status.
 *  @return HTML in the request's arena; absent when it is full */
struct tb_str tb_page_error(struct tb_req *req, tb_err err, struct tb_str request_id);

#endif
