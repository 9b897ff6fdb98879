/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header.h - the header section, seen in pieces: where it ends, Received fields, Message-ID.
 *
 * Private to scan/. A field begins at the start of a line that does not start with a space or tab
 * (RFC 5322 2.2.3); only CRLF ends a line; the first empty line ends the section.
 */
#ifndef SCAN_HEADER_H
#define SCAN_HEADER_H

#include "scan/scan.h"
#include "base/assert.h"

static inline void header_begin(struct scan_header *h)
{
    *h = (struct scan_header){.state = SCAN_HEADER_LINE, .field = SCAN_HEADER_SKIP};
}

static inline bool header_is_over(const struct scan_header *h)
{
    return h->state == SCAN_HEADER_OVER;
}

/*
 * header_feed() - look at the next content bytes; must not be called once the section is over
 * Return: bytes that belong to the section; fewer than @in.len only when it ended
 */
size_t header_feed(struct scan_header *h, struct slice in);

#endif
