/* One authorization server in a process, so one variable holds it. */
#include "oauth/server.h"
#include "base/assert.h"
#include "runtime/run.h"

static struct tb_oauth_parts the_parts;

void tb_oauth_open(const struct tb_oauth_parts *parts)
{
    the_parts = *parts;
}

const struct tb_oauth_parts *tb_oauth(void)
{
    TB_ASSERT(the_parts.config != NULL);
    return &the_parts;
}

int64_t tb_oauth_now_s(struct tb_req *req)
{
    return tb_loop_wall_ms(tb_run_of(req)->loop) / 1000;
}
