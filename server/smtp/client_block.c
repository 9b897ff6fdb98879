/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_block.c - the client machine: what comes back after the content, in every dialect.
 *
 *     FIRST --- one ordinary reply -------------------------> all settled
 *       +-----> BLOCK: a reply for each who is listed, then what the dialect closes with
 *       +-----> WRAPPED: the same inside the lines of one reply
 *
 * The rows are those of the server (dialect.c): who is listed, what opens and closes, and with
 * which reply responsibility moves. Where it moves with a recipient's own reply he is settled by
 * it, and a cut leaves the rest to be requeued; where it moves with the last one, nothing before it
 * counts.
 *
 * Invariant: a fate is set by position, never by address (LMTP-21), and a success never comes from
 * a reply that was cut.
 */
#include "client_state.h"
#include "smtp/wrapped.h"

#define CODE_LATER 352
#define CODE_LIST_OPEN 353
#define CODE_NAME_RCPTS 355

static const struct dialect_row *row_of(const struct client *c)
{
    return dialect_row((enum dialect)c->dialect);
}

static bool is_listed(const struct client *c, const struct client_result *result)
{
    switch (row_of(c)->listed) {
    case DIALECT_LISTED_NONE:
        return false;
    case DIALECT_LISTED_ALL:
        return result->rcpt_code / 100 == 2;
    case DIALECT_LISTED_LATER:
        return result->rcpt_code == CODE_LATER;
    }
    UNREACHABLE();
}

uint32_t client_replies_due(const struct client *c)
{
    const struct dialect_row *row = row_of(c);
    bool has_last = row->closer != DIALECT_CLOSER_NONE || row->names_late; /* ERCP */
    return c->has_block ? c->listed_count + has_last : 1;
}

bool client_count_rcpt(struct client *c, uint16_t code)
{
    enum dialect_listed listed = row_of(c)->listed;
    bool is_later = code == CODE_LATER && listed == DIALECT_LISTED_LATER; /* DEF-8 */
    if (code / 100 != 2 && !is_later)
        return false;
    c->accepted_count++;
    c->listed_count += listed == DIALECT_LISTED_LATER ? is_later : listed == DIALECT_LISTED_ALL;
    return true;
}

/* The next who has a line: in order of RCPT, repeats kept (PRDR-8, LMTP-7, DEF-7, EXD-9). */
static uint32_t next_listed(struct client *c)
{
    ASSERT(c->block_count < c->listed_count);
    while (!is_listed(c, &c->results[c->block_idx]))
        c->block_idx++;
    ASSERT(c->block_idx < c->message->rcpt_count);
    c->block_count++;
    return c->block_idx++;
}

/* PRDR-35, DEF-17: the individual reply counts like one to RCPT, whose own counts where there is
 * none; the final counts like one to DATA, and rules. */
static void settle_block(struct client *c, const struct reply_state *final)
{
    for (uint32_t i = 0; i < c->message->rcpt_count; i++) {
        struct client_result *result = &c->results[i];
        if (result->fate != CLIENT_FATE_OPEN)
            continue;
        unsigned own = result->individual_code != 0 ? result->individual_code / 100 : 2;
        struct client_verdict v =
            client_verdict_of(final->code, final->enhanced, CLIENT_PHASE_DONE);
        bool is_own = final->code / 100 == 2 ? own != 2 : final->code / 100 == 4 && own == 5;
        if (is_own) {
            v = client_verdict_of(result->individual_code, result->individual_enhanced,
                                  CLIENT_PHASE_DONE);
        }
        client_settle(result, &v);
    }
}

struct client_verdict client_verdict_without(const struct client *c)
{
    static const uint16_t enhanced[3] = {2, 0, 0};
    if (c->stage == CLIENT_STAGE_WRAPPED && row_of(c)->owner == DIALECT_OWNER_OPENER)
        return client_verdict_of(XRCPT250_CODE, enhanced, CLIENT_PHASE_DONE); /* HOL-12 */
    return (struct client_verdict){CLIENT_FATE_REQUEUE, CLIENT_PHASE_IDLE, 0, NULL};
}

/* The reply of the next who is listed. */
static void on_individual(struct client *c, const struct reply_state *reply,
                          struct client_event *ev)
{
    ev->rcpt_idx = next_listed(c);
    struct client_result *result = &c->results[ev->rcpt_idx];
    if (row_of(c)->owner != DIALECT_OWNER_FINAL) {
        struct client_verdict v =
            client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_DONE);
        client_settle(result, &v);
        ev->is_settled = true;
    } else {
        result->individual_code = reply->code;
        memcpy(result->individual_enhanced, reply->enhanced, sizeof(reply->enhanced));
    }
}

static void on_closer(struct client *c, const struct reply_state *reply)
{
    if (row_of(c)->closer == DIALECT_CLOSER_FIXED && reply->code / 100 != 2) {
        client_end(c, CLIENT_ERROR_PROTOCOL); /* it only says that the list is over */
        return;
    }
    settle_block(c, reply);
    client_finish(c, false);
}

void client_on_block(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    const struct dialect_row *row = row_of(c);
    bool may_open = row->opener == STATUS_LIST_OPEN && c->listed_count > 0 && c->chunk_left == 0;
    if (c->stage == CLIENT_STAGE_FIRST && !row->may_be_single)
        c->stage = CLIENT_STAGE_BLOCK;
    if (c->stage == CLIENT_STAGE_FIRST && reply->code == CODE_LIST_OPEN && may_open) {
        c->stage = CLIENT_STAGE_BLOCK;
        c->has_block = true;
        ev->is_opening = true;
        return;
    }
    if (row->names_late && reply->code == CODE_NAME_RCPTS) {
        c->state = CLIENT_NAMING;
        c->has_block = true;
        ev->is_opening = true;
        c->envelope_sent = c->envelope_replied = 0;
        c->listed_count = c->message->rcpt_count;
        return;
    }
    /* OTH-4: a message that nobody was named for cannot have been accepted. */
    bool is_early = c->chunk_left > 0 || row->names_late;
    if (reply->code / 100 == 3 || (reply->code / 100 == 2 && is_early)) {
        client_end(c, CLIENT_ERROR_PROTOCOL); /* nobody can have accepted what was not sent */
        return;
    }
    if (c->stage == CLIENT_STAGE_FIRST) {
        struct client_verdict v =
            client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_DONE);
        client_settle_open(c, &v);
        client_finish(c, false);
    } else if (c->block_count < c->listed_count) {
        on_individual(c, reply, ev);
        if (c->block_count == c->listed_count && row->closer == DIALECT_CLOSER_NONE)
            client_finish(c, false);
    } else {
        on_closer(c, reply);
    }
}

/* OTH-5..OTH-8: each DRCP counts like an individual reply, ERCP like the final one. */
void client_on_named(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    uint32_t idx = c->envelope_replied++;
    if (reply->code / 100 == 3) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
    } else if (idx < c->message->rcpt_count) {
        struct client_result *result = &c->results[idx];
        ev->rcpt_idx = idx;
        result->rcpt_code = result->individual_code = reply->code;
        memcpy(result->individual_enhanced, reply->enhanced, sizeof(reply->enhanced));
        c->accepted_count += reply->code / 100 == 2;
    } else {
        settle_block(c, reply);
        client_finish(c, false);
    }
}

/* ---- replies inside the lines of one ---- */

/* The reply that is being read, or comes next, is one to the whole content. */
static bool is_about_content(const struct client *c)
{
    if (c->state == CLIENT_REPLIES)
        return true;
    return c->state == CLIENT_CHUNKS && c->envelope_replied == c->envelope_sent &&
           c->is_last_announced && c->chunks_replied + 1 == c->chunks_sent &&
           !c->is_content_refused && !c->is_mail_refused && c->accepted_count > 0;
}

/* A server that offers EXDATA and uses it unasked, as Courier's does (EXDATA sheet, section 4). */
static bool may_be_unasked(const struct client *c)
{
    return c->dialect == DIALECT_SMTP && (c->caps.offers & SESSION_OFFER_EXDATA) != 0 &&
           !c->config->heeds_exdata_only_if_asked;
}

bool client_is_wrapped(const struct client *c, struct slice line)
{
    struct wrapped_line parsed;
    if (c->stage == CLIENT_STAGE_WRAPPED)
        return true;
    if (c->stage != CLIENT_STAGE_FIRST || c->reply.line_count > 0 || !is_about_content(c))
        return false;
    if (row_of(c)->opener == STATUS_WRAPPED_OPEN)
        return slice_has_prefix_nocase(line, XRCPT250_OPENING);
    if (row_of(c)->wrapped_code == EXDATA_CODE)
        return slice_has_prefix_nocase(line, SLICE_LIT("558"));
    return may_be_unasked(c) && wrapped_parse_line(line, EXDATA_CODE, &parsed);
}

/* "250-2.0.0 +RCPT n": @n is known, since all who were accepted are listed (HOL-5). */
static bool opening_is_right(const struct client *c, struct slice line)
{
    struct slice digits = slice_from(line, XRCPT250_OPENING.len);
    uint32_t count = 0;
    if (digits.len == 0 || digits.len > 7)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        count = count * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    return count == c->listed_count;
}

static void event_reply(struct client_event *ev, const struct reply_state *reply, struct slice text)
{
    ev->kind = CLIENT_EV_REPLY;
    ev->phase = CLIENT_PHASE_DONE;
    ev->rcpt_idx = CLIENT_NO_RCPT;
    ev->is_settled = ev->is_opening = false;
    ev->is_part = true;
    ev->code = reply->code;
    memcpy(ev->enhanced, reply->enhanced, sizeof(ev->enhanced));
    ev->text = text;
}

/* The first line: true when it is done with, and @ev is set unless the connection ends. */
static bool begin_wrapped(struct client *c, struct slice line, struct client_event *ev)
{
    static const struct reply_state opening = {.code = XRCPT250_CODE, .enhanced = {2, 0, 0}};
    bool has_opening = row_of(c)->opener == STATUS_WRAPPED_OPEN;
    if (has_opening && (c->chunk_left > 0 || !opening_is_right(c, line))) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return true;
    }
    c->stage = CLIENT_STAGE_WRAPPED;
    c->has_block = true;
    if (c->state == CLIENT_CHUNKS)
        c->state = CLIENT_REPLIES;
    if (c->dialect == DIALECT_SMTP) {
        c->dialect = DIALECT_EXDATA;
        c->listed_count = c->accepted_count;
    }
    if (!has_opening)
        return false;
    event_reply(ev, &opening, slice_from(line, 10));
    ev->is_opening = true;
    return true;
}

/* A complete reply of a recipient. */
static void end_inner(struct client *c, struct slice text, struct client_event *ev)
{
    struct reply_state reply = c->reply;
    c->reply = (struct reply_state){0};
    if (reply.code / 100 == 3 || (reply.code / 100 == 2 && c->chunk_left > 0)) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return;
    }
    event_reply(ev, &reply, text);
    on_individual(c, &reply, ev);
}

/* The last line of the whole was read: who has no line in it was not answered (EXD-15, EXD-17). */
static void end_wrapped(struct client *c)
{
    const struct client_verdict missing = client_verdict_without(c);
    if (c->state == CLIENT_CLOSED)
        return;
    client_settle_open(c, &missing);
    client_finish(c, false);
}

static bool take_inner(struct client *c, struct slice line, struct client_event *ev)
{
    struct wrapped_line parsed;
    const struct dialect_row *row = row_of(c);
    bool may_end = row->closer == DIALECT_CLOSER_NONE; /* in the line of the last recipient */
    if (!wrapped_parse_line(line, row->wrapped_code, &parsed) || (parsed.is_last && !may_end) ||
        c->block_count == c->listed_count) {
        client_end(c, CLIENT_ERROR_PROTOCOL); /* EXD-17, HOL-18 */
        return false;
    }
    if (c->reply.line_count > 0)
        parsed.inner.code = c->reply.code; /* EXD-18 */
    switch (reply_add_line(&c->reply, &parsed.inner)) {
    case REPLY_MORE:
        return false;
    case REPLY_BAD:
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return false;
    case REPLY_DONE:
        break;
    }
    end_inner(c, parsed.inner.text, ev);
    if (parsed.is_last)
        end_wrapped(c);
    return ev->kind == CLIENT_EV_REPLY;
}

bool client_take_wrapped(struct client *c, struct slice line, clock_ns now, struct client_event *ev)
{
    static const struct reply_state closing = {.code = XRCPT250_CODE, .enhanced = {2, 0, 0}};
    c->since_ns = now; /* HOL-15; EXD-16 */
    if (c->stage == CLIENT_STAGE_FIRST && begin_wrapped(c, line, ev))
        return ev->kind == CLIENT_EV_REPLY;
    if (row_of(c)->opener == STATUS_WRAPPED_OPEN && c->reply.line_count == 0) {
        if (slice_has_prefix_nocase(line, XRCPT250_WORKING))
            return false; /* HOL-10: only a sign of life */
        if (slice_eq(line, XRCPT250_CLOSING)) {
            event_reply(ev, &closing, slice_from(line, 10));
            bool is_whole = c->block_count == c->listed_count;
            end_wrapped(c);
            if (!is_whole)
                client_end(c, CLIENT_ERROR_PROTOCOL);
            return true;
        }
    }
    return take_inner(c, line, ev);
}
