/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - the verbs: who may say them when, and how long each side waits. */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/clock.h"
#include "base/limits.h"
#include "base/slice.h"

enum command {
    COMMAND_UNKNOWN = 0,
    COMMAND_EHLO,
    COMMAND_HELO,
    COMMAND_LHLO,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_BDAT,
    COMMAND_RSET,
    COMMAND_NOOP,
    COMMAND_QUIT,
    COMMAND_VRFY,
    COMMAND_EXPN,
    COMMAND_HELP,
    COMMAND_ADAT,  /* OTH-2 */
    COMMAND_DRCP,  /* OTH-5 */
    COMMAND_ERCP,  /* OTH-6 */
    COMMAND_OTHER, /* known, not implemented: 502 */
    COMMAND_COUNT
};

/* where a command is allowed; bits of command_row.states */
enum command_state {
    COMMAND_IN_START = 1u << 0,  /* before EHLO, HELO or LHLO */
    COMMAND_IN_READY = 1u << 1,  /* no transaction */
    COMMAND_IN_MAIL = 1u << 2,   /* MAIL accepted */
    COMMAND_IN_CHUNKS = 1u << 3, /* between two chunks of BDAT */
    COMMAND_IN_FAILED = 1u << 4, /* BDAT or BINARYMIME trouble: until RSET or LAST */
    COMMAND_IN_NAMING = 1u << 5, /* content is here, its recipients are being named (ADAT) */
    COMMAND_IN_ANY = (1u << 6) - 1,
};

enum command_argument { COMMAND_ARG_NONE, COMMAND_ARG_OPTIONAL, COMMAND_ARG_REQUIRED };

enum command_flag {
    COMMAND_SYNC = 1u << 0,       /* the client must wait for the reply before it goes on */
    COMMAND_ENDS_GROUP = 1u << 1, /* RFC 2920 3.1: only last in a pipelined group */
    COMMAND_BARE_REPLY = 1u << 2, /* no enhanced code in any reply (RFC 2034 4) */
    COMMAND_OVERTAKES = 1u << 3,  /* may be parsed while earlier answers of its kind are out */
};

struct command_row {
    struct slice verb;
    /* Server. */
    uint8_t states; /* enum command_state */
    uint8_t flags;  /* enum command_flag */
    enum command_argument argument;
    uint16_t line_bytes_max; /* with CRLF */
    uint32_t offer;          /* not a command where this is not offered; 0: always */
    /* Client. */
    clock_ns reply_timeout_ns; /* RFC 5321 4.5.3.2: at least */
};

/* command_row() - the row of a command; COMMAND_UNKNOWN and COMMAND_OTHER have an empty verb. */
const struct command_row *command_row(enum command c);

/*
 * command_split() - verb and argument of a command line
 * @line:     without CRLF
 * @ret_args: what follows the verb and its spaces, without spaces at the end
 */
enum command command_split(struct slice line, struct slice *ret_args);

#endif
