/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_build.h - make a policy, step by step, at start and reload. Allocates; not for messages.
 *
 * Order: begin, classes, domains with their sources, finish (or abort). Everything given is copied,
 * except tables, which are taken over. Text errors are the caller's to find before: names that are
 * not valid, or used twice, are outcomes here and never assertions.
 */
#ifndef POLICY_POLICY_BUILD_H
#define POLICY_POLICY_BUILD_H

#include "policy/policy.h"
#include "policy/table.h"

#define POLICY_CLASS_COUNT_MAX TABLE_CLASS_COUNT_MAX
#define POLICY_CLASS_DEFAULT 0 /* index of class "default", which always exists */
#define POLICY_SOURCES_MAX 16  /* per domain */
#define POLICY_DELIMITERS_MAX 8

struct policy_build;

struct policy_build_options {
    bool folds_local;        /* local parts compare without regard to case */
    struct slice delimiters; /* "+": user+extension is user when it is not listed itself */
};

enum policy_build_result {
    POLICY_BUILD_OK = 0,
    POLICY_BUILD_EXISTS,  /* that name is taken */
    POLICY_BUILD_INVALID, /* bad name, or a source after "any", or folding that differs */
    POLICY_BUILD_TOO_MANY,
    POLICY_BUILD_UNKNOWN_CLASS, /* a table refers to a class that was not given */
    POLICY_BUILD_NO_MEMORY,
};

/* policy_build_begin() - class "default" is there already. 0 or -ENOMEM. */
MUST_CHECK int policy_build_begin(const struct policy_build_options *options,
                                  struct policy_build **ret_build);
/* policy_build_abort() - with the tables that it took over; NULL is fine. */
void policy_build_abort(struct policy_build *b);

/* policy_build_class() - class "default" replaces the built-in one, at its index. */
MUST_CHECK enum policy_build_result
policy_build_class(struct policy_build *b, const struct policy_class *c, uint16_t *ret_class_idx);
/* policy_build_find_class() - false when there is none of that name. */
bool policy_build_find_class(const struct policy_build *b, struct slice name,
                             uint16_t *ret_class_idx);

/*
 * policy_build_domain() - serve a domain
 * @name: "example.org"; "*.example.org" or ".example.org" for all its subdomains (not itself);
 *        "[192.0.2.1]"; "*" for every domain not listed otherwise
 */
MUST_CHECK enum policy_build_result policy_build_domain(struct policy_build *b, struct slice name,
                                                        uint16_t class_idx,
                                                        uint32_t *ret_domain_idx);

/* policy_build_table() - take over @t (on success only); a source of any number of domains.
 * @ret_unknown: on UNKNOWN_CLASS the name, borrowed from @t. */
MUST_CHECK enum policy_build_result policy_build_table(struct policy_build *b, struct table *t,
                                                       uint32_t *ret_table_idx,
                                                       struct slice *ret_unknown);

/* Sources are asked in the order given; the first that knows the address decides. */
MUST_CHECK enum policy_build_result policy_build_source_any(struct policy_build *b,
                                                            uint32_t domain_idx);
MUST_CHECK enum policy_build_result
policy_build_source_table(struct policy_build *b, uint32_t domain_idx, uint32_t table_idx);

/* policy_build_finish() - @b is gone afterwards, whatever comes back. 0 or a negative errno. */
MUST_CHECK int policy_build_finish(struct policy_build *b, struct policy **ret_policy);

#endif
