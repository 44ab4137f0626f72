/* Cookies of a request (RFC 6265). */
#ifndef TB_OAUTH_USER_COOKIE_H
#define TB_OAUTH_USER_COOKIE_H

#include <tongbao/req.h>

/** The value of a cookie in one Cookie field; absent when it is not there.
 *  @param name  with its "=" */
struct tb_str tb_cookie_in(struct tb_str field, struct tb_str name);

/** The value of a cookie of the request; absent when it was not sent, or is empty. HTTP/2 may send
 *  one field for each cookie.
 *  @param name  with its "=" */
struct tb_str tb_cookie(struct tb_req *req, struct tb_str name);

#endif
