/* Metrics for Prometheus. Every process adds to a row of its own in shared memory, so that
 * counting is a load and a store and nobody waits; whoever is asked sums the rows, or finds the
 * lowest. Rows outlive the processes that filled them: a counter never goes back while the service
 * lives.
 *
 *     struct tb_metrics *metrics = tb_metrics_open(region, bytes);     // once in each process
 *     tb_count(metrics, TB_M_RATE_LIMITED, 1);
 *     tb_observe(metrics, TB_H_REQUEST, us);
 *     tb_metrics_write(&text, metrics);                                // GET /metrics
 *
 * A metric is a row of metrics.def, which is also where docs/metrics.md comes from. */
#ifndef TB_BASE_METRICS_H
#define TB_BASE_METRICS_H

#include "base/text.h"
#include <stdatomic.h>
#include <tongbao/plugin.h>

/** Counters and gauges have an index each, histograms one of their own. */
enum tb_metric {
#define TB_COUNTER(name, text, help) TB_M_##name,
#define TB_GAUGE(name, text, help)   TB_M_##name,
#define TB_LOWEST(name, text, help)  TB_M_##name,
#define TB_HISTOGRAM(name, text, help)
#include "base/metrics.def"
    TB_METRICS_N
};

enum tb_histogram {
#define TB_COUNTER(name, text, help)
#define TB_GAUGE(name, text, help)
#define TB_LOWEST(name, text, help)
#define TB_HISTOGRAM(name, text, help) TB_H_##name,
#include "base/metrics.def"
    TB_HISTOGRAMS_N
};

enum {
    /** Operations with counters of their own, and one more for requests without a route. */
    TB_METRICS_OPERATIONS = TB_OPERATIONS_MAX + 1,
    TB_METRICS_PAGE_BYTES = 16 * 1024 * 1024, /**< memory to have for writing the page, at most */
    TB_METRICS_CLASSES = 5,    /**< of answers: 2xx, 3xx, 4xx, 5xx, none (the client had gone) */
    TB_HISTOGRAM_BUCKETS = 23, /**< powers of two, 16 us to 33 s, and what is beyond */
};

/** Durations in microseconds, and their sum. */
struct tb_histogram_cells {
    _Atomic uint64_t sum_us;
    _Atomic uint64_t of[TB_HISTOGRAM_BUCKETS];
};

struct tb_operation_cells {
    _Atomic uint64_t answers[TB_METRICS_CLASSES];
    struct tb_histogram_cells duration;
};

/** The row of one process. Only that process writes to it. */
struct tb_metrics_row {
    _Atomic uint64_t owner; /**< process id; 0: free, its counts stay */
    _Atomic uint64_t of[TB_METRICS_N];
    struct tb_histogram_cells histograms[TB_HISTOGRAMS_N];
    struct tb_operation_cells operations[TB_METRICS_OPERATIONS];
};

struct tb_metrics {
    struct tb_metrics_row *row; /**< of this process */
    struct tb_metrics_memory *memory;
    uint64_t began[TB_METRICS_N]; /**< the row's counters when it was taken */
};

/** Bytes of shared memory; they are touched as processes come, not before. */
size_t tb_metrics_bytes(void);

/** Changes when metrics.def or the rows do: the layout of the shared memory. */
uint32_t tb_metrics_layout(void);

/** Use the shared memory (zero-filled when new) and take a row: one that is free or whose process
 * is gone; when there is none, one outside shared memory, whose counts nobody sees.
 *  @return never NULL; tb_metrics_close gives the row back. To be called after fork. */
struct tb_metrics *tb_metrics_open(void *memory, size_t bytes);
void tb_metrics_close(struct tb_metrics *metrics);

/** Use the shared memory for reading alone: it may be mapped so. There is no row to count in. */
struct tb_metrics *tb_metrics_view(const void *memory);
void tb_metrics_view_close(struct tb_metrics *view);

/** The number to count an operation under. Numbers are the same in all processes and generations,
 *  and are given up when the service ends.
 *  @param key  "GET /accounts/v1/accounts", at most 127 bytes
 *  @return TB_METRICS_OPERATIONS - 1, which requests without a route have too, when all are taken
 *          or the key is too long */
uint32_t tb_metrics_operation(struct tb_metrics *metrics, struct tb_str key);

/** The key of a number that tb_metrics_operation gave, by any process; NULL when none did.
 *  Lives as long as the shared memory. */
const char *tb_metrics_operation_key(const struct tb_metrics *metrics, uint32_t operation);

/** Write all metrics in the text format of Prometheus (0.0.4): megabytes when there are many
 *  operations, more than the arena of a request holds. */
void tb_metrics_write(struct tb_text *out, const struct tb_metrics *metrics);

/** Write the head of a family and one sample, for counters that are kept elsewhere.
 *  @param type    "counter" or "gauge"
 *  @param labels  as in the format, `kind="reset"`; absent: none */
void tb_metrics_write_head(struct tb_text *out, const char *name, const char *type,
                           const char *help);
void tb_metrics_write_sample(struct tb_text *out, const char *name, struct tb_str labels,
                             uint64_t value);

/** The page docs/metrics.md. */
void tb_metrics_document(struct tb_text *out);

/* ---- counting: about 1 ns, only from the thread that opened the metrics ---- */

static inline void tb_metric_add(_Atomic uint64_t *cell, uint64_t n)
{
    uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, old + n, memory_order_relaxed);
}

static inline void tb_count(struct tb_metrics *metrics, enum tb_metric metric, uint64_t n)
{
    tb_metric_add(&metrics->row->of[metric], n);
}

/** Set a gauge. The page shows the sum over the processes that live; of a TB_LOWEST the lowest of
 *  those that have set it, 0 when none has. */
static inline void tb_gauge(struct tb_metrics *metrics, enum tb_metric metric, uint64_t value)
{
    atomic_store_explicit(&metrics->row->of[metric], value, memory_order_relaxed);
}

/** Set a counter that something in this process keeps for itself to what it has reached. */
static inline void tb_count_to(struct tb_metrics *metrics, enum tb_metric metric, uint64_t reached)
{
    atomic_store_explicit(&metrics->row->of[metric], metrics->began[metric] + reached,
                          memory_order_relaxed);
}

/** Below 16 us is 0, then one bucket for each power of two. */
static inline size_t tb_histogram_bucket(uint64_t us)
{
    if (us < 16)
        return 0;
    size_t bucket = 60u - (size_t)__builtin_clzll(us);
    return bucket < TB_HISTOGRAM_BUCKETS ? bucket : TB_HISTOGRAM_BUCKETS - 1;
}

static inline void tb_metric_observe(struct tb_histogram_cells *cells, uint64_t us)
{
    tb_metric_add(&cells->sum_us, us);
    tb_metric_add(&cells->of[tb_histogram_bucket(us)], 1);
}

static inline void tb_observe(struct tb_metrics *metrics, enum tb_histogram histogram, uint64_t us)
{
    tb_metric_observe(&metrics->row->histograms[histogram], us);
}

/** Count an answer, also under REQUEST.
 *  @param operation  from tb_metrics_operation; requests without a route: TB_METRICS_OPERATIONS - 1
 *  @param status     0: none was sent, the client had gone */
static inline void tb_count_answer(struct tb_metrics *metrics, uint32_t operation, int status,
                                   uint64_t us)
{
    tb_observe(metrics, TB_H_REQUEST, us);
    struct tb_operation_cells *cells = &metrics->row->operations[operation];
    bool sent = status >= 200 && status < 600;
    tb_metric_add(&cells->answers[sent ? status / 100 - 2 : TB_METRICS_CLASSES - 1], 1);
    tb_metric_observe(&cells->duration, us);
}

#endif
