/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_show.c - owns "posternctl spool show": the envelope, and the message on demand. */
#include "ctl_envelope.h"
#include "ctl_format.h"
#include "ctl_spool_call.h"
#include "ctl_text.h"

#define STOPPED 1 /* the sink has what it wants */

struct showing {
    const struct spool_call *call;
    struct ctl_content content;
    struct ctl_format raw;
    bool is_line_start; /* for --header: only a CR since the last line end */
};

static int raw_sink(void *arg, struct slice bytes)
{
    struct showing *s = arg;
    ctl_format_put(&s->raw, bytes);
    return ferror(s->call->ctl->out) ? STOPPED : 0;
}

static int content_sink(void *arg, struct slice bytes)
{
    struct showing *s = arg;
    ctl_content_put(&s->content, bytes);
    return ferror(s->call->ctl->out) ? STOPPED : 0;
}

/* Up to the empty line that ends the header. */
static int header_sink(void *arg, struct slice bytes)
{
    struct showing *s = arg;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n' && s->is_line_start) {
            size_t end = i > 0 && bytes.ptr[i - 1] == '\r' ? i - 1 : i;
            ctl_content_put(&s->content, slice_first(bytes, end));
            s->content.carry_len = 0; /* at most the CR of the empty line */
            return STOPPED;
        }
        if (bytes.ptr[i] != '\r')
            s->is_line_start = bytes.ptr[i] == '\n';
    }
    return content_sink(arg, bytes);
}

static int content_show(struct showing *s, uint32_t message_idx, const struct store_message *m)
{
    const struct spool_call *call = s->call;
    FILE *out = call->ctl->out;
    struct store_damage damage;
    store_sink sink = call->is_raw ? raw_sink : call->is_header ? header_sink : content_sink;
    if (call->is_raw) {
        ctl_format_begin(&s->raw, out, CTL_FORMAT_EML, &m->envelope);
    } else {
        s->content = (struct ctl_content){.out = out};
        s->is_line_start = true;
        fputc('\n', out);
        ctl_content_put(&s->content, m->envelope.trace);
    }
    int result = store_content(call->store, message_idx, sink, s, &damage);
    if (call->is_raw)
        ctl_format_end(&s->raw);
    else
        ctl_content_end(&s->content);
    if (result >= 0)
        return EXIT_OK; /* ctl_finish() tells what happened to the output */
    fflush(out);
    return spool_trouble(call, m->queue_id, result, &damage);
}

static int show_one(const struct spool_call *call, const char *word, bool is_first)
{
    uint64_t queue_id;
    uint32_t idx;
    struct store_message m;
    struct showing s = {.call = call};
    if (!queue_id_parse(slice_str(word), &queue_id))
        return ctl_failed(call->ctl, word, "not a queue id");
    if (!store_find(call->store, queue_id, &idx))
        return ctl_failed(call->ctl, word, "no such message");
    int status = spool_load(call, idx, &m);
    if (status != EXIT_OK)
        return status;
    if (call->is_json) {
        envelope_put_json(call->ctl->out, &m);
    } else if (!call->is_raw) {
        fputs(is_first ? "" : "\n", call->ctl->out);
        envelope_put_text(call->ctl->out, call->dir, &m);
    }
    if (call->is_header || call->is_content || call->is_raw)
        status = content_show(&s, idx, &m);
    store_message_free(&m);
    return status;
}

int spool_show(struct spool_call *call)
{
    int status = EXIT_OK;
    if (call->is_header + call->is_content + call->is_json + call->is_raw > 1)
        return spool_usage(call, "--header, --content, --json and --raw exclude each other");
    if (call->word_count == 0)
        return spool_usage(call, "a queue id is missing");
    if (call->is_raw && call->word_count > 1)
        return spool_usage(call, "--raw is for one message");
    for (uint32_t i = 0; i < call->word_count; i++)
        status |= show_one(call, call->words[i], i == 0);
    return status;
}
