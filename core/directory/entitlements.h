/* The apps a worker has met: whether they may act, what they may use, and the rate limits agreed
 * with them. What is remembered is at most a second old, so a suspended app, a withdrawn
 * entitlement and a stopped interface are refused within a second on every worker. */
#ifndef TB_DIRECTORY_ENTITLEMENTS_H
#define TB_DIRECTORY_ENTITLEMENTS_H

#include "limit/limit.h"
#include "product/router.h"
#include <tongbao/req.h>

enum {
    TB_APPS_REMEMBERED = 4096,
    TB_ENTITLEMENTS_MAX = 10000, /**< of one app; directory.entitle refuses more */
};

struct tb_apps;

/** What is known of an app, for the operation that was asked about. */
struct tb_app {
    bool active;       /**< it and its partner */
    bool plain_tokens; /**< it may use tokens bound to nobody; counts in the sandbox only */
    const char *scope; /**< that its client has registered; NULL: it is none, and has no say */
    bool entitled;     /**< an entitlement for its world's environment covers the operation */
    const char
        *stopped; /**< why the bank has stopped the operation for everybody; NULL: it has not */
    const struct tb_limit_set *limits;
};

/** An empty memory. `standard` are the limits of an app that has none of its own, `operations` all
 * there are, by their index; both are borrowed. */
struct tb_apps *tb_apps_new(const struct tb_limit_set *standard,
                            struct tb_operation *const *operations, size_t operations_n);
void tb_apps_free(struct tb_apps *apps);

/** What is known of an app, for one operation.
 *  @return NULL; TB_E_NOT_ENTITLED (there is no such app any more); TB_E_STORE
 *  Waits: only for an app that is not remembered, or by the first to ask after a second; while the
 *  books are away what is remembered still counts. *out_app is valid until the caller's next wait.
 */
tb_err TB_NODISCARD TB_SUSPENDS tb_app_find(struct tb_req *req, struct tb_apps *apps,
                                            struct tb_str app, const struct tb_operation *operation,
                                            struct tb_app *out_app);

#endif
