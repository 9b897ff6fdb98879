/* SPDX-License-Identifier: Apache-2.0 */
/* sim_server.h - the server end of a connection: a session machine and what it decides, and when.
 */
#ifndef LAB_SIM_SERVER_H
#define LAB_SIM_SERVER_H

#include "lab/sim_state.h"

/* sim_server_init() - nobody has connected yet. */
void sim_server_init(struct sim *sim, struct sim_conn *c);
/* sim_server_on_mark() - a segment has arrived. */
void sim_server_on_mark(struct sim *sim, struct sim_conn *c, enum sim_mark mark);
/* sim_server_on_event() - SIM_BEFORE and later; those that have become pointless are ignored. */
void sim_server_on_event(struct sim *sim, struct sim_conn *c, const struct sim_event *e);
/* sim_server_on_reset() - the connection is cut. */
void sim_server_on_reset(struct sim *sim, struct sim_conn *c);
/* sim_server_stop() - the run ends. */
void sim_server_stop(struct sim *sim, struct sim_conn *c);

#endif
