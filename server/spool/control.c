/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - owns control.log: how an operator's delete and requeue are kept.
 *
 * Entries of one size, each with its checksum, appended and synced under a lock of the file's own,
 * so that it works beside a running server (which only reads it) and without one. A torn entry at
 * the end is overwritten by the next append. The server drops entries about messages that are gone
 * when it starts: it writes a new file and renames it; a writer that waited for the lock of the old
 * file finds out and opens the new one.
 *
 * Invariant: entries apply in the order of the file; applying one twice changes nothing.
 */
#include "control.h"
#include "base/err.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define CONTROL_MAGIC 0x314C525443534F50u /* "POSCTRL1" */
#define CONTROL_NAME_NEW "control.new"
#define BATCH 256

static void entry_seal(struct control_entry *e)
{
    e->magic = CONTROL_MAGIC;
    e->check = XXH3_64bits(e, offsetof(struct control_entry, check));
}

static bool entry_is_valid(const struct control_entry *e)
{
    return e->magic == CONTROL_MAGIC &&
           e->check == XXH3_64bits(e, offsetof(struct control_entry, check)) &&
           e->result.op >= SPOOL_RESULT_DELETE && e->result.op <= SPOOL_RESULT_HOLD;
}

/* The log belongs to whom the directory belongs to: root may make it, the server must read it. */
static int owner_follow(int dir_fd, int fd, const struct stat *log)
{
    struct stat dir;
    if (fstat(dir_fd, &dir) < 0)
        return -errno;
    if (dir.st_uid == log->st_uid || geteuid() != 0)
        return 0;
    return fchown(fd, dir.st_uid, dir.st_gid) < 0 ? -errno : 0;
}

/* Opens the log and locks it; the file that has the name once the lock is held. */
static int log_open_locked(int dir_fd, int *ret_fd)
{
    for (;;) {
        int fd = openat(dir_fd, CONTROL_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        struct stat held;
        struct stat named;
        if (flock(fd, LOCK_EX) < 0 || fstat(fd, &held) < 0) {
            int result = -errno;
            close(fd);
            return result;
        }
        if (fstatat(dir_fd, CONTROL_NAME, &named, 0) == 0 && named.st_ino == held.st_ino) {
            int result = owner_follow(dir_fd, fd, &held);
            if (result < 0)
                close(fd);
            else
                *ret_fd = fd;
            return result;
        }
        close(fd);
    }
}

static int write_full(int fd, const void *bytes, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t done = pwrite(fd, bytes, len, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes = (const uint8_t *)bytes + done;
        len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

int control_append(int dir_fd, const uint64_t *queue_ids, uint32_t count,
                   const struct record_result *result)
{
    int fd;
    int failure = log_open_locked(dir_fd, &fd);
    if (failure < 0)
        return failure;
    struct stat st;
    struct control_entry *entries = calloc(count, sizeof(*entries));
    if (entries == NULL || fstat(fd, &st) < 0)
        failure = entries == NULL ? -ENOMEM : -errno;
    for (uint32_t i = 0; i < count && failure == 0; i++) {
        entries[i] = (struct control_entry){.queue_id = queue_ids[i], .result = *result};
        entry_seal(&entries[i]);
    }
    if (failure == 0) {
        uint64_t end = (uint64_t)st.st_size / sizeof(*entries) * sizeof(*entries);
        failure = write_full(fd, entries, count * sizeof(*entries), end);
    }
    if (failure == 0 && (fsync(fd) < 0 || fsync(dir_fd) < 0))
        failure = -errno;
    free(entries);
    close(fd);
    return failure;
}

int control_read(int dir_fd, struct control_cursor *cursor, control_sink sink, void *sink_arg)
{
    int fd = openat(dir_fd, CONTROL_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct stat st;
    int result = fstat(fd, &st) == 0 ? 0 : -errno;
    if (result == 0 && cursor->inode != st.st_ino)
        *cursor = (struct control_cursor){.inode = st.st_ino};
    while (result == 0) {
        struct control_entry entries[BATCH];
        ssize_t got = pread(fd, entries, sizeof(entries), (off_t)cursor->offset);
        if (got < 0 && errno != EINTR)
            result = -errno;
        if (got < (ssize_t)sizeof(*entries))
            break;
        size_t count = (size_t)got / sizeof(*entries);
        size_t used = 0;
        while (used < count && result == 0) {
            const struct control_entry *e = &entries[used];
            bool is_last = cursor->offset + sizeof(*e) >= (uint64_t)st.st_size;
            if (!entry_is_valid(e) && is_last)
                break; /* being written, or torn: to be looked at again */
            if (entry_is_valid(e))
                result = sink(sink_arg, e->queue_id, &e->result);
            cursor->offset += sizeof(*e);
            used++;
        }
        if (used < count)
            break;
    }
    close(fd);
    return result;
}

struct compaction {
    control_filter filter;
    void *filter_arg;
    int fd;
    uint64_t offset;
    uint64_t dropped;
};

static int compact_one(void *arg, uint64_t queue_id, const struct record_result *result)
{
    struct compaction *c = arg;
    if (!c->filter(c->filter_arg, queue_id)) {
        c->dropped++;
        return 0;
    }
    struct control_entry e = {.queue_id = queue_id, .result = *result};
    entry_seal(&e);
    int failure = write_full(c->fd, &e, sizeof(e), c->offset);
    c->offset += sizeof(e);
    return failure;
}

int control_compact(int dir_fd, control_filter filter, void *filter_arg)
{
    int lock_fd;
    int result = log_open_locked(dir_fd, &lock_fd);
    if (result < 0)
        return result;
    struct compaction c = {.filter = filter, .filter_arg = filter_arg};
    c.fd = openat(dir_fd, CONTROL_NAME_NEW, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (c.fd < 0) {
        result = -errno;
        close(lock_fd);
        return result;
    }
    struct control_cursor cursor = {0};
    result = control_read(dir_fd, &cursor, compact_one, &c);
    if (result == 0 && c.dropped > 0) {
        if (fsync(c.fd) < 0 || renameat(dir_fd, CONTROL_NAME_NEW, dir_fd, CONTROL_NAME) < 0 ||
            fsync(dir_fd) < 0)
            result = -errno;
    } else {
        unlinkat(dir_fd, CONTROL_NAME_NEW, 0);
    }
    close(c.fd);
    close(lock_fd);
    return result;
}
