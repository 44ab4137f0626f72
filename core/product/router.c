/* The tree: each node is one path segment, either a fixed text or a parameter with its type;
 * siblings are few, so they are a list. A fixed sibling wins over a parameter. */
#include "product/router.h"
#include "base/assert.h"
#include "base/id.h"
#include "base/mem.h"
#include <stdio.h>

enum { METHODS_MAX = 8, ALLOW_BYTES = 64 };

struct node {
    char *text; /* fixed text, or the parameter's name */
    size_t n;
    char *prefix; /* parameter: prefix of the id it takes, NULL for any text */
    bool is_param;
    struct node *child, *sibling;
    const struct tb_operation *operations[METHODS_MAX];
    size_t operations_n;
    uint32_t flags; /* of its operations together */
    char allow[ALLOW_BYTES];
};

struct tb_router {
    struct node root;
    char why[256];
};

struct tb_router *tb_router_new(void)
{
    return tb_mem(sizeof(struct tb_router));
}

static struct node *node_new(const char *text, size_t n)
{
    struct node *node = tb_mem(sizeof(*node));
    const char *colon = n > 2 ? memchr(text, ':', n) : NULL;
    node->is_param = n > 2 && text[0] == '{' && text[n - 1] == '}';
    if (!node->is_param) {
        node->text = tb_mem_text(text, n);
        node->n = n;
        return node;
    }
    const char *end = colon != NULL ? colon : text + n - 1;
    node->n = (size_t)(end - text - 1);
    node->text = tb_mem_text(text + 1, node->n);
    if (colon != NULL)
        node->prefix = tb_mem_text(colon + 1, (size_t)(text + n - 1 - colon - 1));
    return node;
}

static bool same_segment(const struct node *a, const struct node *b)
{
    if (a->is_param != b->is_param)
        return false;
    if (!a->is_param)
        return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
    if ((a->prefix == NULL) != (b->prefix == NULL))
        return false;
    return a->prefix == NULL || strcmp(a->prefix, b->prefix) == 0;
}

static void node_free(struct node *node)
{
    tb_mem_free(node->text);
    tb_mem_free(node->prefix);
    tb_mem_free(node);
}

/* The child of `parent` for a segment, made when missing. Fixed texts stand before parameters. */
static struct node *child_for(struct node *parent, const char *segment, size_t n)
{
    struct node *fresh = node_new(segment, n);
    for (struct node *child = parent->child; child != NULL; child = child->sibling) {
        if (same_segment(child, fresh)) {
            node_free(fresh);
            return child;
        }
    }
    struct node **at = &parent->child;
    while (fresh->is_param && *at != NULL)
        at = &(*at)->sibling;
    fresh->sibling = *at;
    *at = fresh;
    return fresh;
}

/* Write the operation's name: the template without the types of its parameters. */
static bool write_key(struct tb_operation *operation)
{
    const struct tb_route *route = operation->route;
    size_t n = strlen(route->method);
    if (n + 1 + strlen(route->path) >= sizeof(operation->key))
        return false;
    memcpy(operation->key, route->method, n);
    operation->key[n++] = ' ';
    bool in_type = false;
    for (const char *c = route->path; *c != '\0'; c++) {
        if (*c == '}')
            in_type = false;
        else if (*c == ':')
            in_type = true;
        if (!in_type)
            operation->key[n++] = *c;
    }
    operation->key[n] = '\0';
    operation->key_n = n;
    return true;
}

static bool known_method(const char *method)
{
    static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (strcmp(method, known[i]) == 0)
            return true;
    return false;
}

static const char *refuse_route(struct tb_router *router, const struct tb_route *route,
                                const char *why)
{
    snprintf(router->why, sizeof(router->why), "route %s %s: %s", route->method, route->path, why);
    return router->why;
}

static const char *add_method(struct tb_router *router, struct node *node,
                              const struct tb_operation *operation)
{
    for (size_t i = 0; i < node->operations_n; i++)
        if (strcmp(node->operations[i]->route->method, operation->route->method) == 0)
            return refuse_route(router, operation->route, "declared twice");
    if (node->operations_n == METHODS_MAX)
        return refuse_route(router, operation->route, "too many methods on one path");
    const char *method = operation->route->method;
    size_t n = strlen(node->allow);
    snprintf(node->allow + n, sizeof(node->allow) - n, "%s%s%s", n == 0 ? "" : ", ", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
    node->operations[node->operations_n++] = operation;
    node->flags |= operation->route->flags |
                   (operation->route->scope != NULL ? TB_R_APP_ORIGINS : 0);
    return NULL;
}

const char *tb_router_add(struct tb_router *router, struct tb_operation *operation)
{
    const struct tb_route *route = operation->route;
    if (!known_method(route->method))
        return refuse_route(router, route, "unknown method");
    if (route->path[0] != '/')
        return refuse_route(router, route, "the path must begin with /");
    if (!write_key(operation))
        return refuse_route(router, route, "the path is too long");
    operation->writes = strcmp(route->method, "GET") != 0 && strcmp(route->method, "HEAD") != 0;
    struct node *node = &router->root;
    size_t params = 0, segments = 0;
    for (const char *at = route->path; *at != '\0';) {
        size_t n = strcspn(at + 1, "/");
        if (n == 0)
            return refuse_route(router, route, "empty path segment");
        node = child_for(node, at + 1, n);
        params += node->is_param;
        segments++;
        at += 1 + n;
    }
    if (params > TB_ROUTE_PARAMS_MAX || segments > TB_ROUTE_SEGMENTS_MAX)
        return refuse_route(router, route, "too many segments or parameters");
    return add_method(router, node, operation);
}

static bool takes(const struct node *node, struct tb_str segment)
{
    if (!node->is_param)
        return node->n == segment.n && memcmp(node->text, segment.at, segment.n) == 0;
    if (node->prefix != NULL)
        return tb_id_check(segment, node->prefix);
    return segment.n > 0;
}

/* The child that takes the segment; else the first that would if it were an id, noted as wrong. */
static const struct node *step(const struct node *node, struct tb_str segment,
                               struct tb_match *match)
{
    const struct node *found = NULL;
    bool fits = false;
    for (const struct node *child = node->child; child != NULL && !fits; child = child->sibling) {
        fits = takes(child, segment);
        if (fits || (found == NULL && child->is_param && segment.n > 0))
            found = child;
    }
    if (found == NULL || !found->is_param)
        return found;
    if (!fits && match->wrong == NULL) {
        match->wrong = found->text;
        match->wrong_prefix = found->prefix;
    }
    match->params[match->params_n++] = (struct tb_path_param){.name = found->text,
                                                              .value = segment};
    return found;
}

bool tb_router_find(const struct tb_router *router, struct tb_str method, struct tb_str path,
                    struct tb_match *out_match)
{
    const struct node *node = &router->root;
    const char *at = path.at, *end = path.at + path.n;
    out_match->params_n = 0;
    out_match->operation = NULL;
    out_match->wrong = NULL;
    if (path.n < 2 || *at != '/')
        return false;
    if (tb_str_eq(method, TB_STR("HEAD")))
        method = TB_STR("GET"); /* RFC 9110 §9.3.2: the same, and the server keeps the body back */
    while (at < end) {
        const char *segment = at + 1;
        const char *slash = memchr(segment, '/', (size_t)(end - segment));
        const char *stop = slash != NULL ? slash : end;
        if (out_match->params_n == TB_ROUTE_PARAMS_MAX)
            return false;
        node = step(node, (struct tb_str){segment, (size_t)(stop - segment)}, out_match);
        if (node == NULL)
            return false;
        at = stop;
    }
    if (node->operations_n == 0)
        return false;
    out_match->allow = node->allow;
    for (size_t i = 0; i < node->operations_n; i++)
        if (tb_str_eq(method, tb_str(node->operations[i]->route->method)))
            out_match->operation = node->operations[i];
    out_match->flags = out_match->operation == NULL ? node->flags
                                                    : out_match->operation->route->flags;
    return true;
}

/* Free the tree without recursion: hang each node's children behind its siblings, then walk. */
void tb_router_free(struct tb_router *router)
{
    if (router == NULL)
        return;
    struct node *list = router->root.child;
    while (list != NULL) {
        struct node *last = list;
        while (last->sibling != NULL)
            last = last->sibling;
        last->sibling = list->child;
        struct node *next = list->sibling;
        node_free(list);
        list = next;
    }
    tb_mem_free(router);
}
