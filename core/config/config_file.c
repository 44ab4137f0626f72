/* Reading the YAML file: a walk over libyaml's events with the path of where it is. Only what a
 * table of keys needs is accepted: mappings, scalars and lists of scalars. Anchors, aliases and
 * tags are refused, which is also what keeps a small file from growing into a large document.
 * Errors of meaning are collected, errors of form end the reading. */
#include "config/config_impl.h"
#include <string.h>
#include <yaml.h>

enum { SECTIONS_DEEP = 8, SECTIONS = 256 };

struct reader {
    struct tb_config *config;
    struct tb_text *errors;
    size_t errors_n;
    bool over; /**< nothing more is to be read */
    yaml_parser_t parser;
    yaml_event_t event;
    char path[TB_CONFIG_KEY_MAX + 1]; /**< of the value that is read, NUL-terminated */
    size_t path_n;
    size_t outer[SECTIONS_DEEP]; /**< bytes of `path` that name each open section */
    size_t depth;                /**< open sections, the whole file being the first */
    yaml_mark_t key_mark;
    const char *sections[SECTIONS]; /**< opened so far, to refuse a second one */
    size_t sections_n;
};

static struct tb_str path_of(const struct reader *reader)
{
    return (struct tb_str){reader->path, reader->path_n};
}

/* ---- errors ---- */

static void begin_error(struct reader *reader, yaml_mark_t mark)
{
    reader->errors_n++;
    if (reader->errors_n >= TB_CONFIG_ERRORS)
        reader->over = true;
    tb_text_add_format(reader->errors, "%s:%zu:%zu: ", reader->config->more->name, mark.line + 1,
                       mark.column + 1);
}

static void end_error(struct reader *reader)
{
    tb_text_add_char(reader->errors, '\n');
}

static void error_at(struct reader *reader, yaml_mark_t mark, const char *what)
{
    begin_error(reader, mark);
    tb_text_add(reader->errors, tb_str(what));
    end_error(reader);
}

/* An error of form: what follows cannot be understood. */
static void give_up(struct reader *reader, yaml_mark_t mark, const char *what)
{
    error_at(reader, mark, what);
    reader->over = true;
}

static void add_quoted(struct tb_text *text, struct tb_str word)
{
    enum { SHOWN = 64 };
    tb_text_add_json(text, (struct tb_str){word.at, word.n < SHOWN ? word.n : SHOWN});
    if (word.n > SHOWN)
        tb_text_add(text, TB_STR("..."));
}

static void unknown_key(struct reader *reader, const char *kind)
{
    struct tb_str meant = tb_config_nearest(path_of(reader));
    begin_error(reader, reader->key_mark);
    tb_text_add_format(reader->errors, "unknown %s ", kind);
    add_quoted(reader->errors, path_of(reader));
    if (meant.at != NULL) {
        tb_text_add(reader->errors, TB_STR("; did you mean "));
        add_quoted(reader->errors, meant);
        tb_text_add_char(reader->errors, '?');
    }
    end_error(reader);
}

static void wrong_value(struct reader *reader, yaml_mark_t mark, const struct tb_config_row *row,
                        struct tb_str got)
{
    begin_error(reader, mark);
    add_quoted(reader->errors, path_of(reader));
    tb_text_add(reader->errors, TB_STR(" takes "));
    tb_config_expects(row, reader->errors);
    if (got.at != NULL && (row->flags & TB_CONFIG_SECRET) == 0) {
        tb_text_add(reader->errors, TB_STR(", not "));
        add_quoted(reader->errors, got);
    }
    end_error(reader);
}

static void set_twice(struct reader *reader, int32_t first_line)
{
    begin_error(reader, reader->key_mark);
    add_quoted(reader->errors, path_of(reader));
    tb_text_add_format(reader->errors, " is set twice, first on line %d", (int)first_line);
    end_error(reader);
}

/* ---- events ---- */

/* Take the next event; its scalar, if it is one, stays valid until the one after. */
static yaml_event_type_t next_event(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        const yaml_parser_t *parser = &reader->parser;
        bool marked = parser->error == YAML_SCANNER_ERROR || parser->error == YAML_PARSER_ERROR;
        give_up(reader, marked ? parser->problem_mark : parser->mark,
                parser->problem == NULL ? "is not YAML" : parser->problem);
        return YAML_NO_EVENT;
    }
    return reader->event.type;
}

static struct tb_str scalar_of(const yaml_event_t *event)
{
    return (struct tb_str){(const char *)event->data.scalar.value, event->data.scalar.length};
}

/* Anchors and tags, on whatever kind of node. */
static bool is_decorated(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

/* ---- values ---- */

static bool is_plain(const yaml_event_t *event)
{
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* Record the row's line; false when it was set before. */
static bool claim(struct reader *reader, const struct tb_config_row *row)
{
    size_t rows_n;
    int32_t *source = &reader->config->more->sources[row - tb_config_rows(&rows_n)];
    if (*source != TB_CONFIG_FROM_DEFAULT) {
        set_twice(reader, *source);
        return false;
    }
    *source = (int32_t)reader->key_mark.line + 1;
    return true;
}

/* A key below plugins.<name>.: kept until the plugin says what it takes. */
static void keep_for_plugin(struct reader *reader)
{
    struct tb_config_more *more = reader->config->more;
    struct tb_str value = scalar_of(&reader->event);
    for (const struct tb_config_entry *entry = more->entries; entry != NULL; entry = entry->next) {
        if (tb_str_eq(entry->path, path_of(reader))) {
            set_twice(reader, (int32_t)entry->line);
            return;
        }
    }
    struct tb_config_entry *entry = tb_arena_alloc(more->arena, sizeof(*entry));
    char *path = tb_arena_text(more->arena, reader->path, reader->path_n);
    char *kept = tb_arena_text(more->arena, value.at, value.n);
    if (entry == NULL || path == NULL || kept == NULL || more->entries_n == TB_CONFIG_PLUGIN_KEYS ||
        memchr(kept, '\0', value.n) != NULL) {
        give_up(reader, reader->key_mark, "too many keys of plugins, or a NUL in one");
        return;
    }
    *entry = (struct tb_config_entry){.next = more->entries,
                                      .path = {path, reader->path_n},
                                      .value = {kept, value.n},
                                      .line = (uint32_t)reader->key_mark.line + 1,
                                      .column = (uint32_t)reader->key_mark.column + 1};
    more->entries = entry;
    more->entries_n++;
}

/* plugins.<name>.<key>, with neither part empty. */
static bool is_of_plugin(const struct reader *reader)
{
    static const char head[] = "plugins.";
    const char *name = reader->path + sizeof(head) - 1;
    if (strncmp(reader->path, head, sizeof(head) - 1) != 0)
        return false;
    const char *dot = strchr(name, '.');
    return dot != NULL && dot > name && dot[1] != '\0';
}

static void take_scalar(struct reader *reader)
{
    const struct tb_config_row *row = tb_config_row(path_of(reader));
    struct tb_str value = scalar_of(&reader->event);
    bool plain = is_plain(&reader->event);
    if (row == NULL && is_of_plugin(reader)) {
        keep_for_plugin(reader);
        return;
    }
    if (row == NULL && tb_config_is_section(path_of(reader))) {
        error_at(reader, reader->key_mark, "this is a section: its keys stand below it");
        return;
    }
    if (row == NULL) {
        unknown_key(reader, "key");
        return;
    }
    bool quoted_number = !plain &&
                         (row->type == TB_CONFIG_TYPE_INT || row->type == TB_CONFIG_TYPE_BOOL);
    bool nothing = plain && (value.n == 0 || tb_str_eq(value, TB_STR("~")) ||
                             tb_str_eq(value, TB_STR("null")));
    if (!claim(reader, row))
        return;
    if (quoted_number || nothing || row->type == TB_CONFIG_TYPE_LIST ||
        !tb_config_set(reader->config, row, value))
        wrong_value(reader, reader->event.start_mark, row, nothing ? TB_STR("nothing") : value);
}

/* A list of scalars up to its end. */
static void take_list(struct reader *reader)
{
    enum { ITEMS = 256 };
    struct tb_str items[ITEMS];
    size_t n = 0;
    yaml_mark_t begin = reader->event.start_mark;
    const struct tb_config_row *row = tb_config_row(path_of(reader));
    if (row == NULL)
        unknown_key(reader, "key");
    bool ours = row != NULL && claim(reader, row);
    while (next_event(reader) == YAML_SCALAR_EVENT && !reader->over) {
        struct tb_str item = scalar_of(&reader->event);
        char *kept = NULL;
        if (n < ITEMS && !is_decorated(&reader->event))
            kept = tb_arena_text(reader->config->more->arena, item.at, item.n);
        if (kept == NULL) {
            give_up(reader, reader->event.start_mark, "too many items, or one with anchor or tag");
            return;
        }
        items[n++] = (struct tb_str){kept, item.n};
    }
    if (reader->over)
        return;
    if (reader->event.type != YAML_SEQUENCE_END_EVENT)
        give_up(reader, reader->event.start_mark, "a list holds texts only");
    else if (ours && (row->type != TB_CONFIG_TYPE_LIST ||
                      !tb_config_set_list(reader->config, row, items, n)))
        wrong_value(reader, begin, row, TB_STR_NONE);
}

/* ---- sections ---- */

/* Pass over a section that is not known, to its end. */
static void skip_section(struct reader *reader)
{
    for (size_t open = 1; open > 0 && !reader->over;) {
        yaml_event_type_t type = next_event(reader);
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
            open++;
        else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
            open--;
        if (open > SECTIONS_DEEP)
            give_up(reader, reader->event.start_mark, "nested too deep");
    }
}

static void open_section(struct reader *reader)
{
    if (reader->depth > 0) {
        const struct tb_config_row *row = tb_config_row(path_of(reader));
        if (row != NULL || !tb_config_is_section(path_of(reader))) {
            if (row != NULL)
                wrong_value(reader, reader->event.start_mark, row, TB_STR_NONE);
            else
                unknown_key(reader, "section");
            skip_section(reader);
            return;
        }
        for (size_t i = 0; i < reader->sections_n; i++) {
            if (strcmp(reader->sections[i], reader->path) == 0) {
                give_up(reader, reader->key_mark, "the section is there twice");
                return;
            }
        }
    }
    const char *kept = tb_arena_text(reader->config->more->arena, reader->path, reader->path_n);
    if (reader->depth == SECTIONS_DEEP || reader->sections_n == SECTIONS || kept == NULL) {
        give_up(reader, reader->event.start_mark, "too many sections, or nested too deep");
        return;
    }
    reader->sections[reader->sections_n++] = kept;
    reader->outer[reader->depth++] = reader->path_n;
}

/* Make `path` the key just read, within the open section. */
static bool enter_key(struct reader *reader)
{
    struct tb_str key = scalar_of(&reader->event);
    size_t n = reader->outer[reader->depth - 1];
    size_t dot = n > 0;
    reader->key_mark = reader->event.start_mark;
    if (key.n == 0 || n + dot + key.n > TB_CONFIG_KEY_MAX || memchr(key.at, '\0', key.n) != NULL) {
        give_up(reader, reader->key_mark, "a key is empty or too long");
        return false;
    }
    if (dot)
        reader->path[n++] = '.';
    memcpy(reader->path + n, key.at, key.n);
    reader->path_n = n + key.n;
    reader->path[reader->path_n] = '\0';
    return true;
}

/* One key and its value, or the end of a section. */
static void read_member(struct reader *reader)
{
    yaml_event_type_t type = next_event(reader);
    if (reader->over)
        return;
    if (type == YAML_MAPPING_END_EVENT) {
        reader->depth--;
        return;
    }
    if (type != YAML_SCALAR_EVENT || is_decorated(&reader->event)) {
        give_up(reader, reader->event.start_mark, "a key is plain text, without anchor or tag");
        return;
    }
    if (!enter_key(reader))
        return;
    type = next_event(reader);
    if (reader->over)
        return;
    if (is_decorated(&reader->event))
        give_up(reader, reader->event.start_mark, "anchors, aliases and tags are not accepted");
    else if (type == YAML_SCALAR_EVENT)
        take_scalar(reader);
    else if (type == YAML_SEQUENCE_START_EVENT)
        take_list(reader);
    else
        open_section(reader);
}

/* A document that is empty or one mapping, and nothing behind it. */
static void read_file(struct reader *reader)
{
    if (next_event(reader) != YAML_STREAM_START_EVENT || reader->over)
        return;
    yaml_event_type_t type = next_event(reader);
    if (type != YAML_DOCUMENT_START_EVENT || reader->over)
        return; /* an empty file: everything has a default */
    type = next_event(reader);
    if (reader->over)
        return;
    if (type != YAML_MAPPING_START_EVENT || is_decorated(&reader->event)) {
        give_up(reader, reader->event.start_mark, "the file must be one mapping of keys to values");
        return;
    }
    open_section(reader);
    while (reader->depth > 0 && !reader->over)
        read_member(reader);
    if (!reader->over)
        next_event(reader); /* the end of the document */
    if (!reader->over && next_event(reader) != YAML_STREAM_END_EVENT && !reader->over)
        give_up(reader, reader->event.start_mark, "a second document");
}

size_t tb_config_read(struct tb_config *config, struct tb_str yaml, struct tb_text *errors)
{
    struct reader reader = {.config = config, .errors = errors};
    if (!yaml_parser_initialize(&reader.parser)) {
        tb_text_add_format(errors, "%s: out of memory\n", config->more->name);
        return 1;
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)yaml.at, yaml.n);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    read_file(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return reader.errors_n;
}
