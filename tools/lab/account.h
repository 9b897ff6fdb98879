/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - a joined ledger into a measure. */
#ifndef LAB_ACCOUNT_H
#define LAB_ACCOUNT_H

#include "lab/point.h"

/* account_join() - joins @l and adds what it found to @m. */
void account_join(struct ledger *l, struct lab_measure *m);

#endif
