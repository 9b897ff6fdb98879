/* SPDX-License-Identifier: Apache-2.0 */
/* outfile.c - owns the file beside the file. */
#include "load/outfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 100

/* Where the bytes go: behind symbolic links, so that a link stays one. */
static int find_place(struct outfile *o, const char *path, bool *ret_is_straight)
{
    struct stat st;
    if (strlen(path) >= sizeof(o->path))
        return -ENAMETOOLONG;
    *ret_is_straight = false;
    if (stat(path, &st) != 0 || realpath(path, o->path) == NULL)
        snprintf(o->path, sizeof(o->path), "%s", path);
    else
        *ret_is_straight = !S_ISREG(st.st_mode);
    return 0;
}

static int open_beside(struct outfile *o)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        snprintf(o->temp, sizeof(o->temp), "%s.%d-%d.tmp", o->path, (int)getpid(), i);
        int fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd >= 0 ? fd : -errno;
    }
    return -EEXIST;
}

int outfile_open(struct outfile *o, const char *path)
{
    bool is_straight;
    int result = find_place(o, path, &is_straight);
    if (result != 0)
        return result;
    o->temp[0] = '\0';
    int fd;
    if (is_straight) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
        fd = fd >= 0 ? fd : -errno;
    } else {
        fd = open_beside(o);
    }
    if (fd < 0)
        return fd;
    o->file = fdopen(fd, "w");
    if (o->file != NULL)
        return 0;
    close(fd);
    if (!is_straight)
        unlink(o->temp);
    return -ENOMEM;
}

int outfile_end(struct outfile *o)
{
    /* The first error is the one that says why. */
    errno = 0;
    int result = fflush(o->file) != 0 || ferror(o->file) ? -(errno != 0 ? errno : EIO) : 0;
    if (result == 0 && o->temp[0] != '\0' && fsync(fileno(o->file)) != 0)
        result = -errno;
    if (fclose(o->file) != 0 && result == 0)
        result = -errno;
    o->file = NULL;
    if (o->temp[0] == '\0')
        return result;
    if (result == 0 && rename(o->temp, o->path) != 0)
        result = -errno;
    if (result != 0)
        unlink(o->temp);
    return result;
}
