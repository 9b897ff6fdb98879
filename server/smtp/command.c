/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - the verb table, for both sides of the conversation.
 *
 * Server columns say in which states a command is allowed (else 503), whether it takes an argument
 * (else 501), how long its line may be, and whether bytes may follow it in the same group. The
 * client column is the time to wait for its reply. What the server does lives in session.c, what
 * the client says in client.c; both index their functions by enum command.
 */
#include "smtp/command.h"
#include "base/assert.h"
#include "smtp/offer.h"

#define LINE_BASE 512 /* RFC 5321 4.5.3.1.4 */
#define MINUTES (60 * NS_PER_S)

/*
 * Room that extensions ask for on MAIL: SIZE 26, BODY 17, SMTPUTF8 10, one dialect at most 11
 * (PRDR-4, DEF-4), RET and ENVID; on RCPT: NOTIFY and ORCPT 500 each (CORE, table B), and paths in
 * UTF-8 need more than 256 octets.
 */
#define LINE_EXTENDED COMMAND_LINE_BYTES_MAX
static_assert(LINE_EXTENDED >= LINE_BASE + 26 + 17 + 10 + 11 + 9 + 7 + ENVID_BYTES_MAX, "MAIL");
static_assert(LINE_EXTENDED >= PATH_UTF8_BYTES_MAX + 10 + 36 + 7 + ORCPT_BYTES_MAX, "RCPT");

#define VERB(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define IN_HELLO_DONE (COMMAND_IN_ANY & ~COMMAND_IN_START)

/* clang-format off */
static const struct command_row rows[COMMAND_COUNT] = {
    /*                  verb          states             flags                                    argument              line           offer client waits */
    [COMMAND_UNKNOWN] = {{NULL, 0},    COMMAND_IN_ANY,   0,                                       COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_EHLO] =    {VERB("EHLO"), COMMAND_IN_ANY,   COMMAND_SYNC | COMMAND_ENDS_GROUP | COMMAND_BARE_REPLY, COMMAND_ARG_REQUIRED, LINE_BASE, 0, 5 * MINUTES},
    [COMMAND_HELO] =    {VERB("HELO"), COMMAND_IN_ANY,   COMMAND_SYNC | COMMAND_ENDS_GROUP | COMMAND_BARE_REPLY, COMMAND_ARG_REQUIRED, LINE_BASE, 0, 5 * MINUTES},
    [COMMAND_LHLO] =    {VERB("LHLO"), COMMAND_IN_ANY,   COMMAND_SYNC | COMMAND_ENDS_GROUP | COMMAND_BARE_REPLY, COMMAND_ARG_REQUIRED, LINE_BASE, 0, 5 * MINUTES},
    [COMMAND_MAIL] =    {VERB("MAIL"), COMMAND_IN_READY, 0,                                       COMMAND_ARG_REQUIRED, LINE_EXTENDED, 0, 5 * MINUTES},
    [COMMAND_RCPT] =    {VERB("RCPT"), COMMAND_IN_MAIL,  COMMAND_OVERTAKES,                       COMMAND_ARG_REQUIRED, LINE_EXTENDED, 0, 5 * MINUTES},
    [COMMAND_DATA] =    {VERB("DATA"), COMMAND_IN_MAIL | COMMAND_IN_CHUNKS, COMMAND_SYNC | COMMAND_ENDS_GROUP,       COMMAND_ARG_NONE,     LINE_BASE,     0, 2 * MINUTES},
    [COMMAND_BDAT] =    {VERB("BDAT"), COMMAND_IN_ANY,   0,                                       COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 10 * MINUTES},
    [COMMAND_RSET] =    {VERB("RSET"), COMMAND_IN_ANY,   0,                                       COMMAND_ARG_NONE,     LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_NOOP] =    {VERB("NOOP"), COMMAND_IN_ANY,   COMMAND_ENDS_GROUP,                      COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_QUIT] =    {VERB("QUIT"), COMMAND_IN_ANY,   COMMAND_ENDS_GROUP,                      COMMAND_ARG_NONE,     LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_VRFY] =    {VERB("VRFY"), COMMAND_IN_ANY,   COMMAND_ENDS_GROUP,                      COMMAND_ARG_REQUIRED, LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_EXPN] =    {VERB("EXPN"), COMMAND_IN_ANY,   COMMAND_ENDS_GROUP,                      COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_HELP] =    {VERB("HELP"), COMMAND_IN_ANY,   0,                                       COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 5 * MINUTES},
    [COMMAND_ADAT] =    {VERB("ADAT"), COMMAND_IN_MAIL,  COMMAND_SYNC | COMMAND_ENDS_GROUP,       COMMAND_ARG_OPTIONAL, LINE_BASE,     SESSION_OFFER_ADAT, 2 * MINUTES},
    [COMMAND_DRCP] =    {VERB("DRCP"), COMMAND_IN_NAMING, COMMAND_OVERTAKES,                      COMMAND_ARG_REQUIRED, LINE_EXTENDED, SESSION_OFFER_ADAT, 5 * MINUTES},
    [COMMAND_ERCP] =    {VERB("ERCP"), COMMAND_IN_NAMING, COMMAND_ENDS_GROUP,                     COMMAND_ARG_OPTIONAL, LINE_BASE,     SESSION_OFFER_ADAT, 10 * MINUTES},
    [COMMAND_OTHER] =   {{NULL, 0},    COMMAND_IN_ANY,   COMMAND_ENDS_GROUP,                      COMMAND_ARG_OPTIONAL, LINE_BASE,     0, 5 * MINUTES},
};
/* clang-format on */

const struct command_row *command_row(enum command c)
{
    ASSERT(c < COMMAND_COUNT);
    return &rows[c];
}

/* Four letters as one number, lower case; letters only differ from lower case in bit 5. */
#define KEY(a, b, c, d)                                                                            \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static enum command command_find(struct slice verb)
{
    if (verb.len == 6 && slice_has_prefix_nocase(verb, SLICE_LIT("X-"))) {
        enum command c = command_find(slice_from(verb, 2)); /* while experimental (OTH-1) */
        return command_row(c)->offer != 0 ? c : COMMAND_UNKNOWN;
    }
    if (verb.len != 4)
        return slice_eq_nocase(verb, SLICE_LIT("STARTTLS")) ? COMMAND_OTHER : COMMAND_UNKNOWN;
    uint8_t v[4];
    for (int i = 0; i < 4; i++)
        v[i] = ascii_lower(verb.ptr[i]);
    switch (KEY(v[0], v[1], v[2], v[3])) {
    case KEY('e', 'h', 'l', 'o'):
        return COMMAND_EHLO;
    case KEY('h', 'e', 'l', 'o'):
        return COMMAND_HELO;
    case KEY('l', 'h', 'l', 'o'):
        return COMMAND_LHLO;
    case KEY('m', 'a', 'i', 'l'):
        return COMMAND_MAIL;
    case KEY('r', 'c', 'p', 't'):
        return COMMAND_RCPT;
    case KEY('d', 'a', 't', 'a'):
        return COMMAND_DATA;
    case KEY('b', 'd', 'a', 't'):
        return COMMAND_BDAT;
    case KEY('r', 's', 'e', 't'):
        return COMMAND_RSET;
    case KEY('n', 'o', 'o', 'p'):
        return COMMAND_NOOP;
    case KEY('q', 'u', 'i', 't'):
        return COMMAND_QUIT;
    case KEY('v', 'r', 'f', 'y'):
        return COMMAND_VRFY;
    case KEY('e', 'x', 'p', 'n'):
        return COMMAND_EXPN;
    case KEY('h', 'e', 'l', 'p'):
        return COMMAND_HELP;
    case KEY('a', 'd', 'a', 't'):
        return COMMAND_ADAT;
    case KEY('d', 'r', 'c', 'p'):
        return COMMAND_DRCP;
    case KEY('e', 'r', 'c', 'p'):
        return COMMAND_ERCP;
    case KEY('a', 'u', 't', 'h'):
    case KEY('e', 't', 'r', 'n'):
    case KEY('t', 'u', 'r', 'n'):
    case KEY('s', 'e', 'n', 'd'):
    case KEY('s', 'o', 'm', 'l'):
    case KEY('s', 'a', 'm', 'l'):
        return COMMAND_OTHER;
    }
    return COMMAND_UNKNOWN;
}

enum command command_split(struct slice line, struct slice *ret_args)
{
    while (line.len > 0 && line.ptr[line.len - 1] == ' ')
        line.len--;
    size_t verb_len = slice_find(line, ' ');
    size_t args = verb_len;
    while (args < line.len && line.ptr[args] == ' ')
        args++;
    *ret_args = slice_from(line, args);
    return command_find(slice_first(line, verb_len));
}
