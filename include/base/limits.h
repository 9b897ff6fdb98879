/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - every bound of a queue, loop, table or field that has one, by name.
 *
 * Relations between limits are static assertions here or beside their use.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include "base/base.h"
#include <assert.h>

/* RFC 5321 4.5.3.1: what must work. */
#define LOCAL_PART_BYTES_MAX 64
#define DOMAIN_BYTES_MAX 255
#define PATH_BYTES_MAX 256       /* with angle brackets */
#define PATH_UTF8_BYTES_MAX 1024 /* RFC 6531 addresses are counted in octets; ours */
#define REPLY_LINE_BYTES_MAX 512 /* with CRLF, RFC 5321 4.5.3.1.5 */
#define REPLY_TEXT_BYTES_MAX 440 /* free text of a reply, after code and enhanced code */

/* RFC 5321 4.5.3.1.4 says 512; the MAIL and RCPT extensions add to it (CORE, table B). */
#define COMMAND_LINE_BYTES_MAX 2048
#define ENVID_BYTES_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_BYTES_MAX 500 /* RFC 3461 4.2 */
#define HELO_BYTES_MAX 255

#define TEXT_LINE_BYTES_MAX 1000 /* with CRLF, RFC 5321 4.5.3.1.6 */
#define MESSAGE_ID_BYTES_MAX 250
#define RECEIVED_COUNT_MAX 100    /* RFC 5321 6.3, CORE-53 */
#define RCPT_COUNT_MAX 1000       /* default per transaction */
#define RCPT_COUNT_HARD_MAX 10000 /* largest value that configuration may ask for */

#define SHARD_COUNT_MAX 256
#define WINDOW_BYTES_MAX ((size_t)64 * KIB) /* one provided receive buffer */
#define RULE_COUNT_MAX 4096

static_assert(RCPT_COUNT_MAX >= 100, "RFC 5321 4.5.3.1.8");
static_assert(LOCAL_PART_BYTES_MAX + 1 + DOMAIN_BYTES_MAX + 2 > PATH_BYTES_MAX,
              "the path limit is tighter than its parts");

#endif
