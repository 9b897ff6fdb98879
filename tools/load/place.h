/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where a run took place, as every report tells it. */
#ifndef LOAD_PLACE_H
#define LOAD_PLACE_H

#include "base/base.h"

/* place_kernel() - name, release and machine; "unknown" where the system does not tell. */
void place_kernel(char *to, size_t cap);
/* place_cpu() - what the first processor calls itself, or "unknown". */
void place_cpu(char *to, size_t cap);

#endif
