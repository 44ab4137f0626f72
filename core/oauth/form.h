/* Parameters as OAuth sends them: application/x-www-form-urlencoded, in a body or behind the "?" of
 * a URL, each name at most once.
 *
 *     struct tb_form form;
 *     TB_TRY(tb_form_read(req, &form));
 *     struct tb_str grant_type = tb_form_get(&form, "grant_type");
 */
#ifndef TB_OAUTH_FORM_H
#define TB_OAUTH_FORM_H

#include <tongbao/req.h>

enum {
    TB_FORM_PAIRS_MAX = 64,
    TB_FORM_NAME_MAX = 64,         /**< bytes, decoded */
    TB_FORM_VALUE_MAX = 16 * 1024, /**< bytes, decoded */
};

struct tb_form_pair {
    struct tb_str name, value; /**< decoded: UTF-8 without NUL, NUL-terminated */
};

/** Zero-initialised it is empty. */
struct tb_form {
    struct tb_form_pair *pairs; /**< in the order they came, in the request's arena */
    size_t n;
};

/** Read the parameters of the request's body.
 *  @return NULL; TB_E_MEDIA_TYPE (the body is no form); TB_E_INVALID_REQUEST (broken escape, NUL,
 *          not UTF-8, a name again, too many, too long); TB_E_INTERNAL (arena full)
 *  Waits: no. Source: RFC 6749 §3.2 and appendix B, WHATWG URL §5.1. */
tb_err TB_NODISCARD tb_form_read(struct tb_req *req, struct tb_form *out);

/** Read the parameters of the request's query. As tb_form_read. */
tb_err TB_NODISCARD tb_form_query(struct tb_req *req, struct tb_form *out);

/** Read the parameters of `text`. As tb_form_read. */
tb_err TB_NODISCARD tb_form_parse(struct tb_req *req, struct tb_str text, struct tb_form *out);

/** The value of a parameter; absent when it was not sent or is empty, which RFC 6749 §3.1 calls the
 *  same. */
struct tb_str tb_form_get(const struct tb_form *form, const char *name);

/** Add a parameter, decoded; the texts are borrowed. For forms made of a request object.
 *  @return NULL; TB_E_INVALID_REQUEST as for tb_form_read; TB_E_INTERNAL (arena full) */
tb_err TB_NODISCARD tb_form_add(struct tb_req *req, struct tb_form *form, struct tb_str name,
                                struct tb_str value);

/** Decode one name or value into the arena: "+" is a blank, "%" begins two hexadecimal digits.
 *  @return false for a broken escape, a NUL, text that is not UTF-8, or a full arena */
bool TB_NODISCARD tb_form_decode(struct tb_req *req, struct tb_str raw, struct tb_str *out);

#endif
