/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.h - numbers with units for people, and strangers' text made harmless. Three digits are shown
 * of what was measured: that is how exact the histograms are.
 */
#ifndef LOAD_SHOW_H
#define LOAD_SHOW_H

#include "base/base.h"
#include <stdio.h>

/* A short text by value, so that several fit in one printf(). */
struct shown {
    char text[32];
};

struct shown show_ns(uint64_t ns);     /* "0", "812 ns", "1.23 us", "45.6 ms", "12.0 s", "3.20 h" */
struct shown show_bytes(double bytes); /* "512 B", "1.50 KiB", "3.20 GiB" */
struct shown show_count(uint64_t count);                  /* all digits, in groups: "1 234 567" */
struct shown show_rate(double rate);                      /* "0", "0.123", "45.6", "12 300" */
struct shown show_percent(uint64_t part, uint64_t whole); /* "99.10 %", "-" of nothing */
struct shown show_seconds(double seconds);                /* "12.345 s" */

/* show_enhanced() - "2.1.5", or "" when there is none. */
struct shown show_enhanced(const uint16_t enhanced[3]);

/* show_safe() - @text with controls, signs that turn the direction of writing, and everything that
 * is no UTF-8 as "\xNN"; line ends too. */
void show_safe(FILE *out, const char *text);

/* show_safe_len() - octets of the sequence at @at that show_safe() prints as it is; 0: none. */
unsigned show_safe_len(const uint8_t *at, size_t len);

/* show_utf8_len() - octets of the well-formed UTF-8 sequence at @at, 0 when there is none. */
unsigned show_utf8_len(const uint8_t *at, size_t len);

#endif
