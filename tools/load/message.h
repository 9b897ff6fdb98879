/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - the messages of a run: a function of (run, seq, options), so that each try is
 * byte-identical and any worker can make any message again.
 *
 * Content has CRLF line ends and is not dot-stuffed; it is given as a few slices: the head, made in
 * the caller's memory, and bodies that lie in the set (read-only, shared by all workers).
 */
#ifndef LOAD_MESSAGE_H
#define LOAD_MESSAGE_H

#include "base/buf.h"
#include "base/clock.h"
#include "load/dist.h"
#include "trace/identity.h"

enum message_body {
    MESSAGE_TEXT,        /* words in lines of at most 76 */
    MESSAGE_BASE64,      /* lines of 76 */
    MESSAGE_8BIT,        /* UTF-8 words */
    MESSAGE_DOTS,        /* every line begins with a dot: the worst case for stuffing */
    MESSAGE_LONG,        /* lines of 998 */
    MESSAGE_EMPTY_LINES, /* CRLF CRLF ...: the worst case for line handling and scan */
    MESSAGE_WORST,       /* ".\r\r\n."-like near misses of the end of data, legal lines only */
    MESSAGE_BODY_COUNT
};
/* message_body_name() - "text", "base64", "8bit", "dots", "long", "empty", "worst". */
const char *message_body_name(enum message_body b);
/* message_body_parse() - by that name. */
MUST_CHECK bool message_body_parse(const char *name, enum message_body *ret_body);

#define MESSAGE_BYTES_MAX ((uint64_t)4 * GIB) /* least upper bound of options.size.high */

struct message_options { /* what it points to outlives the set */
    uint64_t run;
    uint64_t seed;
    const char *hostname; /* right side of Message-ID */
    wall_us date;         /* of the Date field, the same in all; 0: 2026-01-01 */
    enum message_body body;
    struct dist size; /* octets of the whole content */
    struct dist rcpt_count;
    const char *sender; /* "" is the null sender; may contain %s for the sequence number */
    /* "user%n@example": %n is a number 0 .. rcpt_users-1, different for each recipient of a
     * message, %i the index of the recipient, %s seq; "%%" is "%" (in sender too). */
    const char *rcpt;
    uint32_t rcpt_users;
    const char *corpus; /* NULL; a folder, a Maildir or an mbox, found out by looking */
    bool adds_identity; /* to messages of a corpus: X-Postern-Load as first field */
};

struct message_set;

/*
 * message_set_new() - generate bodies, or read the corpus. 0 or negative errno with @ret_text.
 *
 * No message gets more recipients than the pattern makes different ones (rcpt_users, or 1 without
 * %n and %i): draws above that are cut, and a distribution that starts above it is an error.
 */
MUST_CHECK int message_set_new(const struct message_options *options, struct message_set **ret_set,
                               char *ret_text, size_t text_cap);
void message_set_free(struct message_set *set);
uint64_t message_set_count(const struct message_set *set); /* of a corpus; 0: generated */

#define MESSAGE_SLICES_MAX 8
#define MESSAGE_HEAD_BYTES_MAX 2048

struct message {
    struct identity id;
    struct slice content[MESSAGE_SLICES_MAX];
    uint32_t content_count;
    uint64_t content_bytes;
    bool is_plain;    /* each slice of the content is data_is_plain() */
    bool is_8bit;     /* BODY=8BITMIME is needed */
    bool is_smtputf8; /* the header or an address has bytes above 0x7F */
    uint32_t rcpt_count;
};

/*
 * message_make() - the message with sequence number @seq
 *
 * A generated one has exactly the size drawn, if that is not smaller than its head; it ends with
 * CRLF, and no line is above 998 octets. One of a corpus is number seq % count; is_8bit and
 * is_smtputf8 tell what is in it.
 *
 * @head: memory for the header, MESSAGE_HEAD_BYTES_MAX; lives as long as the message is used
 */
void message_make(const struct message_set *set, uint64_t seq, struct buf *head,
                  struct message *ret_message);
/* message_address() - sender (@rcpt_idx UINT32_MAX) or one recipient, appended to @out. */
#define MESSAGE_ADDRESS_BYTES_MAX 1000
void message_address(const struct message_set *set, uint64_t seq, uint32_t rcpt_idx,
                     struct buf *out);

#endif
