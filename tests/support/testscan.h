/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testscan.h - which scan kernels a test runs.
 *
 * The environment variable POSTERN_SCAN names one kernel and forces it, so that the suite "scan"
 * can be run with the scalar one. A test that includes this belongs to that suite. It is for tests
 * only; the server has --scan.
 */
#ifndef SUPPORT_TESTSCAN_H
#define SUPPORT_TESTSCAN_H

#include "scan/scan.h"
#include <stdio.h>
#include <stdlib.h>

#define TESTSCAN_KERNELS_MAX 5

/* testscan_name() - the kernel that the environment asks for; "auto" when it does not. */
static inline const char *testscan_name(void)
{
    const char *forced = getenv("POSTERN_SCAN");
    return forced != NULL && forced[0] != '\0' ? forced : "auto";
}

/* testscan_init() - scan_init() with that kernel. */
MUST_CHECK static inline int testscan_init(void)
{
    return scan_init(testscan_name());
}

/*
 * testscan_kernels() - the kernels that a test of kernels goes through
 *
 * All that this processor has, or the forced one. Prints them: a host proves only those.
 *
 * Return: how many
 */
static inline size_t testscan_kernels(const char *ret_names[TESTSCAN_KERNELS_MAX])
{
    static const char *const known[TESTSCAN_KERNELS_MAX] = {"scalar", "sse42", "avx2", "avx512",
                                                            "neon"};
    const char *wanted = testscan_name();
    size_t count = 0;

    printf("kernels proven on this processor:");
    for (size_t i = 0; i < TESTSCAN_KERNELS_MAX; i++) {
        if (strcmp(wanted, "auto") != 0 && strcmp(wanted, known[i]) != 0)
            continue;
        if (scan_init(known[i]) == 0) {
            printf(" %s", known[i]);
            ret_names[count++] = known[i];
        }
    }
    printf("\n");
    return count;
}

#endif
