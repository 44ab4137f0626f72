/* The pass before the parser. It reads brackets, strings and numbers, keeps the path to where it
 * is, and stops at the first thing that breaks a limit: linear in the text, constant in memory. */
#include "base/json_check.h"
#include "base/assert.h"
#include <string.h>

const struct tb_json_limits tb_json_limits = {
    .bytes = TB_ARENA_CAP, .depth = 32, .members = 1000, .reals = false};

struct frame {
    struct tb_str name; /**< in an object: the current member, as written */
    size_t index;       /**< in an array: the current element */
    bool object;
    bool empty;     /**< nothing in it yet */
    bool name_next; /**< the next string is a name */
};

enum { INT64_DIGITS = 19 /* an integer with fewer fits */ };

struct walk {
    struct tb_str text;
    const struct tb_json_limits *limits;
    size_t at;
    uint32_t depth, members;
    const char *fault;
    tb_err err;  /**< TB_E_BAD_JSON where NULL */
    bool beyond; /**< the fault is the size of a number */
    struct frame frames[TB_JSON_DEPTH_MAX];
};

static struct frame *innermost(struct walk *walk)
{
    return walk->depth == 0 ? NULL : &walk->frames[walk->depth - 1];
}

static bool count_member(struct walk *walk)
{
    if (walk->members == walk->limits->members) {
        walk->fault = "too many members";
        return false;
    }
    walk->members++;
    return true;
}

/* A value or a name begins: if it is the first in its container, that is one more member. */
static bool begin_value(struct walk *walk)
{
    struct frame *frame = innermost(walk);
    if (frame == NULL || !frame->empty)
        return true;
    frame->empty = false;
    return count_member(walk);
}

static bool open_container(struct walk *walk, bool object)
{
    if (!begin_value(walk))
        return false;
    if (walk->depth == walk->limits->depth) {
        walk->fault = "nested too deep";
        return false;
    }
    walk->frames[walk->depth++] = (struct frame){
        .object = object, .empty = true, .name_next = object};
    walk->at++;
    return true;
}

static bool close_container(struct walk *walk, bool object)
{
    struct frame *frame = innermost(walk);
    if (frame == NULL || frame->object != object) {
        walk->fault = "unexpected closing bracket";
        return false;
    }
    walk->depth--;
    walk->at++;
    return true;
}

static bool next_member(struct walk *walk)
{
    struct frame *frame = innermost(walk);
    walk->at++;
    if (frame == NULL)
        return true; /* the parser will refuse it */
    frame->index++;
    frame->name_next = frame->object;
    return count_member(walk);
}

/* The bytes of a string up to its closing quote. Escapes are only stepped over. */
static bool skip_string(struct walk *walk)
{
    const char *at = walk->text.at;
    size_t n = walk->text.n, i = walk->at + 1;
    while (i < n && at[i] != '"') {
        unsigned char c = (unsigned char)at[i];
        size_t span = c == '\\' ? 2 : c < 0x80 ? 1 : tb_utf8_span(at + i, n - i);
        if (c < 0x20 || span == 0) {
            walk->at = i;
            walk->fault = span == 0 ? "not UTF-8" : "control character in a string";
            walk->err = span == 0 ? TB_E_BAD_ENCODING : NULL;
            return false;
        }
        i += span;
    }
    if (i >= n) {
        walk->fault = "string without end";
        return false;
    }
    walk->at = i + 1;
    return true;
}

static bool take_string(struct walk *walk)
{
    size_t first = walk->at + 1;
    if (!begin_value(walk) || !skip_string(walk))
        return false;
    struct frame *frame = innermost(walk);
    if (frame != NULL && frame->name_next) {
        frame->name = (struct tb_str){walk->text.at + first, walk->at - 1 - first};
        frame->name_next = false;
    }
    return true;
}

static bool take_number(struct walk *walk)
{
    if (!begin_value(walk))
        return false;
    size_t first = walk->at;
    bool real = false;
    for (; walk->at < walk->text.n; walk->at++) {
        char c = walk->text.at[walk->at];
        if (c == '.' || c == 'e' || c == 'E')
            real = true;
        else if ((c < '0' || c > '9') && c != '-' && c != '+')
            break;
    }
    int64_t integer;
    struct tb_str digits = {walk->text.at + first, walk->at - first};
    walk->beyond = !real && digits.n >= INT64_DIGITS && !tb_text_to_int(digits, &integer);
    if ((!real || walk->limits->reals) && !walk->beyond)
        return true;
    walk->at = first;
    walk->err = TB_E_BAD_NUMBER;
    walk->fault = real ? "number that is not written as an integer"
                       : "number beyond -9223372036854775808 to 9223372036854775807";
    return false;
}

static bool step(struct walk *walk)
{
    char c = walk->text.at[walk->at];
    switch (c) {
    case '{':
    case '[':
        return open_container(walk, c == '{');
    case '}':
    case ']':
        return close_container(walk, c == '}');
    case '"':
        return take_string(walk);
    case ',':
        return next_member(walk);
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case ':':
        walk->at++;
        return true;
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return take_number(walk);
        walk->at++; /* a letter of true, false, null: the parser spells them */
        return begin_value(walk);
    }
}

/* Walk until a fault or until offset `end`. */
static void run(struct walk *walk, size_t end)
{
    while (walk->at < end && step(walk))
        continue;
}

static void write_pointer(const struct walk *walk, struct tb_json_error *error)
{
    struct tb_text pointer;
    tb_text_init_fixed(&pointer, error->pointer, sizeof(error->pointer));
    for (uint32_t i = 0; i < walk->depth; i++) {
        const struct frame *frame = &walk->frames[i];
        if (!frame->object)
            tb_json_pointer_index(&pointer, frame->index);
        else if (!frame->name_next)
            tb_json_pointer_name(&pointer, frame->name);
    }
    if (tb_text_end(&pointer).at == NULL)
        error->pointer[0] = '\0';
}

static void describe(const struct walk *walk, const char *reason, size_t offset,
                     struct tb_json_error *out)
{
    if (out == NULL)
        return;
    *out = (struct tb_json_error){
        .reason = reason, .offset = offset, .line = 1, .column = 1, .beyond = walk->beyond};
    for (size_t i = 0; i < offset && i < walk->text.n; i++) {
        out->line += walk->text.at[i] == '\n';
        out->column = walk->text.at[i] == '\n' ? 1 : out->column + 1;
    }
    write_pointer(walk, out);
}

void tb_json_describe(struct tb_str text, const char *reason, size_t offset,
                      struct tb_json_error *out)
{
    struct tb_json_limits any = {
        .bytes = SIZE_MAX, .depth = TB_JSON_DEPTH_MAX, .members = UINT32_MAX, .reals = true};
    struct walk walk = {.text = text, .limits = &any};
    run(&walk, offset < text.n ? offset : text.n);
    describe(&walk, reason, offset, out);
}

/* What a text in another encoding, or a compressed one, begins with. JSON in UTF-16 begins with a
 * character of ASCII, so that one of its first two bytes is 0. */
static const char *foreign(struct tb_str text)
{
    static const struct {
        const char *magic, *reason;
    } heads[] = {
        {"\xef\xbb\xbf", "byte order mark before the text"},
        {"\xff\xfe", "UTF-16 instead of UTF-8"},
        {"\xfe\xff", "UTF-16 instead of UTF-8"},
        {"\x1f\x8b", "gzip instead of text"},
        {"\x28\xb5\x2f\xfd", "zstd instead of text"},
    };
    for (size_t i = 0; i < TB_COUNT(heads); i++) {
        size_t n = strlen(heads[i].magic);
        if (text.n >= n && memcmp(text.at, heads[i].magic, n) == 0)
            return heads[i].reason;
    }
    if (text.n >= 2 && (text.at[0] == '\0') != (text.at[1] == '\0'))
        return "UTF-16 instead of UTF-8";
    return NULL;
}

tb_err tb_json_check(struct tb_str text, const struct tb_json_limits *limits,
                     struct tb_json_error *out_error)
{
    TB_ASSERT(limits->depth >= 1 && limits->depth <= TB_JSON_DEPTH_MAX);
    struct walk walk = {.text = text, .limits = limits};
    if (text.n > limits->bytes) {
        describe(&walk, "too large", limits->bytes, out_error);
        return TB_E_TOO_LARGE;
    }
    walk.fault = foreign(text);
    if (walk.fault != NULL)
        walk.err = TB_E_BAD_ENCODING;
    else
        run(&walk, text.n);
    if (walk.fault == NULL)
        return NULL;
    describe(&walk, walk.fault, walk.at, out_error);
    return walk.err == NULL ? TB_E_BAD_JSON : walk.err;
}
