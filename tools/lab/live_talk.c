/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_talk.c - owns what is known of a conversation.
 *
 *     commands -> (354) -> content -> (dot) -> commands ...
 *
 * The server's lines come in order, so those to MAIL, RCPT ... and DATA are the last ones before a
 * 354. The shadow gets them when the content begins, and each line behind the content as it is.
 *
 * ADAT names recipients behind the content, one command each, so there commands and replies are
 * counted instead.
 */
#include "lab/live_talk.h"
#include "base/assert.h"
#include "lab/machines.h"
#include "smtp/reply.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CODE_CONTENT 354
#define CODE_NAME_RCPTS 355
#define ENVELOPE_REPLIES 2 /* MAIL and DATA */
#define CONTENT_LINE "x\r\n"

static const struct slice content[] = {{(const uint8_t *)CONTENT_LINE, sizeof(CONTENT_LINE) - 1}};

int live_talk_configure(struct live_talk_config *config, const struct lab_point *p)
{
    enum dialect d = machines_dialect(p->server.dialect);
    machines_begin();
    *config = (struct live_talk_config){
        .client = {.protocol = p->server.dialect == LAB_LMTP ? CLIENT_LMTP : CLIENT_SMTP,
                   .pipelining = CLIENT_PIPELINE_ENVELOPE,
                   .hostname = SLICE_LIT("wire.example"),
                   .dialects = dialect_offer(d)},
        .rcpt_count = p->rcpt_count,
        .offers = SESSION_OFFER_PIPELINING | dialect_offer(d),
        .names_late = dialect_names_late(d),
        .rcpts = calloc(p->rcpt_count, sizeof(struct client_rcpt)),
    };
    if (config->rcpts == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < p->rcpt_count; i++)
        config->rcpts[i].address = SLICE_LIT("r@wire.example");
    return 0;
}

void live_talk_unconfigure(struct live_talk_config *config)
{
    free(config->rcpts);
    config->rcpts = NULL;
}

static uint32_t codes_max(const struct live_talk *t)
{
    return t->config->rcpt_count + ENVELOPE_REPLIES;
}

int live_talk_init(struct live_talk *t, const struct live_talk_config *config)
{
    memset(t, 0, sizeof(*t));
    t->config = config;
    t->results = calloc(config->rcpt_count, sizeof(*t->results));
    t->codes = calloc(codes_max(t), sizeof(*t->codes));
    if (t->results != NULL && t->codes != NULL)
        return 0;
    live_talk_deinit(t);
    return -ENOMEM;
}

void live_talk_deinit(struct live_talk *t)
{
    free(t->results);
    free(t->codes);
    t->results = NULL;
    t->codes = NULL;
}

/* --- the shadow ------------------------------------------------------------------------------- */

/* All that it has to say is thrown away. */
static void shadow_speak(struct live_talk *t)
{
    uint8_t memory[CLIENT_COMMAND_BYTES_MAX];
    struct slices parts;
    bool has_more = true;
    while (has_more) {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&t->shadow, 0, &scratch, &parts);
    }
}

/* One line, and what follows from it; how many answers there were in it. */
static uint32_t shadow_hear(struct live_talk *t, struct slice line)
{
    uint32_t answers = 0;
    struct client_event ev;
    do {
        line = slice_from(line, client_feed(&t->shadow, line, 0, &ev));
        if (ev.kind == CLIENT_EV_READY) /* what the server had offered */
            t->shadow.caps.offers = t->config->offers;
        bool is_about_content = ev.kind == CLIENT_EV_REPLY && ev.phase == CLIENT_PHASE_DONE;
        if (t->is_heard && is_about_content) {
            bool is_about_rcpt = ev.rcpt_idx != CLIENT_NO_RCPT;
            t->is_block |= ev.is_opening || is_about_rcpt;
            answers += is_about_rcpt || !t->is_block;
            t->replies += !ev.is_opening;
        }
        if (ev.kind == CLIENT_EV_DONE || ev.kind == CLIENT_EV_CLOSED)
            t->is_heard = false;
        shadow_speak(t);
    } while (ev.kind != CLIENT_EV_MORE && ev.kind != CLIENT_EV_CLOSED);
    return answers;
}

static void shadow_hear_code(struct live_talk *t, uint16_t code)
{
    const uint8_t line[] = {(uint8_t)('0' + code / 100),
                            (uint8_t)('0' + code / 10 % 10),
                            (uint8_t)('0' + code % 10),
                            ' ',
                            'x',
                            '\r',
                            '\n'};
    (void)shadow_hear(t, slice_of(line, sizeof(line)));
}

/* Up to where the content is out. */
static void shadow_begin(struct live_talk *t)
{
    uint32_t due = t->rcpt_count + ENVELOPE_REPLIES;
    t->is_heard = t->is_block = false;
    if (t->rcpt_count == 0 || t->rcpt_count > t->config->rcpt_count || t->code_count < due)
        return;
    client_init(&t->shadow, &t->config->client, 0);
    shadow_hear_code(t, 220);
    shadow_hear_code(t, 250);
    if (!client_is_ready(&t->shadow))
        return;
    t->message = (struct client_message){.rcpts = t->config->rcpts,
                                         .rcpt_count = t->rcpt_count,
                                         .content = content,
                                         .content_count = ARRAY_COUNT(content)};
    client_begin(&t->shadow, &t->message, t->results, 0);
    shadow_speak(t);
    for (uint32_t i = t->code_count - due; i < t->code_count; i++)
        shadow_hear_code(t, t->codes[i % codes_max(t)]);
    t->is_heard = client_phase(&t->shadow) == CLIENT_PHASE_DONE;
}

uint32_t live_talk_replies_due(const struct live_talk *t)
{
    if (t->is_late)
        return t->is_block ? t->rcpt_count + 1 : 1;
    return t->is_heard ? client_replies_due(&t->shadow) : 0;
}

/* --- to the server ---------------------------------------------------------------------------- */

static void end_content(struct live_talk *t, struct live_talk_event *ev)
{
    struct scan_result result;
    struct slices tail;
    scan_finish(&t->scan, &tail, &result);
    t->is_in_content = false;
    t->answers = t->replies = 0;
    ev->kind = LIVE_TALK_CONTENT;
    ev->has_id =
        identity_from_message_id(slice_of(result.message_id, result.message_id_len), &ev->id);
    t->is_late = t->config->names_late;
    t->is_block = false;
    if (t->is_late)
        t->rcpt_count = 0;
    else
        shadow_begin(t);
}

static void on_command(struct live_talk *t, struct live_talk_event *ev)
{
    const struct slice verb = slice_of(t->verb, t->verb_len);
    if (slice_eq_nocase(verb, SLICE_LIT("MAIL"))) {
        t->rcpt_count = 0;
        t->is_heard = t->is_late = false;
        ev->kind = LIVE_TALK_BEGIN;
    }
    t->rcpt_count += slice_eq_nocase(verb, t->is_late ? SLICE_LIT("DRCP") : SLICE_LIT("RCPT"));
    t->verb_len = 0;
}

size_t live_talk_up(struct live_talk *t, struct slice in, struct live_talk_event *ret_event)
{
    *ret_event = (struct live_talk_event){.kind = LIVE_TALK_MORE};
    size_t used = 0;
    while (t->is_in_content && used < in.len) {
        struct slices parts;
        bool is_end;
        used += scan_feed(&t->scan, slice_from(in, used), &parts, &is_end);
        if (!is_end)
            continue;
        end_content(t, ret_event);
        return used;
    }
    for (; used < in.len; used++) {
        uint8_t octet = in.ptr[used];
        if (octet == '\n') {
            on_command(t, ret_event);
            if (ret_event->kind != LIVE_TALK_MORE)
                return used + 1;
        } else if (t->verb_len < LIVE_TALK_VERB_BYTES) {
            t->verb[t->verb_len++] = octet;
        }
    }
    return used;
}

/* --- to the client ---------------------------------------------------------------------------- */

static void begin_content(struct live_talk *t)
{
    const struct scan_options options = {.mode = SCAN_MODE_DATA};
    scan_begin(&t->scan, &options);
    t->is_in_content = true;
}

/* ADAT: 355 opens the naming, or the content is refused; of the replies that follow the last one is
 * about nobody. */
static uint32_t on_late_reply(struct live_talk *t)
{
    bool opens = !t->is_block && t->reply.code == CODE_NAME_RCPTS;
    bool is_answer = t->is_block ? t->answers < t->rcpt_count : t->answers == 0;
    t->is_block |= opens;
    t->replies += !opens;
    return !opens && is_answer;
}

/* Where the shadow does not listen only codes matter; how many answers there were in it. */
static uint32_t on_reply_line(struct live_talk *t, struct slice line)
{
    uint32_t answers = 0;
    struct reply_line l;
    struct slice bare = slice_first(line, line.len - (line.len >= 2 ? 2 : line.len));
    if (!reply_parse_line(bare, &l)) {
        t->is_lost = true;
        return 0;
    }
    switch (reply_add_line(&t->reply, &l)) {
    case REPLY_MORE:
        return 0;
    case REPLY_BAD:
        t->is_lost = true;
        return 0;
    case REPLY_DONE:
        break;
    }
    if (t->is_late)
        answers = on_late_reply(t);
    t->codes[t->code_count++ % codes_max(t)] = t->reply.code;
    if (t->reply.code == CODE_CONTENT)
        begin_content(t);
    t->reply = (struct reply_state){0};
    return answers;
}

size_t live_talk_down(struct live_talk *t, struct slice in, struct live_talk_event *ret_event)
{
    *ret_event = (struct live_talk_event){.kind = LIVE_TALK_MORE};
    size_t used = 0;
    while (used < in.len && !t->is_lost) {
        struct slice rest = slice_from(in, used);
        size_t len = slice_find(rest, '\n');
        len = size_min(len + 1, rest.len);
        if (len > sizeof(t->line) - t->line_len) {
            t->is_lost = true;
            break;
        }
        memcpy(t->line + t->line_len, rest.ptr, len);
        t->line_len += (uint32_t)len;
        used += len;
        if (t->line[t->line_len - 1] != '\n')
            break;
        struct slice line = slice_of(t->line, t->line_len);
        t->line_len = 0;
        uint32_t answers = 0;
        if (t->is_heard) /* a list may have more lines than a reply */
            answers = shadow_hear(t, line);
        else
            answers = on_reply_line(t, line);
        t->answers += answers;
        if (answers > 0) {
            ret_event->kind = LIVE_TALK_ANSWER;
            return used;
        }
    }
    return t->is_lost ? in.len : used;
}
