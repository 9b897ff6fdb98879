/* SPDX-License-Identifier: Apache-2.0 */
/* result_series.h - the pictures of what happened over model time, for a page. */
#ifndef LAB_RESULT_SERIES_H
#define LAB_RESULT_SERIES_H

#include "lab/result.h"

struct lab_storm { /* what a series tells of retries; times in model seconds from the start */
    double arrivals_end_s; /* no message begins its first try after that */
    double last_retry_s;   /* 0: there was none */
    double settled_s;      /* nothing is left to try */
    double idle_s;         /* the server has nothing to do any more, for anybody */
    uint64_t retries, copies;
    uint64_t in_work_max; /* at the server, in work and waiting */
    double in_work_max_s; /* when */
};

/* lab_storm_of() - @s has at least one bucket. */
struct lab_storm lab_storm_of(const struct lab_series *s);

/* lab_series_put() - a table of when storms are over, and curves, of the first run of each point in
 * @mode; nothing where no point has a series. */
void lab_series_put(const struct lab_result *r, const struct lab_result_experiment *e,
                    uint32_t experiment_idx, uint32_t mode, FILE *out);

#endif
