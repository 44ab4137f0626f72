/* What tests of batched calls stand on: a cluster with the store's migrations and the functions t.*
 * of calls_fixture.c, and a cast of actors that call them. */
#ifndef TB_TESTS_CALLS_FIXTURE_H
#define TB_TESTS_CALLS_FIXTURE_H

#include "store_fixture.h"

enum { MANY = 400 };
extern struct stage stage;
extern struct actor actors[MANY];

/** The group's cluster. */
int calls_set_up(void **state);
int calls_tear_down(void **state);

/** Before each test: no things, no keys. */
int calls_clean(void **state);

/** Fill the body of an actor, {"v": v, "do": what}, and clear the rest. */
struct actor *cast(size_t i, const char *key, const char *what, long v);

/** How many effects calls have had. */
long long things(void);

/** Take turns until so many calls are on their way to the server. */
void until_sent(size_t n);

#endif
