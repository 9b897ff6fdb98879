/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_plan.h - a point as command lines of postern-sink and postern-load, or why it cannot be
 * one. Pure.
 *
 * A second of the model takes time_scale_ns. What a program cannot do is refused, and never
 * replaced by something that is nearly the same.
 */
#ifndef LAB_LIVE_PLAN_H
#define LAB_LIVE_PLAN_H

#include "lab/args.h"
#include "lab/point.h"

#define LIVE_REASON_BYTES_MAX 160
#define LIVE_PAIRS_MAX 10000000
#define LIVE_ALONE_MAX 64 /* messages at a time that do not come at a rate */
#define LIVE_CONNECTIONS_MAX 4000
#define LIVE_REFUSED_MAX 40                /* a rule of the script each */
#define LIVE_LIMIT_NS_MIN (20 * NS_PER_MS) /* real; below, a limit says more of the machine */
#define LIVE_ADDRESS "r%u@*"               /* of recipient %u of a message, from 0 */

/* live_time() - the real time of @model_ns; CLOCK_NEVER stays. */
clock_ns live_time(clock_ns model_ns, clock_ns time_scale_ns);
/* live_model_time() - the other way. */
clock_ns live_model_time(clock_ns real_ns, clock_ns time_scale_ns);

/* live_cannot() - says why; false. */
PRINTF_LIKE(2, 3)
bool live_cannot(char ret_reason[LIVE_REASON_BYTES_MAX], const char *fmt, ...);
/* live_can_serve() - whether postern-sink can be the server of @p. */
MUST_CHECK bool live_can_serve(const struct lab_point *p, char ret_reason[LIVE_REASON_BYTES_MAX]);
/* live_can_send() - whether postern-load can be the client of @p. */
MUST_CHECK bool live_can_send(const struct lab_point *p, clock_ns time_scale_ns,
                              char ret_reason[LIVE_REASON_BYTES_MAX]);

/* live_put_server() - the options of postern-sink that make it the server of @p. */
void live_put_server(struct args *a, const struct lab_point *p, clock_ns time_scale_ns);

struct live_sender {
    const struct lab_client *client;
    uint64_t messages;
    uint32_t connections;
    double rate_per_s; /* model; 0: each message alone */
};
/* live_senders() - one for each row of the mix that has messages; how many. */
uint32_t live_senders(const struct lab_point *p, struct live_sender ret_senders[LAB_MIX_ROWS_MAX]);
/* live_put_sender() - the options of postern-load that make it one of them. */
void live_put_sender(struct args *a, const struct lab_point *p, const struct live_sender *s,
                     clock_ns time_scale_ns);

/* live_scheme() - of the URL: "smtp" or "lmtp". */
const char *live_scheme(const struct lab_point *p);

/* live_longest() - an estimate of the model time that the run takes at most; CLOCK_NEVER: none. */
clock_ns live_longest(const struct lab_point *p);

/*
 * live_reply_due() - when reply @k (from 0) of a message's first try is read by the point, model
 * time from the end of the content
 * @k: CLOCK_NEVER asks for the last one
 * Return: CLOCK_NEVER: it is not fixed
 */
clock_ns live_reply_due(const struct lab_point *p, uint64_t k);

#endif
