/* Configuration: one table (config.def) gives every key its type, bounds, default and meaning. From
 * it come the parser, `struct tb_config`, `tongbao config --explain` and docs/configuration.md.
 *
 * A value is looked for in the environment (TB_LISTEN_PORT for listen.port), then in the file
 * (YAML), then in the table. Whatever the table does not know is an error that names line and
 * column and the nearest known key: a misspelt limit must not become an unlimited one.
 *
 *     struct tb_config *config = tb_config_load("/etc/tongbao.yaml", &errors);
 *     if (config == NULL)
 *         …                                  // one line per error in `errors`
 *     listen_on(config->listen_host, config->listen_port);
 */
#ifndef TB_CONFIG_CONFIG_H
#define TB_CONFIG_CONFIG_H

#include "base/text.h"
#include <stdbool.h>
#include <stdint.h>
#include <tongbao/plugin.h>
#include <tongbao/types.h>

/** A list of texts. */
struct tb_config_list {
    const char *const *items;
    size_t n;
};

/** log.access: what the access log tells of. */
enum tb_log_access { TB_ACCESS_ALL, TB_ACCESS_WRITES, TB_ACCESS_NONE };

struct tb_config_more;

/** The values. One member for each row of config.def: times in ms, sizes in bytes, an enum as the
 * place of its word in the row's list, a text never NULL ("" when not set). Read-only after
 * loading. */
struct tb_config {
    struct tb_config_more *more; /**< memory, sources and the plugins' keys */
#define TB_CONFIG_INT(member, ...)      int64_t member;
#define TB_CONFIG_DURATION(member, ...) int64_t member;
#define TB_CONFIG_BYTES(member, ...)    int64_t member;
#define TB_CONFIG_BOOL(member, ...)     bool member;
#define TB_CONFIG_ENUM(member, ...)     int32_t member;
#define TB_CONFIG_TEXT(member, ...)     const char *member;
#define TB_CONFIG_LIST(member, ...)     struct tb_config_list member;
#include "config/config.def"
};

enum tb_config_type {
    TB_CONFIG_TYPE_INT,
    TB_CONFIG_TYPE_DURATION,
    TB_CONFIG_TYPE_BYTES,
    TB_CONFIG_TYPE_BOOL,
    TB_CONFIG_TYPE_ENUM,
    TB_CONFIG_TYPE_TEXT,
    TB_CONFIG_TYPE_LIST,
};

/** What a change needs, and what may be shown. */
enum {
    TB_CONFIG_RESTART = 0,     /**< takes effect at a restart only */
    TB_CONFIG_RELOAD = 1 << 0, /**< takes effect with the next generation (SIGHUP) */
    TB_CONFIG_SECRET = 1 << 1, /**< the value may hold a password: never shown */
};

/** A row of the table. */
struct tb_config_row {
    const char *key; /**< path in the file, parts joined with '.' */
    enum tb_config_type type;
    size_t offset;            /**< of the member in struct tb_config */
    const char *default_text; /**< as it would stand in the file; a list is joined with ',' */
    int64_t min, max;         /**< number: value; text: bytes; list: items */
    const char *words;        /**< enum: "all|writes|none", else NULL */
    unsigned flags;
    const char *doc;
};

/** All rows in the order of the documents. */
const struct tb_config_row *tb_config_rows(size_t *out_n);

/** Load `path` (NULL: defaults and environment only).
 *  @param errors  gets one line "path:line:column: what" for each error; must have an arena
 *  @return NULL when there were errors; to be freed with tb_config_free
 *  Waits: for the disk. */
struct tb_config *tb_config_load(const char *path, struct tb_text *errors);

/** The same from text in memory; `name` stands for the path in errors. */
struct tb_config *tb_config_parse(const char *name, struct tb_str yaml, struct tb_text *errors);

void tb_config_free(struct tb_config *config);

/* ---- keys of plugins: plugins.<name>.<key> ---- */

/** Declare the keys of a plugin and check what the file says about it. To be called once for each
 *  plugin after loading it; `name` and `keys` must outlive the configuration.
 *  @param errors  gets a line for each error; must have an arena
 *  @return false when the file has a key the plugin does not have, or the name is taken */
bool TB_NODISCARD tb_config_declare(const struct tb_config *config, const char *name,
                                    const struct tb_config_key *keys, size_t keys_n,
                                    struct tb_text *errors);

/** After all plugins are declared: false, with lines in `errors`, when the file has keys of a
 * plugin that is not there. */
bool TB_NODISCARD tb_config_declared(const struct tb_config *config, struct tb_text *errors);

/** The value of a plugin's key: from the environment (TB_PLUGINS_<NAME>_<KEY>), the file or the
 *  plugin's default; absent when it has declared no such key. NUL-terminated; lives as long as the
 *  configuration. */
struct tb_str tb_config_plugin(const struct tb_config *config, const char *name, const char *key);

/* ---- telling ---- */

/** Every key with its value, where that comes from, default, bounds and meaning, for people or as a
 *  JSON array. `config` NULL: the table alone. */
void tb_config_explain(const struct tb_config *config, bool json, struct tb_text *out);

/** The known key (or, when `key` names a section, the section) most like `key` by edit distance;
 * absent when none is near. */
struct tb_str tb_config_nearest(struct tb_str key);

#endif
