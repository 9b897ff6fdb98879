/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - names of system errors for logs. */
#include "base/err.h"
#include <string.h>

const char *err_name(int err)
{
    const char *name = strerrorname_np(-err);
    return name != NULL ? name : "E?";
}

const char *err_text(int err)
{
    const char *text = strerrordesc_np(-err);
    return text != NULL ? text : "unknown error";
}
