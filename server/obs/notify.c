/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - the sd_notify protocol: one datagram of "KEY=value" lines to an AF_UNIX socket whose
 * address is in the environment: a path, or "@" and an abstract name.
 *
 * A reload is announced with the time at which it began, so that the manager can tell an answer to
 * this reload from one to an earlier one.
 */
#include "obs/notify.h"
#include "base/buf.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_STATE_BYTES_MAX 1024

static int address_of(const char *name, struct sockaddr_un *address, socklen_t *ret_len)
{
    size_t len = strlen(name);
    if (name[0] != '/' && name[0] != '@')
        return -EAFNOSUPPORT;
    if (len < 2)
        return -EINVAL;
    bool is_path = name[0] == '/';
    if (len + (is_path ? 1 : 0) > sizeof(address->sun_path))
        return -ENAMETOOLONG;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, len);
    if (!is_path)
        address->sun_path[0] = '\0'; /* abstract: as long as the address says, no NUL at the end */
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (is_path ? 1 : 0));
    return 0;
}

int notify_send(const char *state)
{
    struct sockaddr_un address;
    socklen_t address_len = 0;
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == '\0')
        return 0;
    int err = address_of(name, &address, &address_len);
    if (err != 0)
        return err;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent;
    do {
        sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                      address_len);
    } while (sent < 0 && errno == EINTR);
    err = sent < 0 ? -errno : 1;
    close(fd);
    return err;
}

/* @head, then "STATUS=" with the first line of @status. */
static int send_with_status(const char *head, const char *status)
{
    char text[NOTIFY_STATE_BYTES_MAX];
    struct buf b = buf_over(text, sizeof(text) - 1);
    buf_put(&b, slice_str(head));
    if (status != NULL) {
        struct slice line = slice_str(status);
        line = slice_first(line, slice_find(line, '\n'));
        BUF_PUT_LIT(&b, "STATUS=");
        buf_put(&b, slice_first(line, buf_room(&b)));
    }
    text[b.len] = '\0';
    return notify_send(text);
}

int notify_ready(const char *status)
{
    return send_with_status("READY=1\n", status);
}

int notify_reloading(clock_ns monotonic)
{
    char text[64];
    struct buf b = buf_over(text, sizeof(text) - 1);
    BUF_PUT_LIT(&b, "RELOADING=1\nMONOTONIC_USEC=");
    buf_put_u64(&b, monotonic / NS_PER_US);
    text[b.len] = '\0';
    return notify_send(text);
}

int notify_stopping(const char *status)
{
    return send_with_status("STOPPING=1\n", status);
}

int notify_status(const char *status)
{
    return send_with_status("", status);
}
