/* A direct-mapped table. Its hash is keyed at random, so that nobody can choose a head that pushes
 * another client's out. */
#include "crypto/head_memo.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include <string.h>

struct place {
    char *head; /* NULL: empty */
    size_t head_n;
    struct tb_key *key;
};

struct tb_head_memo {
    struct place *places;
    size_t mask;
    struct tb_siphash_key hash_key;
};

struct tb_head_memo *tb_head_memo_new(size_t entries)
{
    struct tb_head_memo *memo = tb_mem(sizeof(*memo));
    size_t n = 1;
    while (n < entries)
        n *= 2;
    memo->places = tb_mem_array(n, sizeof(*memo->places));
    memo->mask = n - 1;
    memo->hash_key = (struct tb_siphash_key){tb_random_u64(), tb_random_u64()};
    return memo;
}

static void empty(struct place *place)
{
    tb_mem_free(place->head);
    tb_key_free(place->key);
    *place = (struct place){.head = NULL};
}

void tb_head_memo_free(struct tb_head_memo *memo)
{
    if (memo == NULL)
        return;
    for (size_t i = 0; i <= memo->mask; i++)
        empty(&memo->places[i]);
    tb_mem_free(memo->places);
    tb_mem_free(memo);
}

static struct place *slot_of_head(const struct tb_head_memo *memo, struct tb_str head)
{
    return &memo->places[tb_siphash(memo->hash_key, head.at, head.n) & memo->mask];
}

struct tb_key *tb_head_memo_find(const struct tb_head_memo *memo, struct tb_str head)
{
    const struct place *place = slot_of_head(memo, head);
    if (place->head == NULL || place->head_n != head.n || memcmp(place->head, head.at, head.n) != 0)
        return NULL;
    return place->key;
}

void tb_head_memo_keep(struct tb_head_memo *memo, struct tb_str head, struct tb_key *key)
{
    struct place *place = slot_of_head(memo, head);
    empty(place);
    *place = (struct place){tb_mem_text(head.at, head.n), head.n, key};
}
