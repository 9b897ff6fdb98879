/* SPDX-License-Identifier: Apache-2.0 */
/* arrivals_read_mail.c - owns what a delivered message tells by its header: whose and for whom. */
#include "base/err.h"
#include "lab/input.h"

struct reader {
    struct input *in;
    struct slice via;
};

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    return s;
}

/* "<a@b> NOTIFY=NEVER", "a@b", " a@b (comment)". */
static struct slice address_of(struct slice body)
{
    body = trimmed(body);
    if (body.len > 0 && body.ptr[0] == '<') {
        body = slice_from(body, 1);
        return slice_first(body, slice_find(body, '>'));
    }
    return slice_first(body, size_min(slice_find(body, ' '), slice_find(body, '\t')));
}

/* The next field @name in @rest of a header; false at its end. */
static bool field_next(struct slice *rest, struct slice name, struct slice *ret_body)
{
    while (rest->len > 0) {
        size_t len = slice_find(*rest, '\n');
        struct slice line = slice_first(*rest, len);
        *rest = slice_from(*rest, len + 1);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            return false;
        if (line.len > name.len && line.ptr[name.len] == ':' &&
            slice_has_prefix_nocase(line, name)) {
            *ret_body = slice_from(line, name.len + 1);
            return true;
        }
    }
    return false;
}

static int add_named(struct reader *r, struct arrival *a, struct slice content)
{
    struct slice name = slice_str(r->in->rcpt_field);
    struct slice body;
    bool is_named = false;
    while (field_next(&content, name, &body)) {
        a->address = address_of(body);
        int result = ledger_add_arrival(r->in->ledger, a, true);
        if (result < 0)
            return result;
        is_named = true;
    }
    a->address = SLICE_EMPTY;
    return is_named ? 0 : ledger_add_arrival(r->in->ledger, a, true);
}

static int add_guessed(struct reader *r, struct arrival *a, struct slice content)
{
    static const struct slice names[] = {SLICE_INIT("X-Original-To"), SLICE_INIT("Delivered-To")};
    for (size_t i = 0; i < ARRAY_COUNT(names) && a->address.len == 0; i++) {
        struct slice rest = content;
        struct slice body;
        if (field_next(&rest, names[i], &body))
            a->address = address_of(body);
    }
    return ledger_add_arrival(r->in->ledger, a, false);
}

static int add(void *arg, const struct corpus_item *item)
{
    struct reader *r = arg;
    struct arrival a = {.rcpt_idx = UINT32_MAX, .content_bytes = item->content.len, .via = r->via};
    a.has_id = identity_find(item->content, &a.id);
    return r->in->rcpt_field != NULL ? add_named(r, &a, item->content)
                                     : add_guessed(r, &a, item->content);
}

int arrivals_read_mail(struct input *in, const char *path, enum corpus_kind kind)
{
    char text[512] = "";
    struct reader r = {.in = in,
                       .via = kind == CORPUS_MAILDIR ? SLICE_LIT("maildir")
                              : kind == CORPUS_MBOX  ? SLICE_LIT("mbox")
                                                     : SLICE_LIT("folder")};
    int result = corpus_read(path, kind, add, &r, text, sizeof(text));
    if (result < 0 && text[0] != '\0')
        fprintf(in->err, "postern-lab: %s\n", text);
    else if (result < 0)
        input_failed(in, path, result);
    return result;
}
