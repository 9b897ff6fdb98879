/* SPDX-License-Identifier: Apache-2.0 */
/* check_always.c - the rules that every reply of every check is held against (watch.h): the rows
 * are in the order of enum watch_rule. */
#include "probe/check.h"
#include "probe/watch.h"

static const struct check rows[] = {
    [WATCH_FORM] = {"CORE-6/form", CHECK_MUST, 0, "", "every reply line ends with CRLF", NULL},
    [WATCH_LENGTH] = {"CORE-6/length", CHECK_MUST, 0, "", "no reply line above 512 octets", NULL},
    [WATCH_ENHANCED] = {"CORE-25/present", CHECK_MUST, 0, "ENHANCEDSTATUSCODES",
                        "enhanced codes on every line, of the same class", NULL},
    [WATCH_THREE] = {"CORE-25/absent", CHECK_MUST, 0, "", "none on 3xx and in the greeting", NULL},
    [WATCH_UNASKED] = {"PRDR-40/always", CHECK_MUST, 0, "",
                       "352, 353, 355, 558 never to a client that did not ask", NULL},
    [WATCH_CLOSE] = {"CORE-13/close", CHECK_MUST, 0, "",
                     "the server closes only behind QUIT, 421 and the like", NULL},
};
static_assert(ARRAY_COUNT(rows) == WATCH_RULES, "a row for each rule");

const struct check_sheet check_always = {"always", "In all conversations", rows, ARRAY_COUNT(rows)};
