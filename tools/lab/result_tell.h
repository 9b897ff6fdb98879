/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_tell.h - what there is to say about a result besides its table, a sentence a line. Plain
 * text: who puts it into a page escapes it.
 */
#ifndef LAB_RESULT_TELL_H
#define LAB_RESULT_TELL_H

#include "lab/result.h"

/* lab_tell_point_name() - "point 3 (server.dialect = lmtp, client.timer = total)", no line end. */
void lab_tell_point_name(const struct lab_result_experiment *e, uint32_t idx, FILE *out);
/* lab_tell_deviations() - a line for each; returns how many. */
uint32_t lab_tell_deviations(const struct lab_result *r, const struct lab_result_experiment *e,
                             FILE *out);
/* lab_tell_why_none() - where there is no closed form; false: for no point is there one. */
bool lab_tell_why_none(const struct lab_result_experiment *e, FILE *out);
/* lab_tell_not_run() - which modes could not run which points; the same reason once. */
void lab_tell_not_run(const struct lab_result *r, const struct lab_result_experiment *e, FILE *out);
/* lab_tell_precision() - how exactly times were kept, and what that is in real time. */
void lab_tell_precision(const struct lab_result *r, const struct lab_result_experiment *e,
                        FILE *out);
/* lab_tell_projection() - means times messages, for each point. */
void lab_tell_projection(const struct lab_result *r, const struct lab_result_experiment *e,
                         FILE *out);

#endif
