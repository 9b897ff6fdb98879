/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_bench.cc - the one pass over content: each kernel, in cache and from memory, alone and with
 * the hash and the content rules; and what a whole small message costs.
 *
 * Counters beside each rate, measured in the same run:
 *   of_read     share of what plain reading of the same bytes reaches (widest vectors there are)
 *   x_scalar    times the scalar kernel over the same bytes
 *
 * Names: FRAME (no key, no rules), HASH (with key), ALL (with key and the default rules), then the
 * kernel, the kind of text and the size.
 */
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "base/rng.h"
#include "scan/rules.h"
#include "scan/scan.h"
}
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace
{

const size_t cache_bytes = 32 * KIB;
const size_t memory_bytes = 256 * MIB;
const size_t window_bytes = WINDOW_BYTES_MAX;

/* ---- what is scanned ---- */

const char header_text[] = "Received: from client.example (client.example [192.0.2.1])\r\n"
                           "\tby mx.example with ESMTP id 06AB12CD34EF5\r\n"
                           "\tfor <user@rcpt.example>; Fri, 2 Jan 2026 03:04:05 +0000\r\n"
                           "From: Sender <sender@client.example>\r\n"
                           "To: user@rcpt.example\r\n"
                           "Subject: an ordinary message about nothing in particular\r\n"
                           "Date: Fri, 2 Jan 2026 03:04:05 +0000\r\n"
                           "Message-ID: <20260102030405.1234@client.example>\r\n"
                           "MIME-Version: 1.0\r\n"
                           "Content-Type: text/plain; charset=us-ascii\r\n\r\n";

void put_line(std::vector<uint8_t> &to, struct rng *rng, size_t len, bool is_dotted)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (is_dotted)
        to.insert(to.end(), 2, '.');
    for (size_t i = 0; i < len; i++)
        to.push_back((uint8_t)alphabet[rng_next(rng) % 64]);
    to.push_back('\r');
    to.push_back('\n');
}

/* Prose: lines of 40 to 76 bytes, words, full stops. */
void put_prose(std::vector<uint8_t> &to, struct rng *rng)
{
    size_t len = 40 + rng_below(rng, 37);
    for (size_t i = 0; i < len; i++) {
        uint64_t dice = i == 0 ? 11 : rng_next(rng) % 64;
        to.push_back((uint8_t)(dice < 10 ? ' ' : dice == 10 ? '.' : 'a' + dice % 26));
    }
    to.push_back('\r');
    to.push_back('\n');
}

/* Kinds: base64 (76), prose, long lines (998), dots (every line starts with one), crlf (nothing
 * else). A message with header, dot-stuffed, without the end of data. */
std::vector<uint8_t> message_of(const std::string &kind, size_t len)
{
    std::vector<uint8_t> unit;
    struct rng rng;
    size_t unit_bytes = size_min(len, 1 * MIB);

    rng_init(&rng, 1);
    while (unit.size() < unit_bytes) {
        if (kind == "base64")
            put_line(unit, &rng, 76, false);
        else if (kind == "prose")
            put_prose(unit, &rng);
        else if (kind == "long")
            put_line(unit, &rng, 998, false);
        else if (kind == "dots")
            put_line(unit, &rng, 60, true);
        else
            unit.insert(unit.end(), {'\r', '\n'});
    }
    std::vector<uint8_t> out(header_text, header_text + sizeof(header_text) - 1);
    if (len < out.size())
        abort();
    out.reserve(len + unit.size());
    while (out.size() < len)
        out.insert(out.end(), unit.begin(), unit.end());
    out.resize(len - 2);
    out.insert(out.end(), {'\r', '\n'});
    return out;
}

const std::vector<uint8_t> &message(const std::string &kind, size_t len)
{
    static std::map<size_t, std::pair<std::string, std::vector<uint8_t>>> kept;
    auto &entry = kept[len];
    if (entry.first != kind)
        entry = {kind, message_of(kind, len)};
    return entry.second;
}

/* ---- plain reading ---- */

uint64_t read_words(const uint8_t *ptr, size_t len)
{
    uint64_t sum[4] = {0, 0, 0, 0};
    for (size_t at = 0; at + 32 <= len; at += 32) {
        uint64_t word[4];
        memcpy(word, ptr + at, 32);
        for (int i = 0; i < 4; i++)
            sum[i] += word[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) uint64_t read_avx512(const uint8_t *ptr, size_t len)
{
    __m512i sum[4];
    for (__m512i &one : sum)
        one = _mm512_setzero_si512();
    for (size_t at = 0; at + 256 <= len; at += 256)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm512_add_epi64(sum[i], _mm512_loadu_si512(ptr + at + (size_t)i * 64));
    __m512i all =
        _mm512_add_epi64(_mm512_add_epi64(sum[0], sum[1]), _mm512_add_epi64(sum[2], sum[3]));
    uint64_t words[8];
    memcpy(words, &all, sizeof(words));
    return words[0] + words[1] + words[2] + words[3] + words[4] + words[5] + words[6] + words[7];
}

__attribute__((target("avx2"))) uint64_t read_avx2(const uint8_t *ptr, size_t len)
{
    __m256i sum[4];
    for (__m256i &one : sum)
        one = _mm256_setzero_si256();
    for (size_t at = 0; at + 128 <= len; at += 128)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm256_add_epi64(
                sum[i], _mm256_loadu_si256((const __m256i *)(const void *)(ptr + at + i * 32)));
    __m256i all =
        _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3]));
    uint64_t words[4];
    memcpy(words, &all, sizeof(words));
    return words[0] + words[1] + words[2] + words[3];
}
#endif

uint64_t read_plain(const uint8_t *ptr, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return read_avx512(ptr, len);
    if (__builtin_cpu_supports("avx2"))
        return read_avx2(ptr, len);
#endif
    return read_words(ptr, len);
}

/* ---- scanning ---- */

enum readers { FRAME, HASH, ALL };

struct rig {
    scan_key key;
    struct rules *rules;
    rules_worker *worker;

    rig()
    {
        rules_error error;
        memset(&key, 0x5a, sizeof(key));
        if (rules_compile(slice_str(rules_default_text), &rules, &error) != 0 ||
            rules_worker_new(rules, &worker) != 0)
            abort();
    }
};

rig &the_rig()
{
    static rig r;
    return r;
}

/* One message from the first byte to its result, as a transaction does it. */
uint64_t scan_message(const uint8_t *ptr, size_t len, readers what, scan_mode mode)
{
    rig &r = the_rig();
    struct scan s;
    struct slices parts;
    scan_result result;
    scan_options options = {};
    rules_hits hits;
    bool is_end = false;

    options.mode = mode;
    options.key = what >= HASH ? &r.key : nullptr;
    options.rules = what == ALL ? rules_stream_take(r.worker) : nullptr;
    scan_begin(&s, &options);
    for (size_t at = 0; at < len;) {
        size_t edge = at - at % window_bytes + window_bytes;
        at += scan_feed(&s, slice_of(ptr + at, size_min(edge, len) - at), &parts, &is_end);
        benchmark::DoNotOptimize(parts.count);
    }
    scan_finish(&s, &parts, &result);
    if (options.rules != nullptr) {
        rules_stream_hits(options.rules, &hits);
        benchmark::DoNotOptimize(hits.score);
        rules_stream_give(r.worker, options.rules);
    }
    return result.content_bytes + result.hash[0];
}

/* Processor time, so that whatever else runs on the machine does not count. */
double thread_seconds()
{
    timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

/* Bytes a second of @run over @len bytes: the best of some rounds. */
template <typename F> double rate_of(size_t len, F run)
{
    double best = 0;
    size_t turns = len < MIB ? 400 : 1;
    for (int round = 0; round < (len < MIB ? 20 : 3); round++) {
        double start = thread_seconds();
        for (size_t i = 0; i < turns; i++)
            benchmark::DoNotOptimize(run());
        best = std::max(best, (double)(len * turns) / (thread_seconds() - start));
    }
    return best;
}

void report(benchmark::State &state, size_t len, double of_read, double x_scalar)
{
    double bytes = (double)state.iterations() * (double)len;
    state.SetBytesProcessed((int64_t)bytes);
    state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsRate);
    if (of_read > 0)
        state.counters["of_read"] =
            benchmark::Counter(bytes / of_read, benchmark::Counter::kIsRate);
    if (x_scalar > 0)
        state.counters["x_scalar"] =
            benchmark::Counter(bytes / x_scalar, benchmark::Counter::kIsRate);
}

void bench_read(benchmark::State &state, size_t len)
{
    const std::vector<uint8_t> &in = message("base64", len);
    for (auto _ : state)
        benchmark::DoNotOptimize(read_plain(in.data(), in.size()));
    report(state, len, 0, 0);
}

void bench_scan(benchmark::State &state, readers what, const char *isa, const char *kind,
                size_t len)
{
    static std::map<size_t, double> read_rates;
    static std::map<std::string, double> scalar_rates;
    const std::vector<uint8_t> &in = message(kind, len);
    double &read_rate = read_rates[len];
    double &scalar_rate = scalar_rates[kind + std::to_string(len) + std::to_string(what)];

    if (read_rate == 0)
        read_rate = rate_of(len, [&] { return read_plain(in.data(), in.size()); });
    if (scalar_rate == 0) {
        if (scan_init("scalar") != 0)
            abort();
        scalar_rate =
            rate_of(len, [&] { return scan_message(in.data(), in.size(), what, SCAN_MODE_DATA); });
    }
    if (scan_init(isa) != 0)
        return state.SkipWithError("this processor does not have it");
    for (auto _ : state)
        benchmark::DoNotOptimize(scan_message(in.data(), in.size(), what, SCAN_MODE_DATA));
    report(state, len, read_rate, scalar_rate);
}

/* A message as it comes: with the end of data, nothing in the first-level cache but the message. */
void bench_message(benchmark::State &state, readers what, const char *kind, size_t len)
{
    std::vector<uint8_t> in = message_of(kind, len);

    in.insert(in.end(), {'.', '\r', '\n'});
    if (scan_init("auto") != 0)
        abort();
    for (auto _ : state)
        benchmark::DoNotOptimize(scan_message(in.data(), in.size(), what, SCAN_MODE_DATA));
    report(state, len, 0, 0);
}

void add_all()
{
    static const char *const isas[] = {"scalar", "sse42", "avx2", "avx512", "neon"};
    static const char *const kinds[] = {"base64", "prose", "long", "dots", "crlf"};
    static const struct {
        readers what;
        const char *name;
    } whats[] = {{FRAME, "FRAME"}, {HASH, "HASH"}, {ALL, "ALL"}};

    for (size_t len : {cache_bytes, memory_bytes}) {
        const char *place = len == cache_bytes ? "cache" : "memory";
        benchmark::RegisterBenchmark((std::string("READ/") + place).c_str(), bench_read, len);
        for (const char *kind : kinds) {
            for (const auto &what : whats) {
                for (const char *isa : isas) {
                    if (scan_init(isa) != 0 || (what.what != FRAME && strcmp(isa, "scalar") == 0))
                        continue;
                    std::string name =
                        std::string(what.name) + "/" + isa + "/" + kind + "/" + place;
                    benchmark::RegisterBenchmark(name.c_str(), bench_scan, what.what, isa, kind,
                                                 len);
                }
            }
        }
    }
    for (size_t len : {1 * KIB, 4 * KIB, 10 * KIB, 100 * KIB})
        for (const auto &what : whats)
            benchmark::RegisterBenchmark(
                (std::string("MESSAGE/") + what.name + "/prose/" + std::to_string(len)).c_str(),
                bench_message, what.what, "prose", len);
}

} // namespace

int main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    add_all();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
