/* One family with a label, because the kinds belong together and each is rare. */
#include "http/guard/guard_metrics.h"
#include "base/metrics.h"
#include "http/guard/guard.h"
#include <stdio.h>

enum { LABEL_BYTES = 80 };

void tb_guard_metrics_write(struct tb_text *out, const struct tb_guard_counters *counters)
{
    static const char family[] = "tongbao_guard_total";
    char label[LABEL_BYTES];
    tb_metrics_write_head(out, family, "counter",
                          "What the guard refused or noticed, by kind (docs/decisions/0002).");
    for (size_t kind = 0; kind < TB_GUARD_KIND_N; kind++) {
        int n = snprintf(label, sizeof(label), "kind=\"%s\"", tb_guard_kinds[kind].name);
        tb_metrics_write_sample(out, family, (struct tb_str){label, (size_t)n},
                                atomic_load_explicit(&counters->of[kind], memory_order_relaxed));
    }
}
