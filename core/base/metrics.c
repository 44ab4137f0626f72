/* Rows and names in shared memory. A row is taken by writing one's process id into it and keeps its
 * counts when it changes hands; nothing here waits for another process, dead or alive. */
#include "base/metrics.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ROWS = 320, /* more than the processes a master may have, of all generations */
    NAME_BYTES = 128,
    LAYOUT = 2, /* of struct tb_metrics_memory itself */
};

static const uint64_t NOT_SET = UINT64_MAX; /* of a gauge whose lowest is shown */

enum name_state { NAME_FREE, NAME_WRITING, NAME_READY };

/* The last number is "everything else" and has no name. */
struct name {
    _Atomic uint32_t state;
    char key[NAME_BYTES];
};

struct tb_metrics_memory {
    _Atomic uint32_t rows_n; /* rows that were ever taken: those behind are never touched */
    struct name names[TB_METRICS_OPERATIONS - 1];
    struct tb_metrics_row rows[ROWS];
};

struct about {
    const char *name, *type, *help;
    bool lowest; /* of the processes, where others are summed */
};

static const struct about metrics[] = {
#define TB_COUNTER(id, text, about) [TB_M_##id] = {(text), "counter", (about), false},
#define TB_GAUGE(id, text, about)   [TB_M_##id] = {(text), "gauge", (about), false},
#define TB_LOWEST(id, text, about)  [TB_M_##id] = {(text), "gauge", (about), true},
#define TB_HISTOGRAM(id, text, about)
#include "base/metrics.def"
};

static const struct about histograms[] = {
#define TB_COUNTER(id, text, about)
#define TB_GAUGE(id, text, about)
#define TB_LOWEST(id, text, about)
#define TB_HISTOGRAM(id, text, about) [TB_H_##id] = {(text), "histogram", (about), false},
#include "base/metrics.def"
};

static const struct about answers = {"tongbao_answers_total", "counter",
                                     "Answers of each operation, by class of status.", false};
static const struct about durations = {"tongbao_operation_seconds", "histogram",
                                       "From arrival to answer, of each operation.", false};

static const char *const classes[TB_METRICS_CLASSES] = {"2xx", "3xx", "4xx", "5xx", "gone"};

static bool is_gauge(size_t metric)
{
    return strcmp(metrics[metric].type, "gauge") == 0;
}

/* ---- rows ---- */

size_t tb_metrics_bytes(void)
{
    return sizeof(struct tb_metrics_memory);
}

uint32_t tb_metrics_layout(void)
{
    uint64_t layout = TB_HASH_START ^ LAYOUT;
    for (size_t i = 0; i < TB_METRICS_N; i++)
        layout = tb_hash_add(layout, metrics[i].name, strlen(metrics[i].name));
    return tb_hash_fold(layout);
}

static bool is_alive(uint64_t owner)
{
    return kill((pid_t)owner, 0) == 0 || errno != ESRCH;
}

/* A free row, or one whose process has died; NULL when all are in use. */
static struct tb_metrics_row *row_take(struct tb_metrics_memory *memory)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        struct tb_metrics_row *row = &memory->rows[i];
        uint64_t owner = atomic_load_explicit(&row->owner, memory_order_relaxed);
        if (owner != 0 && is_alive(owner))
            continue;
        if (!atomic_compare_exchange_strong_explicit(&row->owner, &owner, (uint64_t)getpid(),
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        uint32_t n = atomic_load_explicit(&memory->rows_n, memory_order_relaxed);
        while (n <= i &&
               !atomic_compare_exchange_weak_explicit(&memory->rows_n, &n, i + 1,
                                                      memory_order_relaxed, memory_order_relaxed))
            ;
        return row;
    }
    return NULL;
}

static void gauges_clear(struct tb_metrics_row *row)
{
    for (size_t i = 0; i < TB_METRICS_N; i++) {
        if (is_gauge(i))
            atomic_store_explicit(&row->of[i], metrics[i].lowest ? NOT_SET : 0,
                                  memory_order_relaxed);
    }
}

struct tb_metrics *tb_metrics_open(void *memory, size_t bytes)
{
    TB_ASSERT(bytes >= sizeof(struct tb_metrics_memory));
    struct tb_metrics *opened = tb_mem(sizeof(*opened));
    opened->memory = memory;
    opened->row = row_take(memory);
    if (opened->row == NULL)
        opened->row = tb_mem(sizeof(*opened->row));
    gauges_clear(opened->row);
    for (size_t i = 0; i < TB_METRICS_N; i++)
        opened->began[i] = atomic_load_explicit(&opened->row->of[i], memory_order_relaxed);
    return opened;
}

struct tb_metrics *tb_metrics_view(const void *memory)
{
    struct tb_metrics *view = tb_mem(sizeof(*view));
    view->memory = (struct tb_metrics_memory *)(uintptr_t)memory; /* it is only read */
    return view;
}

void tb_metrics_view_close(struct tb_metrics *view)
{
    tb_mem_free(view);
}

void tb_metrics_close(struct tb_metrics *closing)
{
    if (closing == NULL)
        return;
    struct tb_metrics_row *row = closing->row;
    gauges_clear(row);
    if (row >= closing->memory->rows && row < closing->memory->rows + ROWS)
        atomic_store_explicit(&row->owner, 0, memory_order_release);
    else
        tb_mem_free(row);
    tb_mem_free(closing);
}

/* ---- operations ---- */

/* The state of a name somebody may be writing at this moment; whoever died doing so is not waited
 * for, its place is lost. */
static uint32_t name_state(struct name *name)
{
    uint32_t state = atomic_load_explicit(&name->state, memory_order_acquire);
    for (int i = 0; state == NAME_WRITING && i < 1000; i++) {
        usleep(10);
        state = atomic_load_explicit(&name->state, memory_order_acquire);
    }
    return state;
}

uint32_t tb_metrics_operation(struct tb_metrics *opened, struct tb_str key)
{
    const uint32_t others = TB_METRICS_OPERATIONS - 1;
    if (key.n >= NAME_BYTES)
        return others;
    for (uint32_t i = 0; i < others; i++) {
        struct name *name = &opened->memory->names[i];
        uint32_t state = name_state(name);
        if (state == NAME_FREE &&
            atomic_compare_exchange_strong_explicit(&name->state, &state, NAME_WRITING,
                                                    memory_order_acquire, memory_order_acquire)) {
            memcpy(name->key, key.at, key.n);
            name->key[key.n] = '\0';
            atomic_store_explicit(&name->state, NAME_READY, memory_order_release);
            return i;
        }
        if (name_state(name) == NAME_READY && tb_str_eq(tb_str(name->key), key))
            return i;
    }
    return others;
}

const char *tb_metrics_operation_key(const struct tb_metrics *opened, uint32_t operation)
{
    if (operation >= TB_METRICS_OPERATIONS - 1)
        return NULL;
    const struct name *name = &opened->memory->names[operation];
    bool ready = atomic_load_explicit(&name->state, memory_order_acquire) == NAME_READY;
    return ready ? name->key : NULL;
}

/* ---- the page ---- */

static bool is_taken(const struct tb_metrics_row *row)
{
    uint64_t owner = atomic_load_explicit(&row->owner, memory_order_relaxed);
    return owner != 0 && is_alive(owner);
}

/* The sum of a cell over all rows, found by its offset in the row. */
static uint64_t sum(const struct tb_metrics_memory *memory, size_t offset, bool living)
{
    uint64_t total = 0;
    uint32_t n = atomic_load_explicit(&memory->rows_n, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++) {
        const struct tb_metrics_row *row = &memory->rows[i];
        if (living && !is_taken(row))
            continue;
        const _Atomic uint64_t *cell = (const void *)((const char *)row + offset);
        total += atomic_load_explicit(cell, memory_order_relaxed);
    }
    return total;
}

/* The lowest that a living process has set; 0 when none has. */
static uint64_t lowest(const struct tb_metrics_memory *memory, size_t metric)
{
    uint64_t least = NOT_SET;
    uint32_t n = atomic_load_explicit(&memory->rows_n, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++) {
        const struct tb_metrics_row *row = &memory->rows[i];
        uint64_t value = atomic_load_explicit(&row->of[metric], memory_order_relaxed);
        if (value < least && is_taken(row))
            least = value;
    }
    return least == NOT_SET ? 0 : least;
}

void tb_metrics_write_head(struct tb_text *out, const char *name, const char *type,
                           const char *help)
{
    tb_text_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void tb_metrics_write_sample(struct tb_text *out, const char *name, struct tb_str labels,
                             uint64_t value)
{
    tb_text_add(out, tb_str(name));
    if (labels.n > 0)
        tb_text_add_format(out, "{%.*s}", (int)labels.n, labels.at);
    tb_text_add_format(out, " %" PRIu64 "\n", value);
}

static void write_seconds(struct tb_text *out, uint64_t us)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    tb_text_add(out, (struct tb_str){digits, (size_t)n});
}

static void write_histogram(struct tb_text *out, const struct tb_metrics_memory *memory,
                            size_t offset, const char *name, const char *label)
{
    uint64_t count = 0;
    const char *comma = label[0] == '\0' ? "" : ",";
    for (size_t i = 0; i < TB_HISTOGRAM_BUCKETS; i++) {
        count += sum(memory, offset + offsetof(struct tb_histogram_cells, of[i]), false);
        tb_text_add_format(out, "%s_bucket{%s%sle=\"", name, label, comma);
        if (i + 1 < TB_HISTOGRAM_BUCKETS)
            write_seconds(out, UINT64_C(16) << i); /* the first value it does not hold */
        else
            tb_text_add(out, TB_STR("+Inf"));
        tb_text_add_format(out, "\"} %" PRIu64 "\n", count);
    }
    const char *open = label[0] == '\0' ? "" : "{", *close = label[0] == '\0' ? "" : "}";
    tb_text_add_format(out, "%s_sum%s%s%s ", name, open, label, close);
    write_seconds(out, sum(memory, offset + offsetof(struct tb_histogram_cells, sum_us), false));
    tb_text_add_format(out, "\n%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

static size_t operation_offset(size_t operation)
{
    return offsetof(struct tb_metrics_row, operations) +
           operation * sizeof(struct tb_operation_cells);
}

/* The label of an operation, or false when nothing was counted under it. */
static bool operation_label(const struct tb_metrics_memory *memory, size_t operation,
                            char label[NAME_BYTES + 16])
{
    const char *key = "other";
    if (operation + 1 < TB_METRICS_OPERATIONS) {
        const struct name *name = &memory->names[operation];
        if (atomic_load_explicit(&name->state, memory_order_acquire) != NAME_READY)
            return false;
        key = name->key;
    }
    snprintf(label, NAME_BYTES + 16, "operation=\"%s\"", key);
    for (size_t class = 0; class < TB_METRICS_CLASSES; class ++) {
        size_t cell = operation_offset(operation) + class * sizeof(uint64_t);
        if (sum(memory, cell, false) > 0)
            return true;
    }
    return false;
}

static void write_answers(struct tb_text *out, const struct tb_metrics_memory *memory)
{
    char label[NAME_BYTES + 16], labels[NAME_BYTES + 48];
    tb_metrics_write_head(out, answers.name, answers.type, answers.help);
    for (size_t i = 0; i < TB_METRICS_OPERATIONS; i++) {
        for (size_t class = 0; operation_label(memory, i, label) && class < TB_METRICS_CLASSES;
             class ++) {
            snprintf(labels, sizeof(labels), "%s,class=\"%s\"", label, classes[class]);
            tb_metrics_write_sample(
                out, answers.name, tb_str(labels),
                sum(memory, operation_offset(i) + class * sizeof(uint64_t), false));
        }
    }
}

static uint64_t value_of(const struct tb_metrics_memory *memory, size_t metric)
{
    if (metrics[metric].lowest)
        return lowest(memory, metric);
    size_t cell = offsetof(struct tb_metrics_row, of) + metric * sizeof(uint64_t);
    return sum(memory, cell, is_gauge(metric));
}

void tb_metrics_write(struct tb_text *out, const struct tb_metrics *opened)
{
    const struct tb_metrics_memory *memory = opened->memory;
    char label[NAME_BYTES + 16];
    for (size_t i = 0; i < TB_METRICS_N; i++) {
        tb_metrics_write_head(out, metrics[i].name, metrics[i].type, metrics[i].help);
        tb_metrics_write_sample(out, metrics[i].name, TB_STR_NONE, value_of(memory, i));
    }
    for (size_t i = 0; i < TB_HISTOGRAMS_N; i++) {
        size_t cells = offsetof(struct tb_metrics_row, histograms) +
                       i * sizeof(struct tb_histogram_cells);
        tb_metrics_write_head(out, histograms[i].name, histograms[i].type, histograms[i].help);
        write_histogram(out, memory, cells, histograms[i].name, "");
    }
    write_answers(out, memory);
    tb_metrics_write_head(out, durations.name, durations.type, durations.help);
    for (size_t i = 0; i < TB_METRICS_OPERATIONS; i++) {
        size_t cells = operation_offset(i) + offsetof(struct tb_operation_cells, duration);
        if (operation_label(memory, i, label))
            write_histogram(out, memory, cells, durations.name, label);
    }
}

static const char document_head[] =
    "# Metrics\n\n"
    "<!-- Generated from core/base/metrics.def by tongbao-docs. -->\n\n"
    "Served at `/metrics` in the text format of Prometheus, summed over all processes where nothing else\n"
    "is said. Counters never go back while the service lives, whichever processes come and go.\n\n"
    "| name | type | meaning |\n|---|---|---|\n";

static const char document_tail[] =
    "\nLabels: `operation` is method and path template (`other`: requests without a route), `class` is\n"
    "`2xx`, `3xx`, `4xx`, `5xx` or `gone` (the client had left before its answer).\n";

static void document_line(struct tb_text *out, const struct about *metric)
{
    tb_text_add_format(out, "| `%s` | %s | %s |\n", metric->name, metric->type, metric->help);
}

void tb_metrics_document(struct tb_text *out)
{
    tb_text_add(out, tb_str(document_head));
    for (size_t i = 0; i < TB_METRICS_N; i++)
        document_line(out, &metrics[i]);
    for (size_t i = 0; i < TB_HISTOGRAMS_N; i++)
        document_line(out, &histograms[i]);
    document_line(out, &answers);
    document_line(out, &durations);
    tb_text_add(out, tb_str(document_tail));
}
