/* Keys and certificates for tests, made on the spot in a directory of their own. */
#ifndef TB_TESTS_PAPER_H
#define TB_TESTS_PAPER_H

#include <stdbool.h>

enum { PAPER_PATH = 128 };

/** A key and its certificate in PEM files. */
struct certs {
    char certificate[PAPER_PATH], key[PAPER_PATH];
};

struct certs_kind {
    const char *name;           /**< common name, and DNS name */
    const struct certs *issuer; /**< NULL: self-signed */
    bool authority;             /**< may issue others */
    bool expired;
};

/** A fresh directory; everything in it goes with certs_forget. */
void certs_begin(void);
void certs_forget(void);

void certs_make(struct certs *out, const char *file, const struct certs_kind *kind);

#endif
