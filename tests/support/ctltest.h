/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctltest.h - what the tests of "posternctl spool" share: one spool for each test, a command line
 * from a format, and what must have been said.
 */
#ifndef SUPPORT_CTLTEST_H
#define SUPPORT_CTLTEST_H

#include "base/base.h"
#include "spoolmaker.h"

extern struct spoolmaker ctltest_spool;

/* ctltest_setup(), ctltest_teardown() - a spool of its own for each test. */
int ctltest_setup(void **state);
int ctltest_teardown(void **state);

/* ctltest_add() - a message to one active recipient, in pieces of so many octets (0: one piece);
 * its queue id. */
uint64_t ctltest_add(struct slice content, size_t piece_bytes);

/* ctltest_id() - a queue id as text; the last eight are kept. */
const char *ctltest_id(uint64_t queue_id);

/* ctltest_run() - spoolmaker_ctl() with a line from a format: the exit status. */
PRINTF_LIKE(1, 2)
int ctltest_run(const char *fmt, ...);

/* ctltest_assert_said() - @said is exactly what the format makes. */
PRINTF_LIKE(2, 3)
void ctltest_assert_said(const char *said, const char *fmt, ...);

#endif
