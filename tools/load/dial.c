/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - sockets of the generator.
 *
 * A socket that is bound to a source address chooses its port when it connects, so that each
 * (source, target) pair has all ports for itself.
 */
#include "load/dial.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int set_up(int fd, const struct dial_options *options, const struct target *t,
                  uint32_t *turn)
{
    int on = 1, bytes = (int)options->receive_bytes;
    if (options->receive_bytes > 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
        return -errno;
    if (t->is_local)
        return 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    for (uint32_t i = 0; i < options->sources.count; i++) {
        const struct source *s = &options->sources.at[(*turn)++ % options->sources.count];
        if (s->addr.any.sa_family != t->addr.any.sa_family)
            continue;
        if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
            bind(fd, &s->addr.any, s->addr_bytes) < 0)
            return -errno;
        return 0;
    }
    return options->sources.count == 0 ? 0 : -EAFNOSUPPORT;
}

int dial_open(const struct dial_options *options, const struct target *t, uint32_t *turn)
{
    int fd = socket(t->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result = set_up(fd, options, t, turn);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

void dial_set_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

int dial_read(int fd, void *memory, size_t cap)
{
    ssize_t len = recv(fd, memory, cap, MSG_DONTWAIT);
    return len < 0 ? -errno : (int)len;
}

void dial_close(int fd)
{
    close(fd);
}
