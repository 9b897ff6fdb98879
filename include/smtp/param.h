/* SPDX-License-Identifier: Apache-2.0 */
/* param.h - MAIL and RCPT parameters: SIZE, BODY, SMTPUTF8, PRDR, DSN. */
#ifndef SMTP_PARAM_H
#define SMTP_PARAM_H

#include "base/limits.h"
#include "base/slice.h"

enum param_body { PARAM_BODY_7BIT, PARAM_BODY_8BITMIME, PARAM_BODY_BINARYMIME };
enum param_ret { PARAM_RET_NONE, PARAM_RET_FULL, PARAM_RET_HDRS };
enum param_notify {
    PARAM_NOTIFY_NEVER = 1u << 0,
    PARAM_NOTIFY_SUCCESS = 1u << 1,
    PARAM_NOTIFY_FAILURE = 1u << 2,
    PARAM_NOTIFY_DELAY = 1u << 3,
};

/* What was asked on MAIL. Slices point into the command line: copy what must live longer. */
struct mail_params {
    bool has_size;
    uint64_t size; /* SIZE=, octets */
    enum param_body body;
    bool smtputf8;
    bool prdr;
    enum param_ret ret;
    struct slice envid; /* xtext as sent */
};

struct rcpt_params {
    uint8_t notify;     /* enum param_notify; 0: not given */
    struct slice orcpt; /* "type;xtext" as sent */
};

#endif
