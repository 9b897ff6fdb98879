/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c - owns the segment files: how they come to be, are recycled, and are read back.
 *
 * A segment gets its final name only when it is complete: filled with zeros to its full size, its
 * header written, everything synced. So a file with a segment's name has a valid header or is
 * damaged, and never grows: a data sync of it has no metadata to write.
 *
 *     new-SS-QQQQQQQQ.tmp --fill, header, sync, rename, sync directory--> SS-QQQQQQQQ.seg
 *     SS-QQQQQQQQ.seg (dead) --blanked: new header, sync--> SS-QQQQQQQQ.seg, holding nothing
 *     SS-QQQQQQQQ.seg (blank) --new header, sync, rename, sync directory--> TT-RRRRRRRR.seg
 *
 * A dead segment is blanked at once, before anything that depends on it (results about its
 * messages, the note that it was abandoned) may be recycled in its turn: else a crash could find
 * the message and not its end. A crash before the rename leaves a header that does not fit its
 * name: such a file holds nothing and may be recycled again.
 *
 * Invariant: the generation is random and new at every use, and every record header is checked
 * with it, so bytes from an earlier use (or from a message that contains a copy of a record) are
 * never taken for records.
 */
#include "segment.h"
#include "base/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILL_BYTES MIB
#define WINDOW_BYTES_INIT MIB

static_assert(RECORD_BLOCK % RECORD_ALIGN == 0 && FILL_BYTES % RECORD_BLOCK == 0, "alignment");

void segment_name(uint32_t shard, uint32_t seq, char ret_name[SEGMENT_NAME_BYTES])
{
    int len = snprintf(ret_name, SEGMENT_NAME_BYTES, "%02x-%08x.seg", shard, seq);
    ASSERT(len > 0 && len < SEGMENT_NAME_BYTES);
}

static bool hex_read(const char *text, size_t digits, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_value = value;
    return true;
}

bool segment_name_parse(const char *name, uint32_t *ret_shard, uint32_t *ret_seq)
{
    uint32_t shard = 0;
    uint32_t seq = 0;
    if (strlen(name) != strlen("00-00000000.seg") || !hex_read(name, 2, &shard) || name[2] != '-' ||
        !hex_read(name + 3, 8, &seq) || strcmp(name + 11, ".seg") != 0)
        return false;
    static_assert(SHARD_COUNT_MAX == 256, "two digits");
    *ret_shard = shard;
    *ret_seq = seq;
    return true;
}

static int write_all(int fd, const void *bytes, size_t len, uint64_t offset)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t done = pwrite(fd, at, len, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        at += done;
        len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

static int fill_zeros(int fd, uint64_t capacity)
{
    static const uint8_t zeros[FILL_BYTES];
    for (uint64_t at = 0; at < capacity; at += FILL_BYTES) {
        int result = write_all(fd, zeros, (size_t)u64_min(FILL_BYTES, capacity - at), at);
        if (result < 0)
            return result;
    }
    return 0;
}

static uint64_t generation_new(void)
{
    uint64_t generation = 0;
    while (generation == 0)
        if (getrandom(&generation, sizeof(generation), 0) != (ssize_t)sizeof(generation))
            generation = 0;
    return generation;
}

/* Writes the header block and syncs the file. */
static int header_write(int fd, const struct segment_plan *plan, uint64_t generation)
{
    _Alignas(8) uint8_t block[RECORD_BLOCK] = {0};
    struct segment_header h = {
        .shard = plan->shard,
        .seq = plan->seq,
        .capacity = plan->capacity,
        .generation = generation,
        .queue_floor = plan->queue_floor,
        .created_at = plan->created_at,
    };
    segment_header_seal(&h);
    memcpy(block, &h, sizeof(h));
    int result = write_all(fd, block, sizeof(block), 0);
    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    return result;
}

static struct segment_file *file_new(int fd, const struct segment_plan *plan, uint64_t generation)
{
    struct segment_file *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    *f = (struct segment_file){
        .fd = fd,
        .shard = plan->shard,
        .seq = plan->seq,
        .capacity = plan->capacity,
        .generation = generation,
    };
    return f;
}

void segment_file_free(struct segment_file *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

/* Renames within the directory and makes that last. */
static int rename_synced(int dir_fd, const char *from, const char *to)
{
    if (renameat(dir_fd, from, dir_fd, to) < 0 || fsync(dir_fd) < 0)
        return -errno;
    return 0;
}

int segment_create(int dir_fd, const struct segment_plan *plan, struct segment_file **ret_file)
{
    ASSERT(plan->capacity % RECORD_BLOCK == 0 && plan->capacity >= 2 * RECORD_BLOCK);
    char name[SEGMENT_NAME_BYTES];
    char name_new[SEGMENT_NAME_BYTES + 8];
    segment_name(plan->shard, plan->seq, name);
    snprintf(name_new, sizeof(name_new), "new-%.15s.tmp", name);
    int fd = openat(dir_fd, name_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    uint64_t generation = generation_new();
    struct segment_file *f = file_new(fd, plan, generation);
    int result = f != NULL ? 0 : -ENOMEM;
    /* All blocks at once where the file system can: fewer extents, and early news of ENOSPC. */
    if (result == 0 && fallocate(fd, 0, 0, (off_t)plan->capacity) < 0 && errno == ENOSPC)
        result = -ENOSPC;
    if (result == 0)
        result = fill_zeros(fd, plan->capacity);
    if (result == 0)
        result = header_write(fd, plan, generation);
    if (result == 0)
        result = rename_synced(dir_fd, name_new, name);
    if (result < 0) {
        unlinkat(dir_fd, name_new, 0);
        free(f);
        close(fd);
        return result;
    }
    *ret_file = f;
    return 0;
}

int segment_blank(int dir_fd, const char *name, const struct segment_plan *plan)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = header_write(fd, plan, generation_new());
    close(fd);
    return result;
}

int segment_recycle(int dir_fd, const char *old_name, struct segment_plan *plan,
                    struct segment_file **ret_file)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(plan->shard, plan->seq, name);
    int fd = openat(dir_fd, old_name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    int result = fstat(fd, &st) == 0 ? 0 : -errno;
    uint64_t generation = generation_new();
    struct segment_file *f = NULL;
    if (result == 0) {
        plan->capacity = (uint64_t)st.st_size;
        f = file_new(fd, plan, generation);
        result = f != NULL ? 0 : -ENOMEM;
    }
    if (result == 0)
        result = header_write(fd, plan, generation);
    if (result == 0)
        result = rename_synced(dir_fd, old_name, name);
    if (result < 0) {
        free(f);
        close(fd);
        return result;
    }
    *ret_file = f;
    return 0;
}

int segment_remove_leftovers(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int result = -errno;
        if (fd >= 0)
            close(fd);
        return result;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len > 8 && strncmp(entry->d_name, "new-", 4) == 0 &&
            strcmp(entry->d_name + len - 4, ".tmp") == 0)
            unlinkat(dir_fd, entry->d_name, 0);
    }
    closedir(dir);
    return 0;
}

/* --- reading ------------------------------------------------------------------------------ */

int segment_reader_open(struct segment_reader *r, int dir_fd, const char *name)
{
    *r = (struct segment_reader){.fd = -1};
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    uint8_t bytes[sizeof(struct segment_header)];
    ssize_t got = pread(fd, bytes, sizeof(bytes), 0);
    struct stat st;
    if (got < 0 || fstat(fd, &st) < 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    if (got != (ssize_t)sizeof(bytes) || !segment_header_read(bytes, &r->header)) {
        close(fd);
        return -EBADMSG;
    }
    r->fd = fd;
    r->at = RECORD_BLOCK;
    r->limit = u64_min(r->header.capacity, (uint64_t)st.st_size);
    return 0;
}

void segment_reader_close(struct segment_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    free(r->window);
    *r = (struct segment_reader){.fd = -1};
}

bool segment_reader_is_current(const struct segment_reader *r)
{
    uint8_t bytes[sizeof(struct segment_header)];
    struct segment_header h;
    return pread(r->fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
           segment_header_read(bytes, &h) && h.generation == r->header.generation;
}

/* Reads @len bytes at @offset; what the device refuses to give is zeros, block by block. */
static void read_tolerant(struct segment_reader *r, uint8_t *to, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t got = pread(r->fd, to, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        size_t step = (size_t)got;
        if (got <= 0) {
            step = size_min(len, RECORD_BLOCK - offset % RECORD_BLOCK);
            ssize_t again = got < 0 ? pread(r->fd, to, step, (off_t)offset) : -1;
            if (again <= 0) {
                memset(to, 0, step);
                r->io_error_bytes += step;
            } else {
                step = (size_t)again;
            }
        }
        to += step;
        len -= step;
        offset += step;
    }
}

/* Bytes @offset .. + @len of the file, which lie before the limit; NULL: no memory. */
static const uint8_t *window_load(struct segment_reader *r, uint64_t offset, size_t len)
{
    ASSERT(offset + len <= r->limit);
    if (r->window != NULL && offset >= r->window_start &&
        offset + len <= r->window_start + r->window_len)
        return r->window + (offset - r->window_start);
    size_t cap = size_max(WINDOW_BYTES_INIT, ALIGN_UP(len, RECORD_BLOCK));
    if (cap > r->window_cap) {
        uint8_t *bigger = realloc(r->window, cap);
        if (bigger == NULL)
            return NULL;
        r->window = bigger;
        r->window_cap = cap;
    }
    r->window_start = offset;
    r->window_len = (size_t)u64_min(r->window_cap, r->limit - offset);
    read_tolerant(r, r->window, r->window_len, offset);
    return r->window;
}

static bool header_at(struct segment_reader *r, uint64_t offset, struct record_header *ret_header,
                      int *ret_error)
{
    if (offset + RECORD_ALIGN > r->limit)
        return false;
    const uint8_t *bytes = window_load(r, offset, RECORD_ALIGN);
    if (bytes == NULL) {
        *ret_error = -ENOMEM;
        return false;
    }
    return record_header_read(bytes, r->header.generation, offset, r->limit, ret_header);
}

static int record_item(struct segment_reader *r, const struct record_header *h,
                       struct segment_item *item)
{
    *item = (struct segment_item){
        .kind = SEGMENT_RECORD,
        .offset = h->offset,
        .length = record_bytes(h->length),
        .header = *h,
    };
    if (h->type == RECORD_PAD || h->length == 0 || (h->type == RECORD_DATA && r->skip_data))
        return 0;
    const uint8_t *payload = window_load(r, (uint64_t)h->offset + RECORD_ALIGN, h->length);
    if (payload == NULL)
        return -ENOMEM;
    item->payload = slice_of(payload, h->length);
    if (record_payload_check(item->payload) != h->payload_check)
        item->kind = SEGMENT_BROKEN;
    return 0;
}

const uint8_t *segment_reader_bytes(struct segment_reader *r, uint64_t offset, size_t len)
{
    return window_load(r, offset, len);
}

int segment_reader_at(struct segment_reader *r, uint64_t offset, struct segment_item *ret_item)
{
    struct record_header h;
    int result = 0;
    if (offset % RECORD_ALIGN != 0 || !header_at(r, offset, &h, &result)) {
        *ret_item = (struct segment_item){.kind = SEGMENT_GAP, .offset = offset};
        return result;
    }
    return record_item(r, &h, ret_item);
}

int segment_reader_next(struct segment_reader *r, struct segment_item *ret_item)
{
    struct record_header h;
    int result = 0;
    uint64_t start = r->at;
    uint64_t at = start;
    while (at + RECORD_ALIGN <= r->limit && !header_at(r, at, &h, &result)) {
        if (result < 0)
            return result;
        at += RECORD_ALIGN;
    }
    if (at + RECORD_ALIGN > r->limit) {
        *ret_item = (struct segment_item){.kind = SEGMENT_END, .offset = start};
        return 0;
    }
    if (at > start) {
        *ret_item =
            (struct segment_item){.kind = SEGMENT_GAP, .offset = start, .length = at - start};
        r->at = at;
        return 0;
    }
    r->at = at + record_bytes(h.length);
    r->number = h.number + 1;
    return record_item(r, &h, ret_item);
}
