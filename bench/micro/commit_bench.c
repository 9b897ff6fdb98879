/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit_bench.c - how a group commit should be asked for: write, data sync, and N replies behind
 * it.
 *
 * One file, written before (as a recycled segment is), on the file system of the working folder; N
 * loopback TCP connections for the replies; a ring with the flags of io/ring.c. Each way is tried
 * on groups of the same size, the ways take turns, and for each the processor time of a group (all
 * threads of the process, so io_uring's workers too) and the time from submitting to the last reply
 * are printed. "machine" is what all cores were busy for in that time: on an otherwise idle machine
 * the difference is the kernel's own threads (block device, journal).
 *
 * Usage: commit_bench [--dir DIR] [--benchmark_...]
 * Of Google Benchmark's options, which "tools/dev bench micro" hands to all, a minimum time below
 * 0.1 seconds means a single round; the others are passed over.
 */
#include "base/base.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (64 * MIB)
#define REPLIES_MAX 64
#define WRITE_BYTES_MAX (64 * KIB)
#define GROUPS_A_ROUND 40
#define ROUNDS_MAX 9
#define SEND_FLAGS (MSG_WAITALL | MSG_NOSIGNAL)

static const char reply[] = "250 2.0.0 stored as 0123456789ABC\r\n";
#define REPLY_BYTES (sizeof(reply) - 1)

struct bench {
    struct io_uring ring;
    int fd;        /* buffered */
    int direct_fd; /* O_DIRECT | O_DSYNC, negative where that is refused */
    uint8_t *content;
    size_t offset;
    size_t bytes;
    unsigned replies;
    int near[REPLIES_MAX]; /* we send here */
    int far[REPLIES_MAX];  /* and the peer reads here */
};

struct way {
    const char *name;
    void (*commit)(struct bench *b);
};

__attribute__((noreturn)) static void die(const char *what, int error)
{
    fprintf(stderr, "commit_bench: %s: %s\n", what, err_text(error));
    exit(1);
}

/* --- parts ------------------------------------------------------------------------------------ */

static struct io_uring_sqe *sqe_take(struct bench *b)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    if (sqe == NULL)
        die("no submission entry", -ENOSPC);
    return sqe;
}

static struct io_uring_sqe *prep_write(struct bench *b, int fd)
{
    struct io_uring_sqe *sqe = sqe_take(b);
    io_uring_prep_write(sqe, fd, b->content, (unsigned)b->bytes, b->offset);
    return sqe;
}

static struct io_uring_sqe *prep_sync(struct bench *b)
{
    struct io_uring_sqe *sqe = sqe_take(b);
    io_uring_prep_fsync(sqe, b->fd, IORING_FSYNC_DATASYNC);
    return sqe;
}

/* Submits, and takes completions until @count have come; each must be a success. */
static void complete(struct bench *b, unsigned count)
{
    unsigned head, seen = 0;
    struct io_uring_cqe *cqe;
    while (seen < count) {
        int result = io_uring_submit_and_wait(&b->ring, 1);
        if (result < 0 && result != -EINTR)
            die("io_uring_submit_and_wait", result);
        unsigned taken = 0;
        io_uring_for_each_cqe (&b->ring, head, cqe) {
            if (cqe->res < 0)
                die("operation", cqe->res);
            taken++;
        }
        io_uring_cq_advance(&b->ring, taken);
        seen += taken;
    }
}

/* As ring_send_quiet(): sent within the submitting call, no completion. */
static void send_replies(struct bench *b)
{
    for (unsigned i = 0; i < b->replies; i++) {
        struct io_uring_sqe *sqe = sqe_take(b);
        io_uring_prep_send(sqe, b->near[i], reply, REPLY_BYTES, SEND_FLAGS | MSG_DONTWAIT);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    int result = io_uring_submit(&b->ring);
    if (result != (int)b->replies)
        die("io_uring_submit", result < 0 ? result : -EAGAIN);
}

/* --- ways ------------------------------------------------------------------------------------- */

/* The write's own completion wakes us up once more. */
static void commit_linked(struct bench *b)
{
    prep_write(b, b->fd)->flags |= IOSQE_IO_LINK;
    prep_sync(b);
    complete(b, 2);
    send_replies(b);
}

static void commit_linked_skip(struct bench *b)
{
    prep_write(b, b->fd)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    prep_sync(b);
    complete(b, 1);
    send_replies(b);
}

static void commit_linked_nop(struct bench *b)
{
    prep_write(b, b->fd)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    prep_sync(b)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_prep_nop(sqe_take(b));
    complete(b, 1);
    send_replies(b);
}

/* Only the last one reports. This is how fast it would be; but replies leave although the sync has
 * failed, since that does not break a chain, so the server does not do it (server/io/ring.c). */
static void commit_chain(struct bench *b)
{
    prep_write(b, b->fd)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    prep_sync(b)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    for (unsigned i = 0; i < b->replies; i++) {
        struct io_uring_sqe *sqe = sqe_take(b);
        io_uring_prep_send(sqe, b->near[i], reply, REPLY_BYTES, SEND_FLAGS);
        if (i + 1 < b->replies)
            sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    }
    complete(b, 1);
}

/* The same with one operation for write and sync, whose failure does break it (hard links, so that
 * a peer who does not read holds up nobody else): commit_replies = linked. */
static void commit_dsync_chain(struct bench *b)
{
    struct io_uring_sqe *write = prep_write(b, b->fd);
    write->rw_flags = RWF_DSYNC;
    write->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    for (unsigned i = 0; i < b->replies; i++) {
        struct io_uring_sqe *sqe = sqe_take(b);
        io_uring_prep_send(sqe, b->near[i], reply, REPLY_BYTES, SEND_FLAGS | MSG_DONTWAIT);
        if (i + 1 < b->replies)
            sqe->flags |= IOSQE_IO_HARDLINK;
    }
    complete(b, b->replies);
}

static void commit_two_calls(struct bench *b)
{
    prep_write(b, b->fd);
    complete(b, 1);
    prep_sync(b);
    complete(b, 1);
    send_replies(b);
}

/* One operation: the kernel syncs the range that it wrote. */
static void commit_dsync(struct bench *b)
{
    prep_write(b, b->fd)->rw_flags = RWF_DSYNC;
    complete(b, 1);
    send_replies(b);
}

static void commit_direct(struct bench *b)
{
    prep_write(b, b->direct_fd);
    complete(b, 1);
    send_replies(b);
}

/* No ring: what the file system alone costs. The shard stands still meanwhile. */
static void commit_blocking(struct bench *b)
{
    if (pwrite(b->fd, b->content, b->bytes, (off_t)b->offset) != (ssize_t)b->bytes)
        die("pwrite", -errno);
    if (fdatasync(b->fd) < 0)
        die("fdatasync", -errno);
    send_replies(b);
}

static const struct way ways[] = {
    {"write -> sync, then sends", commit_linked},
    {"same, write posts nothing", commit_linked_skip},
    {"write -> sync -> nop, sends", commit_linked_nop},
    {"write -> sync -> send -> send", commit_chain},
    {"write with RWF_DSYNC -> sends", commit_dsync_chain},
    {"write; sync; sends", commit_two_calls},
    {"write with RWF_DSYNC, sends", commit_dsync},
    {"O_DIRECT|O_DSYNC write, sends", commit_direct},
    {"pwrite, fdatasync (blocking)", commit_blocking},
};

/* --- measuring -------------------------------------------------------------------------------- */

static double seconds_of(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What all cores were busy for so far. */
static double machine_seconds(void)
{
    unsigned long long user, nice_, sys, idle, wait, irq, softirq;
    FILE *stat = fopen("/proc/stat", "r");
    if (stat == NULL || fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice_, &sys,
                               &idle, &wait, &irq, &softirq) != 7)
        die("/proc/stat", -EIO);
    fclose(stat);
    return (double)(user + nice_ + sys + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static void drain(struct bench *b)
{
    char buf[16 * KIB];
    for (unsigned i = 0; i < b->replies; i++)
        while (recv(b->far[i], buf, sizeof(buf), MSG_DONTWAIT) > 0)
            ;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

struct result {
    double cpu[ROUNDS_MAX];
    double latency[ROUNDS_MAX * GROUPS_A_ROUND];
    double machine;
};

static void round_run(struct bench *b, const struct way *way, unsigned round_idx, struct result *r)
{
    double machine = machine_seconds();
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < GROUPS_A_ROUND; i++) {
        double start = seconds_of(CLOCK_MONOTONIC);
        way->commit(b);
        r->latency[round_idx * GROUPS_A_ROUND + i] = seconds_of(CLOCK_MONOTONIC) - start;
        b->offset = (b->offset + b->bytes) % FILE_BYTES;
    }
    r->cpu[round_idx] = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / GROUPS_A_ROUND;
    r->machine += machine_seconds() - machine;
    drain(b);
}

static void compare_ways(struct bench *b, size_t bytes, unsigned replies, unsigned rounds)
{
    static struct result results[ARRAY_COUNT(ways)];
    static struct result discarded;
    memset(results, 0, sizeof(results));
    b->bytes = bytes;
    b->replies = replies;
    for (unsigned round_idx = 0; round_idx <= rounds; round_idx++) {
        for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
            if (ways[i].commit == commit_direct && b->direct_fd < 0)
                continue;
            if (round_idx == 0)
                round_run(b, &ways[i], 0, &discarded);
            else
                round_run(b, &ways[i], round_idx - 1, &results[i]);
        }
    }
    size_t count = (size_t)rounds * GROUPS_A_ROUND;
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        struct result *r = &results[i];
        qsort(r->cpu, rounds, sizeof(double), compare_doubles);
        qsort(r->latency, count, sizeof(double), compare_doubles);
        printf("%6zu KiB %3u replies  %-31s %9.1f %9.1f %9.1f %9.1f\n", bytes / KIB, replies,
               ways[i].name, r->cpu[rounds / 2] * 1e6, r->latency[count / 2] * 1e6,
               r->latency[count * 99 / 100] * 1e6, r->machine / (double)count * 1e6);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static void files_open(struct bench *b, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/commit_bench.%ld", dir, (long)getpid());
    b->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (b->fd < 0)
        die(path, -errno);
    b->direct_fd = open(path, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
    unlink(path);
    if (posix_memalign((void **)&b->content, 4096, WRITE_BYTES_MAX) != 0)
        die("memory", -ENOMEM);
    memset(b->content, 'x', WRITE_BYTES_MAX);
    for (size_t at = 0; at < FILE_BYTES; at += WRITE_BYTES_MAX)
        if (pwrite(b->fd, b->content, WRITE_BYTES_MAX, (off_t)at) != (ssize_t)WRITE_BYTES_MAX)
            die("pwrite", -errno);
    if (fsync(b->fd) < 0)
        die("fsync", -errno);
}

static void connections_open(struct bench *b)
{
    int on = 1;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
        listen(listener, REPLIES_MAX) < 0)
        die("listen", -errno);
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        b->far[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (b->far[i] < 0 || connect(b->far[i], (struct sockaddr *)&addr, len) < 0)
            die("connect", -errno);
        b->near[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (b->near[i] < 0 || setsockopt(b->near[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
            die("accept", -errno);
    }
    close(listener);
}

static void ring_open(struct bench *b)
{
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                     IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    struct io_uring_params params = {.flags = flags, .cq_entries = 1024};
    int result = io_uring_queue_init_params(256, &b->ring, &params);
    if (result < 0)
        die("io_uring", result);
    (void)io_uring_register_ring_fd(&b->ring);
}

int main(int argc, char **argv)
{
    static struct bench b;
    static const size_t sizes[] = {4 * KIB, 64 * KIB};
    static const unsigned counts[] = {1, 8, REPLIES_MAX};
    const char *dir = ".";
    unsigned rounds = ROUNDS_MAX;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            dir = argv[++i];
        } else if (strncmp(argv[i], "--benchmark_min_time=0.0", 24) == 0) {
            rounds = 1;
        } else if (strncmp(argv[i], "--benchmark_", 12) != 0) {
            fprintf(stderr, "usage: commit_bench [--dir DIR] [--benchmark_...]\n");
            return 64;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    files_open(&b, dir);
    connections_open(&b);
    ring_open(&b);
    printf("microseconds a group: medians of %u rounds of %d groups\n", rounds, GROUPS_A_ROUND);
    printf("%-57s %9s %9s %9s %9s\n", "", "CPU", "p50", "p99", "machine");
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t k = 0; k < ARRAY_COUNT(counts); k++)
            compare_ways(&b, sizes[i], counts[k], rounds);
    io_uring_queue_exit(&b.ring);
    return 0;
}
