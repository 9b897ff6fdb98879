/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_reply.c - the server machine: decisions after the content, output, and endings.
 *
 * Owns the way of an answer onto the wire. All replies to one message are one slot of the queue,
 * the block, which goes through the stages that its dialect has:
 *
 *     HELD -> OPENER -> INDIVIDUAL (entry 0 .. |L|-1) -> FINAL -> IDLE
 *       +---> SINGLE -> IDLE
 *
 * It is HELD until the form is known (dialect.c). Individual replies leave in order, each as soon
 * as it is decided, formatted one at a time from the owner's entries, so ten thousand of them need
 * no memory here.
 *
 * Invariants:
 * - A success for a recipient comes from session_accept_rcpt() only, which asserts the proof of
 *   commit; a final success is derived from such entries only (P1).
 * - After a block has been opened it is always completed: what is missing is answered with a
 *   temporary failure (PRDR-30, LMTP-12, LMTP-14).
 */
#include "smtp/session.h"
#include "smtp/hello.h"
#include "smtp/line.h"
#include "smtp/command.h"
#include "smtp/reply.h"
#include "dialect.h"
#include "session_state.h"
#include <string.h>

static_assert(SESSION_OUTPUT_BYTES_MIN >= HELLO_REPLY_BYTES_MAX, "the longest reply we build");
static_assert(SESSION_OUTPUT_BYTES_MIN >= REPLY_LINE_BYTES_MAX, "a reply line");

static const struct dialect_row *dialect_of(const struct session *s)
{
    return dialect_row((enum dialect)s->dialect);
}

static bool is_failure(const struct answer *a)
{
    return status_is_temporary(a->status) || status_is_permanent(a->status);
}

/* ---- decisions ---- */

static bool is_deciding(const struct session *s)
{
    if (s->state == STATE_CLOSED)
        return false;
    ASSERT(s->state == STATE_DECIDE);
    return true;
}

void session_set_entries(struct session *s, struct session_entry *entries)
{
    if (!is_deciding(s))
        return;
    ASSERT(entries != NULL);
    ASSERT(s->entries == NULL);
    for (uint32_t i = 0; i < s->rcpt_count; i++) {
        entries[i].answer = ANSWER(STATUS_NONE);
        entries[i].fate = SESSION_FATE_OPEN;
        entries[i].is_promise_said = false;
    }
    s->entries = entries;
    if (dialect_of(s)->opens == DIALECT_OPENS_AT_ONCE)
        s->stage = DIALECT_OPENER;
}

static bool is_decided(const struct session_entry *entry)
{
    return entry->fate == SESSION_FATE_REFUSED || entry->fate == SESSION_FATE_ACCEPTED;
}

static struct session_entry *open_entry(struct session *s, uint32_t idx)
{
    ASSERT(s->entries != NULL);
    ASSERT(idx < s->rcpt_count);
    ASSERT(!is_decided(&s->entries[idx]));
    return &s->entries[idx];
}

void session_refuse_rcpt(struct session *s, uint32_t entry_idx, struct answer answer)
{
    if (!is_deciding(s))
        return;
    struct session_entry *entry = open_entry(s, entry_idx);
    ASSERT(is_failure(&answer)); /* PRDR-21: never 3xx */
    entry->answer = answer;
    entry->fate = SESSION_FATE_REFUSED;
}

/* The code that RCPT got, or a more specific one: 250 to 251, never back (PRDR-20). */
static void entry_set(const struct session *s, struct session_entry *entry, struct answer answer,
                      enum session_fate fate)
{
    ASSERT(status_is_success(answer.status));
    if (dialect_of(s)->repeats_rcpt_code && entry->rcpt_code > answer_code(&answer))
        answer.code = entry->rcpt_code;
    entry->answer = answer;
    entry->fate = (uint8_t)fate;
}

bool session_may_promise(const struct session *s)
{
    const struct dialect_row *row = dialect_of(s);
    return row->owner == DIALECT_OWNER_FINAL && row->listed != DIALECT_LISTED_NONE;
}

void session_promise_rcpt(struct session *s, uint32_t entry_idx, struct answer answer)
{
    if (!is_deciding(s))
        return;
    struct session_entry *entry = open_entry(s, entry_idx);
    ASSERT(session_may_promise(s));
    ASSERT(entry->fate == SESSION_FATE_OPEN);
    entry_set(s, entry, answer, SESSION_FATE_PROMISED);
}

/* The one function that answers a recipient of a message with success. */
void session_accept_rcpt(struct session *s, uint32_t entry_idx, struct answer answer,
                         const struct commit_proof *proof)
{
    ASSERT(proof != NULL);
    ASSERT(proof->is_committed);
    ASSERT(proof->queue_id != 0);
    if (!is_deciding(s))
        return;
    entry_set(s, open_entry(s, entry_idx), answer, SESSION_FATE_ACCEPTED);
}

void session_open_block(struct session *s)
{
    const struct dialect_row *row = dialect_of(s);
    bool has_line = false;
    bool has_refusal = false;
    bool has_success = false;
    if (!is_deciding(s))
        return;
    ASSERT(s->entries != NULL);
    if (s->stage != DIALECT_HELD || row->opens == DIALECT_OPENS_NEVER)
        return;
    for (uint32_t i = 0; i < s->rcpt_count; i++) {
        has_line |= dialect_is_listed(row, &s->entries[i]);
        has_refusal |= s->entries[i].fate == SESSION_FATE_REFUSED;
        has_success |= s->entries[i].fate == SESSION_FATE_ACCEPTED;
    }
    if (has_line && (has_refusal || row->opens != DIALECT_OPENS_WITH_REFUSAL) &&
        (has_success || row->opens != DIALECT_OPENS_WITH_SUCCESS))
        s->stage = DIALECT_OPENER;
}

void session_force_block(struct session *s)
{
    bool has_line = false;
    if (!is_deciding(s))
        return;
    ASSERT(s->entries != NULL);
    if (s->stage != DIALECT_HELD || dialect_of(s)->opens == DIALECT_OPENS_NEVER)
        return;
    for (uint32_t i = 0; i < s->rcpt_count; i++)
        has_line |= session_has_line(s, i);
    if (has_line)
        s->stage = DIALECT_OPENER;
}

bool session_has_block(const struct session *s)
{
    return s->stage == DIALECT_OPENER || s->stage == DIALECT_INDIVIDUAL ||
           s->stage == DIALECT_FINAL;
}

bool session_has_line(const struct session *s, uint32_t entry_idx)
{
    ASSERT(s->entries != NULL);
    ASSERT(entry_idx < s->rcpt_count);
    return dialect_is_listed(dialect_of(s), &s->entries[entry_idx]);
}

clock_ns session_reply_gap(const struct session *s)
{
    clock_ns gap_ns = dialect_of(s)->gap_ns;
    return gap_ns != 0 ? gap_ns : CLOCK_NEVER;
}

void session_show_life(struct session *s)
{
    s->is_life_due = session_has_block(s) && dialect_of(s)->put_working != NULL;
}

/* What is still open gets @a. */
static void decide_rest(struct session *s, const struct answer *a)
{
    for (uint32_t i = 0; s->entries != NULL && i < s->rcpt_count; i++) {
        if (is_decided(&s->entries[i]))
            continue;
        s->entries[i].answer = *a;
        s->entries[i].fate = SESSION_FATE_REFUSED;
    }
}

static bool all_decided(const struct session *s)
{
    for (uint32_t i = 0; i < s->rcpt_count; i++)
        if (!is_decided(&s->entries[i]))
            return false;
    return true;
}

/* Which stage follows HELD, all being decided. */
static enum dialect_stage choose_form(const struct session *s, const struct answer *whole)
{
    const struct dialect_row *row = dialect_of(s);
    if (row->listed == DIALECT_LISTED_NONE)
        return DIALECT_SINGLE;
    if (row->may_be_single &&
        (is_failure(whole) || s->entries == NULL || row->is_single(s->entries, s->rcpt_count)))
        return DIALECT_SINGLE;
    return DIALECT_OPENER;
}

/* A block was begun that cannot be ended without a lie: only closing the connection is left. */
static bool is_unclosed(const struct session *s, const struct answer *final)
{
    const struct dialect_row *row = dialect_of(s);
    return session_has_block(s) && row->is_unclosed != NULL &&
           row->is_unclosed(s->entries, s->rcpt_count, final);
}

void session_finish(struct session *s, struct answer whole)
{
    if (!is_deciding(s))
        return;
    const struct dialect_row *row = dialect_of(s);
    if (is_failure(&whole))
        decide_rest(s, &whole);
    ASSERT(s->entries != NULL || is_failure(&whole));
    if (s->entries != NULL)
        ASSERT(all_decided(s));
    if (status_is_success(whole.status)) {
        uint32_t accepted = dialect_accepted_count(s->entries, s->rcpt_count);
        ASSERT(accepted > 0);
    }
    if (row->listed == DIALECT_LISTED_NONE && s->entries != NULL && !is_failure(&whole)) {
        uint32_t accepted = dialect_accepted_count(s->entries, s->rcpt_count);
        ASSERT(accepted == 0 || accepted == s->rcpt_count); /* one reply must fit all (CORE-8) */
    }
    if (s->stage == DIALECT_HELD)
        s->stage = (uint8_t)choose_form(s, &whole);
    if (whole.status == STATUS_NONE)
        whole = row->final(s->entries, s->rcpt_count);
    if (row->limit != NULL)
        whole = row->limit(&whole, s->rcpt_count > 0);
    s->is_unclosed = is_unclosed(s, &whole);
    replyq_fill(&s->replies, s->content_seq, &whole);
    session_set_state(s, s->is_unclosed ? STATE_CLOSED : STATE_READY);
}

bool session_is_lost(struct session *s, struct answer *ret_answer)
{
    struct replyq_slot *slot = replyq_at(&s->replies, s->content_seq);
    if (!session_may_promise(s) || slot == NULL || !slot->is_ready)
        return false;
    struct answer final = replyq_slot_answer(slot);
    if (!is_failure(&final))
        return false;
    *ret_answer = final;
    return true;
}

void session_name_rcpts(struct session *s)
{
    if (!is_deciding(s))
        return;
    ASSERT(dialect_of(s)->names_late && s->rcpt_count == 0);
    s->stage = DIALECT_SINGLE;
    replyq_fill(&s->replies, s->content_seq, &ANSWER(STATUS_NAME_RCPTS));
    session_set_state(s, STATE_NAMING);
}

bool session_replies_done(const struct session *s)
{
    return s->stage == DIALECT_IDLE;
}

uint32_t session_replies_left(const struct session *s)
{
    return s->replies.count;
}

/* ---- output ---- */

enum put_result {
    PUT_DONE,
    PUT_WAIT,
    PUT_FULL,
    PUT_MORE, /* one reply was written, and no more were asked for */
};

static uint32_t reply_flags(const struct session *s)
{
    uint32_t flags = s->is_utf8 ? REPLY_UTF8 : 0;
    if ((s->offers & SESSION_OFFER_ENHANCED) != 0)
        flags |= REPLY_ENHANCED;
    return flags;
}

static void count_reply(const struct session *s, enum status st)
{
    if (s->reply_counts != NULL)
        __atomic_store_n(&s->reply_counts[st], s->reply_counts[st] + 1, __ATOMIC_RELAXED);
}

static bool put(const struct session *s, struct buf *out, const struct answer *a, uint32_t flags)
{
    bool has_put = reply_put(out, a, flags);
    if (has_put)
        count_reply(s, a->status);
    return has_put;
}

static bool put_hello(const struct session *s, struct buf *out)
{
    bool has_put = hello_put_reply(out, s->config);
    if (has_put)
        count_reply(s, STATUS_OK);
    return has_put;
}

static bool put_opener(const struct session *s, struct buf *out, uint32_t flags)
{
    const struct dialect_row *row = dialect_of(s);
    if (row->opener == STATUS_NONE)
        return true;
    if (row->put_opener == NULL)
        return put(s, out, &ANSWER(row->opener), flags);
    bool has_put = row->put_opener(out, s->rcpt_count);
    if (has_put)
        count_reply(s, row->opener);
    return has_put;
}

static bool put_entry(const struct session *s, struct buf *out, const struct answer *a,
                      uint32_t flags)
{
    const struct dialect_row *row = dialect_of(s);
    bool is_last = s->entry_idx + 1 == s->rcpt_count;
    if (row->put_entry == NULL)
        return put(s, out, a, flags);
    bool has_put = row->put_entry(out, a, is_last, flags);
    if (has_put)
        count_reply(s, a->status);
    return has_put;
}

/* The next reply has to wait. */
static enum put_result put_life(struct session *s, struct buf *out)
{
    if (s->is_life_due && !dialect_of(s)->put_working(out))
        return PUT_FULL;
    s->is_life_due = false;
    return PUT_WAIT;
}

/* Individual replies as far as they are decided; a block without entries repeats its own answer. */
static enum put_result put_individual(struct session *s, const struct replyq_slot *slot,
                                      struct buf *out, uint32_t flags, enum session_pace pace)
{
    if (pace == SESSION_PACE_WHOLE && !slot->is_ready)
        return put_life(s, out);
    for (; s->entry_idx < s->rcpt_count; s->entry_idx++) {
        struct session_entry *entry = s->entries != NULL ? &s->entries[s->entry_idx] : NULL;
        struct answer a;
        if (entry != NULL && !dialect_is_listed(dialect_of(s), entry))
            continue;
        if (entry != NULL ? entry->fate == SESSION_FATE_OPEN : !slot->is_ready)
            return put_life(s, out);
        a = entry != NULL ? entry->answer : replyq_slot_answer(slot);
        if (!put_entry(s, out, &a, flags))
            return PUT_FULL;
        if (entry != NULL)
            entry->is_promise_said = entry->fate == SESSION_FATE_PROMISED;
        s->is_life_due = false;
        if (pace == SESSION_PACE_ONE) {
            s->entry_idx++;
            return PUT_MORE;
        }
    }
    return PUT_DONE;
}

static bool put_closer(const struct session *s, const struct replyq_slot *slot, struct buf *out,
                       uint32_t flags)
{
    const struct dialect_row *row = dialect_of(s);
    struct answer final = replyq_slot_answer(slot);
    switch (row->closer) {
    case DIALECT_CLOSER_NONE:
        return true;
    case DIALECT_CLOSER_ANSWER:
        return put(s, out, &final, flags);
    case DIALECT_CLOSER_FIXED:
        break;
    }
    if (s->is_unclosed)
        return true;
    if (row->put_closer == NULL)
        return put(s, out, &ANSWER(row->closer_status), flags);
    bool has_put = row->put_closer(out);
    if (has_put)
        count_reply(s, row->closer_status);
    return has_put;
}

/* The replies to one message; PUT_DONE when all were written and the slot can go. */
static enum put_result put_block(struct session *s, const struct replyq_slot *slot, struct buf *out,
                                 enum session_pace pace)
{
    uint32_t flags = reply_flags(s);
    if (s->stage == DIALECT_HELD)
        return PUT_WAIT;
    if (s->stage == DIALECT_OPENER) {
        if (!put_opener(s, out, flags))
            return PUT_FULL;
        s->stage = DIALECT_INDIVIDUAL;
        if (pace == SESSION_PACE_ONE && dialect_of(s)->opener != STATUS_NONE)
            return PUT_MORE;
    }
    if (s->stage == DIALECT_INDIVIDUAL) {
        enum put_result result = put_individual(s, slot, out, flags, pace);
        if (result != PUT_DONE)
            return result;
        s->stage = DIALECT_FINAL;
    }
    if (!slot->is_ready)
        return PUT_WAIT;
    struct answer single = replyq_slot_answer(slot);
    if (s->stage == DIALECT_SINGLE ? !put(s, out, &single, flags)
                                   : !put_closer(s, slot, out, flags))
        return PUT_FULL;
    s->stage = DIALECT_IDLE;
    s->is_life_due = false;
    s->entries = NULL;
    s->entry_idx = 0;
    s->rcpt_count = 0;
    return PUT_DONE;
}

/* A reply whose text begins with our name, or ends with it. */
static bool put_named(const struct session *s, const struct replyq_slot *slot, struct buf *out)
{
    uint8_t memory[DOMAIN_BYTES_MAX + 32 + SESSION_NOTE_BYTES_MAX];
    struct buf text = buf_over(memory, sizeof(memory));
    struct answer a = replyq_slot_answer(slot);
    uint32_t flags = reply_flags(s);
    buf_put(&text, s->config->hostname);
    if (slot->kind == REPLY_KIND_GREETING) {
        bool is_lmtp = s->config->protocol == SESSION_LMTP;
        buf_put(&text, is_lmtp ? SLICE_LIT(" LMTP") : SLICE_LIT(" ESMTP"));
        if (s->config->note.len > 0) {
            buf_put_byte(&text, ' ');
            buf_put(&text, s->config->note);
        }
    } else if (slot->kind == REPLY_KIND_HELO) {
        flags &= ~(uint32_t)REPLY_ENHANCED; /* RFC 2034 4 */
    } else {
        BUF_PUT_LIT(&text, " closing");
    }
    a.text = buf_slice(&text);
    return put(s, out, &a, flags);
}

static bool put_plain(const struct session *s, const struct replyq_slot *slot, struct buf *out)
{
    struct answer a = replyq_slot_answer(slot);
    uint32_t flags = reply_flags(s) & ~(uint32_t)REPLY_UTF8;
    if (slot->is_utf8)
        flags |= REPLY_UTF8;
    if (slot->is_bare)
        flags &= ~(uint32_t)REPLY_ENHANCED;
    return put(s, out, &a, flags);
}

/* "250 2.0.0 N octets" (RFC 3030 4.2) */
static bool put_chunk(const struct session *s, const struct replyq_slot *slot, struct buf *out)
{
    uint8_t memory[32];
    struct buf text = buf_over(memory, sizeof(memory));
    struct answer a = ANSWER(STATUS_CHUNK_OK);
    if (slot->status != STATUS_CHUNK_OK)
        return put_plain(s, slot, out);
    buf_put_u64(&text, slot->number);
    BUF_PUT_LIT(&text, " octets");
    a.text = buf_slice(&text);
    return put(s, out, &a, reply_flags(s));
}

static enum put_result put_slot(struct session *s, const struct replyq_slot *slot, struct buf *out,
                                enum session_pace pace)
{
    bool has_put = true;
    if (slot->kind == REPLY_KIND_BLOCK)
        return put_block(s, slot, out, pace);
    if (!slot->is_ready)
        return PUT_WAIT;
    switch ((enum session_reply_kind)slot->kind) {
    case REPLY_KIND_PLAIN:
    case REPLY_KIND_MAIL:
    case REPLY_KIND_RCPT:
    case REPLY_KIND_DATA:
        has_put = put_plain(s, slot, out);
        break;
    case REPLY_KIND_GREETING:
    case REPLY_KIND_HELO:
    case REPLY_KIND_BYE:
        has_put = put_named(s, slot, out);
        break;
    case REPLY_KIND_EHLO:
        has_put = put_hello(s, out);
        break;
    case REPLY_KIND_CHUNK:
        has_put = put_chunk(s, slot, out);
        break;
    case REPLY_KIND_BLOCK:
        UNREACHABLE();
    }
    return has_put ? PUT_DONE : PUT_FULL;
}

bool session_output_paced(struct session *s, struct buf *out, enum session_pace pace)
{
    const struct replyq_slot *slot;
    size_t before = out->len;
    ASSERT(out->cap >= SESSION_OUTPUT_BYTES_MIN);
    while ((slot = replyq_front(&s->replies)) != NULL) {
        enum put_result result = put_slot(s, slot, out, pace);
        if (result != PUT_DONE)
            return result == PUT_WAIT;
        replyq_pop(&s->replies);
        if (pace == SESSION_PACE_ONE && out->len > before)
            return false;
    }
    return true;
}

bool session_output(struct session *s, struct buf *out)
{
    return session_output_paced(s, out, SESSION_PACE_READY);
}

void session_copy(struct session *ret_copy, const struct session *from,
                  struct session_entry *entries)
{
    *ret_copy = *from;
    ret_copy->reply_counts = NULL;
    if (from->entries == NULL)
        return;
    memcpy(entries, from->entries, from->rcpt_count * sizeof(*entries));
    ret_copy->entries = entries;
}

bool session_wants_close(const struct session *s)
{
    return s->state == STATE_CLOSED && s->replies.count == 0;
}

/* ---- endings ---- */

static void push_last(struct session *s, const struct answer *a)
{
    uint32_t seq = replyq_reserve_last(&s->replies, REPLY_KIND_PLAIN);
    replyq_fill(&s->replies, seq, a);
}

/* MAIL and RCPT that wait for the owner. */
static void answer_open_slots(struct session *s)
{
    struct replyq *q = &s->replies;
    for (uint32_t i = 0; i < q->count; i++) {
        uint32_t seq = q->head_seq + i;
        if (!replyq_at(q, seq)->is_ready)
            replyq_fill(q, seq, &ANSWER(STATUS_LOCAL_ERROR));
    }
}

/* The slot of a DATA or BDAT that is not answered yet: the last words take its place. */
static void drop_content_slot(struct session *s)
{
    bool is_in_chunk = s->state == STATE_CHUNK || (s->state == STATE_ENDED && s->is_chunked);
    if (s->state == STATE_CONTENT || is_in_chunk)
        replyq_drop_last(&s->replies);
}

void session_close_with(struct session *s, const struct answer *a)
{
    ASSERT(s->state != STATE_DECIDE);
    s->is_abort_due = session_is_live(s);
    drop_content_slot(s);
    answer_open_slots(s);
    push_last(s, a);
    session_set_state(s, STATE_CLOSED);
}

void session_refuse(struct session *s, struct answer answer)
{
    ASSERT(is_failure(&answer));
    ASSERT(s->state == STATE_START);
    ASSERT(s->replies.head_seq == 0); /* nothing was said yet */
    replyq_init(&s->replies);
    push_last(s, &answer);
    replyq_front(&s->replies)->is_bare = true; /* RFC 2034 4: it stands for the greeting */
    session_set_state(s, STATE_CLOSED);
}

/* The message that is being decided: the rest 451, a final reply @a; false when @a is still due. */
static bool end_block(struct session *s, const struct answer *a)
{
    const struct dialect_row *row = dialect_of(s);
    decide_rest(s, &ANSWER(STATUS_LOCAL_ERROR));
    if (s->stage == DIALECT_HELD)
        s->stage = row->may_be_single ? DIALECT_SINGLE : DIALECT_OPENER;
    bool is_said = s->stage == DIALECT_SINGLE || row->closer == DIALECT_CLOSER_ANSWER;
    replyq_fill(&s->replies, s->content_seq, is_said ? a : &ANSWER(STATUS_LOCAL_ERROR));
    /* Last words in the place of the end of the list could be taken for it. */
    s->is_unclosed = s->entries != NULL && is_unclosed(s, a);
    return is_said || s->is_unclosed;
}

void session_end_now(struct session *s, struct answer answer)
{
    bool is_said = false;
    ASSERT(is_failure(&answer));
    if (s->state == STATE_CLOSED)
        return;
    if (s->state == STATE_START && s->replies.head_seq == 0) {
        session_refuse(s, answer);
        return;
    }
    if (s->state == STATE_DECIDE)
        is_said = end_block(s, &answer);
    drop_content_slot(s);
    answer_open_slots(s);
    if (!is_said)
        push_last(s, &answer);
    s->is_abort_due = false;
    session_set_state(s, STATE_CLOSED);
}

bool session_quit_follows(struct slice held)
{
    struct slice args;
    if (held.len < 6 || held.ptr[held.len - 2] != '\r' || held.ptr[held.len - 1] != '\n')
        return false;
    size_t start = held.len - 2;
    while (start > 0 && held.ptr[start - 1] != '\n')
        start--;
    struct slice line = slice_of(held.ptr + start, held.len - 2 - start);
    return command_split(line, &args) == COMMAND_QUIT && args.len == 0;
}

bool session_has_quit(const struct session *s)
{
    return s->has_quit;
}

bool session_eof(struct session *s, struct slice held)
{
    if (s->state == STATE_CLOSED || session_quit_follows(held))
        return true;
    if (s->replies.open_count > 0) {
        session_end_now(s, ANSWER(STATUS_PEER_GONE)); /* PRDR-31 */
        return false;
    }
    s->is_abort_due = false;
    session_set_state(s, STATE_CLOSED);
    return false;
}

uint32_t session_error_count(const struct session *s)
{
    return s->error_count;
}

void session_count_replies(struct session *s, uint64_t *counts)
{
    s->reply_counts = counts;
}
