/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - owns an open hash table behind one lock, which grows by doubling and never shrinks. A
 * row is about a message, or about one recipient of it, by the hash of the address.
 */
#include "memory.h"
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#define ROWS_FIRST 1024 /* power of two */

struct row {
    struct identity id;
    uint64_t address; /* hash, not 0; 0: the row is about the message */
    clock_ns copy_at;
    uint32_t count; /* how often it came */
    bool is_used;
    bool is_scanned;
    bool has_copy; /* at copy_at */
    bool is_read;
};

struct memory {
    pthread_mutex_t lock;
    struct row *rows;
    uint64_t row_count;
    uint64_t used_count;
};

struct memory *memory_new(void)
{
    struct memory *m = calloc(1, sizeof(*m));
    struct row *rows = calloc(ROWS_FIRST, sizeof(*rows));
    if (m == NULL || rows == NULL) {
        free(m);
        free(rows);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->rows = rows;
    m->row_count = ROWS_FIRST;
    return m;
}

void memory_free(struct memory *m)
{
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m->rows);
    free(m);
}

static uint64_t address_hash(struct slice address)
{
    uint64_t hash = XXH3_64bits(address.ptr, address.len);
    return hash != 0 ? hash : 1;
}

static struct row *find(const struct memory *m, struct identity id, uint64_t address)
{
    const uint64_t key[] = {id.run, id.seq, address};
    for (uint64_t i = XXH3_64bits(key, sizeof(key));; i++) {
        struct row *row = &m->rows[i & (m->row_count - 1)];
        bool is_same = row->id.run == id.run && row->id.seq == id.seq && row->address == address;
        if (!row->is_used || is_same)
            return row;
    }
}

/* Twice the rows; without memory the table stays as it is, and fuller. */
static void grow(struct memory *m)
{
    struct memory wide = {.row_count = m->row_count * 2};
    wide.rows = calloc(wide.row_count, sizeof(*wide.rows));
    if (wide.rows == NULL)
        return;
    for (uint64_t i = 0; i < m->row_count; i++)
        if (m->rows[i].is_used)
            *find(&wide, m->rows[i].id, m->rows[i].address) = m->rows[i];
    free(m->rows);
    m->rows = wide.rows;
    m->row_count = wide.row_count;
}

/* The row, made when it is not there; NULL: the table is full. The lock is held. */
static struct row *row_of(struct memory *m, struct identity id, uint64_t address)
{
    if (m->used_count * 2 >= m->row_count)
        grow(m);
    struct row *row = find(m, id, address);
    if (row->is_used)
        return row;
    if (m->used_count + 1 >= m->row_count)
        return NULL;
    *row = (struct row){.id = id, .address = address, .is_used = true};
    m->used_count++;
    return row;
}

uint32_t memory_count_attempt(struct memory *m, struct identity id)
{
    if (m == NULL)
        return 1;
    pthread_mutex_lock(&m->lock);
    struct row *row = row_of(m, id, 0);
    uint32_t count = row != NULL ? ++row->count : 1;
    pthread_mutex_unlock(&m->lock);
    return count;
}

void memory_note_scan(struct memory *m, struct identity id)
{
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = row_of(m, id, 0);
    if (row != NULL)
        row->is_scanned = true;
    pthread_mutex_unlock(&m->lock);
}

bool memory_was_scanned(struct memory *m, struct identity id)
{
    if (m == NULL)
        return false;
    pthread_mutex_lock(&m->lock);
    bool was_scanned = find(m, id, 0)->is_scanned;
    pthread_mutex_unlock(&m->lock);
    return was_scanned;
}

void memory_note_copy(struct memory *m, struct identity id, struct slice address, clock_ns now)
{
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = row_of(m, id, address_hash(address));
    if (row != NULL) {
        row->has_copy = true;
        row->copy_at = now;
        row->is_read = false;
    }
    pthread_mutex_unlock(&m->lock);
}

void memory_note_read(struct memory *m, struct identity id, struct slice address)
{
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    struct row *row = row_of(m, id, address_hash(address));
    if (row != NULL)
        row->is_read = true;
    pthread_mutex_unlock(&m->lock);
}

bool memory_has_copy(struct memory *m, struct identity id, struct slice address, clock_ns now,
                     clock_ns age_ns)
{
    if (m == NULL)
        return false;
    pthread_mutex_lock(&m->lock);
    const struct row *row = find(m, id, address_hash(address));
    clock_ns age = now > row->copy_at ? now - row->copy_at : 0; /* another worker's clock */
    bool has_copy = row->has_copy && !row->is_read && age <= age_ns;
    pthread_mutex_unlock(&m->lock);
    return has_copy;
}
