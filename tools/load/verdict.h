/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - whether a finished run is a result. */
#ifndef LOAD_VERDICT_H
#define LOAD_VERDICT_H

#include "load/options.h"

struct verdict_facts {
    uint64_t not_started; /* transactions that were due and never begun */
    double busy_share;    /* 0..1, of the run: the busiest worker ran, or waited for a processor */
};

/*
 * verdict_judge() - set is_result and why_not of @r, whose other members are filled in
 *
 * An open-loop run is none when its generator was late by more than its figures can bear, when
 * starts waited for connections that a generator without a moment's rest may have kept busy itself,
 * or when planned transactions were never begun though nobody stopped it.
 */
void verdict_judge(const struct load_options *options, const struct verdict_facts *facts,
                   struct load_report *r);

#endif
