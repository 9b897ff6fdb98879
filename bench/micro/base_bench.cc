/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_bench.cc - what a shard pays for its small tools: a log line, a Received field, a recorded
 * latency, an object of a pool.
 */
#include <benchmark/benchmark.h>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "base/hist.h"
#include "base/pool.h"
#include "base/rng.h"
#include "obs/log.h"
#include "obs/trace.h"
#include "../../tests/support/fakelog.h"
}

namespace
{

const wall_us wall_start = 1767323045678901;

/* The line of a transaction with one recipient; @step microseconds between two lines. */
slice build_line(void *memory, wall_us at)
{
    log_line l;
    log_line_begin(&l, memory, LOG_LINE_BYTES_MAX, at, "info", "txn");
    log_line_str(&l, "id", "06AB12CD34EF5");
    log_line_str(&l, "listener", "smtp");
    log_line_str(&l, "client", "192.0.2.1:41234");
    log_line_str(&l, "helo", "client.example");
    log_line_str(&l, "from", "sender@client.example");
    log_line_str(&l, "to", "user@rcpt.example");
    log_line_str(&l, "message_id", "<20260102030405.1234@client.example>");
    log_line_u64(&l, "size", 10240);
    log_line_u64(&l, "flags", 0);
    log_line_hundredths(&l, "score", 150);
    log_line_str(&l, "verdict", "accept");
    log_line_u64(&l, "code", 250);
    log_line_ms(&l, "receive_ms", 1234567);
    log_line_ms(&l, "decide_ms", 1234);
    log_line_ms(&l, "commit_ms", 345678);
    log_line_ms(&l, "reply_ms", 45678);
    return log_line_end(&l);
}

void log_line_txn(benchmark::State &state)
{
    static char memory[LOG_LINE_BYTES_MAX];
    wall_us at = wall_start;
    size_t bytes = 0;
    for (auto _ : state) {
        slice line = build_line(memory, at);
        benchmark::DoNotOptimize(line.ptr);
        benchmark::ClobberMemory();
        bytes = line.len;
        at += (uint64_t)state.range(0);
    }
    state.counters["line_bytes"] = (double)bytes;
    state.SetItemsProcessed(state.iterations());
}
/* lines 10 us apart, and lines that each fall into a second of their own */
BENCHMARK(log_line_txn)->Arg(10)->Arg(1000000);

void log_line_escaped(benchmark::State &state)
{
    static char memory[LOG_LINE_BYTES_MAX];
    for (auto _ : state) {
        log_line l;
        log_line_begin(&l, memory, sizeof(memory), wall_start, "info", "cmd");
        log_line_str(&l, "text",
                     "MAIL FROM:<\"a b\"@x.example> \r\n with \x01 and gr\xc3\xbc\xc3\x9f");
        benchmark::DoNotOptimize(log_line_end(&l).ptr);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(log_line_escaped);

/* Lines into the writer, written 32 at a time (the writes themselves are a copy here). */
void log_writer_lines(benchmark::State &state)
{
    static char memory[LOG_LINE_BYTES_MAX];
    static ring fake;
    log_writer *w = nullptr;
    fakelog_init(&fake, wall_start);
    if (log_writer_new(&fake, FAKELOG_FD_FIRST, 1, 256 * KIB, 0, &w) != 0)
        state.SkipWithError("no memory");
    slice line = build_line(memory, wall_start);
    int gathered = 0;
    for (auto _ : state) {
        log_writer_put(w, line);
        if (++gathered < 32)
            continue;
        gathered = 0;
        fake.sinks[0].len = 0;
        log_writer_turn(w);
        while (const struct fakelog_op *op = fakelog_op(&fake, RING_WRITE)) {
            ring_event ev = fakelog_complete(&fake, RING_WRITE, (int32_t)op->bytes.len);
            log_writer_on_event(w, &ev);
        }
    }
    if (log_writer_dropped(w) != 0)
        state.SkipWithError("lines were dropped");
    log_writer_free(w);
    fakelog_deinit(&fake);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(log_writer_lines);

void trace_field(benchmark::State &state)
{
    static uint8_t memory[TRACE_BYTES_MAX];
    sockaddr_storage client = {};
    client.ss_family = (sa_family_t)(state.range(0) == 4 ? AF_INET : AF_INET6);
    trace_info info = {};
    info.helo = slice_str("client.example");
    info.client = &client;
    info.hostname = slice_str("mx.example");
    info.is_esmtp = true;
    info.queue_id = slice_str("06AB12CD34EF5");
    info.rcpt = slice_str("user@rcpt.example");
    info.date = wall_start;
    for (auto _ : state) {
        buf out = buf_over(memory, sizeof(memory));
        if (!trace_received(&out, &info))
            state.SkipWithError("no room");
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(trace_field)->Arg(4)->Arg(6);

/* Latencies between 64 us and 4 ms, as they come in a run. */
void hist_record_values(benchmark::State &state)
{
    unsigned sub_bits = (unsigned)state.range(0);
    std::vector<uint64_t> counts(HIST_COUNTS(sub_bits, HIST_TOP_BITS));
    std::vector<uint64_t> values(4096);
    hist h;
    rng r;
    rng_init(&r, 1);
    for (uint64_t &value : values)
        value = ((uint64_t)1 << (16 + rng_below(&r, 6))) + rng_below(&r, 65536);
    hist_init(&h, counts.data(), sub_bits, HIST_TOP_BITS);
    size_t i = 0;
    for (auto _ : state)
        hist_record(&h, values[i++ % values.size()]);
    benchmark::DoNotOptimize(hist_quantile(&h, 0.99));
    state.counters["bytes"] = (double)(counts.size() * sizeof(counts[0]));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(hist_record_values)->Arg(HIST_FINE_SUB_BITS)->Arg(HIST_COMPACT_SUB_BITS);

void hist_quantile_of_fine(benchmark::State &state)
{
    std::vector<uint64_t> counts(HIST_FINE_COUNTS);
    hist h;
    rng r;
    rng_init(&r, 1);
    hist_init(&h, counts.data(), HIST_FINE_SUB_BITS, HIST_TOP_BITS);
    for (int i = 0; i < 100000; i++)
        hist_record(&h, rng_below(&r, 4000000000));
    for (auto _ : state)
        benchmark::DoNotOptimize(hist_quantile(&h, 0.999));
}
BENCHMARK(hist_quantile_of_fine);

/* One object taken and given; and as many as a turn may hold. */
void pool_take_give(benchmark::State &state)
{
    size_t held = (size_t)state.range(0);
    std::vector<void *> objects(held);
    pool p;
    if (pool_init(&p, (size_t)state.range(1), 100000) != 0)
        state.SkipWithError("no memory");
    for (auto _ : state) {
        for (void *&object : objects)
            benchmark::DoNotOptimize(object = pool_take(&p));
        for (void *object : objects)
            pool_give(&p, object);
    }
    pool_deinit(&p);
    state.SetItemsProcessed(state.iterations() * (int64_t)held);
}
BENCHMARK(pool_take_give)->Args({1, 1024})->Args({64, 1024})->Args({64, 16384})->Args({64, 4800});

} // namespace

BENCHMARK_MAIN();
#pragma GCC diagnostic pop
