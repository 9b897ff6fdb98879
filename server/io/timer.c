/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.c - hierarchical timer wheel.
 *
 * A time is a number of ticks of 1 ms, rounded up, so that nothing fires early. The bits of a tick
 * are cut into groups of six, one a level: level 0 has a slot per tick, level 1 one per 64 ticks,
 * and so on. A timer lies on the level of the highest group in which its tick differs from the
 * wheel's, in the slot that this group names. It follows that
 *
 * - on every level the slots in use lie ahead of the wheel's own position on that level, so that
 *   the first bit ahead in @occupied is the next one to come;
 * - whatever is on a level comes before everything on the levels above it;
 * - a timer moves down at most once a level before it fires.
 *
 * Slot 0 of the top level cannot lie ahead; it takes what is beyond the wheel's reach (2^30 ticks,
 * 12 days), to be looked at again when the top level has gone round.
 *
 * The slot of the wheel's own tick holds what is due now. A timer armed for now or the past goes
 * into the next tick: a handler that arms its timer again cannot keep timer_expire() busy for ever.
 *
 * timer_disarm() does not see the wheel, so a bit in @occupied may be set for an empty slot, and
 * @next may name one. No slot in use comes before @next, so that most turns need no search.
 */
#include "io/timer.h"

#define GROUP_BITS 6
#define TOP_LEVEL (TIMER_LEVELS - 1)
#define OVERFLOW_SLOT 0
#define WHEEL_BITS (GROUP_BITS * TIMER_LEVELS)
#define TICK_MAX (UINT64_MAX / NS_PER_MS)
#define TICK_NEVER UINT64_MAX

static_assert(TIMER_SLOTS == 1 << GROUP_BITS, "a slot for each value of a group");
static_assert(TIMER_SLOTS == 64, "a level is one word of occupied bits");

static uint32_t slot_of(uint64_t tick, uint32_t level)
{
    return (uint32_t)(tick >> (GROUP_BITS * level)) & (TIMER_SLOTS - 1);
}

static uint64_t tick_at_or_after(clock_ns due)
{
    return due / NS_PER_MS + (due % NS_PER_MS != 0);
}

void timer_wheel_init(struct timer_wheel *w, clock_ns now)
{
    w->tick = now / NS_PER_MS;
    w->next = (struct timer_step){.tick = TICK_NEVER};
    for (uint32_t level = 0; level < TIMER_LEVELS; level++) {
        w->occupied[level] = 0;
        for (uint32_t slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
}

void timer_init(struct timer *t, uint32_t kind)
{
    *t = (struct timer){.due = CLOCK_NEVER, .kind = kind};
    list_init(&t->link);
}

static struct timer_step overflow_step(const struct timer_wheel *w)
{
    uint64_t tick = ((w->tick >> WHEEL_BITS) + 1) << WHEEL_BITS;
    return (struct timer_step){.tick = tick, .level = TOP_LEVEL, .slot = OVERFLOW_SLOT};
}

/* @tick is the wheel's own, or later. */
static void place(struct timer_wheel *w, struct timer *t, uint64_t tick)
{
    ASSERT(tick >= w->tick);
    uint64_t difference = tick ^ w->tick;
    struct timer_step step = {.tick = tick, .slot = slot_of(tick, 0)};
    if (difference >> WHEEL_BITS != 0) {
        step = overflow_step(w);
    } else if (difference != 0) {
        step.level = (63 - (uint32_t)__builtin_clzll(difference)) / GROUP_BITS;
        step.slot = slot_of(tick, step.level);
        step.tick = tick >> (GROUP_BITS * step.level) << (GROUP_BITS * step.level);
        ASSERT_SLOW(step.slot > slot_of(w->tick, step.level));
    }
    list_push(&w->slots[step.level][step.slot], &t->link);
    w->occupied[step.level] |= (uint64_t)1 << step.slot;
    if (step.tick < w->next.tick)
        w->next = step;
}

void timer_arm(struct timer_wheel *w, struct timer *t, clock_ns due)
{
    timer_disarm(t);
    uint64_t tick = tick_at_or_after(due);
    t->due = due;
    if (tick <= TICK_MAX) /* beyond lies CLOCK_NEVER */
        place(w, t, u64_max(tick, w->tick + 1));
}

void timer_disarm(struct timer *t)
{
    list_remove(&t->link);
}

bool timer_is_armed(const struct timer *t)
{
    return !list_is_empty(&t->link);
}

/* First slot with its bit set ahead on @level; *ret_step is unchanged when there is none. */
static bool step_on_level(const struct timer_wheel *w, uint32_t level, uint64_t occupied,
                          struct timer_step *ret_step)
{
    uint32_t shift = GROUP_BITS * level;
    uint64_t ahead = occupied & (~(uint64_t)1 << slot_of(w->tick, level));
    if (ahead != 0) {
        uint32_t slot = (uint32_t)__builtin_ctzll(ahead);
        uint64_t round = w->tick >> shift & ~(uint64_t)(TIMER_SLOTS - 1);
        *ret_step =
            (struct timer_step){.tick = (round + slot) << shift, .level = level, .slot = slot};
        return true;
    }
    if (level == TOP_LEVEL && (occupied & (uint64_t)1 << OVERFLOW_SLOT) != 0) {
        *ret_step = overflow_step(w);
        return true;
    }
    return false;
}

/* The next slot that holds something. */
static bool next_step(const struct timer_wheel *w, struct timer_step *ret_step)
{
    for (uint32_t level = 0; level < TIMER_LEVELS; level++) {
        uint64_t occupied = w->occupied[level];
        struct timer_step step;
        while (step_on_level(w, level, occupied, &step)) {
            if (!list_is_empty(&w->slots[level][step.slot])) {
                *ret_step = step;
                return true;
            }
            occupied &= ~((uint64_t)1 << step.slot);
        }
    }
    return false;
}

/* Clears the bits that next_step() would pass over, so that each costs only once. */
static void forget_emptied(struct timer_wheel *w)
{
    for (uint32_t level = 0; level < TIMER_LEVELS; level++) {
        struct timer_step step;
        while (step_on_level(w, level, w->occupied[level], &step)) {
            if (!list_is_empty(&w->slots[level][step.slot]))
                return;
            w->occupied[level] &= ~((uint64_t)1 << step.slot);
        }
    }
}

static const struct list *current_slot(const struct timer_wheel *w)
{
    return &w->slots[0][slot_of(w->tick, 0)];
}

static void find_next(struct timer_wheel *w)
{
    if (!next_step(w, &w->next))
        w->next.tick = TICK_NEVER;
}

clock_ns timer_next_due(struct timer_wheel *w)
{
    if (!list_is_empty(current_slot(w)))
        return w->tick * NS_PER_MS;
    bool is_known =
        w->next.tick == TICK_NEVER ||
        (w->next.tick > w->tick && !list_is_empty(&w->slots[w->next.level][w->next.slot]));
    if (!is_known)
        find_next(w);
    return w->next.tick != TICK_NEVER ? w->next.tick * NS_PER_MS : CLOCK_NEVER;
}

/* Moves the wheel to @step, and what lies there to the levels below (or the top level's slots). */
static void turn_to(struct timer_wheel *w, const struct timer_step *step)
{
    struct list *slot = &w->slots[step->level][step->slot];
    struct list moving;
    struct list *entry;
    ASSERT(step->tick > w->tick);
    w->tick = step->tick;
    if (step->level == 0)
        return;
    w->occupied[step->level] &= ~((uint64_t)1 << step->slot);
    list_init(&moving);
    while ((entry = list_pop(slot)) != NULL) /* what is beyond reach comes back to this slot */
        list_push(&moving, entry);
    while ((entry = list_pop(&moving)) != NULL) {
        struct timer *t = CONTAINER_OF(entry, struct timer, link);
        place(w, t, u64_max(tick_at_or_after(t->due), w->tick)); /* armed for the past */
    }
}

struct timer *timer_expire(struct timer_wheel *w, clock_ns now)
{
    uint64_t tick_now = now / NS_PER_MS;
    for (;;) {
        uint32_t slot = slot_of(w->tick, 0);
        struct list *entry = list_pop(&w->slots[0][slot]);
        if (entry != NULL) {
            struct timer *t = CONTAINER_OF(entry, struct timer, link);
            ASSERT(t->due <= now || w->tick > tick_now);
            return t;
        }
        w->occupied[0] &= ~((uint64_t)1 << slot);
        if (w->tick >= tick_now)
            return NULL;
        if (w->next.tick <= tick_now) {
            forget_emptied(w);
            find_next(w);
        }
        if (w->next.tick > tick_now) {
            w->tick = tick_now;
            return NULL;
        }
        struct timer_step step = w->next;
        turn_to(w, &step);
    }
}
