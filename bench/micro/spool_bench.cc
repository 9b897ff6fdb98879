/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_bench.cc - processor time of the spool per message: records, groups, and the whole of a
 * shard's spool on a ring that does nothing (so: everything but the kernel's part).
 */
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>
#include <xxhash.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "spool/group.h"
}
#pragma GCC diagnostic pop

// The ring: every operation succeeds at once.
static std::vector<ring_event> ring_events;

extern "C" {
clock_ns ring_now(const struct ring *)
{
    return 1000000000;
}
wall_us ring_wall(const struct ring *)
{
    return 1800000000000000;
}
static void complete(struct ring_token token, int32_t res)
{
    ring_event ev = {};
    ev.token = token;
    ev.res = res;
    ring_events.push_back(ev);
}
void ring_writev(struct ring *, int, const struct iovec *iov, uint32_t count, uint64_t,
                 struct ring_token token)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    complete(token, (int32_t)total);
}
void ring_writev_sync(struct ring *r, int fd, const struct iovec *iov, uint32_t count,
                      uint64_t offset, struct ring_token write_token, struct ring_token sync_token)
{
    ring_writev(r, fd, iov, count, offset, write_token);
    complete(sync_token, 0);
}
void ring_writev_dsync(struct ring *r, int fd, const struct iovec *iov, uint32_t count,
                       uint64_t offset, struct ring_token token)
{
    ring_writev(r, fd, iov, count, offset, token);
}
void ring_datasync(struct ring *, int, struct ring_token token)
{
    complete(token, 0);
}
void ring_poll_arm(struct ring *, int, uint32_t, struct ring_token)
{
}
}

static slice text(const char *s)
{
    return slice_str(s);
}

struct sample {
    spool_rcpt rcpts[100] = {};
    spool_envelope e = {};
    explicit sample(uint32_t count, size_t body)
    {
        for (uint32_t i = 0; i < count; i++) {
            rcpts[i].address = text("recipient.name@destination.example.org");
            rcpts[i].class_name = text("strict");
            rcpts[i].state = SPOOL_RCPT_ACTIVE;
        }
        e.reverse_path = text("sender.name@origin.example.com");
        e.helo = text("mail.origin.example.com");
        e.client = text("192.0.2.1:45678");
        e.listener = text("smtp");
        e.protocol = text("ESMTP");
        e.trace = text("Received: from mail.origin.example.com ([192.0.2.1])\r\n\tby mx.example.org"
                       " with ESMTP id 0ABCDEFGHJKMN;\r\n\tWed, 1 Jan 2025 00:00:00 +0000\r\n");
        e.message_id = text("<20250101000000.12345@origin.example.com>");
        e.content_bytes = body;
        e.rcpts = rcpts;
        e.rcpt_count = count;
    }
};

static void BM_header_seal(benchmark::State &state)
{
    record_header h = {};
    h.type = RECORD_DATA;
    h.generation = 7;
    for (auto _ : state) {
        h.number++;
        record_header_seal(&h);
        benchmark::DoNotOptimize(h);
    }
}
BENCHMARK(BM_header_seal);

static void BM_header_read(benchmark::State &state)
{
    record_header h = {};
    record_header got;
    h.type = RECORD_DATA;
    h.generation = 7;
    record_header_seal(&h);
    for (auto _ : state)
        benchmark::DoNotOptimize(record_header_read((const uint8_t *)&h, 7, 0, MIB, &got));
}
BENCHMARK(BM_header_read);

static void BM_commit_encode(benchmark::State &state)
{
    sample s((uint32_t)state.range(0), 1024);
    alignas(64) static uint8_t payload[65536];
    for (auto _ : state) {
        uint64_t len = record_commit_bytes(&s.e, 1);
        record_commit_encode(&s.e, 1, 2, 1, payload);
        benchmark::DoNotOptimize(record_payload_check(slice_of(payload, len)));
    }
}
BENCHMARK(BM_commit_encode)->Arg(1)->Arg(10)->Arg(100);

static void BM_commit_decode(benchmark::State &state)
{
    sample s((uint32_t)state.range(0), 1024);
    alignas(64) static uint8_t payload[65536];
    uint64_t len = record_commit_bytes(&s.e, 1);
    record_commit_encode(&s.e, 1, 2, 1, payload);
    record_commit c;
    for (auto _ : state) {
        benchmark::DoNotOptimize(record_payload_check(slice_of(payload, len)));
        benchmark::DoNotOptimize(record_commit_decode(slice_of(payload, len), &c));
    }
}
BENCHMARK(BM_commit_decode)->Arg(1)->Arg(10)->Arg(100);

// DATA and COMMIT of one message into a group: copied when small, hashed in place when large.
static void BM_group_message(benchmark::State &state)
{
    size_t body_bytes = (size_t)state.range(0);
    sample s(1, body_bytes);
    std::string body(body_bytes, 'x');
    group g;
    extent_pool pool;
    void *hash = XXH3_createState();
    if (group_init(&g, hash) != 0 || extent_pool_init(&pool) != 0)
        abort();
    spool_part part = {};
    part.bytes = slice_of(body.data(), body_bytes);
    unsigned n = 0;
    spool_message m;
    for (auto _ : state) {
        m = spool_message{};
        m.proof.queue_id = 1;
        if (!group_add_data(&g, &pool, &m, &part, 1, RECORD_DATA_BYTES_MAX) ||
            group_add_commit(&g, &m, &s.e, 1 << 20) != 0)
            abort();
        extents_release(&pool, &m);
        if (++n % 16 == 0)
            group_reset(&g);
    }
    state.SetBytesProcessed((int64_t)(state.iterations() * body_bytes));
    group_deinit(&g);
    extent_pool_deinit(&pool);
    XXH3_freeState((XXH3_state_t *)hash);
}
BENCHMARK(BM_group_message)->Arg(1024)->Arg(4096)->Arg(10240)->Arg(102400)->Arg(1048576);

static void remove_dir(const std::string &dir)
{
    std::string command = "rm -rf '" + dir + "'";
    if (system(command.c_str()) != 0)
        abort();
}

// begin, commit, turn, results and outcome, range(0) messages of 1 KiB in each group.
static void BM_spool_message(benchmark::State &state)
{
    unsigned group_size = (unsigned)state.range(0);
    sample s(1, 1024);
    std::string body(1024, 'x');
    std::string dir = (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") +
                      std::string("/spool_bench-") + std::to_string(getpid());
    spool_options o = {};
    o.dir = dir.c_str();
    o.durability = SPOOL_DISK;
    o.shard_count = 1;
    o.segment_bytes = 64 * MIB;
    o.is_keeper_manual = true;
    char error[256];
    spool_dir *d;
    spool *sp;
    if (spool_dir_open(&o, &d, error, sizeof(error)) != 0 || spool_new(d, 0, nullptr, 1, &sp) != 0)
        abort();
    spool_part part = {};
    part.bytes = slice_of(body.data(), body.size());
    std::vector<spool_message> messages(group_size);
    uint64_t stored = 0;
    for (auto _ : state) {
        for (auto &m : messages) {
            if (spool_begin(sp, &m, 1024) != SPOOL_PENDING)
                abort();
            spool_commit(sp, &m, &part, 1, &s.e);
        }
        spool_turn(sp);
        for (size_t i = 0; i < ring_events.size(); i++)
            spool_on_event(sp, &ring_events[i]);
        ring_events.clear();
        while (spool_message *m = spool_next_done(sp))
            stored += m->outcome == SPOOL_STORED;
    }
    if (stored != (uint64_t)state.iterations() * group_size)
        state.SkipWithError("not all stored");
    state.SetItemsProcessed((int64_t)stored);
    state.counters["ns/message"] = benchmark::Counter(
        (double)stored, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    spool_free(sp);
    spool_dir_close(d);
    remove_dir(dir);
}
// As many as fit the segment that is there.
BENCHMARK(BM_spool_message)->Arg(1)->Iterations(14000);
BENCHMARK(BM_spool_message)->Arg(16)->Iterations(1500);
BENCHMARK(BM_spool_message)->Arg(64)->Iterations(400);

BENCHMARK_MAIN();
