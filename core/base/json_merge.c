/* JSON merge patch without recursion: what is open waits in an array as deep as JSON may be. */
#include "base/json.h"

struct open {
    json_t *target;
    const json_t *patch;
    void *member; /* of the patch, the next one; NULL: there is none */
};

static void *first(const json_t *patch)
{
    return json_object_iter((json_t *)(uintptr_t)patch);
}

/* The object that a patch's object goes into: the one that is there, or a new one. */
static json_t *object_at(json_t *target, const char *name)
{
    json_t *at = json_object_get(target, name);
    if (json_is_object(at))
        return at;
    at = json_object();
    return json_object_set_new(target, name, at) == 0 ? at : NULL;
}

bool tb_json_merge(json_t *target, const json_t *patch)
{
    struct open open[TB_JSON_DEPTH_MAX] = {{target, patch, first(patch)}};
    size_t depth = 1;
    while (depth > 0) {
        struct open *at = &open[depth - 1];
        if (at->member == NULL) {
            depth--;
            continue;
        }
        const char *name = json_object_iter_key(at->member);
        json_t *value = json_object_iter_value(at->member);
        json_t *into = at->target;
        at->member = json_object_iter_next((json_t *)(uintptr_t)at->patch, at->member);
        if (json_is_null(value)) {
            (void)json_object_del(into, name);
        } else if (!json_is_object(value)) {
            if (json_object_set(into, name, value) != 0)
                return false;
        } else {
            json_t *deeper = depth < TB_JSON_DEPTH_MAX ? object_at(into, name) : NULL;
            if (deeper == NULL)
                return false;
            open[depth++] = (struct open){deeper, value, first(value)};
        }
    }
    return true;
}
