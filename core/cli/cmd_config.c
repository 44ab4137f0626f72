/* tongbao config: what is set, where it comes from, what may be set. */
#include "cli/job.h"
#include <stdio.h>
#include <string.h>

enum { PAGE_CAP = 1024 * 1024 };

static int explain(struct tb_cli *cli)
{
    struct tb_config *config = NULL;
    if (tb_cli_option(cli, "explain") == NULL) {
        config = tb_command_config(cli);
        if (config == NULL)
            return TB_EXIT_FOUND;
    }
    struct tb_arena *arena = tb_arena_new(PAGE_CAP);
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_config_explain(config, cli->json, &text);
    struct tb_str page = tb_text_end(&text);
    fwrite(page.at, 1, page.n, stdout);
    tb_arena_free(arena);
    tb_config_free(config);
    return TB_EXIT_OK;
}

static const struct tb_option options[] = {
    {"explain", NULL, "every key with type, bounds, default and meaning; needs no file"},
    {.name = NULL},
};

const struct tb_command tb_command_config_show = {
    .name = "config",
    .summary = "check the configuration and show every value with its source",
    .options = options,
    .example = "tongbao config --explain",
    .run = explain,
};
