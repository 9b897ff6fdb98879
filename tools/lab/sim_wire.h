/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_wire.h - the network: two pipes of a connection, with delay, rate, and the ends that TCP has.
 *
 * Data for an end that is closed brings a reset back, so the first write after the peer has closed
 * succeeds and the next one fails (DUP-10).
 */
#ifndef LAB_SIM_WIRE_H
#define LAB_SIM_WIRE_H

#include "lab/sim_state.h"

/* What may be written ahead of the wire. */
#define SIM_WIRE_AHEAD_BYTES (64 * KIB)

/* sim_wire_connect() - the server hears of it after one and a half round trips. */
void sim_wire_connect(struct sim *sim, struct sim_conn *c);
/* sim_wire_send() - false: the peer has reset the connection. */
MUST_CHECK bool sim_wire_send(struct sim *sim, struct sim_conn *c, enum sim_way way,
                              struct slice bytes);
/* sim_wire_taken_at() - when no more of what was sent is left than the sender's system takes. */
clock_ns sim_wire_taken_at(const struct sim *sim, const struct sim_conn *c, enum sim_way way);
/* sim_wire_finish() - no more will be sent this way; only the first call does something. */
void sim_wire_finish(struct sim *sim, struct sim_conn *c, enum sim_way way);
/* sim_wire_deliver() - the next segment has arrived: its mark, and NONE for octets that can be
 * read; false: it was for nobody. */
MUST_CHECK bool sim_wire_deliver(struct sim *sim, struct sim_conn *c, enum sim_way way,
                                 enum sim_mark *ret_mark);
/* sim_wire_drop() - whatever is under way or not read is lost. */
void sim_wire_drop(struct sim *sim, struct sim_conn *c);

/* sim_wire_peek() - octets that can be read at once. */
struct slice sim_wire_peek(const struct sim_pipe *p);
/* sim_wire_consume() - of these. */
void sim_wire_consume(struct sim *sim, struct sim_pipe *p, size_t len);
/* sim_wire_join() - put more behind those that are left; false: there are no more. */
MUST_CHECK bool sim_wire_join(struct sim *sim, struct sim_pipe *p);

#endif
