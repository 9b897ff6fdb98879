/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakering.c - owns the simulated disk behind io/ring.h: operations in order, faults by script,
 * and the sectors that a power cut may take back.
 *
 * A sector enters the table with what was on it before the first write since the last sync, and
 * leaves it with a sync of its file that succeeds. After a sync that fails, the kernel takes the
 * pages for clean: no later sync writes them, so their sectors stay in the table until they are
 * written again.
 */
#include "fakering.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/rng.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPS_MAX 64
#define POLLS_MAX 8
#define IOV_MAX_HERE 1024

struct fake_op {
    enum ring_kind kind;
    struct ring_token token;
    int fd;
    struct iovec iov[IOV_MAX_HERE];
    uint32_t iov_count;
    uint64_t offset;
    bool is_link_head; /* the next one runs only if this one does all it was asked to */
    bool is_dsync;
};

struct sector {
    ino_t inode;
    uint64_t offset;
    bool is_limbo; /* was dirty when a sync failed */
    uint8_t before[FAKERING_SECTOR];
};

struct ring {
    clock_ns now;
    wall_us wall;
    struct fake_op *ops;
    uint32_t op_first;
    uint32_t op_count;
    struct ring_token polls[POLLS_MAX];
    uint32_t poll_count;
    struct fakering_fault faults[FAKERING_FAULTS_MAX];
    uint32_t fault_count;
    uint32_t write_count;
    uint32_t sync_count;
    struct sector *sectors;
    size_t sector_count;
    size_t sector_cap;
};

struct ring *fakering_new(void)
{
    struct ring *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->ops = calloc(OPS_MAX, sizeof(*r->ops));
    ASSERT(r->ops != NULL);
    r->now = NS_PER_S;
    r->wall = (wall_us)1800000000 * 1000000;
    return r;
}

void fakering_free(struct ring *r)
{
    if (r == NULL)
        return;
    free(r->ops);
    free(r->sectors);
    free(r);
}

void fakering_advance(struct ring *r, uint64_t ns)
{
    r->now += ns;
    r->wall += ns / 1000;
}

void fakering_fault(struct ring *r, const struct fakering_fault *fault)
{
    ASSERT(r->fault_count < FAKERING_FAULTS_MAX);
    r->faults[r->fault_count++] = *fault;
}

void fakering_fault_clear(struct ring *r)
{
    r->fault_count = 0;
}

uint32_t fakering_waiting(const struct ring *r)
{
    return r->op_count;
}

uint32_t fakering_writes(const struct ring *r)
{
    return r->write_count;
}

uint32_t fakering_syncs(const struct ring *r)
{
    return r->sync_count;
}

uint32_t fakering_polls(const struct ring *r)
{
    return r->poll_count;
}

/* --- what io/ring.h asks for -------------------------------------------------------------- */

clock_ns ring_now(const struct ring *r)
{
    return r->now;
}

wall_us ring_wall(const struct ring *r)
{
    return r->wall;
}

static struct fake_op *op_add(struct ring *r, enum ring_kind kind, int fd, struct ring_token token)
{
    ASSERT(r->op_count < OPS_MAX);
    struct fake_op *op = &r->ops[(r->op_first + r->op_count++) % OPS_MAX];
    *op = (struct fake_op){.kind = kind, .fd = fd, .token = token};
    return op;
}

void ring_writev(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                 uint64_t offset, struct ring_token token)
{
    ASSERT(iov_count > 0 && iov_count <= IOV_MAX_HERE);
    struct fake_op *op = op_add(r, RING_WRITE, fd, token);
    memcpy(op->iov, iov, iov_count * sizeof(*iov));
    op->iov_count = iov_count;
    op->offset = offset;
}

void ring_writev_sync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                      uint64_t offset, struct ring_token write_token, struct ring_token sync_token)
{
    ring_writev(r, fd, iov, iov_count, offset, write_token);
    r->ops[(r->op_first + r->op_count - 1) % OPS_MAX].is_link_head = true;
    op_add(r, RING_SYNC, fd, sync_token);
}

void ring_writev_dsync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                       uint64_t offset, struct ring_token token)
{
    ring_writev(r, fd, iov, iov_count, offset, token);
    r->ops[(r->op_first + r->op_count - 1) % OPS_MAX].is_dsync = true;
}

void ring_datasync(struct ring *r, int fd, struct ring_token token)
{
    op_add(r, RING_SYNC, fd, token);
}

void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token)
{
    (void)fd;
    (void)poll_mask;
    ASSERT(r->poll_count < POLLS_MAX);
    r->polls[r->poll_count++] = token;
}

/* --- the disk ------------------------------------------------------------------------------ */

static void sector_remember(struct ring *r, int fd, ino_t inode, uint64_t offset)
{
    for (size_t i = 0; i < r->sector_count; i++)
        if (r->sectors[i].inode == inode && r->sectors[i].offset == offset) {
            r->sectors[i].is_limbo = false; /* dirty again: the next sync writes it */
            return;
        }
    if (r->sector_count == r->sector_cap) {
        r->sector_cap = r->sector_cap == 0 ? 1024 : 2 * r->sector_cap;
        r->sectors = realloc(r->sectors, r->sector_cap * sizeof(*r->sectors));
        ASSERT(r->sectors != NULL);
    }
    struct sector *s = &r->sectors[r->sector_count++];
    *s = (struct sector){.inode = inode, .offset = offset};
    ssize_t got = pread(fd, s->before, sizeof(s->before), (off_t)offset);
    ASSERT(got >= 0);
}

static ino_t inode_of(int fd)
{
    struct stat st;
    int result = fstat(fd, &st);
    ASSERT(result == 0);
    return st.st_ino;
}

/* Writes the first @len bytes of the vector. */
static void disk_write(struct ring *r, const struct fake_op *op, uint64_t len)
{
    ino_t inode = inode_of(op->fd);
    uint64_t first = op->offset / FAKERING_SECTOR * FAKERING_SECTOR;
    for (uint64_t at = first; at < op->offset + len; at += FAKERING_SECTOR)
        sector_remember(r, op->fd, inode, at);
    uint64_t offset = op->offset;
    for (uint32_t i = 0; i < op->iov_count && len > 0; i++) {
        size_t step = (size_t)u64_min(len, op->iov[i].iov_len);
        ssize_t done = pwrite(op->fd, op->iov[i].iov_base, step, (off_t)offset);
        ASSERT(done == (ssize_t)step);
        offset += step;
        len -= step;
    }
}

/* Sectors that begin at @from or behind it, and before @to. */
static void disk_sync(struct ring *r, int fd, uint64_t from, uint64_t to, bool is_failing)
{
    ino_t inode = inode_of(fd);
    size_t kept = 0;
    for (size_t i = 0; i < r->sector_count; i++) {
        struct sector *s = &r->sectors[i];
        if (s->inode == inode && !s->is_limbo && s->offset >= from && s->offset < to) {
            if (!is_failing)
                continue;
            s->is_limbo = true;
        }
        r->sectors[kept++] = *s;
    }
    r->sector_count = kept;
}

static const struct fakering_fault *fault_for(struct ring *r, bool is_sync, uint32_t at)
{
    for (uint32_t i = 0; i < r->fault_count; i++)
        if ((r->faults[i].kind == FAKERING_SYNC_ERROR) == is_sync && r->faults[i].at == at)
            return &r->faults[i];
    return NULL;
}

/* The bytes of @op alone. */
static int dsync_run(struct ring *r, const struct fake_op *op, uint64_t total)
{
    const struct fakering_fault *fault = fault_for(r, true, r->sync_count++);
    uint64_t from = op->offset / FAKERING_SECTOR * FAKERING_SECTOR;
    disk_sync(r, op->fd, from, op->offset + total, fault != NULL);
    return fault != NULL ? fault->error : (int)total;
}

static int write_run(struct ring *r, const struct fake_op *op, uint64_t total)
{
    const struct fakering_fault *fault = fault_for(r, false, r->write_count++);
    if (fault == NULL) {
        disk_write(r, op, total);
        return op->is_dsync ? dsync_run(r, op, total) : (int)total;
    }
    uint64_t part = u64_min(fault->bytes, total);
    if (fault->kind != FAKERING_WRITE_ERROR)
        disk_write(r, op, part);
    if (fault->kind != FAKERING_WRITE_SHORT)
        return fault->error;
    return op->is_dsync && part == total ? dsync_run(r, op, total) : (int)part;
}

static int sync_run(struct ring *r, const struct fake_op *op)
{
    const struct fakering_fault *fault = fault_for(r, true, r->sync_count++);
    disk_sync(r, op->fd, 0, UINT64_MAX, fault != NULL);
    return fault != NULL ? fault->error : 0;
}

bool fakering_step(struct ring *r, struct ring_event *ret_event)
{
    if (r->op_count == 0)
        return false;
    struct fake_op *op = &r->ops[r->op_first];
    r->op_first = (r->op_first + 1) % OPS_MAX;
    r->op_count--;
    *ret_event = (struct ring_event){.token = op->token};
    r->now += 1000;
    if (op->kind == RING_SYNC) {
        /* fd -1: its write did not do all that was asked. */
        ret_event->res = op->fd < 0 ? -ECANCELED : sync_run(r, op);
        return true;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < op->iov_count; i++)
        total += op->iov[i].iov_len;
    ret_event->res = write_run(r, op, total);
    if (op->is_link_head && ret_event->res != (int)total)
        r->ops[r->op_first].fd = -1;
    return true;
}

bool fakering_poll_fire(struct ring *r, struct ring_event *ret_event)
{
    if (r->poll_count == 0)
        return false;
    *ret_event = (struct ring_event){.token = r->polls[0], .res = 1};
    memmove(r->polls, r->polls + 1, --r->poll_count * sizeof(*r->polls));
    return true;
}

/* --- the power cut --------------------------------------------------------------------------- */

/* Blocks of zeros become holes: a filled segment is mostly that, and there are many images. */
static int copy_file(int from, int to)
{
    static const uint8_t zeros[4096];
    static uint8_t buffer[1 << 20];
    off_t offset = 0;
    ssize_t got;
    while ((got = read(from, buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < got; at += (ssize_t)sizeof(zeros)) {
            size_t len = size_min(sizeof(zeros), (size_t)(got - at));
            if (memcmp(buffer + at, zeros, len) != 0 &&
                pwrite(to, buffer + at, len, offset + at) != (ssize_t)len)
                return -errno;
        }
        offset += got;
    }
    return got < 0 || ftruncate(to, offset) < 0 ? -errno : 0;
}

static int cut_file(const struct ring *r, ino_t inode, int to, enum fakering_cut cut,
                    struct rng *rng)
{
    int count = 0;
    for (size_t i = 0; i < r->sector_count; i++) {
        const struct sector *s = &r->sectors[i];
        if (s->inode != inode)
            continue;
        count++;
        if (cut == FAKERING_KEEP || (cut == FAKERING_TEAR && rng_below(rng, 2) == 0))
            continue;
        if (pwrite(to, s->before, sizeof(s->before), (off_t)s->offset) != FAKERING_SECTOR)
            return -errno;
    }
    return count;
}

static int image_file(struct ring *r, int from_dir, int to_dir, const char *name,
                      enum fakering_cut cut, struct rng *rng)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int to = openat(to_dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = from < 0 || to < 0 ? -errno : copy_file(from, to);
    if (result == 0)
        result = cut_file(r, inode_of(from), to, cut, rng);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return result;
}

int fakering_image(struct ring *r, const char *from_dir, const char *to_dir, enum fakering_cut cut,
                   uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    if (mkdir(to_dir, 0700) < 0)
        return -errno;
    int to = open(to_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = opendir(from_dir);
    ASSERT(to >= 0 && dir != NULL);
    int count = 0;
    struct dirent *entry;
    while (count >= 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int result = image_file(r, dirfd(dir), to, entry->d_name, cut, &rng);
        count = result < 0 ? result : count + result;
    }
    closedir(dir);
    close(to);
    return count;
}
