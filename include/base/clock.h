/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - types for time. Nothing below io reads a clock: time is an argument.
 *
 * clock_ns is monotonic nanoseconds from an arbitrary start; wall_us is microseconds since
 * 1970-01-01 UTC, for trace fields, logs and records only.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

typedef uint64_t clock_ns;
typedef uint64_t wall_us;

#define CLOCK_NEVER UINT64_MAX

#endif
