/* Ids of everything a partner can name: a typed prefix and 128 bits, "pay_01k9x3…", sorted by the
 * time they were made and carrying their book, so that any id finds its shard without a directory.
 *
 * The bits are a UUID of version 8 (RFC 9562 §5.8), most significant first:
 *     48  ms since 1970 of the wall clock      2  variant 10
 *      4  version 1000                        16  book
 *     12  counter within the ms               46  random
 * in 26 digits of Crockford's base 32 in lower case. An id is not a secret: whoever knows it still
 * needs the right to it. 46 random bits only keep apart what several processes make in one ms. */
#ifndef TB_BASE_ID_H
#define TB_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tongbao/types.h>

enum {
    TB_ID_DIGITS = 26,
    TB_ID_PREFIX_MAX = 8,
    TB_ID_ROOM = TB_ID_PREFIX_MAX + 1 + TB_ID_DIGITS + 1, /**< bytes an id and its NUL may take */
    TB_BOOK_MAX = 65535,
};

/** Make an id. Ids of one process sort in the order they were made, also within a ms and when the
 * wall clock steps back by less than a second.
 *  @param prefix  1..TB_ID_PREFIX_MAX lower-case letters
 *  @param book    1..TB_BOOK_MAX
 *  @param wall_ms the wall clock, also in a sandbox whose own clock is ahead
 *  @return its length; `out` gets a NUL */
size_t tb_id_make(char out[TB_ID_ROOM], const char *prefix, int32_t book, int64_t wall_ms);

/** Whether `id` is one of ours with this prefix: form, alphabet, version and variant. */
bool tb_id_check(struct tb_str id, const char *prefix);

/** The book in an id, whatever its prefix; 0 when it is not an id of ours. */
int32_t tb_id_book(struct tb_str id);

/** The wall clock when the id was made, ms since 1970; -1 when it is not an id of ours. */
int64_t tb_id_time(struct tb_str id);

#endif
