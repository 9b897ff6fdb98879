/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_smuggle.c - the variants of CORE-41: octets that some server somewhere takes for the end of
 * the content. Behind them stand lines that would be run as commands, and then the true end. A
 * server that is not fooled gives the replies of one message, or refuses and closes.
 */
#include "probe/trial.h"
#include <stdio.h>

#define BEHIND "XPROBE SMUGGLED\r\nNOOP\r\nXPROBE SMUGGLED\r\n.\r\n"

static void variant(struct trial *t, struct slice end)
{
    char text[256];
    if (!trial_to_content(t, 1))
        return;
    size_t len = 0;
    struct slice message = trial_message(t, "Behind this line the content may seem to end.");
    memcpy(text, end.ptr, end.len);
    len = end.len;
    memcpy(text + len, BEHIND, sizeof(BEHIND) - 1);
    len += sizeof(BEHIND) - 1;
    memcpy(t->probe->message + message.len, text, len);
    if (!trial_send(t, "the content", slice_of(message.ptr, message.len + len)) || !trial_read(t))
        return;
    bool is_taken = trial_code_is(t->reply->code, "2xx");
    if (is_taken)
        trial_note_left(t);
    int code = t->reply->code;
    if (!trial_say(t, "QUIT") || !trial_read_or_end(t))
        return;
    if (t->reply->code == 221 || (t->reply->code == 0 && !is_taken))
        return; /* one reply for the message; or a refusal, and the connection is closed */
    if (t->reply->code == 0)
        trial_fail(t, "the message gets %d, and then the connection is closed", code);
    trial_fail(t, "the content ended there: it gets %d, and what stood behind is run (%.60s)", code,
               t->reply->text);
}

#define VARIANT(name, octets)                                                                      \
    static void name(struct trial *t)                                                              \
    {                                                                                              \
        variant(t, slice_of(octets, sizeof(octets) - 1));                                          \
    }

VARIANT(v1, "\n.\n")
VARIANT(v2, "\n.\r\n")
VARIANT(v3, "\r\n.\n")
VARIANT(v4, "\r.\r")
VARIANT(v5, "\r.\n")
VARIANT(v6, "\n.\r")
VARIANT(v7, "\r.\r\n")
VARIANT(v8, "\r\n.\r")
VARIANT(v9, "\r\n\0.\r\n")
VARIANT(v10, "\r\n.\0\r\n")
VARIANT(v11, "\r\n.\r\r\n")
VARIANT(v12, "\r\r\n.\r\r\n")

#define ROW(number, title, run)                                                                    \
    {                                                                                              \
        "CORE-41/" number, CHECK_MUST, NEED_RCPT | NEED_INTRUSIVE, "", title " is no end", run     \
    }

static const struct check rows[] = {
    ROW("1", "LF . LF", v1),
    ROW("2", "LF . CR LF", v2),
    ROW("3", "CR LF . LF", v3),
    ROW("4", "CR . CR", v4),
    ROW("5", "CR . LF", v5),
    ROW("6", "LF . CR", v6),
    ROW("7", "CR . CR LF", v7),
    ROW("8", "CR LF . CR", v8),
    ROW("9", "CR LF NUL . CR LF", v9),
    ROW("10", "CR LF . NUL CR LF", v10),
    ROW("11", "CR LF . CR CR LF", v11),
    ROW("12", "CR CR LF . CR CR LF", v12),
};

const struct check_sheet check_smuggle = {"smuggle", "Smuggling (CORE-41)", rows,
                                          ARRAY_COUNT(rows)};
