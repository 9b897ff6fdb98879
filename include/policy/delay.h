/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delay.h - how long a piece of work takes: a time, or a distribution of times. For experiments.
 *
 * Text forms, as postern-load and postern-sink read them: "30s", "uniform:10s-50s", "exp:30s";
 * "off" is no time at all. Pure: the same random numbers give the same times.
 */
#ifndef POLICY_DELAY_H
#define POLICY_DELAY_H

#include "base/clock.h"
#include "base/rng.h"

#define DELAY_NS_MAX (3600 * NS_PER_S)

enum delay_kind { DELAY_NONE, DELAY_CONSTANT, DELAY_UNIFORM, DELAY_EXP };

struct delay {
    enum delay_kind kind;
    clock_ns low;  /* the time, the lower end, or the mean */
    clock_ns high; /* DELAY_UNIFORM: the upper end, at least @low */
};

/*
 * delay_sample() - one duration
 * Units:   nanoseconds, at most DELAY_NS_MAX (what an exponential distribution gives beyond is cut)
 */
clock_ns delay_sample(const struct delay *d, struct rng *rng);

#endif
