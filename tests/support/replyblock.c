/* SPDX-License-Identifier: Apache-2.0 */
/* replyblock.c - the table, one row a dialect, what is written by it, and the oracle. */
#include "replyblock.h"
#include "base/assert.h"
#include <stdio.h>
#include <string.h>

enum listed { ALL, LATER };
enum form { PLAIN, INSIDE }; /* replies of their own, or inside the lines of one */
enum owner { EACH, LAST, FIRST };

/* The summary table of the specification: who is responsible when the block is cut. */
static const struct row {
    const char *keyword;
    uint32_t offer;
    const char *opener;
    enum listed listed;
    enum form form;
    unsigned outer; /* code of the reply that holds the others */
    bool has_closer;
    const char *closer; /* a fixed one */
    enum owner owner;
    bool may_be_single;
} rows[] = {
    [BLOCK_SMTP] = {"X", 0, NULL, ALL, PLAIN, 0, true, NULL, LAST, true},
    [BLOCK_LMTP] = {"X", 0, NULL, ALL, PLAIN, 0, false, NULL, EACH, false},
    [BLOCK_PRDR] = {"PRDR", SESSION_OFFER_PRDR, "353 ", ALL, PLAIN, 0, true, NULL, LAST, true},
    [BLOCK_DEFERRALS] = {"DEFERRALS", SESSION_OFFER_DEFERRALS, "353 ", LATER, PLAIN, 0, true, NULL,
                         LAST, true},
    [BLOCK_INLINE_DSN] = {"INLINE-DSN", SESSION_OFFER_INLINE_DSN, "353 ", LATER, PLAIN, 0, true,
                          "250 end\r\n", LAST, true},
    [BLOCK_XPRDR1] = {"XPRDR1", SESSION_OFFER_XPRDR1, NULL, ALL, PLAIN, 0, true, NULL, LAST, false},
    [BLOCK_EXDATA] = {"EXDATA", SESSION_OFFER_EXDATA, NULL, ALL, INSIDE, 558, false, NULL, EACH,
                      true},
    [BLOCK_WRAPPED_A] = {"XRCPT250", SESSION_OFFER_XRCPT250, "250-2.0.0 +RCPT ", ALL, INSIDE, 250,
                         true, "250 2.0.0 +END\r\n", EACH, true},
    [BLOCK_WRAPPED_B] = {"XRCPT250B", SESSION_OFFER_XRCPT250B, "250-2.0.0 +RCPT ", ALL, INSIDE, 250,
                         true, "250 2.0.0 +END\r\n", FIRST, true},
    [BLOCK_ADAT] = {"ADAT", SESSION_OFFER_ADAT, "355 ", ALL, PLAIN, 0, true, NULL, LAST, true},
};

static const struct row *row_of(const struct block_case *c)
{
    return &rows[c->dialect];
}

/* --- what can be ------------------------------------------------------------------------------ */

static bool is_refused_early(const struct block_case *c, uint32_t idx)
{
    return c->dialect != BLOCK_ADAT && c->rcpt_codes[idx] >= 400;
}

static bool has_line(const struct block_case *c, uint32_t idx)
{
    if (c->is_single || is_refused_early(c, idx))
        return false;
    return row_of(c)->listed == ALL || c->rcpt_codes[idx] == 352;
}

bool block_is_possible(const struct block_case *c)
{
    const struct row *row = row_of(c);
    uint32_t there = 0, lines = 0;
    for (uint32_t i = 0; i < c->rcpt_count; i++) {
        if (c->dialect != BLOCK_ADAT && c->rcpt_codes[i] == 352 && row->listed != LATER)
            return false;
        there += !is_refused_early(c, i);
        lines += has_line(c, i);
    }
    if (there == 0 || (c->dialect == BLOCK_ADAT && c->uses_chunks))
        return false; /* no content is sent, or not so */
    if (c->is_single)
        return row->may_be_single && (c->dialect != BLOCK_ADAT || c->final_code >= 400); /* OTH-4 */
    if (c->dialect == BLOCK_SMTP)
        return false;
    return lines > 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put(struct block_text *t, const char *text, size_t len)
{
    ASSERT(t->len + len < sizeof(t->at));
    memcpy(t->at + t->len, text, len);
    t->len += len;
}

static void put_str(struct block_text *t, const char *text)
{
    put(t, text, strlen(text));
}

static void put_line(struct block_text *t, const char *outer, unsigned code, bool is_last,
                     struct slice text)
{
    char head[8];
    snprintf(head, sizeof(head), "%03u%c", code, is_last ? ' ' : '-');
    put_str(t, outer);
    put_str(t, head);
    put(t, (const char *)text.ptr, text.len);
    put_str(t, "\r\n");
}

static void put_reply(struct block_text *t, unsigned code, unsigned lines, struct slice text)
{
    for (unsigned i = 1; i <= lines; i++)
        put_line(t, "", code, i == lines, text);
}

static void put_own(const struct block_case *c, struct block_text *t, uint32_t idx, bool is_end)
{
    const struct row *row = row_of(c);
    char outer[8] = "";
    for (unsigned i = 1; i <= c->own_lines[idx]; i++) {
        bool is_last = i == c->own_lines[idx];
        bool ends_all = is_last && is_end && !row->has_closer;
        if (row->form == INSIDE)
            snprintf(outer, sizeof(outer), "%03u%c", row->outer, ends_all ? ' ' : '-');
        put_line(t, outer, c->own_codes[idx], is_last, c->text);
    }
}

void block_write(const struct block_case *c, struct block_text *t)
{
    const struct row *row = row_of(c);
    uint32_t lines = 0, written = 0;
    ASSERT(block_is_possible(c));
    memset(t, 0, offsetof(struct block_text, at));
    for (uint32_t i = 0; i < c->rcpt_count; i++)
        lines += has_line(c, i);
    if (!c->is_single && row->opener != NULL) {
        char count[16];
        snprintf(count, sizeof(count), "%u", lines);
        put_str(t, row->opener);
        put_str(t, row->form == INSIDE ? count : "each");
        put_str(t, "\r\n");
        t->opener_end = t->len;
    }
    for (uint32_t i = 0; i < c->rcpt_count; i++) {
        if (!has_line(c, i))
            continue;
        put_own(c, t, i, ++written == lines);
        t->own_ends[i] = t->len;
    }
    if (c->is_single || row->has_closer) {
        if (!c->is_single && row->closer != NULL)
            put_str(t, row->closer);
        else
            put_reply(t, c->final_code, c->final_lines, c->text);
        t->final_end = t->len;
    }
}

/* --- the oracle ------------------------------------------------------------------------------- */

static char fate_of(unsigned code)
{
    return code < 300 ? 'D' : code < 500 ? 'R' : 'F';
}

/* The last reply decides (PRDR-35): its refusal is everybody's, but who has failed by himself does
 * not come again because of a passing one. */
static char judged_by_last(char own, char last)
{
    if (last == 'D')
        return own;
    return last == 'R' && own == 'F' ? 'F' : last;
}

char block_fate(const struct block_case *c, const struct block_text *t, size_t cut, uint32_t idx)
{
    const struct row *row = row_of(c);
    bool has_last = t->final_end > 0 && cut >= t->final_end;
    bool has_own = t->own_ends[idx] > 0 && cut >= t->own_ends[idx];
    char own = t->own_ends[idx] > 0 ? fate_of(c->own_codes[idx]) : 'D';
    if (is_refused_early(c, idx))
        return fate_of(c->rcpt_codes[idx]);
    if (c->is_single)
        return has_last ? fate_of(c->final_code) : 'R';
    switch (row->owner) {
    case EACH:
        return has_own ? own : 'R';
    case LAST:
        if (!has_last)
            return 'R';
        return judged_by_last(own, row->closer != NULL ? 'D' : fate_of(c->final_code));
    case FIRST:
        if (has_own)
            return own;
        return cut >= t->opener_end ? 'D' : 'R';
    }
    UNREACHABLE();
}

/* --- a client --------------------------------------------------------------------------------- */

static void send_all(struct block_peer *p)
{
    uint8_t memory[3 * CLIENT_COMMAND_BYTES_MAX];
    struct slices parts;
    bool has_more;
    do {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&p->client, 0, &scratch, &parts);
    } while (has_more);
}

/* The events that are due now; returns what is left of @in. */
static struct slice take(struct block_peer *p, struct slice in)
{
    struct client_event ev;
    do {
        in = slice_from(in, client_feed(&p->client, in, 0, &ev));
        if (ev.kind == CLIENT_EV_DONE)
            p->is_done = true;
        if (ev.kind != CLIENT_EV_DONE && ev.kind != CLIENT_EV_READY)
            send_all(p);
    } while (ev.kind != CLIENT_EV_MORE || client_has_event(&p->client));
    return in;
}

void block_peer_hear(struct block_peer *p, struct slice in)
{
    if (p->held_len == 0) {
        in = take(p, in);
    } else {
        size_t len = size_min(in.len, slice_find(in, '\n') + 1);
        ASSERT(p->held_len + len <= sizeof(p->held));
        memcpy(p->held + p->held_len, in.ptr, len);
        p->held_len += len;
        struct slice line = slice_of(p->held, p->held_len);
        in = slice_from(in, len);
        p->held_len = take(p, line).len;
        ASSERT(p->held_len == 0 || in.len == 0);
        if (in.len > 0)
            in = take(p, in);
        else
            return;
    }
    ASSERT(in.len <= sizeof(p->held));
    if (in.len > 0)
        memcpy(p->held, in.ptr, in.len);
    p->held_len = in.len;
}

static void reply(struct block_peer *p, const char *text)
{
    block_peer_hear(p, slice_str(text));
    send_all(p);
}

void block_peer_begin(struct block_peer *p, const struct block_case *c,
                      enum client_pipelining pipelining)
{
    char text[300];
    memset(p, 0, sizeof(*p));
    p->config = (struct client_config){
        .protocol = c->dialect == BLOCK_LMTP ? CLIENT_LMTP : CLIENT_SMTP,
        .pipelining = pipelining,
        .hostname = SLICE_INIT("c.example"),
        .dialects = row_of(c)->offer,
        .dialect_rcpt_min = 1,
        .wants_chunking = c->uses_chunks,
    };
    for (uint32_t i = 0; i < c->rcpt_count; i++)
        p->rcpts[i].address = SLICE_LIT("same@mx.example");
    p->content = SLICE_LIT("x\r\n");
    p->message = (struct client_message){
        .sender = SLICE_INIT("a@a.example"),
        .rcpts = p->rcpts,
        .rcpt_count = c->rcpt_count,
        .content = &p->content,
        .content_count = 1,
    };
    client_init(&p->client, &p->config, 0);
    reply(p, "220 mx\r\n");
    snprintf(text, sizeof(text),
             "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250 %s\r\n",
             row_of(c)->keyword);
    reply(p, text);
    client_begin(&p->client, &p->message, p->results, 0);
    send_all(p);
    reply(p, "250 ok\r\n");
    for (uint32_t i = 0; i < c->rcpt_count && c->dialect != BLOCK_ADAT; i++) {
        snprintf(text, sizeof(text), "%03u rcpt\r\n", c->rcpt_codes[i]);
        reply(p, text);
    }
    if (!c->uses_chunks)
        reply(p, "354 go\r\n");
    ASSERT(client_phase(&p->client) == CLIENT_PHASE_DONE && !p->is_done);
}

void block_peer_cut(const struct block_peer *p, char ret_fates[BLOCK_RCPTS_MAX + 1])
{
    static struct block_peer copy;
    copy = *p;
    if (!copy.is_done) {
        copy.client.results = copy.results;
        copy.client.message = &copy.message;
        copy.client.config = &copy.config;
        client_lost(&copy.client, CLIENT_ERROR_LOST);
        (void)take(&copy, SLICE_EMPTY);
    }
    for (uint32_t i = 0; i < copy.message.rcpt_count; i++) {
        ASSERT(copy.results[i].fate != CLIENT_FATE_OPEN);
        ret_fates[i] = "?DRF"[copy.results[i].fate];
    }
    ret_fates[copy.message.rcpt_count] = '\0';
}
