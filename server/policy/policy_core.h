/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_core.h - what policy.c reads and policy_build.c makes: one core, shared by its handles.
 */
#ifndef POLICY_POLICY_CORE_H
#define POLICY_POLICY_CORE_H

#include "policy/policy.h"
#include "policy/policy_build.h"
#include <stdatomic.h>

#define POLICY_NONE UINT32_MAX
#define POLICY_CLASS_NONE UINT16_MAX

struct policy_source {  /* of one domain, in order */
    uint32_t table_idx; /* POLICY_NONE: any */
};

struct policy_domain {
    struct slice name; /* lower case; subdomains: without "*" (".example.org"); "*" for all */
    uint16_t class_idx;
    uint16_t source_count;
    uint32_t source_idx; /* of the first */
};

struct policy_table {
    struct table *table;
    uint16_t *class_idx; /* class number of the table, less one -> class of the policy */
};

struct policy_core {
    atomic_uint refs;
    bool folds_local;
    uint8_t delimiter_count;
    uint8_t delimiters[POLICY_DELIMITERS_MAX];

    struct policy_class *classes;
    uint16_t class_count;
    uint16_t class_idx_postmaster; /* POLICY_CLASS_NONE: the domain's */
    bool has_delays;               /* in a class */

    struct policy_domain *domains;
    uint32_t domain_count;
    uint32_t domain_idx_all; /* "*"; POLICY_NONE */
    bool has_subdomains;     /* a name that starts with "." is in the table */
    uint32_t *domain_slots;  /* open addressing: domain index plus 1, 0 is empty */
    uint32_t domain_slot_mask;

    struct policy_source *sources;
    uint32_t source_count;
    struct policy_table *tables;
    uint32_t table_count;
};

struct policy { /* a handle */
    struct policy_core *core;
    atomic_uint refs;
    uint32_t reader_count;         /* those opened so far: all, but while it is made */
    struct table_reader readers[]; /* one per table of the core */
};

/* policy_core_free() - tables, classes and all; no handle is left. */
void policy_core_free(struct policy_core *core);

/* policy_domain_slot() - the slot of @name (lower case), or the empty one where it would stand. */
uint32_t *policy_domain_slot(const struct policy_core *core, struct slice name);

#endif
