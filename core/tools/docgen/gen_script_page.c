/* See gen_script_page.h. */
#include "tools/docgen/gen_script_page.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char head[] =
    "# What a script finds\n\n"
    "<!-- Generated from the comments of core/lua/library*.c and lua/ by tongbao-docs. -->\n\n"
    "Everything there is, and nothing else: the language, the host's functions, and a small library.\n"
    "`docs/script-guide.md` goes from nothing to an active script; `lua/examples` has scripts of real\n"
    "tasks with their tests; `lua/types` tells an editor what stands here.\n";

/* In this order. */
static const char *const sources[] = {
    "core/lua/library.c",       "core/lua/library_string.c", "core/lua/library_tb.c",
    "lua/tongbao/decision.lua", "lua/tongbao/money.lua",     "lua/tongbao/time.lua",
    "lua/tongbao/tables.lua",   "lua/types/tongbao.lua",
};

enum { SOURCE_BYTES = 128 * 1024, BLOCK_LINES = 64 };

struct page {
    struct tb_text *out;
    const char *path;
    struct tb_str block[BLOCK_LINES]; /* the comment that is being read, without its marks */
    size_t block_n;
    bool begun; /* of a Lua file: its section's head is written */
    char *why;
    size_t why_bytes;
};

static bool begins(struct tb_str text, const char *with)
{
    return text.n >= strlen(with) && memcmp(text.at, with, strlen(with)) == 0;
}

static struct tb_str behind(struct tb_str text, size_t n)
{
    n = n < text.n ? n : text.n;
    return (struct tb_str){text.at + n, text.n - n};
}

/* Take the next line off `rest`; false at the end. */
static bool next_line(struct tb_str *rest, struct tb_str *out)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->n);
    size_t n = end == NULL ? rest->n : (size_t)(end - rest->at);
    *out = (struct tb_str){rest->at, n};
    *rest = behind(*rest, n + 1);
    return true;
}

static void add_line(struct page *page, struct tb_str line)
{
    tb_text_add(page->out, line);
    tb_text_add_char(page->out, '\n');
}

static bool keep_line(struct page *page, struct tb_str line)
{
    if (page->block_n < BLOCK_LINES) {
        page->block[page->block_n++] = line;
        return true;
    }
    snprintf(page->why, page->why_bytes, "%s: a comment of more than %d lines", page->path,
             BLOCK_LINES);
    return false;
}

/* ---- C ---- */

static struct tb_str trimmed(struct tb_str text)
{
    while (text.n > 0 && text.at[0] == ' ')
        text = behind(text, 1);
    while (text.n > 0 && text.at[text.n - 1] == ' ')
        text.n--;
    return text;
}

/* A name, and then arguments, a result or nothing: prose begins otherwise. */
static bool is_signature(struct tb_str line)
{
    size_t n = 0;
    while (n < line.n &&
           (line.at[n] == '.' || line.at[n] == '_' || (line.at[n] >= 'a' && line.at[n] <= 'z')))
        n++;
    struct tb_str rest = behind(line, n);
    return n > 0 && (rest.n == 0 || begins(rest, "(") || begins(rest, " →"));
}

static void write_c_block(struct page *page)
{
    size_t i = 0;
    for (; i < page->block_n && is_signature(page->block[i]); i++) {
        tb_text_add(page->out, TB_STR("\n### `"));
        tb_text_add(page->out, page->block[i]);
        tb_text_add(page->out, TB_STR("`\n"));
    }
    if (i == 0 && page->block_n > 0 && begins(page->block[0], "# ")) {
        tb_text_add(page->out, TB_STR("\n#"));
        add_line(page, page->block[i++]);
    }
    if (i < page->block_n)
        tb_text_add_char(page->out, '\n');
    for (; i < page->block_n; i++)
        add_line(page, page->block[i]);
    page->block_n = 0;
}

static bool read_c(struct page *page, struct tb_str text)
{
    bool within = false;
    struct tb_str line;
    while (next_line(&text, &line)) {
        bool opens = begins(line, "/*** ");
        if (!opens && !within)
            continue;
        const char *end = memmem(line.at, line.n, "*/", 2);
        line.n = end == NULL ? line.n : (size_t)(end - line.at);
        within = end == NULL;
        line = trimmed(behind(line, opens ? 5 : 2));
        if (line.n > 0 && !keep_line(page, line))
            return false;
        if (!within)
            write_c_block(page);
    }
    return true;
}

/* ---- Lua ---- */

/* A type and the words behind its "#", without the prefix that every class of ours has. */
static void add_type(struct page *page, struct tb_str type)
{
    static const char prefix[] = "tongbao.";
    while (type.n > 0) {
        if (begins(type, prefix))
            type = behind(type, sizeof(prefix) - 1);
        bool words = begins(type, " # ");
        tb_text_add(page->out, words ? TB_STR("; ") : (struct tb_str){type.at, 1});
        type = behind(type, words ? 3 : 1);
    }
}

static struct tb_str first_word(struct tb_str text)
{
    const char *blank = memchr(text.at, ' ', text.n);
    return (struct tb_str){text.at, blank == NULL ? text.n : (size_t)(blank - text.at)};
}

/* "@return TYPE # what it is": the type, and in *out_note the rest. */
static struct tb_str returned(struct tb_str line, struct tb_str *out_note)
{
    struct tb_str type = behind(line, strlen("@return "));
    const char *note = memmem(type.at, type.n, " # ", 3);
    *out_note = (struct tb_str){NULL, 0};
    if (note == NULL)
        return type;
    *out_note = behind(type, (size_t)(note - type.at) + 3);
    type.n = (size_t)(note - type.at);
    return type;
}

static void write_prose(struct page *page)
{
    for (size_t i = 0; i < page->block_n; i++)
        if (!begins(page->block[i], "@"))
            add_line(page, page->block[i]);
}

/* "- `name`: type and words", for a line behind its tag. */
static void write_member(struct page *page, struct tb_str member)
{
    struct tb_str name = first_word(member);
    tb_text_add(page->out, TB_STR("- `"));
    tb_text_add(page->out, name);
    tb_text_add(page->out, TB_STR("`: "));
    add_type(page, behind(member, name.n + 1));
    tb_text_add_char(page->out, '\n');
}

static void write_members(struct page *page, const char *tag)
{
    bool first = true;
    for (size_t i = 0; i < page->block_n; i++) {
        if (!begins(page->block[i], tag))
            continue;
        if (first)
            tb_text_add_char(page->out, '\n');
        first = false;
        write_member(page, behind(page->block[i], strlen(tag)));
    }
}

static bool refuse_page(struct page *page, const char *what, struct tb_str signature)
{
    snprintf(page->why, page->why_bytes, "%s: %s %.*s", page->path, what, (int)signature.n,
             signature.at);
    return false;
}

/* The name in the block's next "@param" line, from *at on; absent when there is none. */
static struct tb_str next_param(const struct page *page, size_t *at)
{
    static const char tag[] = "@param ";
    while (*at < page->block_n) {
        struct tb_str line = page->block[(*at)++];
        if (begins(line, tag))
            return first_word(behind(line, sizeof(tag) - 1));
    }
    return (struct tb_str){NULL, 0};
}

/* "money.format(value, separator)" with what may be left out in brackets, as the comment says:
 * "money.format(value[, separator])". False when the comment knows other parameters. */
static bool write_signature(struct page *page, struct tb_str signature)
{
    size_t at = 0, optional_n = 0;
    size_t name_n = (size_t)((const char *)memchr(signature.at, '(', signature.n) - signature.at);
    struct tb_str rest = behind(signature, name_n + 1), param;
    tb_text_add(page->out, (struct tb_str){signature.at, name_n + 1});
    while ((param = next_param(page, &at)).at != NULL) {
        bool first = rest.at == signature.at + name_n + 1;
        bool optional = param.at[param.n - 1] == '?';
        param.n -= optional;
        if (!first && !begins(rest, ", "))
            return false;
        rest = behind(rest, first ? 0 : 2);
        if (rest.n <= param.n || memcmp(rest.at, param.at, param.n) != 0)
            return false;
        rest = behind(rest, param.n);
        optional_n += optional;
        tb_text_add(page->out, optional ? TB_STR("[") : TB_STR(""));
        tb_text_add(page->out, first ? TB_STR("") : TB_STR(", "));
        tb_text_add(page->out, param);
    }
    for (; optional_n > 0; optional_n--)
        tb_text_add_char(page->out, ']');
    tb_text_add(page->out, rest);
    return rest.n == 1; /* the closing parenthesis */
}

static bool write_function(struct page *page, struct tb_str signature)
{
    struct tb_str note = {NULL, 0};
    if (page->block_n == 0 || begins(page->block[0], "@"))
        return refuse_page(page, "no comment above", signature);
    tb_text_add(page->out, TB_STR("\n### `"));
    if (!write_signature(page, signature))
        return refuse_page(page, "other parameters in the comment above", signature);
    for (size_t i = 0; i < page->block_n; i++)
        if (begins(page->block[i], "@return ")) {
            tb_text_add(page->out, TB_STR(" → "));
            add_type(page, returned(page->block[i], &note));
        }
    tb_text_add(page->out, TB_STR("`\n\n"));
    write_prose(page);
    write_members(page, "@param ");
    if (note.n > 0)
        tb_text_add_format(page->out, "- result: %.*s\n", (int)note.n, note.at);
    return true;
}

/* A class with fields, or an alias; others have nothing to show. */
static void write_record(struct page *page)
{
    bool has_fields = false;
    for (size_t i = 0; i < page->block_n; i++)
        has_fields |= begins(page->block[i], "@field ");
    if (begins(page->block[0], "@alias ")) {
        tb_text_add_char(page->out, '\n');
        write_member(page, behind(page->block[0], strlen("@alias tongbao.")));
    } else if (begins(page->block[0], "@class ") && has_fields) {
        tb_text_add(page->out, TB_STR("\nA record `"));
        add_type(page, behind(page->block[0], strlen("@class ")));
        tb_text_add(page->out, TB_STR("`:\n"));
        write_members(page, "@field ");
    }
}

/* What stands above `line` is about it. */
static bool write_lua_block(struct page *page, struct tb_str line, const char *name)
{
    bool good = true;
    bool types = strncmp(page->path, "lua/types/", 10) == 0;
    if (!page->begun && page->block_n > 0) {
        tb_text_add_format(page->out, "\n## %s\n", types ? "Records" : name);
        if (!types)
            tb_text_add_char(page->out, '\n');
        write_prose(page);
        page->begun = true;
    } else if (begins(line, "function ") && !types) {
        good = write_function(page, behind(line, strlen("function ")));
    } else if (page->block_n > 0 && !begins(line, "tb = ")) {
        write_record(page);
    }
    page->block_n = 0;
    return good;
}

static bool read_lua(struct page *page, struct tb_str text)
{
    char name[64];
    struct tb_str line;
    const char *file = strrchr(page->path, '/') + 1;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(file, "."), file);
    while (next_line(&text, &line)) {
        if (begins(line, "---")) {
            if (!keep_line(page, behind(line, begins(line, "--- ") ? 4 : 3)))
                return false;
        } else if (!write_lua_block(page, line, name)) {
            return false;
        }
    }
    return true;
}

/* ---- the page ---- */

static bool read_source(struct page *page, const char *root)
{
    static char text[SOURCE_BYTES];
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", root, page->path);
    FILE *file = fopen(path, "r");
    size_t n = file == NULL ? 0 : fread(text, 1, sizeof(text), file);
    if (file != NULL)
        fclose(file);
    if (n == 0 || n == sizeof(text)) {
        snprintf(page->why, page->why_bytes, "%s: %s", path,
                 n == 0 ? strerrordesc_np(errno) : "too long");
        return false;
    }
    struct tb_str whole = {text, n};
    return strcmp(page->path + strlen(page->path) - 2, ".c") == 0 ? read_c(page, whole)
                                                                  : read_lua(page, whole);
}

bool tb_script_page(struct tb_text *out, const char *root, char *why, size_t why_bytes)
{
    struct page page = {.out = out, .why = why, .why_bytes = why_bytes};
    tb_text_add(out, tb_str(head));
    for (size_t i = 0; i < TB_COUNT(sources); i++) {
        page.path = sources[i];
        page.begun = false;
        if (!read_source(&page, root))
            return false;
    }
    return true;
}
