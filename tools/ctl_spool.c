/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_spool.c - owns "posternctl spool": verbs, options, which messages are meant, and how trouble
 * with one is told. Reading is store.h's: it takes no lock, so every verb works beside a running
 * server and without one.
 */
#include "ctl_spool.h"
#include "base/err.h"
#include "ctl_spool_call.h"
#include "ctl_text.h"
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char usage_spool[] =
    "usage: posternctl spool VERB --spool DIR [...]\n"
    "\n"
    "  list      one line a message, with filters\n"
    "  show      everything about messages, and the messages themselves\n"
    "  verify    read everything and check every checksum\n"
    "  export    write messages as eml, mbox or Maildir files\n"
    "  delete    remove messages\n"
    "  requeue   make held messages active\n"
    "\n"
    "Every verb works beside a running server and without one. A message is named by\n"
    "its queue id: the one in the server's reply, in its log (qid=) and in the\n"
    "message's Received field.\n"
    "Exit status: 0; 1 when something failed, was not found or is damaged; 2 for\n"
    "wrong usage. \"posternctl spool VERB --help\" tells more.\n";

static const char usage_list[] =
    "usage: posternctl spool list --spool DIR [--json | --ids] [FILTER...]\n"
    "\n"
    "One line a message, in the order of queue ids (of each shard: of arrival):\n"
    "  queue-id time size active=N,held=N <sender> recipient,... message-id\n"
    "Held recipients wait for the operator (quarantine). Those that are delivered or\n"
    "deleted are left out. Odd bytes are shown as \\xHH. ,in_doubt behind held=N: the\n"
    "client may not have read that the message was taken.\n"
    "\n"
    "  --json           one JSON object a line, with everything that \"show\" shows\n"
    "  --ids            queue ids only\n"
    "Filters, all of which must hold (ADDR: in any case, * stands for anything):\n"
    "  --message-id ID  with or without <>\n"
    "  --sender ADDR    <> is the null sender\n"
    "  --rcpt ADDR      some recipient\n"
    "  --class NAME     some recipient has this class\n"
    "  --held           some recipient is held\n"
    "  --since TIME     received then or later\n"
    "  --until TIME     received before; TIME is UTC: 2026-01-31, 2026-01-31T23:59\n"
    "                   or 2026-01-31T23:59:59\n";

static const char usage_show[] =
    "usage: posternctl spool show --spool DIR QID...\n"
    "                             [--header | --content | --json | --raw]\n"
    "\n"
    "Prints the envelope: where the message came from, its parameters, what the scan\n"
    "found, whether the last reply is in doubt, and each recipient with class and\n"
    "state (active; held; gone: delivered or deleted; waiting: not decided when the\n"
    "message was stored, and not taken).\n"
    "\n"
    "  --header    and the header of the message, below its Received field\n"
    "  --content   and the whole message; control characters are shown as \\xHH\n"
    "  --json      one JSON object a line instead; a byte that is no UTF-8 is \\u00HH\n"
    "  --raw       nothing but Return-Path, Received and the message, byte for byte:\n"
    "              for pipes, not for terminals\n";

static const char usage_verify[] =
    "usage: posternctl spool verify --spool DIR\n"
    "\n"
    "Reads every record and the content of every message, and checks all checksums.\n"
    "Prints a line for each damaged place, with the queue id of the message that it\n"
    "belongs to (when that is known) and file:offset, and a summary. Exit status 1\n"
    "when anything is damaged.\n"
    "\n"
    "What a run left unfinished when it crashed, or is just writing, is no damage: no\n"
    "client had been told that it was accepted. It is counted in the summary.\n";

static const char usage_export[] =
    "usage: posternctl spool export --spool DIR --format eml|mbox|maildir --to DIR\n"
    "                               [QID... | --held | --all]\n"
    "\n"
    "Writes each message into a file of its own below --to (made when missing): one\n"
    "Return-Path line, the Received field, and the message as it was received.\n"
    "\n"
    "  eml       QID.eml, lines end in CRLF, byte for byte\n"
    "  mbox      QID.mbox (mboxrd: \">\" before \"From \" lines), lines end in LF; cat\n"
    "            joins them\n"
    "  maildir   new/NAME, a unique NAME with the queue id in it, lines end in LF\n"
    "  --held    messages with a recipient that is held\n"
    "  --all     every message; this is so when nothing is named\n"
    "\n"
    "A file has its name only when it is complete and on stable storage. Existing\n"
    "files are not overwritten: that is an error, named, and the other messages are\n"
    "exported all the same. The spool is left as it is.\n";

static const char usage_delete[] =
    "usage: posternctl spool delete --spool DIR {QID... | --all-held}\n"
    "\n"
    "Removes messages for all their recipients. It is durable when the command ends,\n"
    "and a running server learns of it.\n"
    "\n"
    "  --all-held   messages of which every recipient that is left is held; those\n"
    "               that have an active recipient too are named and kept\n";

static const char usage_requeue[] =
    "usage: posternctl spool requeue --spool DIR {QID... | --all-held}\n"
    "\n"
    "Makes the held recipients of messages active. It is durable when the command\n"
    "ends, and a running server learns of it. A message without a held recipient is\n"
    "an error.\n"
    "\n"
    "  --all-held   every message with a recipient that is held\n";

struct verb {
    const char *name;
    const char *usage;
    int (*run)(struct spool_call *call);
    bool takes_words;
    const char *options; /* names between spaces */
};

static const struct verb verbs[] = {
    {"list", usage_list, spool_list, false,
     " --json --ids --message-id --sender --rcpt --class --held --since --until "},
    {"show", usage_show, spool_show, true, " --json --header --content --raw "},
    {"verify", usage_verify, spool_verify, false, " "},
    {"export", usage_export, spool_export, true, " --format --to --held --all "},
    {"delete", usage_delete, spool_delete, true, " --all-held "},
    {"requeue", usage_requeue, spool_requeue, true, " --all-held "},
};

int spool_usage(const struct spool_call *call, const char *reason)
{
    fprintf(call->ctl->err, "posternctl: spool %s: %s (see --help)\n", call->verb, reason);
    return EXIT_USAGE;
}

/* --- trouble ---------------------------------------------------------------------------------- */

int spool_say(const struct spool_call *call, uint64_t queue_id, const char *reason)
{
    char text[QUEUE_ID_CHARS + 1];
    queue_id_format(queue_id, text);
    return ctl_failed(call->ctl, text, reason);
}

void spool_put_damage(const struct spool_call *call, FILE *out, const struct store_damage *damage)
{
    static const char *const what[] = {
        [STORE_DAMAGE_SEGMENT] = "the header of the segment is not valid, nothing in it is found",
        [STORE_DAMAGE_GAP] = "no records where records must be",
        [STORE_DAMAGE_RECORD] = "a record is damaged",
        [STORE_DAMAGE_CONTENT] = "content is missing or damaged",
        [STORE_DAMAGE_TAIL] = "unfinished, not accepted",
    };
    if (damage->queue_id != 0) {
        char text[QUEUE_ID_CHARS + 1];
        queue_id_format(damage->queue_id, text);
        fprintf(out, "%s: ", text);
    }
    fprintf(out, "%s: ", what[damage->kind]);
    ctl_put_text(out, slice_str(call->dir), CTL_TEXT_LINE);
    fprintf(out, "/%s:%" PRIu64, damage->file, damage->offset);
    if (damage->length > 0)
        fprintf(out, " (%" PRIu64 " bytes)", damage->length);
}

bool spool_is_damaged(const struct spool_call *call, uint64_t queue_id, struct store_damage *damage)
{
    struct store *again;
    struct store_message message;
    char text[512];
    uint32_t idx;
    if (store_open(call->dir, &again, text, sizeof(text)) < 0)
        return true;
    bool is_damaged = false;
    if (store_find(again, queue_id, &idx)) {
        int result = store_load(again, idx, &message, damage);
        if (result == 0) {
            store_message_free(&message);
            result = store_content(again, idx, NULL, NULL, damage);
        }
        is_damaged = result < 0;
    }
    store_close(again);
    return is_damaged;
}

int spool_trouble(const struct spool_call *call, uint64_t queue_id, int result,
                  const struct store_damage *damage)
{
    if (result != -EBADMSG)
        return spool_say(call, queue_id, err_text(result));
    struct store_damage now = *damage;
    if (!spool_is_damaged(call, queue_id, &now))
        return spool_say(call, queue_id, "was deleted meanwhile");
    fputs("posternctl: ", call->ctl->err);
    spool_put_damage(call, call->ctl->err, &now);
    fputc('\n', call->ctl->err);
    return EXIT_FAILED;
}

int spool_load(const struct spool_call *call, uint32_t message_idx,
               struct store_message *ret_message)
{
    struct store_damage damage;
    int result = store_load(call->store, message_idx, ret_message, &damage);
    if (result == 0)
        return EXIT_OK;
    return spool_trouble(call, store_queue_id(call->store, message_idx), result, &damage);
}

int spool_select(const struct spool_call *call, bool **ret_selected)
{
    bool *selected = calloc((size_t)store_count(call->store) + 1, sizeof(*selected));
    int status = EXIT_OK;
    for (uint32_t i = 0; i < call->word_count && selected != NULL; i++) {
        uint64_t queue_id;
        uint32_t idx;
        if (!queue_id_parse(slice_str(call->words[i]), &queue_id))
            status = ctl_failed(call->ctl, call->words[i], "not a queue id");
        else if (!store_find(call->store, queue_id, &idx))
            status = ctl_failed(call->ctl, call->words[i], "no such message");
        else
            selected[idx] = true;
    }
    *ret_selected = selected;
    return selected != NULL ? status : ctl_failed(call->ctl, call->dir, "out of memory");
}

/* --- one call --------------------------------------------------------------------------------- */

static int options_parse(struct spool_call *call, const struct verb *verb, int argc, char **argv)
{
    const struct ctl_option all[] = {
        {"--all", &call->is_all, NULL},
        {"--all-held", &call->is_all_held, NULL},
        {"--class", NULL, &call->class_name},
        {"--content", &call->is_content, NULL},
        {"--format", NULL, &call->format},
        {"--header", &call->is_header, NULL},
        {"--held", &call->is_held, NULL},
        {"--ids", &call->is_ids, NULL},
        {"--json", &call->is_json, NULL},
        {"--message-id", NULL, &call->message_id},
        {"--raw", &call->is_raw, NULL},
        {"--rcpt", NULL, &call->rcpt},
        {"--sender", NULL, &call->sender},
        {"--since", NULL, &call->since},
        {"--to", NULL, &call->to},
        {"--until", NULL, &call->until},
    };
    struct ctl_option own[ARRAY_COUNT(all) + 3] = {
        {"--help", &call->is_help, NULL},
        {"-h", &call->is_help, NULL},
        {"--spool", NULL, &call->dir},
    };
    size_t count = 3;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        char name[24];
        snprintf(name, sizeof(name), " %s ", all[i].name);
        if (strstr(verb->options, name) != NULL)
            own[count++] = all[i];
    }
    char title[24];
    snprintf(title, sizeof(title), "spool %s", verb->name);
    int words = ctl_options_parse(call->ctl, title, own, count, argc, argv);
    call->words = argv;
    call->word_count = words > 0 ? (uint32_t)words : 0;
    return words < 0 ? EXIT_USAGE : EXIT_OK;
}

/* For the wrong directory "no messages" would be the wrong answer. A server that stores nothing
 * (durability none) makes a key and no segments. */
static bool is_spool(const struct spool_call *call)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/key", call->dir);
    return store_stats(call->store)->segments > 0 ||
           (len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0);
}

static int verb_run(struct spool_call *call, const struct verb *verb, int argc, char **argv)
{
    char text[512];
    int status = options_parse(call, verb, argc, argv);
    if (status != EXIT_OK)
        return status;
    if (call->is_help) {
        fputs(verb->usage, call->ctl->out);
        return EXIT_OK;
    }
    if (call->dir == NULL)
        return spool_usage(call, "--spool DIR is missing");
    if (!verb->takes_words && call->word_count > 0)
        return spool_usage(call, "takes no queue ids");
    if (store_open(call->dir, &call->store, text, sizeof(text)) < 0) {
        fputs("posternctl: ", call->ctl->err);
        ctl_put_text(call->ctl->err, slice_str(text), CTL_TEXT_LINE);
        fputc('\n', call->ctl->err);
        return EXIT_FAILED;
    }
    status = is_spool(call)
                 ? verb->run(call)
                 : ctl_failed(call->ctl, call->dir, "is no spool (it has no segments and no key)");
    store_close(call->store);
    return status;
}

int ctl_spool_run(int argc, char **argv, FILE *out, FILE *err, wall_us now)
{
    const struct ctl ctl = {out, err};
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        struct spool_call call = {.ctl = &ctl, .verb = name, .now = now};
        return ctl_finish(&ctl, verb_run(&call, &verbs[i], argc - 2, argv + 2));
    }
    bool is_help =
        strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0;
    if (name[0] != '\0' && !is_help)
        ctl_failed(&ctl, name, "is not a verb of \"posternctl spool\"");
    fputs(usage_spool, is_help ? out : err);
    return is_help ? ctl_finish(&ctl, EXIT_OK) : EXIT_USAGE;
}

int ctl_spool_main(int argc, char **argv)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return ctl_spool_run(argc, argv, stdout, stderr,
                         (wall_us)now.tv_sec * 1000000 + (wall_us)now.tv_nsec / 1000);
}
