/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk.c - a socket that does not block, and poll() up to a deadline.
 *
 * While something is written, what the server says is read into the buffer: two sides that both
 * write and never read would wait for each other.
 */
#include "probe/talk.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

clock_ns talk_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (clock_ns)ts.tv_sec * NS_PER_S + (clock_ns)ts.tv_nsec;
}

/* Until one of @events; 0 when the deadline came first. */
static short wait_for(const struct talk *t, short events, clock_ns deadline)
{
    for (;;) {
        clock_ns now = talk_now();
        if (now >= deadline)
            return 0;
        struct pollfd p = {.fd = t->fd, .events = events};
        uint64_t ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
        int count = poll(&p, 1, (int)u64_min(ms, INT32_MAX));
        if (count > 0)
            return p.revents;
        if (count < 0 && errno != EINTR)
            return POLLERR;
    }
}

enum talk_result talk_open(struct talk *t, const struct target *target, clock_ns deadline,
                           int *ret_errno)
{
    const int on = 1;
    socklen_t len = sizeof(*ret_errno);
    t->ssl = NULL;
    t->in_start = t->in_end = 0;
    t->fd = socket(target->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *ret_errno = errno;
    if (t->fd < 0)
        return TALK_RESET;
    *ret_errno = 0;
    if (!target->is_local)
        (void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(t->fd, &target->addr.any, target->addr_bytes) == 0)
        return TALK_DONE;
    *ret_errno = errno;
    if (errno == EINPROGRESS) {
        if (wait_for(t, POLLOUT, deadline) == 0) {
            *ret_errno = ETIMEDOUT;
            talk_close(t);
            return TALK_LATE;
        }
        if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, ret_errno, &len) == 0 && *ret_errno == 0)
            return TALK_DONE;
    }
    talk_close(t);
    return TALK_RESET;
}

void talk_close(struct talk *t)
{
    if (t->ssl != NULL) {
        (void)SSL_shutdown(t->ssl);
        SSL_free(t->ssl);
        ERR_clear_error();
        t->ssl = NULL;
    }
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

void talk_shut(struct talk *t)
{
    (void)shutdown(t->fd, SHUT_WR);
}

void talk_abort(struct talk *t)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    talk_close(t);
}

/* What OpenSSL wants before it can go on; 0 when that never comes. */
static enum talk_result wait_for_tls(struct talk *t, int result, clock_ns deadline)
{
    int error = SSL_get_error(t->ssl, result);
    int system_error = errno;
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        short events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return wait_for(t, events, deadline) != 0 ? TALK_DONE : TALK_LATE;
    }
    if (error == SSL_ERROR_ZERO_RETURN)
        return TALK_CLOSED;
    if (error == SSL_ERROR_SYSCALL)
        return system_error == 0 ? TALK_CLOSED : TALK_RESET;
    return TALK_TLS;
}

enum talk_result talk_start_tls(struct talk *t, SSL_CTX *context, const char *server_name,
                                bool is_verified, clock_ns deadline)
{
    t->ssl = SSL_new(context);
    if (t->ssl == NULL)
        return TALK_TLS;
    (void)SSL_set_fd(t->ssl, t->fd);
    SSL_set_connect_state(t->ssl);
    if (server_name != NULL) {
        char name[256]; /* OpenSSL's macro wants no const */
        snprintf(name, sizeof(name), "%s", server_name);
        (void)SSL_set_tlsext_host_name(t->ssl, name);
        if (is_verified)
            (void)SSL_set1_host(t->ssl, name);
    }
    for (;;) {
        errno = 0;
        int result = SSL_do_handshake(t->ssl);
        if (result == 1)
            return TALK_DONE;
        enum talk_result waited = wait_for_tls(t, result, deadline);
        if (waited != TALK_DONE)
            return waited;
    }
}

/* Reads what is there, without waiting. TALK_LATE: nothing now. */
static enum talk_result fill(struct talk *t, clock_ns deadline)
{
    if (t->in_start > 0) {
        memmove(t->in, t->in + t->in_start, t->in_end - t->in_start);
        t->in_end -= t->in_start;
        t->in_start = 0;
    }
    size_t room = sizeof(t->in) - t->in_end;
    if (room == 0)
        return TALK_LONG;
    if (t->ssl != NULL) {
        errno = 0;
        int got = SSL_read(t->ssl, t->in + t->in_end, (int)room);
        if (got <= 0)
            return wait_for_tls(t, got, deadline);
        t->in_end += (size_t)got;
        return TALK_DONE;
    }
    ssize_t got = recv(t->fd, t->in + t->in_end, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? TALK_LATE : TALK_RESET;
    t->in_end += (size_t)got;
    return got == 0 ? TALK_CLOSED : TALK_DONE;
}

static enum talk_result write_tls(struct talk *t, struct slice bytes, clock_ns deadline)
{
    while (bytes.len > 0) {
        errno = 0;
        int sent = SSL_write(t->ssl, bytes.ptr, (int)size_min(bytes.len, 16384));
        if (sent > 0) {
            bytes = slice_from(bytes, (size_t)sent);
            continue;
        }
        enum talk_result waited = wait_for_tls(t, sent, deadline);
        if (waited != TALK_DONE)
            return waited;
    }
    return TALK_DONE;
}

enum talk_result talk_write(struct talk *t, struct slice bytes, clock_ns deadline)
{
    if (t->ssl != NULL)
        return write_tls(t, bytes, deadline);
    while (bytes.len > 0) {
        bool has_room = t->in_end - t->in_start < sizeof(t->in);
        ssize_t sent = send(t->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = slice_from(bytes, (size_t)sent);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return TALK_RESET;
        short events = wait_for(t, (short)(POLLOUT | (has_room ? POLLIN : 0)), deadline);
        if (events == 0)
            return TALK_LATE;
        if ((events & POLLIN) != 0 && fill(t, deadline) == TALK_CLOSED)
            return TALK_CLOSED;
    }
    return TALK_DONE;
}

enum talk_result talk_read_line(struct talk *t, clock_ns deadline, struct slice *ret_line)
{
    for (;;) {
        struct slice have = slice_of(t->in + t->in_start, t->in_end - t->in_start);
        size_t at = slice_find(have, '\n');
        *ret_line = have;
        if (at < have.len) {
            *ret_line = slice_first(have, at + 1);
            t->in_start += at + 1;
            return TALK_DONE;
        }
        enum talk_result result = fill(t, deadline);
        if (result == TALK_LATE && t->ssl == NULL && wait_for(t, POLLIN, deadline) != 0)
            continue;
        *ret_line = slice_of(t->in + t->in_start, t->in_end - t->in_start);
        if (result != TALK_DONE)
            return result;
        if (talk_now() >= deadline) /* octet by octet without end */
            return TALK_LATE;
    }
}

size_t talk_unread(const struct talk *t)
{
    return t->in_end - t->in_start;
}
