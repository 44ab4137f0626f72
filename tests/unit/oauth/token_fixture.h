/* A counter of the authorization server: a fixture with books, worlds and a partner, clients, and
 * those who ask to be known as one of them. */
#ifndef TB_TESTS_COUNTER_H
#define TB_TESTS_COUNTER_H

#include "oauth/client/auth.h"
#include "oauth_fixture.h"

#define CLIENT "app_00000000000000000000000001"
#define NOBODY "app_0000000000000000000000000x" /* does not exist */

extern struct fixture fixture;
extern struct tb_arena *arena; /**< for what a test makes */

/** Set-up and tear-down of a group, and the set-up of a test: no clients. */
int counter_open(void **state);
int counter_close(void **state);
int counter_empty(void **state);

/** Make CLIENT in the sandbox, or in another world: "wld_2" is live.
 *  @param metadata  JSON text */
void add_client(const char *metadata);
void add_client_in(const char *world, const char *metadata);

/** A request to be authenticated. */
struct asking {
    struct visit visit; /**< first */
    char client[64];
};

struct asking asking_of(struct tb_str body);

/** Ask. @return "ok", which is always CLIENT, or the code of the error; a refusal that says its
 *  cause fails the test */
const char *ask(struct asking *asking);
const char *ask_with(struct tb_str body);

/** Start to ask: for many at once. */
void ask_start(struct asking *asking);

#endif
