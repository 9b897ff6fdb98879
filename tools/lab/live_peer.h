/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_peer.h - real mail programs as an end of a run. bench/lab/real_peer.py brings them up and
 * writes what they tell; here is what can be asked of them, and how it is called.
 */
#ifndef LAB_LIVE_PEER_H
#define LAB_LIVE_PEER_H

#include "lab/args.h"
#include "lab/live_plan.h"
#include "lab/process.h"

/* live_peer_can_send() - whether the program that the client is like can be the client of @p. */
MUST_CHECK bool live_peer_can_send(const struct lab_point *p, clock_ns time_scale_ns,
                                   char ret_reason[LIVE_REASON_BYTES_MAX]);
/* live_peer_can_serve() - whether server.program can be its server. */
MUST_CHECK bool live_peer_can_serve(const struct lab_point *p,
                                    char ret_reason[LIVE_REASON_BYTES_MAX]);

/* live_peer_find() - the path of real_peer.py, which is in the source tree that this program was
 * built in; false: it is not there. */
MUST_CHECK bool live_peer_find(char ret_path[PROCESS_PATH_BYTES_MAX]);
/* live_peer_is_there() - or why not. */
MUST_CHECK bool live_peer_is_there(const char *name, char ret_reason[LIVE_REASON_BYTES_MAX]);

/* live_peer_put_client() - the words that start it, but for the files. */
void live_peer_put_client(struct args *a, const struct lab_point *p, clock_ns time_scale_ns,
                          uint32_t port);
/* live_peer_put_rules() - what postern-sink does beside the point's rules: no more tries than the
 * point has, as the programs have no such number. */
void live_peer_put_rules(struct args *a, const struct lab_point *p);
/* live_peer_put_server() - the same for a server. */
void live_peer_put_server(struct args *a, const struct lab_point *p);

/* live_peer_client_name() - as real_peer.py calls the program; NULL: it knows none. */
const char *live_peer_client_name(enum lab_like like);

#endif
