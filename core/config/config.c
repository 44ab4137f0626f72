/* Loading: defaults, then the file, then the environment; and what a reload may change. */
#include "config/config.h"
#include "base/assert.h"
#include "config/config_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_ARENA = 8 * TB_CONFIG_FILE_MAX };

/* ---- loading ---- */

static struct tb_config *new_config(const char *name)
{
    size_t rows_n;
    const struct tb_config_row *rows = tb_config_rows(&rows_n);
    struct tb_arena *arena = tb_arena_new(CONFIG_ARENA);
    struct tb_config *config = tb_arena_alloc(arena, sizeof(*config));
    struct tb_config_more *more = tb_arena_alloc(arena, sizeof(*more));
    TB_ASSERT(config != NULL && more != NULL);
    more->arena = arena;
    more->name = tb_arena_text(arena, name, strlen(name));
    more->sources = tb_arena_alloc(arena, rows_n * sizeof(*more->sources));
    TB_ASSERT(more->name != NULL && more->sources != NULL);
    config->more = more;
    for (size_t i = 0; i < rows_n; i++)
        TB_ASSERT(tb_config_set(config, &rows[i], tb_str(rows[i].default_text)));
    return config;
}

void tb_config_free(struct tb_config *config)
{
    if (config != NULL)
        tb_arena_free(config->more->arena);
}

struct tb_str tb_config_from_environment(const char *key)
{
    char room[TB_CONFIG_KEY_MAX + sizeof("TB_")];
    struct tb_text variable;
    tb_text_init_fixed(&variable, room, sizeof(room));
    tb_config_variable(key, &variable);
    struct tb_str name = tb_text_end(&variable);
    return name.at == NULL ? TB_STR_NONE : tb_str(getenv(name.at));
}

static size_t read_environment(struct tb_config *config, struct tb_text *errors)
{
    size_t rows_n, wrong = 0;
    const struct tb_config_row *rows = tb_config_rows(&rows_n);
    for (size_t i = 0; i < rows_n; i++) {
        struct tb_str value = tb_config_from_environment(rows[i].key);
        if (value.at == NULL)
            continue;
        config->more->sources[i] = TB_CONFIG_FROM_ENVIRONMENT;
        if (tb_config_set(config, &rows[i], value))
            continue;
        wrong++;
        tb_config_variable(rows[i].key, errors);
        tb_text_add(errors, TB_STR(" in the environment must be "));
        tb_config_expects(&rows[i], errors);
        tb_text_add_char(errors, '\n');
    }
    return wrong;
}

/* What no value says alone: a setting that another one makes void is refused, not passed over. */
static size_t check_together(const struct tb_config *config, struct tb_text *errors)
{
    const struct {
        bool wrong;
        const char *why;
    } rules[] = {
        {config->limits_body_bytes > config->limits_body_max_bytes,
         "limits.body must not be larger than limits.body_max"},
        {config->limits_body_max_bytes > config->guard_connection_body_bytes,
         "guard.connection_body must have room for a body of limits.body_max"},
    };
    size_t wrong = 0;
    for (size_t i = 0; i < TB_COUNT(rules); i++) {
        if (!rules[i].wrong)
            continue;
        tb_text_add_format(errors, "%s\n", rules[i].why);
        wrong++;
    }
    return wrong;
}

struct tb_config *tb_config_parse(const char *name, struct tb_str yaml, struct tb_text *errors)
{
    struct tb_config *config = new_config(name);
    size_t wrong = 0;
    if (yaml.n > TB_CONFIG_FILE_MAX) {
        tb_text_add_format(errors, "%s: larger than 1 MiB\n", name);
        wrong++;
    } else if (yaml.n > 0) {
        wrong += tb_config_read(config, yaml, errors);
    }
    wrong += read_environment(config, errors);
    if (wrong == 0)
        wrong += check_together(config, errors);
    if (wrong == 0)
        return config;
    tb_config_free(config);
    return NULL;
}

/* The content of a file, with one byte more than is allowed at most. @return false with errno */
static bool read_whole(const char *path, struct tb_arena *arena, struct tb_str *out)
{
    const size_t room = TB_CONFIG_FILE_MAX + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *at = fd < 0 ? NULL : tb_arena_raw(arena, room);
    ssize_t got = 1;
    size_t n = 0;
    while (at != NULL && got > 0 && n < room) {
        got = read(fd, at + n, room - n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            n += (size_t)got;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    *out = (struct tb_str){at, n};
    return at != NULL && got >= 0;
}

struct tb_config *tb_config_load(const char *path, struct tb_text *errors)
{
    if (path == NULL)
        return tb_config_parse("defaults", TB_STR_NONE, errors);
    struct tb_config *config = NULL;
    struct tb_arena *arena = tb_arena_new(2 * TB_CONFIG_FILE_MAX);
    struct tb_str yaml;
    if (read_whole(path, arena, &yaml)) {
        config = tb_config_parse(path, yaml, errors);
    } else {
        const char *why = errno == ENOENT   ? "there is no such file"
                          : errno == EACCES ? "may not be read"
                                            : "cannot be read";
        tb_text_add_format(errors, "%s: %s\n", path, why);
    }
    tb_arena_free(arena);
    return config;
}
