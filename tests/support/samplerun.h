/* SPDX-License-Identifier: Apache-2.0 */
/* samplerun.h - reports of runs that never were, each the same every time. */
#ifndef SUPPORT_SAMPLERUN_H
#define SUPPORT_SAMPLERUN_H

#include "load/report.h"

enum sample_kind {
    SAMPLE_EMPTY,   /* nothing ever happened */
    SAMPLE_ONE,     /* one message */
    SAMPLE_OPEN,    /* open loop, a minute, with a stall of one second in the middle */
    SAMPLE_CLOSED,  /* closed loop, faster, no stall */
    SAMPLE_LONG,    /* ten hours */
    SAMPLE_HUGE,    /* counts and times as large as their types */
    SAMPLE_HOSTILE, /* every text is an attack on whoever prints it */
    SAMPLE_KIND_COUNT
};
const char *sample_name(enum sample_kind kind);

/* sample_report() - ends the program when memory is short. */
struct load_report *sample_report(enum sample_kind kind);

#endif
