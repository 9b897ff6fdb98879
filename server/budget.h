/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - how long a client is kept waiting after his content: signs of life while it lasts, and
 * the reply budget, after which he is told 451 for whoever is not decided and stored (DUP-15).
 */
#ifndef BUDGET_H
#define BUDGET_H

#include "base/clock.h"

struct conn;
struct shard;
struct shard_options;

/* budget_ns() - the listener's, or a shorter one of a client section that fits by network or name.
 */
clock_ns budget_ns(const struct shard_options *options, const struct conn *c);

/* budget_due() - the next moment at which the client of a message that is being decided must hear
 * something, or CLOCK_NEVER. */
clock_ns budget_due(const struct conn *c);

/* budget_act() - do what is due: open the block, show life, end the budget. */
void budget_act(struct shard *sh, struct conn *c, clock_ns now);

#endif
