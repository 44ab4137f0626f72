/* See dry_count.h. */
#include "hooks/dry_count.h"
#include "hooks/dry_run.h"
#include <string.h>

void tb_dry_count_open(struct tb_dry_count *count)
{
    *count = (struct tb_dry_count){.lines = json_array()};
    for (size_t i = 0; i < TB_DRY_KINDS_N; i++)
        count->samples[i] = json_array();
}

void tb_dry_count_close(struct tb_dry_count *count)
{
    for (size_t i = 0; i < TB_DRY_KINDS_N; i++)
        json_decref(count->samples[i]);
    json_decref(count->lines);
}

void tb_dry_count_call(struct tb_dry_count *count, size_t side, int64_t cpu_ns)
{
    struct tb_dry_side_count *of = &count->sides[side];
    of->calls++;
    of->cpu_ns += cpu_ns;
    if (cpu_ns > of->slowest_ns)
        of->slowest_ns = cpu_ns;
}

int64_t tb_dry_count_cpu_ns(const struct tb_dry_count *count)
{
    return count->sides[TB_DRY_AFTER].cpu_ns + count->sides[TB_DRY_BEFORE].cpu_ns;
}

void tb_dry_count_told(struct tb_dry_count *count)
{
    count->lines_told += (int64_t)json_array_size(count->lines);
    count->lines_bytes = 0;
    (void)json_array_clear(count->lines);
}

/* ---- differences ---- */

/* A decision can be as large as a script's memory; what is larger than a page of text is not told.
 */
static json_t *decision_of(const json_t *decision)
{
    if (decision == NULL)
        return NULL;
    if (json_dumpb(decision, NULL, 0, JSON_COMPACT) > TB_DRY_RUN_DECISION_BYTES)
        return json_pack("{s:b}", "too_large", 1);
    return json_deep_copy(decision);
}

static json_t *verdict_json(const struct tb_dry_verdict *verdict)
{
    json_t *out = json_pack("{s:s}", "verdict", tb_dry_kind_name(verdict->outcome));
    json_t *decision = decision_of(verdict->decision);
    if (decision != NULL)
        (void)json_object_set_new(out, "decision", decision);
    if (verdict->outcome == TB_DRY_ERROR)
        (void)json_object_set_new(out, "why", json_string(verdict->why));
    return out;
}

static json_t *names_of(uint32_t kinds)
{
    json_t *names = json_array();
    for (enum tb_dry_kind kind = 0; kind < TB_DRY_KINDS_N; kind++)
        if ((kinds >> kind & 1) != 0)
            (void)json_array_append_new(names, json_string(tb_dry_kind_name(kind)));
    return names;
}

static void add_line(struct tb_dry_count *count, const struct tb_dry_request *request,
                     const struct tb_dry_verdict *verdicts, uint32_t changes)
{
    if (count->lines_told + (int64_t)json_array_size(count->lines) >= TB_DRY_RUN_LINES)
        return;
    json_t *line = json_pack(
        "{s:o, s:O*, s:O*, s:O*, s:i, s:o, s:o, s:o}", "request_id",
        json_stringn(request->id.at, request->id.n), "world_time",
        json_object_get(request->json, "world_time"), "method",
        json_object_get(request->json, "method"), "path", json_object_get(request->json, "path"),
        "status", request->status, "changes", names_of(changes), "before",
        verdict_json(&verdicts[TB_DRY_BEFORE]), "after", verdict_json(&verdicts[TB_DRY_AFTER]));
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL) {
        (void)json_array_append_new(count->lines, json_string(text));
        count->lines_bytes += strlen(text);
    }
    free(text);
    json_decref(line);
}

void tb_dry_count_request(struct tb_dry_count *count, const struct tb_dry_request *request,
                          const struct tb_dry_verdict verdicts[TB_DRY_SIDES])
{
    uint32_t changes = tb_dry_changes(&verdicts[TB_DRY_BEFORE], &verdicts[TB_DRY_AFTER]);
    count->replayed++;
    count->changed += changes != 0;
    for (size_t kind = 0; kind < TB_DRY_KINDS_N; kind++) {
        for (size_t side = 0; side < TB_DRY_SIDES; side++)
            count->sides[side].kinds[kind] += verdicts[side].kinds >> kind & 1;
        if ((changes >> kind & 1) == 0)
            continue;
        count->changes[kind]++;
        if (json_array_size(count->samples[kind]) < TB_DRY_RUN_SAMPLES)
            (void)json_array_append_new(count->samples[kind],
                                        json_stringn(request->id.at, request->id.n));
    }
    if (changes != 0)
        add_line(count, request, verdicts, changes);
}

/* ---- as JSON ---- */

static json_t *kinds_json(const int64_t kinds[TB_DRY_KINDS_N], size_t n)
{
    json_t *out = json_object();
    for (size_t kind = 0; kind < n; kind++)
        (void)json_object_set_new(out, tb_dry_kind_name((enum tb_dry_kind)kind),
                                  json_integer(kinds[kind]));
    return out;
}

static json_t *side_json(const struct tb_dry_side_count *side)
{
    json_t *out = kinds_json(side->kinds, TB_DRY_WORDS);
    (void)json_object_set_new(out, "mean_ns",
                              json_integer(side->calls == 0 ? 0 : side->cpu_ns / side->calls));
    (void)json_object_set_new(out, "slowest_ns", json_integer(side->slowest_ns));
    return out;
}

json_t *tb_dry_count_json(const struct tb_dry_count *count)
{
    json_t *samples = json_object();
    for (size_t kind = 0; kind < TB_DRY_KINDS_N; kind++)
        if (json_array_size(count->samples[kind]) > 0)
            (void)json_object_set_new(samples, tb_dry_kind_name((enum tb_dry_kind)kind),
                                      json_deep_copy(count->samples[kind]));
    return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o}", "replayed", (json_int_t)count->replayed,
                     "after", side_json(&count->sides[TB_DRY_AFTER]), "before",
                     side_json(&count->sides[TB_DRY_BEFORE]), "changed", (json_int_t)count->changed,
                     "changes", kinds_json(count->changes, TB_DRY_KINDS_N), "samples", samples);
}
