/* From method and path to the operation that serves them. The tables of all products are compiled
 * once into a tree of path segments; a lookup walks the path once, allocates nothing, and tells an
 * unknown path (404) from a known one that does not take the method (405 and Allow). */
#ifndef TB_PRODUCT_ROUTER_H
#define TB_PRODUCT_ROUTER_H

#include "store/batch.h"
#include <stdbool.h>
#include <tongbao/plugin.h>

struct tb_schema;
struct tb_router;

enum {
    TB_ROUTE_PARAMS_MAX = 6,    /**< parameters in one path */
    TB_ROUTE_SEGMENTS_MAX = 16, /**< segments of one path */
    TB_ROUTE_KEY_BYTES = 128,   /**< "METHOD /path/{template}" */
};

/** A route as it is served: what the product declared and what the host made of it. */
struct tb_operation {
    const struct tb_plugin *plugin;
    const struct tb_route *route;
    const struct tb_schema *body_schema;  /**< NULL: no body */
    const struct tb_schema *reply_schema; /**< NULL: not declared */
    char key[TB_ROUTE_KEY_BYTES];         /**< names the operation: keys, metrics, logs */
    size_t key_n;
    bool writes;     /**< anything but GET and HEAD */
    uint32_t index;  /**< 0..TB_OPERATIONS_MAX - 1, its place among the operations of this worker */
    uint32_t metric; /**< the number it is counted under */
};

/** What a path leads to. The values of the parameters point into the path that was looked up. */
struct tb_match {
    const struct tb_operation *operation; /**< NULL: the path is known, the method is not */
    struct tb_path_param params[TB_ROUTE_PARAMS_MAX]; /**< values point into the path looked up */
    size_t params_n;
    const char *wrong;        /**< a parameter whose value is no id of its type; NULL: none is */
    const char *wrong_prefix; /**< what that type's ids begin with */
    const char *allow;        /**< methods of the path, "GET, POST" */
    uint32_t flags; /**< of the operation; of all the path's together when the method is unknown */
};

struct tb_router *tb_router_new(void);
void tb_router_free(struct tb_router *router);

/** Add an operation; it must outlive the router. Fills its `key`.
 *  @return NULL, or a sentence (static or inside the router) saying why it is refused: duplicate,
 * bad template, too many parameters */
const char *tb_router_add(struct tb_router *router, struct tb_operation *operation);

/** Find the operation for a method and a path. A path with a parameter that is not of its type is
 *  known, too, and out_match->wrong names the parameter: who asked is to learn that this is no id.
 *  @return true when the path is known; then *out_match is filled */
bool tb_router_find(const struct tb_router *router, struct tb_str method, struct tb_str path,
                    struct tb_match *out_match);

#endif
