/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules_bench.cc - content rules and content hash alone: what a set costs for each byte and for
 * each message, what compiling it costs, and each build of the hash.
 */
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "base/rng.h"
#include "scan/hash.h"
#include "scan/rules.h"
}

namespace
{

std::vector<uint8_t> prose(size_t len)
{
    std::vector<uint8_t> out;
    struct rng rng;

    rng_init(&rng, 3);
    while (out.size() < len) {
        uint64_t dice = rng_next(&rng) % 64;
        out.push_back((uint8_t)(dice < 10 ? ' ' : 'a' + dice % 26));
        if (out.size() % 72 == 70)
            out.insert(out.end(), {'\r', '\n'});
    }
    out.resize(len);
    return out;
}

/* Sets: default; @count literals; @count expressions, of which every other one has a class. */
std::string set_text(const std::string &kind, size_t count)
{
    std::string text = kind == "default" ? rules_default_text : "";

    for (size_t i = 0; kind != "default" && i < count; i++) {
        std::string word = "Needle" + std::to_string(i * 7919);
        text += "R" + std::to_string(i) + " body 1 ";
        if (kind == "literals")
            text += "\"" + word + "\"i\n";
        else
            text += "/" + word + (i % 2 ? "\\s+(now|today)" : "[0-9]{2,4}") + "/i\n";
    }
    return text;
}

rules *compile(const std::string &text)
{
    rules_error error;
    rules *r;

    if (rules_compile(slice_of(text.data(), text.size()), &r, &error) != 0)
        abort();
    return r;
}

void bench_match(benchmark::State &state, const char *kind, size_t count, size_t len)
{
    std::vector<uint8_t> in = prose(len);
    rules *r = compile(set_text(kind, count));
    rules_worker *w;
    rules_hits hits;

    if (rules_worker_new(r, &w) != 0)
        abort();
    for (auto _ : state) {
        rules_stream *st = rules_stream_take(w);
        rules_stream_feed(st, RULES_PART_BODY, slice_of(in.data(), in.size()));
        rules_stream_end(st);
        rules_stream_hits(st, &hits);
        benchmark::DoNotOptimize(hits.score);
        rules_stream_give(w, st);
    }
    state.SetBytesProcessed((int64_t)(state.iterations() * len));
    rules_worker_free(w);
    rules_unref(r);
}

void bench_compile(benchmark::State &state, const char *kind, size_t count)
{
    std::string text = set_text(kind, count);
    for (auto _ : state)
        rules_unref(compile(text));
}

void bench_hash(benchmark::State &state, const hash_impl *hash, size_t len)
{
    std::vector<uint8_t> in = prose(len);
    std::vector<uint8_t> memory(HASH_STATE_BYTES);
    uint8_t key[HASH_SECRET_BYTES];
    uint64_t result[2];

    memset(key, 0x5a, sizeof(key));
    for (auto _ : state) {
        hash->begin(memory.data(), key);
        hash->feed(memory.data(), in.data(), in.size());
        hash->finish(memory.data(), result);
        benchmark::DoNotOptimize(result[0]);
    }
    state.SetBytesProcessed((int64_t)(state.iterations() * len));
}

void add_hash(const char *name, const hash_impl *hash)
{
    for (size_t len : {64 * 1, 1024, 16384})
        benchmark::RegisterBenchmark(
            (std::string("HASH/") + name + "/" + std::to_string(len)).c_str(), bench_hash, hash,
            len);
}

void add_all()
{
    static const struct {
        const char *kind;
        size_t count;
    } sets[] = {
        {"default", 2}, {"literals", 10}, {"literals", 1000}, {"mixed", 10}, {"mixed", 500}};

    for (const auto &set : sets) {
        std::string name = std::string(set.kind) + "/" + std::to_string(set.count);
        for (size_t len : {16, 1024, 16384})
            benchmark::RegisterBenchmark(("MATCH/" + name + "/" + std::to_string(len)).c_str(),
                                         bench_match, set.kind, set.count, len);
        benchmark::RegisterBenchmark(("COMPILE/" + name).c_str(), bench_compile, set.kind,
                                     set.count);
    }
    add_hash("scalar", &hash_scalar);
#if defined(__x86_64__)
    add_hash("sse2", &hash_sse2);
    if (__builtin_cpu_supports("avx2"))
        add_hash("avx2", &hash_avx2);
    if (__builtin_cpu_supports("avx512f"))
        add_hash("avx512", &hash_avx512);
#elif defined(__aarch64__)
    add_hash("neon", &hash_neon);
#endif
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
