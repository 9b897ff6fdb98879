/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - io/ring.h on io_uring: the only file that fills submission entries.
 *
 * One issuer, task work deferred to the moment at which the shard asks for completions, so nothing
 * runs behind its back. A turn is one system call: it submits what the last turn prepared and waits
 * for the next completion; then everything that has completed is copied into a flat list.
 *
 * Quiet operations complete while they are submitted, or fail at once (MSG_DONTWAIT), and post
 * nothing when they succeed. So a reply that fits into the socket costs neither a completion nor
 * the wake-up that it would cause: a request and its answer are one system call. Their tokens are
 * remembered until the next turn; those for which no failure has been posted by then are reported
 * as successes, before everything else. The kernel posts a failure of such an operation within the
 * submitting call, so a token without one is a success for certain.
 *
 * Chains: several sends that keep order are linked, and what breaks one of them cancels the rest.
 * Of a chain on its own only the last send posts a success, and the one that fails its failure;
 * behind a write, whose failure cancels all of them, each posts. Either way the chain is one
 * operation to its owner: user_data says which chain, and how many bytes stand before the send.
 * They are sent with MSG_DONTWAIT, so that a peer who does not read holds up nobody behind him, and
 * a chain is over in bounded time; MSG_WAITALL is what makes a short send break the chain. From one
 * connection to the next a hard link leads, which a failed send does not sever. Behind an fsync no
 * reply may wait: Linux (seen in 6.18) goes on with a chain although the sync in it has failed. A
 * write with RWF_DSYNC breaks it in every case, since its result then is not what was asked for.
 *
 * Files are indices into the ring's own table. Kernels before 6.7 cannot tell the peer's address of
 * such a file; there, ordinary descriptors are used under the same names.
 */
#include "io/ring.h"
#include "base/assert.h"
#include "base/err.h"
#include "io/bufring.h"
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_GROUP 0
#define SEND_FLAGS (MSG_WAITALL | MSG_NOSIGNAL)
#define MESSAGE_VALUE_BITS 56
/* user_data of operations without a result: a kind that no owner uses */
#define NO_RESULT ((uint64_t)RING_KIND_COUNT)
/* the same of the sends of a chain: with its number (24 bits) and the bytes before (32 bits) */
#define CHAIN_KIND ((uint64_t)RING_KIND_COUNT + 1)
#define CHAIN_COUNT 1024

struct quiet { /* an operation that posts a completion only when it fails */
    struct ring_token token;
    int32_t res; /* what success is reported as */
};

struct chain { /* linked sends of one connection */
    struct ring_token token;
    uint32_t left;  /* results to come */
    uint32_t bytes; /* that left */
    int32_t error;  /* the first */
    uint32_t next_free;
};

struct ring {
    struct io_uring uring;
    struct ring_options options;
    struct bufring buffers;
    struct ring_event *events;
    uint32_t event_cap;
    struct quiet *quiets;
    uint32_t quiet_count;
    uint32_t quiet_cap;
    struct chain *chains;
    uint32_t chain_free;           /* the first that is not in use; CHAIN_COUNT: none */
    struct io_uring_sqe *open_sqe; /* a write or send that a send may be linked behind ... */
    unsigned open_tail;            /* ... as long as this is where the queue ends */
    bool has_open_send;
    bool has_direct_files;
    bool is_wall_read;
    clock_ns now;
    wall_us wall;
    struct ring_counters counters;
};

/* --- tokens --------------------------------------------------------------------------------- */

static uint64_t token_pack(struct ring_token token)
{
    return (uint64_t)token.kind | (uint64_t)token.owner << 8 | (uint64_t)token.generation << 16 |
           (uint64_t)token.idx << 32;
}

static struct ring_token token_unpack(uint64_t data)
{
    return (struct ring_token){
        .kind = (uint8_t)data,
        .owner = (uint8_t)(data >> 8),
        .generation = (uint16_t)(data >> 16),
        .idx = (uint32_t)(data >> 32),
    };
}

/* --- life ----------------------------------------------------------------------------------- */

static void clock_read(struct ring *r)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    r->now = (clock_ns)ts.tv_sec * NS_PER_S + (clock_ns)ts.tv_nsec;
    r->is_wall_read = false;
}

clock_ns ring_now(const struct ring *r)
{
    return r->now;
}

wall_us ring_wall(const struct ring *r)
{
    struct ring *mutable_r = (struct ring *)(uintptr_t)r; /* read when first asked for in a turn */
    if (!r->is_wall_read) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        mutable_r->wall = (wall_us)ts.tv_sec * 1000000 + (wall_us)ts.tv_nsec / 1000;
        mutable_r->is_wall_read = true;
    }
    return r->wall;
}

/* Newer kernels take more flags; the first set that is taken is used. */
static int uring_init(struct ring *r)
{
    static const unsigned flag_sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < ARRAY_COUNT(flag_sets) && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags =
                flag_sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
            .cq_entries = r->options.cq_entries,
        };
        result = io_uring_queue_init_params(r->options.sq_entries, &r->uring, &params);
    }
    return result;
}

/* Whether a socket in the file table can be asked for its peer (Linux 6.7). */
static bool can_ask_peer(struct ring *r)
{
    bool can = false;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    struct io_uring_cqe *cqe;
    io_uring_prep_cmd_sock(sqe, SOCKET_URING_OP_GETSOCKOPT, fds[0], SOL_SOCKET, SO_PEERNAME, &addr,
                           sizeof(addr.ss_family));
    io_uring_sqe_set_data64(sqe, 0);
    if (io_uring_submit_and_wait(&r->uring, 1) == 1 && io_uring_peek_cqe(&r->uring, &cqe) == 0) {
        can = cqe->res >= 0 && addr.ss_family == AF_UNIX;
        io_uring_cqe_seen(&r->uring, cqe);
    }
    close(fds[0]);
    close(fds[1]);
    return can;
}

static int files_init(struct ring *r)
{
    if (r->options.file_count == 0 || r->options.plain_files || !can_ask_peer(r))
        return 0;
    int result = io_uring_register_files_sparse(&r->uring, r->options.file_count);
    r->has_direct_files = result == 0;
    return result;
}

static int buffers_init(struct ring *r)
{
    if (r->options.buffer_count == 0)
        return 0;
    return bufring_init(&r->buffers, &r->uring, BUFFER_GROUP, r->options.buffer_count,
                        r->options.buffer_bytes, r->options.incremental);
}

int ring_new(const struct ring_options *options, struct ring **ret_ring)
{
    struct ring *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->options = *options;
    r->uring.ring_fd = -1;
    int result = uring_init(r);
    if (result < 0) {
        free(r);
        return result;
    }
    (void)io_uring_register_ring_fd(&r->uring); /* saves a look-up per call where it is there */
    r->quiet_cap = r->uring.sq.ring_entries * 2;
    r->event_cap = r->uring.cq.ring_entries + r->quiet_cap;
    r->events = calloc(r->event_cap, sizeof(*r->events));
    r->quiets = calloc(r->quiet_cap, sizeof(*r->quiets));
    r->chains = calloc(CHAIN_COUNT, sizeof(*r->chains));
    for (uint32_t i = 0; r->chains != NULL && i < CHAIN_COUNT; i++)
        r->chains[i].next_free = i + 1;
    bool has_memory = r->events != NULL && r->quiets != NULL && r->chains != NULL;
    result = has_memory ? files_init(r) : -ENOMEM;
    if (result == 0)
        result = buffers_init(r);
    if (result < 0) {
        ring_free(r);
        return result;
    }
    clock_read(r);
    *ret_ring = r;
    return 0;
}

void ring_free(struct ring *r)
{
    if (r == NULL)
        return;
    bufring_deinit(&r->buffers);
    io_uring_queue_exit(&r->uring);
    free(r->events);
    free(r->quiets);
    free(r->chains);
    free(r);
}

int ring_fd(const struct ring *r)
{
    return r->uring.ring_fd;
}

const struct ring_counters *ring_counters(const struct ring *r)
{
    return &r->counters;
}

uint32_t ring_buffers_free(const struct ring *r)
{
    return bufring_free_count(&r->buffers);
}

uint32_t ring_buffers_count(const struct ring *r)
{
    return r->options.buffer_count;
}

/* --- the turn ------------------------------------------------------------------------------- */

static void drop_failed_quiets(struct ring *r)
{
    /* An operation whose failure was posted is reported by that. */
    unsigned head;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe (&r->uring, head, cqe) {
        if (cqe->res >= 0 && (uint8_t)cqe->user_data != RING_SEND)
            continue;
        for (uint32_t i = 0; i < r->quiet_count; i++) {
            if (token_pack(r->quiets[i].token) != cqe->user_data)
                continue;
            r->quiets[i] = r->quiets[--r->quiet_count];
            break;
        }
    }
}

static uint32_t report_quiets(struct ring *r)
{
    for (uint32_t i = 0; i < r->quiet_count; i++)
        r->events[i] = (struct ring_event){.token = r->quiets[i].token, .res = r->quiets[i].res};
    uint32_t count = r->quiet_count;
    r->quiet_count = 0;
    return count;
}

static void event_from(struct ring *r, const struct io_uring_cqe *cqe, struct ring_event *ev)
{
    ev->token = token_unpack(cqe->user_data);
    ev->res = cqe->res;
    ev->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    ev->window = (struct window){0};
    ev->value = 0;
    ev->len = 0;
    switch ((enum ring_kind)ev->token.kind) {
    case RING_RECV:
        if (cqe->flags & IORING_CQE_F_BUFFER) {
            uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            bool goes_on = (cqe->flags & IORING_CQE_F_BUF_MORE) != 0;
            ev->window =
                bufring_take(&r->buffers, id, cqe->res > 0 ? (uint32_t)cqe->res : 0, goes_on);
            if (cqe->res <= 0) /* the end of the stream took a buffer: back at once */
                window_unpin(&ev->window);
        } else if (cqe->res == -ENOBUFS) {
            r->counters.no_buffers++;
            bufring_ran_out(&r->buffers);
        }
        break;
    case RING_MESSAGE:
        ev->value = cqe->user_data >> (64 - MESSAGE_VALUE_BITS);
        ev->len = (uint32_t)cqe->res;
        ev->token = (struct ring_token){.kind = RING_MESSAGE};
        break;
    case RING_PEERNAME:
        ev->res = cqe->res < 0 ? cqe->res : 0;
        break;
    case RING_ACCEPT:
    case RING_SEND:
    case RING_SHUTDOWN:
    case RING_CANCEL:
    case RING_WRITE:
    case RING_SYNC:
    case RING_MESSAGE_SENT:
    case RING_POLL:
    case RING_CONNECT:
    case RING_KIND_COUNT:
        break;
    }
}

static bool is_of_chain(const struct io_uring_cqe *cqe)
{
    return (uint8_t)cqe->user_data == CHAIN_KIND;
}

/* One send of a chain has ended; true, with @ev filled, when it was the last that will. */
static bool chain_on_result(struct ring *r, const struct io_uring_cqe *cqe, struct ring_event *ev)
{
    uint32_t idx = (uint32_t)(cqe->user_data >> 8) & 0xFFFFFF;
    ASSERT(idx < CHAIN_COUNT);
    struct chain *chain = &r->chains[idx];
    ASSERT(chain->left > 0);
    if (cqe->res > 0)
        chain->bytes += (uint32_t)(cqe->user_data >> 32) + (uint32_t)cqe->res;
    else if (cqe->user_data >> 32 > 0)
        chain->bytes += (uint32_t)(cqe->user_data >> 32);
    else if (chain->error == 0)
        chain->error = cqe->res;
    if (--chain->left > 0)
        return false;
    *ev = (struct ring_event){
        .token = chain->token,
        .res = chain->bytes > 0 ? (int32_t)chain->bytes : chain->error,
    };
    chain->next_free = r->chain_free;
    r->chain_free = idx;
    return true;
}

/* Submits and waits; 0, or a negative errno that is not just "nothing came". */
static int enter(struct ring *r, uint64_t timeout_ns)
{
    struct io_uring_cqe *cqe;
    int result;
    r->open_sqe = NULL; /* links do not reach beyond a submission */
    if (timeout_ns == 0 || io_uring_cq_ready(&r->uring) > 0) {
        result = io_uring_submit_and_get_events(&r->uring);
    } else if (timeout_ns == CLOCK_NEVER) {
        result = io_uring_submit_and_wait(&r->uring, 1);
    } else {
        struct __kernel_timespec ts = {
            .tv_sec = (int64_t)(timeout_ns / NS_PER_S),
            .tv_nsec = (long long)(timeout_ns % NS_PER_S),
        };
        result = io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, &ts, NULL);
    }
    /* The kernel is short of memory or of completion entries: what was not taken stays queued. */
    if (result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY)
        result = 0;
    return result < 0 ? result : 0;
}

int ring_turn(struct ring *r, uint64_t timeout_ns, const struct ring_event **ret_events)
{
    if (r->options.buffer_count > 0)
        bufring_lend(&r->buffers);
    if (io_uring_sq_ready(&r->uring) > 0)
        r->counters.submits++;
    int result = enter(r, timeout_ns);
    if (result < 0)
        return result;
    clock_read(r);
    r->counters.turns++;
    bool has_overflow = io_uring_cq_has_overflow(&r->uring);
    COUNT_IF(r->counters.cq_overflow, has_overflow);
    uint32_t count = 0;
    if (r->quiet_count > 0) {
        drop_failed_quiets(r);
        /* Not known yet: what was not submitted, and failures that wait behind a full queue. */
        if (io_uring_sq_ready(&r->uring) == 0 && !has_overflow)
            count = report_quiets(r);
    }
    unsigned head, seen = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe (&r->uring, head, cqe) {
        if (count == r->event_cap)
            break;
        seen++;
        if (UNLIKELY(is_of_chain(cqe)))
            count += chain_on_result(r, cqe, &r->events[count]);
        else if (LIKELY(cqe->user_data != NO_RESULT))
            event_from(r, cqe, &r->events[count++]);
        else if (cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -ENOTCONN)
            r->counters.failures++;
    }
    io_uring_cq_advance(&r->uring, seen);
    r->counters.completions += count;
    *ret_events = r->events;
    return (int)count;
}

/* --- preparing ------------------------------------------------------------------------------ */

/* Room for @count entries that belong together: all are taken before the first is filled. */
static void sqe_reserve(struct ring *r, unsigned count)
{
    while (io_uring_sq_space_left(&r->uring) < count) {
        r->counters.sq_full++;
        r->open_sqe = NULL;
        int result = io_uring_submit(&r->uring);
        ASSERT(result > 0 || result == -EAGAIN || result == -EBUSY || result == -EINTR);
        if (result == -EBUSY) /* completions must be taken in first: the kernel keeps them */
            (void)io_uring_get_events(&r->uring);
    }
}

static struct io_uring_sqe *sqe_take(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    if (UNLIKELY(sqe == NULL)) {
        sqe_reserve(r, 1);
        sqe = io_uring_get_sqe(&r->uring);
    }
    ASSERT(sqe != NULL);
    return sqe;
}

static void sqe_name(struct io_uring_sqe *sqe, struct ring_token token, enum ring_kind kind)
{
    ASSERT_SLOW(token.kind == (uint8_t)kind);
    (void)kind;
    io_uring_sqe_set_data64(sqe, token_pack(token));
}

static void sqe_on_file(const struct ring *r, struct io_uring_sqe *sqe)
{
    if (r->has_direct_files)
        sqe->flags |= IOSQE_FIXED_FILE;
}

/* The operation completes within the submitting call and posts nothing when it succeeds. */
static void sqe_quiet(struct ring *r, struct io_uring_sqe *sqe, struct ring_token token,
                      int32_t res)
{
    ASSERT(r->quiet_count < r->quiet_cap);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    r->quiets[r->quiet_count++] = (struct quiet){token, res};
}

static void sqe_no_result(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, NO_RESULT);
}

void ring_accept_arm(struct ring *r, int listen_fd, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    if (r->has_direct_files)
        io_uring_prep_multishot_accept_direct(sqe, listen_fd, NULL, NULL, 0);
    else
        io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
    sqe_name(sqe, token, RING_ACCEPT);
}

static socklen_t address_bytes(const struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void ring_peername(struct ring *r, int32_t file, struct sockaddr_storage *addr,
                   struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    if (!r->has_direct_files) {
        socklen_t len = sizeof(*addr);
        if (getpeername(file, (struct sockaddr *)addr, &len) < 0)
            addr->ss_family = AF_UNSPEC;
        io_uring_prep_nop(sqe);
        sqe_name(sqe, token, RING_PEERNAME);
        if (r->quiet_count < r->quiet_cap)
            sqe_quiet(r, sqe, token, 0);
        return;
    }
    io_uring_prep_cmd_sock(sqe, SOCKET_URING_OP_GETSOCKOPT, file, SOL_SOCKET, SO_PEERNAME, addr,
                           (int)address_bytes(addr));
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_PEERNAME);
    if (r->quiet_count < r->quiet_cap)
        sqe_quiet(r, sqe, token, 0);
}

void ring_recv_arm(struct ring *r, int32_t file, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_recv_multishot(sqe, file, NULL, 0, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->buf_group = BUFFER_GROUP;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_RECV);
}

void ring_send(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_send(sqe, file, bytes.ptr, bytes.len, SEND_FLAGS);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_SEND);
}

void ring_send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    if (r->quiet_count == r->quiet_cap) {
        ring_send(r, file, bytes, token);
        return;
    }
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_send(sqe, file, bytes.ptr, bytes.len, SEND_FLAGS | MSG_DONTWAIT);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_SEND);
    ASSERT(bytes.len <= INT32_MAX);
    sqe_quiet(r, sqe, token, (int32_t)bytes.len);
}

void ring_sendv(struct ring *r, int32_t file, const struct msghdr *msg, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_sendmsg(sqe, file, msg, SEND_FLAGS);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_SEND);
}

void ring_sendv_quiet(struct ring *r, int32_t file, const struct msghdr *msg, size_t bytes,
                      struct ring_token token)
{
    if (r->quiet_count == r->quiet_cap) {
        ring_sendv(r, file, msg, token);
        return;
    }
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_sendmsg(sqe, file, msg, SEND_FLAGS | MSG_DONTWAIT);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_SEND);
    ASSERT(bytes <= INT32_MAX);
    sqe_quiet(r, sqe, token, (int32_t)bytes);
}

/* --- linked sends --------------------------------------------------------------------------- */

/* @result_count: of its sends that will post a result. NULL: all are in use. */
static struct chain *chain_take(struct ring *r, uint32_t result_count, struct ring_token token)
{
    if (r->chain_free == CHAIN_COUNT)
        return NULL;
    struct chain *chain = &r->chains[r->chain_free];
    r->chain_free = chain->next_free;
    chain->token = token;
    chain->left = result_count;
    chain->bytes = 0;
    chain->error = 0;
    return chain;
}

/* The send of @bytes from @start to @end, as part of a chain. */
static struct io_uring_sqe *prep_part(struct ring *r, int32_t file, struct slice bytes,
                                      uint32_t start, uint32_t end)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    ASSERT(start < end && end <= bytes.len);
    io_uring_prep_send(sqe, file, bytes.ptr + start, end - start, SEND_FLAGS | MSG_DONTWAIT);
    sqe_on_file(r, sqe);
    return sqe;
}

static uint64_t chain_data(const struct ring *r, const struct chain *chain, uint32_t bytes_before)
{
    return CHAIN_KIND | (uint64_t)(chain - r->chains) << 8 | (uint64_t)bytes_before << 32;
}

void ring_send_parts(struct ring *r, int32_t file, struct slice bytes, const uint16_t *ends,
                     uint32_t count, struct ring_token token)
{
    ASSERT(count > 0 && count <= RING_PARTS_MAX && ends[count - 1] == bytes.len);
    bool fits = count > 1 && count <= r->uring.sq.ring_entries;
    struct chain *chain = fits ? chain_take(r, 1, token) : NULL;
    if (chain == NULL) {
        ring_send_quiet(r, file, bytes, token);
        return;
    }
    sqe_reserve(r, count);
    uint32_t start = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = prep_part(r, file, bytes, start, ends[i]);
        if (i + 1 < count)
            sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, chain_data(r, chain, start));
        start = ends[i];
    }
}

/* What was prepared last may have sends linked behind it. */
static void chain_open(struct ring *r, struct io_uring_sqe *sqe, bool is_send)
{
    r->open_sqe = sqe;
    r->open_tail = r->uring.sq.sqe_tail;
    r->has_open_send = is_send;
}

bool ring_send_after_write(struct ring *r, int32_t file, struct slice bytes, const uint16_t *ends,
                           uint32_t count, struct ring_token token)
{
    ASSERT(count > 0 && count <= RING_PARTS_MAX && ends[count - 1] == bytes.len);
    if (r->open_sqe == NULL || r->open_tail != r->uring.sq.sqe_tail ||
        io_uring_sq_space_left(&r->uring) < count)
        return false;
    struct chain *chain = chain_take(r, count, token);
    if (chain == NULL)
        return false;
    r->open_sqe->flags |= r->has_open_send ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
    struct io_uring_sqe *sqe = NULL;
    uint32_t start = 0;
    for (uint32_t i = 0; i < count; i++) {
        sqe = prep_part(r, file, bytes, start, ends[i]);
        if (i + 1 < count)
            sqe->flags |= IOSQE_IO_LINK;
        io_uring_sqe_set_data64(sqe, chain_data(r, chain, 0));
        start = ends[i];
    }
    chain_open(r, sqe, true);
    return true;
}

void ring_connect(struct ring *r, int32_t file, const struct sockaddr *addr, socklen_t addr_bytes,
                  struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_connect(sqe, file, addr, addr_bytes);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_CONNECT);
}

void ring_shutdown_write(struct ring *r, int32_t file, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_shutdown(sqe, file, SHUT_WR);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_SHUTDOWN);
}

void ring_close(struct ring *r, int32_t file)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    if (r->has_direct_files)
        io_uring_prep_close_direct(sqe, (unsigned)file);
    else
        io_uring_prep_close(sqe, file);
    sqe_no_result(sqe);
}

void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_cancel64(sqe, token_pack(target), 0);
    sqe_name(sqe, token, RING_CANCEL);
}

static void prep_writev(struct io_uring_sqe *sqe, int fd, const struct iovec *iov,
                        uint32_t iov_count, uint64_t offset, struct ring_token token)
{
    if (iov_count == 1)
        io_uring_prep_write(sqe, fd, iov->iov_base, (unsigned)iov->iov_len, offset);
    else
        io_uring_prep_writev(sqe, fd, iov, iov_count, offset);
    sqe_name(sqe, token, RING_WRITE);
}

static void prep_datasync(struct io_uring_sqe *sqe, int fd, struct ring_token token)
{
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    sqe_name(sqe, token, RING_SYNC);
}

void ring_writev(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                 uint64_t offset, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    prep_writev(sqe, fd, iov, iov_count, offset, token);
    chain_open(r, sqe, false);
}

void ring_writev_sync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                      uint64_t offset, struct ring_token write_token, struct ring_token sync_token)
{
    sqe_reserve(r, 2);
    struct io_uring_sqe *write_sqe = sqe_take(r);
    struct io_uring_sqe *sync_sqe = sqe_take(r);
    prep_writev(write_sqe, fd, iov, iov_count, offset, write_token);
    write_sqe->flags |= IOSQE_IO_LINK;
    prep_datasync(sync_sqe, fd, sync_token);
}

void ring_writev_dsync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                       uint64_t offset, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    prep_writev(sqe, fd, iov, iov_count, offset, token);
    sqe->rw_flags = RWF_DSYNC;
    chain_open(r, sqe, false);
}

void ring_datasync(struct ring *r, int fd, struct ring_token token)
{
    prep_datasync(sqe_take(r), fd, token);
}

void ring_write_stream(struct ring *r, int fd, struct slice bytes, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_write(sqe, fd, bytes.ptr, (unsigned)bytes.len, (uint64_t)-1);
    sqe_name(sqe, token, RING_WRITE);
}

void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_poll_multishot(sqe, fd, poll_mask);
    sqe_name(sqe, token, RING_POLL);
}

void ring_watch(struct ring *r, int32_t file, struct ring_token token)
{
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_poll_add(sqe, file, POLLRDHUP);
    sqe_on_file(r, sqe);
    sqe_name(sqe, token, RING_POLL);
}

void ring_message(struct ring *r, int target_fd, uint64_t value, uint32_t len,
                  struct ring_token token)
{
    ASSERT(value >> MESSAGE_VALUE_BITS == 0);
    struct io_uring_sqe *sqe = sqe_take(r);
    io_uring_prep_msg_ring(sqe, target_fd, len,
                           (uint64_t)RING_MESSAGE | value << (64 - MESSAGE_VALUE_BITS), 0);
    sqe_name(sqe, token, RING_MESSAGE_SENT);
}
