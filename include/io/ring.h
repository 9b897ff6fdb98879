/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - the seam: everything the server asks of the kernel on a shard goes through here.
 *
 * io/ring.c implements it with io_uring (the only file that calls io_uring_*); the simulator
 * implements the same functions and is chosen at link time. One ring belongs to one thread.
 *
 * Operations are named by a token: kind, slot index and generation, packed into user_data. The
 * owner bumps the generation of a slot when it is reused; it compares tokens of results itself
 * (ring_token_is_current in its own table) and counts stale ones.
 *
 * ring_turn() submits what was prepared, waits at most so long, gathers every completion that is
 * there into a flat list, and returns. Handlers run from that list; they may prepare new
 * operations, never reap.
 */
#ifndef IO_RING_H
#define IO_RING_H

#include "base/clock.h"
#include "base/window.h"
#include <sys/socket.h>
#include <sys/uio.h>

struct ring;

enum ring_kind {
    RING_ACCEPT,   /* res: file index (in the shard's table) or negative errno */
    RING_PEERNAME, /* res: 0: @addr given to ring_peername() is filled; negative errno */
    RING_RECV,     /* res: bytes, 0 = EOF, negative errno; window holds the bytes */
    RING_SEND,     /* res: bytes sent */
    RING_SHUTDOWN,
    RING_CANCEL,
    RING_WRITE,   /* res: bytes written */
    RING_SYNC,    /* res: 0 */
    RING_MESSAGE, /* a message from another ring: @value, @len */
    RING_MESSAGE_SENT,
    RING_POLL,    /* res: poll mask */
    RING_CONNECT, /* res: 0 */
    RING_KIND_COUNT
};

struct ring_token {
    uint8_t kind;  /* enum ring_kind */
    uint8_t owner; /* which table @idx belongs to: enum of the shard (conn, listener, spool, log) */
    uint16_t generation;
    uint32_t idx;
};
static_assert(sizeof(struct ring_token) == 8, "it travels in user_data");

struct ring_event {
    struct ring_token token;
    int32_t res;
    bool more;            /* the multishot operation is still armed */
    struct window window; /* RING_RECV with res > 0: the receiver owns one reference */
    uint64_t value;       /* RING_MESSAGE */
    uint32_t len;         /* RING_MESSAGE */
};

struct ring_options {
    uint32_t sq_entries; /* power of two */
    uint32_t cq_entries;
    uint32_t file_count;   /* size of the shard's own file table; 0: no sockets on this ring */
    uint32_t buffer_count; /* receive buffers, power of two <= 32768; 0: nothing is received */
    uint32_t buffer_bytes; /* each, page multiple, <= WINDOW_BYTES_MAX */
    bool incremental;      /* use incremental consumption when the probe found it right */
    bool plain_files;      /* ordinary descriptors instead of a file table; without the option
                              they are used where the kernel is older than 6.7 */
};

/* ring_new() - called on the thread that will use the ring. 0 or negative errno. */
MUST_CHECK int ring_new(const struct ring_options *options, struct ring **ret_ring);
void ring_free(struct ring *r);
int ring_fd(const struct ring *r);

/* Time. Read once per turn by the ring; ring_now() is constant within a turn. */
clock_ns ring_now(const struct ring *r);
wall_us ring_wall(const struct ring *r);

/*
 * ring_turn() - submit, wait until something completes or @timeout_ns passed, gather
 * @timeout_ns: 0: do not wait; CLOCK_NEVER: no limit
 * Return: number of events at *ret_events (valid until the next turn), or negative errno
 */
MUST_CHECK int ring_turn(struct ring *r, uint64_t timeout_ns, const struct ring_event **ret_events);

/* Sockets. @file is an index into the shard's file table unless it says fd. */
void ring_accept_arm(struct ring *r, int listen_fd, struct ring_token token);
/* ring_peername() - @addr->ss_family says AF_INET or AF_INET6, as the listener's does; the result
 * comes as late as that of ring_send_quiet(). */
void ring_peername(struct ring *r, int32_t file, struct sockaddr_storage *addr,
                   struct ring_token token);
/* ring_recv_arm() - multishot receive into provided buffers. It ends (more = false) at EOF, error,
 * cancel, -ENOBUFS (flow control: re-arm when ring_buffers_free() says so). */
void ring_recv_arm(struct ring *r, int32_t file, struct ring_token token);
/* ring_send() - @bytes stay the caller's and unchanged until the result; all are sent or the
 * result is short or an error (MSG_WAITALL | MSG_NOSIGNAL). */
void ring_send(struct ring *r, int32_t file, struct slice bytes, struct ring_token token);
/*
 * ring_send_quiet() - the same for bytes that usually fit into the socket at once and whose result
 * nobody waits for: it never waits, and its result comes with the next thing that completes, before
 * it. A short result or -EAGAIN means that the peer does not read: send the rest by ring_send().
 */
void ring_send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token);
/*
 * ring_sendv(), ring_sendv_quiet() - the same for several pieces, @bytes in all
 * @msg: with msg_iov and msg_iovlen only; it, the vector and the pieces stay the caller's and
 *       unchanged until the result
 */
void ring_sendv(struct ring *r, int32_t file, const struct msghdr *msg, struct ring_token token);
void ring_sendv_quiet(struct ring *r, int32_t file, const struct msghdr *msg, size_t bytes,
                      struct ring_token token);
/*
 * ring_send_parts() - @bytes in several sends, each ending at one of @ends, linked so that they
 * keep order; like ring_send_quiet() they never wait for the peer
 * @ends: ascending, the last is @bytes.len; @count of them, at most RING_PARTS_MAX
 *
 * One result for all, when none of them is in flight any more: how many of @bytes left, from the
 * front; or why none did. Where they cannot be linked, they leave as one.
 */
#define RING_PARTS_MAX 128
void ring_send_parts(struct ring *r, int32_t file, struct slice bytes, const uint16_t *ends,
                     uint32_t count, struct ring_token token);
/*
 * ring_send_after_write() - the same, linked behind the ring_writev() or ring_writev_dsync() that
 * was asked for just before, or behind another such send: nothing leaves unless the write succeeded
 * in full. If it did not, the result is -ECANCELED, as it may also be when an earlier send of the
 * chain was not taken in full.
 *
 * Nothing can be linked behind a sync: a failed one does not break a chain.
 *
 * Return: false: something else was asked for since, or there is no room: nothing was done
 */
MUST_CHECK bool ring_send_after_write(struct ring *r, int32_t file, struct slice bytes,
                                      const uint16_t *ends, uint32_t count,
                                      struct ring_token token);
/* ring_connect() - @file is a fresh socket (an ordinary descriptor: ring_options.plain_files),
 * bound or not; @addr stays the caller's until the result. */
void ring_connect(struct ring *r, int32_t file, const struct sockaddr *addr, socklen_t addr_bytes,
                  struct ring_token token);
void ring_shutdown_write(struct ring *r, int32_t file, struct ring_token token);
/* ring_close() - nothing is in flight on @file; there is no result. */
void ring_close(struct ring *r, int32_t file);
/* ring_cancel() - ask for the operation with token @target to end; its own result still comes. */
void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token);

/* Receive buffers: how many are free to be filled, and how many there are. */
uint32_t ring_buffers_free(const struct ring *r);
uint32_t ring_buffers_count(const struct ring *r);

/* Files, by ordinary descriptor. @iov stays the caller's until the result.
 * ring_writev_sync(): one linked submission; the RING_SYNC result is -ECANCELED when the write was
 * short or failed. */
void ring_writev(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                 uint64_t offset, struct ring_token token);
void ring_writev_sync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                      uint64_t offset, struct ring_token write_token, struct ring_token sync_token);
/* ring_writev_dsync() - write and sync in one operation, for these bytes alone: its result is that
 * of ring_writev() once they are on stable storage, or an error. */
void ring_writev_dsync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                       uint64_t offset, struct ring_token token);
void ring_datasync(struct ring *r, int fd, struct ring_token token);
/* ring_write_stream() - write to a pipe, terminal or append-only log, at its own position. */
void ring_write_stream(struct ring *r, int fd, struct slice bytes, struct ring_token token);
void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token);
/* ring_watch() - one RING_POLL result when the peer of @file is gone (POLLERR, POLLHUP) or has
 * ended his side (POLLRDHUP), whatever of his input is unread. */
void ring_watch(struct ring *r, int32_t file, struct ring_token token);

/*
 * ring_message() - post @value and @len to the ring with descriptor @target_fd, where they arrive
 * as RING_MESSAGE with an owner of 0; here RING_MESSAGE_SENT follows under @token, with a negative
 * res (-EOVERFLOW, -EBADFD ...) when they did not arrive.
 * @value: 56 bits
 */
void ring_message(struct ring *r, int target_fd, uint64_t value, uint32_t len,
                  struct ring_token token);

struct ring_counters {
    uint64_t turns, submits, completions, sq_full, cq_overflow, no_buffers;
    uint64_t failures; /* of operations that have no result */
};
const struct ring_counters *ring_counters(const struct ring *r);

#endif
