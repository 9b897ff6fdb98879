/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corpus.h - messages from files, one by one, as they would be sent.
 *
 *   folder   every file in it and in its subfolders is a message or an mbox, in the order of their
 *            names; names that begin with a dot are passed over
 *   Maildir  a folder with cur/ and new/: the files in both
 *   mbox     a file that begins with "From ": a message begins behind a line "From ... hh:mm ..."
 *            at the start of the file or after an empty line (which belongs to the mbox and not to
 *            the message); ">From ", ">>From " ... lose one ">" (mboxrd; of mboxo this is right
 *            for ">From ", the only form that it makes)
 *   file     any other file is one message
 *
 * Line ends become CRLF, the last line gets one if it has none. A CR that is in no line end becomes
 * a space: it may not be sent (RFC 5321 2.3.8), and that is what Postfix makes of it
 * (cleanup_replace_stray_cr_lf). Nothing else is changed: NUL, 8-bit bytes and lines above 998
 * octets are sent as they are; whoever does not want them in a test takes them out of the corpus.
 */
#ifndef LOAD_CORPUS_H
#define LOAD_CORPUS_H

#include "base/slice.h"

enum corpus_kind {
    CORPUS_ANY, /* find out by looking */
    CORPUS_FOLDER,
    CORPUS_MAILDIR,
    CORPUS_MBOX,
    CORPUS_FILE,
};

#define CORPUS_DEPTH_MAX 32
#define CORPUS_FILE_BYTES_MAX ((size_t)1 * GIB) /* of one message */

struct corpus_item {
    struct slice content; /* CRLF line ends; lives for the call */
    const char *path;     /* of the file */
    size_t offset;        /* in an mbox: of its From_ line */
    uint64_t stray_count; /* CRs that became spaces */
};

/* Not 0 ends the reading. */
typedef int (*corpus_sink)(void *arg, const struct corpus_item *item);

/*
 * corpus_read() - give every message of @path to @sink
 * @kind: what it must be (an empty file is an mbox without messages); CORPUS_MBOX may be a folder
 *        too: every file in it whose name ends in ".mbox", as "posternctl spool export" makes them
 * Return: 0; what @sink returned when that was not 0; a negative errno with @ret_text saying why
 */
MUST_CHECK int corpus_read(const char *path, enum corpus_kind kind, corpus_sink sink,
                           void *sink_arg, char *ret_text, size_t text_cap);

/*
 * corpus_convert() - line ends as said above
 * @out: memory of corpus_convert_bytes_max(in.len)
 * @is_mbox: also take one ">" from /^>+From /
 * Return: bytes written
 */
size_t corpus_convert(struct slice in, bool is_mbox, uint8_t *out, uint64_t *stray_count);

static inline size_t corpus_convert_bytes_max(size_t len)
{
    return 2 * len + 2;
}

#endif
