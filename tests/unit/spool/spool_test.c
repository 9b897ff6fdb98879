/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_test.c - a shard's spool on the simulated disk: groups, windows, outcomes, faults.
 * What a crash leaves is in recovery_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/err.h"
#include "spool/control.h"
#include "spool/writer.h"
#include "spoolrig.h"

static char text[256];

#define CHECK_STORE(rig)                                                                           \
    do {                                                                                           \
        if (!rig_check_store(&(rig), (rig).dir, text, sizeof(text)))                               \
            fail_msg("%s", text);                                                                  \
    } while (0)
#define CHECK_ALL(rig)                                                                             \
    do {                                                                                           \
        CHECK_STORE(rig);                                                                          \
        if (!rig_cut_check(&(rig), FAKERING_LOSE, 1, text, sizeof(text)))                          \
            fail_msg("after a power cut: %s", text);                                               \
    } while (0)

static void fault(struct rig *r, enum fakering_fault_kind kind, uint32_t at, int error,
                  uint64_t bytes)
{
    fakering_fault(r->ring, &(struct fakering_fault){kind, at, error, bytes});
}

static void test_group_commit(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    /* The first goes alone; what gathers meanwhile goes as one write and one sync. */
    struct rig_message *first = rig_store(&r, 1000);
    rig_turn(&r);
    assert_int_equal(fakering_waiting(r.ring), 2);
    for (unsigned i = 0; i < 20; i++)
        (void)rig_store(&r, 100 + i * 1000);
    rig_turn(&r);
    assert_int_equal(fakering_waiting(r.ring), 2);
    assert_true(rig_step(&r)); /* written */
    assert_int_equal(first->phase, RIG_COMMITTING);
    assert_false(first->m.proof.is_committed);
    assert_true(rig_step(&r)); /* synced */
    assert_int_equal(first->m.outcome, SPOOL_STORED);
    assert_true(first->m.proof.is_committed);
    assert_int_equal(fakering_waiting(r.ring), 2);
    assert_int_equal(r.at[20]->phase, RIG_COMMITTING);
    rig_run(&r);
    assert_int_equal(fakering_writes(r.ring), 2);
    assert_int_equal(fakering_syncs(r.ring), 2);
    for (unsigned i = 0; i <= 20; i++) {
        assert_int_equal(r.at[i]->m.outcome, SPOOL_STORED);
        assert_true(i == 0 || r.at[i]->m.proof.queue_id > r.at[i - 1]->m.proof.queue_id);
    }
    const struct spool_counters *c = spool_counters(r.spool);
    assert_int_equal(c->groups, 2);
    assert_int_equal(c->commits, 21);
    assert_int_equal(c->syncs, 2);
    assert_true(spool_is_idle(r.spool));
    for (unsigned i = 0; i < 5; i++) { /* every group starts a fresh block */
        (void)rig_store(&r, i * 777);
        rig_run(&r);
        assert_int_equal(r.spool->segment_end % RECORD_BLOCK, 0);
    }
    CHECK_ALL(r);
    rig_close(&r);
}

/* Windows stay pinned until their bytes are with the kernel, and not a step longer. */
static void test_pins(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *m = rig_begin(&r, 60000);
    assert_int_equal(rig_append(&r, m, 30000), SPOOL_PENDING);
    assert_true(m->pins > 0);
    assert_true(m->m.writes_pending > 0);
    uint32_t pins = m->pins;
    rig_turn(&r); /* body alone: no sync */
    assert_int_equal(fakering_waiting(r.ring), 1);
    assert_int_equal(m->pins, pins);
    rig_commit(&r, m);
    assert_true(m->pins > pins);
    pins = m->pins;
    assert_true(rig_step(&r));
    assert_true(m->pins > 0 && m->pins < pins); /* only what was written */
    assert_int_equal(fakering_waiting(r.ring), 2);
    assert_true(rig_step(&r)); /* written, not synced */
    assert_int_equal(m->pins, 0);
    assert_int_equal(m->phase, RIG_COMMITTING);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    assert_int_equal(m->m.writes_pending, 0);
    CHECK_ALL(r);
    rig_close(&r);
}

static void test_streaming(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    r.options.dir = r.dir;
    /* Each is larger than a segment; four at a time, in pieces, through each other. */
    struct rig_message *m[4];
    for (unsigned i = 0; i < 4; i++)
        m[i] = rig_begin(&r, 1500000 + i * 11111);
    for (unsigned round = 0; round < 14; round++) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(rig_append(&r, m[i], 100000 - (round * 7 + i) % 50), SPOOL_PENDING);
        (void)rig_store(&r, 500);
        rig_run(&r);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(rig_append(&r, m[i], (m[i]->body_bytes - m[i]->appended) / 2),
                         SPOOL_PENDING);
        rig_commit(&r, m[i]);
    }
    rig_run(&r);
    for (unsigned i = 0; i < r.count; i++)
        assert_int_equal(r.at[i]->m.outcome, SPOOL_STORED);
    assert_true(spool_counters(r.spool)->segments_used > 5);
    CHECK_ALL(r);
    rig_close(&r);
}

/* Nobody else asks for a sync: each segment is synced when it is left, for the commit to come. */
static void test_large_alone(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *m = rig_begin(&r, 2500000);
    for (unsigned i = 0; i < 25; i++) {
        assert_int_equal(rig_append(&r, m, 100000), SPOOL_PENDING);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    rig_commit(&r, m);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    CHECK_ALL(r);
    rig_close(&r);
}

static void test_abort(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *untouched = rig_begin(&r, 10);
    rig_abort(&r, untouched);
    assert_true(untouched->is_given_out);
    struct rig_message *gathered = rig_begin(&r, 50000);
    assert_int_equal(rig_append(&r, gathered, 50000), SPOOL_PENDING);
    rig_abort(&r, gathered); /* not yet in flight */
    assert_false(gathered->is_given_out);
    struct rig_message *flying = rig_begin(&r, 50000);
    assert_int_equal(rig_append(&r, flying, 40000), SPOOL_PENDING);
    rig_turn(&r);
    assert_true(gathered->is_given_out); /* dropped */
    assert_int_equal(gathered->pins, 0);
    rig_abort(&r, flying);
    assert_true(flying->pins > 0);
    rig_run(&r);
    assert_true(flying->is_given_out);
    struct rig_message *kept = rig_store(&r, 3000);
    rig_run(&r);
    assert_int_equal(kept->m.outcome, SPOOL_STORED);
    assert_int_equal(spool_counters(r.spool)->aborts, 3);
    CHECK_ALL(r);
    rig_close(&r);
}

static void test_write_short(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {1, 63, 64, 100, 4095, 4096, 9999};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct rig r;
        rig_open(&r, SPOOL_DISK);
        fault(&r, FAKERING_WRITE_SHORT, 0, 0, lengths[i]);
        fault(&r, FAKERING_WRITE_SHORT, 1, 0, lengths[i]);
        struct rig_message *m = rig_store(&r, 20000);
        rig_run(&r);
        assert_int_equal(m->m.outcome, SPOOL_STORED);
        assert_int_equal(fakering_writes(r.ring), 3);
        assert_int_equal(fakering_syncs(r.ring), 1); /* those of short writes never ran */
        assert_int_equal(spool_counters(r.spool)->write_errors, 0);
        CHECK_ALL(r);
        rig_close(&r);
    }
}

static void test_write_interrupted(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    fault(&r, FAKERING_WRITE_ERROR, 0, -EINTR, 0);
    fault(&r, FAKERING_WRITE_ERROR, 1, -EAGAIN, 0);
    struct rig_message *m = rig_store(&r, 20000);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    assert_int_equal(spool_counters(r.spool)->segments_abandoned, 0);
    CHECK_ALL(r);
    rig_close(&r);
}

/* Commits that replies can be linked behind: one operation, named by spool_next_asked(). */
static void test_linkable(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    spool_set_linkable(r.spool);
    struct rig_message *body = rig_begin(&r, 9000);
    assert_int_equal(rig_append(&r, body, 5000), SPOOL_PENDING);
    struct rig_message *stored[2] = {rig_store(&r, 1000), rig_store(&r, 2000)};
    assert_null(spool_next_asked(r.spool)); /* not asked for yet */
    spool_turn(r.spool);
    assert_int_equal(fakering_waiting(r.ring), 1);
    for (unsigned i = 0; i < 2; i++)
        assert_ptr_equal(spool_next_asked(r.spool), &stored[i]->m);
    assert_null(spool_next_asked(r.spool));
    assert_true(rig_step(&r));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(stored[i]->m.outcome, SPOOL_STORED);
    assert_int_equal(fakering_syncs(r.ring), 1);
    assert_int_equal(spool_counters(r.spool)->syncs, 1);
    CHECK_ALL(r);
    rig_commit(&r, body);
    rig_run(&r);
    assert_int_equal(body->m.outcome, SPOOL_STORED);
    CHECK_ALL(r);
    rig_close(&r);
}

/* Bytes before the commit that were not synced need a sync of the whole file: nothing is linked. */
static void test_linkable_after_body(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    spool_set_linkable(r.spool);
    struct rig_message *m = rig_begin(&r, 60000);
    assert_int_equal(rig_append(&r, m, 50000), SPOOL_PENDING);
    rig_run(&r);
    assert_int_equal(fakering_syncs(r.ring), 0);
    rig_commit(&r, m);
    spool_turn(r.spool);
    assert_null(spool_next_asked(r.spool));
    assert_int_equal(fakering_waiting(r.ring), 2);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    CHECK_ALL(r);
    struct rig_message *next = rig_store(&r, 100); /* all before it is synced again */
    spool_turn(r.spool);
    assert_ptr_equal(spool_next_asked(r.spool), &next->m);
    rig_run(&r);
    CHECK_ALL(r);
    rig_close(&r);
}

/* A short one is completed with a sync of its own, and is not asked for twice. */
static void test_linkable_short(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    spool_set_linkable(r.spool);
    fault(&r, FAKERING_WRITE_SHORT, 0, 0, 4096);
    fault(&r, FAKERING_WRITE_ERROR, 2, -EINTR, 0);
    struct rig_message *m = rig_store(&r, 20000);
    spool_turn(r.spool);
    assert_ptr_equal(spool_next_asked(r.spool), &m->m);
    assert_true(rig_step(&r));
    assert_int_equal(m->phase, RIG_COMMITTING);
    assert_null(spool_next_asked(r.spool));
    assert_int_equal(fakering_waiting(r.ring), 2);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    assert_int_equal(fakering_syncs(r.ring), 1);
    struct rig_message *again = rig_store(&r, 100); /* interrupted before anything was written */
    rig_run(&r);
    assert_int_equal(again->m.outcome, SPOOL_STORED);
    CHECK_ALL(r);
    rig_close(&r);
}

/* A write or sync fails: the whole group is refused, the segment left, a fresh one taken. */
static void group_fails(enum fakering_fault_kind kind, int error, uint64_t bytes, bool is_linkable)
{
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    if (is_linkable)
        spool_set_linkable(r.spool);
    struct rig_message *before = rig_store(&r, 4000);
    rig_run(&r);
    assert_int_equal(before->m.outcome, SPOOL_STORED);
    fault(&r, kind, 1, error, bytes);
    struct rig_message *open = rig_begin(&r, 30000);
    assert_int_equal(rig_append(&r, open, 9000), SPOOL_PENDING); /* in the failing group */
    struct rig_message *failing[3];
    for (unsigned i = 0; i < 3; i++)
        failing[i] = rig_store(&r, 5000);
    rig_turn(&r);
    struct rig_message *later = rig_store(&r, 100); /* in the next one */
    rig_step(&r);
    if (!is_linkable)
        rig_step(&r);
    /* No refusal leaves before the note that voids the group is stored. */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(failing[i]->phase, RIG_COMMITTING);
    rig_run(&r);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(failing[i]->m.outcome, SPOOL_FAILED);
        assert_int_equal(failing[i]->m.error, error);
        assert_false(failing[i]->m.is_in_doubt);
        assert_int_equal(failing[i]->pins, 0);
    }
    assert_int_equal(later->m.outcome, SPOOL_STORED);
    assert_false(spool_is_stopped(r.spool));
    assert_int_equal(spool_counters(r.spool)->segments_abandoned, 1);
    /* Part of its body is lost. */
    assert_int_equal(rig_append(&r, open, 1000), SPOOL_FAILED);
    rig_abort(&r, open);
    rig_run(&r);
    CHECK_ALL(r);
    for (uint64_t seed = 0; seed < 8; seed++)
        assert_true(rig_cut_check(&r, FAKERING_TEAR, seed, text, sizeof(text)));
    rig_close(&r);
}

static void test_group_fails(void **state)
{
    (void)state;
    for (int is_linkable = 0; is_linkable < 2; is_linkable++) {
        group_fails(FAKERING_WRITE_ERROR, -EIO, 0, is_linkable);
        group_fails(FAKERING_WRITE_TORN, -EIO, 9000, is_linkable);
        group_fails(FAKERING_WRITE_TORN, -ENOSPC, 1 << 20, is_linkable); /* all, and yet an error */
        group_fails(FAKERING_SYNC_ERROR, -EIO, 0, is_linkable);
    }
}

/* Its body was in a segment that was abandoned: committing is too late. */
static void test_poisoned_commit(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    fault(&r, FAKERING_SYNC_ERROR, 0, -EIO, 0);
    struct rig_message *large = rig_begin(&r, 100000);
    assert_int_equal(rig_append(&r, large, 60000), SPOOL_PENDING);
    rig_run(&r); /* written without a sync */
    struct rig_message *small = rig_store(&r, 10);
    rig_turn(&r);
    rig_commit(&r, large); /* gathers while the sync fails */
    rig_run(&r);
    assert_int_equal(small->m.outcome, SPOOL_FAILED);
    assert_int_equal(large->m.outcome, SPOOL_FAILED);
    assert_int_equal(large->m.error, -EIO);
    CHECK_ALL(r);
    rig_close(&r);
}

static void test_stop(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    (void)rig_store(&r, 100);
    rig_run(&r);
    fault(&r, FAKERING_SYNC_ERROR, 1, -EIO, 0);
    fault(&r, FAKERING_SYNC_ERROR, 2, -EIO, 0); /* the note */
    struct rig_message *failing = rig_store(&r, 5000);
    rig_turn(&r);
    struct rig_message *waiting = rig_store(&r, 5000);
    struct rig_message *open = rig_begin(&r, 5000);
    assert_int_equal(rig_append(&r, open, 5000), SPOOL_PENDING);
    rig_run(&r);
    assert_true(spool_is_stopped(r.spool));
    assert_true(spool_is_idle(r.spool));
    assert_int_equal(failing->m.outcome, SPOOL_FAILED);
    assert_true(failing->m.is_in_doubt);
    assert_int_equal(waiting->m.outcome, SPOOL_FAILED); /* never written: no doubt about it */
    assert_false(waiting->m.is_in_doubt);
    assert_int_equal(open->pins, 0);
    rig_commit(&r, open);
    assert_int_equal(open->m.outcome, SPOOL_FAILED);
    assert_int_equal(spool_can_store(r.spool, 0), SPOOL_FAILED);
    struct rig_message *refused = rig_begin(&r, 10);
    assert_int_equal(refused->m.outcome, SPOOL_FAILED);
    assert_int_equal(refused->m.error, -EIO);
    assert_int_equal(spool_result(r.spool, 1, SPOOL_RESULT_DELETE, 0, 0), SPOOL_FAILED);
    CHECK_ALL(r);
    assert_true(rig_cut_check(&r, FAKERING_KEEP, 0, text, sizeof(text)));
    rig_close(&r);
}

/* A disk that fails again and again is given up, though every note could be stored. */
static void test_stop_many(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (uint32_t i = 0; i < 100 && !spool_is_stopped(r.spool); i++) {
        struct rig_message *m = rig_begin(&r, 10);
        assert_int_equal(m->phase, RIG_OPEN);
        fakering_fault_clear(r.ring);
        fault(&r, FAKERING_SYNC_ERROR, fakering_syncs(r.ring), -EIO, 0);
        rig_commit(&r, m);
        rig_run(&r);
        assert_int_equal(m->m.outcome, SPOOL_FAILED);
    }
    assert_true(spool_is_stopped(r.spool));
    assert_int_equal(spool_counters(r.spool)->segments_abandoned, ABANDON_COUNT_MAX + 1);
    CHECK_ALL(r);
    rig_close(&r);
}

static void test_os_and_none(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_OS);
    struct rig_message *m = rig_begin(&r, 90000);
    assert_int_equal(rig_append(&r, m, 50000), SPOOL_PENDING);
    rig_turn(&r);
    rig_commit(&r, m);
    (void)rig_store(&r, 10);
    rig_run(&r);
    for (unsigned i = 0; i < 40; i++) {
        (void)rig_store(&r, 60000); /* over several segments */
        rig_run(&r);
    }
    for (unsigned i = 0; i < r.count; i++)
        assert_int_equal(r.at[i]->m.outcome, SPOOL_STORED);
    assert_int_equal(fakering_syncs(r.ring), 0);
    CHECK_STORE(r);
    rig_close(&r);

    rig_open(&r, SPOOL_NONE);
    m = rig_begin(&r, 90000);
    assert_int_equal(rig_append(&r, m, 50000), SPOOL_PENDING);
    assert_int_equal(m->pins, 0);
    rig_commit(&r, m);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    assert_true(m->m.proof.is_committed);
    rig_turn(&r);
    assert_int_equal(fakering_writes(r.ring), 0);
    assert_true(spool_is_idle(r.spool));
    struct store *store;
    assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
    assert_int_equal(store_count(store), 0);
    store_close(store);
    rig_close(&r);
    assert_string_equal(spool_durability_name(SPOOL_DISK), "disk");
    assert_string_equal(spool_durability_name(SPOOL_OS), "os");
    assert_string_equal(spool_durability_name(SPOOL_NONE), "none");
}

static void store_count_is(const struct rig *r, uint32_t count)
{
    struct store *store;
    assert_int_equal(store_open(r->dir, &store, text, sizeof(text)), 0);
    assert_int_equal(store_count(store), count);
    store_close(store);
}

static void test_results(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 6; i++)
        (void)rig_store(&r, 1000);
    rig_run(&r);
    uint64_t id = r.at[4]->m.proof.queue_id; /* five recipients, the second is held */
    static const struct {
        enum spool_result_op op;
        uint32_t rcpt;
        uint32_t active, held;
    } steps[] = {
        {SPOOL_RESULT_RELEASE, 1, 5, 0}, {SPOOL_RESULT_HOLD, SPOOL_RCPT_ALL, 0, 5},
        {SPOOL_RESULT_RELEASE, 3, 1, 4}, {SPOOL_RESULT_DELETE, 3, 0, 4},
        {SPOOL_RESULT_DELETE, 3, 0, 4},  {SPOOL_RESULT_RELEASE, SPOOL_RCPT_ALL, 4, 0},
        {SPOOL_RESULT_DELETE, 0, 3, 0},  {SPOOL_RESULT_DELETE, 99, 3, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        assert_int_equal(spool_result(r.spool, id, steps[i].op, steps[i].rcpt, i), SPOOL_PENDING);
        rig_run(&r);
        struct store *store;
        struct store_message m;
        struct store_damage damage;
        uint32_t idx;
        assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
        assert_true(store_find(store, id, &idx));
        assert_int_equal(store_load(store, idx, &m, &damage), 0);
        assert_int_equal(m.active_count, steps[i].active);
        assert_int_equal(m.held_count, steps[i].held);
        store_message_free(&m);
        store_close(store);
    }
    static const uint32_t rest[] = {1, 2, 4};
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++) {
        store_count_is(&r, 6);
        assert_int_equal(spool_result(r.spool, id, SPOOL_RESULT_DELETE, rest[i], 0), SPOOL_PENDING);
        rig_run(&r);
    }
    store_count_is(&r, 5); /* the last recipient went */
    r.at[4]->fate = RIG_DELETED;
    CHECK_ALL(r);
    rig_close(&r);
}

/* A result whose group fails is written again. */
static void test_result_again(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *m = rig_store(&r, 1000);
    rig_run(&r);
    fault(&r, FAKERING_SYNC_ERROR, 1, -EIO, 0);
    rig_delete(&r, m);
    rig_run(&r);
    assert_int_equal(m->fate, RIG_DELETED);
    assert_int_equal(spool_counters(r.spool)->sync_errors, 1);
    assert_int_equal(spool_counters(r.spool)->results_lost, 0);
    CHECK_ALL(r);
    rig_close(&r);
}

/* Dead segments are used again: many times their number of bytes go through, the disk use stays. */
static void test_recycle(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *old = rig_store(&r, 5000); /* keeps its segment alive */
    rig_run(&r);
    for (unsigned i = 0; i < 200; i++) {
        struct rig_message *m = rig_store(&r, 100000);
        rig_run(&r);
        assert_int_equal(m->m.outcome, SPOOL_STORED);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    const struct spool_counters *c = spool_counters(r.spool);
    assert_true(c->segments_used >= 20);
    assert_true(c->segments_recycled >= 15);
    assert_int_equal(old->m.outcome, SPOOL_STORED);
    struct store *store;
    assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
    assert_in_range(store_stats(store)->segments, 1, 9);
    store_close(store);
    CHECK_ALL(r);
    rig_close(&r);
}

/*
 * Messages are in some segments, their deletes in a later one, and all are dead at once. If the
 * later one is used again first and the power goes, the messages must not come back.
 */
static void test_recycle_order(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 6; i++) {
        (void)rig_store(&r, 800000);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    for (unsigned i = 0; i < 6; i++)
        rig_delete(&r, r.at[i]);
    rig_run(&r);
    for (unsigned i = 0; i < 8; i++) { /* leave that segment, then use the dead ones */
        struct rig_message *m = rig_store(&r, 800000);
        rig_run(&r);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
        CHECK_ALL(r);
        spool_dir_keep(r.spool_dir);
        CHECK_ALL(r);
    }
    assert_true(spool_counters(r.spool)->segments_recycled >= 3);
    rig_close(&r);
}

/* A deleted message shares its segment with one that is kept; the delete is in another segment. */
static void test_delete_outlives(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    (void)rig_store(&r, 5000);
    struct rig_message *victim = rig_store(&r, 5000);
    struct rig_message *late = NULL;
    rig_run(&r);
    for (unsigned i = 0; i < 14; i++) {
        struct rig_message *fill = rig_store(&r, 900000);
        rig_run(&r);
        if (i == 4)
            late = fill;
        else
            rig_delete(&r, fill);
        if (i == 9)
            rig_delete(&r, late);
        if (i == 2)
            rig_delete(&r, victim);
        if (i == 5)
            (void)rig_store(&r, 1200000); /* these stay */
        if (i == 7)
            (void)rig_store(&r, 2000);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
        CHECK_ALL(r);
    }
    assert_true(spool_counters(r.spool)->segments_recycled >= 3);
    rig_close(&r);
}

/* An abandoned segment has a message that is kept: so must be the note about what came after it. */
static void test_note_outlives(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    (void)rig_store(&r, 5000);
    rig_run(&r);
    fault(&r, FAKERING_SYNC_ERROR, 1, -EIO, 0);
    struct rig_message *failing = rig_store(&r, 5000);
    rig_run(&r);
    assert_int_equal(failing->m.outcome, SPOOL_FAILED);
    for (unsigned i = 0; i < 10; i++) {
        struct rig_message *fill = rig_store(&r, 900000);
        rig_run(&r);
        rig_delete(&r, fill);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
        CHECK_STORE(r);
        assert_true(rig_cut_check(&r, FAKERING_KEEP, 0, text, sizeof(text)));
    }
    assert_true(spool_counters(r.spool)->segments_recycled >= 3);
    rig_close(&r);
}

/* Bytes of a large message are in segments that look dead until its COMMIT has been indexed. */
static void test_recycle_open_message(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *large = rig_begin(&r, 400000);
    for (unsigned i = 0; i < 30; i++) {
        if (i < 3)
            assert_int_equal(rig_append(&r, large, 100000), SPOOL_PENDING);
        if (i == 25)
            rig_commit(&r, large);
        struct rig_message *m = rig_store(&r, 300000);
        rig_run(&r);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    assert_int_equal(large->m.outcome, SPOOL_STORED);
    CHECK_ALL(r);
    rig_close(&r);
}

/* By hand, beside the server: seen by tools at once, and by the keeper. */
static void test_control(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    uint64_t ids[12];
    for (unsigned i = 0; i < 12; i++) {
        ids[i] = rig_store(&r, 100000)->m.proof.queue_id;
        rig_run(&r);
    }
    assert_int_equal(
        store_control_append(r.dir, ids, 12, SPOOL_RESULT_DELETE, 1, text, sizeof(text)), 0);
    for (unsigned i = 0; i < 12; i++)
        r.at[i]->fate = RIG_DELETED;
    CHECK_ALL(r);
    spool_dir_keep(r.spool_dir);
    for (unsigned i = 0; i < 20; i++) {
        (void)rig_store(&r, 100000);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    assert_true(spool_counters(r.spool)->segments_recycled > 0);
    CHECK_ALL(r);
    rig_stop(&r);
    rig_start(&r); /* compacts the log: nothing of it is needed any more, or all that is */
    CHECK_ALL(r);
    rig_close(&r);
}

/* The end of a log may be torn: the entry is overwritten by the next one. */
static void test_control_torn(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *a = rig_store(&r, 100);
    struct rig_message *b = rig_store(&r, 100);
    rig_run(&r);
    int fd = openat(AT_FDCWD, r.dir, O_RDONLY | O_DIRECTORY);
    struct record_result del = {.op = SPOOL_RESULT_DELETE, .rcpt_idx = SPOOL_RCPT_ALL};
    assert_int_equal(control_append(fd, &a->m.proof.queue_id, 1, &del), 0);
    int log = openat(fd, CONTROL_NAME, O_WRONLY);
    assert_int_equal(pwrite(log, "torn", 4, sizeof(struct control_entry)), 4);
    a->fate = RIG_DELETED;
    CHECK_ALL(r);
    assert_int_equal(control_append(fd, &b->m.proof.queue_id, 1, &del), 0);
    b->fate = RIG_DELETED;
    CHECK_ALL(r);
    assert_int_equal(pwrite(log, "damaged", 7, 8), 7); /* an entry in the middle: only it is lost */
    a->fate = RIG_KEPT;
    CHECK_ALL(r);
    close(log);
    close(fd);
    rig_close(&r);
}

static void test_lock(void **state)
{
    (void)state;
    struct rig r;
    struct spool_dir *second = NULL;
    char pid[32];
    rig_open(&r, SPOOL_DISK);
    assert_int_equal(spool_dir_open(&r.options, &second, text, sizeof(text)), -EBUSY);
    assert_null(second);
    snprintf(pid, sizeof(pid), "process %d", (int)getpid());
    assert_non_null(strstr(text, pid));
    struct scan_key key = *spool_dir_key(r.spool_dir);
    rig_stop(&r);
    rig_start(&r); /* the lock went with the process that had it */
    assert_memory_equal(&key, spool_dir_key(r.spool_dir), sizeof(key));
    rig_close(&r);
}

static void test_open_errors(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    rig_stop(&r);
    struct spool_dir *d = NULL;
    struct spool_options options = r.options;
    char path[192];
    snprintf(path, sizeof(path), "%s/key", r.dir);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(spool_dir_open(&r.options, &d, text, sizeof(text)), -EBADMSG);
    assert_non_null(strstr(text, "key is damaged"));
    options.dir = path; /* a file */
    assert_int_equal(spool_dir_open(&options, &d, text, sizeof(text)), -ENOTDIR);
    options.dir = "/nowhere/spool";
    assert_int_equal(spool_dir_open(&options, &d, text, sizeof(text)), -ENOENT);
    assert_null(d);
    rig_close(&r);
}

/* Ids never come twice, though the clock does not move and nothing of some of them was stored. */
static void test_queue_ids(void **state)
{
    (void)state;
    struct rig r;
    uint64_t last = 0;
    rig_open(&r, SPOOL_DISK);
    for (unsigned run = 0; run < 4; run++) {
        for (unsigned i = 0; i < 3; i++) {
            struct rig_message *m = rig_store(&r, 400000);
            assert_true(m->m.proof.queue_id > last);
            last = m->m.proof.queue_id;
            rig_run(&r);
            rig_delete(&r, m);
            rig_run(&r);
        }
        spool_dir_keep(r.spool_dir);
        spool_dir_keep(r.spool_dir);
        rig_stop(&r);
        rig_start(&r);
        struct rig_message *m = rig_begin(&r, 1);
        assert_true(m->m.proof.queue_id > last);
        last = m->m.proof.queue_id;
        rig_abort(&r, m);
    }
    rig_close(&r);
}

/* The clock goes back over a restart: only the headers of the segments know how far ids were. */
static void test_queue_ids_clock(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    fakering_advance(r.ring, 3600 * NS_PER_S);
    rig_stop(&r);
    rig_start(&r);
    spool_free(r.spool);
    fakering_advance(r.ring, 3600 * NS_PER_S);
    assert_int_equal(spool_new(r.spool_dir, 0, r.ring, RIG_TOKEN_OWNER, &r.spool), 0);
    uint64_t last = 0;
    for (unsigned i = 0; i < 8; i++) {
        struct rig_message *m = rig_store(&r, 500000);
        last = m->m.proof.queue_id;
        rig_run(&r);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    rig_stop(&r);
    rig_forget(&r); /* rig_start() sets the clock by it; these messages are deleted */
    rig_start(&r);
    for (unsigned i = 0; i < 3; i++)
        spool_dir_keep(r.spool_dir);
    rig_stop(&r);
    rig_start(&r);
    struct rig_message *m = rig_begin(&r, 1);
    assert_true(m->m.proof.queue_id > last);
    rig_close(&r);
}

/* A stop with nothing in flight leaves nothing that could be taken for a torn tail. */
static void test_clean_end(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    (void)rig_store(&r, 3000);
    rig_run(&r);
    for (unsigned i = 0; i < 3; i++) {
        rig_stop(&r);
        struct store *store;
        assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
        assert_int_equal(store_stats(store)->torn_tails, 0);
        assert_int_equal(store_damage_count(store), 0);
        store_close(store);
        rig_start(&r);
        CHECK_ALL(r);
    }
    rig_close(&r);
}

static void test_too_large(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *m = rig_begin(&r, 10);
    m->m.outcome = SPOOL_PENDING;
    rig_abort(&r, m);
    /* What cannot fit is refused before any content is read. */
    assert_int_equal(spool_can_store(r.spool, UINT64_MAX), SPOOL_FULL);
    assert_int_equal(spool_can_store(r.spool, (uint64_t)1 << 50), SPOOL_FULL);
    assert_int_equal(spool_can_store(r.spool, 0), SPOOL_PENDING);
    assert_int_equal(spool_counters(r.spool)->full_refusals, 0);
    struct spool_message refused;
    assert_int_equal(spool_begin(r.spool, &refused, (uint64_t)1 << 50), SPOOL_FULL);
    assert_int_equal(refused.error, -ENOSPC);
    assert_int_equal(spool_counters(r.spool)->full_refusals, 1);
    rig_close(&r);
}

static void test_stale_events(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct ring_event stale = {.token = {RING_WRITE, RIG_TOKEN_OWNER, 77, 0}, .res = 5};
    spool_on_event(r.spool, &stale);
    assert_int_equal(spool_counters(r.spool)->stale_events, 1);
    struct rig_message *m = rig_store(&r, 10);
    rig_turn(&r);
    spool_on_event(r.spool, &stale);
    rig_run(&r);
    assert_int_equal(m->m.outcome, SPOOL_STORED);
    assert_int_equal(spool_counters(r.spool)->stale_events, 2);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_large_alone),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_write_short),
        cmocka_unit_test(test_write_interrupted),
        cmocka_unit_test(test_linkable),
        cmocka_unit_test(test_linkable_after_body),
        cmocka_unit_test(test_linkable_short),
        cmocka_unit_test(test_group_fails),
        cmocka_unit_test(test_poisoned_commit),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_many),
        cmocka_unit_test(test_os_and_none),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_result_again),
        cmocka_unit_test(test_recycle),
        cmocka_unit_test(test_recycle_order),
        cmocka_unit_test(test_delete_outlives),
        cmocka_unit_test(test_note_outlives),
        cmocka_unit_test(test_recycle_open_message),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_control_torn),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_queue_ids),
        cmocka_unit_test(test_queue_ids_clock),
        cmocka_unit_test(test_clean_end),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_stale_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
