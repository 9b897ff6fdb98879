/* SPDX-License-Identifier: Apache-2.0 */
/* timer_test.c - when timers fire, and the wheel against a plain list of times. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include "io/timer.h"
#include <stdlib.h>
#include <string.h>

#define MS NS_PER_MS
#define REACH_TICKS ((uint64_t)1 << 30) /* beyond it a timer waits in the overflow slot */
#define LAST_TICK (UINT64_MAX / MS)

/* --- one timer -------------------------------------------------------------------------------- */

struct one_row {
    clock_ns start; /* the wheel stands here when the timer is armed */
    clock_ns due;
    clock_ns fires; /* first time, at a whole millisecond, at which it comes out */
};

static const struct one_row one_rows[] = {
    {0, 1, MS},                 /* rounded up */
    {0, MS, MS},                /* exactly */
    {0, MS + 1, 2 * MS},        /* never early */
    {0, 0, MS},                 /* now means the next tick */
    {10 * MS, 3 * MS, 11 * MS}, /* so does the past */
    {63 * MS, 3 * MS, 64 * MS}, /* also where the next tick is on another level */
    {4095 * MS, 0, 4096 * MS},
    {262143 * MS, 262142 * MS, 262144 * MS},
    {(REACH_TICKS - 1) * MS, 5 * MS, REACH_TICKS *MS},
    {10 * MS + 999999, 10 * MS + 999999, 11 * MS},
    {0, 63 * MS, 63 * MS}, /* both sides of each level's reach */
    {0, 64 * MS, 64 * MS},
    {0, 65 * MS, 65 * MS},
    {63 * MS, 64 * MS, 64 * MS},
    {1 * MS, 64 * MS, 64 * MS},
    {0, 4095 * MS, 4095 * MS},
    {0, 4096 * MS, 4096 * MS},
    {0, 4097 * MS, 4097 * MS},
    {4095 * MS, 4096 * MS, 4096 * MS},
    {0, 262143 * MS, 262143 * MS},
    {0, 262144 * MS, 262144 * MS},
    {0, 300000 * MS, 300000 * MS},
    {0, 16777216 * MS, 16777216 * MS},
    {16777215 * MS, 16777216 * MS, 16777216 * MS},
    {0, (REACH_TICKS - 1) * MS, (REACH_TICKS - 1) * MS},
    {0, REACH_TICKS *MS, REACH_TICKS *MS},
    {0, (REACH_TICKS + 1) * MS, (REACH_TICKS + 1) * MS},
    {(REACH_TICKS - 1) * MS, REACH_TICKS *MS, REACH_TICKS *MS},
    {(REACH_TICKS - 1) * MS, (2 * REACH_TICKS + 77) * MS, (2 * REACH_TICKS + 77) * MS},
    {5 * MS, (9 * REACH_TICKS + 4097) * MS, (9 * REACH_TICKS + 4097) * MS},
    {0, LAST_TICK *MS, LAST_TICK *MS},
    {(LAST_TICK - 1) * MS, LAST_TICK *MS, LAST_TICK *MS},
};

/* Follows timer_next_due() as a loop would; every stop before @due yields nothing. */
static void check_followed(const struct one_row *row)
{
    struct timer_wheel w;
    struct timer t;
    timer_wheel_init(&w, row->start);
    timer_init(&t, 7);
    timer_arm(&w, &t, row->due);
    assert_true(timer_is_armed(&t));
    uint32_t stops = 0;
    for (;;) {
        clock_ns next = timer_next_due(&w);
        assert_true(next <= row->fires);
        assert_true(next > row->start - row->start % MS);
        assert_null(timer_expire(&w, next - 1));
        struct timer *fired = timer_expire(&w, next);
        assert_true(++stops < 5 * TIMER_LEVELS || row->due > REACH_TICKS * MS);
        if (fired == NULL)
            continue;
        assert_ptr_equal(fired, &t);
        assert_true(next == row->fires);
        break;
    }
    assert_false(timer_is_armed(&t));
    assert_true(timer_next_due(&w) == CLOCK_NEVER);
    assert_null(timer_expire(&w, row->fires));
}

/* One step of the clock to just before, then to the moment itself; and straight to it. */
static void check_jumped(const struct one_row *row)
{
    struct timer_wheel w;
    struct timer t;
    timer_init(&t, 7);
    timer_wheel_init(&w, row->start);
    timer_arm(&w, &t, row->due);
    assert_null(timer_expire(&w, row->fires - 1));
    assert_true(timer_next_due(&w) == row->fires);
    assert_ptr_equal(timer_expire(&w, row->fires), &t);
    timer_wheel_init(&w, row->start);
    timer_arm(&w, &t, row->due);
    assert_ptr_equal(timer_expire(&w, row->fires), &t);
    timer_wheel_init(&w, row->start);
    timer_arm(&w, &t, row->due);
    assert_ptr_equal(timer_expire(&w, CLOCK_NEVER), &t);
    assert_null(timer_expire(&w, CLOCK_NEVER));
}

static void test_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(one_rows); i++) {
        if (one_rows[i].due < 1000 * REACH_TICKS * MS ||
            one_rows[i].start > one_rows[i].due - REACH_TICKS * MS)
            check_followed(&one_rows[i]);
        check_jumped(&one_rows[i]);
    }
}

static void test_never(void **state)
{
    (void)state;
    struct timer_wheel w;
    struct timer t;
    timer_wheel_init(&w, 5 * MS);
    assert_true(timer_next_due(&w) == CLOCK_NEVER);
    assert_null(timer_expire(&w, 6 * MS));
    timer_init(&t, 3);
    assert_int_equal(t.kind, 3);
    assert_false(timer_is_armed(&t));
    timer_disarm(&t); /* allowed */
    timer_arm(&w, &t, 10 * MS);
    timer_arm(&w, &t, CLOCK_NEVER);
    assert_false(timer_is_armed(&t));
    assert_true(timer_next_due(&w) == CLOCK_NEVER);
    assert_null(timer_expire(&w, CLOCK_NEVER));
    timer_arm(&w, &t, LAST_TICK * MS + 1); /* no tick can be at or after it */
    assert_false(timer_is_armed(&t));
}

static void test_disarm(void **state)
{
    (void)state;
    static const clock_ns dues[] = {1 * MS, 64 * MS, 4096 * MS, 300000 * MS, REACH_TICKS * MS};
    for (size_t i = 0; i < ARRAY_COUNT(dues); i++) {
        struct timer_wheel w;
        struct timer a, b;
        timer_wheel_init(&w, 0);
        timer_init(&a, 0);
        timer_init(&b, 0);
        timer_arm(&w, &a, dues[i]);
        timer_arm(&w, &b, dues[i]);
        timer_disarm(&a);
        assert_false(timer_is_armed(&a));
        assert_ptr_equal(timer_expire(&w, dues[i]), &b);
        assert_null(timer_expire(&w, dues[i]));
        timer_arm(&w, &a, 2 * dues[i]);
        timer_disarm(&a);
        assert_true(timer_next_due(&w) == CLOCK_NEVER); /* although the slot's bit is set */
    }
}

/* A handler that arms its timer for the past again gets one call a tick, not one call for ever. */
static void test_rearm_in_the_past(void **state)
{
    (void)state;
    struct timer_wheel w;
    struct timer t, other;
    timer_wheel_init(&w, 0);
    timer_init(&t, 0);
    timer_init(&other, 0);
    timer_arm(&w, &t, 1 * MS);
    timer_arm(&w, &other, 3 * MS);
    uint32_t calls = 0, calls_of_other = 0;
    struct timer *fired;
    while ((fired = timer_expire(&w, 5 * MS)) != NULL) {
        calls_of_other += fired == &other;
        calls += fired == &t;
        assert_true(calls <= 5);
        if (fired == &t)
            timer_arm(&w, &t, 0);
    }
    assert_int_equal(calls, 5);
    assert_int_equal(calls_of_other, 1);
    assert_true(timer_next_due(&w) == 6 * MS);
}

/* Those disarmed by another's handler in the same tick do not fire. */
static void test_disarm_while_firing(void **state)
{
    (void)state;
    struct timer_wheel w;
    struct timer timers[3];
    timer_wheel_init(&w, 0);
    for (size_t i = 0; i < ARRAY_COUNT(timers); i++) {
        timer_init(&timers[i], 0);
        timer_arm(&w, &timers[i], 100 * MS);
    }
    struct timer *first = timer_expire(&w, 200 * MS);
    assert_non_null(first);
    for (size_t i = 0; i < ARRAY_COUNT(timers); i++)
        timer_disarm(&timers[i]);
    assert_null(timer_expire(&w, 200 * MS));
    assert_true(timer_next_due(&w) == CLOCK_NEVER);
}

/* A clock that stands still or goes back makes nothing fire and breaks nothing. */
static void test_clock_backward(void **state)
{
    (void)state;
    struct timer_wheel w;
    struct timer t;
    timer_wheel_init(&w, 100 * MS);
    timer_init(&t, 0);
    timer_arm(&w, &t, 150 * MS);
    assert_null(timer_expire(&w, 120 * MS));
    assert_null(timer_expire(&w, 10 * MS));
    assert_null(timer_expire(&w, 149 * MS));
    assert_ptr_equal(timer_expire(&w, 150 * MS), &t);
}

/* --- against a plain list --------------------------------------------------------------------- */

#define MODEL_TIMERS 200

struct model {
    struct rng rng;
    struct timer_wheel w;
    struct timer timers[MODEL_TIMERS];
    bool is_armed[MODEL_TIMERS];
    uint64_t tick_due[MODEL_TIMERS]; /* of armed ones: the tick at which it must come out */
    uint64_t tick;                   /* ticks done */
    clock_ns now;
    uint64_t fired_count;
};

/* Distances of all magnitudes, so that every level and the overflow slot are in use. */
static uint64_t random_distance(struct rng *r)
{
    uint64_t bits = rng_below(r, 53);
    return rng_below(r, (uint64_t)1 << bits);
}

static void model_arm(struct model *m, size_t i)
{
    clock_ns due = m->now + random_distance(&m->rng);
    if (rng_below(&m->rng, 8) == 0)
        due = m->now - u64_min(m->now, random_distance(&m->rng));
    if (rng_below(&m->rng, 50) == 0)
        due = CLOCK_NEVER;
    timer_arm(&m->w, &m->timers[i], due);
    m->is_armed[i] = due != CLOCK_NEVER;
    m->tick_due[i] = u64_max(due / MS + (due % MS != 0), m->tick + 1);
}

static uint64_t model_first_tick(const struct model *m)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        if (m->is_armed[i])
            first = u64_min(first, m->tick_due[i]);
    return first;
}

/* What comes out is due, and nothing that is still armed was due before it. */
static void model_turn(struct model *m)
{
    uint64_t tick_now = u64_max(m->now / MS, m->tick);
    struct timer *t;
    while ((t = timer_expire(&m->w, m->now)) != NULL) {
        size_t i = t->kind;
        assert_ptr_equal(t, &m->timers[i]);
        assert_true(m->is_armed[i]);
        assert_true(m->tick_due[i] == model_first_tick(m));
        assert_true(m->tick_due[i] <= tick_now);
        m->tick = m->tick_due[i];
        m->is_armed[i] = false;
        m->fired_count++;
        if (rng_below(&m->rng, 4) == 0) /* a handler arms its own again, or disarms another */
            model_arm(m, i);
        size_t other = rng_below(&m->rng, MODEL_TIMERS);
        if (rng_below(&m->rng, 8) == 0) {
            timer_disarm(&m->timers[other]);
            m->is_armed[other] = false;
        }
    }
    m->tick = tick_now;
    assert_true(model_first_tick(m) > tick_now);
    clock_ns next = timer_next_due(&m->w);
    uint64_t first = model_first_tick(m);
    if (first == UINT64_MAX)
        assert_true(next == CLOCK_NEVER);
    else
        assert_true(next <= first * MS && next / MS > m->tick);
}

static void model_step(struct model *m)
{
    size_t i = rng_below(&m->rng, MODEL_TIMERS);
    switch (rng_below(&m->rng, 8)) {
    case 0:
    case 1:
    case 2:
        model_arm(m, i); /* or arm again */
        break;
    case 3:
        timer_disarm(&m->timers[i]);
        m->is_armed[i] = false;
        break;
    case 4: /* as the loop does */
        if (timer_next_due(&m->w) != CLOCK_NEVER)
            m->now = u64_max(m->now, timer_next_due(&m->w));
        model_turn(m);
        break;
    case 5:
        m->now += rng_below(&m->rng, 3 * MS);
        model_turn(m);
        break;
    case 6:
        m->now += random_distance(&m->rng) / 64;
        model_turn(m);
        break;
    default:
        if (rng_below(&m->rng, 64) == 0)
            m->now += random_distance(&m->rng);
        model_turn(m);
        break;
    }
    assert_true(timer_is_armed(&m->timers[i]) == m->is_armed[i]);
}

static void test_against_list(void **state)
{
    (void)state;
    static struct model m;
    uint64_t fired_count = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        memset(&m, 0, sizeof(m));
        rng_init(&m.rng, seed);
        m.now = seed % 2 == 0 ? 0 : rng_below(&m.rng, (uint64_t)1 << 60);
        m.tick = m.now / MS;
        timer_wheel_init(&m.w, m.now);
        for (uint32_t i = 0; i < MODEL_TIMERS; i++)
            timer_init(&m.timers[i], i);
        for (int step = 0; step < 5000; step++)
            model_step(&m);
        m.now += (uint64_t)1 << 54;
        for (int turn = 0; turn < 1000 && model_first_tick(&m) != UINT64_MAX; turn++) {
            m.now += (uint64_t)1 << 54;
            model_turn(&m);
        }
        fired_count += m.fired_count;
    }
    assert_true(fired_count > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_disarm),
        cmocka_unit_test(test_rearm_in_the_past),
        cmocka_unit_test(test_disarm_while_firing),
        cmocka_unit_test(test_clock_backward),
        cmocka_unit_test(test_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
