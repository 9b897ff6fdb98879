/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrivals_read_spool.c - owns what a spool tells: its recipients that are held or active. The
 * identity may be in a field of the content before the Message-ID counts, so the header is read.
 */
#include "base/err.h"
#include "lab/input.h"
#include "spool/store.h"

#define HEADER_BYTES_MAX ((size_t)256 * KIB) /* what is looked at of a content */

struct header {
    size_t len;
    uint8_t bytes[HEADER_BYTES_MAX];
};

/* Gathers until the first empty line; 1 ends the reading. */
static int take_header(void *arg, struct slice bytes)
{
    struct header *h = arg;
    size_t from = h->len > 3 ? h->len - 3 : 0;
    size_t len = size_min(bytes.len, sizeof(h->bytes) - h->len);
    if (len > 0)
        memcpy(h->bytes + h->len, bytes.ptr, len);
    h->len += len;
    return h->len == sizeof(h->bytes) ||
           memmem(h->bytes + from, h->len - from, "\r\n\r\n", 4) != NULL;
}

static void damaged(struct input *in, const char *dir, uint64_t queue_id, const char *what)
{
    char id[QUEUE_ID_CHARS + 1];
    char text[128];
    queue_id_format(queue_id, id);
    snprintf(text, sizeof(text), "message %s: %s", id, what);
    input_damaged(in, dir, 0, text);
}

static int add_rcpts(struct input *in, const struct store_message *m, struct arrival *a)
{
    for (uint32_t i = 0; i < m->envelope.rcpt_count; i++) {
        if (m->is_gone[i])
            continue;
        a->rcpt_idx = i;
        a->address = m->envelope.rcpts[i].address;
        int result = ledger_add_arrival(in->ledger, a, true);
        if (result == 0 && in->on_copy != NULL)
            result = in->on_copy(in->arg, a);
        if (result < 0)
            return result;
    }
    return 0;
}

static int add_message(struct input *in, const char *dir, const struct store *s, uint32_t idx)
{
    static struct header header; /* too large for the stack */
    struct store_message m;
    struct store_damage damage;
    int result = store_load(s, idx, &m, &damage);
    if (result == -EBADMSG) {
        damaged(in, dir, store_queue_id(s, idx), "its record is damaged");
        return 0;
    }
    if (result < 0)
        return result;
    struct arrival a = {.at = m.envelope.received_at,
                        .content_bytes = m.envelope.content_bytes,
                        .hash = m.envelope.hash[0],
                        .via = SLICE_LIT("spool")};
    header.len = 0;
    result = store_content(s, idx, take_header, &header, &damage);
    if (result == -EBADMSG)
        damaged(in, dir, m.queue_id, "its content is damaged");
    if (result == -EBADMSG || result > 0)
        result = 0;
    a.has_id = identity_find(slice_of(header.bytes, header.len), &a.id) ||
               identity_from_message_id(m.envelope.message_id, &a.id);
    if (result == 0)
        result = add_rcpts(in, &m, &a);
    store_message_free(&m);
    return result;
}

int arrivals_read_spool(struct input *in, const char *dir)
{
    char text[512] = "";
    struct store *s;
    int result = store_open(dir, &s, text, sizeof(text));
    if (result < 0) {
        fprintf(in->err, "postern-lab: %s\n", text);
        return result;
    }
    for (uint32_t i = 0; i < store_damage_count(s); i++) {
        const struct store_damage *d = store_damage_at(s, i);
        if (d->kind == STORE_DAMAGE_TAIL) /* of a crash: no reply was sent */
            continue;
        snprintf(text, sizeof(text), "%s: damage at %llu", d->file, (unsigned long long)d->offset);
        input_damaged(in, dir, 0, text);
    }
    result = 0;
    for (uint32_t i = 0; i < store_count(s) && result == 0; i++)
        result = add_message(in, dir, s, i);
    store_close(s);
    return result < 0 ? input_failed(in, dir, result) : 0;
}
