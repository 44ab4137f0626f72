/* A trace as JSON, for the partner or for the operator. */
#include "gateway/trace.h"
#include "base/text.h"
#include "base/time.h"

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

/* `,"name":"value"`, of an array that is not terminated when it is full. */
static void write_text(struct tb_text *text, struct tb_str lead, const char *value, size_t room)
{
    tb_text_add(text, lead);
    tb_text_add_json(text, (struct tb_str){value, strnlen(value, room)});
}

static void write_stages(struct tb_text *text, const struct tb_trace *trace,
                         const char *const *stage_names)
{
    double per_us = tb_ticks_per_us();
    tb_text_add(text, TB_STR(",\"stages\":["));
    for (size_t i = 0; i < trace->stages_n && stage_names[i] != NULL; i++) {
        if (i > 0)
            tb_text_add_char(text, ',');
        tb_text_add_format(text, "{\"stage\":\"%s\",\"verdict\":\"%s\",\"microseconds\":%.1f}",
                           stage_names[i], verdict_name(trace->verdict[i]),
                           (double)trace->ticks[i] / per_us);
    }
    tb_text_add_char(text, ']');
}

void tb_trace_write(struct tb_text *text, const struct tb_trace *trace,
                    const char *const *stage_names, const char *operation, bool whole)
{
    char at[TB_TIME_CHARS + 1];
    tb_time_format(trace->at_ms, at);
    write_text(text, TB_STR("{\"object\":\"trace\",\"id\":"), trace->id, sizeof(trace->id));
    write_text(text, TB_STR(",\"request_id\":"), trace->request_id, sizeof(trace->request_id));
    write_text(text, TB_STR(",\"at\":"), at, TB_TIME_CHARS);
    tb_text_add(text, TB_STR(",\"operation\":"));
    tb_text_add_json(text, tb_str(operation));
    tb_text_add(text, TB_STR(",\"status\":"));
    tb_text_add_int(text, trace->status);
    write_stages(text, trace, stage_names);
    if (trace->refused_by < trace->stages_n) {
        tb_text_add(text, TB_STR(",\"refused_by\":"));
        tb_text_add_json(text, tb_str(stage_names[trace->refused_by]));
        write_text(text, TB_STR(",\"why\":"), trace->why, TB_TRACE_WHY_BYTES);
    }
    write_scripts(text, trace);
    if (whole) {
        write_text(text, TB_STR(",\"partner\":"), trace->partner, TB_TRACE_PARTNER_BYTES);
        write_text(text, TB_STR(",\"app\":"), trace->app, TB_TRACE_PARTNER_BYTES);
        write_text(text, TB_STR(",\"cause\":"), trace->cause, TB_TRACE_CAUSE_BYTES);
    }
    tb_text_add_char(text, '}');
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
