/* SPDX-License-Identifier: Apache-2.0 */
/* json_put.c - owns how texts and numbers are written in JSON. */
#include "load/json_put.h"
#include "load/show.h"
#include <math.h>
#include <string.h>

/* One character of UTF-8 as an escape, so that the file is ASCII: json-c 0.18 refuses octets above
 * 0x7F where char is signed. */
static void put_character(FILE *out, const uint8_t *at, unsigned len)
{
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t point = at[0] & lead_mask[len];
    for (unsigned i = 1; i < len; i++)
        point = point << 6 | (at[i] & 0x3F);
    if (point >= 0x10000) {
        point -= 0x10000;
        fprintf(out, "\\u%04x", 0xD800 | (unsigned)(point >> 10));
        point = 0xDC00 | (point & 0x3FF);
    }
    fprintf(out, "\\u%04x", (unsigned)point);
}

/* RFC 8259 7. An octet that is no UTF-8 becomes the four signs "\xNN". */
void json_put_string(FILE *out, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    fputc('"', out);
    for (size_t len = strlen(text); len > 0;) {
        unsigned step = show_utf8_len(at, len);
        if (step == 0)
            fprintf(out, "\\\\x%02X", at[0]);
        else if (at[0] == '"' || at[0] == '\\')
            fprintf(out, "\\%c", at[0]);
        else if (at[0] < 0x20 || at[0] == 0x7F)
            fprintf(out, "\\u%04x", at[0]);
        else if (step > 1)
            put_character(out, at, step);
        else
            fputc(at[0], out);
        step += step == 0;
        at += step;
        len -= step;
    }
    fputc('"', out);
}

/* JSON has no word for what is no number. */
void json_put_double(FILE *out, double value)
{
    fprintf(out, "%.17g", isfinite(value) ? value : 0.0);
}
