/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - the Received field that is put in front of every message (CORE-50, CORE-51).
 */
#ifndef OBS_TRACE_H
#define OBS_TRACE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include <sys/socket.h>

#define TRACE_BYTES_MAX                                                                            \
    2560 /* of a field, with its folds and CRLF; more than any input can make                      \
          */

struct trace_info {
    struct slice helo;                     /* as the client said it; empty: it did not */
    const struct sockaddr_storage *client; /* NULL or no IP family: a local (unix) socket */
    struct slice client_name;              /* verified name of the address, or empty */
    struct slice hostname;                 /* our own: trace_hostname_is_valid() */
    bool is_lmtp;
    bool is_esmtp; /* EHLO rather than HELO; LMTP has LHLO only */
    bool is_utf8;  /* SMTPUTF8 was asked for this message */
    bool is_tls;
    bool is_authenticated;
    struct slice queue_id; /* an atom */
    struct slice rcpt;     /* local@domain of the only recipient; empty when there are several */
    wall_us date;
};

/*
 * trace_received() - append the Received field, folded, with CRLF at its end
 *
 * Shape:   lines of at most 78 octets where the parts allow it, never more than 998
 * Return:  false when @out lacks room (at most TRACE_BYTES_MAX are needed); @out is as before then
 * Cost:    no allocation, no system call, no locale
 * Source:  RFC 5321 4.4 (Time-stamp-line), RFC 5322 2.1.1 and 3.3, RFC 3848, RFC 6531 3.7.3
 *
 * A name that the grammar has no room for (odd bytes; 8-bit without SMTPUTF8) becomes "unknown"
 * with what was said, cleaned, in a comment. FOR is left out when the address would not be clean.
 */
MUST_CHECK bool trace_received(struct buf *out, const struct trace_info *info);

/* trace_hostname_is_valid() - for the configuration: a name that may stand behind "by". */
bool trace_hostname_is_valid(struct slice hostname);

/* trace_protocol() - value of WITH: "ESMTP", "LMTP", "UTF8SMTP" ...; static storage. */
const char *trace_protocol(bool is_lmtp, bool is_esmtp, bool is_utf8);

/* trace_protocol_secure() - the same for sessions that may have used TLS or AUTH: "ESMTPSA" ... */
const char *trace_protocol_secure(bool is_lmtp, bool is_esmtp, bool is_utf8, bool is_tls,
                                  bool is_authenticated);

#endif
