/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - what is shown while a run lasts: once a second, on standard error. On a terminal two
 * lines are redrawn in place; elsewhere each second has a line of its own.
 *
 *     live_init(&live, &options, stderr);
 *     ... each turn of the main thread: live_show(&live, workers, count, began_at, now);
 *     live_end(&live);        before anything else is printed
 */
#ifndef LOAD_LIVE_H
#define LOAD_LIVE_H

#include "load/worker.h"
#include <stdio.h>

struct live {
    FILE *out;
    bool is_terminal;
    const struct load_options *options;
    clock_ns next_at;
    clock_ns last_at;
    uint64_t last_finished;
    uint64_t *counts; /* latencies of all workers, as at the last look; NULL: not looked yet */
    bool has_frame;   /* a frame is on the terminal, the cursor at its end */
};

void live_init(struct live *v, const struct load_options *options, FILE *out);
/* live_show() - when a second has passed since the last time. @began_at: 0: not yet. */
void live_show(struct live *v, struct worker *const *workers, uint32_t count, clock_ns began_at,
               clock_ns now);
/* live_end() - clears the view and gives its memory back. */
void live_end(struct live *v);

#endif
