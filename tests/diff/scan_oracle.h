/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_oracle.h - what the scan must answer, worked out another way, and a driver for the scan.
 *
 * The oracle reads RFC 5321 with whole messages in memory: it searches for the end, deletes dots,
 * repairs line ends, splits into lines, each as a step of its own. It shares nothing with the
 * scan but the struct that it fills.
 */
#ifndef SCAN_ORACLE_H
#define SCAN_ORACLE_H

#include "scan/scan.h"

struct oracle_case {
    enum scan_mode mode;
    bool normalizes;
    uint32_t received_max;
    const struct scan_key *key; /* NULL: hash is zero */
};

struct oracle_answer {
    struct scan_result result;
    uint8_t *content; /* result.content_bytes of it; heap */
    size_t used;      /* bytes of the input up to and with the end of data */
    bool is_end;
};

/* oracle_answer() - what a correct scan says about @in; free with oracle_free(). */
struct oracle_answer oracle_answer(const struct oracle_case *c, struct slice in);

/*
 * oracle_drive() - what the chosen kernel says
 * @cuts:  ascending offsets at which the input is cut; those beyond the end do not count
 *
 * Each piece is handed over at the address that it has in @in.
 */
struct oracle_answer oracle_drive(const struct oracle_case *c, struct slice in, const size_t *cuts,
                                  size_t cut_count);

/* oracle_compare() - NULL, or the name of the first thing in which the answers differ. */
const char *oracle_compare(const struct oracle_answer *a, const struct oracle_answer *b);

void oracle_free(struct oracle_answer *a);

#endif
