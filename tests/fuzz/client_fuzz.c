/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_fuzz.c - a server that answers anything.
 *
 * Input: two bytes of configuration, then what the server sends, cut where a byte 0xFF stands.
 * Oracles: every message ends with all fates set; what is credited as theirs was answered 2xx; the
 * end comes once, with the connection.
 */
#include "base/assert.h"
#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RCPTS 3

struct fuzz {
    struct client client;
    struct client_message message;
    struct client_rcpt rcpts[RCPTS];
    struct client_result results[RCPTS];
    struct slice content[2];
    unsigned messages;
    bool is_open; /* a message is under way */
    bool is_closed;
};

static void send_all(struct fuzz *f)
{
    uint8_t memory[2 * CLIENT_COMMAND_BYTES_MAX];
    struct slices parts;
    bool has_more = true;
    for (int i = 0; has_more; i++) {
        struct buf scratch = buf_over(memory, sizeof(memory));
        ASSERT(i < 1000);
        has_more = client_output(&f->client, 0, &scratch, &parts);
        for (uint32_t n = 0; n < parts.count; n++)
            ASSERT(parts.at[n].len > 0);
    }
}

static void on_done(struct fuzz *f)
{
    ASSERT(f->is_open);
    f->is_open = false;
    for (int i = 0; i < RCPTS; i++) {
        const struct client_result *r = &f->results[i];
        ASSERT(r->fate != CLIENT_FATE_OPEN);
        if (r->fate == CLIENT_FATE_DONE)
            ASSERT(r->code / 100 == 2 && r->phase == CLIENT_PHASE_DONE &&
                   (r->rcpt_code / 100 == 2 || r->rcpt_code == 352));
    }
}

static void on_ready(struct fuzz *f)
{
    ASSERT(!f->is_open);
    if (f->messages++ < 3) {
        client_begin(&f->client, &f->message, f->results, 0);
        f->is_open = true;
    } else {
        client_quit(&f->client);
    }
}

static size_t hear(struct fuzz *f, struct slice in)
{
    size_t at = 0;
    struct client_event ev;
    do {
        at += client_feed(&f->client, slice_from(in, at), 0, &ev);
        ASSERT(at <= in.len);
        if (ev.kind == CLIENT_EV_DONE)
            on_done(f);
        if (ev.kind == CLIENT_EV_READY)
            on_ready(f);
        if (ev.kind == CLIENT_EV_CLOSED) {
            ASSERT(!f->is_closed && !f->is_open);
            f->is_closed = true;
        }
        send_all(f);
    } while (ev.kind != CLIENT_EV_MORE || client_has_event(&f->client));
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    static uint8_t held[1 << 16];
    size_t held_len = 0;
    if (size < 2 || size > sizeof(held))
        return 0;
    struct client_config config = {
        .protocol = (data[0] & 1) != 0 ? CLIENT_LMTP : CLIENT_SMTP,
        .pipelining = (enum client_pipelining)(data[0] / 2 % 3),
        .hostname = SLICE_LIT("a.example"),
        .dialects = (uint32_t)data[1] << 9 & SESSION_OFFER_DIALECTS, /* PRDR is the lowest */
        .heeds_exdata_only_if_asked = (data[0] & 8) != 0,
        .wants_chunking = (data[0] & 16) != 0,
        .chunk_bytes = (data[0] & 32) != 0 ? 5 : 0,
    };
    memset(&f, 0, sizeof(f));
    for (int i = 0; i < RCPTS; i++)
        f.rcpts[i].address = SLICE_LIT("b@b.example");
    f.content[0] = SLICE_LIT("a\r\n.b");
    f.content[1] = SLICE_LIT("\r\nc");
    f.message = (struct client_message){.sender = SLICE_LIT("a@a.example"),
                                        .rcpts = f.rcpts,
                                        .rcpt_count = RCPTS,
                                        .content = f.content,
                                        .content_count = (data[0] & 64) != 0 ? 0 : 2};
    client_init(&f.client, &config, 0);
    for (size_t i = 2; i < size; i++) {
        if (data[i] != 0xFF)
            held[held_len++] = data[i];
        if (data[i] != 0xFF && i + 1 < size)
            continue;
        size_t used = hear(&f, slice_of(held, held_len));
        held_len -= used;
        memmove(held, held + used, held_len);
    }
    client_lost(&f.client, CLIENT_ERROR_LOST);
    (void)hear(&f, SLICE_EMPTY);
    ASSERT(f.is_closed && !f.is_open);
    return 0;
}
