/* Calls that wait, in groups of the same function and book. Groups that have calls stand in a
 * circle; a group is made by its first call and goes with its last, since books may be many. */
#include "base/assert.h"
#include "base/mem.h"
#include "store/batch_impl.h"
#include <stdio.h>
#include <string.h>

/* ---- functions ---- */

static bool is_qualified_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t schema = strspn(name, letters);
    size_t verb = name[schema] == '.' ? strspn(name + schema + 1, letters) : 0;
    return schema > 0 && verb > 0 && name[schema + 1 + verb] == '\0';
}

static char *make_sql(const char *format, const char *name)
{
    char sql[512];
    int n = snprintf(sql, sizeof(sql), format, name);
    TB_ASSERT(n > 0 && (size_t)n < sizeof(sql));
    return tb_mem_text(sql, (size_t)n);
}

static const struct tb_function *function_of(struct tb_batcher *batcher, const char *name)
{
    for (struct tb_function *f = batcher->functions; f != NULL; f = f->next)
        if (strcmp(f->name, name) == 0)
            return f;
    TB_ASSERT(is_qualified_name(name));
    struct tb_function *f = tb_mem(sizeof(*f));
    f->name = tb_mem_text(name, strlen(name));
    f->with_keys = make_sql("select a.* from tb.begin($1, $2) b, lateral tb.finish($1, b.fresh,"
                            " b.answered, b.twins, array(select x from %s($1, b.fresh) x)) a",
                            name);
    f->without_keys = make_sql("select a.* from %s($1, tb.calls($2)) a", name);
    f->next = batcher->functions;
    batcher->functions = f;
    return f;
}

/* ---- groups ---- */

static struct tb_group **bucket_of(struct tb_batcher *batcher, const struct tb_function *function,
                                   int32_t book)
{
    uintptr_t mix = (uintptr_t)function / 16 + (uintptr_t)(uint32_t)book * 0x9e3779b1u;
    return &batcher->buckets[(mix ^ mix >> 16) % TB_GROUP_BUCKETS];
}

static struct tb_group *group_of(struct tb_batcher *batcher, const char *name, int32_t book,
                                 bool keyed)
{
    const struct tb_function *function = function_of(batcher, name);
    struct tb_group **bucket = bucket_of(batcher, function, book);
    for (struct tb_group *g = *bucket; g != NULL; g = g->next_in_bucket)
        if (g->function == function && g->book == book && g->keyed == keyed)
            return g;
    struct tb_group *g = tb_mem(sizeof(*g));
    g->function = function;
    g->book = book;
    g->keyed = keyed;
    g->last = &g->first;
    g->next_in_bucket = *bucket;
    *bucket = g;
    return g;
}

static void append_to_circle(struct tb_batcher *batcher, struct tb_group *group)
{
    group->next = NULL;
    *batcher->circle_last = group;
    batcher->circle_last = &group->next;
}

void tb_group_add(struct tb_batcher *batcher, const char *function, int32_t book, bool keyed,
                  struct tb_pending *call)
{
    struct tb_group *group = group_of(batcher, function, book, keyed);
    call->group = group;
    call->next = NULL;
    call->queued_ms = tb_loop_now_ms(batcher->store->loop);
    *group->last = call;
    group->last = &call->next;
    if (group->n++ == 0)
        append_to_circle(batcher, group);
    batcher->queued++;
    tb_pool_watch(batcher->store);
}

static void drop_group(struct tb_batcher *batcher, struct tb_group *group)
{
    struct tb_group **at = bucket_of(batcher, group->function, group->book);
    while (*at != group)
        at = &(*at)->next_in_bucket;
    *at = group->next_in_bucket;
    tb_mem_free(group);
}

struct tb_pending *tb_group_take(struct tb_batcher *batcher, struct tb_group *group)
{
    struct tb_pending *call = group->first;
    group->first = call->next;
    if (group->first == NULL)
        group->last = &group->first;
    group->n--;
    batcher->queued--;
    call->next = NULL;
    call->group = NULL;
    return call;
}

struct tb_group *tb_group_next(struct tb_batcher *batcher)
{
    struct tb_group *group = batcher->circle;
    if (group == NULL)
        return NULL;
    batcher->circle = group->next;
    if (batcher->circle == NULL)
        batcher->circle_last = &batcher->circle;
    return group;
}

void tb_group_put_back(struct tb_batcher *batcher, struct tb_group *group)
{
    if (group->n > 0)
        append_to_circle(batcher, group);
    else
        drop_group(batcher, group);
}

void tb_group_leave(struct tb_batcher *batcher, struct tb_pending *call)
{
    struct tb_group *group = call->group;
    struct tb_pending **at = &group->first;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (group->last == &call->next)
        group->last = at;
    group->n--;
    batcher->queued--;
    if (group->n > 0)
        return;
    struct tb_group **in_circle = &batcher->circle;
    while (*in_circle != group)
        in_circle = &(*in_circle)->next;
    *in_circle = group->next;
    if (batcher->circle_last == &group->next)
        batcher->circle_last = in_circle;
    drop_group(batcher, group);
}

void tb_functions_free(struct tb_batcher *batcher)
{
    for (struct tb_function *f = batcher->functions, *next; f != NULL; f = next) {
        next = f->next;
        tb_mem_free(f->name);
        tb_mem_free(f->with_keys);
        tb_mem_free(f->without_keys);
        tb_mem_free(f);
    }
}
