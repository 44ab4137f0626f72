/* The smallest product: one route, no database. `tongbao plugin new` starts from what stands here;
 * docs/plugin-guide.md walks through it. */
#include <tongbao/tongbao.h>

/* GET /example/v1/ping */
static tb_err ping(struct tb_req *req)
{
    return tb_reply(req, 200, TB_STR("{\"pong\":true}"));
}

static const struct tb_route routes[] = {
    {
        .method = "GET",
        .path = "/example/v1/ping",
        .scope = "example:read",
        .level = TB_A1,
        .reply_schema = "pong",
        .handler = ping,
        .summary = "Answer that the gateway, the token and the plugin work.",
    },
};

TB_PLUGIN = {
    TB_PLUGIN_HEAD,     .name = "example",        .version = "1.0.0",
    .title = "Example", TB_TABLE(routes, routes),
};
