/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_queue.h - what will happen, in order of model time; what is due at one instant by rank, then
 * first come first served. A heap with four children a node.
 *
 * Nothing is taken out early: what became pointless is recognised by its generation when it is due.
 */
#ifndef LAB_SIM_QUEUE_H
#define LAB_SIM_QUEUE_H

#include "base/assert.h"
#include "base/clock.h"

/* At one instant the network comes first, then work, then limits: what is due exactly at a limit is
 * in time. */
enum sim_rank { SIM_RANK_WIRE, SIM_RANK_WORK, SIM_RANK_LIMIT };

struct sim_event {
    clock_ns at;
    uint64_t order; /* rank, then number */
    uint32_t idx;   /* of the object that it is about, in its pool */
    uint32_t generation;
    uint32_t arg;
    uint32_t kind;
};
static_assert(sizeof(struct sim_event) == 32, "two in a cache line");

struct sim_queue {
    struct sim_event *heap;
    uint32_t count, cap;
    uint64_t number;
    bool has_failed; /* there was no memory for one */
};

/* sim_queue_push() - all of @e but @order; without memory has_failed is set. */
void sim_queue_push(struct sim_queue *q, enum sim_rank rank, struct sim_event e);
/* sim_queue_pop() - the next one; false: none. */
MUST_CHECK bool sim_queue_pop(struct sim_queue *q, struct sim_event *ret_event);
/* sim_queue_clear() - forget all of them. */
void sim_queue_clear(struct sim_queue *q);
void sim_queue_deinit(struct sim_queue *q);

#endif
