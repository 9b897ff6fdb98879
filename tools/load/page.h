/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - the frame of an HTML page that needs nothing but itself, and its escaping. Whatever a
 * server or a file said goes through page_text(); the page's own policy forbids scripts and every
 * request besides.
 */
#ifndef LOAD_PAGE_H
#define LOAD_PAGE_H

#include "base/base.h"
#include <stdio.h>

/* page_head() - to the opening <main>, style sheet included. @title: any text */
void page_head(FILE *out, const char *title);
void page_foot(FILE *out, const char *program, const char *version);

/* page_text() - @text as content or as the value of an attribute in double quotes; controls and
 * what is no UTF-8 show as "\xNN", and line ends too. */
void page_text(FILE *out, const char *text);

/* page_lines() - as page_text(), but line ends stay. */
void page_lines(FILE *out, const char *text);

/* page_letter_count() - how many letters of UTF-8 @text has, to know how wide it is. */
size_t page_letter_count(const char *text);

#endif
