/* The name somebody meant: of a list of names the one that is a few keys away from what was sent.
 *
 *     struct tb_nearest nearest = {.word = TB_STR("crated[gte]")};
 *     for (…)
 *         tb_nearest_try(&nearest, names[i]);
 *     if (nearest.name.at != NULL)
 *         … "did you mean created[gte]?"
 */
#ifndef TB_BASE_NEAREST_H
#define TB_BASE_NEAREST_H

#include <stddef.h>
#include <tongbao/types.h>

enum { TB_NEAREST_BYTES = 40 /**< longer words and names are near to nothing */ };

struct tb_nearest {
    struct tb_str word;
    struct tb_str name; /**< the nearest so far; absent: none is near */
    size_t distance;    /**< its distance */
};

/** Compare with one more name (borrowed), without regard to case. Near is a third of the word's
 *  length, at least 1: characters left out, put in, changed or swapped. Of equals the first stays.
 */
void tb_nearest_try(struct tb_nearest *nearest, struct tb_str name);

#endif
