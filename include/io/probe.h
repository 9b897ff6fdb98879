/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what the kernel offers at start, what of it is used, and why.
 *
 * Whatever can be tried in a moment is tried, not looked up: kernels are patched, and containers
 * forbid things that a version number promises.
 */
#ifndef IO_PROBE_H
#define IO_PROBE_H

#include "base/base.h"
#include <stdio.h>

enum probe_feature {
    PROBE_SINGLE_ISSUER,
    PROBE_DEFER_TASKRUN,
    PROBE_NO_SQARRAY,
    PROBE_CQE32,
    PROBE_CQE_MIXED,
    PROBE_RING_FD,          /* registered ring descriptor */
    PROBE_FILE_PEER,        /* peer address of a socket in the file table */
    PROBE_ACCEPT_MULTISHOT, /* into the file table */
    PROBE_RECV_MULTISHOT,   /* into a ring of provided buffers */
    PROBE_BUFFERS_INCREMENTAL,
    PROBE_MESSAGE,
    PROBE_SEND_ZEROCOPY,
    PROBE_RECV_ZEROCOPY,
    PROBE_MIN_TIMEOUT,
    PROBE_FEATURE_COUNT
};

enum probe_result {
    PROBE_ABSENT,
    PROBE_OFFERED, /* the kernel says so, or a short trial went well */
    PROBE_WRONG,   /* offered, but the self-test saw bytes lost, changed or out of order */
    PROBE_UNTRIED  /* loopback does not work here, so the trial could not be made */
};

struct probe {
    char kernel[80];         /* release */
    int result;              /* 0, or why there is no ring at all: negative errno */
    uint32_t op_count;       /* request opcodes that the kernel supports */
    uint32_t register_count; /* register operations, 0 when it cannot be asked */
    enum probe_result features[PROBE_FEATURE_COUNT];
};

/*
 * probe_run() - find out; takes a few milliseconds, at worst half a second when the self-test hangs
 * @ret_probe: filled in any case
 * Return: 0, or a negative errno when this process may not use io_uring
 */
int probe_run(struct probe *ret_probe);

/* probe_print() - run, and print a line for each feature: offered, used, why. */
void probe_print(FILE *out);

/*
 * probe_incremental_is_right() - whether receive buffers may be consumed bit by bit
 *
 * Several kernels offer it and hand out bytes in a wrong order. It is tried on two loopback
 * connections which share a small ring of buffers and run it dry again and again; where loopback
 * does not work, nothing was shown, and the answer is no.
 */
MUST_CHECK bool probe_incremental_is_right(void);

#endif
