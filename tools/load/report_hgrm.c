/* SPDX-License-Identifier: Apache-2.0 */
/* report_hgrm.c - percentile files in milliseconds, as HdrHistogram's plotters read them. */
#include "load/outfile.h"
#include "load/report.h"
#include <errno.h>
#include <sys/stat.h>

#define TICKS 5
#define NS_PER_UNIT 1e6 /* HdrHistogram's tools expect milliseconds */

static int put_file(const struct hist *h, const char *dir, const char *name, const char *clock)
{
    static const char suffix[] = "hgrm";
    char path[PATH_MAX];
    uint8_t memory[HIST_PRINT_BYTES_MAX(TICKS)];
    struct buf text = buf_over(memory, sizeof(memory));
    struct outfile o;
    if (h->total == 0) /* plotters take an empty distribution badly */
        return 0;
    int len = snprintf(path, sizeof(path), "%s/%s.%s.%s", dir, name, clock, suffix);
    if (len < 0 || (size_t)len >= sizeof(path))
        return -ENAMETOOLONG;
    hist_print(h, NS_PER_UNIT, TICKS, &text);
    ASSERT(!text.is_full);
    int result = outfile_open(&o, path);
    if (result != 0)
        return result;
    fwrite(text.ptr, 1, text.len, o.file);
    return outfile_end(&o);
}

int report_hgrm(const struct load_report *r, const char *dir)
{
    const struct load_stats *s = r->stats;
    int result = mkdir(dir, 0777) == 0 || errno == EEXIST ? 0 : -errno;
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT && result == 0; p++) {
        result = put_file(&s->planned[p], dir, load_phase_name(p), "planned");
        if (result == 0)
            result = put_file(&s->actual[p], dir, load_phase_name(p), "actual");
    }
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX && result == 0; k++) {
        char name[32];
        snprintf(name, sizeof(name), "dot_to_reply_%u", k + 1);
        result = put_file(&s->reply_k[k], dir, name, "actual");
    }
    if (result == 0)
        result = put_file(&s->start_lag, dir, "start_lag", "actual");
    return result;
}
