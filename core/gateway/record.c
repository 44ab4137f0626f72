/* Accounting of a request that has ended: metrics, decision trace, access log. Nothing here can
 * fail a request: what cannot be written is dropped and counted by the log. */
#include "gateway/record.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "gateway/trace_ring.h"
#include <stdio.h>

static bool is_told(const struct tb_exchange *x)
{
    int32_t wanted = tb_gateway_parts(x->gateway)->config->log_access;
    if (wanted == TB_ACCESS_NONE)
        return false;
    const struct tb_operation *operation = x->match.operation;
    return wanted == TB_ACCESS_ALL || operation == NULL || operation->writes;
}

static struct tb_str operation_key(const struct tb_exchange *x)
{
    const struct tb_operation *operation = x->match.operation;
    return operation == NULL ? TB_STR_NONE : (struct tb_str){operation->key, operation->key_n};
}

static void log_access(const struct tb_exchange *x, tb_err err, int64_t us)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_field fields[] = {
        TB_F_TEXT("request_id", ((struct tb_str){x->request_id, TB_UUID_CHARS})),
        TB_F_TEXT("trace", ((struct tb_str){x->trace_id, TB_UUID_CHARS})),
        TB_F_TEXT("route", operation_key(x)),
        TB_F_TEXT("partner", x->grant == NULL ? TB_STR_NONE : x->grant->partner),
        TB_F_TEXT("app", x->grant == NULL ? TB_STR_NONE : x->grant->app),
        TB_F_INT("status", x->status),
        TB_F_CSTR("error", err == NULL ? NULL : err->code),
        TB_F_INT("us", us),
        TB_F_INT("bytes_in", (int64_t)x->in.body.n),
        TB_F_INT("bytes_out", (int64_t)x->reply.n),
        TB_F_CSTR("peer", x->in.peer),
    };
    tb_sink_add(parts->access_log, tb_loop_wall_ms(x->run.loop), "request", fields,
                TB_COUNT(fields));
}

static void copy_name(char out[TB_TRACE_PARTNER_BYTES], struct tb_str name)
{
    size_t n = name.n < TB_TRACE_PARTNER_BYTES ? name.n : TB_TRACE_PARTNER_BYTES - 1;
    if (n > 0)
        memcpy(out, name.at, n);
    out[n] = '\0';
}

/* Whose the trace is, and whose room it takes. A request that only says whose it is may be a
 * stranger's: the partner can read it, but its own records do not give way to it. */
static void keep_trace(struct tb_exchange *x, uint64_t now)
{
    const struct tb_caller *caller = &x->run.caller;
    struct tb_trace *trace = &x->trace;
    bool refused = x->status >= 400;
    copy_name(trace->partner, caller->partner);
    copy_name(trace->app, caller->app);
    if (caller->cause != NULL)
        snprintf(trace->cause, sizeof(trace->cause), "%s", caller->cause);
    trace->share = caller->proven ? tb_trace_share(trace->partner, refused)
                                  : tb_trace_share_of_stranger(x->in.peer, refused);
    trace->status = (uint16_t)x->status;
    trace->at_ms = tb_loop_wall_ms(x->run.loop);
    trace->order = now;
    tb_trace_keep(tb_gateway_parts(x->gateway)->traces, trace);
}

void tb_record(struct tb_exchange *x, tb_err err)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_operation *operation = x->match.operation;
    uint64_t now = tb_ticks();
    double us = (double)(now - x->started_ticks) / tb_ticks_per_us();
    uint32_t metric = operation == NULL ? TB_METRICS_OPERATIONS - 1 : operation->metric;
    tb_count_answer(parts->metrics, metric, x->gone ? 0 : x->status, (uint64_t)us);
    keep_trace(x, now);
    if (is_told(x))
        log_access(x, err, (int64_t)us);
}
