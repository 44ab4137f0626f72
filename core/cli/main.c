/* The binary: the command line, and nothing else. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    size_t commands_n;
    const struct tb_command *const *commands = tb_commands(&commands_n);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tongbao %s\n", TB_VERSION);
        return TB_EXIT_OK;
    }
    return tb_command_main(commands, commands_n, argc, argv);
}
