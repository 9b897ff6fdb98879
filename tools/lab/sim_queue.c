/* SPDX-License-Identifier: Apache-2.0 */
/* sim_queue.c - owns the heap of events. */
#include "sim_queue.h"
#include <stdlib.h>

#define FANOUT 4
#define RANK_SHIFT 62

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static bool grow(struct sim_queue *q)
{
    uint32_t cap = q->cap == 0 ? 1024 : q->cap * 2;
    struct sim_event *heap =
        q->cap > UINT32_MAX / 2 ? NULL : realloc(q->heap, (size_t)cap * sizeof(*heap));
    if (heap == NULL) {
        q->has_failed = true;
        return false;
    }
    q->heap = heap;
    q->cap = cap;
    return true;
}

void sim_queue_push(struct sim_queue *q, enum sim_rank rank, struct sim_event e)
{
    if (q->count == q->cap && !grow(q))
        return;
    e.order = (uint64_t)rank << RANK_SHIFT | q->number++;
    uint32_t at = q->count++;
    while (at > 0) {
        uint32_t parent = (at - 1) / FANOUT;
        if (!is_before(&e, &q->heap[parent]))
            break;
        q->heap[at] = q->heap[parent];
        at = parent;
    }
    q->heap[at] = e;
}

bool sim_queue_pop(struct sim_queue *q, struct sim_event *ret_event)
{
    if (q->count == 0)
        return false;
    *ret_event = q->heap[0];
    struct sim_event last = q->heap[--q->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t first = at * FANOUT + 1;
        if (first >= q->count)
            break;
        uint32_t least = first;
        for (uint32_t i = first + 1; i < first + FANOUT && i < q->count; i++)
            if (is_before(&q->heap[i], &q->heap[least]))
                least = i;
        if (!is_before(&q->heap[least], &last))
            break;
        q->heap[at] = q->heap[least];
        at = least;
    }
    q->heap[at] = last;
    return true;
}

void sim_queue_clear(struct sim_queue *q)
{
    q->count = 0;
}

void sim_queue_deinit(struct sim_queue *q)
{
    free(q->heap);
    *q = (struct sim_queue){0};
}
