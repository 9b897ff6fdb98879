/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - owns the files of the sink's Maildir. Plain calls: whoever stores does not measure. */
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int store_open(const char *path)
{
    static const char *const folders[] = {"tmp", "new", "cur"};
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        if (mkdirat(dir_fd, folders[i], 0700) < 0 && errno != EEXIST) {
            int result = -errno;
            close(dir_fd);
            return result;
        }
    return dir_fd;
}

int store_begin(struct store_file *f, int dir_fd, uint64_t wall_us, uint64_t unique)
{
    char path[STORE_NAME_BYTES_MAX + 8];
    snprintf(f->name, sizeof(f->name), "%llu.M%06lluP%dQ%llu.sink",
             (unsigned long long)(wall_us / 1000000), (unsigned long long)(wall_us % 1000000),
             (int)getpid(), (unsigned long long)unique);
    snprintf(path, sizeof(path), "tmp/%s", f->name);
    int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    f->fd = fd;
    f->dir_fd = dir_fd;
    return 0;
}

int store_write(const struct store_file *f, const struct slices *parts)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        struct slice rest = parts->at[i];
        while (rest.len > 0) {
            ssize_t written = write(f->fd, rest.ptr, rest.len);
            if (written < 0 && errno != EINTR)
                return -errno;
            if (written == 0)
                return -ENOSPC;
            rest = slice_from(rest, written > 0 ? (size_t)written : 0);
        }
    }
    return 0;
}

int store_commit(struct store_file *f)
{
    char from[STORE_NAME_BYTES_MAX + 8], to[STORE_NAME_BYTES_MAX + 8];
    if (f->fd < 0)
        return 0;
    snprintf(from, sizeof(from), "tmp/%s", f->name);
    snprintf(to, sizeof(to), "new/%s", f->name);
    int result = close(f->fd) < 0 ? -errno : 0;
    f->fd = -1;
    if (result == 0 && renameat(f->dir_fd, from, f->dir_fd, to) < 0)
        result = -errno;
    if (result < 0)
        (void)unlinkat(f->dir_fd, from, 0);
    return result;
}

void store_abort(struct store_file *f)
{
    char path[STORE_NAME_BYTES_MAX + 8];
    if (f->fd < 0)
        return;
    close(f->fd);
    f->fd = -1;
    snprintf(path, sizeof(path), "tmp/%s", f->name);
    (void)unlinkat(f->dir_fd, path, 0);
}
