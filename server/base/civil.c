/* SPDX-License-Identifier: Apache-2.0 */
/*
 * civil.c - days since the epoch to a date in the Gregorian calendar, and the two ways it is
 * printed.
 *
 * The idea: shift the year so that it begins in March. Then the leap day is the last day of the
 * year, a month's first day is a linear function of its number (153 days in five months), and
 * centuries and cycles of 400 years (146097 days) divide evenly.
 */
#include "base/civil.h"

#define SECONDS_PER_DAY ((uint64_t)86400)
#define DAYS_PER_CYCLE ((uint64_t)146097)    /* 400 years */
#define DAYS_BEFORE_EPOCH ((uint64_t)719468) /* from 0000-03-01 to 1970-01-01 */
#define SECONDS_MAX ((uint64_t)253402300799) /* 9999-12-31T23:59:59 */

struct civil civil_from_unix(uint64_t seconds)
{
    seconds = u64_min(seconds, SECONDS_MAX);
    uint64_t days = seconds / SECONDS_PER_DAY;
    uint32_t rest = (uint32_t)(seconds % SECONDS_PER_DAY);
    uint64_t shifted = days + DAYS_BEFORE_EPOCH;
    uint32_t cycle = (uint32_t)(shifted / DAYS_PER_CYCLE);
    uint32_t day_of_cycle = (uint32_t)(shifted % DAYS_PER_CYCLE);
    /* Take away the leap days so far: one in 4 years, none in 100, and one in 400. */
    uint32_t year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    uint32_t day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = cycle * 400 + year_of_cycle + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (uint32_t)((days + 4) % 7), /* 1970-01-01 was a Thursday */
    };
}

static uint8_t *put_2(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)('0' + value / 10);
    at[1] = (uint8_t)('0' + value % 10);
    return at + 2;
}

static uint8_t *put_4(uint8_t *at, uint32_t value)
{
    return put_2(put_2(at, value / 100), value % 100);
}

static uint8_t *put_clock(uint8_t *at, const struct civil *c)
{
    at = put_2(at, c->hour);
    *at++ = ':';
    at = put_2(at, c->minute);
    *at++ = ':';
    return put_2(at, c->second);
}

void civil_put_rfc3339(struct buf *b, const struct civil *c)
{
    uint8_t text[19];
    ASSERT(c->year <= 9999);
    uint8_t *at = put_4(text, c->year);
    *at++ = '-';
    at = put_2(at, c->month);
    *at++ = '-';
    at = put_2(at, c->day);
    *at++ = 'T';
    at = put_clock(at, c);
    ASSERT(at == text + sizeof(text));
    buf_put(b, slice_of(text, sizeof(text)));
}

void civil_put_rfc5322(struct buf *b, const struct civil *c)
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint8_t text[31]; /* "Fri, 22 Jan 2026 03:04:05 +0000" */
    ASSERT(c->year <= 9999 && c->weekday < 7 && c->month >= 1 && c->month <= 12);
    memcpy(text, weekdays + (size_t)3 * c->weekday, 3);
    memcpy(text + 3, ", ", 2);
    uint8_t *at = text + 5;
    if (c->day >= 10)
        *at++ = (uint8_t)('0' + c->day / 10);
    *at++ = (uint8_t)('0' + c->day % 10);
    *at++ = ' ';
    memcpy(at, months + (size_t)3 * (c->month - 1), 3);
    at[3] = ' ';
    at = put_4(at + 4, c->year);
    *at++ = ' ';
    at = put_clock(at, c);
    memcpy(at, " +0000", 6);
    buf_put(b, slice_of(text, (size_t)(at + 6 - text)));
}
