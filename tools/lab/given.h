/* SPDX-License-Identifier: Apache-2.0 */
/* given.h - a setting that stands in an experiment file: what its readers and its printer share. */
#ifndef LAB_GIVEN_H
#define LAB_GIVEN_H

#include "lab/experiment.h"

enum lab_phase {
    LAB_PHASE_LIKE,       /* client { like = ... } */
    LAB_PHASE_ALL,        /* everything outside of named clients */
    LAB_PHASE_NAMED_LIKE, /* client "exim" { like = ... } */
    LAB_PHASE_NAMED,
    LAB_PHASE_MIX_LIKE, /* mix { client "exim" { like = ... } } */
    LAB_PHASE_MIX,
    LAB_PHASE_COUNT
};

struct lab_given {
    const struct lab_setting *setting;
    enum lab_phase phase;
    size_t base;        /* of the section's record in struct lab_point */
    int32_t axis;       /* -1: one value */
    int32_t client_idx; /* of named clients: holds for this one only; else -1 */
    uint32_t line;
    uint32_t order;       /* in the file */
    struct slice text;    /* of one value */
    struct slice *values; /* of an axis */
    struct lab_given *next;
};

#endif
