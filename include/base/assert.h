/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.h - assertions for bugs, never for peer input.
 *
 * ASSERT stays on in release builds and must be cheap. ASSERT_SLOW runs where DEBUG_CHECKS is
 * defined to 1 (debug, sanitizer, simulation and fuzz builds). COUNT_IF counts an oddity that is
 * tolerated.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/base.h"

#ifndef DEBUG_CHECKS
#define DEBUG_CHECKS 0
#endif

/* assert_fail() - report a broken invariant on standard error and end the process (abort). */
__attribute__((noreturn, cold)) void assert_fail(const char *expr, const char *file, int line,
                                                 const char *func);

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (UNLIKELY(!(cond)))                                                                     \
            assert_fail(#cond, __FILE__, __LINE__, __func__);                                      \
    } while (0)

#if DEBUG_CHECKS
#define ASSERT_SLOW(cond) ASSERT(cond)
#else
#define ASSERT_SLOW(cond)                                                                          \
    do {                                                                                           \
        (void)sizeof(cond);                                                                        \
    } while (0)
#endif

#define UNREACHABLE() assert_fail("unreachable", __FILE__, __LINE__, __func__)

#define COUNT_IF(counter, cond)                                                                    \
    do {                                                                                           \
        if (UNLIKELY(cond))                                                                        \
            (counter)++;                                                                           \
    } while (0)

#endif
