/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - hierarchical timer wheel, told the time; 1 ms resolution, O(1) arm and disarm.
 *
 * Arming and disarming cost a few instructions each, whatever the number of timers. A timer moves
 * at most TIMER_LEVELS - 1 times before it fires.
 */
#ifndef IO_TIMER_H
#define IO_TIMER_H

#include "base/clock.h"
#include "base/list.h"

struct timer {
    struct list link; /* on a wheel slot while armed */
    clock_ns due;
    uint32_t kind; /* owner's meaning */
};

#define TIMER_LEVELS 5
#define TIMER_SLOTS 64
/* A slot of the wheel, and when it has to be looked at. */
struct timer_step {
    uint64_t tick;
    uint32_t level;
    uint32_t slot;
};

struct timer_wheel {
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t tick;                   /* milliseconds processed so far */
    uint64_t occupied[TIMER_LEVELS]; /* bit i: slot i is not empty (may be stale-set) */
    struct timer_step next;          /* no slot that is ahead of @tick comes before it */
};

/* timer_wheel_init() - an empty wheel that stands at @now. */
void timer_wheel_init(struct timer_wheel *w, clock_ns now);
/* timer_init() - a timer that is not armed; @kind is the owner's to read. */
void timer_init(struct timer *t, uint32_t kind);
/*
 * timer_arm() - (re)arm for @due; never fires early, at most one tick late in wheel time
 * @due: the past and the present mean the next tick; CLOCK_NEVER leaves the timer disarmed
 */
void timer_arm(struct timer_wheel *w, struct timer *t, clock_ns due);
/* timer_disarm() - it will not fire; allowed at any time after timer_init(). */
void timer_disarm(struct timer *t);
bool timer_is_armed(const struct timer *t);
/*
 * timer_next_due() - when the wheel must be turned next, CLOCK_NEVER when it is empty
 *
 * That is never after the first timer's tick, and may be before it: when timers that are far away
 * have to move closer.
 */
clock_ns timer_next_due(struct timer_wheel *w);
/* timer_expire() - one expired timer (now disarmed), or NULL when none is left at @now. They come
 * in the order of their ticks. Any jump of @now costs no more than the timers it passes. */
struct timer *timer_expire(struct timer_wheel *w, clock_ns now);

#endif
