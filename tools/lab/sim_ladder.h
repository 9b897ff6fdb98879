/* SPDX-License-Identifier: Apache-2.0 */
/* sim_ladder.h - what the simulation says about the one message that is followed. */
#ifndef LAB_SIM_LADDER_H
#define LAB_SIM_LADDER_H

#include "lab/sim_state.h"

/* sim_ladder_note() - @who did something, or does it @for_ns long. Nothing when @c is not followed.
 */
void sim_ladder_note(struct sim *sim, const struct sim_conn *c, enum ladder_who who,
                     clock_ns for_ns, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* sim_ladder_lines() - octets on the wire, a rung for each line. */
void sim_ladder_lines(struct sim *sim, const struct sim_conn *c, enum sim_way way,
                      struct slice bytes);
/* sim_ladder_content() - the content and its end, on the wire. */
void sim_ladder_content(struct sim *sim, const struct sim_conn *c, uint64_t len);
/* sim_ladder_cut() - what is under way does not arrive. */
void sim_ladder_cut(struct sim *sim, const struct sim_conn *c);

#endif
