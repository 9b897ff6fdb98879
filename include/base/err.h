/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - system errors are negative errno values, forwarded unchanged; outcomes are positive
 * enums.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"
#include <errno.h>

/* err_name() - symbolic name ("ENOSPC") of a negative errno, "E?" when unknown; static storage. */
const char *err_name(int err);

/* err_text() - description of a negative errno; static storage, thread safe. */
const char *err_text(int err);

#endif
