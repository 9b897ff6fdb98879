/* SPDX-License-Identifier: Apache-2.0 */
/* machines.h - what whoever runs machines of smtp/ for a point has to know: of dialects, and that
 * the scan's kernel is chosen once in a process. */
#ifndef LAB_MACHINES_H
#define LAB_MACHINES_H

#include "lab/point.h"
#include "smtp/session.h"

/* machines_begin() - before the first scan of a thread; may be called again and again. */
void machines_begin(void);
/* machines_dialect() - as the machines call it. */
enum dialect machines_dialect(enum lab_dialect d);

#endif
