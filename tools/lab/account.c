/* SPDX-License-Identifier: Apache-2.0 */
/* account.c - owns what a measure takes from a ledger, whatever filled it. */
#include "lab/account.h"

/* Sum over messages of the square of their copies. */
static uint64_t squares_of(const struct ledger *l)
{
    struct ledger_item item;
    uint32_t idx = 0;
    uint64_t sum = 0, copies = 0;
    struct identity id = {0, UINT64_MAX};
    while (ledger_next(l, &idx, &item)) {
        if (item.id.seq != id.seq || item.id.run != id.run) {
            sum += copies * copies;
            copies = 0;
            id = item.id;
        }
        copies += item.excess;
    }
    return sum + copies * copies;
}

void account_join(struct ledger *l, struct lab_measure *m)
{
    struct ledger_result r;
    ledger_join(l, &r);
    m->messages += r.messages;
    m->pairs += r.pairs;
    m->accepted += r.clients[LEDGER_ACCEPTED];
    m->refused += r.clients[LEDGER_REFUSED];
    m->deferred += r.clients[LEDGER_DEFERRED];
    m->gave_up += r.clients[LEDGER_GAVE_UP];
    m->delivered += r.delivered;
    m->lost += r.lost;
    m->duplicated_pairs += r.duplicated;
    m->copies_excess += r.copies_excess;
    if (r.copies_excess > 0)
        m->copies_excess_sq += squares_of(l);
    for (unsigned i = 0; i < LEDGER_CAUSE_COUNT; i++)
        m->causes[i] += r.causes[i];
}
