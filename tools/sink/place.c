/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - owns the line for places at work, behind one lock. */
#include "place.h"
#include "worker.h"
#include <pthread.h>
#include <stdlib.h>

#define WORK_NS_MAX ((clock_ns)1 << 62) /* a century; and a time can be added to it */

struct places {
    pthread_mutex_t lock;
    uint32_t capacity;
    double slowdown;
    uint32_t at_hand, in_work;
    struct list line; /* first come, first served */
    struct list due;  /* their turn has come; in_work counts them */
};

struct places *places_new(uint32_t capacity, double slowdown)
{
    struct places *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->capacity = capacity;
    p->slowdown = slowdown;
    list_init(&p->line);
    list_init(&p->due);
    return p;
}

void places_free(struct places *p)
{
    if (p == NULL)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void place_init(struct place *pl, struct worker *w)
{
    *pl = (struct place){.worker = w};
    list_init(&pl->link);
}

bool place_enter(struct places *p, struct place *pl)
{
    if (p == NULL)
        return true;
    pthread_mutex_lock(&p->lock);
    ASSERT(!pl->is_at_hand);
    pl->is_at_hand = true;
    p->at_hand++;
    pl->is_in_work = p->capacity == 0 || p->in_work < p->capacity;
    if (pl->is_in_work)
        p->in_work++;
    else
        list_push(&p->line, &pl->link);
    bool is_in_work = pl->is_in_work;
    pthread_mutex_unlock(&p->lock);
    return is_in_work;
}

/* The place of one that has left is the next one's. The lock is held. */
static struct worker *pass_on(struct places *p)
{
    struct list *first = list_pop(&p->line);
    if (first == NULL) {
        p->in_work--;
        return NULL;
    }
    struct place *next = CONTAINER_OF(first, struct place, link);
    next->is_in_work = true;
    list_push(&p->due, &next->link);
    return next->worker;
}

void place_leave(struct places *p, struct place *pl)
{
    struct worker *next = NULL;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    if (pl->is_at_hand) {
        pl->is_at_hand = false;
        p->at_hand--;
        list_remove(&pl->link);
        if (pl->is_in_work)
            next = pass_on(p);
        pl->is_in_work = false;
    }
    pthread_mutex_unlock(&p->lock);
    if (next != NULL)
        worker_wake(next);
}

void place_skip_line(struct places *p, struct place *pl)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    list_remove(&pl->link);
    pthread_mutex_unlock(&p->lock);
}

struct place *place_next(struct places *p, const struct worker *w)
{
    struct place *found = NULL;
    if (p == NULL)
        return NULL;
    pthread_mutex_lock(&p->lock);
    for (struct list *l = p->due.next; l != &p->due && found == NULL; l = l->next) {
        struct place *pl = CONTAINER_OF(l, struct place, link);
        if (pl->worker == w)
            found = pl;
    }
    if (found != NULL)
        list_remove(&found->link);
    pthread_mutex_unlock(&p->lock);
    return found;
}

clock_ns place_work_ns(struct places *p, clock_ns ns)
{
    if (p == NULL || p->slowdown <= 0)
        return ns;
    pthread_mutex_lock(&p->lock);
    double capacity = p->capacity > 0 ? p->capacity : 1;
    double factor = 1 + p->slowdown * p->at_hand / capacity;
    pthread_mutex_unlock(&p->lock);
    double work = (double)ns * factor;
    return work < (double)WORK_NS_MAX ? (clock_ns)work : WORK_NS_MAX;
}
