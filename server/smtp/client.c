/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - the client machine: the way to the content. What comes back is client_block.c.
 *
 *     GREETING -> HELLO -> READY -> ENVELOPE -> CONTENT -> REPLIES -+-> READY
 *                                      |                            |
 *                                      +-----> CHUNKS ------------- +-> DRAIN, RESET -> READY
 *                                                                   +-> QUIT -> CLOSED
 *     ADAT: ENVELOPE -> CONTENT -> REPLIES -> NAMING -> READY
 *     any state -> CLOSED (421, protocol error, lost, timeout)
 *
 * What was sent and what was answered are counters: replies come in the order of the commands, so
 * the number of replies so far says what the next one is about. Results are set by position.
 *
 * Invariants:
 * - A recipient's fate is set once. Where responsibility moves with his own reply, by that
 *   (LMTP-19, LMTP-20, EXD-15, HOL-11); where a final reply rules, by it and the table of PRDR-35,
 *   everything before it being worth nothing (PRDR-29, DEF-17); on SMTP by the one reply. What is
 *   open when the connection ends is requeued.
 * - 3xx where none belongs, garbage, and bytes that nobody asked for end the connection (PRDR-34,
 *   PRDR-38, PRDR-40, LMTP-25).
 * - BDAT LAST on LMTP is sent only when everything before it was answered and accepted (LMTP-16,
 *   LMTP-17), so the number of its replies is never in doubt.
 */
#include "client_state.h"
#include "smtp/command.h"
#include "smtp/line.h"

#define MINUTES (60 * NS_PER_S)

/* RFC 5321 4.5.3.2: fresh for each command, never for the whole transaction. */
/* clang-format off */
static const clock_ns phase_timeouts[CLIENT_PHASE_COUNT] = {
    [CLIENT_PHASE_GREETING] = 5 * MINUTES, /* 4.5.3.2.1 */
    [CLIENT_PHASE_HELLO] = 5 * MINUTES,
    [CLIENT_PHASE_MAIL] = 5 * MINUTES,    /* 4.5.3.2.2 */
    [CLIENT_PHASE_RCPT] = 5 * MINUTES,    /* 4.5.3.2.3 */
    [CLIENT_PHASE_DATA] = 2 * MINUTES,    /* 4.5.3.2.4 */
    [CLIENT_PHASE_CONTENT] = 3 * MINUTES, /* 4.5.3.2.5 */
    [CLIENT_PHASE_DONE] = 10 * MINUTES,   /* 4.5.3.2.6; PRDR-28 */
    [CLIENT_PHASE_OTHER] = 5 * MINUTES,
    [CLIENT_PHASE_IDLE] = 0,
};
/* clang-format on */

clock_ns client_phase_timeout(enum client_phase phase)
{
    ASSERT(phase < CLIENT_PHASE_COUNT);
    return phase_timeouts[phase];
}

/* ---- small questions ---- */

static bool offers(const struct client *c, enum session_offer offer)
{
    return (c->caps.offers & offer) != 0;
}

static bool may_pipeline(const struct client *c, enum client_pipelining at_least)
{
    return c->config->pipelining >= at_least && offers(c, SESSION_OFFER_PIPELINING);
}

static bool names_late(const struct client *c)
{
    return dialect_names_late((enum dialect)c->dialect);
}

/* RCPTs before the content. */
static uint32_t envelope_rcpts(const struct client *c)
{
    return names_late(c) ? 0 : c->message->rcpt_count;
}

/* Commands before the content: MAIL, RCPT ..., and DATA (or ADAT) unless there will be chunks;
 * while recipients are being named: DRCP ..., ERCP. */
static uint32_t envelope_len(const struct client *c)
{
    if (c->state == CLIENT_NAMING)
        return c->message->rcpt_count + 1;
    return 1 + envelope_rcpts(c) + (c->uses_chunks ? 0 : 1);
}

static bool is_envelope_answered(const struct client *c)
{
    return c->envelope_replied == c->envelope_sent;
}

/* The last chunk has a reply for each recipient, with no other form: their number must be known. */
static bool has_counted_replies(const struct client *c)
{
    return !dialect_row((enum dialect)c->dialect)->may_be_single;
}

static bool is_expecting(const struct client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_GREETING:
    case CLIENT_REPLIES:
        return true;
    case CLIENT_HELLO:
        return !c->is_hello_due;
    case CLIENT_ENVELOPE:
    case CLIENT_NAMING:
        return !is_envelope_answered(c);
    case CLIENT_CHUNKS:
        return !is_envelope_answered(c) || c->chunks_replied < c->chunks_sent;
    case CLIENT_RESET:
    case CLIENT_QUIT:
        return !c->is_command_due;
    case CLIENT_READY:
    case CLIENT_CONTENT:
    case CLIENT_DRAIN:
    case CLIENT_CLOSED:
        return false;
    }
    UNREACHABLE();
}

enum client_phase client_phase(const struct client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_GREETING:
        return CLIENT_PHASE_GREETING;
    case CLIENT_HELLO:
        return CLIENT_PHASE_HELLO;
    case CLIENT_ENVELOPE:
    case CLIENT_CHUNKS:
        if (c->state == CLIENT_CHUNKS && is_envelope_answered(c))
            return c->chunk_left > 0 ? CLIENT_PHASE_CONTENT : CLIENT_PHASE_DONE;
        if (c->envelope_replied == 0)
            return CLIENT_PHASE_MAIL;
        return c->envelope_replied <= envelope_rcpts(c) ? CLIENT_PHASE_RCPT : CLIENT_PHASE_DATA;
    case CLIENT_NAMING:
        return c->envelope_replied < c->message->rcpt_count ? CLIENT_PHASE_RCPT : CLIENT_PHASE_DONE;
    case CLIENT_CONTENT:
    case CLIENT_DRAIN:
        return CLIENT_PHASE_CONTENT;
    case CLIENT_REPLIES:
        return CLIENT_PHASE_DONE;
    case CLIENT_RESET:
    case CLIENT_QUIT:
        return CLIENT_PHASE_OTHER;
    case CLIENT_READY:
    case CLIENT_CLOSED:
        return CLIENT_PHASE_IDLE;
    }
    UNREACHABLE();
}

clock_ns client_deadline(const struct client *c)
{
    enum client_phase phase = client_phase(c);
    clock_ns timeout_ns = c->config->timeouts_ns[phase];
    if (phase == CLIENT_PHASE_IDLE)
        return CLOCK_NEVER;
    return c->since_ns + (timeout_ns != 0 ? timeout_ns : phase_timeouts[phase]);
}

bool client_is_ready(const struct client *c)
{
    return c->state == CLIENT_READY && !c->is_ready_due && !c->is_done_due;
}

enum dialect client_dialect(const struct client *c)
{
    return (enum dialect)c->dialect;
}

bool client_is_naming(const struct client *c)
{
    return c->state == CLIENT_NAMING;
}

bool client_has_event(const struct client *c)
{
    return c->is_done_due || c->is_ready_due || c->is_closed_due;
}

/* ---- results ---- */

static enum client_fate fate_of(uint16_t code)
{
    if (code / 100 == 2)
        return CLIENT_FATE_DONE;
    return code / 100 == 4 ? CLIENT_FATE_REQUEUE : CLIENT_FATE_FAIL;
}

struct client_verdict client_verdict_of(uint16_t code, const uint16_t *enhanced,
                                        enum client_phase phase)
{
    return (struct client_verdict){fate_of(code), phase, code, enhanced};
}

void client_settle(struct client_result *result, const struct client_verdict *v)
{
    ASSERT(result->fate == CLIENT_FATE_OPEN);
    ASSERT(v->fate != CLIENT_FATE_OPEN);
    result->fate = v->fate;
    result->phase = v->phase;
    result->code = v->code;
    if (v->enhanced != NULL)
        memcpy(result->enhanced, v->enhanced, sizeof(result->enhanced));
}

void client_settle_open(struct client *c, const struct client_verdict *v)
{
    for (uint32_t i = 0; i < c->message->rcpt_count; i++)
        if (c->results[i].fate == CLIENT_FATE_OPEN)
            client_settle(&c->results[i], v);
}

static bool has_asked(const struct client *c)
{
    return dialect_offer((enum dialect)c->dialect) != 0;
}

/* The content was out, and not all was said that was due: the time counts from the last sign of
 * life, or our last octet. */
static void note_failure(struct client *c, enum client_error error)
{
    bool is_due = c->state == CLIENT_REPLIES || c->state == CLIENT_NAMING ||
                  (c->state == CLIENT_CHUNKS && c->is_last_announced);
    if (c->config->trust != NULL && has_asked(c) && is_due && error != CLIENT_ERROR_REFUSED)
        client_trust_failed(c->config->trust, (enum dialect)c->dialect, c->since_ns);
}

/* The connection ends: whoever is open is requeued, without a reply that said so. */
void client_end(struct client *c, enum client_error error)
{
    const struct client_verdict lost = client_verdict_without(c);
    if (c->state == CLIENT_CLOSED)
        return;
    if (c->message != NULL) {
        note_failure(c, error);
        client_settle_open(c, &lost);
        c->is_done_due = true;
    }
    c->is_ready_due = false;
    c->is_closed_due = true;
    c->error = (uint8_t)error;
    c->state = CLIENT_CLOSED;
}

static void go_on(struct client *c)
{
    if (c->wants_quit) {
        c->state = CLIENT_QUIT;
        c->is_command_due = !c->is_quit_sent;
        c->is_quit_sent = true;
    } else {
        c->state = CLIENT_READY;
        c->is_ready_due = true;
    }
}

/* All results are set. */
void client_finish(struct client *c, bool needs_reset)
{
    for (uint32_t i = 0; i < c->message->rcpt_count; i++)
        ASSERT_SLOW(c->results[i].fate != CLIENT_FATE_OPEN);
    bool is_answered = c->state == CLIENT_REPLIES || c->state == CLIENT_NAMING;
    if (c->config->trust != NULL && has_asked(c) && is_answered)
        client_trust_answered(c->config->trust, (enum dialect)c->dialect);
    c->stage = CLIENT_STAGE_FIRST; /* of whatever is read next */
    if (c->chunk_left > 0) {
        ASSERT(!needs_reset);
        c->state = CLIENT_DRAIN;
        return;
    }
    c->is_done_due = true;
    if (needs_reset && !c->is_quit_sent) {
        c->state = CLIENT_RESET;
        c->is_command_due = true;
    } else {
        go_on(c);
    }
}

/* ---- sending ---- */

void client_init(struct client *c, const struct client_config *config, clock_ns now)
{
    ASSERT(config->hostname.len > 0);
    ASSERT(config->hostname.len <= DOMAIN_BYTES_MAX);
    *c = (struct client){.config = config, .state = CLIENT_GREETING, .since_ns = now};
}

void client_init_again(struct client *c, const struct client_config *config, clock_ns now)
{
    client_init(c, config, now);
    c->state = CLIENT_HELLO; /* RFC 3207 4.2: what was learned before is forgotten */
    c->is_hello_due = true;
}

/* What the server cannot take is refused here, as its own reply would be. */
static bool refuse_locally(struct client *c, uint64_t content_bytes)
{
    static const struct {
        uint16_t code;
        uint16_t enhanced[3];
    } rows[] = {{553, {5, 6, 7}}, {554, {5, 6, 3}}, {552, {5, 3, 4}}};
    const struct mail_params *params = &c->message->params;
    size_t i;
    if (params->smtputf8 && !offers(c, SESSION_OFFER_SMTPUTF8))
        i = 0; /* CORE-27: no silent downgrade */
    else if (params->body == PARAM_BODY_BINARYMIME && !offers(c, SESSION_OFFER_BINARYMIME))
        i = 1; /* CORE-23 */
    else if (c->caps.size_max > 0 && content_bytes > c->caps.size_max)
        i = 2; /* RFC 1870 6.1 */
    else
        return false;
    struct client_verdict v = {CLIENT_FATE_FAIL, CLIENT_PHASE_IDLE, rows[i].code, rows[i].enhanced};
    client_settle_open(c, &v);
    client_finish(c, false);
    return true;
}

static enum dialect choose_dialect(const struct client *c)
{
    const struct client_config *config = c->config;
    uint32_t rcpt_min = config->dialect_rcpt_min != 0 ? config->dialect_rcpt_min : 2;
    uint32_t usable = config->protocol == CLIENT_SMTP && c->message->rcpt_count >= rcpt_min
                          ? config->dialects & c->caps.offers
                          : 0;
    if (config->trust != NULL)
        usable = client_trust_offers(config->trust, usable, c->since_ns);
    if (c->message->params.body == PARAM_BODY_BINARYMIME)
        usable &= ~(uint32_t)SESSION_OFFER_ADAT; /* it has lines and a dot (OTH-2) */
    return dialect_preferred(config->protocol == CLIENT_LMTP ? SESSION_LMTP : SESSION_SMTP, usable);
}

void client_begin(struct client *c, const struct client_message *message,
                  struct client_result *results, clock_ns now)
{
    ASSERT(client_is_ready(c));
    ASSERT(message->rcpt_count > 0);
    uint64_t content_bytes = 0;
    for (uint32_t i = 0; i < message->content_count; i++)
        content_bytes += message->content[i].len;
    memset(results, 0, message->rcpt_count * sizeof(*results));
    c->message = message;
    c->results = results;
    c->since_ns = now;
    c->content_left = content_bytes;
    c->chunk_left = 0;
    c->content_offset = c->content_idx = 0;
    c->envelope_sent = c->envelope_replied = 0;
    c->accepted_count = c->listed_count = c->block_idx = c->block_count = 0;
    c->chunks_sent = c->chunks_replied = 0;
    c->stuffing = (struct data_stuffing){0};
    c->is_last_announced = c->is_mail_refused = c->is_content_refused = c->was_empty = false;
    c->dialect = (uint8_t)choose_dialect(c);
    c->has_block = has_counted_replies(c);
    if (refuse_locally(c, content_bytes))
        return;
    bool is_binary = message->params.body == PARAM_BODY_BINARYMIME;
    c->uses_chunks = offers(c, SESSION_OFFER_CHUNKING) && (c->config->wants_chunking || is_binary);
    if (names_late(c))
        c->uses_chunks = false;
    c->stage = CLIENT_STAGE_FIRST;
    c->state = CLIENT_ENVELOPE;
}

void client_quit(struct client *c)
{
    c->wants_quit = true;
    if (c->state == CLIENT_READY) {
        c->is_ready_due = false;
        go_on(c);
    }
}

static void put_mail(struct client *c, struct buf *out)
{
    struct mail_params params = c->message->params;
    params.has_size = true;
    params.size = c->content_left;
    params.dialects = dialect_row((enum dialect)c->dialect)->offer;
    BUF_PUT_LIT(out, "MAIL FROM:<");
    buf_put(out, c->message->sender);
    buf_put_byte(out, '>');
    param_put_mail(out, &params, c->caps.offers);
    BUF_PUT_LIT(out, "\r\n");
}

static void put_rcpt(const struct client *c, struct buf *out, uint32_t idx)
{
    buf_put(out, c->state == CLIENT_NAMING ? SLICE_LIT("DRCP TO:<") : SLICE_LIT("RCPT TO:<"));
    buf_put(out, c->message->rcpts[idx].address);
    buf_put_byte(out, '>');
    param_put_rcpt(out, &c->message->rcpts[idx].params, c->caps.offers);
    BUF_PUT_LIT(out, "\r\n");
}

/* Commands that lie behind @start in @scratch are one part. */
static void put_part(const struct buf *scratch, size_t start, struct slices *parts)
{
    ASSERT(!scratch->is_full);
    if (scratch->len > start)
        parts->at[parts->count++] = slice_of(scratch->ptr + start, scratch->len - start);
}

static bool may_send_envelope(const struct client *c)
{
    if (c->envelope_sent == envelope_len(c) || c->is_mail_refused)
        return false;
    bool is_last = c->envelope_sent + 1 == envelope_len(c);
    bool must_wait = !may_pipeline(c, CLIENT_PIPELINE_ENVELOPE) ||
                     (names_late(c) && is_last); /* OTH-2; ERCP needs the count */
    if (must_wait && !is_envelope_answered(c))
        return false;
    /* DATA with no recipient left: only where it went out before that was known. */
    bool is_data = c->envelope_sent == 1 + envelope_rcpts(c) && !names_late(c);
    return !is_data || !is_envelope_answered(c) || c->accepted_count > 0;
}

static void put_count(struct buf *out, struct slice verb, uint32_t count)
{
    buf_put(out, verb);
    buf_put_u64(out, count);
    BUF_PUT_LIT(out, "\r\n");
}

/* Command number @step of the envelope, or of the recipients that are named after the content. */
static void put_step(struct client *c, struct buf *out, uint32_t step)
{
    bool is_naming = c->state == CLIENT_NAMING;
    uint32_t first = is_naming ? 0 : 1;
    uint32_t rcpt_count = is_naming ? c->message->rcpt_count : envelope_rcpts(c);
    if (step < first)
        put_mail(c, out);
    else if (step < first + rcpt_count)
        put_rcpt(c, out, step - first);
    else if (is_naming)
        put_count(out, SLICE_LIT("ERCP "), c->accepted_count);
    else if (names_late(c))
        put_count(out, SLICE_LIT("ADAT "), c->message->rcpt_count);
    else
        BUF_PUT_LIT(out, "DATA\r\n");
}

static bool output_envelope(struct client *c, struct buf *scratch, struct slices *parts)
{
    size_t start = scratch->len;
    bool is_out_of_room = false;
    while (may_send_envelope(c)) {
        is_out_of_room = buf_room(scratch) < CLIENT_COMMAND_BYTES_MAX;
        if (is_out_of_room)
            break;
        put_step(c, scratch, c->envelope_sent++);
    }
    put_part(scratch, start, parts);
    bool is_blind = may_pipeline(c, CLIENT_PIPELINE_FULL) && !has_counted_replies(c);
    if (c->uses_chunks && c->envelope_sent == envelope_len(c) && is_blind && !c->is_mail_refused)
        c->state = CLIENT_CHUNKS;
    return is_out_of_room || c->state == CLIENT_CHUNKS;
}

/* QUIT behind the content, for servers that said PIPELINING (CORE-48). */
static void output_quit_early(struct client *c, struct buf *scratch, struct slices *parts)
{
    /* HOL-13: where a refusal that was not read becomes a notice of the server, what we say after
     * the last line shows that we have read it; said before, it shows nothing (DUP-23). */
    bool tells_what_was_read = dialect_row((enum dialect)c->dialect)->owner == DIALECT_OWNER_OPENER;
    if (!c->wants_quit || c->is_quit_sent || !may_pipeline(c, CLIENT_PIPELINE_FULL) ||
        names_late(c) || tells_what_was_read)
        return;
    size_t start = scratch->len;
    BUF_PUT_LIT(scratch, "QUIT\r\n");
    put_part(scratch, start, parts);
    c->is_quit_sent = true;
}

/* The next run of content, at most @max octets. */
static struct slice content_view(struct client *c, uint64_t max)
{
    while (c->content_idx < c->message->content_count &&
           c->content_offset == c->message->content[c->content_idx].len) {
        c->content_idx++;
        c->content_offset = 0;
    }
    ASSERT(c->content_idx < c->message->content_count);
    struct slice rest = slice_from(c->message->content[c->content_idx], c->content_offset);
    return slice_first(rest, (size_t)u64_min(rest.len, max));
}

static void content_consume(struct client *c, size_t len)
{
    c->content_offset += len;
    c->content_left -= len;
}

static size_t stuff(struct client *c, struct slices *parts)
{
    struct slice view = content_view(c, UINT64_MAX);
    if (!c->message->is_plain)
        return data_stuff(&c->stuffing, view, parts);
    ASSERT_SLOW(data_is_plain(view));
    if (parts->count == SLICES_MAX)
        return 0;
    parts->at[parts->count++] = view;
    return view.len;
}

static bool output_content(struct client *c, struct buf *scratch, struct slices *parts)
{
    while (c->content_left > 0 && !c->was_empty) {
        size_t len = stuff(c, parts);
        if (len == 0)
            return true; /* parts are full */
        content_consume(c, len);
    }
    if (data_is_bad(&c->stuffing)) {
        parts->count = 0;
        client_end(c, CLIENT_ERROR_CONTENT);
        return false;
    }
    if (parts->count + 2 > SLICES_MAX)
        return true;
    parts->at[parts->count++] = data_terminator(&c->stuffing);
    c->is_last_announced = true;
    c->state = CLIENT_REPLIES;
    output_quit_early(c, scratch, parts);
    return false;
}

static bool may_send_chunk(const struct client *c, bool is_last)
{
    bool is_answered = is_envelope_answered(c) && c->chunks_replied == c->chunks_sent;
    if (c->is_last_announced || c->is_content_refused || c->is_mail_refused)
        return false;
    if (is_answered)
        return c->accepted_count > 0;
    if (has_counted_replies(c) && is_last)
        return false; /* LMTP-16, LMTP-17 */
    return may_pipeline(c, CLIENT_PIPELINE_FULL) &&
           (!has_counted_replies(c) || is_envelope_answered(c));
}

static bool output_chunk_command(struct client *c, struct buf *scratch, struct slices *parts)
{
    uint64_t bytes = c->content_left;
    if (c->config->chunk_bytes > 0)
        bytes = u64_min(bytes, c->config->chunk_bytes);
    bool is_last = bytes == c->content_left;
    if (!may_send_chunk(c, is_last))
        return false;
    size_t start = scratch->len;
    data_put_chunk(scratch, bytes, is_last);
    put_part(scratch, start, parts);
    c->chunk_left = bytes;
    c->chunks_sent++;
    c->is_last_announced = is_last;
    return true;
}

static void finish_chunks(struct client *c);

/* Octets of the current chunk, as many as there are parts for. */
static void output_octets(struct client *c, struct slices *parts)
{
    while (c->chunk_left > 0 && parts->count + 1 < SLICES_MAX) {
        struct slice view = content_view(c, c->chunk_left);
        parts->at[parts->count++] = view;
        content_consume(c, view.len);
        c->chunk_left -= view.len;
    }
}

static bool output_chunks(struct client *c, struct buf *scratch, struct slices *parts)
{
    for (;;) {
        if (parts->count + 3 > SLICES_MAX || buf_room(scratch) < 64)
            return true;
        if (c->chunk_left == 0 && !output_chunk_command(c, scratch, parts))
            break;
        output_octets(c, parts);
        if (c->chunk_left == 0 && c->is_last_announced)
            output_quit_early(c, scratch, parts);
    }
    finish_chunks(c);
    return false;
}

/* The rest of a last chunk that has been answered, or is being answered. */
static bool output_rest(struct client *c, struct slices *parts)
{
    output_octets(c, parts);
    if (c->chunk_left == 0 && c->state == CLIENT_DRAIN)
        client_finish(c, false);
    return c->chunk_left > 0;
}

static void output_command(struct client *c, struct buf *out)
{
    if (c->state == CLIENT_HELLO && c->is_hello_due) {
        c->is_hello_due = false;
        if (c->config->protocol == CLIENT_LMTP)
            BUF_PUT_LIT(out, "LHLO ");
        else if (c->is_ehlo_refused)
            BUF_PUT_LIT(out, "HELO ");
        else
            BUF_PUT_LIT(out, "EHLO ");
        buf_put(out, c->config->hostname);
        BUF_PUT_LIT(out, "\r\n");
    } else if (c->state == CLIENT_RESET && c->is_command_due) {
        c->is_command_due = false;
        BUF_PUT_LIT(out, "RSET\r\n");
    } else if (c->state == CLIENT_QUIT && c->is_command_due) {
        c->is_command_due = false;
        BUF_PUT_LIT(out, "QUIT\r\n");
    }
}

bool client_output(struct client *c, clock_ns now, struct buf *scratch, struct slices *parts)
{
    bool has_more = false;
    ASSERT(scratch->len == 0);
    ASSERT(scratch->cap >= CLIENT_COMMAND_BYTES_MAX);
    parts->count = 0;
    switch ((enum client_state)c->state) {
    case CLIENT_ENVELOPE:
        has_more = output_envelope(c, scratch, parts);
        if (c->state == CLIENT_CHUNKS)
            has_more = output_chunks(c, scratch, parts);
        break;
    case CLIENT_NAMING:
        has_more = output_envelope(c, scratch, parts);
        break;
    case CLIENT_CONTENT:
        has_more = output_content(c, scratch, parts);
        break;
    case CLIENT_CHUNKS:
        has_more = output_chunks(c, scratch, parts);
        break;
    case CLIENT_HELLO:
    case CLIENT_RESET:
    case CLIENT_QUIT:
        output_command(c, scratch);
        put_part(scratch, 0, parts);
        break;
    case CLIENT_REPLIES:
    case CLIENT_DRAIN:
        has_more = output_rest(c, parts);
        break;
    case CLIENT_GREETING:
    case CLIENT_READY:
    case CLIENT_CLOSED:
        break;
    }
    if (parts->count > 0)
        c->since_ns = now;
    return has_more;
}

/* ---- replies ---- */

static void on_hello(struct client *c, uint16_t code)
{
    if (code == 250) {
        go_on(c);
    } else if (c->config->protocol == CLIENT_SMTP && code / 100 == 5 && !c->is_ehlo_refused) {
        c->is_ehlo_refused = true; /* try HELO (RFC 5321 3.2) */
        c->is_hello_due = true;
        c->caps = (struct hello_caps){0};
    } else {
        client_end(c, CLIENT_ERROR_REFUSED);
    }
}

static void on_mail(struct client *c, const struct reply_state *reply)
{
    if (reply->code / 100 == 2)
        return;
    struct client_verdict v = client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_MAIL);
    c->is_mail_refused = true;
    client_settle_open(c, &v);
}

/* 452 by its old name (RFC 5321 4.5.3.1.10), unless an enhanced code says what else is too much. */
static bool is_too_many_rcpts(const struct reply_state *reply)
{
    const uint16_t *enhanced = reply->enhanced;
    return reply->code == 552 && (enhanced[0] == 0 || (enhanced[1] == 5 && enhanced[2] == 3));
}

static void on_rcpt(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    uint32_t idx = c->envelope_replied - 1;
    struct client_result *result = &c->results[idx];
    ev->rcpt_idx = idx;
    if (c->is_mail_refused)
        return; /* 503, as was to be expected */
    result->rcpt_code = reply->code;
    if (client_count_rcpt(c, reply->code))
        return;
    if (reply->code / 100 == 3) {
        client_end(c, CLIENT_ERROR_PROTOCOL); /* 352 to who did not ask (PRDR-40) */
        return;
    }
    struct client_verdict v = client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_RCPT);
    if (is_too_many_rcpts(reply))
        v.fate = CLIENT_FATE_REQUEUE;
    client_settle(result, &v);
    ev->is_settled = true;
}

/* DATA: 354 or a refusal that stands for all. */
static void on_data(struct client *c, const struct reply_state *reply)
{
    if (reply->code == 354) {
        /* CORE-21: without a recipient only the dot, and the result is ignored */
        c->was_empty = c->accepted_count == 0 && !names_late(c);
        if (c->was_empty && c->config->protocol == CLIENT_LMTP)
            client_end(c, CLIENT_ERROR_PROTOCOL); /* LMTP-6 */
        else
            c->state = CLIENT_CONTENT;
        return;
    }
    if (reply->code / 100 < 4) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return;
    }
    struct client_verdict v = client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_DATA);
    client_settle_open(c, &v);
    client_finish(c, !c->is_mail_refused);
}

static void on_envelope(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    uint32_t step = c->envelope_replied;
    uint32_t rcpt_count = envelope_rcpts(c);
    if (step > rcpt_count) {
        c->envelope_replied++;
        on_data(c, reply);
        return;
    }
    if (reply->code / 100 == 3 && (step == 0 || c->is_mail_refused)) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return;
    }
    if (step == 0)
        on_mail(c, reply);
    else
        on_rcpt(c, reply, ev);
    c->envelope_replied++;
    if (c->state == CLIENT_CLOSED || !is_envelope_answered(c))
        return;
    if (c->state == CLIENT_CHUNKS) {
        finish_chunks(c);
    } else if (c->is_mail_refused) {
        client_finish(c, false);
    } else if (c->envelope_replied == 1 + rcpt_count && !names_late(c)) {
        if (c->accepted_count == 0)
            client_finish(c, true);
        else if (c->uses_chunks)
            c->state = CLIENT_CHUNKS;
    }
}

/* Chunks: everything sent was answered, and nothing more will be sent. */
static void finish_chunks(struct client *c)
{
    bool is_quiet = is_envelope_answered(c) && c->chunks_replied == c->chunks_sent;
    if (c->state != CLIENT_CHUNKS || c->chunk_left > 0 || !is_quiet)
        return;
    if (c->is_mail_refused || c->is_content_refused || c->accepted_count == 0)
        client_finish(c, true);
}

/* The reply to a chunk; that to the last one is a reply to the message. */
static void on_chunk(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    bool is_final = c->is_last_announced && c->chunks_replied + 1 == c->chunks_sent;
    bool was_hopeless = c->is_content_refused || c->is_mail_refused || c->accepted_count == 0;
    if (is_final && !was_hopeless) {
        c->state = CLIENT_REPLIES;
        client_on_block(c, reply, ev);
        return;
    }
    if (reply->code / 100 == 3) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return;
    }
    c->chunks_replied++;
    if (reply->code / 100 != 2 && !was_hopeless) {
        struct client_verdict v =
            client_verdict_of(reply->code, reply->enhanced, CLIENT_PHASE_DONE);
        c->is_content_refused = true;
        client_settle_open(c, &v);
    }
    finish_chunks(c);
}

static void on_reply(struct client *c, const struct reply_state *reply, struct client_event *ev)
{
    switch ((enum client_state)c->state) {
    case CLIENT_GREETING:
        c->state = CLIENT_HELLO;
        c->is_hello_due = true;
        if (reply->code != 220)
            client_end(c, CLIENT_ERROR_REFUSED);
        break;
    case CLIENT_HELLO:
        on_hello(c, reply->code);
        break;
    case CLIENT_ENVELOPE:
        on_envelope(c, reply, ev);
        break;
    case CLIENT_CHUNKS:
        if (is_envelope_answered(c))
            on_chunk(c, reply, ev);
        else
            on_envelope(c, reply, ev);
        break;
    case CLIENT_REPLIES:
        client_on_block(c, reply, ev);
        break;
    case CLIENT_NAMING:
        client_on_named(c, reply, ev);
        break;
    case CLIENT_RESET:
        if (reply->code / 100 == 2)
            go_on(c);
        else
            client_end(c, CLIENT_ERROR_REFUSED);
        break;
    case CLIENT_QUIT:
        client_end(c, CLIENT_ERROR_NONE);
        break;
    case CLIENT_READY:
    case CLIENT_CONTENT:
    case CLIENT_DRAIN:
    case CLIENT_CLOSED:
        UNREACHABLE();
    }
}

/* A whole reply has been read. */
static void take_reply(struct client *c, struct slice text, clock_ns now, struct client_event *ev)
{
    struct reply_state reply = c->reply;
    c->reply = (struct reply_state){0};
    ev->kind = CLIENT_EV_REPLY;
    ev->phase = client_phase(c);
    ev->rcpt_idx = CLIENT_NO_RCPT;
    ev->is_settled = ev->is_opening = ev->is_part = false;
    ev->code = reply.code;
    memcpy(ev->enhanced, reply.enhanced, sizeof(ev->enhanced));
    ev->text = text;
    c->since_ns = now;
    if (is_expecting(c))
        on_reply(c, &reply, ev);
    else if (reply.code != 421)
        client_end(c, CLIENT_ERROR_PROTOCOL); /* PRDR-38 */
    if (reply.code == 421)
        client_end(c, CLIENT_ERROR_REFUSED); /* RFC 5321 3.8 */
}

/* One line; true when @ev is set. */
static bool take_line(struct client *c, struct slice line, clock_ns now, struct client_event *ev)
{
    struct reply_line parsed;
    if (client_is_wrapped(c, line))
        return client_take_wrapped(c, line, now, ev);
    if (!reply_parse_line(line, &parsed)) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return false;
    }
    enum reply_result result = reply_add_line(&c->reply, &parsed);
    if (result == REPLY_BAD) {
        client_end(c, CLIENT_ERROR_PROTOCOL);
        return false;
    }
    if (c->state == CLIENT_HELLO && c->reply.line_count > 1 && c->reply.code == 250)
        hello_parse_line(&c->caps, slice_from(line, 4));
    if (result == REPLY_MORE)
        return false;
    take_reply(c, parsed.text, now, ev);
    return true;
}

/* Events that need no input; true when @ev is set. */
static bool take_due(struct client *c, struct client_event *ev)
{
    ev->error = CLIENT_ERROR_NONE;
    if (c->is_done_due) {
        c->is_done_due = false;
        c->message = NULL;
        c->results = NULL;
        ev->kind = CLIENT_EV_DONE;
    } else if (c->is_ready_due) {
        c->is_ready_due = false;
        ev->kind = CLIENT_EV_READY;
    } else if (c->is_closed_due) {
        c->is_closed_due = false;
        ev->kind = CLIENT_EV_CLOSED;
        ev->error = (enum client_error)c->error;
    } else {
        return false;
    }
    return true;
}

size_t client_feed(struct client *c, struct slice in, clock_ns now, struct client_event *ret_event)
{
    size_t used = 0;
    if (in.ptr == NULL)
        in = SLICE_LIT(""); /* no arithmetic on a null pointer */
    ret_event->kind = CLIENT_EV_MORE;
    while (!take_due(c, ret_event)) {
        struct slice line;
        size_t line_used;
        if (c->state == CLIENT_CLOSED)
            return in.len;
        enum line_result result = line_next(&c->is_skipping, slice_from(in, used),
                                            REPLY_READ_LINE_BYTES_MAX, &line, &line_used);
        used += line_used;
        if (result == LINE_MORE && !c->is_skipping)
            return used;
        if (result != LINE_OK) /* of a line over the limit the end is not waited for */
            client_end(c, CLIENT_ERROR_PROTOCOL);
        else if (take_line(c, line, now, ret_event))
            return used;
    }
    return used;
}

void client_lost(struct client *c, enum client_error error)
{
    ASSERT(error == CLIENT_ERROR_LOST || error == CLIENT_ERROR_TIMEOUT);
    client_end(c, error);
}
