/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - owns the command line of the sink: one row an option. The simple cases are rules of
 * the script, written for the user, behind those of his own.
 */
#include "options.h"
#include "base/err.h"
#include "cli/cli.h"
#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS_MAX 1000000
#define TIME_NS_MAX (86400 * NS_PER_S)
#define SLOWDOWN_MAX 1000
#define LATE_RULES_MAX 16
#define LATE_RULE_BYTES_MAX 128

struct parse {
    struct shared *sh;
    char late_rules[LATE_RULES_MAX][LATE_RULE_BYTES_MAX]; /* of the simple options */
    uint32_t late_count;
};

static struct parse *of(const struct cli *c)
{
    return c->options;
}

static struct sink_options *options_of(const struct cli *c)
{
    return &of(c)->sh->options;
}

/* --- where to listen ------------------------------------------------------------------------- */

static bool parse_unix(struct sink_listen *l, const char *path)
{
    if (path[0] == '\0' || strlen(path) >= sizeof(l->addr.local.sun_path))
        return false;
    l->addr.local.sun_family = AF_UNIX;
    memcpy(l->addr.local.sun_path, path, strlen(path) + 1);
    l->addr_bytes = sizeof(l->addr.local);
    return true;
}

/* "ADDR:PORT" or "[ADDR]:PORT" */
static bool parse_tcp(struct sink_listen *l, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    uint64_t port;
    bool is_v6 = text[0] == '[';
    const char *colon = is_v6 ? strstr(text, "]:") : strrchr(text, ':');
    if (colon == NULL)
        return false;
    size_t len = (size_t)(colon - text) - is_v6;
    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, text + is_v6, len);
    host[len] = '\0';
    if (!dist_number_parse(slice_str(colon + 1 + is_v6), DIST_NUMBER, &port) || port > UINT16_MAX)
        return false;
    if (is_v6) {
        l->addr.v6.sin6_family = AF_INET6;
        l->addr.v6.sin6_port = htons((uint16_t)port);
        l->addr_bytes = sizeof(l->addr.v6);
        return inet_pton(AF_INET6, host, &l->addr.v6.sin6_addr) == 1;
    }
    l->addr.v4.sin_family = AF_INET;
    l->addr.v4.sin_port = htons((uint16_t)port);
    l->addr_bytes = sizeof(l->addr.v4);
    return inet_pton(AF_INET, host, &l->addr.v4.sin_addr) == 1;
}

static bool set_listen(struct cli *c, const char *text)
{
    struct sink_options *o = options_of(c);
    struct sink_listen l = {.is_lmtp = strncmp(text, "lmtp", 4) == 0};
    bool is_good = strlen(text) < sizeof(l.url) && (l.is_lmtp || strncmp(text, "smtp", 4) == 0);
    if (is_good && strncmp(text + 4, "+unix:", 6) == 0)
        is_good = parse_unix(&l, text + 10);
    else if (is_good && strncmp(text + 4, "://", 3) == 0)
        is_good = parse_tcp(&l, text + 7);
    else
        is_good = false;
    if (!is_good)
        return cli_expected(c, text,
                            "smtp://ADDR:PORT, lmtp://ADDR:PORT, smtp+unix:PATH or lmtp+unix:PATH");
    if (o->listen_count == SINK_LISTEN_MAX)
        return cli_expected(c, text, "at most 64 of them");
    memcpy(l.url, text, strlen(text) + 1);
    o->listens[o->listen_count++] = l;
    return true;
}

/* --- what to offer --------------------------------------------------------------------------- */

static bool read_offers(struct cli *c, const char *text, uint32_t *ret_offers)
{
    static const struct {
        const char *name;
        uint32_t offer;
    } rows[] = {
        {"PIPELINING", SESSION_OFFER_PIPELINING},
        {"8BITMIME", SESSION_OFFER_8BITMIME},
        {"CHUNKING", SESSION_OFFER_CHUNKING},
        {"BINARYMIME", SESSION_OFFER_BINARYMIME},
        {"ENHANCEDSTATUSCODES", SESSION_OFFER_ENHANCED},
        {"DSN", SESSION_OFFER_DSN},
        {"SMTPUTF8", SESSION_OFFER_SMTPUTF8},
        {"SIZE", SESSION_OFFER_SIZE},
        {"LIMITS", SESSION_OFFER_LIMITS},
        {"PRDR", SESSION_OFFER_PRDR},
        {"DEFERRALS", SESSION_OFFER_DEFERRALS},
        {"INLINE-DSN", SESSION_OFFER_INLINE_DSN},
        {"EXDATA", SESSION_OFFER_EXDATA},
        {"XRCPT250", SESSION_OFFER_XRCPT250},
        {"XRCPT250B", SESSION_OFFER_XRCPT250B},
        {"XPRDR1", SESSION_OFFER_XPRDR1},
        {"ADAT", SESSION_OFFER_ADAT},
        {"all", SESSION_OFFER_ALL},
        {"none", 0},
    };
    uint32_t offers = 0;
    struct slice rest = slice_str(text);
    while (rest.len > 0) {
        struct slice word = slice_first(rest, slice_find(rest, ','));
        rest = slice_from(rest, word.len + 1);
        size_t i = 0;
        while (i < ARRAY_COUNT(rows) && !slice_eq_nocase(word, slice_str(rows[i].name)))
            i++;
        if (i == ARRAY_COUNT(rows))
            return cli_wrong(c, "--%s: %.*s is not an EHLO keyword of ours", c->row->name,
                             (int)word.len, (const char *)word.ptr);
        offers |= rows[i].offer;
    }
    *ret_offers = offers;
    return true;
}

static bool set_offer(struct cli *c, const char *value)
{
    return read_offers(c, value, &options_of(c)->smtp.offers);
}

static bool set_no_offer(struct cli *c, const char *value)
{
    uint32_t without;
    if (!read_offers(c, value, &without))
        return false;
    options_of(c)->smtp.offers &= ~without;
    return true;
}

/* --- rules ----------------------------------------------------------------------------------- */

static bool set_script(struct cli *c, const char *value)
{
    return script_read(of(c)->sh->script, value, c->text, c->text_cap);
}

static bool set_rule(struct cli *c, const char *value)
{
    return script_add(of(c)->sh->script, slice_str(value), c->text, c->text_cap);
}

PRINTF_LIKE(2, 3)
static bool late_rule(struct cli *c, const char *fmt, ...)
{
    struct parse *p = of(c);
    va_list args;
    if (p->late_count == LATE_RULES_MAX)
        return cli_wrong(c, "too many options for delays and refusals: write a script");
    va_start(args, fmt);
    int len = vsnprintf(p->late_rules[p->late_count++], LATE_RULE_BYTES_MAX, fmt, args);
    va_end(args);
    return len < LATE_RULE_BYTES_MAX || cli_wrong(c, "--%s: the value is too long", c->row->name);
}

/* "P[:CODE]" */
static bool late_refusal(struct cli *c, const char *point, const char *value)
{
    int share = (int)strcspn(value, ":");
    return late_rule(c, "%s p=%.*s -> reply %s", point, share, value,
                     value[share] == ':' ? value + share + 1 : "450");
}

static bool set_delay_greeting(struct cli *c, const char *value)
{
    return late_rule(c, "connect -> delay %s", value);
}

static bool set_delay_dot(struct cli *c, const char *value)
{
    return late_rule(c, "dot -> delay %s", value);
}

static bool set_delay_each(struct cli *c, const char *value)
{
    return late_rule(c, "each -> delay %s", value);
}

static bool set_refuse_rcpt(struct cli *c, const char *value)
{
    return late_refusal(c, "rcpt", value);
}

static bool set_refuse_message(struct cli *c, const char *value)
{
    return late_refusal(c, "dot", value);
}

static bool set_refuse_each(struct cli *c, const char *value)
{
    return late_refusal(c, "each", value);
}

static bool set_drop_dot(struct cli *c, const char *value)
{
    return late_rule(c, "dot p=%s -> drop reset", value);
}

/* --- all else -------------------------------------------------------------------------------- */

static bool set_workers(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, SINK_WORKERS_MAX, &options_of(c)->worker_count);
}

static bool set_conns(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, CONNS_MAX, &options_of(c)->conn_count_max);
}

static bool set_ledger(struct cli *c, const char *value)
{
    options_of(c)->ledger_path = value;
    return true;
}

static bool set_store(struct cli *c, const char *value)
{
    if (strncmp(value, "maildir:", 8) != 0 || value[8] == '\0')
        return cli_expected(c, value, "maildir:DIR");
    options_of(c)->store_dir = value + 8;
    return true;
}

static bool set_once(struct cli *c, const char *value)
{
    (void)value;
    options_of(c)->conns_count_max = 1;
    return true;
}

static bool set_max_conns(struct cli *c, const char *value)
{
    return cli_number(c, value, 1, UINT64_MAX, &options_of(c)->conns_count_max);
}

static bool set_max_messages(struct cli *c, const char *value)
{
    return cli_number(c, value, 1, UINT64_MAX, &options_of(c)->message_count_max);
}

static bool set_hostname(struct cli *c, const char *value)
{
    struct sink_options *o = options_of(c);
    size_t len = strlen(value);
    if (len == 0 || len > DOMAIN_BYTES_MAX)
        return cli_expected(c, value, "a host name");
    memcpy(o->hostname, value, len + 1);
    return true;
}

static bool set_banner(struct cli *c, const char *value)
{
    struct sink_options *o = options_of(c);
    int len = snprintf(o->banner, sizeof(o->banner), "220 %s\r\n", value);
    return len < (int)sizeof(o->banner) || cli_wrong(c, "--banner: the text is too long");
}

static bool set_size(struct cli *c, const char *value)
{
    return cli_bytes(c, value, 1, UINT64_MAX, &options_of(c)->smtp.size_max);
}

static bool set_rcpt_max(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, RCPT_COUNT_HARD_MAX, &options_of(c)->smtp.rcpt_max);
}

static bool set_source_conns(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, UINT32_MAX, &options_of(c)->source_conns_max);
}

static bool set_source_rate(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, UINT32_MAX, &options_of(c)->source_rate_max);
}

static bool set_capacity(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, UINT32_MAX, &options_of(c)->capacity);
}

static bool set_slowdown(struct cli *c, const char *value)
{
    char *end;
    double factor = strtod(value, &end);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || !(factor <= SLOWDOWN_MAX))
        return cli_expected(c, value, "a number from 0 to 1000");
    options_of(c)->slowdown = factor;
    return true;
}

static bool set_rcvbuf(struct cli *c, const char *value)
{
    uint64_t bytes;
    if (!cli_bytes(c, value, 1, INT_MAX, &bytes))
        return false;
    options_of(c)->rcvbuf_bytes = (uint32_t)bytes;
    return true;
}

static bool set_idle(struct cli *c, const char *value)
{
    return cli_time(c, value, NS_PER_MS, TIME_NS_MAX, "1ms to 24h", &options_of(c)->idle_ns_max);
}

static bool set_seed(struct cli *c, const char *value)
{
    return cli_number(c, value, 0, UINT64_MAX, &options_of(c)->seed);
}

static bool set_grace(struct cli *c, const char *value)
{
    return cli_time(c, value, 0, TIME_NS_MAX, "at most 24h", &options_of(c)->grace_ns);
}

static bool set_quiet(struct cli *c, const char *value)
{
    (void)value;
    options_of(c)->is_quiet = true;
    return true;
}

/* --- the table ------------------------------------------------------------------------------- */

static const struct cli_row rows[] = {
    CLI_LETTER("l"),
    {"listen", "URL", NULL, "again for more", set_listen, 0},
    CLI_LETTER("w"),
    {"workers", "N", "1", "threads", set_workers, 0},
    CLI_LETTER("s"),
    {"script", "FILE", NULL, "rules, one a line", set_script, 0},
    CLI_LETTER("r"),
    {"rule", "RULE", NULL, "again for more", set_rule, 0},
    CLI_LETTER("L"),
    {"ledger", "FILE", NULL, "what arrived", set_ledger, 0},
    {"store", "maildir:DIR", NULL, "keep messages", set_store, 0},
    {"conns", "N", "20000", "at once", set_conns, 0},
    {"once", NULL, NULL, "end after one", set_once, 0},
    {"max-conns", "N", NULL, "end after so many", set_max_conns, 0},
    {"max-messages", "N", NULL, "end after so many", set_max_messages, 0},
    {"hostname", "NAME", "sink.example", "own name", set_hostname, 0},
    {"banner", "TEXT", NULL, "greeting after 220", set_banner, 0},
    {"offer", "LIST", NULL, "EHLO keywords", set_offer, 0},
    {"no-offer", "LIST", NULL, "all but these", set_no_offer, 0},
    {"size", "SIZE", NULL, "largest message", set_size, 0},
    {"rcpt-max", "N", "1000", "recipients", set_rcpt_max, 0},
    {"source-conns", "N", NULL, "of one client", set_source_conns, 0},
    {"source-rate", "N", NULL, "messages/s of one", set_source_rate, 0},
    {"capacity", "N", NULL, "messages in work", set_capacity, 0},
    {"slowdown", "X", "0", "under load", set_slowdown, 0},
    {"rcvbuf", "SIZE", NULL, "receive buffer", set_rcvbuf, 0},
    {"idle", "TIME", "300s", "for input", set_idle, 0},
    {"seed", "N", "1", "of all draws", set_seed, 0},
    {"grace", "TIME", "5s", "at the end", set_grace, 0},
    CLI_LETTER("q"),
    {"quiet", NULL, NULL, "no summary", set_quiet, 0},
    {"delay-greeting", "DIST", NULL, NULL, set_delay_greeting, 0},
    {"delay-dot", "DIST", NULL, NULL, set_delay_dot, 0},
    {"delay-each", "DIST", NULL, NULL, set_delay_each, 0},
    {"refuse-rcpt", "P[:CODE]", NULL, NULL, set_refuse_rcpt, 0},
    {"refuse-message", "P[:CODE]", NULL, NULL, set_refuse_message, 0},
    {"refuse-each", "P[:CODE]", NULL, NULL, set_refuse_each, 0},
    {"drop-dot", "P", NULL, NULL, set_drop_dot, 0},
};

static const char usage_begin[] =
    "usage: postern-sink --listen URL [...] [options]\n"
    "A mail server (SMTP, LMTP, replies per recipient) that does what it is told: all\n"
    "is taken and discarded, unless a rule says otherwise. URL is smtp://ADDR:PORT,\n"
    "lmtp://ADDR:PORT, smtp+unix:PATH or lmtp+unix:PATH; port 0: any free one.\n";
static const char usage_end[] =
    "  --version, --help\n"
    "Short for rules (DIST: TIME uniform:A-B exp:M lognormal:M,S normal:M,S file:F):\n"
    "  --delay-greeting DIST  --delay-dot DIST  --delay-each DIST\n"
    "  --refuse-rcpt P[:CODE] --refuse-message P[:CODE] --refuse-each P[:CODE]\n"
    "  --drop-dot P          take the message, then reset instead of a reply\n"
    "Rules: POINT [CONDITION ...] -> ACTION [; ACTION ...]     postern-sink-script(5)\n"
    "  points      connect helo mail rcpt data dot each quit\n"
    "  conditions  [!]NAME=VALUE: from rcpt client via conn txn size seq attempt\n"
    "              index count share every p\n"
    "  actions     reply CODE [X.Y.Z] [TEXT]; delay DIST; drop [reset]; stop;\n"
    "              drop-after K [reset]; drop-content N [reset]; rcvbuf N;\n"
    "              drop-replies N [reset]; pacing stream|buffer; life DIST;\n"
    "              decide now|later; order sequential|concurrent; budget DIST;\n"
    "              commit before|after|dot|never|always|end|opener; write DIST;\n"
    "              gone run|stop|write; opener DIST|first; final DIST; gap DIST;\n"
    "              mixed refuse|hold; scan always|once; suppress DIST;\n"
    "              stall-read DIST [N]; stall-write DIST; pace DIST;\n"
    "              garbage [N]; endless [N]; code NNN; surplus [TEXT]; missing;\n"
    "              early; raw TEXT\n"
    "  examples    each rcpt=slow* -> delay 30s          dot p=1% -> drop reset\n"
    "SIGTERM ends it, SIGUSR1 prints counters. Exit status: 0; 1 when it failed or\n"
    "the ledger or store could not be written; 2 for wrong usage.\n";

void options_print_help(FILE *out)
{
    fputs(usage_begin, out);
    cli_print_pairs(out, rows, ARRAY_COUNT(rows), 19);
    fputs(usage_end, out);
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool finish(struct cli *c)
{
    struct parse *p = of(c);
    struct sink_options *o = &p->sh->options;
    if (o->listen_count == 0)
        return cli_wrong(c, "--listen is missing");
    for (uint32_t i = 0; i < p->late_count; i++)
        if (!script_add(p->sh->script, slice_str(p->late_rules[i]), c->text, c->text_cap))
            return false;
    o->smtp.hostname = slice_str(o->hostname);
    o->lmtp = o->smtp;
    o->lmtp.protocol = SESSION_LMTP;
    return true;
}

enum options_result options_parse(struct shared *sh, int argc, char **argv, char *ret_text,
                                  size_t text_cap)
{
    struct parse p = {.sh = sh};
    struct cli c = {.options = &p, .text = ret_text, .text_cap = text_cap};
    sh->options = (struct sink_options){
        .smtp = {.protocol = SESSION_SMTP, .offers = SESSION_OFFER_STANDARD},
    };
    switch (cli_asked(argc, argv)) {
    case CLI_HELP:
        return OPTIONS_HELP;
    case CLI_VERSION:
        return OPTIONS_VERSION;
    case CLI_NOTHING:
        break;
    }
    return cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, cli_take_option) && finish(&c)
               ? OPTIONS_RUN
               : OPTIONS_BAD;
}
