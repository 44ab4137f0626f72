/* Keeping faults in the order of the document, and naming their places as RFC 6901 does. */
#include "schema/fault.h"
#include "base/json.h"
#include "base/nearest.h"

static const struct {
    const char *code, *words;
} phrases[] = {
#define PHRASE(name, code_, words_) [TB_FAULT_##name] = {.code = (code_), .words = (words_)},
    TB_SCHEMA_FAULTS(PHRASE)
#undef PHRASE
};

/* Document order: a value comes before what is in it. */
static bool is_before(const struct tb_fault *a, const struct tb_fault *b)
{
    size_t n = a->path_n < b->path_n ? a->path_n : b->path_n;
    for (size_t i = 0; i < n; i++) {
        if (a->path[i] != b->path[i])
            return a->path[i] < b->path[i];
    }
    return a->path_n < b->path_n;
}

void tb_faults_add(struct tb_faults *faults, struct tb_arena *arena, const struct tb_fault *fault)
{
    faults->total++;
    if (faults->room == 0)
        return;
    if (faults->kept == NULL)
        faults->kept = tb_arena_raw(arena, faults->room * sizeof(*faults->kept));
    if (faults->kept == NULL) {
        faults->room = 0; /* the arena has overflowed: the request fails for that */
        return;
    }
    size_t at = faults->kept_n;
    while (at > 0 && is_before(fault, &faults->kept[at - 1]))
        at--;
    if (at == faults->room)
        return;
    if (faults->kept_n < faults->room)
        faults->kept_n++;
    for (size_t i = faults->kept_n - 1; i > at; i--)
        faults->kept[i] = faults->kept[i - 1];
    faults->kept[at] = *fault;
}

/* The place of `fault`. The last step to a missing member leads beyond the members there are. */
static const char *tell_place(const struct tb_fault *fault, json_t *value, struct tb_arena *arena)
{
    struct tb_text pointer;
    tb_text_init(&pointer, arena);
    for (size_t i = 0; i < fault->path_n; i++) {
        if (json_is_array(value)) {
            tb_json_pointer_index(&pointer, fault->path[i]);
            value = json_array_get(value, fault->path[i]);
            continue;
        }
        void *at = json_object_iter(value);
        for (uint32_t skip = fault->path[i]; skip > 0 && at != NULL; skip--)
            at = json_object_iter_next(value, at);
        if (at == NULL) {
            tb_json_pointer_name(&pointer, tb_str(fault->text));
            break;
        }
        struct tb_str name = {json_object_iter_key(at), json_object_iter_key_len(at)};
        tb_json_pointer_name(&pointer, name);
        value = json_object_iter_value(at);
    }
    return tb_text_end(&pointer).at;
}

/* The member that an unknown one may have been meant for. */
static struct tb_str meant(const struct tb_fault *fault, const char *place)
{
    const struct tb_object_rules *rules = fault->known;
    const char *slash = place == NULL ? NULL : strrchr(place, '/');
    struct tb_nearest nearest = {.word = slash == NULL ? TB_STR_NONE : tb_str(slash + 1)};
    for (size_t i = 0; rules != NULL && slash != NULL && i <= rules->mask; i++)
        if (rules->members[i].name != NULL)
            tb_nearest_try(&nearest, (struct tb_str){rules->members[i].name, rules->members[i].n});
    return nearest.name;
}

static const char *tell_words(const struct tb_fault *fault, const char *place,
                              struct tb_arena *arena)
{
    const char *words = phrases[fault->kind].words;
    struct tb_str name = meant(fault, place);
    if (name.at != NULL)
        return tb_arena_format(arena, "%s; did you mean %.*s?", words, (int)name.n, name.at).at;
    size_t n = strcspn(words, "%$");
    if (words[n] == '\0')
        return words;
    struct tb_text detail;
    tb_text_init(&detail, arena);
    tb_text_add(&detail, (struct tb_str){words, n});
    if (words[n] == '%')
        tb_text_add_int(&detail, fault->number);
    else
        tb_text_add(&detail, tb_str(fault->text));
    tb_text_add(&detail, tb_str(words + n + 1));
    return tb_text_end(&detail).at;
}

size_t tb_faults_tell(const struct tb_faults *faults, json_t *root, struct tb_arena *arena,
                      struct tb_schema_error *out)
{
    for (size_t i = 0; i < faults->kept_n; i++) {
        const struct tb_fault *fault = &faults->kept[i];
        const char *place = tell_place(fault, root, arena);
        const char *detail = tell_words(fault, place, arena);
        out[i] = (struct tb_schema_error){.pointer = place == NULL ? "" : place,
                                          .code = phrases[fault->kind].code,
                                          .detail = detail == NULL ? "" : detail};
    }
    return faults->kept_n;
}
