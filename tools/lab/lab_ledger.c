/* SPDX-License-Identifier: Apache-2.0 */
/* lab_ledger.c - owns "postern-lab ledger": its options, its order of work, its exit status. */
#include "base/assert.h"
#include "base/err.h"
#include "cli/cli.h"
#include "lab/input.h"
#include "lab/lab.h"
#include "lab/ledger_print.h"
#include <stdlib.h>
#include <unistd.h>

struct call {
    FILE *out, *err;
    const char **attempts, **arrived;
    int attempts_count, arrived_count;
    const char **list; /* where the next plain word belongs; NULL: nowhere */
    int *list_count;
    const char *rcpt_from, *json;
    enum ledger_copy_per copy_per;
    unsigned lists;
};

static struct call *of(const struct cli *c)
{
    return c->options;
}

static const struct {
    const char *name;
    enum corpus_kind mail; /* CORPUS_ANY: not one of them */
} kinds[] = {
    {"sink:", CORPUS_ANY},  {"spool:", CORPUS_ANY},     {"maildir:", CORPUS_MAILDIR},
    {"mbox:", CORPUS_MBOX}, {"folder:", CORPUS_FOLDER},
};

/* Index in kinds, or -1; *ret_path is what follows. */
static int kind_of(const char *text, const char **ret_path)
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

static bool add_word(struct cli *c, const char *word)
{
    struct call *call = of(c);
    if (call->list == NULL)
        return cli_wrong(c, "%s belongs to no option", word);
    call->list[(*call->list_count)++] = word;
    return true;
}

static bool begin_list(struct cli *c, const char *value, const char **list, int *count)
{
    of(c)->list = list;
    of(c)->list_count = count;
    if (strncmp(value, "--", 2) == 0)
        return cli_wrong(c, "--%s needs a value: %s", c->row->name, c->row->arg);
    return add_word(c, value);
}

static bool set_attempts(struct cli *c, const char *value)
{
    return begin_list(c, value, of(c)->attempts, &of(c)->attempts_count);
}

static bool set_arrived(struct cli *c, const char *value)
{
    return begin_list(c, value, of(c)->arrived, &of(c)->arrived_count);
}

static bool set_copy_per(struct cli *c, const char *value)
{
    static const char *const names[] = {"auto", "recipient", "message"};
    uint32_t idx;
    if (!cli_one_of(c, value, names, ARRAY_COUNT(names), "recipient, message or auto", &idx))
        return false;
    of(c)->copy_per = (enum ledger_copy_per)idx;
    return true;
}

static bool set_list(struct cli *c, const char *value)
{
    static const char *const names[] = {"lost", "duplicated", "ghost"};
    uint32_t idx;
    if (!cli_one_of(c, value, names, ARRAY_COUNT(names), "lost, duplicated or ghost", &idx))
        return false;
    of(c)->lists |= 1u << idx;
    return true;
}

static const struct cli_row rows[] = {
    {"attempts", "FILE...", NULL, "logs, of one run or of several", set_attempts, 0},
    {"arrived", "KIND:PATH...", NULL,
     "where it went; several are one store together:\n"
     "sink:FILE  arrivals of postern-sink\n"
     "spool:DIR  of posternd: active and held recipients\n"
     "maildir:DIR  mbox:PATH  folder:DIR",
     set_arrived, 0},
    {"rcpt-from", "HEADER", NULL,
     "the field that names the recipients of a message\n"
     "(default: X-Original-To or Delivered-To, if it fits)",
     CLI_TEXT(struct call, rcpt_from)},
    {"copy-per", "WHAT", NULL,
     "of copies that name no recipient: recipient (each has\n"
     "its own), message (one is for all), auto (default)",
     set_copy_per, 0},
    {"list", "WHAT", NULL, "print each lost, duplicated or ghost; repeatable", set_list, 0},
    {"json", "FILE", NULL, "write everything to FILE; \"-\": print it, and no table",
     CLI_TEXT(struct call, json)},
};

static void print_help(FILE *out)
{
    fputs("usage: postern-lab ledger --attempts FILE... --arrived KIND:PATH... [OPTION...]\n"
          "\n"
          "Joins what clients learned (attempts logs of postern-load) with what arrived.\n"
          "\n",
          out);
    cli_print_rows(out, rows, ARRAY_COUNT(rows), 23);
    fputs("\n"
          "Exit status: 0 nothing is lost and nothing refused is there; 1 something is;\n"
          "2 wrong usage; 3 an input cannot be read, or is damaged and nothing is lost.\n",
          out);
}

/* Plain words are more of what --attempts and --arrived began. */
static bool take(struct cli *c, const char *value)
{
    if (c->row == NULL)
        return add_word(c, value);
    of(c)->list = NULL;
    return c->row->set(c, value);
}

static bool check(struct cli *c)
{
    const struct call *call = of(c);
    const char *path;
    if (call->attempts_count == 0 || call->arrived_count == 0)
        return cli_wrong(c, "--attempts and --arrived are needed");
    for (int i = 0; i < call->arrived_count; i++)
        if (kind_of(call->arrived[i], &path) < 0)
            return cli_wrong(c, "%s is not sink:, spool:, maildir:, mbox: or folder: PATH",
                             call->arrived[i]);
    return true;
}

static int read_arrived(struct input *in, const char *text)
{
    const char *path = NULL;
    int kind = kind_of(text, &path);
    ASSERT(kind >= 0); /* check() looked */
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
    char why[LAB_WHY_BYTES_MAX];
    struct call call = {.out = out, .err = err};
    struct cli c = {.options = &call, .text = why, .text_cap = sizeof(why)};
    if (cli_asked(argc, argv) == CLI_HELP) {
        print_help(out);
        return LAB_OK;
    }
    call.attempts = calloc((size_t)argc * 2, sizeof(*call.attempts));
    if (call.attempts == NULL)
        return LAB_UNREADABLE;
    call.arrived = call.attempts + argc;
    bool is_good = cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, take) && check(&c);
    int status = is_good ? join(&call) : lab_wrong_usage(err, "ledger", why);
    free(call.attempts);
    return status;
}
