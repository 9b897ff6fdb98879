/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - the only place where a status becomes reply codes and text.
 *
 * One row per status. Invariants, checked by the unit test: the class of the enhanced code is the
 * first digit of the reply code; 220, 3xx carry none (RFC 2034 section 4, CORE-25); texts are
 * printable ASCII without line ends; names are unique.
 */
#include "smtp/status.h"
#include "base/assert.h"

#define ROW(code_, class_, subject_, detail_, name_, text_)                                        \
    {                                                                                              \
        .code = (code_), .enhanced = {(class_), (subject_), (detail_)}, .name = (name_),           \
        .text = (text_), .text_len = sizeof(text_) - 1                                             \
    }

/* clang-format off */
static const struct status_row rows[STATUS_COUNT] = {
    [STATUS_NONE] = {.name = "none"},
    [STATUS_HELP] = ROW(214, 2, 0, 0, "help", "see RFC 5321"),
    [STATUS_GREETING] = ROW(220, 0, 0, 0, "greeting", "ready"),
    [STATUS_CLOSING] = ROW(221, 2, 0, 0, "closing", "bye"),
    [STATUS_OK] = ROW(250, 2, 0, 0, "ok", "ok"),
    [STATUS_SENDER_OK] = ROW(250, 2, 1, 0, "sender_ok", "sender ok"),
    [STATUS_RCPT_OK] = ROW(250, 2, 1, 5, "rcpt_ok", "recipient ok"),
    [STATUS_STORED] = ROW(250, 2, 0, 0, "stored", "stored"),
    [STATUS_CHUNK_OK] = ROW(250, 2, 0, 0, "chunk_ok", "octets"),
    [STATUS_WRAPPED_OPEN] = ROW(250, 2, 0, 0, "wrapped_open", "+RCPT"),
    [STATUS_WRAPPED_END] = ROW(250, 2, 0, 0, "wrapped_end", "+END"),
    [STATUS_LIST_END] = ROW(250, 2, 0, 0, "list_end", "end of the list"),
    [STATUS_RCPT_FORWARDED] = ROW(251, 2, 1, 5, "rcpt_forwarded", "will be forwarded"),
    [STATUS_CANNOT_VRFY] = ROW(252, 2, 0, 0, "cannot_vrfy", "send mail to find out"),
    [STATUS_RCPT_LATER] = ROW(352, 0, 0, 0, "rcpt_later", "decided after the content"),
    [STATUS_LIST_OPEN] = ROW(353, 0, 0, 0, "list_open", "replies per recipient follow"),
    [STATUS_START_CONTENT] = ROW(354, 0, 0, 0, "start_content", "end with CR LF . CR LF"),
    [STATUS_NAME_RCPTS] = ROW(355, 0, 0, 0, "name_rcpts", "taken for now, name the recipients"),
    [STATUS_SHUTTING_DOWN] = ROW(421, 4, 3, 2, "shutting_down", "shutting down, try again later"),
    [STATUS_TIMEOUT] = ROW(421, 4, 4, 2, "timeout", "timeout, closing"),
    [STATUS_TOO_SLOW] = ROW(421, 4, 4, 2, "too_slow", "too slow, closing"),
    [STATUS_PEER_GONE] = ROW(421, 4, 4, 2, "peer_gone", "you have left, nothing was taken"),
    [STATUS_TOO_MANY_CONNS] = ROW(421, 4, 7, 0, "too_many_conns", "too many connections"),
    [STATUS_TOO_MANY_ERRORS] = ROW(421, 4, 7, 0, "too_many_errors", "too many errors, closing"),
    [STATUS_TOO_MANY_TXNS] = ROW(421, 4, 7, 0, "too_many_txns",
                                 "too many messages in one session, closing"),
    [STATUS_ALL_DEFERRED] = ROW(450, 4, 2, 0, "all_deferred", "no recipient could take it now"),
    [STATUS_LOCAL_ERROR] = ROW(451, 4, 3, 0, "local_error", "local error, try again later"),
    [STATUS_STORE_FAILED] = ROW(451, 4, 3, 0, "store_failed", "cannot store, try again later"),
    [STATUS_DECISION_TIMEOUT] = ROW(451, 4, 4, 7, "decision_timeout",
                                    "no decision in time, try again later"),
    [STATUS_DEFERRED_POLICY] = ROW(451, 4, 7, 1, "deferred_policy", "deferred, try again later"),
    [STATUS_NO_RESOURCES] = ROW(452, 4, 3, 0, "no_resources", "too busy, try again later"),
    [STATUS_STORE_FULL] = ROW(452, 4, 3, 1, "store_full", "store full, try again later"),
    [STATUS_TOO_MANY_RCPTS] = ROW(452, 4, 5, 3, "too_many_rcpts", "too many recipients"),
    [STATUS_CLASS_DIFFERS] = ROW(452, 4, 5, 3, "class_differs",
                                 "send to this recipient in another transaction"),
    [STATUS_TOO_MANY_NAMED] = ROW(453, 4, 5, 3, "too_many_named", "too many recipients"),
    [STATUS_LINE_TOO_LONG] = ROW(500, 5, 5, 2, "line_too_long", "command line too long"),
    [STATUS_UNKNOWN_COMMAND] = ROW(500, 5, 5, 2, "unknown_command", "command not recognized"),
    [STATUS_WRONG_HELLO] = ROW(500, 5, 5, 1, "wrong_hello", "another protocol is spoken here"),
    [STATUS_BAD_SYNTAX] = ROW(501, 5, 5, 4, "bad_syntax", "syntax error"),
    [STATUS_TWO_DIALECTS] = ROW(501, 5, 5, 4, "two_dialects",
                                "only one way to answer recipients at a time"),
    [STATUS_BAD_PATH_SENDER] = ROW(501, 5, 1, 7, "bad_path_sender", "bad sender address syntax"),
    [STATUS_BAD_PATH_RCPT] = ROW(501, 5, 1, 3, "bad_path_rcpt", "bad recipient address syntax"),
    [STATUS_NOT_IMPLEMENTED] = ROW(502, 5, 5, 1, "not_implemented", "command not implemented"),
    [STATUS_BAD_SEQUENCE] = ROW(503, 5, 5, 1, "bad_sequence", "bad sequence of commands"),
    [STATUS_HELLO_FIRST] = ROW(503, 5, 5, 1, "hello_first", "say hello first"),
    [STATUS_NO_RCPT] = ROW(503, 5, 5, 1, "no_rcpt", "no valid recipients"),
    [STATUS_TXN_FAILED] = ROW(503, 5, 5, 1, "txn_failed", "the transaction has failed, RSET"),
    [STATUS_BAD_COMMAND_LINE] = ROW(521, 5, 5, 2, "bad_command_line",
                                    "lines end with CR LF, closing"),
    [STATUS_BAD_CHUNK] = ROW(521, 5, 5, 4, "bad_chunk", "syntax: BDAT size [LAST], closing"),
    [STATUS_NO_SUCH_USER] = ROW(550, 5, 1, 1, "no_such_user", "no such mailbox"),
    [STATUS_BAD_LINE_ENDING] = ROW(550, 5, 5, 2, "bad_line_ending",
                                   "bare CR, bare LF or NUL in the message"),
    [STATUS_RELAY_DENIED] = ROW(550, 5, 7, 1, "relay_denied", "no mail for this domain here"),
    [STATUS_REFUSED_POLICY] = ROW(550, 5, 7, 1, "refused_policy", "refused by policy"),
    [STATUS_ALL_REFUSED] = ROW(550, 5, 7, 1, "all_refused", "refused by all recipients"),
    [STATUS_TOO_BIG_FOR_RCPT] = ROW(552, 5, 2, 3, "too_big_for_rcpt",
                                    "message too big for this recipient"),
    [STATUS_TOO_BIG] = ROW(552, 5, 3, 4, "too_big", "message too big"),
    [STATUS_NEEDS_UTF8] = ROW(553, 5, 6, 7, "needs_utf8", "non-ASCII address needs SMTPUTF8"),
    [STATUS_NO_SERVICE] = ROW(554, 5, 3, 2, "no_service", "no service here"),
    [STATUS_COUNT_DIFFERS] = ROW(554, 5, 5, 0, "count_differs",
                                 "we count other recipients, delivery cancelled"),
    [STATUS_LOOP] = ROW(554, 5, 4, 6, "loop", "too many hops"),
    [STATUS_UNAUTHORIZED_PIPELINING] = ROW(554, 5, 5, 0, "unauthorized_pipelining",
                                           "spoke out of turn, closing"),
    [STATUS_LINE_IN_MESSAGE_TOO_LONG] = ROW(554, 5, 6, 0, "line_in_message_too_long",
                                            "line in the message too long"),
    [STATUS_UNKNOWN_PARAMETER] = ROW(555, 5, 5, 4, "unknown_parameter",
                                     "parameter not recognized or not implemented"),
};
/* clang-format on */

const struct status_row *status_row(enum status st)
{
    ASSERT(st > STATUS_NONE);
    ASSERT(st < STATUS_COUNT);
    return &rows[st];
}

const char *status_name(enum status st)
{
    ASSERT(st < STATUS_COUNT);
    return rows[st].name;
}

bool status_is_success(enum status st)
{
    return st < STATUS_COUNT && rows[st].code / 100 == 2;
}

bool status_is_temporary(enum status st)
{
    return st < STATUS_COUNT && rows[st].code / 100 == 4;
}

bool status_is_permanent(enum status st)
{
    return st < STATUS_COUNT && rows[st].code / 100 == 5;
}

uint16_t answer_code(const struct answer *a)
{
    const struct status_row *row = status_row(a->status);
    ASSERT(a->code == 0 || a->code / 100 == row->code / 100);
    return a->code != 0 ? a->code : row->code;
}
