/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_load.h - one load in progress; shared by config.c, config_listen.c and config_policy.c.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config.h"

struct config_load {
    struct config *config;
    struct config_error *error;
    const char *name;     /* of the file, for errors */
    const char *work_dir; /* where relative paths of the command line start */
    struct knob_context knobs;
};

/* config_fail() - "FILE:LINE: ..." into the error; -EINVAL. @line 0: "FILE: ...". */
int config_fail(struct config_load *l, uint32_t line, const char *fmt, ...) PRINTF_LIKE(3, 4);
int config_fail_memory(struct config_load *l);

/* config_line_of() - of @key in a section, else of the section, 0 without one. */
uint32_t config_line_of(const struct conftree_node *section, const char *key);

/* config_read_file() - a whole file; the bytes are the caller's to free(). */
MUST_CHECK int config_read_file(const char *path, size_t bytes_max, struct slice *ret_text);

/* config_listen() - addresses and session settings of all listeners. */
MUST_CHECK int config_listen(struct config_load *l);

/* config_delays() - delays hold up nobody's real mail by mistake. */
MUST_CHECK int config_delays(struct config_load *l);

/* config_clients() - client sections: config->patient_clients. */
MUST_CHECK int config_clients(struct config_load *l);

/* config_policy() - classes, domains, sources: config->policy. */
MUST_CHECK int config_policy(struct config_load *l);

#endif
