/* SPDX-License-Identifier: Apache-2.0 */
/* sim_client.h - the client end of a connection: a client machine, its limit, what it credits. */
#ifndef LAB_SIM_CLIENT_H
#define LAB_SIM_CLIENT_H

#include "lab/sim_state.h"

/* sim_client_begin() - connect. */
void sim_client_begin(struct sim *sim, struct sim_conn *c);
/* sim_client_on_mark() - a segment has arrived. */
void sim_client_on_mark(struct sim *sim, struct sim_conn *c, enum sim_mark mark);
/* sim_client_on_limit() - a limit may have passed. */
void sim_client_on_limit(struct sim *sim, struct sim_conn *c);
/* sim_client_on_reset() - the connection is cut. */
void sim_client_on_reset(struct sim *sim, struct sim_conn *c);
/* sim_client_stop() - the run ends. */
void sim_client_stop(struct sim *sim, struct sim_conn *c);

#endif
