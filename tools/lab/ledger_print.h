/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_print.h - a joined ledger as text, as lists and as JSON. */
#ifndef LAB_LEDGER_PRINT_H
#define LAB_LEDGER_PRINT_H

#include "lab/ledger.h"
#include <stdio.h>

enum ledger_list {
    LEDGER_LIST_LOST = 1,
    LEDGER_LIST_DUPLICATED = 2,
    LEDGER_LIST_GHOST = 4,
};

void ledger_print_table(const struct ledger_result *r, uint64_t damaged, FILE *out);
/* ledger_print_lists() - a line a pair: kind, identity, recipient, what happened; tab separated. */
void ledger_print_lists(const struct ledger *l, unsigned lists, FILE *out);
/* ledger_print_json() - everything, and the lists that are asked for. */
void ledger_print_json(const struct ledger *l, const struct ledger_result *r, uint64_t damaged,
                       unsigned lists, FILE *out);

#endif
