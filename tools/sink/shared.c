/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.c - owns what the workers have in common. The table of sources is an open hash table
 * behind a lock; it grows by doubling and never shrinks.
 */
#include "shared.h"
#include "base/err.h"
#include "trace/arrivals.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_ROWS_FIRST 1024 /* power of two */
#define LEDGER_HEAD_BYTES_MAX 256

struct source_row {
    uint8_t address[16];
    uint32_t conn_count;
    bool is_used;
    double tokens;
    clock_ns at; /* of @tokens */
};

struct source_table {
    pthread_mutex_t lock;
    struct source_row *rows;
    uint64_t row_count;
    uint64_t used_count;
};

const char *sink_counter_name(enum sink_counter c)
{
    static const char *const names[] = {
        "connections",        "connections refused",
        "connections lost",   "connections dropped",
        "timeouts",           "messages",
        "messages taken",     "recipients taken",
        "recipients refused", "content octets",
        "replies arrived",    "replies not arrived",
        "replies unknown",    "replies spoiled",
        "notices owed",
    };
    static_assert(ARRAY_COUNT(names) == SINK_COUNTER_COUNT, "a name each");
    return names[c];
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a ^ (b * 0x9E3779B97F4A7C15u);
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* --- sources --------------------------------------------------------------------------------- */

static void address_of(const struct sockaddr_storage *client, uint8_t *ret_address)
{
    memset(ret_address, 0, 16);
    if (client->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)client;
        ret_address[10] = ret_address[11] = 0xFF;
        memcpy(ret_address + 12, &in->sin_addr, 4);
    } else if (client->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)client;
        memcpy(ret_address, &in6->sin6_addr, 16);
    }
}

static struct source_row *source_find(const struct source_table *t, const uint8_t *address)
{
    uint64_t half[2];
    memcpy(half, address, sizeof(half));
    for (uint64_t i = mix(half[0], half[1]);; i++) {
        struct source_row *row = &t->rows[i & (t->row_count - 1)];
        if (!row->is_used || memcmp(row->address, address, 16) == 0)
            return row;
    }
}

static void source_grow(struct source_table *t)
{
    struct source_table wide = {.row_count = t->row_count * 2};
    wide.rows = calloc(wide.row_count, sizeof(*wide.rows));
    if (wide.rows == NULL)
        return;
    for (uint64_t i = 0; i < t->row_count; i++)
        if (t->rows[i].is_used)
            *source_find(&wide, t->rows[i].address) = t->rows[i];
    free(t->rows);
    t->rows = wide.rows;
    t->row_count = wide.row_count;
}

/* The row of @client, made when it is not there; NULL: no memory. The lock is held. */
static struct source_row *source_row(struct source_table *t, const struct sockaddr_storage *client)
{
    uint8_t address[16];
    address_of(client, address);
    if (t->used_count * 2 >= t->row_count)
        source_grow(t);
    if (t->used_count + 1 >= t->row_count)
        return NULL;
    struct source_row *row = source_find(t, address);
    if (!row->is_used) {
        *row = (struct source_row){.is_used = true, .tokens = -1};
        memcpy(row->address, address, 16);
        t->used_count++;
    }
    return row;
}

bool shared_source_enter(struct shared *sh, const struct sockaddr_storage *client)
{
    struct source_table *t = sh->sources;
    if (t == NULL)
        return true;
    pthread_mutex_lock(&t->lock);
    struct source_row *row = source_row(t, client);
    uint32_t limit = sh->options.source_conns_max;
    bool may = row != NULL && (limit == 0 || row->conn_count < limit);
    if (may)
        row->conn_count++;
    pthread_mutex_unlock(&t->lock);
    return may;
}

void shared_source_leave(struct shared *sh, const struct sockaddr_storage *client)
{
    struct source_table *t = sh->sources;
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    struct source_row *row = source_row(t, client);
    if (row != NULL && row->conn_count > 0)
        row->conn_count--;
    pthread_mutex_unlock(&t->lock);
}

bool shared_source_may_send(struct shared *sh, const struct sockaddr_storage *client, clock_ns now)
{
    struct source_table *t = sh->sources;
    double rate = sh->options.source_rate_max;
    if (t == NULL || rate <= 0)
        return true;
    pthread_mutex_lock(&t->lock);
    struct source_row *row = source_row(t, client);
    bool may = false;
    if (row != NULL) {
        if (row->tokens < 0)
            row->tokens = rate; /* a second's worth at once */
        else if (now > row->at)
            row->tokens += rate * (double)(now - row->at) / (double)NS_PER_S;
        if (row->tokens > rate)
            row->tokens = rate;
        row->at = u64_max(row->at, now); /* another worker's clock may be ahead */
        may = row->tokens >= 1;
        if (may)
            row->tokens -= 1;
    }
    pthread_mutex_unlock(&t->lock);
    return may;
}

/* --- ledger file ----------------------------------------------------------------------------- */

/* A file that is new gets its head; one that is there must be a ledger. */
static int ledger_begin(int fd)
{
    char memory[LEDGER_HEAD_BYTES_MAX];
    struct buf head = buf_over(memory, sizeof(memory));
    struct stat st;
    arrivals_put_head(&head);
    ASSERT(!head.is_full);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        ssize_t written = write(fd, head.ptr, head.len);
        if (written < 0)
            return -errno;
        return (size_t)written == head.len ? 0 : -ENOSPC;
    }
    ssize_t got = pread(fd, memory, sizeof(memory), 0);
    if (got < 0)
        return -errno;
    struct slice first = slice_of(memory, (size_t)got);
    first = slice_first(first, slice_find(first, '\n'));
    return arrivals_parse_head(first) ? 0 : -EINVAL;
}

static int ledger_open(struct shared *sh)
{
    const char *path = sh->options.ledger_path;
    if (path == NULL)
        return 0;
    sh->ledger_fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (sh->ledger_fd < 0) /* a pipe, a terminal */
        sh->ledger_fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    return sh->ledger_fd < 0 ? -errno : ledger_begin(sh->ledger_fd);
}

/* --- life ------------------------------------------------------------------------------------ */

bool shared_init(struct shared *sh, char *ret_text, size_t text_cap)
{
    const struct sink_options *o = &sh->options;
    int result = ledger_open(sh);
    if (result < 0) {
        snprintf(ret_text, text_cap, "%s: %s", o->ledger_path,
                 result == -EINVAL ? "is there and is not a ledger" : err_text(result));
        return false;
    }
    sh->wants_identity = sh->ledger_fd >= 0 || script_wants_identity(sh->script);
    if (script_wants_attempts(sh->script) || script_wants_memory(sh->script)) {
        sh->memory = memory_new(MEMORY_ROWS_MAX);
        if (sh->memory == NULL)
            result = -ENOMEM;
    }
    if (o->capacity > 0 || o->slowdown > 0) {
        sh->places = places_new(o->capacity, o->slowdown);
        if (sh->places == NULL)
            result = -ENOMEM;
    }
    if (o->source_conns_max > 0 || o->source_rate_max > 0) {
        sh->sources = calloc(1, sizeof(*sh->sources));
        if (sh->sources != NULL) {
            pthread_mutex_init(&sh->sources->lock, NULL);
            sh->sources->row_count = TABLE_ROWS_FIRST;
            sh->sources->rows = calloc(TABLE_ROWS_FIRST, sizeof(*sh->sources->rows));
        }
        if (sh->sources == NULL || sh->sources->rows == NULL)
            result = -ENOMEM;
    }
    if (result < 0)
        snprintf(ret_text, text_cap, "%s", err_text(result));
    return result == 0;
}

void shared_deinit(struct shared *sh)
{
    memory_free(sh->memory);
    places_free(sh->places);
    if (sh->sources != NULL)
        free(sh->sources->rows);
    free(sh->sources);
    if (sh->ledger_fd >= 0)
        close(sh->ledger_fd);
    script_free(sh->script);
    *sh = (struct shared){.ledger_fd = -1, .wake_fd = -1};
}

void shared_ask_stop(struct shared *sh, enum shared_stop how)
{
    int before = __atomic_load_n(&sh->stop, __ATOMIC_RELAXED);
    while (before < (int)how && !__atomic_compare_exchange_n(&sh->stop, &before, (int)how, false,
                                                             __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
    if (before < (int)how)
        shared_ask_wake(sh);
}

void shared_ask_wake(const struct shared *sh)
{
    uint64_t one = 1;
    if (sh->wake_fd >= 0 && write(sh->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

enum shared_stop shared_stop(const struct shared *sh)
{
    return (enum shared_stop)__atomic_load_n(&sh->stop, __ATOMIC_ACQUIRE);
}

void shared_fail(struct shared *sh, int error, const char *what)
{
    int none = 0;
    if (__atomic_compare_exchange_n(&sh->error, &none, error, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        fprintf(stderr, "postern-sink: %s: %s (%s); nothing more is taken\n", what, err_text(error),
                err_name(error));
    shared_ask_stop(sh, SHARED_STOP_NOW);
}

uint64_t shared_count_conn(struct shared *sh)
{
    return __atomic_add_fetch(&sh->conn_total, 1, __ATOMIC_RELAXED);
}

void shared_count_conn_end(struct shared *sh)
{
    uint64_t ended = __atomic_add_fetch(&sh->conn_ended_total, 1, __ATOMIC_RELAXED);
    if (sh->options.conns_count_max != 0 && ended >= sh->options.conns_count_max)
        shared_ask_stop(sh, SHARED_STOP);
}

uint64_t shared_open_conns(const struct shared *sh)
{
    uint64_t ended = __atomic_load_n(&sh->conn_ended_total, __ATOMIC_RELAXED);
    uint64_t total = __atomic_load_n(&sh->conn_total, __ATOMIC_RELAXED);
    return total - u64_min(total, ended);
}

void shared_count_message(struct shared *sh)
{
    if (sh->options.message_count_max == 0)
        return;
    if (__atomic_add_fetch(&sh->message_total, 1, __ATOMIC_RELAXED) >=
        sh->options.message_count_max)
        shared_ask_stop(sh, SHARED_STOP);
}
