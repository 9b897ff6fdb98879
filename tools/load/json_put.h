/* SPDX-License-Identifier: Apache-2.0 */
/* json_put.h - texts and numbers as JSON (RFC 8259), in ASCII. */
#ifndef LOAD_JSON_PUT_H
#define LOAD_JSON_PUT_H

#include <stdio.h>

/* json_put_string() - with its quotes; an octet that is no UTF-8 becomes the four signs "\\xNN". */
void json_put_string(FILE *out, const char *text);
/* json_put_double() - reads back to the same value; 0 for what is no number. */
void json_put_double(FILE *out, double value);

#endif
