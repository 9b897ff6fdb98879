/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - whether a finished run is a result. */
#ifndef LOAD_VERDICT_H
#define LOAD_VERDICT_H

#include "load/options.h"

/*
 * verdict_judge() - set is_result and why_not of @r, whose other members are filled in
 * @not_started: transactions that were due and never begun
 *
 * An open-loop run is none when its generator was late by more than its figures can bear, or when
 * planned transactions were never begun though nobody stopped it.
 */
void verdict_judge(const struct load_options *options, uint64_t not_started, struct load_report *r);

#endif
