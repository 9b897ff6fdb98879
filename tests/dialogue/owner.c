/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.c - the smallest owner that treats a session as the real one does: bytes that were not
 * consumed stay at the front, output is formatted when the turn ends, answers may come later. It
 * checks what every owner may rely on: consumed counts, one end for each transaction, line lengths.
 */
#include "owner.h"
#include <stdlib.h>

void bytes_put(struct bytes *b, struct slice s)
{
    if (b->cap - b->len < s.len) {
        b->cap = size_max(b->cap * 2, b->len + s.len + 256);
        b->ptr = realloc(b->ptr, b->cap);
        ASSERT(b->ptr != NULL);
    }
    if (s.len > 0)
        memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

void bytes_free(struct bytes *b)
{
    free(b->ptr);
    *b = (struct bytes){0};
}

void owner_init(struct owner *o, const struct session_config *config, const struct owner_ops *ops,
                void *ctx)
{
    memset(o, 0, sizeof(*o));
    o->ops = ops;
    o->ctx = ctx;
    session_init(&o->session, config, 0);
}

void owner_deinit(struct owner *o)
{
    bytes_free(&o->held);
    bytes_free(&o->out);
    bytes_free(&o->body);
    bytes_free(&o->bodies);
    bytes_free(&o->trace);
    free(o->entries);
    o->entries = NULL;
}

static void drain(struct owner *o)
{
    uint8_t memory[4096];
    bool is_done;
    do {
        size_t room = o->out_room > 0 ? o->out_room : sizeof(memory);
        ASSERT(room <= sizeof(memory));
        struct buf out = buf_over(memory, room);
        is_done = session_output(&o->session, &out);
        ASSERT(!out.is_full);
        ASSERT(is_done || out.len > 0); /* progress, or it would be stuck */
        bytes_put(&o->out, buf_slice(&out));
    } while (!is_done);
    if (session_replies_done(&o->session) && o->entries != NULL &&
        session_phase(&o->session) != SESSION_PHASE_DECISION) {
        free(o->entries);
        o->entries = NULL;
    }
}

static void settle(struct owner *o, uint32_t slot, struct answer a)
{
    if (a.status == STATUS_NONE) {
        ASSERT(o->later_count < OWNER_SLOTS_MAX);
        o->later[o->later_count++] = slot;
        return;
    }
    if (o->has_content_slot && slot == o->content_slot && status_is_success(a.status)) {
        o->has_content_slot = false;
        struct scan_options options = session_scan_options(&o->session);
        scan_begin(&o->scan, &options);
        session_begin_content(&o->session, slot, &o->scan);
        return;
    }
    o->has_content_slot = false;
    uint32_t before = session_rcpt_count(&o->session);
    session_answer(&o->session, slot, a);
    if (session_rcpt_count(&o->session) == before + 1)
        o->rcpt_codes[before] = answer_code(&a);
}

static void take_parts(struct owner *o, const struct slices *parts)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        ASSERT(parts->at[i].len > 0);
        bytes_put(&o->body, parts->at[i]);
    }
}

static void content_ended(struct owner *o, const struct session_event *ev)
{
    take_parts(o, &ev->parts);
    if (ev->answer.status == STATUS_TOO_BIG)
        o->body.len = 0; /* how much of it was passed on depends on the split */
    else
        ASSERT(ev->scan->content_bytes == o->body.len);
    bytes_put(&o->bodies, bytes_slice(&o->body));
    bytes_put(&o->bodies, SLICE_LIT("\n--\n"));
    o->body.len = 0;
}

static void decide(struct owner *o, const struct session_event *ev)
{
    uint32_t count = session_rcpt_count(&o->session);
    ASSERT(count > 0);
    ASSERT(o->entries == NULL);
    o->entries = calloc(count, sizeof(*o->entries));
    ASSERT(o->entries != NULL);
    for (uint32_t i = 0; i < count; i++)
        o->entries[i].rcpt_code = o->rcpt_codes[i];
    session_set_entries(&o->session, o->entries);
    o->ops->on_end(o, ev);
}

/* One event; false when the machine wants more bytes or an answer. */
static bool handle(struct owner *o, const struct session_event *ev)
{
    static const char letters[] = {
        [EV_MORE] = 0,       [EV_BLOCKED] = 0, [EV_OUTPUT] = 0,    [EV_HELO] = 'h',
        [EV_MAIL] = 'm',     [EV_RCPT] = 'r',  [EV_CONTENT] = 'c', [EV_BODY] = 0,
        [EV_BODY_END] = 'b', [EV_ABORT] = 'a', [EV_CLOSE] = 'x',   [EV_NAMING] = 'n',
        [EV_COMMIT] = 'k',   [EV_REFUSED] = 0,
    };
    uint8_t letter = (uint8_t)letters[ev->kind];
    if (letter != 0 && !(o->is_closed && ev->kind == EV_CLOSE))
        bytes_put(&o->trace, slice_of(&letter, 1));
    switch (ev->kind) {
    case EV_MORE:
    case EV_BLOCKED:
        return false;
    case EV_OUTPUT:
        drain(o);
        return true;
    case EV_HELO:
    case EV_REFUSED:
        return true;
    case EV_MAIL:
        settle(o, ev->slot, o->ops->on_mail(o, ev));
        return true;
    case EV_RCPT:
        settle(o, ev->slot, o->ops->on_rcpt(o, ev));
        return true;
    case EV_CONTENT:
        o->has_content_slot = true;
        o->content_slot = ev->slot;
        settle(o, ev->slot, o->ops->on_content(o));
        return true;
    case EV_BODY:
        take_parts(o, &ev->parts);
        return true;
    case EV_BODY_END:
        content_ended(o, ev);
        decide(o, ev);
        return true;
    case EV_NAMING:
        content_ended(o, ev);
        ASSERT(session_rcpt_count(&o->session) == 0);
        if (ev->answer.status != STATUS_NONE)
            session_finish(&o->session, ev->answer);
        else
            session_name_rcpts(&o->session);
        return true;
    case EV_COMMIT:
        decide(o, ev);
        return true;
    case EV_ABORT:
        ASSERT(!session_in_transaction(&o->session));
        o->body.len = 0;
        return true;
    case EV_CLOSE:
        o->is_closed = true;
        return false;
    }
    UNREACHABLE();
}

void owner_pump(struct owner *o)
{
    static struct session_event ev; /* not cleared between calls, as with a real owner */
    bool goes_on = true;
    size_t at = 0;
    while (goes_on) {
        struct slice in = slice_from(bytes_slice(&o->held), at);
        size_t used = session_feed(&o->session, in, 0, &ev);
        ASSERT(used <= in.len);
        goes_on = handle(o, &ev);
        at += used;
    }
    if (at > 0 && at < o->held.len)
        memmove(o->held.ptr, o->held.ptr + at, o->held.len - at);
    o->held.len -= at;
    drain(o);
}

void owner_feed(struct owner *o, struct slice in)
{
    bytes_put(&o->held, in);
    owner_pump(o);
}

void owner_answer(struct owner *o, struct answer answer)
{
    ASSERT(o->later_count > 0);
    uint32_t slot = o->later[0];
    o->later_count--;
    memmove(o->later, o->later + 1, o->later_count * sizeof(o->later[0]));
    settle(o, slot, answer);
}

void owner_accept(struct owner *o, uint32_t idx, struct answer answer)
{
    static const struct commit_proof proof = {.queue_id = 1, .is_committed = true};
    session_accept_rcpt(&o->session, idx, answer, &proof);
}

void owner_accept_all(struct owner *o, const struct session_event *ev)
{
    if (ev->answer.status != STATUS_NONE) {
        session_finish(&o->session, ev->answer);
        return;
    }
    for (uint32_t i = 0; i < session_rcpt_count(&o->session); i++)
        owner_accept(o, i, ANSWER(STATUS_STORED));
    o->accepted_count++;
    session_finish(&o->session, ANSWER(STATUS_NONE));
}

void owner_check_output(struct slice out)
{
    while (out.len > 0) {
        size_t lf = slice_find(out, '\n');
        ASSERT(lf < out.len);
        ASSERT(lf + 1 <= REPLY_LINE_BYTES_MAX);
        ASSERT(lf >= 4);
        ASSERT(out.ptr[lf - 1] == '\r');
        ASSERT(out.ptr[0] >= '2' && out.ptr[0] <= '5');
        ASSERT(out.ptr[3] == ' ' || out.ptr[3] == '-');
        for (size_t i = 0; i + 1 < lf; i++)
            ASSERT(out.ptr[i] >= 0x20 && out.ptr[i] != 0x7F);
        out = slice_from(out, lf + 1);
    }
}
