/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take_test.c - recipients that are committed after the message (spool_take), commits that are
 * taken back (spool_void), and the notes that wait for company (SPOOL_RESULT_DOUBT): after a power
 * cut at any instant exactly those are there whose success could have been said (P1, P2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "spool/writer.h"
#include "spoolrig.h"

#define RCPTS 5
#define BODY_BYTES 3000

static char text[256];
static uint8_t body[BODY_BYTES];

struct one {
    struct spool_message m;
    bool is_told[RCPTS]; /* success could have been said */
    bool may_be[RCPTS];  /* a commit of him was asked for and not refused yet */
};

/* Its first @active_count recipients are decided, the others waiting. */
static void one_commit(struct rig *r, struct one *o, uint32_t active_count)
{
    static const struct slice addresses[RCPTS] = {{(const uint8_t *)"r0@example.org", 14},
                                                  {(const uint8_t *)"r1@example.org", 14},
                                                  {(const uint8_t *)"r2@example.org", 14},
                                                  {(const uint8_t *)"r3@example.org", 14},
                                                  {(const uint8_t *)"r4@example.org", 14}};
    struct spool_rcpt rcpts[RCPTS];
    *o = (struct one){0};
    for (uint32_t i = 0; i < RCPTS; i++) {
        rcpts[i] =
            (struct spool_rcpt){.address = addresses[i],
                                .class_name = SLICE_LIT("c"),
                                .state = i < active_count ? SPOOL_RCPT_ACTIVE : SPOOL_RCPT_WAITING};
        o->may_be[i] = i < active_count;
    }
    assert_int_equal(spool_begin(r->spool, &o->m, 0), SPOOL_PENDING);
    const struct spool_part part = {.bytes = slice_of(body, sizeof(body))};
    const struct spool_envelope e = {.received_at = 1,
                                     .trace = SLICE_LIT("Received: x\r\n"),
                                     .content_bytes = sizeof(body),
                                     .rcpts = rcpts,
                                     .rcpt_count = RCPTS};
    spool_commit(r->spool, &o->m, &part, 1, &e);
}

static void one_take(struct rig *r, struct one *o, uint32_t first, uint32_t count)
{
    struct spool_change changes[RCPTS];
    for (uint32_t i = 0; i < count; i++) {
        changes[i] = (struct spool_change){SPOOL_RESULT_TAKE, first + i};
        o->may_be[first + i] = true;
    }
    changes[0].op = SPOOL_RESULT_TAKE_HELD;
    assert_true(o->m.proof.is_committed);
    spool_take(r->spool, &o->m, changes, count, 7);
    assert_false(o->m.proof.is_committed);
}

/* What @dir holds of @o agrees with what was and could have been told. */
static void one_check(const char *dir, const struct one *o)
{
    struct store *store;
    struct store_message m;
    struct store_damage damage;
    uint32_t idx;
    bool is_there[RCPTS] = {false};
    assert_int_equal(store_open(dir, &store, text, sizeof(text)), 0);
    if (store_find(store, o->m.proof.queue_id, &idx)) {
        assert_int_equal(store_load(store, idx, &m, &damage), 0);
        assert_int_equal(store_content(store, idx, NULL, NULL, &damage), 0);
        assert_int_equal(m.envelope.rcpt_count, RCPTS);
        for (uint32_t i = 0; i < RCPTS; i++)
            is_there[i] = !m.is_gone[i];
        store_message_free(&m);
    }
    store_close(store);
    for (uint32_t i = 0; i < RCPTS; i++) {
        assert_false(o->is_told[i] && !is_there[i]);
        assert_false(is_there[i] && !o->may_be[i]);
    }
}

/* The same for what power cuts of every kind leave. */
static void one_check_cuts(struct rig *r, const struct one *o)
{
    char dir[160];
    one_check(r->dir, o);
    for (int cut = FAKERING_KEEP; cut <= FAKERING_TEAR; cut++) {
        rig_dir_new(dir, sizeof(dir));
        assert_true(fakering_image(r->ring, r->dir, dir, (enum fakering_cut)cut, 5) >= 0);
        one_check(dir, o);
        rig_dir_remove(dir);
    }
}

/* Until @o has its outcome; power cuts are tried after each operation. */
static void one_await(struct rig *r, struct one *o, enum spool_outcome expected)
{
    struct ring_event ev;
    struct spool_message *done = NULL;
    spool_turn(r->spool);
    while ((done = spool_next_done(r->spool)) == NULL) {
        one_check_cuts(r, o);
        if (!fakering_step(r->ring, &ev)) {
            assert_true(fakering_poll_fire(r->ring, &ev));
            spool_dir_keep(r->spool_dir);
        }
        spool_on_event(r->spool, &ev);
        spool_turn(r->spool);
    }
    assert_ptr_equal(done, &o->m);
    assert_int_equal(o->m.outcome, expected);
    assert_int_equal(o->m.proof.is_committed, expected == SPOOL_STORED);
    for (uint32_t i = 0; i < RCPTS; i++) {
        if (expected == SPOOL_STORED)
            o->is_told[i] = o->may_be[i];
        else if (!o->m.is_late) /* else until the record that removes him is stored */
            o->may_be[i] = o->is_told[i];
    }
    one_check_cuts(r, o);
}

static void settle(struct rig *r)
{
    struct ring_event ev;
    spool_flush(r->spool);
    spool_turn(r->spool);
    while (fakering_step(r->ring, &ev)) {
        spool_on_event(r->spool, &ev);
        spool_turn(r->spool);
    }
    assert_true(spool_is_idle(r->spool));
}

static void each_is_stored_before_he_is_told(void **state)
{
    (void)state;
    struct rig r;
    struct one o;
    rig_open(&r, SPOOL_DISK);
    one_commit(&r, &o, 1);
    one_await(&r, &o, SPOOL_STORED);
    one_take(&r, &o, 1, 2);
    one_await(&r, &o, SPOOL_STORED);
    const struct spool_change refused = {SPOOL_RESULT_REFUSE, 3};
    spool_refuse(r.spool, o.m.proof.queue_id, &refused, 1, 8);
    one_take(&r, &o, 4, 1);
    one_await(&r, &o, SPOOL_STORED);
    assert_int_equal(spool_counters(r.spool)->commits, 1);
    assert_int_equal(spool_counters(r.spool)->takes, 2);
    settle(&r);
    rig_stop(&r);
    rig_start(&r); /* recovery agrees */
    assert_int_equal(spool_dir_stats(r.spool_dir)->messages_live, 1);
    one_check(r.dir, &o);
    rig_close(&r);
}

/* A take whose sync fails: he is told 451 after the note, and those before him stay. */
static void take_that_fails(void **state)
{
    (void)state;
    struct rig r;
    struct one o;
    rig_open(&r, SPOOL_DISK);
    one_commit(&r, &o, 2);
    one_await(&r, &o, SPOOL_STORED);
    fakering_fault(r.ring, &(struct fakering_fault){FAKERING_SYNC_ERROR, 1, -EIO, 0});
    one_take(&r, &o, 2, 3);
    one_await(&r, &o, SPOOL_FAILED);
    assert_false(o.m.is_in_doubt);
    settle(&r);
    one_check_cuts(&r, &o);
    rig_close(&r);
}

/* What is not on its way to the disk is dropped. */
static void void_in_time(void **state)
{
    (void)state;
    struct rig r;
    struct one first, second;
    rig_open(&r, SPOOL_DISK);
    one_commit(&r, &first, RCPTS);
    spool_turn(r.spool);
    assert_true(spool_is_written(&first.m));
    one_commit(&r, &second, RCPTS);
    spool_turn(r.spool);
    assert_false(spool_is_written(&second.m));
    spool_void(r.spool, &second.m);
    memset(second.may_be, false, sizeof(second.may_be));
    one_await(&r, &first, SPOOL_STORED);
    one_await(&r, &second, SPOOL_FAILED);
    assert_false(second.m.is_late);
    settle(&r);
    one_check_cuts(&r, &second);
    rig_close(&r);
}

/* What is, is removed when it has been stored: the whole message, or those who were taken. */
static void void_too_late(void **state)
{
    (void)state;
    for (int is_take = 0; is_take < 2; is_take++) {
        struct rig r;
        struct one o;
        rig_open(&r, SPOOL_DISK);
        one_commit(&r, &o, 2);
        if (is_take) {
            one_await(&r, &o, SPOOL_STORED);
            one_take(&r, &o, 2, 2);
        }
        spool_turn(r.spool);
        assert_true(spool_is_written(&o.m));
        spool_void(r.spool, &o.m);
        one_await(&r, &o, SPOOL_FAILED);
        assert_true(o.m.is_late);
        assert_false(o.m.is_in_doubt);
        assert_int_equal(spool_counters(r.spool)->voided, 1);
        settle(&r);
        memcpy(o.may_be, o.is_told, sizeof(o.may_be));
        one_check_cuts(&r, &o);
        rig_close(&r);
    }
}

/* The segment of a message is kept while somebody waits in it, though nobody else is left. */
static void waiting_keeps_the_segment(void **state)
{
    (void)state;
    struct rig r;
    struct one o;
    rig_open(&r, SPOOL_DISK);
    one_commit(&r, &o, 1);
    one_await(&r, &o, SPOOL_STORED);
    assert_int_equal(spool_result(r.spool, o.m.proof.queue_id, SPOOL_RESULT_DELETE, 0, 0),
                     SPOOL_PENDING);
    for (unsigned i = 0; i < 40; i++) { /* some segments go by, and die */
        struct rig_message *m = rig_store(&r, 200000);
        rig_run(&r);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    assert_true(spool_counters(r.spool)->segments_recycled > 0);
    o.is_told[0] = o.may_be[0] = false;
    one_take(&r, &o, 1, 1);
    one_await(&r, &o, SPOOL_STORED);
    one_check(r.dir, &o);
    assert_true(o.is_told[1]);
    rig_close(&r);
}

/* DUP-23: the note has no sync, and within a second no write of its own. */
static void doubt_waits_for_company(void **state)
{
    (void)state;
    struct rig r;
    struct one o, other;
    struct store *store;
    struct store_message m;
    struct store_damage damage;
    rig_open(&r, SPOOL_DISK);
    one_commit(&r, &o, RCPTS);
    one_await(&r, &o, SPOOL_STORED);
    for (int how = 0; how < 2; how++) {
        uint32_t syncs = fakering_syncs(r.ring);
        uint32_t writes = fakering_writes(r.ring);
        assert_int_equal(
            spool_result(r.spool, o.m.proof.queue_id, SPOOL_RESULT_DOUBT, SPOOL_RCPT_ALL, 9),
            SPOOL_PENDING);
        spool_turn(r.spool);
        assert_int_equal(fakering_waiting(r.ring), 0);
        assert_true(spool_due(r.spool) != CLOCK_NEVER);
        assert_false(spool_is_idle(r.spool));
        if (how == 0) {
            one_commit(&r, &other, RCPTS);
            one_await(&r, &other, SPOOL_STORED);
            assert_int_equal(fakering_syncs(r.ring), syncs + 1);
        } else {
            fakering_advance(r.ring, 2 * NS_PER_S);
            spool_turn(r.spool);
            settle(&r);
            assert_int_equal(fakering_syncs(r.ring), syncs);
        }
        assert_int_equal(fakering_writes(r.ring), writes + 1);
        assert_true(spool_due(r.spool) == CLOCK_NEVER);
    }
    assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(store_load(store, i, &m, &damage), 0);
        assert_int_equal(m.is_doubtful, i == 0);
        store_message_free(&m);
    }
    store_close(store);
    rig_close(&r);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 31);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_stored_before_he_is_told),
        cmocka_unit_test(take_that_fails),
        cmocka_unit_test(void_in_time),
        cmocka_unit_test(void_too_late),
        cmocka_unit_test(waiting_keeps_the_segment),
        cmocka_unit_test(doubt_waits_for_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
