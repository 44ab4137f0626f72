/* Problems on the wire: RFC 9457 documents with the platform's members. One writer for everything
 * that refuses, so that a partner's parser meets one shape. */
#ifndef TB_HTTP_PROBLEM_H
#define TB_HTTP_PROBLEM_H

#include "base/error_words.h"
#include "base/text.h"
#include "runtime/run.h"

#define TB_PROBLEM_TYPE TB_STR("application/problem+json")

struct tb_problem_of {
    tb_err err;
    const struct tb_problem *problem; /**< detail, places, …; NULL: the error alone */
    const struct tb_error_words
        *words; /**< title and remedy in the reader's language; NULL: English */
    bool owner; /**< the reader owns the world, a sandbox: it learns what PostgreSQL said, too */
    struct tb_str request_id; /**< a UUID; absent: no instance */
    struct tb_str trace;      /**< id of the decision trace; absent: none */
    struct tb_str type;       /**< a registered problem type; absent: made of `base` and the code */
    struct tb_str base;       /**< URI that the code is appended to for `type` and `doc_url`,
                                   e.g. "https://docs.bank.example/errors/"; absent: the type is
                                   "about:blank" and there is no doc_url */
};

/** Append the document: `type`, `title`, `status`, `detail`, `remedy`, `instance` (urn:uuid:),
 * `code`, `request_id`, `errors` [{pointer, parameter, header, code, detail}], `errors_total` when
 * some are left out, `doc_url`, `decline_code`, `retryable`, `retry_after`, `cause` {sqlstate,
 * message}, the members of `extra`, `trace`. Members that have nothing to say are left out; every
 * string is escaped. Memory: the text's. */
void tb_problem_write(struct tb_text *out, const struct tb_problem_of *of);

#endif
