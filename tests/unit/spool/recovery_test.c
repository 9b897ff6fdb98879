/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery_test.c - what is left when the power goes, or when bytes of the disk change: compared
 * with the ledger of what was promised. The long sweep is tests/crash/spool_sweep.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/err.h"
#include "spool/segment.h"
#include "spoolrig.h"

static char text[256];

static void cut_all(struct rig *r, const char *where)
{
    static const struct {
        enum fakering_cut cut;
        uint64_t seed;
    } cuts[] = {{FAKERING_KEEP, 0}, {FAKERING_LOSE, 0}, {FAKERING_TEAR, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++)
        if (!rig_cut_check(r, cuts[i].cut, cuts[i].seed, text, sizeof(text)))
            fail_msg("%s, cut %d, seed %d: %s", where, (int)cuts[i].cut, (int)cuts[i].seed, text);
}

/* The power goes after every single operation of a run that has one of everything. */
static void test_every_point(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    cut_all(&r, "before anything");
    struct rig_message *large = rig_begin(&r, 1200000);
    struct rig_message *dropped = rig_begin(&r, 300000);
    for (unsigned i = 0; i < 5; i++) {
        char where[32];
        snprintf(where, sizeof(where), "round %u", i);
        assert_int_equal(rig_append(&r, large, 200000), SPOOL_PENDING);
        if (i < 2)
            assert_int_equal(rig_append(&r, dropped, 60000), SPOOL_PENDING);
        if (i == 2)
            rig_abort(&r, dropped);
        (void)rig_store(&r, 100 + i * 3000);
        (void)rig_store(&r, i % 2);
        if (i == 3)
            rig_delete(&r, r.at[2]);
        if (i == 4)
            rig_commit(&r, large);
        rig_turn(&r);
        do {
            cut_all(&r, where);
            if (fakering_waiting(r.ring) == 0)
                spool_dir_keep(r.spool_dir);
        } while (rig_step(&r));
    }
    rig_run(&r);
    cut_all(&r, "at the end");
    assert_int_equal(large->m.outcome, SPOOL_STORED);
    rig_close(&r);
}

/* The same around a sync that fails, until everybody has an answer. */
static void test_every_point_failing(void **state)
{
    (void)state;
    for (unsigned kind = FAKERING_WRITE_ERROR; kind <= FAKERING_SYNC_ERROR; kind++)
        for (unsigned stops = 0; stops < 2; stops++) {
            struct rig r;
            rig_open(&r, SPOOL_DISK);
            for (uint32_t k = 0; k <= stops; k++)
                fakering_fault(r.ring, &(struct fakering_fault){(enum fakering_fault_kind)kind,
                                                                1 + k, -EIO, 5000});
            (void)rig_store(&r, 2000);
            rig_run(&r);
            (void)rig_store(&r, 9000);
            (void)rig_store(&r, 10);
            rig_turn(&r);
            (void)rig_store(&r, 20);
            do
                cut_all(&r, "failing");
            while (rig_step(&r));
            rig_run(&r);
            cut_all(&r, "failed");
            rig_close(&r);
        }
}

struct script_run {
    uint64_t seed;
    uint32_t points;
};

static bool script_hook(void *arg, struct rig *r)
{
    struct script_run *run = arg;
    enum fakering_cut cut = (enum fakering_cut)(run->points % 3);
    run->points++;
    /* A tool beside the server, then the power cut. */
    return rig_check_store(r, r->dir, text, sizeof(text)) &&
           rig_cut_check(r, cut, run->points, text, sizeof(text));
}

static void test_scripts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct rig r;
        struct script_run run = {seed, 0};
        rig_open(&r, SPOOL_DISK);
        if (!rig_script(&r, seed, 90, seed % 2 == 0 ? 4 : 0, script_hook, &run))
            fail_msg("seed %d, point %u: %s", (int)seed, run.points, text);
        rig_close(&r);
    }
}

/* kill -9: everything that was written is there, with all three kinds of durability. */
static void test_killed(void **state)
{
    (void)state;
    for (unsigned d = SPOOL_DISK; d <= SPOOL_OS; d++) {
        struct rig r;
        rig_open(&r, (enum spool_durability)d);
        for (unsigned i = 0; i < 12; i++) {
            (void)rig_store(&r, i * 20000);
            rig_turn(&r);
            if (i % 3 == 2)
                rig_run(&r);
            if (!rig_cut_check(&r, FAKERING_KEEP, 0, text, sizeof(text)))
                fail_msg("durability %u: %s", d, text);
        }
        rig_close(&r);
    }
}

/* --- damage ---------------------------------------------------------------------------------- */

static int file_open(const struct rig *r, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void byte_flip(int fd, uint64_t at)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x5A;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* Every message that exists is whole or named; how many are missing and not named? */
static uint32_t damage_check(const struct rig *r, const struct store *store, bool named[])
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t idx;
        named[i] = false;
        for (uint32_t k = 0; k < store_damage_count(store); k++)
            named[i] |= store_damage_at(store, k)->queue_id == r->at[i]->m.proof.queue_id;
        if (!store_find(store, r->at[i]->m.proof.queue_id, &idx)) {
            lost += !named[i];
            assert_true(store_damage_count(store) > 0);
            continue;
        }
        struct store_message m;
        struct store_damage d;
        int result = store_load(store, idx, &m, &d);
        assert_int_equal(result, 0);
        store_message_free(&m);
        result = store_content(store, idx, NULL, NULL, &d);
        if (result != 0) {
            assert_int_equal(result, -EBADMSG);
            assert_int_equal(d.queue_id, r->at[i]->m.proof.queue_id);
            named[i] = true;
        } else if (!rig_is_whole(r, store, idx, r->at[i], text, sizeof(text))) {
            fail_msg("%s", text);
        }
    }
    return lost;
}

struct owned {
    uint64_t start, end, queue_id;
};

/* Which bytes of the segment belong to which message. */
static uint32_t owners_read(const struct rig *r, const char *name, struct owned owned[],
                            uint32_t cap)
{
    struct segment_reader reader;
    struct segment_item item;
    int dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(segment_reader_open(&reader, dir_fd, name), 0);
    uint32_t count = 0;
    do {
        assert_int_equal(segment_reader_next(&reader, &item), 0);
        if (item.kind != SEGMENT_RECORD || item.header.queue_id == 0)
            continue;
        assert_true(count < cap);
        owned[count++] = (struct owned){
            item.offset, item.offset + RECORD_ALIGN + item.header.length, item.header.queue_id};
    } while (item.kind != SEGMENT_END);
    segment_reader_close(&reader);
    close(dir_fd);
    return count;
}

static uint32_t owner_of(const struct rig *r, const struct owned owned[], uint32_t count,
                         uint64_t at)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < r->count; k++)
            if (at >= owned[i].start && at < owned[i].end &&
                r->at[k]->m.proof.queue_id == owned[i].queue_id)
                return k;
    return UINT32_MAX;
}

/* One byte anywhere: the message that it belongs to is named, all others are whole. */
static void test_damage(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 12; i++) {
        (void)rig_store(&r, i % 3 == 0 ? 9000 : 700);
        if (i % 2 == 0)
            rig_run(&r);
    }
    rig_run(&r);
    rig_stop(&r);
    const char *name = "00-00000001.seg";
    int fd = file_open(&r, name);
    uint64_t at = RECORD_BLOCK;
    unsigned hits = 0;
    bool named[12];
    struct owned owned[64];
    uint32_t owned_count = owners_read(&r, name, owned, ARRAY_COUNT(owned));
    for (; at < owned[owned_count - 1].end + RECORD_BLOCK; at += 151) {
        uint32_t owner = owner_of(&r, owned, owned_count, at);
        byte_flip(fd, at);
        struct store *store;
        assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
        assert_int_equal(damage_check(&r, store, named), 0);
        for (uint32_t i = 0; i < r.count; i++)
            assert_true(named[i] == (i == owner));
        hits += owner != UINT32_MAX;
        if (at % 16 == 0) { /* recovery keeps what tools see */
            struct spool_dir *d;
            assert_int_equal(spool_dir_open(&r.options, &d, text, sizeof(text)), 0);
            assert_true(spool_dir_stats(d)->messages_live >= 11);
            spool_dir_close(d);
        }
        store_close(store);
        byte_flip(fd, at);
    }
    assert_true(hits > 150);
    close(fd);
    if (!rig_check(&r, r.dir, text, sizeof(text)))
        fail_msg("%s", text);
    rig_close(&r);
}

/* A damaged segment keeps its files as they are: it is never used again. */
static void test_damage_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *hurt = rig_store(&r, 50000);
    rig_run(&r);
    rig_stop(&r);
    int fd = file_open(&r, "00-00000001.seg");
    byte_flip(fd, RECORD_BLOCK + 128 + 3); /* magic of the first record behind START */
    struct segment_header before;
    assert_int_equal(pread(fd, &before, sizeof(before), 0), (ssize_t)sizeof(before));
    rig_start(&r);
    assert_true(spool_dir_stats(r.spool_dir)->damaged_records > 0);
    rig_delete(&r, hurt);
    for (unsigned i = 0; i < 20; i++) {
        struct rig_message *m = rig_store(&r, 400000);
        rig_run(&r);
        assert_int_equal(m->m.outcome, SPOOL_STORED);
        rig_delete(&r, m);
        rig_run(&r);
        spool_dir_keep(r.spool_dir);
    }
    struct segment_header after;
    assert_int_equal(pread(fd, &after, sizeof(after), 0), (ssize_t)sizeof(after));
    assert_memory_equal(&before, &after, sizeof(before));
    close(fd);
    rig_close(&r);
}

/* Segment headers: the others go on, and the segment is reported. */
static void test_damage_header(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 4; i++) {
        (void)rig_store(&r, 500000);
        rig_run(&r);
    }
    rig_stop(&r);
    int fd = file_open(&r, "00-00000001.seg");
    byte_flip(fd, 20);
    struct store *store;
    assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
    bool is_reported = false;
    for (uint32_t i = 0; i < store_damage_count(store); i++)
        is_reported |= store_damage_at(store, i)->kind == STORE_DAMAGE_SEGMENT;
    assert_true(is_reported);
    assert_in_range(store_count(store), 1, 3);
    store_close(store);
    rig_start(&r);
    (void)rig_store(&r, 100);
    rig_run(&r);
    spool_dir_keep(r.spool_dir);
    rig_stop(&r);
    byte_flip(fd, 20); /* the operator repairs it: nothing was lost */
    close(fd);
    if (!rig_check(&r, r.dir, text, sizeof(text)))
        fail_msg("%s", text);
    rig_close(&r);
}

/* Nothing valid is left behind some place of a segment that was left: the successor knows better.
 */
static void test_damage_end(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 3; i++) {
        (void)rig_store(&r, 700000);
        rig_run(&r);
    }
    rig_stop(&r);
    int fd = file_open(&r, "00-00000001.seg");
    static const uint64_t starts[] = {800000, 600000, RECORD_BLOCK};
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        assert_int_equal(ftruncate(fd, (off_t)starts[i]), 0);
        assert_int_equal(ftruncate(fd, MIB), 0);
        struct store *store;
        assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
        uint64_t last = 0;
        for (uint32_t k = 0; k < store_damage_count(store); k++) {
            const struct store_damage *d = store_damage_at(store, k);
            if (d->kind == STORE_DAMAGE_GAP)
                last = u64_max(last, d->offset + d->length);
        }
        assert_true(last > 900000 && last < MIB); /* up to where it ended */
        store_close(store);
        struct spool_dir *d;
        assert_int_equal(spool_dir_open(&r.options, &d, text, sizeof(text)), 0);
        assert_true(spool_dir_stats(d)->damaged_records > 0);
        spool_dir_close(d);
    }
    close(fd);
    rig_close(&r);
}

/* A file that is shorter than it was: what is missing is damage, what is there is there. */
static void test_damage_short(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    for (unsigned i = 0; i < 8; i++) {
        (void)rig_store(&r, 3000);
        rig_run(&r);
    }
    rig_stop(&r);
    int fd = file_open(&r, "00-00000001.seg");
    static const off_t sizes[] = {900000, 30000, 9000, 4096, 100, 0};
    uint32_t last = 8;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_int_equal(ftruncate(fd, sizes[i]), 0);
        struct store *store;
        assert_int_equal(store_open(r.dir, &store, text, sizeof(text)), 0);
        assert_in_range(store_count(store), 0, last);
        last = store_count(store);
        assert_true(i > 0 || last == 8);
        assert_true(store_stats(store)->damaged_records > 0);
        store_close(store);
        struct spool_dir *d;
        assert_int_equal(spool_dir_open(&r.options, &d, text, sizeof(text)), 0);
        assert_true(spool_dir_stats(d)->damaged_records > 0);
        spool_dir_close(d);
    }
    assert_int_equal(last, 0);
    close(fd);
    rig_close(&r);
}

/* After a restart the last group of the run before is settled: damage to it is not a torn tail. */
static void test_damage_after_restart(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, SPOOL_DISK);
    struct rig_message *m = rig_store(&r, 3000);
    rig_run(&r);
    char image[128];
    rig_dir_new(image, sizeof(image));
    assert_true(fakering_image(r.ring, r.dir, image, FAKERING_LOSE, 0) >= 0); /* killed */
    struct rig next = r;
    snprintf(next.dir, sizeof(next.dir), "%s", image);
    next.options.dir = next.dir;
    next.count = 0;
    rig_start(&next);
    struct rig_message *later = rig_store(&next, 10);
    rig_run(&next);
    int fd = file_open(&next, "00-00000001.seg");
    byte_flip(fd, RECORD_BLOCK + 128 + 64 + 1000); /* body */
    close(fd);
    struct store *store;
    struct store_damage d;
    uint32_t idx;
    assert_int_equal(store_open(next.dir, &store, text, sizeof(text)), 0);
    assert_true(store_find(store, m->m.proof.queue_id, &idx));
    assert_int_equal(store_content(store, idx, NULL, NULL, &d), -EBADMSG);
    assert_int_equal(d.kind, STORE_DAMAGE_CONTENT);
    assert_true(store_find(store, later->m.proof.queue_id, &idx));
    store_close(store);
    rig_close(&next);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_point),   cmocka_unit_test(test_every_point_failing),
        cmocka_unit_test(test_scripts),       cmocka_unit_test(test_killed),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_damage_kept),
        cmocka_unit_test(test_damage_header), cmocka_unit_test(test_damage_short),
        cmocka_unit_test(test_damage_end),    cmocka_unit_test(test_damage_after_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
