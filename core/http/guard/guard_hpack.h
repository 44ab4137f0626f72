/* Measure a header block without decoding it: how many fields, how many bytes they would have. The
 * walk costs a few nanoseconds a field and allocates nothing, so it can run before the decoder,
 * which costs 128 bytes for a reference of one byte. */
#ifndef TB_HTTP_GUARD_GUARD_HPACK_H
#define TB_HTTP_GUARD_GUARD_HPACK_H

#include "http/guard/guard_h2o.h"
#include <stdbool.h>

struct guard_hpack_limits {
    uint32_t fields; /**< at most TB_GUARD_HPACK_FIELDS */
    uint32_t bytes;
};
enum { TB_GUARD_HPACK_FIELDS = 1000 };

enum guard_hpack_verdict {
    GUARD_HPACK_FITS,
    GUARD_HPACK_TOO_MANY,  /**< more fields than the limit; counting stopped there */
    GUARD_HPACK_TOO_LARGE, /**< more bytes than the limit */
    GUARD_HPACK_BROKEN,    /**< not HPACK: the decoder would refuse it too */
};

/* A :path is not among them: it is judged with each request. */
enum {
    GUARD_FRESH_NAMES = 1,  /**< :method or :authority; an empty :authority counts too */
    GUARD_FRESH_FIELDS = 2, /**< any other field */
    GUARD_FRESH_NAME = 4,   /**< a name in full, or of a field that must be looked at by itself */
};

struct guard_hpack_size {
    uint32_t fields;
    uint32_t bytes;  /**< names + values + 32 each (RFC 9113 6.5.2) */
    unsigned fresh;  /**< what came as a literal and so was never judged: GUARD_FRESH_* */
    size_t token_at; /**< offset of the string literal of an `authorization` field; 0: none */
};

/** Measure a block against the dynamic table as it is before the block; the table is not changed.
 *  Huffman strings are first taken at their longest; only a block that does not fit that way is
 *  measured exactly, unless `exact` asks for it.
 *  @param out_size  what was counted, also when the verdict is not GUARD_HPACK_FITS
 *  Source: RFC 7541. */
enum guard_hpack_verdict tb_guard_hpack_measure(const h2o_hpack_header_table_t *table,
                                                const uint8_t *src, size_t len,
                                                struct guard_hpack_limits limits, bool exact,
                                                struct guard_hpack_size *out_size);

/** How much of a block to decode at once so that what is made of it stays within the limits: whole
 *  fields, at least one, which may be too large by itself. To be called on what is left when the
 *  piece before has been decoded.
 *  @param out_size  fields and bytes of the piece
 *  @return bytes of the block; 0 when it is broken */
size_t tb_guard_hpack_piece(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                            struct guard_hpack_limits limits, struct guard_hpack_size *out_size);

enum guard_hpack_name { GUARD_NAME_OTHER, GUARD_NAME_HOST, GUARD_NAME_LENGTH };

/** One field of a block, with the table size updates in front of it. */
struct guard_hpack_field {
    size_t n; /**< bytes of the block */
    enum guard_hpack_name name;
    size_t name_at, name_n;   /**< the string literal of a name that is GUARD_NAME_OTHER; 0: none */
    bool indexing;            /**< it enters the table */
    size_t value_at;          /**< offset of the value's string literal; 0: it is `value` */
    const h2o_iovec_t *value; /**< of the table; NULL: empty */
};

/** Read the first field of a block, all before it having been decoded. @return false when broken */
bool tb_guard_hpack_field(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                          struct guard_hpack_field *out);

/** Remember a name in full, as it was coded, of a regular field that the library took: a client
 * that keeps a field out of the tables sends its name with every request, which is looked at once.
 */
void tb_guard_hpack_learn_name(const uint8_t *coded, size_t n);

/** What the quick look at a block saw. */
struct guard_hpack_brief {
    unsigned fresh;  /**< as in guard_hpack_size */
    size_t token_at; /**< as in guard_hpack_size */
};

/** Whether a block that leaves the table alone surely fits: references of one byte, and literals
 * that do not enter the table and have their names from it, all taken at their largest. The blocks
 * of a busy connection are such; this costs a few comparisons a field. False says nothing.
 *  @param out_brief  written when the answer is true */
bool tb_guard_hpack_fits(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                         struct guard_hpack_limits limits, struct guard_hpack_brief *out_brief);

#endif
