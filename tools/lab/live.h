/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - a point with real programs on real sockets: postern-sink, whose script makes it the
 * server of the point, and postern-load as its clients, one process for each row of a mix.
 */
#ifndef LAB_LIVE_H
#define LAB_LIVE_H

#include "lab/mode.h"

/* ..._can_run() - or why not. */
MUST_CHECK bool live_can_run(const struct lab_job *job, char ret_reason[LAB_MODE_REASON_BYTES_MAX]);
MUST_CHECK bool live_client_can_run(const struct lab_job *job,
                                    char ret_reason[LAB_MODE_REASON_BYTES_MAX]);
MUST_CHECK bool live_server_can_run(const struct lab_job *job,
                                    char ret_reason[LAB_MODE_REASON_BYTES_MAX]);
/* live_run() - 0 or a negative errno; what programs complain of is on job->err. */
MUST_CHECK int live_run(const struct lab_job *job, struct lab_measure *ret_measure);
/* live_client_run() - the same with a real mail program as the client. */
MUST_CHECK int live_client_run(const struct lab_job *job, struct lab_measure *ret_measure);
/* live_server_run() - and with one as the server. */
MUST_CHECK int live_server_run(const struct lab_job *job, struct lab_measure *ret_measure);
/* live_precision() - what the programs' own timers leave open at best; a run may show more. */
clock_ns live_precision(clock_ns time_scale_ns);

#endif
