/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_spool.h - "posternctl spool": what is in a spool directory, and what is to become of it. */
#ifndef CTL_SPOOL_H
#define CTL_SPOOL_H

#include "base/clock.h"
#include <stdio.h>

/*
 * ctl_spool_main() - list, show, verify, export, delete or requeue messages
 * @argv: "spool", verb, arguments; reordered
 * Return: exit status: 0; 1 for what failed, was not found or is damaged (said on standard error);
 *         2 for usage
 */
int ctl_spool_main(int argc, char **argv);

/* ctl_spool_run() - the same with other streams, at another time. */
int ctl_spool_run(int argc, char **argv, FILE *out, FILE *err, wall_us now);

#endif
