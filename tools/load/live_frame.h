/* SPDX-License-Identifier: Apache-2.0 */
/* live_frame.h - what the live view says, made from numbers only: no clock, no terminal. */
#ifndef LOAD_LIVE_FRAME_H
#define LOAD_LIVE_FRAME_H

#include "base/base.h"

enum live_stage {
    LIVE_CONNECTING,
    LIVE_WARMING_UP,
    LIVE_MEASURING,
    LIVE_FINISHING, /* nothing new begins */
};

struct live_now {
    enum live_stage stage;
    double elapsed_s;    /* since the start of the run */
    double share;        /* of the run that is done, 0..1; below 0: not known */
    double left_s;       /* below 0: not known */
    double rate;         /* transactions finished a second */
    double rate_planned; /* of this moment; 0: none */
    uint32_t in_flight, connection_count;
    uint64_t done, not_accepted;
    uint64_t fault_count; /* timeouts, resets, protocol errors, failed connections */
    bool has_latency;
    uint64_t p50_ns, p99_ns; /* of the last second, from the planned time */
};

#define LIVE_LINES 2
#define LIVE_COLUMNS_MAX 160

struct live_frame {
    char lines[LIVE_LINES][LIVE_COLUMNS_MAX + 1]; /* ASCII, without line ends */
};

/* live_frame_make() - for a terminal: a progress bar, and the numbers that find room below it.
 * @columns: of the terminal; a line is always shorter. 0: not known, 80 */
void live_frame_make(struct live_frame *f, const struct live_now *now, uint32_t columns);

/* live_frame_plain() - one line with all of it, without its end, for logs and pipes. */
void live_frame_plain(char *ret_line, size_t cap, const struct live_now *now);

#endif
