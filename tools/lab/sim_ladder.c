/* SPDX-License-Identifier: Apache-2.0 */
/* sim_ladder.c - owns the words of the ladder. */
#include "lab/sim_ladder.h"
#include <stdarg.h>
#include <stdio.h>

void sim_ladder_note(struct sim *sim, const struct sim_conn *c, enum ladder_who who,
                     clock_ns for_ns, const char *fmt, ...)
{
    va_list args;
    if (LIKELY(c->ladder == NULL))
        return;
    struct rung *r = ladder_add(c->ladder, sim->now, c->attempt, who, LADDER_NONE);
    if (r == NULL)
        return;
    r->until = sim->now + for_ns;
    va_start(args, fmt);
    (void)vsnprintf(r->text, sizeof(r->text), fmt, args);
    va_end(args);
}

/* On the wire, from now until the last octet of @c's pipe arrives. */
static struct rung *on_wire(struct sim *sim, const struct sim_conn *c, enum sim_way way)
{
    enum ladder_way ladder_way = way == SIM_UP ? LADDER_TO_SERVER : LADDER_TO_CLIENT;
    struct rung *r = ladder_add(c->ladder, sim->now, c->attempt, LADDER_WIRE, ladder_way);
    const struct sim_segment *last = c->pipes[way].tail;
    if (r != NULL)
        r->until = last != NULL ? last->at : CLOCK_NEVER;
    return r;
}

void sim_ladder_lines(struct sim *sim, const struct sim_conn *c, enum sim_way way,
                      struct slice bytes)
{
    if (LIKELY(c->ladder == NULL))
        return;
    while (bytes.len > 0) {
        size_t end = slice_find(bytes, '\n');
        size_t len = 0;
        struct rung *r = on_wire(sim, c, way);
        if (r == NULL)
            return;
        for (size_t i = 0; i < end && len + 1 < sizeof(r->text); i++)
            if (bytes.ptr[i] != '\r')
                r->text[len++] =
                    bytes.ptr[i] >= ' ' && bytes.ptr[i] < 0x7F ? (char)bytes.ptr[i] : '?';
        r->text[len] = '\0';
        bytes = slice_from(bytes, end + 1);
    }
}

void sim_ladder_content(struct sim *sim, const struct sim_conn *c, uint64_t len)
{
    if (LIKELY(c->ladder == NULL) || len == 0)
        return;
    struct rung *r = on_wire(sim, c, SIM_UP);
    if (r != NULL)
        (void)snprintf(r->text, sizeof(r->text), "content and the dot, %llu octets",
                       (unsigned long long)len);
}

void sim_ladder_cut(struct sim *sim, const struct sim_conn *c)
{
    if (LIKELY(c->ladder == NULL))
        return;
    for (uint32_t i = 0; i < c->ladder->count; i++) {
        struct rung *r = &c->ladder->rungs[i];
        if (r->who == LADDER_WIRE && r->attempt == c->attempt && r->until > sim->now)
            r->until = CLOCK_NEVER;
    }
    struct rung *r = ladder_add(c->ladder, sim->now, c->attempt, LADDER_WIRE, LADDER_NONE);
    if (r != NULL)
        (void)snprintf(r->text, sizeof(r->text), "%s",
                       c->is_silent ? "black hole: nothing passes any more" : "connection cut");
}
