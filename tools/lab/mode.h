/* SPDX-License-Identifier: Apache-2.0 */
/* mode.h - the ways of running a point. Each gives the same measure and the same two files. */
#ifndef LAB_MODE_H
#define LAB_MODE_H

#include "lab/point.h"
#include <stdio.h>

struct ladder;

struct lab_job {
    const struct lab_point *point;
    uint64_t seed;
    clock_ns time_scale_ns; /* of a model second; a mode without real time does not look at it */
    FILE *attempts;         /* as postern-load writes them; NULL: not wanted */
    FILE *arrivals;         /* as postern-sink writes them */
    struct ladder *ladder;  /* of message ladder_seq; NULL: not wanted */
    uint64_t ladder_seq;
    clock_ns series_width_ns; /* 0: no series */
    const char *bin_dir;      /* where programs are; NULL: beside this one */
    FILE *err;                /* what they complain of */
};

#define LAB_MODE_REASON_BYTES_MAX 200

struct lab_mode {
    const char *name, *doc;
    bool is_parallel; /* several jobs may run at once */
    /* Whether it can do what the point says, else a reason in one line; NULL: it always can. */
    bool (*can_run)(const struct lab_job *job, char ret_reason[LAB_MODE_REASON_BYTES_MAX]);
    /* 0, or a negative errno; lab_measure_init() was called. */
    int (*run)(const struct lab_job *job, struct lab_measure *ret_measure);
    /* How exactly times are kept at best, model ns; NULL: exactly. A measure may say that it was
     * worse (late_ns). */
    clock_ns (*precision)(clock_ns time_scale_ns);
    const char *note; /* for the reader of a result; "": nothing to say */
};

/* In the order in which they stand beside each other; the name of the last one is NULL. */
extern const struct lab_mode lab_modes[];

/* lab_mode_find() - NULL: there is none of that name. */
const struct lab_mode *lab_mode_find(const char *name);
/* lab_modes_print() - "sim, live". */
void lab_modes_print(FILE *out);

#endif
