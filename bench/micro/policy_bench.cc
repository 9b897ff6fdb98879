/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_bench.cc - processor time of a recipient's lookup (a list of ten, a list and an LMDB map
 * with a million entries each, known, with an extension, and unknown), of a verdict, and of mixing.
 *
 * Addresses are asked in a random order out of 65,536 that are spread over the million, so that
 * neither the table nor the map's pages stay in the first-level caches.
 */
#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "base/rng.h"
#include "ctl_map.h"
#include "policy/policy_build.h"
}

namespace
{

constexpr size_t ASKED_COUNT = 65536;
constexpr size_t LARGE_COUNT = 1000000;

enum kind { KIND_KNOWN, KIND_EXTENSION, KIND_UNKNOWN };

std::string address_local(size_t idx)
{
    return "user." + std::to_string(idx * 2654435761U % 1000000007U);
}

std::string list_text(size_t count)
{
    std::string text;
    for (size_t i = 0; i < count; i++)
        text += address_local(i) + "@example.org" + (i % 4 == 0 ? " strict\n" : "\n");
    return text;
}

slice slice_std(const std::string &s)
{
    return slice_of(s.data(), s.size());
}

table *list_new(size_t count)
{
    std::string text = list_text(count);
    table *t;
    table_error error;
    if (table_new_text(slice_std(text), true, &t, &error) < 0)
        abort();
    return t;
}

void run_map_build(std::string from, std::string to)
{
    std::string words[] = {"map", "build", "--from", from, "--to", to};
    char *argv[6];
    for (size_t i = 0; i < 6; i++)
        argv[i] = words[i].data();
    FILE *nowhere = fopen("/dev/null", "we");
    if (nowhere == nullptr || ctl_map_run(6, argv, nowhere, stderr) != 0)
        abort();
    fclose(nowhere);
}

/* The map's files are gone when it is open; the pages stay. */
table *map_new(size_t count)
{
    char folder[] = "/tmp/postern-policy-bench-XXXXXX";
    if (mkdtemp(folder) == nullptr)
        abort();
    std::string from = std::string(folder) + "/from", to = std::string(folder) + "/map";
    std::string text = list_text(count);
    FILE *f = fopen(from.c_str(), "we");
    if (f == nullptr || fwrite(text.data(), 1, text.size(), f) != text.size() || fclose(f) != 0)
        abort();
    run_map_build(from, to);
    table *t;
    table_error error;
    if (table_new_map(to.c_str(), &t, &error) < 0) {
        fprintf(stderr, "%s\n", error.reason);
        abort();
    }
    unlink(from.c_str());
    unlink(to.c_str());
    rmdir(folder);
    return t;
}

/* One domain with @t as its source, and a hundred others around it. */
policy *policy_with(table *t)
{
    policy_build_options options = {};
    options.folds_local = true;
    options.delimiters = slice_str("+");
    policy_build *b;
    policy *p;
    uint16_t class_idx;
    uint32_t domain_idx, table_idx;
    slice unknown;
    struct policy_class strict = policy_class_default();
    strict.name = slice_str("strict");
    strict.score_reject = 500;
    if (policy_build_begin(&options, &b) < 0 ||
        policy_build_class(b, &strict, &class_idx) != POLICY_BUILD_OK ||
        policy_build_table(b, t, &table_idx, &unknown) != POLICY_BUILD_OK)
        abort();
    for (int i = 0; i < 100; i++) {
        std::string name = "other" + std::to_string(i) + ".example";
        if (policy_build_domain(b, slice_std(name), 0, &domain_idx) != POLICY_BUILD_OK)
            abort();
    }
    if (policy_build_domain(b, slice_str("example.org"), 0, &domain_idx) != POLICY_BUILD_OK ||
        policy_build_source_table(b, domain_idx, table_idx) != POLICY_BUILD_OK ||
        policy_build_finish(b, &p) < 0)
        abort();
    return p;
}

std::vector<std::string> asked_locals(size_t count, kind k)
{
    std::vector<std::string> locals;
    rng r;
    rng_init(&r, 1);
    for (size_t i = 0; i < ASKED_COUNT; i++) {
        std::string local = address_local(rng_below(&r, count));
        locals.push_back(k == KIND_KNOWN       ? local
                         : k == KIND_EXTENSION ? local + "+x"
                                               : "no" + local);
    }
    return locals;
}

void ask(benchmark::State &state, policy *p, size_t count, kind k)
{
    const std::vector<std::string> locals = asked_locals(count, k);
    const status want = k == KIND_UNKNOWN ? STATUS_NO_SUCH_USER : STATUS_RCPT_OK;
    path rcpt = {};
    rcpt.domain = slice_str("Example.org");
    size_t i = 0;
    for (auto _ : state) {
        rcpt.local = slice_std(locals[i++ % ASKED_COUNT]);
        const struct policy_rcpt decided = policy_rcpt(p, &rcpt, 0);
        if (decided.answer.status != want)
            abort();
    }
    state.SetItemsProcessed(state.iterations());
}

policy *list_small()
{
    static policy *p = policy_with(list_new(10));
    return p;
}

policy *list_large()
{
    static policy *p = policy_with(list_new(LARGE_COUNT));
    return p;
}

policy *map_large()
{
    static policy *p = policy_with(map_new(LARGE_COUNT));
    return p;
}

void rcpt_list_10(benchmark::State &state, kind k)
{
    ask(state, list_small(), 10, k);
}

void rcpt_list_1m(benchmark::State &state, kind k)
{
    ask(state, list_large(), LARGE_COUNT, k);
}

void rcpt_map_1m(benchmark::State &state, kind k)
{
    ask(state, map_large(), LARGE_COUNT, k);
}

void verdict(benchmark::State &state)
{
    const policy *p = list_small();
    const scan_result scan = {};
    const rules_hits hits = {};
    uint16_t i = 0;
    for (auto _ : state) {
        struct policy_verdict v = policy_verdict(policy_class(p, i++ & 1), &scan, &hits);
        benchmark::DoNotOptimize(v);
    }
}
BENCHMARK(verdict);

/* Verdicts of one message; the last recipient's is a refusal beside acceptances. */
void mix(benchmark::State &state)
{
    const size_t count = static_cast<size_t>(state.range(0));
    struct policy_verdict accepted = {};
    accepted.action = POLICY_ACCEPT;
    accepted.answer.status = STATUS_STORED;
    accepted.reason = "accept";
    struct policy_verdict refused = accepted;
    refused.action = POLICY_REJECT;
    refused.answer.status = STATUS_REFUSED_POLICY;
    std::vector<struct policy_verdict> verdicts(count, accepted);
    for (auto _ : state) {
        if (count > 1)
            verdicts[count - 1] = refused;
        benchmark::DoNotOptimize(
            policy_mix(verdicts.data(), static_cast<uint32_t>(count), POLICY_REFUSAL_QUARANTINE));
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(mix)->ArgName("recipients")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

BENCHMARK_CAPTURE(rcpt_list_10, known, KIND_KNOWN);
BENCHMARK_CAPTURE(rcpt_list_1m, known, KIND_KNOWN);
BENCHMARK_CAPTURE(rcpt_list_1m, extension, KIND_EXTENSION);
BENCHMARK_CAPTURE(rcpt_list_1m, unknown, KIND_UNKNOWN);
BENCHMARK_CAPTURE(rcpt_map_1m, known, KIND_KNOWN);
BENCHMARK_CAPTURE(rcpt_map_1m, extension, KIND_EXTENSION);
BENCHMARK_CAPTURE(rcpt_map_1m, unknown, KIND_UNKNOWN);

} // namespace

BENCHMARK_MAIN();
