/* A walk over the schema as it stands in its files, by a queue of places to look at. A schema that
 * refers to itself has no end, so the walk goes only as deep as a pointer for redaction may. */
#include "hooks/sensitive.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "hooks/redact.h"
#include <stdio.h>
#include <string.h>

enum { PLACES_MAX = 4096, FILES_MAX = 64, PATH_BYTES = 512 };

struct place {
    const json_t *schema;
    size_t file;    /* it stands in */
    size_t parts_n; /* of the pointer */
    char pointer[TB_REDACT_POINTER_BYTES];
};

struct walk {
    const char *directory;
    char paths[FILES_MAX][PATH_BYTES];
    json_t *files[FILES_MAX];
    size_t files_n;
    struct place places[PLACES_MAX];
    size_t places_n;
    json_t *found;
    bool failed;
};

/* The file of this path, loaded once. */
static bool find_file(struct walk *walk, const char *path, size_t *out_file)
{
    char name[2 * PATH_BYTES];
    for (size_t i = 0; i < walk->files_n; i++) {
        *out_file = i;
        if (strcmp(walk->paths[i], path) == 0)
            return true;
    }
    snprintf(name, sizeof(name), "%s/%s", walk->directory, path);
    if (walk->files_n == FILES_MAX || strlen(path) >= PATH_BYTES ||
        (walk->files[walk->files_n] = json_load_file(name, 0, NULL)) == NULL)
        return false;
    snprintf(walk->paths[walk->files_n], PATH_BYTES, "%s", path);
    *out_file = walk->files_n++;
    return true;
}

/* Look at `schema` later; `name` NULL: it speaks of the same value. */
static void add(struct walk *walk, const struct place *from, const json_t *schema, size_t file,
                const char *name)
{
    size_t parts_n = from->parts_n + (name != NULL);
    struct tb_text pointer;
    if (!json_is_object(schema) || parts_n > TB_REDACT_PARTS)
        return;
    if (walk->places_n == PLACES_MAX) {
        walk->failed = true;
        return;
    }
    struct place *place = &walk->places[walk->places_n++];
    *place = (struct place){.schema = schema, .file = file, .parts_n = parts_n};
    tb_text_init_fixed(&pointer, place->pointer, sizeof(place->pointer));
    tb_text_add(&pointer, tb_str(from->pointer));
    if (name != NULL)
        tb_json_pointer_name(&pointer, tb_str(name));
    walk->failed |= tb_text_end(&pointer).at == NULL;
}

/* The path of a file that is named relative to another's; ".." only goes up in what is there. */
static void relative(const char *to, const char *name, size_t name_n, char out[PATH_BYTES])
{
    size_t n = 0;
    const char *slash = strrchr(to, '/');
    if (name_n == 0 || slash == NULL)
        slash = to;
    n = name_n == 0 ? strlen(to) : (size_t)(slash - to);
    while (name_n >= 3 && memcmp(name, "../", 3) == 0) {
        name += 3;
        name_n -= 3;
        while (n > 0 && to[--n] != '/')
            ;
    }
    if (name_n == 0)
        snprintf(out, PATH_BYTES, "%s", to);
    else
        snprintf(out, PATH_BYTES, "%.*s%s%.*s", (int)n, to, n > 0 ? "/" : "", (int)name_n, name);
}

static void follow(struct walk *walk, const struct place *place, const char *reference)
{
    size_t n = strcspn(reference, "#"), file;
    char path[PATH_BYTES];
    relative(walk->paths[place->file], reference, n, path);
    if (!find_file(walk, path, &file)) {
        walk->failed = true;
        return;
    }
    const char *pointer = reference[n] == '#' ? reference + n + 1 : "";
    add(walk, place, tb_json_at(walk->files[file], tb_str(pointer)), file, NULL);
}

static void look(struct walk *walk, const struct place *place)
{
    static const char *const ALIKE[] = {"allOf", "anyOf", "oneOf", "prefixItems"};
    static const char *const ANY[] = {"items", "additionalProperties", "contains"};
    static const char *const SAME[] = {"if", "then", "else", "not"};
    const char *name, *reference = json_string_value(json_object_get(place->schema, "$ref"));
    json_t *child;
    size_t i;
    if (json_is_true(json_object_get(place->schema, "x-sensitive")) && place->parts_n > 0)
        (void)json_array_append_new(walk->found, json_string(place->pointer));
    if (reference != NULL)
        follow(walk, place, reference);
    json_object_foreach(json_object_get(place->schema, "properties"), name, child)
    {
        add(walk, place, child, place->file, name);
    }
    for (size_t k = 0; k < TB_COUNT(ALIKE); k++) {
        json_array_foreach(json_object_get(place->schema, ALIKE[k]), i, child)
        {
            add(walk, place, child, place->file, k == 3 ? "*" : NULL);
        }
    }
    for (size_t k = 0; k < TB_COUNT(ANY); k++)
        add(walk, place, json_object_get(place->schema, ANY[k]), place->file, "*");
    for (size_t k = 0; k < TB_COUNT(SAME); k++)
        add(walk, place, json_object_get(place->schema, SAME[k]), place->file, NULL);
}

json_t *tb_sensitive_members(const char *directory, const char *path)
{
    struct walk *walk = tb_mem(sizeof(*walk));
    const struct place root = {0};
    size_t file;
    walk->directory = directory;
    walk->found = json_array();
    if (find_file(walk, path, &file))
        add(walk, &root, walk->files[file], file, NULL);
    else
        walk->failed = true;
    for (size_t i = 0; i < walk->places_n && !walk->failed; i++)
        look(walk, &walk->places[i]);
    json_t *found = walk->found;
    if (walk->failed || json_array_size(found) > TB_REDACT_POINTERS) {
        json_decref(found);
        found = NULL;
    }
    for (size_t i = 0; i < walk->files_n; i++)
        json_decref(walk->files[i]);
    tb_mem_free(walk);
    return found;
}
