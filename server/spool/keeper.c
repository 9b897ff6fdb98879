/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - owns the spool directory: lock, key, recovery, and the keeper, a thread that makes
 * zero-filled segments ahead of need and recycles dead ones.
 *
 * The keeper does everything that may block, with plain system calls, and talks to shards only by
 * the atomics of struct keeper_shard. It knows the messages of the segments that shards have left
 * (index.h) and reads the control log, so it knows which of these segments are dead; a shard knows
 * nothing about messages that are stored.
 *
 *      new ----fill----> slot --take--> being written --leave--> indexed --all gone--> dead
 *                         ^                                                             |
 *                         +-------------------------- recycled -------------------------+
 *
 * A segment that is dead may hold body bytes of a message whose COMMIT is in a segment that its
 * shard has not left yet, so it waits until the shard has left a segment when no message with
 * bytes in the dead one was open any more (open_floor).
 *
 * Space: new segments are made only while reserve_bytes stay free; each shard has one small spare
 * segment that may go into the reserve, for results and for the note about an abandoned segment.
 *
 * Invariants: one process has the lock as long as the directory is open; a segment is in exactly
 * one of: a slot, a shard, the index, the stock of reusable files, nowhere (unlinked).
 */
#include "keeper.h"
#include "base/err.h"
#include "control.h"
#include "index.h"
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_BYTES_DEFAULT ((uint64_t)64 * MIB)
#define RESERVE_BYTES_DEFAULT ((uint64_t)16 * MIB)
#define STOCK_MAX 8 /* dead segments kept as files above what the slots need, for each shard */
#define PASS_SECONDS 1

struct stock_file { /* dead or unused: may become any shard's */
    char name[SEGMENT_NAME_BYTES];
    uint64_t capacity;
};

struct spool_dir {
    struct spool_options options;
    int dir_fd;
    int lock_fd;
    struct scan_key key;
    struct spool_recovery_stats stats;
    struct keeper_shard *shards;
    struct index index;
    struct control_cursor control;
    uint32_t next_seq[SHARD_COUNT_MAX];
    uint64_t open_floor[SHARD_COUNT_MAX];
    bool is_index_partial; /* a segment could not be read: nothing may be taken for dead */
    struct stock_file *stock;
    uint32_t stock_count;
    uint32_t stock_cap;
    _Atomic uint64_t room_bytes;
    pthread_t thread;
    bool has_thread;
    _Atomic bool is_closing;
    sem_t work;
};

enum spool_durability keeper_durability(const struct spool_dir *d)
{
    return d->options.durability;
}

uint64_t keeper_segment_bytes(const struct spool_dir *d)
{
    return d->options.segment_bytes;
}

struct keeper_shard *keeper_shard_at(struct spool_dir *d, uint32_t shard_idx)
{
    ASSERT(shard_idx < d->options.shard_count);
    return &d->shards[shard_idx];
}

uint64_t keeper_room_bytes(const struct spool_dir *d)
{
    return atomic_load_explicit(&d->room_bytes, memory_order_relaxed);
}

void keeper_kick(struct spool_dir *d)
{
    sem_post(&d->work);
}

const struct scan_key *spool_dir_key(const struct spool_dir *d)
{
    return &d->key;
}

const struct spool_recovery_stats *spool_dir_stats(const struct spool_dir *d)
{
    return &d->stats;
}

static wall_us wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (wall_us)ts.tv_sec * 1000000 + (wall_us)ts.tv_nsec / 1000;
}

PRINTF_LIKE(4, 5)
static int fail(int error, char *ret_text, size_t text_cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(ret_text, text_cap, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < text_cap)
        snprintf(ret_text + len, text_cap - (size_t)len, ": %s", err_text(error));
    return error;
}

/* --- space --------------------------------------------------------------------------------- */

/* Bytes of the file system that new mail may still take. */
static uint64_t space_bytes(const struct spool_dir *d)
{
    struct statvfs fs;
    if (fstatvfs(d->dir_fd, &fs) < 0)
        return 0;
    uint64_t space = (uint64_t)fs.f_bavail * fs.f_frsize;
    return space > d->options.reserve_bytes ? space - d->options.reserve_bytes : 0;
}

/* What a new segment should be, so that a small file system still gets several; 0: nothing fits. */
static uint64_t segment_bytes_for(const struct spool_dir *d, uint64_t space)
{
    uint64_t bytes = d->options.segment_bytes;
    while (bytes > SEGMENT_BYTES_MIN && bytes > space / (4 * (uint64_t)d->options.shard_count))
        bytes /= 2;
    bytes = ALIGN_UP(u64_max(bytes, SEGMENT_BYTES_MIN), (uint64_t)RECORD_BLOCK);
    /* Directory entries and block maps need a little too. */
    return bytes + bytes / 64 <= space ? bytes : 0;
}

static void room_publish(struct spool_dir *d)
{
    uint64_t room = 0;
    uint64_t space = space_bytes(d);
    if (segment_bytes_for(d, space) > 0)
        room = space - space / 16; /* what is left over when it is cut into segments */
    for (uint32_t i = 0; i < d->stock_count; i++)
        room += d->stock[i].capacity;
    atomic_store(&d->room_bytes, room);
}

/* --- making segments ------------------------------------------------------------------------- */

static int stock_add(struct spool_dir *d, const char *name, uint64_t capacity)
{
    if (d->stock_count == d->stock_cap) {
        uint32_t cap = d->stock_cap == 0 ? 16 : d->stock_cap * 2;
        struct stock_file *stock = realloc(d->stock, cap * sizeof(*stock));
        if (stock == NULL)
            return -ENOMEM;
        d->stock = stock;
        d->stock_cap = cap;
    }
    struct stock_file *f = &d->stock[d->stock_count++];
    *f = (struct stock_file){.capacity = capacity};
    snprintf(f->name, sizeof(f->name), "%.31s", name);
    return 0;
}

/* The largest dead file for mail, the smallest for a spare; false: there is none. */
static bool stock_take(struct spool_dir *d, bool is_spare, struct stock_file *ret_file)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < d->stock_count; i++) {
        uint64_t capacity = d->stock[i].capacity;
        if (is_spare && capacity > 2 * KEEPER_SPARE_BYTES)
            continue;
        if (best == UINT32_MAX || (capacity < d->stock[best].capacity) == is_spare)
            best = i;
    }
    if (best == UINT32_MAX)
        return false;
    *ret_file = d->stock[best];
    d->stock[best] = d->stock[--d->stock_count];
    return true;
}

static int segment_make(struct spool_dir *d, uint32_t shard, bool is_spare,
                        struct segment_file **ret_file)
{
    struct segment_plan plan = {
        .shard = shard,
        .seq = d->next_seq[shard]++,
        .queue_floor = atomic_load(&d->shards[shard].queue_floor),
        .created_at = wall_now(),
    };
    struct stock_file dead;
    if (stock_take(d, is_spare, &dead)) {
        int result = segment_recycle(d->dir_fd, dead.name, &plan, ret_file);
        if (result == 0)
            atomic_fetch_add(&d->shards[shard].recycled_count, 1);
        else if (result != -ENOENT)
            unlinkat(d->dir_fd, dead.name, 0);
        if (result != -ENOENT)
            return result;
    }
    plan.capacity = is_spare ? KEEPER_SPARE_BYTES : segment_bytes_for(d, space_bytes(d));
    if (plan.capacity == 0)
        return -ENOSPC;
    return segment_create(d->dir_fd, &plan, ret_file);
}

static void shard_wake(struct keeper_shard *keep)
{
    uint64_t one = 1;
    if (write(keep->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is readable already */
}

/* Fills up to @ready_count slots and the spare of one shard. */
static void shard_supply(struct spool_dir *d, uint32_t shard, unsigned ready_count)
{
    struct keeper_shard *keep = &d->shards[shard];
    bool was_starved = atomic_load(&keep->is_starved);
    struct segment_file *f = NULL;
    if (atomic_load(&keep->spare) == NULL && segment_make(d, shard, true, &f) == 0)
        atomic_store(&keep->spare, f);
    int ready_result = 0;
    for (unsigned i = 0; i < ready_count && ready_result == 0; i++) {
        if (atomic_load(&keep->ready[i]) != NULL)
            continue;
        ready_result = segment_make(d, shard, false, &f);
        if (ready_result == 0) {
            atomic_store(&keep->make_error, 0);
            atomic_fetch_add(&keep->ready_bytes, f->capacity);
            atomic_store(&keep->ready[i], f);
        }
    }
    if (ready_result < 0)
        atomic_store(&keep->make_error, ready_result);
    else if (atomic_load(&keep->ready_bytes) > 0)
        atomic_store(&keep->make_error, 0);
    if (was_starved || atomic_load(&keep->is_starved))
        shard_wake(keep);
}

/* --- what shards have left ------------------------------------------------------------------- */

/* Indexes the segments that @shard has left. True: there were some. */
static bool retired_collect(struct spool_dir *d, uint32_t shard)
{
    struct segment_file *f = atomic_exchange(&d->shards[shard].retired, NULL);
    struct segment_file *oldest_first = NULL;
    bool is_some = f != NULL;
    while (f != NULL) {
        struct segment_file *next = f->next;
        f->next = oldest_first;
        oldest_first = f;
        f = next;
    }
    while (oldest_first != NULL) {
        struct segment_file *next = oldest_first->next;
        char name[SEGMENT_NAME_BYTES];
        segment_name(oldest_first->shard, oldest_first->seq, name);
        int result = index_add(&d->index, name, oldest_first->end);
        d->is_index_partial |= result < 0;
        if (result == 0)
            d->open_floor[shard] = u64_max(d->open_floor[shard], oldest_first->open_floor);
        segment_file_free(oldest_first);
        oldest_first = next;
    }
    return is_some;
}

/*
 * Results that @shard has stored in a segment that it has not left. They come again with it, which
 * does no harm; until then they hold no segment, for the shard's own is safe anyway.
 */
static bool news_collect(struct spool_dir *d, uint32_t shard)
{
    struct keeper_shard *keep = &d->shards[shard];
    uint32_t tail = atomic_load_explicit(&keep->news_tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&keep->news_head, memory_order_acquire);
    uint32_t first = tail;
    for (; tail != head; tail++) {
        const struct keeper_news *news = &keep->news[tail % KEEPER_NEWS_MAX];
        if (index_add_result(&d->index, news->queue_id, &news->result, INDEX_CONTROL) < 0)
            break;
    }
    atomic_store_explicit(&keep->news_tail, tail, memory_order_release);
    if (tail != first)
        index_apply(&d->index);
    return tail != first;
}

static int control_one(void *arg, uint64_t queue_id, const struct record_result *result)
{
    struct spool_dir *d = arg;
    return index_add_result(&d->index, queue_id, result, INDEX_CONTROL);
}

static bool control_collect(struct spool_dir *d)
{
    uint32_t before = d->index.result_count;
    if (control_read(d->dir_fd, &d->control, control_one, d) < 0)
        return false;
    index_apply(&d->index);
    return d->index.result_count != before;
}

/* Takes away what is in the file before anything that says it is dead may go. A segment that was
 * abandoned at its very start has no record that counts, and yet it is full of them. */
static int dead_blank(struct spool_dir *d, const struct index_segment *seg)
{
    if (!seg->is_used && seg->cut == UINT64_MAX)
        return 0;
    struct segment_plan plan = {
        .shard = seg->header.shard,
        .seq = seg->header.seq,
        .capacity = seg->header.capacity,
        .queue_floor = d->index.queue_floor[seg->header.shard],
        .created_at = wall_now(),
    };
    return segment_blank(d->dir_fd, seg->name, &plan);
}

/* Dead segments go to the stock. */
static void dead_collect(struct spool_dir *d)
{
    if (d->is_index_partial)
        return;
    index_mark(&d->index);
    for (uint32_t i = 0; i < d->index.segment_count; i++) {
        struct index_segment *seg = &d->index.segments[i];
        if (!seg->is_taken || seg->is_live || seg->is_bad || seg->is_damaged ||
            (!seg->is_foreign && seg->data_id_max >= d->open_floor[seg->header.shard]))
            continue;
        if (dead_blank(d, seg) < 0)
            continue; /* tried again with the next change */
        if (stock_add(d, seg->name, seg->header.capacity) < 0)
            break;
        seg->is_taken = false;
    }
    /* Without memory for a smaller table the old one is still right. */
    if (index_compact(&d->index) < 0)
        return;
}

/* A stock that is larger than anybody needs goes back to the file system. */
static void stock_trim(struct spool_dir *d)
{
    while (d->stock_count > STOCK_MAX * d->options.shard_count)
        unlinkat(d->dir_fd, d->stock[--d->stock_count].name, 0);
}

static void keeper_pass(struct spool_dir *d)
{
    bool is_changed = false;
    for (uint32_t i = 0; i < d->options.shard_count; i++)
        is_changed |= retired_collect(d, i);
    for (uint32_t i = 0; i < d->options.shard_count; i++)
        is_changed |= news_collect(d, i);
    is_changed |= control_collect(d);
    if (is_changed)
        dead_collect(d);
    for (uint32_t i = 0; i < d->options.shard_count; i++)
        shard_supply(d, i, KEEPER_READY_COUNT);
    stock_trim(d);
    room_publish(d);
}

void spool_dir_keep(struct spool_dir *d)
{
    ASSERT(!d->has_thread);
    if (d->options.durability != SPOOL_NONE)
        keeper_pass(d);
}

static void *keeper_main(void *arg)
{
    struct spool_dir *d = arg;
    while (!atomic_load(&d->is_closing)) {
        keeper_pass(d);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PASS_SECONDS;
        while (sem_timedwait(&d->work, &until) < 0 && errno == EINTR)
            ;
        while (sem_trywait(&d->work) == 0)
            ; /* one pass answers every kick before it */
    }
    return NULL;
}

/* --- opening --------------------------------------------------------------------------------- */

static int dir_open(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    const char *path = d->options.dir;
    bool is_new = mkdir(path, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return fail(-errno, ret_text, text_cap, "cannot create %s", path);
    d->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dir_fd < 0)
        return fail(-errno, ret_text, text_cap, "cannot open %s", path);
    /* Always: the process that made it may have been killed before it came so far. */
    int parent = openat(d->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = parent >= 0 && fsync(parent) < 0 && is_new ? -errno : 0;
    if (parent >= 0)
        close(parent);
    return result == 0 ? 0 : fail(result, ret_text, text_cap, "cannot sync the folder of %s", path);
}

static int lock_take(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    const char *path = d->options.dir;
    d->lock_fd = openat(d->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return fail(-errno, ret_text, text_cap, "cannot open %s/lock", path);
    char pid[32] = {0};
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fail(-errno, ret_text, text_cap, "cannot lock %s/lock", path);
        ssize_t got = pread(d->lock_fd, pid, sizeof(pid) - 1, 0);
        pid[got > 0 ? strcspn(pid, "\n") : 0] = 0;
        snprintf(ret_text, text_cap, "%s is in use by process %s", path, pid[0] ? pid : "?");
        return -EBUSY;
    }
    int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, pid, (size_t)len, 0) != len)
        return fail(errno != 0 ? -errno : -EIO, ret_text, text_cap, "cannot write %s/lock", path);
    return 0;
}

static int key_make(struct spool_dir *d)
{
    if (getrandom(d->key.bytes, sizeof(d->key.bytes), 0) != (ssize_t)sizeof(d->key.bytes))
        return -EIO;
    int fd = openat(d->dir_fd, "key.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = 0;
    ssize_t done = write(fd, d->key.bytes, sizeof(d->key.bytes));
    if (done != (ssize_t)sizeof(d->key.bytes))
        result = done < 0 ? -errno : -ENOSPC;
    if (result == 0 && (fsync(fd) < 0 || renameat(d->dir_fd, "key.new", d->dir_fd, "key") < 0 ||
                        fsync(d->dir_fd) < 0))
        result = -errno;
    close(fd);
    return result;
}

static int key_load(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    const char *path = d->options.dir;
    int fd = openat(d->dir_fd, "key", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int result = errno == ENOENT ? key_make(d) : -errno;
        return result == 0 ? 0 : fail(result, ret_text, text_cap, "cannot make %s/key", path);
    }
    ssize_t got = pread(fd, d->key.bytes, sizeof(d->key.bytes), 0);
    close(fd);
    if (got != (ssize_t)sizeof(d->key.bytes))
        return fail(got < 0 ? -errno : -EBADMSG, ret_text, text_cap, "%s/key is damaged", path);
    return 0;
}

/* --- recovery -------------------------------------------------------------------------------- */

static void stats_count(struct spool_dir *d)
{
    const struct index *ix = &d->index;
    d->stats.records = ix->record_count;
    d->stats.torn_tails = ix->torn_count;
    for (uint32_t i = 0; i < ix->damage_count; i++)
        d->stats.damaged_records += ix->damages[i].kind != STORE_DAMAGE_TAIL;
    for (uint32_t i = 0; i < ix->message_count; i++) {
        const struct index_message *m = &ix->messages[i];
        d->stats.messages_deleted += m->is_gone;
        d->stats.messages_live += !m->is_gone;
        d->stats.messages_held += !m->is_gone && m->is_held;
        d->stats.bytes_live += m->is_gone ? 0 : m->content_bytes;
    }
}

/* What was found at the end of a crashed run is only in memory perhaps: make it last before
 * anybody acts on it. */
static int tail_sync(struct spool_dir *d, const struct index_segment *seg)
{
    int fd = openat(d->dir_fd, seg->name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return result;
}

/* The START record that the shard will write first says where its last segment ends. */
static void start_prepare(struct spool_dir *d, const struct index_segment *seg)
{
    uint32_t shard = seg->header.shard;
    if (shard >= d->options.shard_count)
        return;
    struct record_start *start = &d->shards[shard].start;
    if (seg->start.order + 1 < start->order && start->prev_end != 0)
        return;
    /* When the last group was found whole it is on disk by now, and is settled from now on. */
    uint64_t settled = seg->is_torn ? u64_min(seg->settled, seg->end) : seg->end;
    *start = (struct record_start){
        .order = seg->start.order + 1,
        .prev_generation = seg->header.generation,
        .prev_seq = seg->header.seq,
        .prev_end = (uint32_t)seg->end,
        .prev_settled = (uint32_t)settled,
    };
}

static int recover_segments(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    struct index *ix = &d->index;
    for (uint32_t i = 0; i < ix->segment_count; i++) {
        struct index_segment *seg = &ix->segments[i];
        uint32_t shard = 0;
        uint32_t seq = 0;
        d->stats.segments++;
        if (segment_name_parse(seg->name, &shard, &seq) && seq >= d->next_seq[shard])
            d->next_seq[shard] = seq + 1;
        if (seg->is_bad || seg->is_foreign || !seg->is_used)
            continue;
        if (seg->cut == UINT64_MAX) {
            int result = tail_sync(d, seg);
            if (result < 0)
                return fail(result, ret_text, text_cap, "cannot sync %s/%s", d->options.dir,
                            seg->name);
        }
        start_prepare(d, seg);
    }
    for (uint32_t i = 0; i < SHARD_COUNT_MAX; i++)
        d->open_floor[i] = ix->queue_floor[i] + 1; /* nothing of an earlier run is open */
    return 0;
}

static bool is_known(void *arg, uint64_t queue_id)
{
    const struct spool_dir *d = arg;
    return index_find(&d->index, queue_id) != NULL;
}

static int recover(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    const char *path = d->options.dir;
    bool has_bad = false;
    index_init(&d->index, d->dir_fd);
    int result = segment_remove_leftovers(d->dir_fd);
    if (result == 0)
        result = index_add_all(&d->index);
    if (result < 0)
        return fail(result, ret_text, text_cap, "cannot read the segments of %s", path);
    for (uint32_t i = 0; i < d->index.segment_count; i++)
        has_bad |= d->index.segments[i].is_bad;
    if (!has_bad) /* else who knows which messages are unknown */
        result = control_compact(d->dir_fd, is_known, d);
    if (result == -ENOSPC || result == -EDQUOT)
        result = 0; /* a smaller log can wait */
    if (result < 0)
        return fail(result, ret_text, text_cap, "cannot compact %s/%s", path, CONTROL_NAME);
    result = control_read(d->dir_fd, &d->control, control_one, d);
    if (result < 0)
        return fail(result, ret_text, text_cap, "cannot read %s/%s", path, CONTROL_NAME);
    index_apply(&d->index);
    stats_count(d);
    result = recover_segments(d, ret_text, text_cap);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < d->options.shard_count; i++)
        atomic_store(&d->shards[i].queue_floor, d->index.queue_floor[i]);
    return 0;
}

static int shards_new(struct spool_dir *d)
{
    d->shards = calloc(d->options.shard_count, sizeof(*d->shards));
    if (d->shards == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < d->options.shard_count; i++) {
        d->shards[i].wake_fd = -1;
        d->shards[i].start.order = 1;
    }
    for (uint32_t i = 0; i < d->options.shard_count; i++) {
        d->shards[i].wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (d->shards[i].wake_fd < 0)
            return -errno;
    }
    return 0;
}

/* The thread takes no signals: they are the main thread's. */
static int thread_start(struct spool_dir *d)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&d->thread, NULL, keeper_main, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return -error;
    d->has_thread = true;
    pthread_setname_np(d->thread, "keeper");
    return 0;
}

static void options_default(struct spool_options *o)
{
    if (o->segment_bytes == 0)
        o->segment_bytes = SEGMENT_BYTES_DEFAULT;
    if (o->reserve_bytes == 0)
        o->reserve_bytes = RESERVE_BYTES_DEFAULT;
    o->segment_bytes = u64_min(u64_max(o->segment_bytes, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);
    o->segment_bytes = ALIGN_UP(o->segment_bytes, (uint64_t)RECORD_BLOCK);
}

static int dir_start(struct spool_dir *d, char *ret_text, size_t text_cap)
{
    int result = dir_open(d, ret_text, text_cap);
    if (result == 0)
        result = lock_take(d, ret_text, text_cap);
    if (result == 0)
        result = key_load(d, ret_text, text_cap);
    if (result < 0)
        return result;
    result = shards_new(d);
    if (result < 0)
        return fail(result, ret_text, text_cap, "cannot set up %u shards", d->options.shard_count);
    result = recover(d, ret_text, text_cap);
    if (result < 0 || d->options.durability == SPOOL_NONE)
        return result;
    dead_collect(d);
    /* One segment each before the first message; the keeper makes the others. */
    for (uint32_t i = 0; i < d->options.shard_count; i++) {
        shard_supply(d, i, 1);
        result = atomic_load(&d->shards[i].make_error);
        if (result < 0 && result != -ENOSPC && result != -EDQUOT)
            return fail(result, ret_text, text_cap, "cannot make a segment in %s", d->options.dir);
    }
    room_publish(d);
    if (d->options.is_keeper_manual)
        return 0;
    result = thread_start(d);
    return result == 0 ? 0 : fail(result, ret_text, text_cap, "cannot start the keeper");
}

int spool_dir_open(const struct spool_options *options, struct spool_dir **ret_dir, char *ret_text,
                   size_t text_cap)
{
    ASSERT(options->shard_count > 0 && options->shard_count <= SHARD_COUNT_MAX);
    struct spool_dir *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return fail(-ENOMEM, ret_text, text_cap, "cannot open %s", options->dir);
    d->options = *options;
    d->dir_fd = -1;
    d->lock_fd = -1;
    options_default(&d->options);
    sem_init(&d->work, 0, 0);
    int result = dir_start(d, ret_text, text_cap);
    if (result < 0) {
        spool_dir_close(d);
        return result;
    }
    *ret_dir = d;
    return 0;
}

static void shard_free(struct keeper_shard *keep)
{
    for (unsigned i = 0; i < KEEPER_READY_COUNT; i++)
        segment_file_free(atomic_exchange(&keep->ready[i], NULL));
    segment_file_free(atomic_exchange(&keep->spare, NULL));
    struct segment_file *f = atomic_exchange(&keep->retired, NULL);
    while (f != NULL) {
        struct segment_file *next = f->next;
        segment_file_free(f);
        f = next;
    }
    if (keep->wake_fd >= 0)
        close(keep->wake_fd);
}

void spool_dir_close(struct spool_dir *d)
{
    if (d == NULL)
        return;
    atomic_store(&d->is_closing, true);
    if (d->has_thread) {
        keeper_kick(d);
        pthread_join(d->thread, NULL);
    }
    for (uint32_t i = 0; d->shards != NULL && i < d->options.shard_count; i++)
        shard_free(&d->shards[i]);
    free(d->shards);
    free(d->stock);
    index_deinit(&d->index);
    sem_destroy(&d->work);
    if (d->dir_fd >= 0)
        close(d->dir_fd);
    if (d->lock_fd >= 0)
        close(d->lock_fd); /* releases the lock */
    free(d);
}
