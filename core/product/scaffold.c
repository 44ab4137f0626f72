/* Files are copied line by line with "example", "Example" and "EXAMPLE" replaced; in file names and
 * C names a '-' of the product becomes '_'. */
#include "product/scaffold.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tongbao/error.h>

enum { NAME_MAX_BYTES = 40, LINE_BYTES = 1024 };

struct names {
    char dashed[NAME_MAX_BYTES + 1]; /* as in paths and scopes: "gift-card" */
    char plain[NAME_MAX_BYTES + 1];  /* as in files and C: "gift_card" */
    char title[NAME_MAX_BYTES + 1];  /* as in prose: "Gift card" */
};

static bool TB_PRINTF(3, 4) refuse_name(char *why, size_t why_bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_bytes, format, args);
    va_end(args);
    return false;
}

static bool make_names(const char *name, struct names *out)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX_BYTES || name[0] < 'a' || name[0] > 'z')
        return false;
    for (size_t i = 0; i <= n; i++) {
        char c = name[i];
        if (c != '\0' && c != '-' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return false;
        out->dashed[i] = c;
        out->plain[i] = c == '-' ? '_' : c;
        out->title[i] = c == '-' ? ' ' : c;
    }
    out->title[0] = (char)toupper((unsigned char)name[0]);
    return true;
}

/* Write `line` with the names replaced. A name beside '/', '"', ':' or a blank is the product's and
 * keeps its dashes; one inside a C or file name does not. */
static void write_line(FILE *to, const char *line, const struct names *names)
{
    static const char word[] = "example";
    for (const char *at = line; *at != '\0';) {
        if (strncmp(at, "Example", 7) == 0) {
            fwrite(names->title, 1, strlen(names->title), to);
            at += 7;
        } else if (strncmp(at, word, 7) == 0 && at[7] != 's') { /* a schema's "examples" stay */
            char after = at[7];
            char before = at == line ? '\0' : at[-1];
            bool part_of_name = after == '_' || after == '.' || after == ')' || before == '_' ||
                                before == '(' || strncmp(at + 7, " SOURCES", 8) == 0;
            const char *name = part_of_name ? names->plain : names->dashed;
            fwrite(name, 1, strlen(name), to);
            at += 7;
        } else {
            fputc(*at++, to);
        }
    }
}

static bool copy_file(const char *from_path, const char *to_path, const struct names *names,
                      char *why, size_t why_bytes)
{
    char line[LINE_BYTES];
    FILE *from = fopen(from_path, "r");
    FILE *to = from == NULL ? NULL : fopen(to_path, "wx");
    if (to == NULL) {
        refuse_name(why, why_bytes, "%s: %s", from == NULL ? from_path : to_path,
                    strerrordesc_np(errno));
        if (from != NULL)
            fclose(from);
        return false;
    }
    while (fgets(line, sizeof(line), from) != NULL)
        write_line(to, line, names);
    fclose(from);
    if (fclose(to) != 0)
        return refuse_name(why, why_bytes, "%s: %s", to_path, strerrordesc_np(errno));
    return true;
}

static bool join(char out[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

/* "test_example.c" becomes "test_gift_card.c". */
static void rename_file(const char *file, const struct names *names, char *out, size_t out_bytes)
{
    const char *at = strstr(file, "example");
    if (at == NULL)
        snprintf(out, out_bytes, "%s", file);
    else
        snprintf(out, out_bytes, "%.*s%s%s", (int)(at - file), file, names->plain, at + 7);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "__pycache__") != 0;
}

/* Files and folders below `from`, in the order of their names, as files and folders below `to`. */
static bool copy_folder(const char *from, const char *to, const struct names *names,
                        void (*wrote)(const char *path), char *why, size_t why_bytes)
{
    struct dirent **entries;
    int n = scandir(from, &entries, is_shown, alphasort);
    if (n < 0)
        return refuse_name(why, why_bytes, "%s: %s; run this in the source tree", from,
                           strerrordesc_np(errno));
    bool good = mkdir(to, 0755) == 0 ||
                refuse_name(why, why_bytes, "%s: %s", to, strerrordesc_np(errno));
    for (int i = 0; i < n; i++) {
        char file[NAME_MAX + NAME_MAX_BYTES + 1], from_path[PATH_MAX], to_path[PATH_MAX];
        struct stat info;
        rename_file(entries[i]->d_name, names, file, sizeof(file));
        bool fits = join(from_path, from, entries[i]->d_name) && join(to_path, to, file);
        free(entries[i]);
        if (!good)
            continue;
        if (!fits || stat(from_path, &info) != 0)
            good = refuse_name(why, why_bytes, "%s: cannot be copied", from);
        else if (S_ISDIR(info.st_mode))
            good = copy_folder(from_path, to_path, names, wrote, why, why_bytes);
        else if ((good = copy_file(from_path, to_path, names, why, why_bytes)))
            wrote(to_path);
    }
    free(entries);
    return good;
}

bool tb_plugin_scaffold(const char *root, const char *name, void (*wrote)(const char *path),
                        char *why, size_t why_bytes)
{
    struct names names;
    char from[PATH_MAX], to[2][PATH_MAX];
    struct stat info;
    if (!make_names(name, &names))
        return refuse_name(
            why, why_bytes,
            "a product's name has 1 to %d lower-case letters, digits and '-', and begins "
            "with a letter",
            NAME_MAX_BYTES);
    static const char *const folders[] = {"plugins", "schemas"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(to[i], sizeof(to[i]), "%s/%s/%s", root, folders[i], names.plain);
        if (stat(to[i], &info) == 0)
            return refuse_name(why, why_bytes, "%s is there already", to[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(from, sizeof(from), "%s/%s/example", root, folders[i]);
        if (!copy_folder(from, to[i], &names, wrote, why, why_bytes))
            return false;
    }
    return true;
}
