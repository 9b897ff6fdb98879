/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_envelope.c - owns how a stored envelope is printed. Field names are those of the log. */
#include "ctl_envelope.h"
#include "ctl_text.h"
#include "smtp/session.h"
#include <inttypes.h>

/* Parameters as text: names and numbers, and ENVID or ORCPT, which are bounded. */
#define PARAM_TEXT_BYTES (2 * (ENVID_BYTES_MAX + ORCPT_BYTES_MAX) + 256)

static const char *state_name(const struct store_message *m, uint32_t rcpt_idx)
{
    if (m->envelope.rcpts[rcpt_idx].state == SPOOL_RCPT_WAITING)
        return "waiting";
    if (m->is_gone[rcpt_idx])
        return "gone";
    return m->envelope.rcpts[rcpt_idx].state == SPOOL_RCPT_HELD ? "held" : "active";
}

static void put_text_field(FILE *out, const char *name, struct slice value)
{
    fprintf(out, "%s: ", name);
    ctl_put_text(out, value, CTL_TEXT_LINE);
    fputs(value.len > 0 ? "\n" : "-\n", out);
}

/* The flags between @between; one that this program has no name for as a number. */
static void put_flags(FILE *out, uint32_t flags, const char *between, const char *quote)
{
    const char *before = "";
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        if ((flags & bit) == 0)
            continue;
        fprintf(out, "%s%s", before, quote);
        if (bit <= SCAN_FLAG_UNENDED)
            fputs(scan_flag_name((enum scan_flag)bit), out);
        else
            fprintf(out, "0x%x", bit);
        fputs(quote, out);
        before = between;
    }
}

static void put_score(FILE *out, int32_t score)
{
    uint64_t size = score < 0 ? -(uint64_t)score : (uint64_t)score;
    fprintf(out, "%s%" PRIu64 ".%02u", score < 0 ? "-" : "", size / 100, (unsigned)(size % 100));
}

static void put_params(FILE *out, const struct buf *b)
{
    ctl_put_text(out, buf_slice(b), CTL_TEXT_LINE); /* each begins with a space */
    if (b->is_full)
        fputs(" ...", out);
}

static void put_text_rcpt(FILE *out, const struct store_message *m, uint32_t i)
{
    const struct spool_rcpt *r = &m->envelope.rcpts[i];
    uint8_t memory[PARAM_TEXT_BYTES];
    struct buf b = buf_over(memory, sizeof(memory));
    param_put_rcpt(&b, &r->params, SESSION_OFFER_ALL);
    fputs("rcpt: <", out);
    ctl_put_text(out, r->address, CTL_TEXT_LINE);
    fprintf(out, "> %s class=", state_name(m, i));
    ctl_put_text(out, r->class_name, CTL_TEXT_WORD);
    fputs(r->class_name.len > 0 ? "" : "-", out);
    put_params(out, &b);
    fputc('\n', out);
}

void envelope_put_text(FILE *out, const char *dir, const struct store_message *m)
{
    const struct spool_envelope *e = &m->envelope;
    uint8_t memory[PARAM_TEXT_BYTES];
    struct buf b = buf_over(memory, sizeof(memory));
    char text[QUEUE_ID_CHARS + 1];
    queue_id_format(m->queue_id, text);
    fprintf(out, "qid: %s\ntime: ", text);
    ctl_put_time(out, e->received_at, true);
    fputc('\n', out);
    put_text_field(out, "client", e->client);
    put_text_field(out, "helo", e->helo);
    put_text_field(out, "listener", e->listener);
    put_text_field(out, "protocol", e->protocol);
    fputs("from: <", out);
    ctl_put_text(out, e->reverse_path, CTL_TEXT_LINE);
    fputc('>', out);
    param_put_mail(&b, &e->mail, SESSION_OFFER_ALL);
    put_params(out, &b);
    fputc('\n', out);
    put_text_field(out, "message_id", e->message_id);
    fprintf(out, "size: %" PRIu64 "\nflags: ", e->content_bytes);
    put_flags(out, e->flags, ",", "");
    fputs(e->flags != 0 ? "\nscore: " : "-\nscore: ", out);
    put_score(out, e->score);
    fprintf(out, "\nhash: %016" PRIx64 "%016" PRIx64 "\ntrace: ", e->hash[0], e->hash[1]);
    ctl_put_field(out, e->trace);
    fputs("\nstored: ", out);
    ctl_put_text(out, slice_str(dir), CTL_TEXT_LINE);
    fprintf(out, "/%s:%" PRIu64 "\nrcpts: %u (%u active, %u held)\n", m->file, m->offset,
            e->rcpt_count, m->active_count, m->held_count);
    fprintf(out, "reply: %s\n", m->is_doubtful ? "in_doubt" : "-");
    for (uint32_t i = 0; i < e->rcpt_count; i++)
        put_text_rcpt(out, m, i);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_json_field(FILE *out, const char *name, struct slice value)
{
    fprintf(out, "\"%s\":", name);
    ctl_put_json(out, value);
    fputc(',', out);
}

static void put_json_mail(FILE *out, const struct mail_params *p)
{
    static const char *const bodies[] = {"7BIT", "8BITMIME", "BINARYMIME"};
    static const char *const rets[] = {"null", "\"FULL\"", "\"HDRS\""};
    fputs("\"params\":{\"size\":", out);
    if (p->has_size)
        fprintf(out, "%" PRIu64, p->size);
    else
        fputs("null", out);
    fprintf(out, ",\"body\":\"%s\",\"smtputf8\":%s,\"ret\":%s,\"dialect\":", bodies[p->body],
            p->smtputf8 ? "true" : "false", rets[p->ret]);
    if (p->dialects != 0)
        fprintf(out, "\"%s\"", dialect_asked_name(p->dialects));
    else
        fputs("null", out);
    fputs(",\"envid\":", out);
    if (p->envid.len > 0)
        ctl_put_json(out, p->envid);
    else
        fputs("null", out);
    fputs("},", out);
}

static void put_json_rcpt(FILE *out, const struct store_message *m, uint32_t i)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const struct spool_rcpt *r = &m->envelope.rcpts[i];
    fputc('{', out);
    put_json_field(out, "address", r->address);
    fprintf(out, "\"state\":\"%s\",", state_name(m, i));
    put_json_field(out, "class", r->class_name);
    fputs("\"notify\":[", out);
    const char *before = "";
    for (unsigned bit = 0; bit < ARRAY_COUNT(names); bit++) {
        if ((r->params.notify & (1u << bit)) == 0)
            continue;
        fprintf(out, "%s\"%s\"", before, names[bit]);
        before = ",";
    }
    fputs("],\"orcpt\":", out);
    if (r->params.orcpt.len > 0)
        ctl_put_json(out, r->params.orcpt);
    else
        fputs("null", out);
    fputc('}', out);
}

void envelope_put_json(FILE *out, const struct store_message *m)
{
    const struct spool_envelope *e = &m->envelope;
    char text[QUEUE_ID_CHARS + 1];
    queue_id_format(m->queue_id, text);
    fprintf(out, "{\"qid\":\"%s\",\"time\":\"", text);
    ctl_put_time(out, e->received_at, true);
    fputs("\",", out);
    put_json_field(out, "client", e->client);
    put_json_field(out, "helo", e->helo);
    put_json_field(out, "listener", e->listener);
    put_json_field(out, "protocol", e->protocol);
    put_json_field(out, "from", e->reverse_path);
    put_json_mail(out, &e->mail);
    put_json_field(out, "message_id", e->message_id);
    fprintf(out, "\"size\":%" PRIu64 ",\"flags\":[", e->content_bytes);
    put_flags(out, e->flags, ",", "\"");
    fputs("],\"score\":", out);
    put_score(out, e->score);
    fprintf(out, ",\"hash\":\"%016" PRIx64 "%016" PRIx64 "\",", e->hash[0], e->hash[1]);
    put_json_field(out, "trace", e->trace);
    fprintf(out, "\"file\":\"%s\",\"offset\":%" PRIu64 ",\"active\":%u,\"held\":%u,", m->file,
            m->offset, m->active_count, m->held_count);
    fprintf(out, "\"in_doubt\":%s,\"rcpts\":[", m->is_doubtful ? "true" : "false");
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_json_rcpt(out, m, i);
    }
    fputs("]}\n", out);
}
