/* Between the files of the configuration. */
#ifndef TB_CONFIG_CONFIG_IMPL_H
#define TB_CONFIG_CONFIG_IMPL_H

#include "config/config.h"

enum {
    TB_CONFIG_KEY_MAX = 128,      /**< bytes of a key with its sections */
    TB_CONFIG_FILE_MAX = 1 << 20, /**< bytes of a file */
    TB_CONFIG_PLUGIN_KEYS = 1024, /**< keys of plugins in one file */
    TB_CONFIG_ERRORS = 32,        /**< errors told of one file */
};

/** Where a value came from: a line of the file, or one of these. */
enum { TB_CONFIG_FROM_DEFAULT = 0, TB_CONFIG_FROM_ENVIRONMENT = -1 };

/** A key below plugins.<name>. in the file. */
struct tb_config_entry {
    struct tb_config_entry *next;
    struct tb_str path;  /**< whole key, NUL-terminated */
    struct tb_str value; /**< NUL-terminated */
    uint32_t line, column;
};

/** A plugin that has declared its keys. */
struct tb_config_declaration {
    struct tb_config_declaration *next;
    const char *name;
    const struct tb_config_key *keys;
    size_t keys_n;
    struct tb_str *values; /**< for each key */
};

struct tb_config_more {
    struct tb_arena *arena;
    const char *name; /**< of the file, for errors */
    int32_t *sources; /**< for each row */
    struct tb_config_entry *entries;
    size_t entries_n;
    struct tb_config_declaration *declarations;
};

/** The row of `key`; NULL when there is none. */
const struct tb_config_row *tb_config_row(struct tb_str key);

/** Whether some row's key, or a plugin's, lies below section `path` (NUL-terminated). */
bool tb_config_is_section(struct tb_str path);

/** The name of the environment variable of a key: "listen.port" gives "TB_LISTEN_PORT". */
void tb_config_variable(const char *key, struct tb_text *out);

/** The environment's value for a key; absent when it has none. */
struct tb_str tb_config_from_environment(const char *key);

/** Of `n` candidates the one most like `key`, absent when none is near enough to be meant. */
struct tb_str tb_config_most_like(struct tb_str key, const struct tb_str *candidates, size_t n);

/** Set the member of `row` from text as in a file (a list: joined with ','). @return false, and
 * nothing set, when it does not fit type and bounds */
bool tb_config_set(struct tb_config *config, const struct tb_config_row *row, struct tb_str text);

/** The same for a list. `items` are copied. */
bool tb_config_set_list(struct tb_config *config, const struct tb_config_row *row,
                        const struct tb_str *items, size_t n);

/** What the row takes: "a whole number from 0 to 65535". */
void tb_config_expects(const struct tb_config_row *row, struct tb_text *out);

/** The value as it would stand in a file (a list: joined with ", "). */
void tb_config_show(const struct tb_config *config, const struct tb_config_row *row,
                    struct tb_text *out);

/** Read `yaml` into the configuration, a line in `errors` for each error. @return how many */
size_t tb_config_read(struct tb_config *config, struct tb_str yaml, struct tb_text *errors);

#endif
