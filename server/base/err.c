/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - names of system errors for logs. */
#include "base/err.h"
#include <limits.h>
#include <string.h>

const char *err_name(int err)
{
    const char *name = err <= 0 && err > INT_MIN ? strerrorname_np(-err) : NULL;
    return name != NULL ? name : "E?";
}

const char *err_text(int err)
{
    const char *text = err <= 0 && err > INT_MIN ? strerrordesc_np(-err) : NULL;
    return text != NULL ? text : "unknown error";
}
