/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - runs a point of an experiment with the real session and client machines on a simulated
 * network and clock. Deterministic: the same point and seed give the same attempts and arrivals,
 * octet by octet.
 *
 * What is due exactly at a limit is in time: at one instant the network comes first, then work,
 * then limits (DUP section 4: LMTP total, C = 300 s loses 2, 299 s loses 3).
 */
#ifndef LAB_SIM_H
#define LAB_SIM_H

#include "lab/ladder.h"
#include "lab/point.h"
#include <stdio.h>

#define SIM_SERIES_BUCKETS_MAX 4096

struct lab_sim_options { /* all zero: count only */
    FILE *attempts;      /* as postern-load writes them; NULL: not wanted */
    FILE *arrivals;      /* as postern-sink writes them */
    struct ladder *ladder;
    uint64_t ladder_seq;      /* of this message, from 0 */
    clock_ns series_width_ns; /* 0: no series; it doubles until the run fits in
                                 SIM_SERIES_BUCKETS_MAX */
};

/*
 * lab_sim() - run @p once
 * @ret_measure: lab_measure_init() was called; the caller's on success and failure
 *
 * Memory:  for what is under way: about 1.5 KiB and 150 octets a recipient for each connection, 100
 *          octets and 16 a recipient for each message that waits for its next try
 * Return:  0, -ENOMEM, -EINVAL for a point that makes no sense, or the errno of a file
 */
MUST_CHECK int lab_sim(const struct lab_point *p, uint64_t seed, const struct lab_sim_options *o,
                       struct lab_measure *ret_measure);

#endif
