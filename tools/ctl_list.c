/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_list.c - owns "posternctl spool list": which messages match, and a line for each. */
#include "ctl_envelope.h"
#include "ctl_spool_call.h"
#include "ctl_text.h"
#include <inttypes.h>

struct filter {
    wall_us since;
    wall_us until;
    struct slice message_id; /* without angle brackets */
    struct slice sender;
};

static struct slice bare(struct slice text)
{
    if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>')
        return slice_of(text.ptr + 1, text.len - 2);
    return text;
}

static int filter_init(struct filter *f, const struct spool_call *call)
{
    *f = (struct filter){.until = UINT64_MAX};
    if (call->since != NULL && !ctl_time_parse(call->since, &f->since))
        return spool_usage(call, "--since is no time");
    if (call->until != NULL && !ctl_time_parse(call->until, &f->until))
        return spool_usage(call, "--until is no time");
    if (call->message_id != NULL)
        f->message_id = bare(slice_str(call->message_id));
    if (call->sender != NULL)
        f->sender = bare(slice_str(call->sender));
    return EXIT_OK;
}

static bool some_rcpt(const struct store_message *m, const char *address, const char *class_name)
{
    for (uint32_t i = 0; i < m->envelope.rcpt_count; i++) {
        const struct spool_rcpt *r = &m->envelope.rcpts[i];
        if (m->is_gone[i])
            continue;
        if (address != NULL && !ctl_wildcard_match(bare(slice_str(address)), r->address))
            continue;
        if (class_name == NULL || slice_eq(slice_str(class_name), r->class_name))
            return true;
    }
    return false;
}

static bool matches(const struct spool_call *call, const struct filter *f,
                    const struct store_message *m)
{
    const struct spool_envelope *e = &m->envelope;
    if (e->received_at < f->since || e->received_at >= f->until)
        return false;
    if (call->message_id != NULL && !slice_eq(bare(e->message_id), f->message_id))
        return false;
    if (call->sender != NULL && !ctl_wildcard_match(f->sender, e->reverse_path))
        return false;
    if (call->is_held && m->held_count == 0)
        return false;
    if (call->rcpt != NULL && !some_rcpt(m, call->rcpt, NULL))
        return false;
    return call->class_name == NULL || some_rcpt(m, NULL, call->class_name);
}

static void put_line(FILE *out, const struct store_message *m)
{
    const struct spool_envelope *e = &m->envelope;
    char text[QUEUE_ID_CHARS + 1];
    queue_id_format(m->queue_id, text);
    fprintf(out, "%s ", text);
    ctl_put_time(out, e->received_at, false);
    fprintf(out, " %9" PRIu64 " active=%u,held=%u%s <", e->content_bytes, m->active_count,
            m->held_count, m->is_doubtful ? ",in_doubt" : "");
    ctl_put_text(out, e->reverse_path, CTL_TEXT_WORD);
    fputs("> ", out);
    bool is_first = true;
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        if (m->is_gone[i])
            continue;
        fputs(is_first ? "" : ",", out);
        ctl_put_text(out, e->rcpts[i].address, CTL_TEXT_WORD);
        is_first = false;
    }
    fputs(e->message_id.len > 0 ? " " : " -", out);
    ctl_put_text(out, e->message_id, CTL_TEXT_WORD);
    fputc('\n', out);
}

static void put_message(const struct spool_call *call, const struct store_message *m)
{
    char text[QUEUE_ID_CHARS + 1];
    if (call->is_json) {
        envelope_put_json(call->ctl->out, m);
    } else if (call->is_ids) {
        queue_id_format(m->queue_id, text);
        fprintf(call->ctl->out, "%s\n", text);
    } else {
        put_line(call->ctl->out, m);
    }
}

int spool_list(struct spool_call *call)
{
    struct filter filter;
    if (call->is_json && call->is_ids)
        return spool_usage(call, "--json and --ids exclude each other");
    int status = filter_init(&filter, call);
    if (status != EXIT_OK)
        return status;
    for (uint32_t i = 0; i < store_count(call->store) && !ferror(call->ctl->out); i++) {
        struct store_message m;
        if (spool_load(call, i, &m) != EXIT_OK) {
            status = EXIT_FAILED;
            continue;
        }
        if (matches(call, &filter, &m))
            put_message(call, &m);
        store_message_free(&m);
    }
    if (store_stats(call->store)->damaged_records > 0) /* what is here has been listed */
        ctl_failed(call->ctl, call->dir, "is damaged; \"posternctl spool verify\" tells where");
    return status;
}
