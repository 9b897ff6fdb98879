/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - hierarchical timer wheel, told the time; 1 ms resolution, O(1) arm and disarm.
 */
#ifndef IO_TIMER_H
#define IO_TIMER_H

#include "base/clock.h"
#include "base/list.h"

struct timer {
    struct list link;  /* on a wheel slot while armed */
    clock_ns due;
    uint32_t kind;     /* owner's meaning */
};

#define TIMER_LEVELS 5
#define TIMER_SLOTS 64
struct timer_wheel {
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t tick; /* milliseconds processed so far */
    uint64_t occupied[TIMER_LEVELS]; /* bit i: slot i is not empty (may be stale-set) */
};

void timer_wheel_init(struct timer_wheel *w, clock_ns now);
void timer_init(struct timer *t, uint32_t kind);
/* timer_arm() - (re)arm for @due; never fires early, at most one tick late in wheel time. */
void timer_arm(struct timer_wheel *w, struct timer *t, clock_ns due);
void timer_disarm(struct timer *t);
bool timer_is_armed(const struct timer *t);
/* timer_next_due() - when the wheel must be turned next, CLOCK_NEVER when it is empty. */
clock_ns timer_next_due(const struct timer_wheel *w);
/* timer_expire() - one expired timer (now disarmed), or NULL when none is left at @now. */
struct timer *timer_expire(struct timer_wheel *w, clock_ns now);

#endif
