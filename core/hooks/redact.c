/* One walk over the whole value with a stack of its own. Every container on the way carries a mask:
 * which pointers lead to it so far, one bit each, so that a pointer with "*" costs no more than one
 * without. */
#include "hooks/redact.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = TB_JSON_DEPTH_MAX };

struct pointer {
    char *parts[TB_REDACT_PARTS]; /* unescaped; all in parts[0]'s memory */
    size_t parts_n;
};

struct tb_redaction {
    struct pointer pointers[TB_REDACT_POINTERS];
    size_t pointers_n;
};

/* ---- the list ---- */

/* Split and unescape in place. False when it is no pointer to a member. */
static bool read_pointer(struct pointer *pointer, const char *text)
{
    size_t n = strlen(text);
    if (n < 2 || n > TB_REDACT_POINTER_BYTES || text[0] != '/')
        return false;
    char *out = tb_mem_text(text + 1, n - 1);
    pointer->parts[0] = out;
    pointer->parts_n = 1;
    for (const char *at = text + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *out++ = '\0';
            if (pointer->parts_n == TB_REDACT_PARTS)
                return false;
            pointer->parts[pointer->parts_n++] = out;
        } else if (*at == '~') {
            at++;
            if (*at != '0' && *at != '1')
                return false;
            *out++ = *at == '0' ? '~' : '/';
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
    return true;
}

struct tb_redaction *tb_redaction_new(const json_t *list, char *why, size_t why_bytes)
{
    struct tb_redaction *redaction = tb_mem(sizeof(*redaction));
    size_t n = json_array_size(list);
    const char *bad = NULL;
    if (!json_is_array(list) || n > TB_REDACT_POINTERS)
        bad = "";
    for (size_t i = 0; bad == NULL && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        redaction->pointers_n = i + 1;
        if (text == NULL || !read_pointer(&redaction->pointers[i], text))
            bad = text == NULL ? "" : text;
    }
    if (bad == NULL)
        return redaction;
    snprintf(why, why_bytes,
             "what to redact is a list of at most %d JSON pointers such as \"/debtor/name\"%s%.80s",
             TB_REDACT_POINTERS, bad[0] == '\0' ? "" : "; this is none: ", bad);
    tb_redaction_free(redaction);
    return NULL;
}

void tb_redaction_free(struct tb_redaction *redaction)
{
    if (redaction == NULL)
        return;
    for (size_t i = 0; i < redaction->pointers_n; i++)
        tb_mem_free(redaction->pointers[i].parts[0]);
    tb_mem_free(redaction);
}

/* ---- the walk ---- */

struct level {
    json_t *container;
    void *member;   /* of an object: the next one's place */
    size_t element; /* of an array: the next one's index */
    uint64_t mask;  /* pointers that agree with the way down to here */
    size_t depth;   /* names below "body"; SIZE_MAX outside it */
    bool all;       /* everything in here is redacted */
};

struct walk {
    const struct tb_redaction *redaction;
    struct level levels[DEEPEST];
    size_t levels_n;
};

/* The pointers of `mask` whose name at this depth is `name`. *out_whole: one of them ends here. */
static uint64_t follow(const struct tb_redaction *redaction, const struct level *level,
                       const char *name, bool *out_whole)
{
    uint64_t next = 0;
    for (uint64_t left = level->mask; left != 0; left &= left - 1) {
        size_t i = (size_t)__builtin_ctzll(left);
        const struct pointer *pointer = &redaction->pointers[i];
        const char *part = pointer->parts[level->depth];
        if (strcmp(part, "*") != 0 && strcmp(part, name) != 0)
            continue;
        if (pointer->parts_n == level->depth + 1)
            *out_whole = true;
        else
            next |= UINT64_C(1) << i;
    }
    return next;
}

/* What takes the place of a scalar; NULL: it stays. With a reference for the caller. */
static json_t *instead_of(const json_t *value, bool redacted)
{
    if (redacted) {
        switch (json_typeof(value)) {
        case JSON_STRING:
            return json_string("[redacted]");
        case JSON_INTEGER:
        case JSON_REAL:
            return json_integer(0);
        case JSON_TRUE:
            return json_false();
        default:
            return NULL;
        }
    }
    if (!json_is_string(value) || json_string_length(value) <= TB_REDACT_TEXT_BYTES)
        return NULL;
    const char *text = json_string_value(value);
    size_t n = TB_REDACT_TEXT_BYTES;
    while (n > 0 && ((unsigned char)text[n] & 0xc0u) == 0x80u)
        n--;
    return json_stringn_nocheck(text, n);
}

static bool push(struct walk *walk, json_t *container, uint64_t mask, size_t depth, bool all)
{
    if (walk->levels_n == DEEPEST)
        return false;
    walk->levels[walk->levels_n++] = (struct level){
        .container = container,
        .member = json_is_object(container) ? json_object_iter(container) : NULL,
        .mask = mask,
        .depth = depth,
        .all = all,
    };
    return true;
}

/* Take the next value of the level on top. NULL: it has no more. */
static json_t *next_value(struct level *level, void **out_member, char index[24], const char **name)
{
    if (json_is_array(level->container)) {
        json_t *value = json_array_get(level->container, level->element);
        snprintf(index, 24, "%zu", level->element++);
        *name = index;
        return value;
    }
    *out_member = level->member;
    if (level->member == NULL)
        return NULL;
    *name = json_object_iter_key(level->member);
    level->member = json_object_iter_next(level->container, level->member);
    return json_object_iter_value(*out_member);
}

/* Look at one value of the level on top: replace it, or go down into it. */
static bool step(struct walk *walk)
{
    struct level *level = &walk->levels[walk->levels_n - 1];
    char index[24];
    const char *name = NULL;
    void *member = NULL;
    json_t *value = next_value(level, &member, index, &name);
    if (value == NULL) {
        walk->levels_n--;
        return true;
    }
    bool redacted = level->all, outside = level->depth == SIZE_MAX;
    bool body = walk->levels_n == 1 && strcmp(name, "body") == 0;
    uint64_t mask = outside ? 0 : follow(walk->redaction, level, name, &redacted);
    size_t depth = outside ? SIZE_MAX : level->depth + 1;
    if (body) {
        size_t n = walk->redaction->pointers_n;
        mask = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
        depth = 0;
    }
    if (json_is_object(value) || json_is_array(value))
        return push(walk, value, mask, depth, redacted);
    json_t *other = instead_of(value, redacted);
    if (other == NULL)
        return true;
    return (member != NULL ? json_object_iter_set_new(level->container, member, other)
                           : json_array_set_new(level->container, level->element - 1, other)) == 0;
}

bool tb_redact(const struct tb_redaction *redaction, json_t *request)
{
    struct walk walk = {.redaction = redaction};
    if (!json_is_object(request) || !push(&walk, request, 0, SIZE_MAX, false))
        return false;
    while (walk.levels_n > 0)
        if (!step(&walk))
            return false;
    return true;
}
