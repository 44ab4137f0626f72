/* Records are written by one worker and read by any: a version around each (a seqlock) lets a
 * reader notice that the writer passed by, without either ever waiting for the other. */
#include "gateway/trace.h"
#include "base/text.h"
#include "base/time.h"
#include <stdatomic.h>

void tb_trace_keep(struct tb_trace_ring *ring, const struct tb_trace *trace)
{
    uint64_t at = atomic_fetch_add_explicit(&ring->next, 1, memory_order_relaxed);
    struct tb_trace_slot *slot = &ring->slots[at % TB_TRACE_RING];
    uint32_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);
    atomic_store_explicit(&slot->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    slot->trace = *trace;
    atomic_store_explicit(&slot->version, version + 2, memory_order_release);
}

static bool read_slot(struct tb_trace_slot *slot, struct tb_str request_id,
                      struct tb_trace *out_trace)
{
    uint32_t before = atomic_load_explicit(&slot->version, memory_order_acquire);
    if (before == 0 || (before & 1) != 0)
        return false;
    if (memcmp(slot->trace.request_id, request_id.at, sizeof(slot->trace.request_id)) != 0)
        return false;
    *out_trace = slot->trace;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->version, memory_order_relaxed) == before;
}

bool tb_trace_find(struct tb_trace_ring *const *rings, size_t rings_n, struct tb_str request_id,
                   struct tb_trace *out_trace)
{
    if (request_id.n != sizeof(out_trace->request_id))
        return false;
    for (size_t r = 0; r < rings_n; r++) {
        uint64_t next = atomic_load_explicit(&rings[r]->next, memory_order_acquire);
        for (uint64_t back = 1; back <= TB_TRACE_RING && back <= next; back++)
            if (read_slot(&rings[r]->slots[(next - back) % TB_TRACE_RING], request_id, out_trace))
                return true;
    }
    return false;
}

static const char *verdict_name(uint8_t verdict)
{
    switch (verdict) {
    case TB_VERDICT_PASS:
        return "pass";
    case TB_VERDICT_REFUSE:
        return "refuse";
    default:
        return "none";
    }
}

static void write_script(struct tb_text *text, const struct tb_trace_script *script,
                         const char *hook)
{
    tb_text_add_format(text,
                       "{\"hook\":\"%s\",\"version\":%d,\"verdict\":\"%s\",\"cpu_microseconds\":%u,"
                       "\"lookups\":%u",
                       hook, script->version, script->verdict, script->cpu_us, script->lookups);
    if (script->note[0] != '\0') {
        tb_text_add(text, TB_STR(",\"note\":"));
        tb_text_add_json(text, tb_str(script->note));
    }
    if (script->why[0] != '\0') {
        tb_text_add(text, TB_STR(",\"why\":"));
        tb_text_add_json(text, tb_str(script->why));
    }
    tb_text_add_char(text, '}');
}

static void write_scripts(struct tb_text *text, const struct tb_trace *trace)
{
    static const char *const hooks[TB_TRACE_SCRIPTS] = {"on_request", "on_response"};
    bool any = false;
    for (size_t i = 0; i < TB_TRACE_SCRIPTS; i++) {
        if (trace->scripts[i].verdict[0] == '\0')
            continue;
        tb_text_add(text, any ? TB_STR(",") : TB_STR(",\"scripts\":["));
        write_script(text, &trace->scripts[i], hooks[i]);
        any = true;
    }
    if (any)
        tb_text_add_char(text, ']');
}

struct tb_str tb_trace_json(struct tb_arena *arena, const struct tb_trace *trace,
                            const char *const *stage_names, const char *operation, bool whole)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"object\":\"trace\",\"request_id\":"));
    tb_text_add_json(&text, (struct tb_str){trace->request_id, sizeof(trace->request_id)});
    tb_text_add(&text, TB_STR(",\"operation\":"));
    tb_text_add_json(&text, tb_str(operation));
    tb_text_add(&text, TB_STR(",\"status\":"));
    tb_text_add_int(&text, trace->status);
    tb_text_add(&text, TB_STR(",\"stages\":["));
    double per_us = tb_ticks_per_us();
    for (size_t i = 0; i < trace->stages_n && stage_names[i] != NULL; i++) {
        if (i > 0)
            tb_text_add_char(&text, ',');
        tb_text_add_format(&text, "{\"stage\":\"%s\",\"verdict\":\"%s\",\"microseconds\":%.1f}",
                           stage_names[i], verdict_name(trace->verdict[i]),
                           (double)trace->ticks[i] / per_us);
    }
    tb_text_add_char(&text, ']');
    if (trace->refused_by < trace->stages_n) {
        tb_text_add(&text, TB_STR(",\"refused_by\":"));
        tb_text_add_json(&text, tb_str(stage_names[trace->refused_by]));
        tb_text_add(&text, TB_STR(",\"why\":"));
        tb_text_add_json(&text,
                         (struct tb_str){trace->why, strnlen(trace->why, TB_TRACE_WHY_BYTES)});
    }
    write_scripts(&text, trace);
    if (whole) {
        tb_text_add(&text, TB_STR(",\"partner\":"));
        tb_text_add_json(&text, tb_str(trace->partner));
        tb_text_add(&text, TB_STR(",\"cause\":"));
        tb_text_add_json(&text, tb_str(trace->cause));
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

/* Ticks are counted against the clock for two milliseconds, the first time anybody asks. */
double tb_ticks_per_us(void)
{
    static double per_us;
    if (per_us > 0)
        return per_us;
    int64_t from_us = tb_monotonic_us();
    uint64_t from = tb_ticks();
    int64_t now_us;
    do
        now_us = tb_monotonic_us();
    while (now_us - from_us < 2000);
    per_us = (double)(tb_ticks() - from) / (double)(now_us - from_us);
    return per_us;
}
