/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taken.c - owns commits, and the arrivals in the ledger.
 *
 * To commit is to count the recipient as taken. An arrival is written when it is known whether its
 * reply has arrived: at the next command, or at the end of the connection.
 */
#include "taken.h"
#include "smtp/wrapped.h"
#include "base/assert.h"
#include <string.h>

static enum dialect_owner owner_of(const struct txn *t)
{
    return dialect_owner_of(t->dialect);
}

/* --- commits --------------------------------------------------------------------------------- */

static struct slice address_of(const struct txn *t, const struct sink_rcpt *r)
{
    return slice_of(t->text + r->text_at, r->text_len);
}

void taken_commit(struct worker *w, struct txn *t, struct sink_rcpt *r)
{
    if (r->is_committed || r->is_suppressed)
        return;
    if (t->stored.fd >= 0) {
        int result = store_commit(&t->stored);
        if (result < 0) {
            t->has_failed = true;
            shared_fail(w->shared, result, w->shared->options.store_dir);
        }
    }
    if (t->has_failed)
        return;
    bool is_first = true;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        is_first &= !t->rcpts[i].is_committed;
    r->is_committed = true;
    r->at = t->is_opener_written ? t->opener_wall : ring_wall(w->ring);
    if (t->has_id && script_wants_memory(w->shared->script))
        memory_note_copy(w->shared->memory, t->id, address_of(t, r), ring_now(w->ring));
    worker_count(w, SINK_RCPTS_COMMITTED, 1);
    if (is_first)
        worker_count(w, SINK_MESSAGES_COMMITTED, 1);
}

/* --- arrivals -------------------------------------------------------------------------------- */

static void put_arrival(struct worker *w, const struct conn *c, const struct txn *t,
                        const struct sink_rcpt *r, enum arrival_delivered delivered)
{
    static const enum sink_counter counters[] = {
        [ARRIVAL_REPLY_UNKNOWN] = SINK_REPLIES_UNKNOWN,
        [ARRIVAL_REPLY_YES] = SINK_REPLIES_YES,
        [ARRIVAL_REPLY_NO] = SINK_REPLIES_NO,
    };
    const struct arrival a = {
        .has_id = t->has_id,
        .id = t->id,
        .rcpt_idx = r->rcpt_idx,
        .address = address_of(t, r),
        .at = r->at,
        .content_bytes = t->content_bytes,
        .hash = t->content_hash,
        .code = r->code,
        .delivered = delivered,
        .conn = c->number,
        .txn = t->number,
        .via = r->is_held ? SLICE_LIT("held") : slice_str(dialect_name(t->dialect)),
    };
    worker_count(w, counters[delivered], 1);
    worker_put_arrival(w, &a);
}

enum settle_how { SETTLE_INPUT, SETTLE_END };

static enum arrival_delivered fate_of(const struct conn *c, const struct sink_rcpt *r,
                                      enum settle_how how)
{
    if (r->reply_end > c->sent) /* TXN_REPLY_NEVER is more than can be */
        return ARRIVAL_REPLY_NO;
    if (how == SETTLE_INPUT)
        return ARRIVAL_REPLY_YES;
    /* A reset of our own may overtake the acknowledgement of what the client has read already. */
    bool is_lost = c->is_broken && c->drop != SCRIPT_DROP_RESET && r->reply_end > c->acked;
    return is_lost ? ARRIVAL_REPLY_NO : ARRIVAL_REPLY_UNKNOWN;
}

static bool is_refusal(const struct sink_rcpt *r)
{
    return r->code >= 400 && !r->is_committed;
}

/* HOL-13: he is the client's no more, and that he was refused is not known to have been read: the
 * server owes a notice, and has him in its ledger for that. */
static bool is_owed_notice(const struct conn *c, const struct txn *t, const struct sink_rcpt *r,
                           enum settle_how how)
{
    bool is_told = how == SETTLE_INPUT && r->own_end <= c->sent;
    bool is_ours = t->is_promised && r->reply_end <= c->sent;
    return is_ours && t->dot.commit != SCRIPT_COMMIT_NEVER && is_refusal(r) && !is_told;
}

static void settle_rcpt(struct worker *w, struct conn *c, struct txn *t, struct sink_rcpt *r,
                        enum settle_how how)
{
    enum arrival_delivered fate = fate_of(c, r, how);
    bool is_here = r->is_committed || r->is_suppressed;
    bool is_owed = is_owed_notice(c, t, r, how);
    if (is_here && fate == ARRIVAL_REPLY_YES && t->has_id && script_wants_memory(w->shared->script))
        memory_note_read(w->shared->memory, t->id, address_of(t, r));
    if (w->shared->ledger_fd < 0)
        return;
    if (is_owed) {
        r->at = ring_wall(w->ring);
        worker_count(w, SINK_NOTICES, 1);
    }
    if (r->is_committed || is_owed)
        put_arrival(w, c, t, r, fate);
}

static void settle(struct worker *w, struct conn *c, struct txn *t, enum settle_how how)
{
    list_remove(&t->link);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        settle_rcpt(w, c, t, &t->rcpts[i], how);
    worker_txn_give(w, t);
}

/* All replies of @t that can leave have left. */
static bool has_left(const struct conn *c, const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        const struct sink_rcpt *r = &t->rcpts[i];
        if (r->reply_end != TXN_REPLY_NEVER && r->reply_end > c->sent)
            return false;
        if (r->own_end != TXN_REPLY_NEVER && r->own_end > c->sent)
            return false;
    }
    return true;
}

void taken_end(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    bool is_kept = false;
    c->txn = NULL;
    ASSERT(t != NULL);
    bool wants = w->shared->ledger_fd >= 0 || script_wants_memory(w->shared->script);
    for (uint32_t i = 0; i < t->rcpt_count && wants; i++)
        is_kept |= t->rcpts[i].is_committed || t->rcpts[i].is_suppressed ||
                   (t->is_promised && is_refusal(&t->rcpts[i]));
    is_kept |= t->dot.commit == SCRIPT_COMMIT_AFTER && !c->is_gone;
    if (!is_kept) {
        worker_txn_give(w, t);
        return;
    }
    list_push(&c->settling, &t->link);
    if (c->state == CONN_CLOSED)
        settle(w, c, t, SETTLE_END);
}

void taken_on_sent(struct worker *w, struct conn *c)
{
    for (struct list *l = c->settling.next; l != &c->settling; l = l->next) {
        struct txn *t = CONTAINER_OF(l, struct txn, link);
        for (uint32_t i = 0; t->dot.commit == SCRIPT_COMMIT_AFTER && i < t->rcpt_count; i++)
            if (t->rcpts[i].is_accepted && t->rcpts[i].reply_end <= c->sent)
                taken_commit(w, t, &t->rcpts[i]);
    }
}

void taken_on_input(struct worker *w, struct conn *c)
{
    struct list *next;
    for (struct list *l = c->settling.next; l != &c->settling; l = next) {
        struct txn *t = CONTAINER_OF(l, struct txn, link);
        next = l->next;
        if (has_left(c, t))
            settle(w, c, t, SETTLE_INPUT);
    }
}

void taken_on_close(struct worker *w, struct conn *c)
{
    while (!list_is_empty(&c->settling))
        settle(w, c, CONTAINER_OF(c->settling.next, struct txn, link), SETTLE_END);
}

/* --- whose reply it is ------------------------------------------------------------------------ */

static void set_reply_ends(struct txn *t, uint64_t end)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->rcpts[i].reply_end = end;
}

/* The recipient whose line of the list comes next; NULL: there is none. */
static struct sink_rcpt *next_shown(struct txn *t)
{
    while (t->shown_idx < t->rcpt_count && !t->rcpts[t->shown_idx].has_line)
        t->shown_idx++;
    return t->shown_idx < t->rcpt_count ? &t->rcpts[t->shown_idx++] : NULL;
}

/* Line @line_idx of the replies, which ends at @end, is what makes somebody sure. NULL, or the one
 * whose it is. */
static struct sink_rcpt *note_line(struct txn *t, uint32_t line_idx, uint64_t end, bool has_block)
{
    uint32_t opener_count = has_block && dialect_has_opener(t->dialect);
    struct sink_rcpt *r = has_block && line_idx >= opener_count ? next_shown(t) : NULL;
    switch (owner_of(t)) {
    case DIALECT_OWNER_FINAL:
        break;
    case DIALECT_OWNER_OPENER:
        if (line_idx == 0)
            set_reply_ends(t, end);
        t->is_promised |= has_block && line_idx == 0;
        if (r != NULL)
            r->own_end = end;
        break;
    case DIALECT_OWNER_REPLY:
        if (!has_block && line_idx == 0)
            set_reply_ends(t, end);
        if (r != NULL)
            r->reply_end = end;
        break;
    }
    return r;
}

/* What the script does to the line of @r is done to what was formatted last; to the one reply for
 * all (NULL) what it does to the first of them. */
static void give_tweak(struct conn *c, struct txn *t, struct sink_rcpt *r)
{
    for (uint32_t i = 0; r == NULL && i < t->rcpt_count; i++)
        if (t->rcpts[i].tweak != SCRIPT_TWEAK_NONE)
            r = &t->rcpts[i];
    if (r == NULL || r->tweak == SCRIPT_TWEAK_NONE)
        return;
    c->tweak = (enum script_tweak)r->tweak;
    c->tweak_number = r->tweak_number;
    c->tweak_text = r->tweak_text;
    r->tweak = SCRIPT_TWEAK_NONE;
    t->tweak_count--;
}

void taken_on_reply(struct conn *c, struct slice bytes, bool has_block)
{
    struct txn *t = c->txn;
    if (bytes.len > 0)
        t->answered_at = t->due_at;
    if (t->lines_said == 0 && t->lines_max > 0)
        t->lines_max += has_block && dialect_has_opener(t->dialect);
    for (size_t at = 0; at < bytes.len;) {
        bool is_life =
            has_block && slice_has_prefix_nocase(slice_from(bytes, at), XRCPT250_WORKING);
        at += slice_find(slice_from(bytes, at), '\n') + 1; /* each reply of ours is one line */
        if (is_life)
            continue;
        struct sink_rcpt *r = note_line(t, t->lines_said++, c->formatted + at, has_block);
        if (t->tweak_count > 0 && (r != NULL || !has_block))
            give_tweak(c, t, r);
        if (t->lines_said != t->lines_max)
            continue;
        t->dot.drop_replies = t->dot.drop_after;
        t->dot.drop_replies_bytes = t->answer_bytes + at;
    }
    if (!t->is_last_due || !session_replies_done(&c->session))
        return;
    t->is_last_due = false;
    if (owner_of(t) == DIALECT_OWNER_FINAL)
        set_reply_ends(t, c->formatted + bytes.len);
}

uint32_t taken_on_spoilt(struct conn *c, uint64_t start, int64_t growth, size_t len)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        uint64_t *const ends[] = {&t->rcpts[i].reply_end, &t->rcpts[i].own_end};
        for (size_t k = 0; k < ARRAY_COUNT(ends); k++) {
            if (*ends[k] == TXN_REPLY_NEVER || *ends[k] <= start)
                continue;
            *ends[k] = c->is_spoiled ? TXN_REPLY_NEVER : (uint64_t)((int64_t)*ends[k] + growth);
        }
    }
    t->answer_bytes += len;
    if (len == 0)
        return 0;
    if (t->dot.drop_replies == SCRIPT_DROP_NONE || t->answer_bytes < t->dot.drop_replies_bytes)
        return 0;
    c->cut = (uint8_t)t->dot.drop_replies;
    return (uint32_t)(t->answer_bytes - t->dot.drop_replies_bytes);
}
