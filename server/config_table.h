/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table.h - sections and settings, as rows; private to config.c and config_print.c.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config.h"

enum config_section {
    CONFIG_TOP,
    CONFIG_SPOOL,
    CONFIG_LOG,
    CONFIG_LIMITS,
    CONFIG_LISTENER,
    CONFIG_CLIENT,
    CONFIG_CLASS,
    CONFIG_DOMAIN,
    CONFIG_SECTION_COUNT
};

struct config_section_row {
    const char *name; /* "" at the top */
    bool is_labelled; /* listener "NAME" { }, any number of them */
    size_t offset;    /* of the struct in struct config; of labelled ones, nothing */
    const char *doc;
};

extern const struct config_section_row config_sections[CONFIG_SECTION_COUNT];
extern const struct knob config_knobs[];
extern const size_t config_knob_count;

/* config_record() - record @idx of a section, or NULL behind the last. */
void *config_record(const struct config *c, enum config_section section, uint32_t idx);

/* config_record_name() - label of a record of a labelled section. */
const char *config_record_name(const struct config *c, enum config_section section, uint32_t idx);

#endif
