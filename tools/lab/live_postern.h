/* SPDX-License-Identifier: Apache-2.0 */
/* live_postern.h - posternd as the server of a live run: its configuration, or why it cannot be. */
#ifndef LAB_LIVE_POSTERN_H
#define LAB_LIVE_POSTERN_H

#include "lab/live_plan.h"
#include <stdio.h>

/* live_postern_can_serve() - whether posternd can be the server of @p. */
MUST_CHECK bool live_postern_can_serve(const struct lab_point *p, clock_ns time_scale_ns,
                                       char ret_reason[LIVE_REASON_BYTES_MAX]);
/* live_postern_config() - the file that makes it the server of @p, on a unix socket "s" and with a
 * spool in @folder. */
void live_postern_config(const struct lab_point *p, clock_ns time_scale_ns, const char *folder,
                         FILE *out);

#endif
