/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - kernel features, found by trying.
 *
 * Beside ring.c this is the only file that calls io_uring_*: its rings live for a moment, with
 * flags and buffers that the shards' rings must not have, and it has to see raw completions to
 * judge them.
 *
 * The trial: two clients on loopback, a multishot accept into the file table, a multishot receive
 * for each into one ring of four small buffers. Every byte a client sends tells stream and
 * position. The buffers come back only when a receive has ended for lack of them, so that every end
 * is seen. Right is: buffers are taken in the order in which they were given, and each stream's
 * bytes arrive unchanged and in order.
 */
#include "io/probe.h"
#include "base/assert.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TRIAL_STREAMS 2
#define TRIAL_BUFFERS 4
#define TRIAL_BUFFER_BYTES ((uint32_t)4096)
#define TRIAL_WAIT_NS_MAX (100 * NS_PER_MS)
#define TRIAL_ROUNDS_MAX 4096 /* completions are gathered at most so often */
#define TRIAL_GROUP 0
#define TRIAL_ACCEPT TRIAL_STREAMS /* user_data; a stream's receive has the stream's number */

struct trial_stream {
    int client_fd;
    int32_t file; /* in the ring's table, -1: not accepted yet */
    uint32_t sent;
    uint32_t received;
    bool is_armed;
};

struct trial {
    struct io_uring ring;
    struct io_uring_buf_ring *buf_ring;
    bool is_incremental;
    int listen_fd;
    uint32_t accepted;
    struct trial_stream streams[TRIAL_STREAMS];
    /* Buffers in the order in which the kernel got them: those from head on are its own. */
    uint16_t order[TRIAL_BUFFERS];
    uint32_t head;
    uint32_t tail;
    uint32_t used_bytes[TRIAL_BUFFERS];
    bool has_received;
    _Alignas(4096) uint8_t memory[TRIAL_BUFFERS * TRIAL_BUFFER_BYTES];
};

/* --- rings for a moment ----------------------------------------------------------------------- */

/* 0 or a negative errno; *ret_features (IORING_FEAT_*) may be NULL. */
static int try_ring(uint32_t flags, uint32_t *ret_features)
{
    struct io_uring ring;
    struct io_uring_params params = {.flags = flags};
    int result = io_uring_queue_init_params(8, &ring, &params);
    if (result < 0)
        return result;
    if (ret_features != NULL)
        *ret_features = params.features;
    io_uring_queue_exit(&ring);
    return 0;
}

/* The flags of a shard's ring, or none on a kernel that lacks them. */
static int ring_begin(struct io_uring *ring)
{
    int result =
        io_uring_queue_init(32, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    return result == -EINVAL ? io_uring_queue_init(32, ring, 0) : result;
}

/* --- the trial -------------------------------------------------------------------------------- */

static uint8_t pattern(uint32_t stream, uint32_t position)
{
    return (uint8_t)(stream * 101 + position * 31 + (position >> 8) * 17);
}

static struct io_uring_sqe *trial_sqe(struct trial *t, uint64_t user_data)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);
    ASSERT(sqe != NULL); /* a handful at most between submissions */
    io_uring_sqe_set_data64(sqe, user_data);
    return sqe;
}

static void arm_receive(struct trial *t, uint32_t stream)
{
    struct io_uring_sqe *sqe = trial_sqe(t, stream);
    io_uring_prep_recv_multishot(sqe, t->streams[stream].file, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = TRIAL_GROUP;
    io_uring_sqe_set_data64(sqe, stream);
    t->streams[stream].is_armed = true;
}

static void lend_buffer(struct trial *t, uint16_t bid)
{
    t->used_bytes[bid] = 0;
    t->order[t->tail++ % TRIAL_BUFFERS] = bid;
    io_uring_buf_ring_add(t->buf_ring, t->memory + bid * TRIAL_BUFFER_BYTES, TRIAL_BUFFER_BYTES,
                          bid, io_uring_buf_ring_mask(TRIAL_BUFFERS), 0);
    io_uring_buf_ring_advance(t->buf_ring, 1);
}

/* The order in which they come back differs from round to round. */
static void lend_all_finished(struct trial *t)
{
    uint32_t kept = t->tail - t->head;
    uint16_t bids[TRIAL_BUFFERS];
    uint32_t count = 0;
    for (uint16_t bid = 0; bid < TRIAL_BUFFERS; bid++) {
        bool is_lent = false;
        for (uint32_t i = 0; i < kept; i++)
            is_lent |= t->order[(t->head + i) % TRIAL_BUFFERS] == bid;
        if (!is_lent)
            bids[count++] = bid;
    }
    uint32_t first = t->tail;
    for (uint32_t i = 0; i < count; i++)
        lend_buffer(t, bids[(first + i) % count]);
}

static enum probe_result on_bytes(struct trial *t, uint32_t stream, uint32_t len, uint32_t flags)
{
    struct trial_stream *s = &t->streams[stream];
    uint32_t bid = flags >> IORING_CQE_BUFFER_SHIFT;
    if ((flags & IORING_CQE_F_BUFFER) == 0 || t->head == t->tail ||
        bid != t->order[t->head % TRIAL_BUFFERS])
        return PROBE_WRONG;
    uint32_t start = t->used_bytes[bid];
    if (len > TRIAL_BUFFER_BYTES - start || len > s->sent - s->received)
        return PROBE_WRONG;
    const uint8_t *bytes = t->memory + bid * TRIAL_BUFFER_BYTES + start;
    for (uint32_t i = 0; i < len; i++)
        if (bytes[i] != pattern(stream, s->received + i))
            return PROBE_WRONG;
    s->received += len;
    t->used_bytes[bid] = start + len;
    bool has_more = (flags & IORING_CQE_F_BUF_MORE) != 0;
    if (has_more && (!t->is_incremental || t->used_bytes[bid] == TRIAL_BUFFER_BYTES))
        return PROBE_WRONG;
    if (!has_more)
        t->head++;
    t->has_received = true;
    return PROBE_OFFERED;
}

static enum probe_result on_completion(struct trial *t, const struct io_uring_cqe *cqe)
{
    uint64_t name = io_uring_cqe_get_data64(cqe);
    if (name == TRIAL_ACCEPT) {
        if (cqe->res < 0 || t->accepted == TRIAL_STREAMS)
            return PROBE_ABSENT;
        t->streams[t->accepted++].file = cqe->res;
        return PROBE_OFFERED;
    }
    ASSERT(name < TRIAL_STREAMS);
    t->streams[name].is_armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->res == -ENOBUFS)
        return PROBE_OFFERED;
    if (cqe->res <= 0)
        return t->has_received ? PROBE_WRONG : PROBE_ABSENT;
    return on_bytes(t, (uint32_t)name, (uint32_t)cqe->res, cqe->flags);
}

/* Submits, waits for something, handles what is there. */
static enum probe_result trial_turn(struct trial *t)
{
    struct __kernel_timespec timeout = {.tv_nsec = (long long)TRIAL_WAIT_NS_MAX};
    struct io_uring_cqe *cqe;
    int result = io_uring_submit_and_wait_timeout(&t->ring, &cqe, 1, &timeout, NULL);
    if (result < 0 && result != -EINTR)
        return t->has_received ? PROBE_WRONG : PROBE_ABSENT;
    enum probe_result verdict = PROBE_OFFERED;
    while (verdict == PROBE_OFFERED && io_uring_peek_cqe(&t->ring, &cqe) == 0) {
        verdict = on_completion(t, cqe);
        io_uring_cqe_seen(&t->ring, cqe);
    }
    return verdict;
}

static enum probe_result receive_all(struct trial *t)
{
    for (uint32_t round = 0; round < TRIAL_ROUNDS_MAX; round++) {
        bool is_complete = true;
        for (uint32_t i = 0; i < TRIAL_STREAMS; i++) {
            is_complete &= t->streams[i].received == t->streams[i].sent;
            if (t->streams[i].is_armed)
                continue;
            lend_all_finished(t);
            arm_receive(t, i);
        }
        if (is_complete)
            return PROBE_OFFERED;
        enum probe_result verdict = trial_turn(t);
        if (verdict != PROBE_OFFERED)
            return verdict;
    }
    return PROBE_WRONG;
}

static bool send_bytes(struct trial *t, uint32_t stream, uint32_t len)
{
    struct trial_stream *s = &t->streams[stream];
    uint8_t bytes[6 * TRIAL_BUFFER_BYTES];
    ASSERT(len <= sizeof(bytes));
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = pattern(stream, s->sent + i);
    ssize_t sent = send(s->client_fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        s->sent += (uint32_t)sent;
    return sent == (ssize_t)len;
}

/* Pieces smaller than a buffer, just as large, larger, and larger than all of them together. */
static enum probe_result trial_receive(struct trial *t)
{
    static const uint32_t lens[] = {1,    100,   2000, 1995, 4096, 1,     4095,
                                    4097, 9000,  7,    3000, 3000, 8192,  20000,
                                    60,   12288, 500,  4096, 1,    16384, 24576};
    for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
        /* Every third time both have something to say at once. */
        if (!send_bytes(t, i % TRIAL_STREAMS, lens[i]) ||
            (i % 3 == 0 && !send_bytes(t, (i + 1) % TRIAL_STREAMS, lens[i] / 2 + 1)))
            return PROBE_ABSENT;
        enum probe_result verdict = receive_all(t);
        if (verdict != PROBE_OFFERED)
            return verdict;
    }
    return PROBE_OFFERED;
}

/* Clients are accepted in the order in which they connected. */
static enum probe_result trial_accept(struct trial *t)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t addr_len = sizeof(addr);
    t->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (t->listen_fd < 0 || bind(t->listen_fd, (struct sockaddr *)&addr, addr_len) < 0 ||
        listen(t->listen_fd, TRIAL_STREAMS) < 0 ||
        getsockname(t->listen_fd, (struct sockaddr *)&addr, &addr_len) < 0)
        return PROBE_UNTRIED;
    io_uring_prep_multishot_accept_direct(trial_sqe(t, TRIAL_ACCEPT), t->listen_fd, NULL, NULL, 0);
    for (uint32_t i = 0; i < TRIAL_STREAMS; i++) {
        struct trial_stream *s = &t->streams[i];
        s->client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->client_fd < 0 || connect(s->client_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
            return PROBE_UNTRIED;
        for (uint32_t round = 0; t->accepted == i && round < TRIAL_ROUNDS_MAX; round++)
            if (trial_turn(t) != PROBE_OFFERED)
                return PROBE_ABSENT;
    }
    return t->accepted == TRIAL_STREAMS ? PROBE_OFFERED : PROBE_ABSENT;
}

static bool trial_begin(struct trial *t, bool is_incremental)
{
    int result = ring_begin(&t->ring);
    t->buf_ring = NULL;
    t->is_incremental = is_incremental;
    t->listen_fd = -1;
    t->accepted = 0;
    t->head = 0;
    t->tail = 0;
    t->has_received = false;
    for (uint32_t i = 0; i < TRIAL_STREAMS; i++)
        t->streams[i] = (struct trial_stream){.client_fd = -1, .file = -1};
    if (result < 0)
        return false;
    return io_uring_register_files_sparse(&t->ring, 2 * TRIAL_STREAMS) == 0;
}

static void trial_end(struct trial *t)
{
    for (uint32_t i = 0; i < TRIAL_STREAMS; i++)
        if (t->streams[i].client_fd >= 0)
            close(t->streams[i].client_fd);
    if (t->listen_fd >= 0)
        close(t->listen_fd);
    if (t->ring.ring_fd < 0)
        return;
    if (t->buf_ring != NULL)
        (void)io_uring_free_buf_ring(&t->ring, t->buf_ring, TRIAL_BUFFERS, TRIAL_GROUP);
    io_uring_queue_exit(&t->ring);
}

/* @ret_accept may be NULL; the return value is about receiving. */
static enum probe_result trial_run(bool is_incremental, enum probe_result *ret_accept)
{
    struct trial t;
    t.ring.ring_fd = -1;
    enum probe_result verdict = PROBE_ABSENT;
    if (trial_begin(&t, is_incremental)) {
        int result = 0;
        verdict = trial_accept(&t);
        if (ret_accept != NULL)
            *ret_accept = verdict;
        t.buf_ring = io_uring_setup_buf_ring(&t.ring, TRIAL_BUFFERS, TRIAL_GROUP,
                                             is_incremental ? IOU_PBUF_RING_INC : 0, &result);
        if (t.buf_ring == NULL)
            verdict = PROBE_ABSENT;
        if (verdict == PROBE_OFFERED)
            verdict = trial_receive(&t);
    }
    trial_end(&t);
    return verdict;
}

bool probe_incremental_is_right(void)
{
    return trial_run(true, NULL) == PROBE_OFFERED;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void set(struct probe *p, enum probe_feature feature, bool is_offered)
{
    p->features[feature] = is_offered ? PROBE_OFFERED : PROBE_ABSENT;
}

static void probe_opcodes(struct probe *p)
{
    struct io_uring_probe *ops = io_uring_get_probe();
    if (ops != NULL) {
        for (uint32_t op = 0; op < IORING_OP_LAST; op++)
            p->op_count += io_uring_opcode_supported(ops, (int)op) != 0;
        set(p, PROBE_MESSAGE, io_uring_opcode_supported(ops, IORING_OP_MSG_RING));
        set(p, PROBE_SEND_ZEROCOPY, io_uring_opcode_supported(ops, IORING_OP_SEND_ZC));
        set(p, PROBE_RECV_ZEROCOPY, io_uring_opcode_supported(ops, IORING_OP_RECV_ZC));
        io_uring_free_probe(ops);
    }
    struct io_uring_query_opcode answer = {0};
    struct io_uring_query_hdr query = {
        .query_data = (uint64_t)(uintptr_t)&answer,
        .query_op = IO_URING_QUERY_OPCODES,
        .size = sizeof(answer),
    };
    /* A newer kernel may know more opcodes than the list of this build. */
    if (io_uring_register_query(&query) >= 0 && query.result >= 0) {
        p->register_count = answer.nr_register_opcodes;
        p->op_count = answer.nr_request_opcodes;
    }
}

/* Linux 6.7 and later can. */
static bool try_file_peer(struct io_uring *ring)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    struct io_uring_cqe *cqe;
    int fds[2];
    if (io_uring_register_files_sparse(ring, 1) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    bool can = io_uring_register_files_update(ring, 0, fds, 1) == 1;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_cmd_sock(sqe, SOCKET_URING_OP_GETSOCKOPT, 0, SOL_SOCKET, SO_PEERNAME, &addr,
                           sizeof(addr.ss_family));
    sqe->flags |= IOSQE_FIXED_FILE;
    if (can && io_uring_submit_and_wait(ring, 1) == 1 && io_uring_peek_cqe(ring, &cqe) == 0)
        can = cqe->res >= 0 && addr.ss_family == AF_UNIX;
    else
        can = false;
    close(fds[0]);
    close(fds[1]);
    return can;
}

static void probe_flags(struct probe *p, uint32_t features)
{
    const uint32_t one = IORING_SETUP_SINGLE_ISSUER;
    set(p, PROBE_SINGLE_ISSUER, try_ring(one, NULL) == 0);
    set(p, PROBE_DEFER_TASKRUN, try_ring(one | IORING_SETUP_DEFER_TASKRUN, NULL) == 0);
    set(p, PROBE_NO_SQARRAY, try_ring(IORING_SETUP_NO_SQARRAY, NULL) == 0);
    set(p, PROBE_CQE32, try_ring(IORING_SETUP_CQE32, NULL) == 0);
    set(p, PROBE_CQE_MIXED, try_ring(IORING_SETUP_CQE_MIXED, NULL) == 0);
    set(p, PROBE_MIN_TIMEOUT, (features & IORING_FEAT_MIN_TIMEOUT) != 0);
    struct io_uring ring;
    if (ring_begin(&ring) < 0)
        return;
    set(p, PROBE_FILE_PEER, try_file_peer(&ring));
    set(p, PROBE_RING_FD, io_uring_register_ring_fd(&ring) == 1);
    io_uring_queue_exit(&ring);
}

int probe_run(struct probe *ret_probe)
{
    struct probe *p = ret_probe;
    struct utsname name;
    uint32_t features = 0;
    *p = (struct probe){.kernel = "unknown"};
    if (uname(&name) == 0)
        snprintf(p->kernel, sizeof(p->kernel), "%s", name.release);
    p->result = try_ring(0, &features);
    if (p->result < 0)
        return p->result;
    probe_opcodes(p);
    probe_flags(p, features);
    p->features[PROBE_RECV_MULTISHOT] = trial_run(false, &p->features[PROBE_ACCEPT_MULTISHOT]);
    p->features[PROBE_BUFFERS_INCREMENTAL] = trial_run(true, NULL);
    return 0;
}

/* How a feature is used where the kernel offers it and no trial has shown it wrong. */
static const struct {
    const char *name;
    bool is_used;
    const char *why;
} feature_table[] = {
    [PROBE_SINGLE_ISSUER] = {"setup: single issuer", true, "a ring belongs to one thread"},
    [PROBE_DEFER_TASKRUN] = {"setup: deferred task work", true,
                             "completions are made when the shard gathers them"},
    [PROBE_NO_SQARRAY] = {"setup: no submission array", true, "one indirection less"},
    [PROBE_CQE32] = {"setup: 32-byte completions", false, "only zero-copy receive needs them"},
    [PROBE_CQE_MIXED] = {"setup: mixed completions", false, "only zero-copy receive needs them"},
    [PROBE_RING_FD] = {"registered ring descriptor", true, "no descriptor look-up a turn"},
    [PROBE_FILE_PEER] = {"peer address by file index", true,
                         "so that connections need no descriptors"},
    [PROBE_ACCEPT_MULTISHOT] = {"multishot accept, direct", true,
                                "one request a listener; no descriptors"},
    [PROBE_RECV_MULTISHOT] = {"multishot receive, buffer ring", true,
                              "one request a connection; memory only while bytes are there"},
    [PROBE_BUFFERS_INCREMENTAL] = {"incremental buffers", false,
                                   "self-test passed; whole buffers are as fast"},
    [PROBE_MESSAGE] = {"messages between rings", true, "commands to the shards"},
    [PROBE_SEND_ZEROCOPY] = {"zero-copy send", false, "replies are smaller than its set-up costs"},
    [PROBE_RECV_ZEROCOPY] = {"zero-copy receive", false, "needs a network card's queue"},
    [PROBE_MIN_TIMEOUT] = {"minimum wait", false, "waiting for more raises latency for nothing"},
};
static_assert(ARRAY_COUNT(feature_table) == PROBE_FEATURE_COUNT, "a row for each");

static const char *reason(const struct probe *p, uint32_t feature)
{
    switch (p->features[feature]) {
    case PROBE_UNTRIED:
        return "loopback does not work here: no trial";
    case PROBE_ABSENT:
        return "not offered";
    case PROBE_WRONG:
        return "self-test failed: bytes lost, changed or out of order";
    case PROBE_OFFERED:
        break;
    }
    return feature_table[feature].why;
}

void probe_print(FILE *out)
{
    struct probe p;
    (void)probe_run(&p);
    fprintf(out, "kernel: %s\n", p.kernel);
    if (p.result < 0) {
        fprintf(out, "io_uring: not available: %s (%s)\n", err_text(p.result), err_name(p.result));
        return;
    }
    fprintf(out, "request opcodes: %u\n", p.op_count);
    if (p.register_count > 0)
        fprintf(out, "register operations: %u\n", p.register_count);
    for (uint32_t i = 0; i < PROBE_FEATURE_COUNT; i++) {
        static const char *const offered[] = {
            [PROBE_UNTRIED] = "?",
            [PROBE_ABSENT] = "no",
            [PROBE_OFFERED] = "yes",
            [PROBE_WRONG] = "yes",
        };
        bool is_used = p.features[i] == PROBE_OFFERED && feature_table[i].is_used;
        fprintf(out, "%-31s offered: %-4s used: %-4s %s\n", feature_table[i].name,
                offered[p.features[i]], is_used ? "yes" : "no", reason(&p, i));
    }
}
