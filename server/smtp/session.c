/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - the server machine: input, commands, content.
 *
 * Owns the state of one session between the bytes of a client and the decisions of the owner.
 * session_feed() takes lines (line.c) or content (scan) from the input, one step at a time, until a
 * step has an event for the owner. The other half, answers and output, is session_reply.c.
 *
 *            EHLO/HELO/LHLO        MAIL 2xx          DATA, BDAT
 *     START ---------------> READY ----------> MAIL -----------> CONTENT
 *                            ^ ^ ^              |                 |    |
 *                 RSET, EHLO | | +--------------+            354  |    | BDAT goes on
 *                            | |                               DATA  CHUNK <----> CHUNKS
 *                            | |    session_finish()              |    |  LAST
 *                            | +---------------- DECIDE <------- ENDED-+
 *                            |
 *                            +-- FAILED <--> DROP   (BDAT after an error: read and forget)
 *
 *     ADAT, whose recipients come after the content: MAIL -> CONTENT -> DATA -> ENDED -> DECIDE
 *     -> NAMING (355, DRCP ...) -- ERCP --> DECIDE -> READY
 *
 *     any state -> CLOSED  (QUIT, 421, 554 out of turn, 521 bad BDAT, end of input)
 *
 * Invariants:
 * - Content never becomes a command: only the scan ends DATA, only the announced count ends BDAT,
 *   and where framing is in doubt the session closes (CORE-40..47).
 * - A command other than RCPT is looked at only when all earlier ones have been answered, so its
 *   state is the true one; RCPTs may be decided out of order.
 * - Each command takes one slot, in order. The replies after the content are one slot, and no
 *   command is read before they were formatted.
 * - A transaction that the owner knows (2xx to MAIL) ends in EV_BODY_END or in one EV_ABORT.
 */
#include "smtp/session.h"
#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/hello.h"
#include "smtp/line.h"
#include "dialect.h"
#include "session_state.h"

static_assert(1u << STATE_START == COMMAND_IN_START, "same bits");
static_assert(1u << STATE_READY == COMMAND_IN_READY, "same bits");
static_assert(1u << STATE_MAIL == COMMAND_IN_MAIL, "same bits");
static_assert(1u << STATE_CHUNKS == COMMAND_IN_CHUNKS, "same bits");
static_assert(1u << STATE_FAILED == COMMAND_IN_FAILED, "same bits");
static_assert(1u << STATE_NAMING == COMMAND_IN_NAMING, "same bits");

enum step {
    STEP_NEXT,  /* consumed, no event: go on */
    STEP_EVENT, /* consumed, and an event is set */
    STEP_HOLD,  /* not consumed, and an event is set */
};

/* Default timeouts of a server. A client waits 5 minutes for us, and 10 after the content, so our
 * own decisions stay below that (RFC 5321 4.5.3.2; DUP-15). */
static const struct {
    clock_ns timeout_ns;
    const char *source;
} phase_rows[SESSION_PHASE_COUNT] = {
    [SESSION_PHASE_COMMAND] = {300 * NS_PER_S, "RFC 5321 4.5.3.2.7"},
    [SESSION_PHASE_CONTENT] = {180 * NS_PER_S, "RFC 5321 4.5.3.2.5"},
    [SESSION_PHASE_DECISION] = {240 * NS_PER_S, "ours, below RFC 5321 4.5.3.2.6"},
    [SESSION_PHASE_CLOSING] = {10 * NS_PER_S, "ours"},
};

clock_ns session_phase_timeout(enum session_phase phase)
{
    ASSERT(phase < SESSION_PHASE_COUNT);
    return phase_rows[phase].timeout_ns;
}

void session_set_state(struct session *s, enum session_state next)
{
#define TO(state) (1u << STATE_##state)
    static const uint16_t edges[STATE_COUNT] = {
        [STATE_START] = TO(READY) | TO(DROP) | TO(CLOSED),
        [STATE_READY] = TO(READY) | TO(MAIL) | TO(DROP) | TO(CLOSED),
        [STATE_MAIL] = TO(READY) | TO(CONTENT) | TO(FAILED) | TO(DROP) | TO(CLOSED),
        [STATE_CHUNKS] = TO(READY) | TO(CHUNK) | TO(FAILED) | TO(DROP) | TO(CLOSED),
        [STATE_FAILED] = TO(READY) | TO(DROP) | TO(CLOSED),
        [STATE_NAMING] = TO(READY) | TO(DECIDE) | TO(DROP) | TO(CLOSED),
        [STATE_CONTENT] = TO(MAIL) | TO(DATA) | TO(CHUNK) | TO(DROP) | TO(CLOSED),
        [STATE_DATA] = TO(ENDED) | TO(CLOSED),
        [STATE_CHUNK] = TO(CHUNKS) | TO(ENDED) | TO(CLOSED),
        [STATE_DROP] = TO(START) | TO(READY) | TO(MAIL) | TO(FAILED) | TO(CLOSED),
        [STATE_ENDED] = TO(DECIDE) | TO(CLOSED),
        [STATE_DECIDE] = TO(READY) | TO(NAMING) | TO(CLOSED),
        [STATE_CLOSED] = 0,
    };
#undef TO
    ASSERT((edges[s->state] >> next & 1) != 0);
    s->state = (uint8_t)next;
}

void session_init(struct session *s, const struct session_config *config, clock_ns now)
{
    (void)now;
    ASSERT(config->hostname.len > 0);
    ASSERT(config->hostname.len <= DOMAIN_BYTES_MAX);
    ASSERT(config->note.len <= SESSION_NOTE_BYTES_MAX);
    *s = (struct session){.config = config, .state = STATE_START, .stage = DIALECT_IDLE};
    s->dialect = config->protocol == SESSION_LMTP ? DIALECT_LMTP : DIALECT_SMTP;
    s->offers = hello_offers(config);
    replyq_init(&s->replies);
    uint32_t seq = replyq_reserve(&s->replies, REPLY_KIND_GREETING);
    replyq_fill(&s->replies, seq, &ANSWER(STATUS_GREETING));
}

bool session_is_live(const struct session *s)
{
    switch ((enum session_state)s->state) {
    case STATE_MAIL:
    case STATE_CHUNKS:
    case STATE_NAMING:
    case STATE_CONTENT:
    case STATE_DATA:
    case STATE_CHUNK:
    case STATE_ENDED:
    case STATE_DECIDE:
        return true;
    case STATE_START:
    case STATE_READY:
    case STATE_FAILED:
    case STATE_DROP:
    case STATE_CLOSED:
    case STATE_COUNT:
        return false;
    }
    UNREACHABLE();
}

/* ---- answers that need nobody ---- */

static uint32_t push(struct session *s, enum session_reply_kind kind, enum status st)
{
    uint32_t seq = replyq_reserve(&s->replies, (uint8_t)kind);
    replyq_fill(&s->replies, seq, &ANSWER(st));
    return seq;
}

static enum step reply(struct session *s, enum status st)
{
    (void)push(s, REPLY_KIND_PLAIN, st);
    return STEP_NEXT;
}

/* A bad command: one more of error_max. False when that was one too many: the session ends. */
static bool count_error(struct session *s)
{
    s->error_count++;
    if (s->config->error_max == 0 || s->error_count <= s->config->error_max)
        return true;
    session_close_with(s, &ANSWER(STATUS_TOO_MANY_ERRORS));
    return false;
}

static enum step reply_error(struct session *s, enum status st)
{
    return count_error(s) ? reply(s, st) : STEP_NEXT;
}

static enum step reply_error_bare(struct session *s, enum status st)
{
    if (!count_error(s))
        return STEP_NEXT;
    uint32_t seq = push(s, REPLY_KIND_PLAIN, st);
    replyq_at(&s->replies, seq)->is_bare = true;
    return STEP_NEXT;
}

static enum step close_because(struct session *s, enum status st)
{
    session_close_with(s, &ANSWER(st));
    return STEP_NEXT;
}

static enum step hold(struct session_event *ev, enum session_event_kind kind)
{
    ev->kind = kind;
    return STEP_HOLD;
}

/* ---- transactions ---- */

/* What a session speaks as long as no MAIL asks for another dialect (PRDR-6). */
static enum dialect dialect_by_protocol(const struct session *s)
{
    return s->config->protocol == SESSION_LMTP ? DIALECT_LMTP : DIALECT_SMTP;
}

static void txn_reset(struct session *s)
{
    s->dialect = (uint8_t)dialect_by_protocol(s);
    s->rcpt_count = 0;
    s->chunk_total = 0;
    s->scan = NULL;
    s->is_chunked = false;
    s->is_over = false;
    session_set_state(s, STATE_READY);
}

/* The transaction is dead but the client has not said RSET or LAST yet (CORE-22, CORE-23). */
static enum step txn_fail(struct session *s, enum status st, struct session_event *ev)
{
    s->failed_status = (uint8_t)(status_is_temporary(st) ? st : STATUS_TXN_FAILED);
    session_set_state(s, STATE_FAILED);
    ev->kind = EV_ABORT;
    return STEP_EVENT;
}

/* EHLO and QUIT end a transaction: the owner is told first, with the line not consumed. */
static bool abort_first(struct session *s, struct session_event *ev)
{
    bool is_live = session_is_live(s);
    if (is_live || s->state == STATE_FAILED)
        txn_reset(s);
    if (is_live)
        ev->kind = EV_ABORT;
    return is_live;
}

static uint32_t offers(const struct session *s)
{
    return s->is_esmtp ? s->offers : 0;
}

/* ---- commands ---- */

static enum step do_hello(struct session *s, enum command c, struct slice args,
                          struct session_event *ev)
{
    bool is_lmtp = s->config->protocol == SESSION_LMTP;
    if ((c == COMMAND_LHLO) != is_lmtp)
        return reply_error_bare(s, STATUS_WRONG_HELLO); /* LMTP-1 */
    if (!hello_name_is_good(args))
        return reply_error_bare(s, STATUS_BAD_SYNTAX);
    if (abort_first(s, ev))
        return STEP_HOLD;
    session_set_state(s, STATE_READY);
    s->was_mail_refused = false;
    s->is_esmtp = c != COMMAND_HELO;
    s->can_pipeline = (offers(s) & SESSION_OFFER_PIPELINING) != 0;
    (void)push(s, s->is_esmtp ? REPLY_KIND_EHLO : REPLY_KIND_HELO, STATUS_OK);
    ev->kind = EV_HELO;
    ev->text = args;
    return STEP_EVENT;
}

/* "FROM:" or "TO:" in front; spaces behind it are tolerated, as everybody does. */
static bool take_word(struct slice *args, struct slice word)
{
    if (!slice_has_prefix_nocase(*args, word))
        return false;
    size_t at = word.len;
    while (at < args->len && args->ptr[at] == ' ')
        at++;
    *args = slice_from(*args, at);
    return true;
}

/* A command of a transaction that the owner does not see otherwise: it may be written down. */
static enum step tell_refused(enum command c, struct slice args, enum status st,
                              struct session_event *ev)
{
    if (!take_word(&args, SLICE_LIT("TO:")))
        (void)take_word(&args, SLICE_LIT("FROM:"));
    ev->kind = EV_REFUSED;
    ev->command = (uint8_t)c;
    ev->text = args;
    ev->answer = ANSWER(st);
    return STEP_EVENT;
}

static enum step refuse(struct session *s, enum command c, struct slice args, enum status st,
                        struct session_event *ev)
{
    (void)reply(s, st);
    return tell_refused(c, args, st, ev);
}

static enum step refuse_error(struct session *s, enum command c, struct slice args, enum status st,
                              struct session_event *ev)
{
    return count_error(s) ? refuse(s, c, args, st, ev) : STEP_NEXT;
}

static enum status path_status(enum path_result result, enum status bad)
{
    return result == PATH_NEEDS_UTF8 ? STATUS_NEEDS_UTF8 : bad;
}

/* Path and parameters of MAIL; STATUS_NONE when all is well. */
static enum status parse_mail(const struct session *s, struct slice args, struct session_event *ev,
                              enum dialect *ret_dialect)
{
    size_t used;
    bool may_be_utf8 = (offers(s) & SESSION_OFFER_SMTPUTF8) != 0;
    if (!take_word(&args, SLICE_LIT("FROM:")))
        return STATUS_BAD_SYNTAX;
    enum path_result path = path_parse(args, true, may_be_utf8, &ev->path, &used);
    if (path != PATH_OK)
        return path_status(path, STATUS_BAD_PATH_SENDER);
    args = slice_from(args, used);
    if (args.len > 0 && args.ptr[0] != ' ')
        return STATUS_BAD_PATH_SENDER;
    enum param_result result = param_parse_mail(args, offers(s), &ev->mail);
    if (result != PARAM_OK)
        return result == PARAM_UNKNOWN ? STATUS_UNKNOWN_PARAMETER : STATUS_BAD_SYNTAX;
    if (!dialect_for_mail(s->config->protocol, ev->mail.dialects, ret_dialect))
        return STATUS_TWO_DIALECTS; /* OTH section 6 */
    if (ev->path.is_utf8 && !ev->mail.smtputf8)
        return STATUS_NEEDS_UTF8;
    if (s->config->size_max > 0 && ev->mail.has_size && ev->mail.size > s->config->size_max)
        return STATUS_TOO_BIG; /* CORE-20 */
    return STATUS_NONE;
}

static enum step do_mail(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    if (s->config->mail_max > 0 && s->mail_count >= s->config->mail_max)
        return close_because(s, STATUS_TOO_MANY_TXNS); /* CORE-30 */
    enum dialect dialect;
    enum status st = parse_mail(s, args, ev, &dialect);
    s->was_mail_refused = st != STATUS_NONE;
    if (st == STATUS_TOO_BIG)
        return refuse(s, c, ev->path.whole, st, ev);
    if (st != STATUS_NONE)
        return refuse_error(s, c, args, st, ev);
    s->is_utf8 = ev->mail.smtputf8;
    s->is_binary = ev->mail.body == PARAM_BODY_BINARYMIME;
    s->dialect = (uint8_t)dialect;
    ev->kind = EV_MAIL;
    ev->slot = replyq_reserve(&s->replies, REPLY_KIND_MAIL);
    return STEP_EVENT;
}

static enum status parse_rcpt(const struct session *s, struct slice args, struct session_event *ev)
{
    size_t used;
    if (!take_word(&args, SLICE_LIT("TO:")))
        return STATUS_BAD_SYNTAX;
    enum path_result path = path_parse(args, false, s->is_utf8, &ev->path, &used);
    if (path != PATH_OK)
        return path_status(path, STATUS_BAD_PATH_RCPT);
    args = slice_from(args, used);
    if (args.len > 0 && args.ptr[0] != ' ')
        return STATUS_BAD_PATH_RCPT;
    enum param_result result = param_parse_rcpt(args, offers(s), s->is_utf8, &ev->rcpt);
    if (result != PARAM_OK)
        return result == PARAM_UNKNOWN ? STATUS_UNKNOWN_PARAMETER : STATUS_BAD_SYNTAX;
    return STATUS_NONE;
}

static enum step do_rcpt(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    enum status st = parse_rcpt(s, args, ev);
    s->has_rcpt = true;
    if (st != STATUS_NONE)
        return refuse_error(s, c, args, st, ev);
    if (s->rcpt_count + s->replies.open_count >= s->config->rcpt_max) {
        if (s->replies.open_count > 0)
            return hold(ev, EV_BLOCKED); /* one of those may be refused yet */
        st = c == COMMAND_DRCP ? STATUS_TOO_MANY_NAMED : STATUS_TOO_MANY_RCPTS;
        return refuse(s, c, ev->path.whole, st, ev);
    }
    ev->kind = EV_RCPT;
    ev->slot = replyq_reserve(&s->replies, REPLY_KIND_RCPT);
    return STEP_EVENT;
}

static enum step ask_for_content(struct session *s, bool is_chunked, struct session_event *ev)
{
    enum session_reply_kind kind = is_chunked ? REPLY_KIND_CHUNK : REPLY_KIND_DATA;
    s->is_chunked = is_chunked;
    s->content_seq = replyq_reserve(&s->replies, (uint8_t)kind);
    session_set_state(s, STATE_CONTENT);
    ev->kind = EV_CONTENT;
    ev->slot = s->content_seq;
    return STEP_EVENT;
}

static enum step do_data(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    (void)c;
    (void)args;
    if (s->state == STATE_CHUNKS || s->is_binary) {
        (void)reply(s, STATUS_BAD_SEQUENCE); /* CORE-22, CORE-23 */
        return txn_fail(s, STATUS_BAD_SEQUENCE, ev);
    }
    if (s->rcpt_count == 0)
        return reply(s, STATUS_NO_RCPT); /* LMTP-6; pipelining clients cannot help it */
    return ask_for_content(s, false, ev);
}

/* [count], decimal; false when it is something else. */
static bool parse_count(struct slice args, bool *ret_has_count, uint32_t *ret_count)
{
    uint32_t count = 0;
    if (args.len > 7)
        return false;
    for (size_t i = 0; i < args.len; i++) {
        if (args.ptr[i] < '0' || args.ptr[i] > '9')
            return false;
        count = count * 10 + (uint32_t)(args.ptr[i] - '0');
    }
    *ret_has_count = args.len > 0;
    *ret_count = count;
    return true;
}

/* OTH-2, OTH-3: in place of RCPT and DATA. */
static enum step do_adat(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    bool has_count;
    uint32_t count;
    if (!parse_count(args, &has_count, &count))
        return refuse_error(s, c, args, STATUS_BAD_SYNTAX, ev);
    if (s->has_rcpt || s->is_binary || s->dialect != DIALECT_SMTP)
        return reply_error(s, STATUS_BAD_SEQUENCE);
    if (count > s->config->rcpt_max)
        return refuse(s, c, args, STATUS_TOO_MANY_RCPTS, ev);
    s->dialect = DIALECT_ADAT;
    return ask_for_content(s, false, ev);
}

/* OTH-6: all who were accepted, or nobody. */
static enum step do_ercp(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    bool has_count;
    uint32_t count;
    (void)c;
    if (!parse_count(args, &has_count, &count))
        return reply_error(s, STATUS_BAD_SYNTAX);
    bool is_wrong = has_count && count != s->rcpt_count;
    if (is_wrong || s->rcpt_count == 0) {
        (void)reply(s, is_wrong ? STATUS_COUNT_DIFFERS : STATUS_OK);
        txn_reset(s);
        ev->kind = EV_ABORT;
        return STEP_EVENT;
    }
    s->content_seq = replyq_reserve(&s->replies, REPLY_KIND_BLOCK);
    s->stage = DIALECT_HELD;
    session_set_state(s, STATE_DECIDE);
    ev->answer = ANSWER(STATUS_NONE);
    ev->kind = EV_COMMIT;
    return STEP_EVENT;
}

/* Why this chunk cannot be taken; STATUS_NONE when it can. */
static enum status refuse_chunk(const struct session *s, uint64_t bytes)
{
    if (s->state == STATE_START)
        return STATUS_HELLO_FIRST;
    if ((offers(s) & SESSION_OFFER_CHUNKING) == 0)
        return STATUS_NOT_IMPLEMENTED;
    if (s->state == STATE_READY || s->state == STATE_NAMING)
        return STATUS_BAD_SEQUENCE;
    if (s->state == STATE_FAILED)
        return (enum status)s->failed_status;
    if (s->rcpt_count == 0)
        return STATUS_NO_RCPT;
    ASSERT(s->config->size_max == 0 || s->chunk_total <= s->config->size_max);
    if (s->config->size_max > 0 && bytes > s->config->size_max - s->chunk_total)
        return STATUS_TOO_BIG;
    return STATUS_NONE;
}

/*
 * Read the octets of the current chunk and forget them; the reply does not wait for them. LAST ends
 * the transaction. Where there is no other form it is answered by a block: on LMTP by |L| replies,
 * which may be none (LMTP-8, LMTP-16).
 */
static void drop_chunk(struct session *s, uint32_t seq, const struct answer *a)
{
    bool has_txn = s->state != STATE_START && s->state != STATE_READY;
    bool has_block = !dialect_row((enum dialect)s->dialect)->may_be_single && s->is_last_chunk &&
                     (has_txn || s->config->protocol == SESSION_LMTP) && s->is_esmtp;
    s->is_abort_due = session_is_live(s);
    s->state_after_drop = s->state == STATE_START ? STATE_START : STATE_READY;
    if (has_txn && !s->is_last_chunk)
        s->state_after_drop = STATE_FAILED;
    s->failed_status = (uint8_t)(status_is_temporary(a->status) ? a->status : STATUS_TXN_FAILED);
    if (has_block) {
        replyq_at(&s->replies, seq)->kind = REPLY_KIND_BLOCK;
        s->content_seq = seq;
        s->stage = DIALECT_OPENER;
        s->entries = NULL;
        s->entry_idx = 0;
    }
    replyq_fill(&s->replies, seq, a);
    s->is_chunked = false;
    s->chunk_total = 0;
    session_set_state(s, STATE_DROP);
}

/* BDAT where it was not offered: its octets are read all the same, and nothing else changes. */
static void drop_unknown_chunk(struct session *s)
{
    s->state_after_drop = s->state;
    (void)reply(s, STATUS_NOT_IMPLEMENTED);
    session_set_state(s, STATE_DROP);
}

static enum step do_bdat(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    uint64_t bytes;
    bool is_last;
    if (!data_parse_chunk(args, &bytes, &is_last))
        return close_because(s, STATUS_BAD_CHUNK); /* what follows may be content (CORE-22) */
    enum status st = refuse_chunk(s, bytes);
    bool is_fault = st == STATUS_NOT_IMPLEMENTED || st == STATUS_HELLO_FIRST ||
                    (st == STATUS_BAD_SEQUENCE && !s->was_mail_refused);
    if (is_fault && !count_error(s))
        return STEP_NEXT;
    s->chunk_left = bytes;
    s->is_last_chunk = is_last;
    if (st == STATUS_NOT_IMPLEMENTED) {
        drop_unknown_chunk(s);
        return STEP_NEXT;
    }
    if (st != STATUS_NONE) {
        drop_chunk(s, replyq_reserve(&s->replies, REPLY_KIND_CHUNK), &ANSWER(st));
        /* Of the others it is known already, or there is no message. */
        return st == STATUS_TOO_BIG ? tell_refused(c, args, st, ev) : STEP_NEXT;
    }
    s->chunk_total += bytes;
    enum step step = STEP_NEXT;
    if (s->state == STATE_MAIL) {
        step = ask_for_content(s, true, ev);
    } else {
        s->content_seq = replyq_reserve(&s->replies, REPLY_KIND_CHUNK);
        session_set_state(s, STATE_CHUNK);
    }
    replyq_at(&s->replies, s->content_seq)->number = bytes;
    return step;
}

static enum step do_rset(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    (void)c;
    (void)args;
    s->was_mail_refused = false;
    (void)reply(s, STATUS_OK);
    return abort_first(s, ev) ? STEP_EVENT : STEP_NEXT;
}

static enum step do_quit(struct session *s, enum command c, struct slice args,
                         struct session_event *ev)
{
    (void)c;
    (void)args;
    if (abort_first(s, ev))
        return STEP_HOLD;
    s->has_quit = true;
    (void)push(s, REPLY_KIND_BYE, STATUS_CLOSING);
    session_set_state(s, STATE_CLOSED);
    return STEP_NEXT;
}

static enum step do_simple(struct session *s, enum command c, struct slice args,
                           struct session_event *ev)
{
    (void)args;
    (void)ev;
    if (c == COMMAND_NOOP)
        return reply(s, STATUS_OK);
    if (c == COMMAND_VRFY)
        return reply(s, STATUS_CANNOT_VRFY);
    if (c == COMMAND_HELP)
        return reply(s, STATUS_HELP);
    if (c == COMMAND_UNKNOWN)
        return reply_error(s, STATUS_UNKNOWN_COMMAND);
    return reply_error(s, STATUS_NOT_IMPLEMENTED);
}

typedef enum step command_fn(struct session *s, enum command c, struct slice args,
                             struct session_event *ev);

/* Beside the rows of command.c; a function may refuse, and only then changes nothing but counts. */
static command_fn *const command_fns[COMMAND_COUNT] = {
    [COMMAND_UNKNOWN] = do_simple, [COMMAND_EHLO] = do_hello,  [COMMAND_HELO] = do_hello,
    [COMMAND_LHLO] = do_hello,     [COMMAND_MAIL] = do_mail,   [COMMAND_RCPT] = do_rcpt,
    [COMMAND_DATA] = do_data,      [COMMAND_BDAT] = do_bdat,   [COMMAND_RSET] = do_rset,
    [COMMAND_NOOP] = do_simple,    [COMMAND_QUIT] = do_quit,   [COMMAND_VRFY] = do_simple,
    [COMMAND_EXPN] = do_simple,    [COMMAND_HELP] = do_simple, [COMMAND_OTHER] = do_simple,
    [COMMAND_ADAT] = do_adat,      [COMMAND_DRCP] = do_rcpt,   [COMMAND_ERCP] = do_ercp,
};

/* Bytes that the client had no right to send yet (CORE-45). BDAT is followed by its octets. */
static bool is_out_of_turn(const struct session *s, enum command c, size_t behind)
{
    if (!s->config->bind_early_talkers || c == COMMAND_BDAT)
        return false;
    if ((command_row(c)->flags & COMMAND_SYNC) != 0 && behind > 0)
        return true;
    return !s->can_pipeline && (behind > 0 || s->replies.count > 0);
}

/* Length of the line, and whether there is an argument; STATUS_NONE when both are right. */
static enum status check_form(const struct command_row *row, struct slice line, struct slice args)
{
    if (line.len + 2 > row->line_bytes_max)
        return STATUS_LINE_TOO_LONG;
    if ((row->argument == COMMAND_ARG_NONE && args.len > 0) ||
        (row->argument == COMMAND_ARG_REQUIRED && args.len == 0))
        return STATUS_BAD_SYNTAX;
    return STATUS_NONE;
}

/* The checks that every command has: order of answers, line limit, argument, state. */
static enum step run_command(struct session *s, struct slice line, size_t behind,
                             struct session_event *ev)
{
    struct slice args;
    enum command c = command_split(line, &args);
    if ((command_row(c)->offer & ~offers(s)) != 0)
        c = COMMAND_UNKNOWN;
    const struct command_row *row = command_row(c);
    bool may_overtake = (row->flags & COMMAND_OVERTAKES) != 0 && (row->states >> s->state & 1) != 0;
    if (s->replies.open_count > 0 && !may_overtake)
        return hold(ev, EV_BLOCKED);
    if (is_out_of_turn(s, c, behind))
        return close_because(s, STATUS_UNAUTHORIZED_PIPELINING);
    enum status st = check_form(row, line, args);
    if (st != STATUS_NONE)
        return (row->flags & COMMAND_BARE_REPLY) != 0 ? reply_error_bare(s, st)
                                                      : reply_error(s, st);
    if ((row->states >> s->state & 1) != 0)
        return command_fns[c](s, c, args, ev);
    if (s->state == STATE_START)
        return reply_error(s, STATUS_HELLO_FIRST);
    if (s->was_mail_refused && s->state == STATE_READY)
        return reply(s, STATUS_BAD_SEQUENCE);
    return reply_error(s, STATUS_BAD_SEQUENCE);
}

/* One command line; true when @ev is set. */
static bool step_command(struct session *s, struct slice in, struct session_event *ev, size_t *used)
{
    struct slice line;
    size_t line_used;
    bool is_skipping = s->is_skipping;
    if (in.len == 0)
        return true; /* EV_MORE */
    if (s->stage != DIALECT_IDLE || !replyq_has_room(&s->replies)) {
        const struct replyq_slot *front = replyq_front(&s->replies);
        ev->kind = front->is_ready || front->kind == REPLY_KIND_BLOCK ? EV_OUTPUT : EV_BLOCKED;
        return true;
    }
    enum line_result result =
        line_next(&is_skipping, in, COMMAND_LINE_BYTES_MAX, &line, &line_used);
    enum step step = STEP_NEXT;
    switch (result) {
    case LINE_MORE:
        s->is_skipping = is_skipping;
        *used += line_used;
        return true;
    case LINE_OK:
        step = run_command(s, line, in.len - line_used, ev);
        break;
    case LINE_TOO_LONG:
    case LINE_BAD_ENDING:
        if (s->replies.open_count > 0)
            step = hold(ev, EV_BLOCKED);
        else if (result == LINE_TOO_LONG)
            step = reply_error(s, STATUS_LINE_TOO_LONG);
        else
            step = close_because(s, STATUS_BAD_COMMAND_LINE); /* 521: RFC 7504 4 lets it close */
        break;
    }
    if (step != STEP_HOLD) {
        s->is_skipping = is_skipping;
        *used += line_used;
    }
    return step != STEP_NEXT;
}

/* ---- content ---- */

/* Pass on what the scan found, unless it is beyond the limit anyway. */
static bool emit_body(struct session *s, struct session_event *ev)
{
    if (s->config->size_max > 0 && scan_content_bytes(s->scan) > s->config->size_max)
        s->is_over = true;
    if (s->is_over)
        ev->parts.count = 0;
    if (ev->parts.count == 0)
        return false;
    ev->kind = EV_BODY;
    return true;
}

static bool step_data(struct session *s, struct slice in, struct session_event *ev, size_t *used)
{
    bool is_end = false;
    if (in.len == 0)
        return true;
    if (s->config->bind_early_talkers && s->replies.count > 0) {
        (void)close_because(s, STATUS_UNAUTHORIZED_PIPELINING); /* 354 has not been sent */
        return false;
    }
    size_t taken = scan_feed(s->scan, in, &ev->parts, &is_end);
    ASSERT(taken > 0);
    *used += taken;
    if (is_end)
        session_set_state(s, STATE_ENDED);
    return emit_body(s, ev);
}

static bool step_chunk(struct session *s, struct slice in, struct session_event *ev, size_t *used)
{
    bool is_end = false;
    if (s->chunk_left == 0 && s->is_last_chunk) {
        session_set_state(s, STATE_ENDED);
        return false;
    }
    if (s->chunk_left == 0) {
        replyq_fill(&s->replies, s->content_seq, &ANSWER(STATUS_CHUNK_OK));
        session_set_state(s, STATE_CHUNKS);
        return false;
    }
    if (in.len == 0)
        return true;
    in = slice_first(in, (size_t)u64_min(s->chunk_left, SIZE_MAX));
    size_t taken = scan_feed(s->scan, in, &ev->parts, &is_end);
    ASSERT(taken > 0);
    ASSERT(!is_end);
    s->chunk_left -= taken;
    *used += taken;
    return emit_body(s, ev);
}

static bool step_drop(struct session *s, struct slice in, size_t *used)
{
    size_t taken = (size_t)u64_min(s->chunk_left, in.len);
    s->chunk_left -= taken;
    *used += taken;
    if (s->chunk_left > 0)
        return true; /* EV_MORE */
    enum session_state next = (enum session_state)s->state_after_drop;
    if (next == STATE_READY && s->stage == DIALECT_IDLE)
        s->rcpt_count = 0; /* else with the last of its replies */
    session_set_state(s, next);
    return false;
}

/* What the machine itself holds against the message, whatever policy thinks (CORE-20, 42, 53). */
static enum status judge_content(const struct session *s, const struct scan_result *result)
{
    uint32_t bad_endings = SCAN_FLAG_BARE_CR | SCAN_FLAG_NUL;
    if (!s->config->normalize_bare_lf)
        bad_endings |= SCAN_FLAG_BARE_LF;
    if (s->is_over || (s->config->size_max > 0 && result->content_bytes > s->config->size_max))
        return STATUS_TOO_BIG;
    if (!s->is_binary && (result->flags & bad_endings) != 0)
        return STATUS_BAD_LINE_ENDING;
    if ((result->flags & SCAN_FLAG_LOOP) != 0)
        return STATUS_LOOP;
    return STATUS_NONE;
}

static bool step_ended(struct session *s, struct session_event *ev)
{
    if (s->is_chunked) {
        replyq_at(&s->replies, s->content_seq)->kind = REPLY_KIND_BLOCK;
    } else {
        if (!replyq_has_room(&s->replies)) {
            ev->kind = EV_OUTPUT;
            return true;
        }
        s->content_seq = replyq_reserve(&s->replies, REPLY_KIND_BLOCK);
    }
    scan_finish(s->scan, &ev->parts, &ev->scan_result);
    if (s->is_over)
        ev->parts.count = 0;
    ev->scan = &ev->scan_result;
    ev->answer = ANSWER(judge_content(s, &ev->scan_result));
    ev->kind = dialect_names_late((enum dialect)s->dialect) ? EV_NAMING : EV_BODY_END;
    s->scan = NULL;
    s->entries = NULL;
    s->entry_idx = 0;
    s->stage = DIALECT_HELD;
    session_set_state(s, STATE_DECIDE);
    return true;
}

/* EV_CONTENT is with the owner: nothing to read, and content of DATA would come too early. */
static bool step_waiting(struct session *s, struct slice in, struct session_event *ev)
{
    if (s->config->bind_early_talkers && !s->is_chunked && in.len > 0) {
        (void)close_because(s, STATUS_UNAUTHORIZED_PIPELINING);
        return false;
    }
    ev->kind = in.len > 0 ? EV_BLOCKED : EV_MORE;
    return true;
}

/* One step of the machine; true when @ev is set. */
static bool step_any(struct session *s, struct slice in, struct session_event *ev, size_t *used)
{
    if (UNLIKELY(s->is_abort_due)) {
        s->is_abort_due = false;
        ev->kind = EV_ABORT;
        return true;
    }
    switch ((enum session_state)s->state) {
    case STATE_START:
        if (s->config->bind_early_talkers && s->replies.head_seq == 0 && in.len > 0) {
            session_refuse(s, ANSWER(STATUS_UNAUTHORIZED_PIPELINING));
            return false;
        }
        return step_command(s, in, ev, used);
    case STATE_READY:
    case STATE_MAIL:
    case STATE_CHUNKS:
    case STATE_FAILED:
    case STATE_NAMING:
        return step_command(s, in, ev, used);
    case STATE_CONTENT:
        return step_waiting(s, in, ev);
    case STATE_DATA:
        return step_data(s, in, ev, used);
    case STATE_CHUNK:
        return step_chunk(s, in, ev, used);
    case STATE_DROP:
        return step_drop(s, in, used);
    case STATE_ENDED:
        return step_ended(s, ev);
    case STATE_DECIDE:
        ev->kind = in.len > 0 ? EV_BLOCKED : EV_MORE;
        return true;
    case STATE_CLOSED:
        ev->kind = EV_CLOSE;
        *used += in.len;
        return true;
    case STATE_COUNT:
        break;
    }
    UNREACHABLE();
}

size_t session_feed(struct session *s, struct slice in, clock_ns now,
                    struct session_event *ret_event)
{
    size_t used = 0;
    (void)now;
    if (in.ptr == NULL)
        in = SLICE_LIT(""); /* no arithmetic on a null pointer */
    ret_event->kind = EV_MORE;
    ret_event->parts.count = 0;
    while (!step_any(s, slice_from(in, used), ret_event, &used))
        ASSERT(used <= in.len);
    ASSERT(used <= in.len);
    return used;
}

/* ---- decisions on MAIL, RCPT and content ---- */

static void refuse_content(struct session *s, uint32_t slot, const struct answer *a)
{
    if (s->is_chunked) {
        drop_chunk(s, slot, a);
    } else {
        replyq_fill(&s->replies, slot, a);
        if (dialect_names_late((enum dialect)s->dialect))
            s->dialect = (uint8_t)dialect_by_protocol(s); /* RCPT may come now */
        session_set_state(s, STATE_MAIL);
    }
}

void session_answer(struct session *s, uint32_t slot, struct answer answer)
{
    if (s->state == STATE_CLOSED)
        return;
    struct replyq_slot *entry = replyq_at(&s->replies, slot);
    ASSERT(entry != NULL);
    ASSERT(!entry->is_ready);
    bool is_success = status_is_success(answer.status);
    entry->is_utf8 = s->is_utf8; /* it may be formatted when the next transaction has begun */
    switch ((enum session_reply_kind)entry->kind) {
    case REPLY_KIND_MAIL:
        replyq_fill(&s->replies, slot, &answer);
        s->was_mail_refused = !is_success;
        if (!is_success)
            return;
        s->mail_count++;
        s->rcpt_count = 0;
        s->chunk_total = 0;
        s->is_over = false;
        s->is_chunked = false;
        s->has_rcpt = false;
        session_set_state(s, STATE_MAIL);
        return;
    case REPLY_KIND_RCPT:
        ASSERT(s->state == STATE_MAIL || s->state == STATE_NAMING);
        ASSERT(answer.status != STATUS_RCPT_LATER || session_may_decide_later(s)); /* DEF-5 */
        replyq_fill(&s->replies, slot, &answer);
        s->rcpt_count += is_success || answer.status == STATUS_RCPT_LATER;
        return;
    case REPLY_KIND_DATA:
    case REPLY_KIND_CHUNK:
        ASSERT(s->state == STATE_CONTENT);
        ASSERT(status_is_temporary(answer.status) || status_is_permanent(answer.status));
        refuse_content(s, slot, &answer);
        return;
    case REPLY_KIND_PLAIN:
    case REPLY_KIND_GREETING:
    case REPLY_KIND_HELO:
    case REPLY_KIND_EHLO:
    case REPLY_KIND_BLOCK:
    case REPLY_KIND_BYE:
        break;
    }
    UNREACHABLE();
}

struct scan_options session_scan_options(const struct session *s)
{
    return (struct scan_options){
        .mode = s->is_chunked ? SCAN_MODE_CHUNK : SCAN_MODE_DATA,
        .normalize_bare_lf = s->config->normalize_bare_lf && !s->is_binary,
        .received_max = s->config->received_max,
    };
}

void session_begin_content(struct session *s, uint32_t slot, struct scan *scan)
{
    if (s->state == STATE_CLOSED)
        return;
    ASSERT(s->state == STATE_CONTENT);
    ASSERT(slot == s->content_seq);
    ASSERT(scan != NULL);
    s->scan = scan;
    if (s->is_chunked) {
        session_set_state(s, STATE_CHUNK);
    } else {
        replyq_fill(&s->replies, slot, &ANSWER(STATUS_START_CONTENT));
        session_set_state(s, STATE_DATA);
    }
}

/* ---- what the owner may ask ---- */

uint32_t session_rcpt_count(const struct session *s)
{
    return s->rcpt_count;
}

bool session_may_decide_later(const struct session *s)
{
    return dialect_row((enum dialect)s->dialect)->listed == DIALECT_LISTED_LATER;
}

enum dialect session_dialect(const struct session *s)
{
    return (enum dialect)s->dialect;
}

bool session_has_one_reply(const struct session *s)
{
    return dialect_row((enum dialect)s->dialect)->listed == DIALECT_LISTED_NONE;
}

enum session_phase session_phase(const struct session *s)
{
    switch ((enum session_state)s->state) {
    case STATE_START:
    case STATE_READY:
    case STATE_MAIL:
    case STATE_CHUNKS:
    case STATE_FAILED:
    case STATE_NAMING:
        return s->replies.open_count > 0 ? SESSION_PHASE_DECISION : SESSION_PHASE_COMMAND;
    case STATE_DATA:
    case STATE_CHUNK:
    case STATE_DROP:
        return SESSION_PHASE_CONTENT;
    case STATE_CONTENT:
    case STATE_ENDED:
    case STATE_DECIDE:
        return SESSION_PHASE_DECISION;
    case STATE_CLOSED:
    case STATE_COUNT:
        break;
    }
    return SESSION_PHASE_CLOSING;
}

bool session_in_transaction(const struct session *s)
{
    return session_is_live(s);
}

bool session_has_utf8(const struct session *s)
{
    return s->is_utf8;
}

bool session_is_esmtp(const struct session *s)
{
    return s->is_esmtp;
}
