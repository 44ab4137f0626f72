/* Keys of plugins. Which there are is known only after the plugins are loaded, so what the file
 * says is kept as it stands until a plugin declares its keys; then it is checked and the values
 * settled. */
#include "base/assert.h"
#include "config/config_impl.h"
#include <string.h>

/* The key within plugin `name` that `path` names; NULL when it is another plugin's. */
static const char *key_within(struct tb_str path, const char *name)
{
    static const char head[] = "plugins.";
    size_t name_n = strlen(name), skipped = sizeof(head) - 1 + name_n;
    if (path.n <= skipped || memcmp(path.at + sizeof(head) - 1, name, name_n) != 0 ||
        path.at[skipped] != '.')
        return NULL;
    return path.at + skipped + 1;
}

/* The place of a key among the plugin's; keys_n when it has none of that name. */
static size_t find_key(const struct tb_config_declaration *plugin, const char *key)
{
    size_t i = 0;
    while (i < plugin->keys_n && strcmp(plugin->keys[i].key, key) != 0)
        i++;
    return i;
}

static const struct tb_config_declaration *find_plugin(const struct tb_config *config,
                                                       const char *name)
{
    const struct tb_config_declaration *plugin = config->more->declarations;
    while (plugin != NULL && strcmp(plugin->name, name) != 0)
        plugin = plugin->next;
    return plugin;
}

static void unknown_entry(const struct tb_config *config, const struct tb_config_entry *entry,
                          struct tb_str meant, struct tb_text *errors)
{
    tb_text_add_format(errors, "%s:%u:%u: unknown key ", config->more->name, (unsigned)entry->line,
                       (unsigned)entry->column);
    tb_text_add_json(errors, entry->path);
    if (meant.at != NULL) {
        tb_text_add(errors, TB_STR("; did you mean "));
        tb_text_add_json(errors, meant);
        tb_text_add_char(errors, '?');
    }
    tb_text_add_char(errors, '\n');
}

/* The plugin's key most like `key`. */
static struct tb_str nearest_within(const struct tb_config_declaration *plugin, const char *key,
                                    struct tb_arena *arena)
{
    struct tb_str *candidates = tb_arena_alloc(arena, plugin->keys_n * sizeof(*candidates));
    if (candidates == NULL)
        return TB_STR_NONE;
    for (size_t i = 0; i < plugin->keys_n; i++)
        candidates[i] = tb_str(plugin->keys[i].key);
    return tb_config_most_like(tb_str(key), candidates, plugin->keys_n);
}

/* Why a plugin may not have this name; NULL when it may. */
static const char *name_is_taken(const struct tb_config *config, const char *name)
{
    char room[TB_CONFIG_KEY_MAX];
    struct tb_text path;
    tb_text_init_fixed(&path, room, sizeof(room));
    tb_text_add_format(&path, "plugins.%s", name);
    struct tb_str section = tb_text_end(&path);
    if (section.at == NULL)
        return "is too long";
    if (tb_config_row(section) != NULL)
        return "is a configuration key";
    return find_plugin(config, name) != NULL ? "is already there" : NULL;
}

/* The value from the environment, else the default; a copy of the former, which putenv may change.
 */
static struct tb_str settle(const struct tb_config_more *more, const char *name,
                            const struct tb_config_key *key)
{
    char room[TB_CONFIG_KEY_MAX + 1];
    struct tb_text path;
    tb_text_init_fixed(&path, room, sizeof(room));
    tb_text_add_format(&path, "plugins.%s.%s", name, key->key);
    struct tb_str whole = tb_text_end(&path);
    struct tb_str value = whole.at == NULL ? TB_STR_NONE : tb_config_from_environment(whole.at);
    if (value.at == NULL)
        return tb_str(key->default_text);
    value.at = tb_arena_text(more->arena, value.at, value.n);
    return value;
}

static bool from_environment(const struct tb_config_key *key, struct tb_str value)
{
    return value.at != key->default_text;
}

bool tb_config_declare(const struct tb_config *config, const char *name,
                       const struct tb_config_key *keys, size_t keys_n, struct tb_text *errors)
{
    struct tb_config_more *more = config->more;
    const char *taken = name_is_taken(config, name);
    if (taken != NULL) {
        tb_text_add_format(errors, "a plugin cannot be called \"%s\": that %s\n", name, taken);
        return false;
    }
    struct tb_config_declaration *plugin = tb_arena_alloc(more->arena, sizeof(*plugin));
    struct tb_str *values = tb_arena_alloc(more->arena, keys_n * sizeof(*values));
    TB_ASSERT(plugin != NULL && values != NULL);
    *plugin = (struct tb_config_declaration){
        .next = more->declarations, .name = name, .keys = keys, .keys_n = keys_n, .values = values};
    more->declarations = plugin;
    for (size_t i = 0; i < keys_n; i++)
        values[i] = settle(more, name, &keys[i]);
    bool good = true;
    for (const struct tb_config_entry *entry = more->entries; entry != NULL; entry = entry->next) {
        const char *key = key_within(entry->path, name);
        size_t place = key == NULL ? 0 : find_key(plugin, key);
        if (key != NULL && place == keys_n) {
            unknown_entry(config, entry, nearest_within(plugin, key, errors->arena), errors);
            good = false;
        } else if (key != NULL && !from_environment(&keys[place], values[place])) {
            values[place] = entry->value;
        }
    }
    return good;
}

bool tb_config_declared(const struct tb_config *config, struct tb_text *errors)
{
    bool good = true;
    for (const struct tb_config_entry *entry = config->more->entries; entry != NULL;
         entry = entry->next) {
        const struct tb_config_declaration *plugin = config->more->declarations;
        while (plugin != NULL && key_within(entry->path, plugin->name) == NULL)
            plugin = plugin->next;
        if (plugin != NULL)
            continue;
        tb_text_add_format(errors, "%s:%u:%u: ", config->more->name, (unsigned)entry->line,
                           (unsigned)entry->column);
        tb_text_add_json(errors, entry->path);
        tb_text_add(errors, TB_STR(" belongs to a plugin that is not loaded\n"));
        good = false;
    }
    return good;
}

struct tb_str tb_config_plugin(const struct tb_config *config, const char *name, const char *key)
{
    const struct tb_config_declaration *plugin = find_plugin(config, name);
    size_t place = plugin == NULL ? 0 : find_key(plugin, key);
    return plugin == NULL || place == plugin->keys_n ? TB_STR_NONE : plugin->values[place];
}
