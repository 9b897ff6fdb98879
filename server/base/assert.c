/* SPDX-License-Identifier: Apache-2.0 */
/* assert.c - the end of a process with a broken invariant. */
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *expr, const char *file, int line, const char *func)
{
    fprintf(stderr, "postern: assertion failed: %s, %s:%d, %s()\n", expr, file, line, func);
    abort();
}
