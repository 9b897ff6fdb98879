/* SPDX-License-Identifier: Apache-2.0 */
/*
 * civil.h - calendar date and time of day (UTC) of a point in time, without the C library's locale,
 * time zone or locks.
 */
#ifndef BASE_CIVIL_H
#define BASE_CIVIL_H

#include "base/buf.h"
#include "base/clock.h"

struct civil {
    uint32_t year;    /* 1970 .. */
    uint32_t month;   /* 1 .. 12 */
    uint32_t day;     /* 1 .. 31 */
    uint32_t hour;    /* 0 .. 23 */
    uint32_t minute;  /* 0 .. 59 */
    uint32_t second;  /* 0 .. 59; POSIX time has no leap seconds */
    uint32_t weekday; /* 0 = Sunday */
};

/*
 * civil_from_unix() - date and time of day in UTC
 * @seconds: since 1970-01-01; years up to 9999 print with four digits, later ones are clamped to
 *           the last second of 9999
 */
struct civil civil_from_unix(uint64_t seconds);

/* civil_put_rfc3339() - "2026-01-02T03:04:05" into @b, without fraction and zone (RFC 3339 5.6). */
void civil_put_rfc3339(struct buf *b, const struct civil *c);

/* civil_put_rfc5322() - "Fri, 2 Jan 2026 03:04:05 +0000" into @b (RFC 5322 3.3 date-time). */
void civil_put_rfc5322(struct buf *b, const struct civil *c);

#endif
