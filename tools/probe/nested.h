/* SPDX-License-Identifier: Apache-2.0 */
/* nested.h - replies in the lines of one reply (EXD-7, EXD-8; HOL-6): a reading of our own, since
 * a probe that shares the server's parser shares its mistakes. Pure. */
#ifndef PROBE_NESTED_H
#define PROBE_NESTED_H

#include "base/slice.h"

#define NESTED_MAX 128

struct nested {
    uint32_t count;
    int codes[NESTED_MAX];
};

/*
 * nested_parse() - the sub-replies of some lines of one reply
 * @lines:  "558-250 text", separated by LF, without CR; @outer is the code of all
 * @is_end: the last of them ends the reply
 *
 * Return:  false with @ret_text: what is wrong with the grammar
 */
MUST_CHECK bool nested_parse(struct nested *n, struct slice lines, const char *outer, bool is_end,
                             char *ret_text, size_t text_cap);

#endif
