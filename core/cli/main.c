/* The binary: every command there is, and nothing else. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>
#include <tongbao/types.h>

#define TB_COMMAND(symbol) extern const struct tb_command tb_command_##symbol;
#include "cli/commands.def"
#undef TB_COMMAND

static const struct tb_command *const commands[] = {
#define TB_COMMAND(symbol) &tb_command_##symbol,
#include "cli/commands.def"
#undef TB_COMMAND
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tongbao %s\n", TB_VERSION);
        return TB_EXIT_OK;
    }
    return tb_command_main(commands, TB_COUNT(commands), argc, argv);
}
