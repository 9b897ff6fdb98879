/* SPDX-License-Identifier: Apache-2.0 */
/*
 * theory.h - what DUP-4 to DUP-11 say about a point, before anybody has run it. Pure.
 *
 * The sheet's formulas hold for a network without delay and commits that take no time. Here a delay
 * (delta) and a commit time (Tc) are added where the sheet's own derivation has room for them: a
 * reply that leaves at t is read at t + 2 delta after the dot, and a commit stands in front of the
 * reply that tells of it. With both at 0 these are the sheet's numbers.
 */
#ifndef LAB_THEORY_H
#define LAB_THEORY_H

#include "lab/point.h"

#define LAB_RULE_BYTES_MAX 32
#define LAB_THEORY_SIGMAS 4.0 /* a mean may differ from its expectation by so many of them */

struct lab_theory {
    char rule[LAB_RULE_BYTES_MAX]; /* "DUP-6"; "": there is no closed form */
    const char *why_none;          /* then; else NULL */
    double copies_first;           /* expected of a message's first try: D */
    double copies_first_sd;        /* of one message; 0: exactly so many each time */
    bool has_total;                /* the rest is known too */
    double copies_total;           /* expected copies too many, of all tries of a message */
    double copies_total_sd;        /* 0: exactly so many */
    bool is_livelock;              /* no try settles anything */
};

/* lab_theory() - of @p; never fails: where there is no closed form the result says so. */
void lab_theory(const struct lab_point *p, struct lab_theory *ret_theory);

/* lab_theory_bound() - of events that are not rare: how far the mean of @messages messages may lie
 * from an expectation whose standard deviation is @sd. */
double lab_theory_bound(double sd, uint64_t messages);

#endif
