/* One request to the server_fixture by libcurl, whose HTTP/2 is not ours. */
#ifndef TB_TESTS_ASK_H
#define TB_TESTS_ASK_H

#include "server_fixture.h"

struct asking {
    const char *path;
    bool plain, http1;
    const char *method;
    const char *const *headers; /**< "Name: value", ends with NULL */
    const char *body;
    size_t body_n;    /**< of `body` when it is not text */
    const char *host; /**< in the URL, resolved to loopback; NULL: localhost */
    const char *certificate, *key;
    bool chunked;
};

struct answer {
    bool answered;
    char why[256]; /**< when it is not */
    int status;
    int version; /**< 10, 11, 20 */
    char head[4096];
    char *body; /**< NUL-terminated, 1 MiB at most */
    size_t body_n;
};

/** Ask and wait, turning the loop. Free with answer_free. */
void ask(struct server_fixture *server_fixture, const struct asking *asking, struct answer *out);

/** The two halves of it. One at a time; `asking` must live as long. */
void ask_begin(struct server_fixture *server_fixture, const struct asking *asking,
               struct answer *out);
void ask_end(struct server_fixture *server_fixture);
void answer_free(struct answer *answer);

#endif
