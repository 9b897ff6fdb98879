/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_fuzz.c - any bytes as DATA or BDAT content: each kernel that this processor has, at random
 * cuts, must say what the oracle of tests/diff says about the whole.
 *
 * The input's first byte chooses mode and options, the next eight seed the cuts. The bytes that
 * are scanned have a heap block of their own, so that the sanitizer sees both ends.
 */
#include "../diff/scan_oracle.h"
#include "../support/testscan.h"
#include "base/rng.h"

#define CUTS_MAX 32
#define INPUT_BYTES_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int compare_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static size_t random_cuts(struct rng *rng, size_t *cuts, size_t len)
{
    size_t count = rng_below(rng, CUTS_MAX + 1);

    for (size_t i = 0; i < count; i++)
        cuts[i] = rng_below(rng, len + 1);
    qsort(cuts, count, sizeof(cuts[0]), compare_size);
    return count;
}

static void check(const struct oracle_case *c, const struct oracle_answer *expected,
                  const char *kernel, struct slice in, struct rng *rng)
{
    size_t cuts[CUTS_MAX];

    if (scan_init(kernel) != 0)
        abort();
    for (int turn = 0; turn < 2; turn++) {
        size_t cut_count = turn == 0 ? 0 : random_cuts(rng, cuts, in.len);
        struct oracle_answer actual = oracle_drive(c, in, cuts, cut_count);
        const char *what = oracle_compare(expected, &actual);
        if (what != NULL) {
            fprintf(stderr, "%s differs in %s\n", kernel, what);
            abort();
        }
        oracle_free(&actual);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *kernels[TESTSCAN_KERNELS_MAX];
    static struct scan_key key;
    static size_t kernel_count;
    struct rng rng;
    uint64_t seed;

    if (kernel_count == 0) {
        kernel_count = testscan_kernels(kernels);
        for (size_t i = 0; i < sizeof(key.bytes); i++)
            key.bytes[i] = (uint8_t)(i * 7 + 1);
    }
    if (size < 1 + sizeof(seed) || size > INPUT_BYTES_MAX)
        return 0;
    memcpy(&seed, data + 1, sizeof(seed));
    rng_init(&rng, seed);
    struct oracle_case c = {
        .mode = data[0] & 1 ? SCAN_MODE_CHUNK : SCAN_MODE_DATA,
        .normalizes = (data[0] & 2) != 0,
        .received_max = data[0] & 4 ? 1 : 0,
        .key = data[0] & 8 ? &key : NULL,
    };
    size_t len = size - 1 - sizeof(seed);
    uint8_t *copy = malloc(len + 1);
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy + 1, data + size - len, len); /* odd addresses: nothing may count on others */
    struct slice in = slice_of(copy + 1, len);
    struct oracle_answer expected = oracle_answer(&c, in);
    for (size_t i = 0; i < kernel_count; i++)
        check(&c, &expected, kernels[i], in, &rng);
    oracle_free(&expected);
    free(copy);
    return 0;
}
