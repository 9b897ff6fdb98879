/* SPDX-License-Identifier: Apache-2.0 */
/* check_end.c - the end of the content: CORE-40, CORE-42 and dot stuffing. */
#include "probe/trial.h"

static void deliver(struct trial *t, const char *body, const char *codes)
{
    (void)(trial_to_content(t, 1) && trial_content(t, body) && trial_answered(t, 1, codes) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void plain(struct trial *t)
{
    deliver(t, "An ordinary message.\r\n", "2xx");
}

static void dots(struct trial *t)
{
    deliver(t,
            "..\r\n..x\r\n.. \r\n...\r\n.no second dot\r\n. \r\n"
            "A line that ends with a dot.\r\n",
            "2xx");
}

static void dot_in_pieces(struct trial *t)
{
    (void)(trial_to_content(t, 1) &&
           trial_send(t, "the content", trial_message(t, "The end comes in pieces.\r\n.")) &&
           trial_send(t, "the content", slice_str("\r")) &&
           trial_send(t, "the content", slice_str("\n")) && trial_stored(t, 1) && trial_quit(t));
}

static void empty(struct trial *t)
{
    (void)(trial_to_content(t, 1) && trial_send(t, "the content", slice_str(".\r\n")) &&
           trial_answered(t, 1, "2xx|4xx|5xx") && trial_quit(t));
}

static void commands_inside(struct trial *t)
{
    deliver(t, "QUIT\r\nRSET\r\nXPROBE\r\nDATA\r\n", "2xx");
}

static void bare_lf(struct trial *t)
{
    deliver(t, "A bare LF\nXPROBE\nis in it.\r\n", "2xx|4xx|5xx");
}

static void bare_cr(struct trial *t)
{
    deliver(t, "A bare CR\rXPROBE\ris in it.\r\n", "2xx|4xx|5xx");
}

static void nul(struct trial *t)
{
    struct slice head;
    if (!trial_to_content(t, 1))
        return;
    head = trial_message(t, "A NUL is in it: ");
    (void)(trial_send(t, "the content", head) &&
           trial_send(t, "the content", slice_of("\0\r\n.\r\n", 6)) &&
           trial_answered(t, 1, "2xx|4xx|5xx") && trial_quit(t));
}

/* LF alone ends no line (RFC 5321 2.3.8): it is an error, and what follows it no command. */
static void command_lf(struct trial *t)
{
    if (!trial_start(t) || !trial_send(t, "NOOP with a bare LF", slice_str("NOOP\nXPROBE\r\n")) ||
        !trial_read(t) || !trial_say(t, "QUIT") || !trial_read_or_end(t))
        return;
    if (t->reply->code != 0 && t->reply->code != 221)
        trial_fail(t, "a bare LF ends a command: what stands behind it gets %.60s", t->reply->text);
}

static const struct check rows[] = {
    {"CORE-40/plain", CHECK_MUST, NEED_RCPT, "", "a message", plain},
    {"CORE-40/pieces", CHECK_MUST, NEED_RCPT, "", "CR LF . CR LF, octet by octet", dot_in_pieces},
    {"CORE-40/empty", CHECK_MUST, NEED_RCPT, "", "DATA, and at once the dot: one reply", empty},
    {"CORE-40/dots", CHECK_MUST, NEED_RCPT, "", "only a line of a single dot ends the content",
     dots},
    {"CORE-40/commands", CHECK_MUST, NEED_RCPT, "", "lines that look like commands are content",
     commands_inside},
    {"CORE-42/bare-lf", CHECK_MUST, NEED_RCPT, "", "bare LF: one reply, at the true end", bare_lf},
    {"CORE-42/bare-cr", CHECK_MUST, NEED_RCPT, "", "bare CR: one reply, at the true end", bare_cr},
    {"CORE-42/nul", CHECK_MUST, NEED_RCPT, "", "NUL: one reply, at the true end", nul},
    {"CORE-45/bare-lf", CHECK_SHOULD, 0, "", "a bare LF ends no command", command_lf},
};

const struct check_sheet check_end = {"end", "The end of the content", rows, ARRAY_COUNT(rows)};
