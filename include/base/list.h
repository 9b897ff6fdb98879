/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - intrusive circular doubly linked list; an element not on a list points to itself. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/assert.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push(struct list *head, struct list *entry)
{
    ASSERT_SLOW(list_is_empty(entry));
    entry->prev = head->prev;
    entry->next = head;
    head->prev->next = entry;
    head->prev = entry;
}

static inline void list_remove(struct list *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    list_init(entry);
}

/* list_pop() - take the oldest entry, or NULL when there is none. */
static inline struct list *list_pop(struct list *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list *entry = head->next;
    list_remove(entry);
    return entry;
}

#endif
