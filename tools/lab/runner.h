/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h - runs all points of experiments in all wanted modes with all seeds. */
#ifndef LAB_RUNNER_H
#define LAB_RUNNER_H

#include "lab/mode.h"
#include "lab/result.h"

struct lab_runner {
    struct lab_result *result;                          /* modes are filled in */
    const struct lab_mode *modes[LAB_RESULT_MODES_MAX]; /* those of result->modes */
    uint32_t jobs;                                      /* threads for modes that allow it */
    const char *ledger_dir; /* attempts and arrivals of each run go here; NULL: nowhere */
    const char *bin_dir;    /* where programs are; NULL: beside this one */
    FILE *err;              /* what they complain of */
    uint64_t seed;          /* the first one, others follow; 0: those of the experiment */
    uint64_t messages;      /* 0: those of the experiment */
    bool has_ladder;
    uint64_t ladder_seq;
    FILE *progress;   /* a terminal; NULL: none */
    char reason[300]; /* out: what failed */
};

/*
 * lab_runner_run() - @e in the modes with a bit in @modes, into ret_experiment
 * Return: 0, or a negative errno with r->reason filled
 */
MUST_CHECK int lab_runner_run(struct lab_runner *r, const struct lab_experiment *e, uint32_t modes,
                              struct lab_result_experiment *ret_experiment);

#endif
