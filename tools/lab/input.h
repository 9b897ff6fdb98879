/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.h - files and folders into a ledger. What cannot be understood is counted, and named on
 * standard error with its file and line; never passed over in silence.
 */
#ifndef LAB_INPUT_H
#define LAB_INPUT_H

#include "lab/ledger.h"
#include "load/corpus.h"
#include <stdio.h>

#define INPUT_DAMAGE_NAMED_MAX 100

struct input {
    struct ledger *ledger;
    FILE *err;
    const char *rcpt_field; /* the header field that names the recipients; NULL: guess */
    uint64_t damaged;
    /* Hears of each copy in a spool, with the time of its MAIL; not 0: the reading ends. May be
     * NULL. */
    int (*on_copy)(void *arg, const struct arrival *a);
    void *arg;
};

/* input_damaged() - count and name it; @line 0: not a matter of lines. */
void input_damaged(struct input *in, const char *path, uint64_t line, const char *why);
/* input_failed() - name @path with the reason; @error. */
int input_failed(const struct input *in, const char *path, int error);

/* Each returns 0, or a negative errno (said on standard error): the source cannot be read. */
MUST_CHECK int attempts_read(struct input *in, const char *path);
MUST_CHECK int arrivals_read_sink(struct input *in, const char *path);
/*
 * arrivals_read_mail() - a Maildir, an mbox, or a folder of files
 *
 * With rcpt_field, each field of that name is a recipient ("<a@b>", "a@b", with more behind it).
 * Without, X-Original-To or else Delivered-To is taken for one that may have been rewritten.
 */
MUST_CHECK int arrivals_read_mail(struct input *in, const char *path, enum corpus_kind kind);
/* arrivals_read_spool() - recipients that are held or active, of all messages. */
MUST_CHECK int arrivals_read_spool(struct input *in, const char *dir);

#endif
