/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - adding up and printing the counters of all shards.
 *
 * A reader may run beside the shard that writes: each value is whole, but two values need not be
 * from the same instant. Sums wrap like the counters themselves.
 */
#include "obs/metrics.h"
#include "base/buf.h"

static const char *const metric_names[METRIC_COUNT] = {
#define METRIC_NAME(id, name, help) [METRIC_##id] = name,
    METRIC_LIST(METRIC_NAME)
#undef METRIC_NAME
};

void metrics_sum(struct metrics *to, const struct metrics *from)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        to->value[i] += __atomic_load_n(&from->value[i], __ATOMIC_RELAXED);
    for (size_t i = 0; i < STATUS_COUNT; i++)
        to->replies[i] += __atomic_load_n(&from->replies[i], __ATOMIC_RELAXED);
}

static void print_value(struct buf *out, uint64_t value)
{
    buf_put_byte(out, ' ');
    buf_put_u64(out, value);
    buf_put_byte(out, '\n');
}

void metrics_print(const struct metrics *m, struct buf *out)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        BUF_PUT_LIT(out, "postern_");
        buf_put(out, slice_str(metric_names[i]));
        print_value(out, __atomic_load_n(&m->value[i], __ATOMIC_RELAXED));
    }
    for (size_t i = STATUS_NONE + 1; i < STATUS_COUNT; i++) {
        const struct status_row *row = status_row((enum status)i);
        BUF_PUT_LIT(out, "postern_replies_total{code=\"");
        buf_put_u64(out, row->code);
        BUF_PUT_LIT(out, "\",status=\"");
        buf_put(out, slice_str(row->name));
        BUF_PUT_LIT(out, "\"}");
        print_value(out, __atomic_load_n(&m->replies[i], __ATOMIC_RELAXED));
    }
}
