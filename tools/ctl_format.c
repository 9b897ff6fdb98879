/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_format.c - owns the conversion of a stored message to eml, mboxrd and Maildir files: a
 * stream, at any split of the content. Errors of writing are the FILE's.
 */
#include "ctl_format.h"
#include "base/civil.h"

static const char from_text[] = "From ";
#define FROM_LEN (sizeof(from_text) - 1)

static void put_byte(struct ctl_format *f, uint8_t byte)
{
    putc_unlocked(byte, f->out);
    f->last = byte;
}

/* What is held back of "From ": it has turned out to be something else. */
static void from_release(struct ctl_format *f)
{
    for (uint32_t i = 0; i < f->from_count; i++)
        put_byte(f, (uint8_t)from_text[i]);
    f->from_count = 0;
}

/* A byte of a line of a mbox; ">" of the line have been written, "From " is held back. */
static void mbox_put(struct ctl_format *f, uint8_t byte)
{
    if (byte == '\n') {
        from_release(f);
        put_byte(f, byte);
        f->is_line_start = true;
        return;
    }
    if (f->is_line_start && f->from_count == 0 && byte == '>') {
        put_byte(f, byte);
        return;
    }
    if (f->is_line_start && byte == (uint8_t)from_text[f->from_count]) {
        if (++f->from_count < FROM_LEN)
            return;
        put_byte(f, '>');
        f->is_line_start = false;
        from_release(f);
        return;
    }
    f->is_line_start = false;
    from_release(f);
    put_byte(f, byte);
}

static void unix_put(struct ctl_format *f, uint8_t byte)
{
    if (f->kind == CTL_FORMAT_MBOX)
        mbox_put(f, byte);
    else
        put_byte(f, byte);
}

void ctl_format_put(struct ctl_format *f, struct slice bytes)
{
    if (f->kind == CTL_FORMAT_EML) {
        if (bytes.len > 0)
            fwrite(bytes.ptr, 1, bytes.len, f->out);
        return;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (f->has_cr && byte != '\n')
            unix_put(f, '\r');
        f->has_cr = byte == '\r';
        if (!f->has_cr)
            unix_put(f, byte);
    }
}

void ctl_format_end(struct ctl_format *f)
{
    if (f->has_cr)
        unix_put(f, '\r');
    f->has_cr = false;
    if (f->kind != CTL_FORMAT_MBOX)
        return;
    from_release(f);
    if (f->last != '\n')
        put_byte(f, '\n');
    put_byte(f, '\n');
}

/* Addresses have no control characters; a file must not depend on that. */
static void put_clean(struct ctl_format *f, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i] < ' ' || text.ptr[i] == 0x7F ? '?' : text.ptr[i];
        ctl_format_put(f, slice_of(&c, 1));
    }
}

/* "From sender Thu Jan  1 00:00:00 1970": the sender is one word, the time is UTC (RFC 4155). */
static void put_from_line(FILE *out, const struct spool_envelope *e)
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil c = civil_from_unix(e->received_at / 1000000);
    fputs(from_text, out);
    for (size_t i = 0; i < e->reverse_path.len; i++) {
        uint8_t byte = e->reverse_path.ptr[i];
        putc(byte <= ' ' || byte == 0x7F ? '-' : byte, out);
    }
    fprintf(out, "%s %.3s %.3s %2u %02u:%02u:%02u %u\n",
            e->reverse_path.len == 0 ? "MAILER-DAEMON" : "", weekdays + 3 * (size_t)c.weekday,
            months + 3 * (size_t)(c.month - 1), c.day, c.hour, c.minute, c.second, c.year);
}

void ctl_format_begin(struct ctl_format *f, FILE *out, enum ctl_format_kind kind,
                      const struct spool_envelope *envelope)
{
    *f = (struct ctl_format){.out = out, .kind = kind, .is_line_start = true, .last = '\n'};
    if (kind == CTL_FORMAT_MBOX)
        put_from_line(out, envelope);
    ctl_format_put(f, SLICE_LIT("Return-Path: <"));
    put_clean(f, envelope->reverse_path);
    ctl_format_put(f, SLICE_LIT(">\r\n"));
    ctl_format_put(f, envelope->trace);
}
