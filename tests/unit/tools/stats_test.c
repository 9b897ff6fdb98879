/* SPDX-License-Identifier: Apache-2.0 */
/* stats_test.c - recording, seconds, and that workers' shares merge to what one would have
 * measured. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include "load/stats.h"
#include <string.h>

#define BEGAN (77 * NS_PER_S)

static struct load_stats *stats_new(uint32_t seconds_max)
{
    struct load_stats *s = NULL;
    assert_int_equal(load_stats_new(seconds_max, &s), 0);
    s->began_at = BEGAN;
    s->measure_at = BEGAN + NS_PER_S;
    return s;
}

static void names_are_all_there(void **state)
{
    (void)state;
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++)
        assert_true(strlen(load_phase_name(p)) > 0);
    assert_string_equal(load_phase_name(LOAD_PHASE_WHOLE), "transaction");
    assert_string_equal(load_phase_name(LOAD_PHASE_FIRST_REPLY), "dot_to_first_reply");
    assert_string_equal(load_reply_phase_name(CLIENT_PHASE_DONE), "done");
    assert_string_equal(load_reply_phase_name(CLIENT_PHASE_IDLE), "idle");
}

static void late_transactions_show_in_planned_only(void **state)
{
    (void)state;
    struct load_stats *s = stats_new(1);
    load_stats_phase(s, LOAD_PHASE_MAIL, 100, 0);
    load_stats_phase(s, LOAD_PHASE_MAIL, 100, 900);
    load_stats_phase(s, LOAD_PHASE_RCPT, UINT64_MAX, 1); /* no wrap to 0 */
    assert_int_equal(s->actual[LOAD_PHASE_MAIL].total, 2);
    assert_int_equal(s->actual[LOAD_PHASE_MAIL].max, 100);
    assert_int_equal(s->planned[LOAD_PHASE_MAIL].min, 100);
    assert_int_equal(s->planned[LOAD_PHASE_MAIL].max, 1000);
    assert_true(s->planned[LOAD_PHASE_RCPT].min == UINT64_MAX);
    load_stats_reply_k(s, 0, 5);
    load_stats_reply_k(s, LOAD_REPLY_K_MAX - 1, 6);
    load_stats_reply_k(s, LOAD_REPLY_K_MAX, 7);
    assert_int_equal(s->reply_k[0].total, 1);
    assert_int_equal(s->reply_k[LOAD_REPLY_K_MAX - 1].max, 6);
    load_stats_free(s);
}

static void outcomes_are_told_apart(void **state)
{
    (void)state;
    static const uint16_t none[3] = {0}, full[3] = {4, 2, 2};
    struct load_stats *s = stats_new(1);
    load_stats_outcome(s, CLIENT_PHASE_RCPT, 452, none, 1);
    load_stats_outcome(s, CLIENT_PHASE_RCPT, 452, full, 2);
    load_stats_outcome(s, CLIENT_PHASE_DONE, 452, full, 3);
    load_stats_outcome(s, CLIENT_PHASE_RCPT, 552, full, 4);
    load_stats_outcome(s, CLIENT_PHASE_RCPT, 452, full, 5);
    assert_int_equal(s->outcome_count, 4);
    assert_int_equal(s->outcomes[1].count, 7);
    for (uint16_t i = 0; i < LOAD_OUTCOMES_MAX; i++)
        load_stats_outcome(s, CLIENT_PHASE_DATA, (uint16_t)(1000 + i), none, 1);
    assert_int_equal(s->outcome_count, LOAD_OUTCOMES_MAX);
    assert_int_equal(s->counters.outcomes_lost, 4);
    load_stats_free(s);
}

static void seconds_are_made_as_time_goes_on(void **state)
{
    (void)state;
    struct load_stats *s = stats_new(10);
    assert_null(load_stats_second(s, BEGAN - 1));
    struct load_second *first = load_stats_second(s, BEGAN);
    assert_ptr_equal(first, &s->seconds[0]);
    for (uint64_t i = 1; i <= 100; i++)
        hist_record(&s->second_latency, i);
    assert_ptr_equal(load_stats_second(s, BEGAN + NS_PER_S - 1), first);
    assert_int_equal(first->latency_p99_ns, 0); /* it is not over */
    assert_ptr_equal(load_stats_second(s, BEGAN + 4 * NS_PER_S), &s->seconds[4]);
    assert_int_equal(s->second_count, 5);
    assert_int_equal(first->latency_p50_ns, 50);
    assert_int_equal(first->latency_p99_ns, 99);
    assert_int_equal(s->second_latency.total, 0);
    assert_int_equal(s->seconds[2].latency_p50_ns, 0);
    assert_non_null(load_stats_second(s, BEGAN + 10 * NS_PER_S - 1));
    assert_null(load_stats_second(s, BEGAN + 10 * NS_PER_S));
    assert_int_equal(s->second_count, 10);
    load_stats_free(s);
}

static void record_all(struct load_stats *s, uint32_t second, uint64_t ns)
{
    struct load_second *t = load_stats_second(s, s->began_at + second * NS_PER_S);
    assert_non_null(t);
    t->messages++;
    t->in_flight_max = u64_max(t->in_flight_max, 3);
    t->latency_max_ns = u64_max(t->latency_max_ns, ns);
    hist_record(&s->second_latency, ns);
    hist_record(&s->sizes, ns / 2);
    hist_record(&s->start_lag, ns / 3);
    load_stats_phase(s, LOAD_PHASE_WHOLE, ns, ns / 5);
    load_stats_reply_k(s, (uint32_t)(ns % 3), ns);
    const uint16_t enhanced[3] = {2, 0, (uint16_t)(ns % 7)};
    load_stats_outcome(s, CLIENT_PHASE_DONE, 250, enhanced, 1);
    s->counters.finished++;
    s->counters.rcpts[ns % ATTEMPT_FATE_COUNT]++;
    s->counters.outcomes_lost++;
}

static void assert_hists_equal(const struct hist *a, const struct hist *b)
{
    assert_int_equal(a->total, b->total);
    assert_true(a->min == b->min && a->max == b->max);
    assert_memory_equal(a->sum, b->sum, sizeof(a->sum));
    assert_memory_equal(a->counts, b->counts, a->count_len * sizeof(a->counts[0]));
}

static uint64_t outcome_count(const struct load_stats *s, uint16_t detail)
{
    for (uint32_t i = 0; i < s->outcome_count; i++)
        if (s->outcomes[i].enhanced[2] == detail)
            return s->outcomes[i].count;
    return 0;
}

/* Three workers, the last of which ends early, against one who did it all. Each merge is the first
 * one's @to again, as main does it. */
static void shares_merge_to_the_whole(void **state)
{
    (void)state;
    struct load_stats *parts[3], *whole = stats_new(20), *merged = NULL;
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        parts[i] = stats_new(20);
    for (uint32_t second = 0; second < 12; second++) {
        for (uint32_t i = 0; i < 200 && second != 5; i++) { /* nothing in second 5 */
            uint64_t ns = 1000 + rng_below(&rng, 5000000);
            size_t part = rng_below(&rng, second < 7 ? 3 : 2);
            record_all(parts[part], second, ns);
            record_all(whole, second, ns);
        }
    }
    /* What a whole one learns only when the next second begins. */
    assert_non_null(load_stats_second(whole, BEGAN + 12 * NS_PER_S));
    assert_int_equal(load_stats_new(20, &merged), 0);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        load_stats_merge(merged, parts[i]);
    assert_int_equal(merged->began_at, BEGAN);
    assert_int_equal(merged->measure_at, BEGAN + NS_PER_S);
    assert_memory_equal(&merged->counters, &whole->counters, sizeof(whole->counters));
    assert_int_equal(merged->second_count, 12);
    for (uint32_t i = 0; i < 12; i++) {
        const struct load_second *m = &merged->seconds[i], *w = &whole->seconds[i];
        assert_int_equal(m->messages, w->messages);
        assert_int_equal(m->latency_max_ns, w->latency_max_ns);
        assert_int_equal(m->latency_p50_ns, w->latency_p50_ns);
        assert_int_equal(m->latency_p99_ns, w->latency_p99_ns);
    }
    assert_true(merged->seconds[3].latency_p99_ns > 4000000);
    assert_int_equal(merged->seconds[1].in_flight_max, 9);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        assert_hists_equal(&merged->planned[p], &whole->planned[p]);
        assert_hists_equal(&merged->actual[p], &whole->actual[p]);
    }
    assert_hists_equal(&merged->reply_k[2], &whole->reply_k[2]);
    assert_hists_equal(&merged->sizes, &whole->sizes);
    assert_hists_equal(&merged->start_lag, &whole->start_lag);
    for (uint16_t k = 0; k < 7; k++)
        assert_int_equal(outcome_count(merged, k), outcome_count(whole, k));
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        load_stats_free(parts[i]);
    load_stats_free(whole);
    load_stats_free(merged);
}

static void a_shorter_series_takes_what_fits(void **state)
{
    (void)state;
    struct load_stats *from = stats_new(5), *to = NULL;
    record_all(from, 0, 10);
    record_all(from, 4, 20);
    assert_int_equal(load_stats_new(2, &to), 0);
    load_stats_merge(to, from);
    assert_int_equal(to->second_count, 2);
    assert_int_equal(to->counters.finished, 2);
    load_stats_free(to);
    load_stats_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_all_there),
        cmocka_unit_test(late_transactions_show_in_planned_only),
        cmocka_unit_test(outcomes_are_told_apart),
        cmocka_unit_test(seconds_are_made_as_time_goes_on),
        cmocka_unit_test(shares_merge_to_the_whole),
        cmocka_unit_test(a_shorter_series_takes_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
