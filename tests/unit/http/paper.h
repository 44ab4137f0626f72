/* Keys and certificates for tests, made on the spot in a directory of their own. */
#ifndef TB_TESTS_PAPER_H
#define TB_TESTS_PAPER_H

#include <stdbool.h>

enum { PAPER_PATH = 128 };

/** A key and its certificate in PEM files. */
struct paper {
    char certificate[PAPER_PATH], key[PAPER_PATH];
};

struct paper_kind {
    const char *name;           /**< common name, and DNS name */
    const struct paper *issuer; /**< NULL: self-signed */
    bool authority;             /**< may issue others */
    bool expired;
};

/** A fresh directory; everything in it goes with paper_forget. */
void paper_begin(void);
void paper_forget(void);

void paper_make(struct paper *out, const char *file, const struct paper_kind *kind);

#endif
