/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.c - listening sockets, multishot accept, admission.
 *
 * Options set here are inherited by accepted sockets (TCP_NODELAY). A shard that has no connection
 * slot left stops accepting, so that new clients wait in the kernel's queue or reach another shard;
 * a listener above its own limit answers 421 (conn_open()).
 */
#include "listener.h"
#include "conn.h"
#include "shard.h"
#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define ACCEPT_RETRY_NS (100 * NS_PER_MS)

/* A socket left behind by a process that is gone is removed; one that answers is not ours. */
static int remove_stale_socket(const struct listener_options *o)
{
    struct stat st;
    if (lstat(o->unix_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result = connect(fd, (const struct sockaddr *)&o->address, o->address_len) == 0
                     ? -EADDRINUSE
                     : (errno == ECONNREFUSED ? 0 : -errno);
    close(fd);
    if (result == 0 && unlink(o->unix_path) < 0)
        result = -errno;
    return result;
}

static int set_options(int fd, const struct listener_options *o, bool reuse_port)
{
    int on = 1;
    int nodelay = o->tcp_nodelay;
    if (o->unix_path != NULL)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay)) < 0)
        return -errno;
    if (o->address.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}

int listener_bind(const struct listener_options *o, bool reuse_port, char *ret_text,
                  size_t text_cap)
{
    const char *step = "socket";
    int result = o->unix_path != NULL ? remove_stale_socket(o) : 0;
    int fd = socket(o->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        result = -errno;
    if (result == 0) {
        step = "setsockopt";
        result = set_options(fd, o, reuse_port);
    }
    if (result == 0) {
        step = "bind";
        if (bind(fd, (const struct sockaddr *)&o->address, o->address_len) < 0)
            result = -errno;
    }
    if (result == 0 && o->unix_path != NULL && o->unix_mode != 0) {
        step = "chmod";
        if (chmod(o->unix_path, (mode_t)o->unix_mode) < 0)
            result = -errno;
    }
    if (result == 0) {
        step = "listen";
        if (listen(fd, LISTEN_BACKLOG) < 0)
            result = -errno;
    }
    if (result == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    snprintf(ret_text, text_cap, "%.*s: %s: %s (%s)", (int)o->name.len, (const char *)o->name.ptr,
             step, err_text(result), err_name(result));
    return result;
}

static struct ring_token listener_token(struct shard *sh, const struct listener *l,
                                        enum ring_kind kind)
{
    return (struct ring_token){
        .kind = (uint8_t)kind,
        .owner = SHARD_OWNER_LISTENER,
        .generation = l->generation,
        .idx = (uint32_t)(l - sh->listeners),
    };
}

static bool has_slot(const struct shard *sh)
{
    return pool_used_count(&sh->conns) < sh->options.limits.conn_count_max;
}

bool listener_may_arm(const struct shard *sh, const struct listener *l)
{
    return l->fd >= 0 && !l->is_armed && !sh->is_draining && has_slot(sh);
}

void listener_arm(struct shard *sh, struct listener *l)
{
    if (!listener_may_arm(sh, l))
        return;
    l->is_armed = true;
    l->is_disarming = false;
    l->generation++;
    ring_accept_arm(sh->ring, l->fd, listener_token(sh, l, RING_ACCEPT));
}

static void listener_disarm(struct shard *sh, struct listener *l)
{
    if (!l->is_armed || l->is_disarming)
        return;
    l->is_disarming = true;
    ring_cancel(sh->ring, listener_token(sh, l, RING_ACCEPT), listener_token(sh, l, RING_CANCEL));
}

void listener_close(struct shard *sh, struct listener *l)
{
    listener_disarm(sh, l);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

void listener_on_event(struct shard *sh, const struct ring_event *ev)
{
    struct listener *l = &sh->listeners[ev->token.idx];
    if (ev->token.kind == RING_CANCEL)
        return;
    ASSERT(ev->token.kind == RING_ACCEPT);
    if (!ev->more && ev->token.generation == l->generation)
        l->is_armed = false;
    if (ev->res < 0) {
        /* ENFILE, EMFILE, ENOBUFS, ENOMEM: the file table or the machine is full for now. */
        if (!l->is_armed && ev->res != -ECANCELED)
            l->retry_at = ring_now(sh->ring) + ACCEPT_RETRY_NS;
        return;
    }
    if (!has_slot(sh)) { /* accepted before the cancel arrived */
        metrics_add(&sh->metrics, METRIC_CONNS_REFUSED, 1);
        ring_close(sh->ring, ev->res);
    } else {
        conn_open(sh, l, ev->res);
    }
    for (uint32_t i = 0; !has_slot(sh) && i < sh->options.listener_count; i++)
        listener_disarm(sh, &sh->listeners[i]);
    if (!l->is_armed)
        listener_arm(sh, l);
}
