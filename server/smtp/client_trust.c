/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_trust.c - what a client remembers of one server: in which dialects it leaves without an
 * answer. A server, or something on the way to it, that cannot bear a dialect costs a copy of the
 * message each time, so after some failures in a row it is not asked for any more (DEF-21,
 * PRDR-32), until the memory is old enough to be tried again.
 */
#include "client_state.h"

void client_trust_failed(struct client_trust *t, enum dialect d, clock_ns now)
{
    ASSERT(d < DIALECT_COUNT);
    if (t->failures_max == 0)
        return;
    if (t->failures[d] < UINT32_MAX)
        t->failures[d]++;
    if (t->failures[d] >= t->failures_max)
        t->until[d] = now + t->hold_ns < now ? CLOCK_NEVER : now + t->hold_ns;
}

void client_trust_answered(struct client_trust *t, enum dialect d)
{
    ASSERT(d < DIALECT_COUNT);
    t->failures[d] = 0;
    t->until[d] = 0;
}

uint32_t client_trust_offers(const struct client_trust *t, uint32_t offers, clock_ns now)
{
    for (int d = 0; d < DIALECT_COUNT; d++)
        if (now < t->until[d])
            offers &= ~dialect_row((enum dialect)d)->offer;
    return offers;
}
