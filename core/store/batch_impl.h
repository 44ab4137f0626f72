/* The batch engine's parts, shared by group.c (what waits) and batch.c (what is sent). */
#ifndef TB_STORE_BATCH_IMPL_H
#define TB_STORE_BATCH_IMPL_H

#include "store/store_impl.h"

struct tb_batch;

enum { TB_GROUP_BUCKETS = 256 };

/* A product's function and the two statements made of its name. */
struct tb_function {
    struct tb_function *next;
    char *name;
    char *with_keys, *without_keys;
};

/* Calls that may travel together, in the order they came. */
struct tb_group {
    struct tb_group *next_in_bucket;
    struct tb_group *next; /* in the circle of those that have calls */
    const struct tb_function *function;
    int32_t book;
    bool keyed;
    struct tb_pending *first, **last;
    size_t n;
};

struct tb_batcher {
    struct tb_store *store;
    struct tb_function *functions;
    struct tb_group *buckets[TB_GROUP_BUCKETS];
    struct tb_group *circle, **circle_last;
    struct tb_batch *again; /* to be sent again, before anything new */
    struct tb_batch *idle;
    size_t queued, in_batches; /* calls */
};

/** Put a call at the end of its group; make the group if it is the first. */
void tb_group_add(struct tb_batcher *batcher, const char *function, int32_t book, bool keyed,
                  struct tb_pending *call);

/** The group whose turn it is, taken out of the circle; NULL when nothing waits. It has calls. */
struct tb_group *tb_group_next(struct tb_batcher *batcher);

/** Its first call, which leaves it. */
struct tb_pending *tb_group_take(struct tb_batcher *batcher, struct tb_group *group);

/** At the end of the circle again, or freed when it has no calls left. */
void tb_group_put_back(struct tb_batcher *batcher, struct tb_group *group);

/** Take a call out of the middle of its group, because nobody waits for it any more. */
void tb_group_leave(struct tb_batcher *batcher, struct tb_pending *call);

void tb_functions_free(struct tb_batcher *batcher);

#endif
