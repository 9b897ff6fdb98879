/* SPDX-License-Identifier: Apache-2.0 */
/* report_csv.c - the series, a line a second (RFC 4180, but for LF line ends). Numbers only. */
#include "load/outfile.h"
#include "load/report.h"
#include <inttypes.h>

int report_csv(const struct load_report *r, const char *path)
{
    const struct load_stats *s = r->stats;
    struct outfile o;
    int result = outfile_open(&o, path);
    if (result != 0)
        return result;
    fputs("second,measured,started,messages,rcpts_accepted,rcpts_deferred,rcpts_refused,unknown,"
          "bytes,in_flight_max,latency_p50_ns,latency_p99_ns,latency_max_ns\n",
          o.file);
    for (uint32_t i = 0; i < s->second_count; i++) {
        const struct load_second *t = &s->seconds[i];
        bool is_measured = s->began_at + i * NS_PER_S >= s->measure_at;
        fprintf(o.file,
                "%u,%d,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
                i, is_measured, t->started, t->messages, t->rcpts_accepted, t->rcpts_deferred,
                t->rcpts_refused, t->unknown, t->bytes, t->in_flight_max, t->latency_p50_ns,
                t->latency_p99_ns, t->latency_max_ns);
    }
    return outfile_end(&o);
}
