/* A wire that can be cut: stands between the store and PostgreSQL and loses answers when told to.
 */
#ifndef TB_TESTS_PROXY_H
#define TB_TESTS_PROXY_H

#include "pg.h"

struct proxy;

/** Listen on a socket of its own and pass everything on to `pg`. */
struct proxy *proxy_new(const struct pg *pg);
void proxy_free(struct proxy *proxy);

/** The connection string that leads through the proxy. */
const char *proxy_dsn(const struct proxy *proxy);

/** From now on: the next statement that contains `text` is passed on whole, but of its answer
 * nothing comes back; when the server has answered, both ends are cut. Happens `times` times. */
void proxy_lose_answer(struct proxy *proxy, const char *text, int times);

/** From now on nothing is passed on in either direction, without closing anything. */
void proxy_freeze(struct proxy *proxy, bool frozen);

#endif
