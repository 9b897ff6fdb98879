/* SPDX-License-Identifier: Apache-2.0 */
/* lab_ledger.c - owns "postern-lab ledger": its options, its order of work, its exit status. */
#include "base/assert.h"
#include "base/err.h"
#include "lab/input.h"
#include "lab/lab.h"
#include "lab/ledger_print.h"
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: postern-lab ledger --attempts FILE... --arrived KIND:PATH... [OPTION...]\n"
    "\n"
    "Joins what clients learned (attempts logs of postern-load) with what arrived.\n"
    "\n"
    "  --attempts FILE...      logs, of one run or of several\n"
    "  --arrived KIND:PATH...  where it went; several are one store together:\n"
    "      sink:FILE           arrivals of postern-sink\n"
    "      spool:DIR           a spool of posternd: active and held recipients\n"
    "      maildir:DIR  mbox:PATH  folder:DIR\n"
    "  --rcpt-from HEADER      the field that names the recipients of a message\n"
    "                          (default: X-Original-To or Delivered-To, if it fits)\n"
    "  --copy-per WHAT         of copies that name no recipient: recipient (each has\n"
    "                          its own), message (one is for all), auto (default)\n"
    "  --list WHAT             print each lost, duplicated or ghost; repeatable\n"
    "  --json FILE             write everything to FILE; \"-\": print it, and no table\n"
    "\n"
    "Exit status: 0 nothing is lost and nothing refused is there; 1 something is;\n"
    "2 wrong usage; 3 an input cannot be read, or is damaged and nothing is lost.\n";

struct call {
    FILE *out, *err;
    char **attempts, **arrived; /* into argv */
    int attempts_count, arrived_count;
    const char *rcpt_from, *json;
    enum ledger_copy_per copy_per;
    unsigned lists;
};

static int wrong(const struct call *c, const char *what, const char *why)
{
    fprintf(c->err, "postern-lab: ledger: %s %s\n", what, why);
    return LAB_USAGE;
}

static const struct {
    const char *name;
    enum corpus_kind mail; /* CORPUS_ANY: not one of them */
} kinds[] = {
    {"sink:", CORPUS_ANY},  {"spool:", CORPUS_ANY},     {"maildir:", CORPUS_MAILDIR},
    {"mbox:", CORPUS_MBOX}, {"folder:", CORPUS_FOLDER},
};

/* Index in kinds, or -1; *ret_path is what follows. */
static int kind_of(char *text, const char **ret_path)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        size_t len = strlen(kinds[i].name);
        if (strncmp(text, kinds[i].name, len) == 0 && text[len] != '\0') {
            *ret_path = text + len;
            return (int)i;
        }
    }
    return -1;
}

static int list_parse(struct call *c, const char *word)
{
    static const char *const names[] = {"lost", "duplicated", "ghost"};
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(word, names[i]) == 0) {
            c->lists |= 1u << i;
            return 0;
        }
    }
    return wrong(c, word, "is no list: lost, duplicated or ghost");
}

static int copy_per_parse(struct call *c, const char *word)
{
    static const char *const names[] = {"auto", "recipient", "message"};
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(word, names[i]) == 0) {
            c->copy_per = (enum ledger_copy_per)i;
            return 0;
        }
    }
    return wrong(c, word, "is nothing to count copies by: auto, recipient or message");
}

/* One option that takes one value. */
static int option_parse(struct call *c, const char *name, const char *value)
{
    if (strcmp(name, "--rcpt-from") == 0)
        c->rcpt_from = value;
    else if (strcmp(name, "--json") == 0)
        c->json = value;
    else if (strcmp(name, "--list") == 0)
        return list_parse(c, value);
    else if (strcmp(name, "--copy-per") == 0)
        return copy_per_parse(c, value);
    else
        return wrong(c, name, "is not understood");
    return 0;
}

/* Words up to the next option, moved behind those that are in @list already. */
static int words_take(char **list, int *count, int argc, char **argv, int at)
{
    int taken = 0;
    while (at + taken < argc && strncmp(argv[at + taken], "--", 2) != 0)
        list[(*count)++] = argv[at + taken++];
    return taken;
}

static int call_parse(struct call *c, int argc, char **argv)
{
    const char *path;
    int at = 1;
    while (at < argc) {
        const char *name = argv[at++];
        int taken = 1, status = 0;
        if (strcmp(name, "--attempts") == 0)
            taken = words_take(c->attempts, &c->attempts_count, argc, argv, at);
        else if (strcmp(name, "--arrived") == 0)
            taken = words_take(c->arrived, &c->arrived_count, argc, argv, at);
        else if (at < argc || strncmp(name, "--", 2) != 0)
            status = option_parse(c, name, at < argc ? argv[at] : "");
        else
            taken = 0;
        if (status != 0)
            return status;
        if (taken == 0)
            return wrong(c, name, "needs a value, or is not understood");
        at += taken;
    }
    if (c->attempts_count == 0 || c->arrived_count == 0)
        return wrong(c, "--attempts and --arrived", "are needed");
    for (int i = 0; i < c->arrived_count; i++)
        if (kind_of(c->arrived[i], &path) < 0)
            return wrong(c, c->arrived[i], "is not sink:, spool:, maildir:, mbox: or folder: PATH");
    return 0;
}

static int read_arrived(struct input *in, char *text)
{
    const char *path = NULL;
    int kind = kind_of(text, &path);
    ASSERT(kind >= 0); /* call_parse() looked */
    if (kinds[kind].mail != CORPUS_ANY)
        return arrivals_read_mail(in, path, kinds[kind].mail);
    return kind == 0 ? arrivals_read_sink(in, path) : arrivals_read_spool(in, path);
}

/* A full disk leaves the old file, if there was one, and no half of the new one. */
static int write_json(const struct call *c, const struct ledger *l, const struct ledger_result *r,
                      uint64_t damaged)
{
    char beside[4096];
    if (strcmp(c->json, "-") == 0) {
        ledger_print_json(l, r, damaged, c->lists, c->out);
        return 0;
    }
    int len = snprintf(beside, sizeof(beside), "%s.new", c->json);
    if (len < 0 || (size_t)len >= sizeof(beside))
        return -ENAMETOOLONG;
    FILE *f = fopen(beside, "we");
    if (f == NULL)
        return -errno;
    ledger_print_json(l, r, damaged, c->lists, f);
    int result = ferror(f) ? -EIO : 0;
    if (fclose(f) != 0)
        result = -errno;
    if (result == 0 && rename(beside, c->json) < 0)
        result = -errno;
    if (result < 0)
        unlink(beside);
    return result;
}

static int report(const struct call *c, struct input *in)
{
    struct ledger_result r;
    ledger_join(in->ledger, &r);
    if (c->json == NULL || strcmp(c->json, "-") != 0) {
        ledger_print_table(&r, in->damaged, c->out);
        if (c->lists != 0)
            fputc('\n', c->out);
        ledger_print_lists(in->ledger, c->lists, c->out);
    }
    if (c->json != NULL) {
        int result = write_json(c, in->ledger, &r, in->damaged);
        if (result < 0) {
            input_failed(in, c->json, result);
            in->damaged++;
        }
    }
    if (r.lost > 0 || r.ghosts[LEDGER_GHOST_REFUSED] > 0)
        return LAB_WRONG;
    return in->damaged > 0 ? LAB_UNREADABLE : LAB_OK;
}

static int join(const struct call *c)
{
    struct input in = {.err = c->err, .rcpt_field = c->rcpt_from};
    int result = ledger_new(c->copy_per, &in.ledger);
    if (result < 0) {
        input_failed(&in, "memory", result);
        return LAB_UNREADABLE;
    }
    for (int i = 0; i < c->attempts_count && result == 0; i++)
        result = attempts_read(&in, c->attempts[i]);
    for (int i = 0; i < c->arrived_count && result == 0; i++)
        result = read_arrived(&in, c->arrived[i]);
    int status = result < 0 ? LAB_UNREADABLE : report(c, &in);
    ledger_free(in.ledger);
    return status;
}

int lab_ledger(int argc, char **argv, FILE *out, FILE *err)
{
    struct call c = {.out = out, .err = err};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, out);
            return LAB_OK;
        }
    }
    c.attempts = calloc((size_t)argc * 2, sizeof(*c.attempts));
    if (c.attempts == NULL)
        return LAB_UNREADABLE;
    c.arrived = c.attempts + argc;
    int status = call_parse(&c, argc, argv);
    if (status == 0)
        status = join(&c);
    else
        fputs("\"postern-lab ledger --help\" tells more\n", err);
    free(c.attempts);
    return status;
}
