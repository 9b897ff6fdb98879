/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - owns two open hash tables behind one lock. A row is about a message, or about one
 * recipient of it, by the hash of the address.
 *
 * The young table grows by doubling. When it may not grow any more it becomes the old one, whose
 * rows are forgotten, and an empty one takes its place; a row that is changed moves from the old
 * table to the young one. So what was not touched for the longest is forgotten first.
 */
#include "memory.h"
#include "base/assert.h"
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
static_assert(5 * MEMORY_ROWS_MAX / 2 * sizeof(struct row) < 840000000, "two, and one that grows");

struct table {
    struct row *rows;
    uint64_t row_count; /* power of two */
    uint64_t used_count;
};

struct memory {
    pthread_mutex_t lock;
    uint64_t row_count_max; /* of a table */
    struct table young;
    struct table old; /* no rows: nothing is old */
};

static bool table_init(struct table *t, uint64_t row_count)
{
    struct row *rows = calloc(row_count, sizeof(*rows));
    if (rows == NULL)
        return false;
    *t = (struct table){.rows = rows, .row_count = row_count};
    return true;
}

struct memory *memory_new(uint64_t row_count_max)
{
    struct memory *m = calloc(1, sizeof(*m));
    ASSERT(row_count_max >= ROWS_FIRST && (row_count_max & (row_count_max - 1)) == 0);
    if (m == NULL || !table_init(&m->young, ROWS_FIRST)) {
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->row_count_max = row_count_max;
    return m;
}

void memory_free(struct memory *m)
{
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m->young.rows);
    free(m->old.rows);
    free(m);
}

static uint64_t address_hash(struct slice address)
{
    uint64_t hash = XXH3_64bits(address.ptr, address.len);
    return hash != 0 ? hash : 1;
}

/* The row, or the free one where it would be. */
static struct row *find(const struct table *t, struct identity id, uint64_t address)
{
    const uint64_t key[] = {id.run, id.seq, address};
    for (uint64_t i = XXH3_64bits(key, sizeof(key));; i++) {
        struct row *row = &t->rows[i & (t->row_count - 1)];
        bool is_same = row->id.run == id.run && row->id.seq == id.seq && row->address == address;
        if (!row->is_used || is_same)
            return row;
    }
}

/* What is known; a row that is not used when nothing is. The lock is held. */
static const struct row *look_up(const struct memory *m, struct identity id, uint64_t address)
{
    const struct row *row = find(&m->young, id, address);
    return row->is_used || m->old.rows == NULL ? row : find(&m->old, id, address);
}

/* Twice the rows; false where that is too many, or there is no memory. */
static bool grow(struct memory *m)
{
    struct table *t = &m->young, wide;
    if (t->row_count == m->row_count_max || !table_init(&wide, t->row_count * 2))
        return false;
    for (uint64_t i = 0; i < t->row_count; i++)
        if (t->rows[i].is_used)
            *find(&wide, t->rows[i].id, t->rows[i].address) = t->rows[i];
    wide.used_count = t->used_count;
    free(t->rows);
    *t = wide;
    return true;
}

/* The young table is the old one now; without memory it stays as it is, and fuller. */
static void turn_over(struct memory *m)
{
    struct table fresh;
    if (!table_init(&fresh, ROWS_FIRST))
        return;
    free(m->old.rows);
    m->old = m->young;
    m->young = fresh;
}

/* The row, made when it is not there; NULL: the table is full. The lock is held. */
static struct row *row_of(struct memory *m, struct identity id, uint64_t address)
{
    if (m->young.used_count * 2 >= m->young.row_count && !grow(m))
        turn_over(m);
    struct row *row = find(&m->young, id, address);
    if (row->is_used)
        return row;
    if (m->young.used_count + 1 >= m->young.row_count)
        return NULL;
    const struct row *known = look_up(m, id, address);
    *row = known->is_used ? *known : (struct row){.id = id, .address = address, .is_used = true};
    m->young.used_count++;
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
    bool was_scanned = look_up(m, id, 0)->is_scanned;
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
    const struct row *row = look_up(m, id, address_hash(address));
    clock_ns age = now > row->copy_at ? now - row->copy_at : 0; /* another worker's clock */
    bool has_copy = row->has_copy && !row->is_read && age <= age_ns;
    pthread_mutex_unlock(&m->lock);
    return has_copy;
}
