/* From files to a linked program: the queue of subschemas, references between files, and the checks
 * that need the whole graph. */
#include "base/assert.h"
#include "base/json.h"
#include "base/mem.h"
#include "schema/builder.h"
#include <stdio.h>
#include <sys/stat.h>

/* Memory is linear in the files, whose number and size are limited; this is beyond that. */
static const size_t SCHEMA_ARENA_BYTES = 256u << 20;

const struct tb_schema_node tb_schema_anything = {.types = TB_T_ANY};
const struct tb_schema_node tb_schema_nothing = {.types = 0};

enum { PATH_BYTES = 256 };

/* A place in a file that is taken for a schema. */
struct place {
    const struct tb_schema_file *file;
    json_t *json;
    const char *pointer;
};

void *tb_builder_room(struct tb_builder *b, size_t n)
{
    void *at = tb_arena_alloc(b->arena, n);
    TB_ASSERT(at != NULL);
    return at;
}

static const char *text(struct tb_builder *b, const char *at, size_t n)
{
    const char *copy = tb_arena_text(b->arena, at, n);
    TB_ASSERT(copy != NULL);
    return copy;
}

bool tb_builder_refuse(struct tb_builder *b, const char *format, ...)
{
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    if (b->node == NULL)
        snprintf(b->why, b->why_bytes, "%s: %s", b->directory, words);
    else
        snprintf(b->why, b->why_bytes, "%s/%s#%s%s%s: %s", b->directory, b->node->file,
                 b->node->pointer, b->keyword == NULL ? "" : "/",
                 b->keyword == NULL ? "" : b->keyword, words);
    return false;
}

/* ---- files ---- */

/* The file `path`, read when it is met first. NULL when refused. */
static const struct tb_schema_file *file_open(struct tb_builder *b, const char *path)
{
    for (size_t i = 0; i < b->files_n; i++) {
        if (strcmp(b->files[i].path, path) == 0)
            return &b->files[i];
    }
    char full[2 * PATH_BYTES];
    struct stat about;
    json_error_t error;
    if (b->files_n == TB_SCHEMA_FILES) {
        tb_builder_refuse(b, "reaches more than %d files", TB_SCHEMA_FILES);
        return NULL;
    }
    int n = snprintf(full, sizeof(full), "%s/%s", b->directory, path);
    if (n < 0 || (size_t)n >= sizeof(full) || stat(full, &about) != 0 || !S_ISREG(about.st_mode)) {
        tb_builder_refuse(b, "there is no file %s", path);
        return NULL;
    }
    if (about.st_size > TB_SCHEMA_FILE_BYTES) {
        tb_builder_refuse(b, "%s is larger than %d bytes", path, TB_SCHEMA_FILE_BYTES);
        return NULL;
    }
    json_t *json = json_load_file(full, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (json == NULL) {
        tb_builder_refuse(b, "%s, line %d: %s", path, error.line, error.text);
        return NULL;
    }
    TB_ASSERT(tb_json_defer(b->arena, json));
    struct tb_schema_file *file = &b->files[b->files_n++];
    *file = (struct tb_schema_file){.path = text(b, path, strlen(path)), .json = json};
    return file;
}

/* Resolve `relative` (n bytes) against the folder of `base`: out gets a path below the directory.
 * False when it is too long, absolute or leads out of the directory. */
static bool path_join(const char *base, const char *relative, size_t n, char out[PATH_BYTES])
{
    const char *slash = strrchr(base, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - base);
    if (length >= PATH_BYTES || (n > 0 && relative[0] == '/'))
        return false;
    memcpy(out, base, length);
    for (const char *end = relative + n; relative <= end;) {
        const char *next = memchr(relative, '/', (size_t)(end - relative));
        size_t part = (size_t)((next == NULL ? end : next) - relative);
        if (part == 2 && memcmp(relative, "..", 2) == 0) {
            if (length == 0)
                return false;
            while (length > 0 && out[--length] != '/')
                ;
        } else if (part > 0 && !(part == 1 && relative[0] == '.')) {
            if (length + 1 + part + 1 > PATH_BYTES)
                return false;
            if (length > 0)
                out[length++] = '/';
            memcpy(out + length, relative, part);
            length += part;
        }
        relative += part + 1;
    }
    out[length] = '\0';
    return length > 0;
}

/* ---- references ---- */

/* The member or item of `json` that the token (n bytes, escaped as in RFC 6901) names, or NULL. */
static json_t *descend(json_t *json, const char *token, size_t n)
{
    char name[PATH_BYTES];
    size_t length = 0;
    for (size_t i = 0; i < n && length < sizeof(name); i++) {
        if (token[i] == '~' && i + 1 < n && (token[i + 1] == '0' || token[i + 1] == '1'))
            name[length++] = token[++i] == '0' ? '~' : '/';
        else
            name[length++] = token[i];
    }
    if (length == sizeof(name))
        return NULL;
    if (json_is_object(json))
        return json_object_getn(json, name, length);
    if (!json_is_array(json) || length == 0 || length > 6)
        return NULL;
    size_t index = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    return json_array_get(json, index);
}

/* Where `reference`, written in `file`, leads. False when refused. */
static bool reference_resolve(struct tb_builder *b, const struct tb_schema_file *file,
                              const char *reference, struct place *out)
{
    const char *fragment = strchr(reference, '#');
    size_t path_n = fragment == NULL ? strlen(reference) : (size_t)(fragment - reference);
    char path[PATH_BYTES];
    if (memchr(reference, ':', path_n) != NULL || strchr(reference, '%') != NULL)
        return tb_builder_refuse(b, "\"%.80s\" is not a relative path and a plain pointer",
                                 reference);
    out->file = file;
    if (path_n > 0) {
        if (!path_join(file->path, reference, path_n, path))
            return tb_builder_refuse(b, "\"%.80s\" leads out of the schemas directory", reference);
        out->file = file_open(b, path);
        if (out->file == NULL)
            return false;
    }
    out->json = out->file->json;
    out->pointer = fragment == NULL ? "" : text(b, fragment + 1, strlen(fragment + 1));
    if (out->pointer[0] != '\0' && out->pointer[0] != '/')
        return tb_builder_refuse(b, "\"%.80s\" has a fragment that is not a pointer", reference);
    for (const char *at = out->pointer; *at == '/';) {
        size_t n = strcspn(++at, "/");
        out->json = descend(out->json, at, n);
        if (out->json == NULL)
            return tb_builder_refuse(b, "\"%.80s\" leads nowhere", reference);
        at += n;
    }
    return true;
}

/* The reference of a schema that says nothing else, or NULL. Such a schema needs no node. */
static const char *bare_reference(json_t *json)
{
    const char *reference = json_string_value(json_object_get(json, "$ref"));
    const char *keyword;
    json_t *value;
    json_object_foreach(json, keyword, value)
    {
        if (strcmp(keyword, "$ref") != 0 && !tb_keyword_is_annotation(keyword))
            return NULL;
    }
    return reference;
}

static const struct tb_schema_node *node_at(struct tb_builder *b, struct place place)
{
    const char *reference = NULL;
    for (int hops = 0; json_is_object(place.json); hops++) {
        reference = bare_reference(place.json);
        if (reference == NULL)
            break;
        if (hops == TB_SCHEMA_HOPS) {
            tb_builder_refuse(b, "\"%.80s\" leads in a circle or too far", reference);
            return NULL;
        }
        if (!reference_resolve(b, place.file, reference, &place))
            return NULL;
    }
    if (json_is_boolean(place.json))
        return json_is_true(place.json) ? &tb_schema_anything : &tb_schema_nothing;
    if (!json_is_object(place.json)) {
        tb_builder_refuse(b, "a schema is an object or a boolean (%s#%s)", place.file->path,
                          place.pointer);
        return NULL;
    }
    for (size_t i = 0; i < b->nodes_n; i++) {
        if (b->nodes[i]->source == place.json)
            return b->nodes[i];
    }
    if (b->nodes_n == TB_SCHEMA_NODES) {
        tb_builder_refuse(b, "the schema has more than %d subschemas", TB_SCHEMA_NODES);
        return NULL;
    }
    struct tb_schema_node *node = tb_builder_room(b, sizeof(*node));
    *node = (struct tb_schema_node){.types = TB_T_ANY,
                                    .source = place.json,
                                    .file = place.file->path,
                                    .pointer = place.pointer,
                                    .number_in_order = b->nodes_n};
    b->nodes[b->nodes_n++] = node;
    return node;
}

static const struct tb_schema_file *file_of(struct tb_builder *b, const struct tb_schema_node *node)
{
    return file_open(b, node->file); /* open since the node was made */
}

const struct tb_schema_node *tb_builder_reference(struct tb_builder *b, const char *reference)
{
    struct place place;
    if (!reference_resolve(b, file_of(b, b->node), reference, &place))
        return NULL;
    return node_at(b, place);
}

const struct tb_schema_node *tb_builder_node(struct tb_builder *b, json_t *source, const char *key)
{
    char pointer[4 * PATH_BYTES];
    size_t n = (size_t)snprintf(pointer, sizeof(pointer), "%s/%s%s", b->node->pointer, b->keyword,
                                key == NULL ? "" : "/");
    for (; key != NULL && *key != '\0' && n + 3 < sizeof(pointer); key++) {
        if (*key == '~' || *key == '/') {
            pointer[n++] = '~';
            pointer[n++] = *key == '~' ? '0' : '1';
        } else {
            pointer[n++] = *key;
        }
    }
    if (n + 3 >= sizeof(pointer)) {
        tb_builder_refuse(b, "is nested too deep or has too long a name");
        return NULL;
    }
    return node_at(b, (struct place){.file = file_of(b, b->node),
                                     .json = source,
                                     .pointer = text(b, pointer, n)});
}

bool tb_builder_take(struct tb_builder *b, json_t *source, const struct tb_schema_node **out)
{
    *out = tb_builder_node(b, source, NULL);
    return *out != NULL;
}

/* ---- the whole graph ---- */

static bool all_ground(const struct tb_schema_node *node, const bool *ground)
{
    for (size_t c = 0; c < node->choices_n; c++) {
        for (size_t k = 0; k < node->choices[c].nodes_n; k++) {
            const struct tb_schema_node *to = node->choices[c].nodes[k];
            if (to != NULL && to->source != NULL && !ground[to->number_in_order])
                return false;
        }
    }
    return true;
}

/* A schema that comes back to itself for the same value would be checked for ever. On firm ground
 * stands a node whose choices lead only to nodes that do; those that never get there are a circle.
 */
static bool refuse_circles(struct tb_builder *b)
{
    bool *ground = tb_builder_room(b, b->nodes_n * sizeof(*ground));
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < b->nodes_n; i++) {
            if (!ground[i] && all_ground(b->nodes[i], ground))
                ground[i] = changed = true;
        }
    }
    for (size_t i = 0; i < b->nodes_n; i++) {
        if (!ground[i]) {
            b->node = b->nodes[i];
            b->keyword = NULL;
            return tb_builder_refuse(b, "refers to itself for the same value");
        }
    }
    return true;
}

/* Names of members are not JSON values: only the rules about strings can be asked of them. */
static bool refuse_rich_names(struct tb_builder *b)
{
    for (size_t i = 0; i < b->nodes_n; i++) {
        const struct tb_schema_node *names = b->nodes[i]->object == NULL
                                                 ? NULL
                                                 : b->nodes[i]->object->names;
        if (names == NULL || (names->string != NULL && names->constant == NULL &&
                              names->choice == NULL && names->choices_n == 0))
            continue;
        b->node = b->nodes[i];
        b->keyword = "propertyNames";
        return tb_builder_refuse(b, "may say only minLength, maxLength, pattern and format");
    }
    return true;
}

static bool build(struct tb_builder *b, const char *path, struct tb_schema *schema)
{
    char plain[PATH_BYTES];
    if (!path_join("", path, strlen(path), plain))
        return tb_builder_refuse(b, "\"%.80s\" is not a path below it", path);
    const struct tb_schema_file *file = file_open(b, plain);
    if (file == NULL)
        return false;
    schema->root = node_at(b, (struct place){.file = file, .json = file->json, .pointer = ""});
    if (schema->root == NULL)
        return false;
    while (b->compiled < b->nodes_n) {
        b->node = b->nodes[b->compiled++];
        if (!tb_builder_keywords(b))
            return false;
    }
    return refuse_circles(b) && refuse_rich_names(b);
}

struct tb_schema *tb_schema_load(const char *directory, const char *path, char *why,
                                 size_t why_bytes)
{
    struct tb_arena *arena = tb_arena_new(SCHEMA_ARENA_BYTES);
    struct tb_builder *b = tb_mem(sizeof(*b));
    *b = (struct tb_builder){
        .arena = arena, .directory = directory, .why = why, .why_bytes = why_bytes};
    struct tb_schema *schema = tb_builder_room(b, sizeof(*schema));
    schema->arena = arena;
    bool built = build(b, path, schema);
    tb_mem_free(b);
    if (built)
        return schema;
    tb_arena_free(arena);
    return NULL;
}

void tb_schema_free(struct tb_schema *schema)
{
    if (schema != NULL)
        tb_arena_free(schema->arena);
}
