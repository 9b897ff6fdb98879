/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_map.h - "posternctl map": recipient maps. */
#ifndef CTL_MAP_H
#define CTL_MAP_H

#include <stdio.h>

/*
 * ctl_map_main() - build, query or dump a map
 * @argv: "map", verb, arguments
 * Return: exit status: 0; 1 for what failed or was not found (said on standard error); 2 for usage
 */
int ctl_map_main(int argc, char **argv);

/* ctl_map_run() - the same with other streams. */
int ctl_map_run(int argc, char **argv, FILE *out, FILE *err);

#endif
