/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_envelope.h - everything about a stored message but its content, as text and as JSON. */
#ifndef CTL_ENVELOPE_H
#define CTL_ENVELOPE_H

#include "spool/store.h"
#include <stdio.h>

/* envelope_put_text() - "name: value" lines, then a line for each recipient. */
void envelope_put_text(FILE *out, const char *dir, const struct store_message *m);

/* envelope_put_json() - one object on one line. */
void envelope_put_json(FILE *out, const struct store_message *m);

#endif
