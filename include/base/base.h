/* SPDX-License-Identifier: Apache-2.0 */
/* base.h - the small vocabulary that every other header builds on. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h> /* static_assert */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt_idx, arg_idx) __attribute__((format(printf, fmt_idx, arg_idx)))
#define LIKELY(cond) __builtin_expect(!!(cond), 1)
#define UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#define UNUSED __attribute__((unused))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* clang-format off */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Rounds up to a multiple of @align, which is a power of two. */
#define ALIGN_UP(value, align) (((value) + ((align) - 1)) & ~((__typeof__(value))(align) - 1))
/* clang-format on */

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define GIB ((size_t)1024 * MIB)

#define NS_PER_US ((uint64_t)1000)
#define NS_PER_MS ((uint64_t)1000 * NS_PER_US)
#define NS_PER_S ((uint64_t)1000 * NS_PER_MS)

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
