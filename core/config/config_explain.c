/* The table as people and programs read it: `tongbao config --explain`. */
#include "config/config_impl.h"
#include <string.h>

static const char *const type_names[] = {
    [TB_CONFIG_TYPE_INT] = "int",     [TB_CONFIG_TYPE_DURATION] = "duration",
    [TB_CONFIG_TYPE_BYTES] = "bytes", [TB_CONFIG_TYPE_BOOL] = "bool",
    [TB_CONFIG_TYPE_ENUM] = "enum",   [TB_CONFIG_TYPE_TEXT] = "text",
    [TB_CONFIG_TYPE_LIST] = "list",
};

static void add_value(const struct tb_config *config, const struct tb_config_row *row,
                      struct tb_text *out)
{
    if ((row->flags & TB_CONFIG_SECRET) != 0)
        tb_text_add(out, TB_STR("[redacted]"));
    else
        tb_config_show(config, row, out);
}

static const char *source_name(int32_t source)
{
    return source == TB_CONFIG_FROM_ENVIRONMENT ? "environment"
           : source == TB_CONFIG_FROM_DEFAULT   ? "default"
                                                : "file";
}

/* ---- for people ---- */

static void explain_row(const struct tb_config *config, const struct tb_config_row *row,
                        int32_t source, struct tb_text *out)
{
    tb_text_add(out, tb_str(row->key));
    if (config != NULL) {
        tb_text_add(out, TB_STR(": "));
        add_value(config, row, out);
        tb_text_add_format(out, "   (%s", source_name(source));
        if (source > 0)
            tb_text_add_format(out, " line %d", (int)source);
        tb_text_add_char(out, ')');
    }
    tb_text_add(out, TB_STR("\n    "));
    tb_text_add(out, tb_str(row->doc));
    tb_text_add(out, TB_STR("\n    Takes "));
    tb_config_expects(row, out);
    tb_text_add(out, TB_STR("; default "));
    tb_text_add(out, row->default_text[0] == '\0' ? TB_STR("empty") : tb_str(row->default_text));
    tb_text_add(out, (row->flags & TB_CONFIG_RELOAD) != 0 ? TB_STR("; changes with a reload; ")
                                                          : TB_STR("; changes with a restart; "));
    tb_config_variable(row->key, out);
    tb_text_add(out, TB_STR(".\n\n"));
}

static void explain_plugin(const struct tb_config_declaration *plugin, struct tb_text *out)
{
    for (size_t i = 0; i < plugin->keys_n; i++) {
        tb_text_add_format(out, "plugins.%s.%s: ", plugin->name, plugin->keys[i].key);
        tb_text_add(out, plugin->values[i]);
        tb_text_add(out, TB_STR("\n    "));
        tb_text_add(out, tb_str(plugin->keys[i].doc));
        tb_text_add(out, TB_STR("\n\n"));
    }
}

/* ---- JSON ---- */

static void add_name(struct tb_text *out, const char *name)
{
    if (out->n > 0 && out->at[out->n - 1] != '{')
        tb_text_add_char(out, ',');
    tb_text_add_json(out, tb_str(name));
    tb_text_add_char(out, ':');
}

static void add_member(struct tb_text *out, const char *name, struct tb_str value)
{
    add_name(out, name);
    tb_text_add_json(out, value);
}

/* A text that `write` makes, as a JSON string. */
static void add_made(struct tb_text *out, const char *name, const struct tb_config *config,
                     const struct tb_config_row *row,
                     void (*write)(const struct tb_config *, const struct tb_config_row *,
                                   struct tb_text *))
{
    struct tb_text made;
    tb_text_init(&made, out->arena);
    write(config, row, &made);
    add_member(out, name, tb_text_end(&made));
}

static void write_expects(const struct tb_config *config, const struct tb_config_row *row,
                          struct tb_text *out)
{
    (void)config;
    tb_config_expects(row, out);
}

static void write_variable(const struct tb_config *config, const struct tb_config_row *row,
                           struct tb_text *out)
{
    (void)config;
    tb_config_variable(row->key, out);
}

static void json_row(const struct tb_config *config, const struct tb_config_row *row,
                     int32_t source, struct tb_text *out)
{
    tb_text_add_char(out, '{');
    add_member(out, "key", tb_str(row->key));
    add_member(out, "type", tb_str(type_names[row->type]));
    add_made(out, "takes", config, row, write_expects);
    add_member(out, "default", tb_str(row->default_text));
    add_made(out, "environment", config, row, write_variable);
    if (config != NULL) {
        add_made(out, "value", config, row, add_value);
        add_member(out, "source", tb_str(source_name(source)));
    }
    if (config != NULL && source > 0) {
        add_name(out, "line");
        tb_text_add_int(out, source);
    }
    add_name(out, "reload");
    tb_text_add(out, (row->flags & TB_CONFIG_RELOAD) != 0 ? TB_STR("true") : TB_STR("false"));
    add_member(out, "doc", tb_str(row->doc));
    tb_text_add_char(out, '}');
}

void tb_config_explain(const struct tb_config *config, bool json, struct tb_text *out)
{
    size_t rows_n;
    const struct tb_config_row *rows = tb_config_rows(&rows_n);
    for (size_t i = 0; i < rows_n; i++) {
        int32_t source = config == NULL ? TB_CONFIG_FROM_DEFAULT : config->more->sources[i];
        if (json)
            tb_text_add_char(out, i == 0 ? '[' : ',');
        if (json)
            json_row(config, &rows[i], source, out);
        else
            explain_row(config, &rows[i], source, out);
    }
    if (json)
        tb_text_add(out, TB_STR("]\n"));
    const struct tb_config_declaration *plugin = config == NULL || json
                                                     ? NULL
                                                     : config->more->declarations;
    for (; plugin != NULL; plugin = plugin->next)
        explain_plugin(plugin, out);
}
