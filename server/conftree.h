/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conftree.h - configuration text to a tree that knows its lines.
 *
 * The syntax is what nginx and UCL made familiar:
 *
 *     # comment                   (and comments as in C)
 *     hostname = mx.example.org;  the "=" may be ":" or missing, the ";" may be a line end
 *     offer = [pipelining, "8bitmime"];
 *     listener "mx" { size_max = 10mb }
 *
 * A word needs quotes when it has white space or one of {}[];,="#' in it. In quotes, \" \\ \n \t
 * stand for what they do in C. There are no includes, no variables and no macros: what is large
 * (recipients, rules) stands in files of its own anyway, and one file is what --check and a reload
 * see.
 *
 * Why a parser of our own and not libucl (the Universal Configuration Library): its objects do not
 * carry the line that they came from, and every refusal here names one, also those that are found
 * long after parsing; and Debian 12 has no package of it (its libucl-dev is a compression
 * library).
 */
#ifndef CONFTREE_H
#define CONFTREE_H

#include "region.h"

#define CONFTREE_DEPTH_MAX 8
#define CONFTREE_TEXT_BYTES_MAX ((size_t)16 * MIB)

enum conftree_kind { CONFTREE_WORD, CONFTREE_STRING, CONFTREE_LIST, CONFTREE_SECTION };

struct conftree_node {
    enum conftree_kind kind;
    uint32_t line;               /* of its key; in lists, of the value */
    struct slice key;            /* empty in lists */
    struct slice label;          /* of a section: listener "mx" { */
    struct slice text;           /* of a word or string */
    struct conftree_node *first; /* of a list or section */
    struct conftree_node *next;
};

struct conftree_error {
    uint32_t line;
    char reason[160];
};

/*
 * conftree_parse() - parse the whole text of a file
 * @memory:   the tree lives in it
 * @ret_root: a section without key and label
 *
 * Return: 0, -EINVAL with @ret_error filled, -ENOMEM
 */
MUST_CHECK int conftree_parse(struct slice text, struct region *memory,
                              struct conftree_node **ret_root, struct conftree_error *ret_error);

#endif
