/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - owns the command line of the sink. The simple cases are rules of the script, written
 * for the user, behind those of his own.
 */
#include "options.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS_DEFAULT 20000
#define CONNS_MAX 1000000
#define IDLE_DEFAULT_NS (300 * NS_PER_S)
#define GRACE_DEFAULT_NS (5 * NS_PER_S)

static const char usage[] =
    "usage: postern-sink --listen URL [...] [options]\n"
    "A mail server (SMTP, LMTP, replies per recipient) that does what it is told: all\n"
    "is taken and discarded, unless a rule says otherwise.\n"
    "  -l, --listen URL    smtp://ADDR:PORT lmtp://ADDR:PORT smtp+unix:PATH\n"
    "                      lmtp+unix:PATH; again for more; port 0: any free one\n"
    "  -w, --workers N     threads (1)           --conns N  most connections (20000)\n"
    "  -s, --script FILE   rules, one a line     -r, --rule RULE  one; again for more\n"
    "  -L, --ledger FILE   write what arrived    --store maildir:DIR  keep messages\n"
    "      --once, --max-conns N, --max-messages N           end after so many\n"
    "      --hostname NAME   --banner TEXT   --size BYTES    --rcpt-max N (1000)\n"
    "      --offer LIST, --no-offer LIST     EHLO keywords: PRDR,ADAT,...; all; none\n"
    "      --source-conns N  connections,    --source-rate N messages/s of a client\n"
    "      --rcvbuf BYTES    small receive windows           --idle TIME (300s)\n"
    "      --seed N          of all draws    --grace TIME    at the end (5s)\n"
    "  -q, --quiet           no summary      --version       --help\n"
    "Short for rules (DIST: TIME uniform:A-B exp:M lognormal:M,S normal:M,S file:F):\n"
    "      --delay-greeting DIST  --delay-dot DIST  --delay-each DIST\n"
    "      --refuse-rcpt P[:CODE] --refuse-message P[:CODE] --refuse-each P[:CODE]\n"
    "      --drop-dot P      take the message, then reset instead of a reply\n"
    "Rules: POINT [CONDITION ...] -> ACTION [; ACTION ...]     postern-sink-script(5)\n"
    "  points      connect helo mail rcpt data dot each quit\n"
    "  conditions  [!]NAME=VALUE: from rcpt client via conn txn size seq attempt\n"
    "              index count every p\n"
    "  actions     reply CODE [X.Y.Z] [TEXT]; delay DIST; drop [reset]; stop;\n"
    "              drop-after K [reset]; drop-content N [reset]; rcvbuf N;\n"
    "              drop-replies N [reset]; pacing stream|buffer; life DIST;\n"
    "              decide now|later; commit before|after|dot|never|always;\n"
    "              gone run|stop; stall-read DIST [N]; stall-write DIST; pace DIST;\n"
    "              garbage [N]; endless [N]; code NNN; surplus [TEXT]; missing;\n"
    "              early; raw TEXT\n"
    "  examples    each rcpt=slow* -> delay 30s          dot p=1% -> drop reset\n"
    "SIGTERM ends it, SIGUSR1 prints counters. Exit status: 0; 1 when it failed or\n"
    "the ledger or store could not be written; 2 for wrong usage.\n";

enum long_option {
    OPTION_CONNS = 256,
    OPTION_STORE,
    OPTION_ONCE,
    OPTION_MAX_CONNS,
    OPTION_MAX_MESSAGES,
    OPTION_HOSTNAME,
    OPTION_BANNER,
    OPTION_OFFER,
    OPTION_NO_OFFER,
    OPTION_SIZE,
    OPTION_RCPT_MAX,
    OPTION_SOURCE_CONNS,
    OPTION_SOURCE_RATE,
    OPTION_RCVBUF,
    OPTION_IDLE,
    OPTION_SEED,
    OPTION_GRACE,
    OPTION_DELAY_GREETING,
    OPTION_DELAY_DOT,
    OPTION_DELAY_EACH,
    OPTION_REFUSE_RCPT,
    OPTION_REFUSE_MESSAGE,
    OPTION_REFUSE_EACH,
    OPTION_DROP_DOT,
    OPTION_VERSION,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"workers", required_argument, NULL, 'w'},
    {"script", required_argument, NULL, 's'},
    {"rule", required_argument, NULL, 'r'},
    {"ledger", required_argument, NULL, 'L'},
    {"quiet", no_argument, NULL, 'q'},
    {"conns", required_argument, NULL, OPTION_CONNS},
    {"store", required_argument, NULL, OPTION_STORE},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"max-conns", required_argument, NULL, OPTION_MAX_CONNS},
    {"max-messages", required_argument, NULL, OPTION_MAX_MESSAGES},
    {"hostname", required_argument, NULL, OPTION_HOSTNAME},
    {"banner", required_argument, NULL, OPTION_BANNER},
    {"offer", required_argument, NULL, OPTION_OFFER},
    {"no-offer", required_argument, NULL, OPTION_NO_OFFER},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"rcpt-max", required_argument, NULL, OPTION_RCPT_MAX},
    {"source-conns", required_argument, NULL, OPTION_SOURCE_CONNS},
    {"source-rate", required_argument, NULL, OPTION_SOURCE_RATE},
    {"rcvbuf", required_argument, NULL, OPTION_RCVBUF},
    {"idle", required_argument, NULL, OPTION_IDLE},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"grace", required_argument, NULL, OPTION_GRACE},
    {"delay-greeting", required_argument, NULL, OPTION_DELAY_GREETING},
    {"delay-dot", required_argument, NULL, OPTION_DELAY_DOT},
    {"delay-each", required_argument, NULL, OPTION_DELAY_EACH},
    {"refuse-rcpt", required_argument, NULL, OPTION_REFUSE_RCPT},
    {"refuse-message", required_argument, NULL, OPTION_REFUSE_MESSAGE},
    {"refuse-each", required_argument, NULL, OPTION_REFUSE_EACH},
    {"drop-dot", required_argument, NULL, OPTION_DROP_DOT},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct parse {
    struct shared *sh;
    char why[512];
    char late_rules[16][128]; /* of the simple options */
    uint32_t late_count;
};

static bool bad(struct parse *p, const char *text)
{
    snprintf(p->why, sizeof(p->why), "%s", text);
    return false;
}

static bool number(struct parse *p, const char *text, enum dist_unit unit, uint64_t low,
                   uint64_t high, uint64_t *ret_value)
{
    uint64_t value;
    if (dist_number_parse(slice_str(text), unit, &value) && value >= low && value <= high) {
        *ret_value = value;
        return true;
    }
    snprintf(p->why, sizeof(p->why), "%s: not a number from %llu to %llu", text,
             (unsigned long long)low, (unsigned long long)high);
    return false;
}

static bool number_u32(struct parse *p, const char *text, enum dist_unit unit, uint32_t low,
                       uint32_t high, uint32_t *ret_value)
{
    uint64_t value;
    if (!number(p, text, unit, low, high, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
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

static bool parse_listen(struct parse *p, const char *text)
{
    struct sink_options *o = &p->sh->options;
    struct sink_listen l = {.is_lmtp = strncmp(text, "lmtp", 4) == 0};
    bool is_good = strlen(text) < sizeof(l.url) && (l.is_lmtp || strncmp(text, "smtp", 4) == 0);
    if (is_good && strncmp(text + 4, "+unix:", 6) == 0)
        is_good = parse_unix(&l, text + 10);
    else if (is_good && strncmp(text + 4, "://", 3) == 0)
        is_good = parse_tcp(&l, text + 7);
    else
        is_good = false;
    if (!is_good) {
        snprintf(p->why, sizeof(p->why),
                 "%.200s: not smtp://ADDR:PORT, lmtp://ADDR:PORT, smtp+unix:PATH or lmtp+unix:PATH",
                 text);
        return false;
    }
    if (o->listen_count == SINK_LISTEN_MAX)
        return bad(p, "too many --listen");
    memcpy(l.url, text, strlen(text) + 1);
    o->listens[o->listen_count++] = l;
    return true;
}

/* --- what to offer --------------------------------------------------------------------------- */

static bool parse_offers(struct parse *p, const char *text, uint32_t *ret_offers)
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
        if (i == ARRAY_COUNT(rows)) {
            snprintf(p->why, sizeof(p->why), "%.*s: not an EHLO keyword of ours", (int)word.len,
                     (const char *)word.ptr);
            return false;
        }
        offers |= rows[i].offer;
    }
    *ret_offers = offers;
    return true;
}

/* --- rules for the simple cases -------------------------------------------------------------- */

static bool late_rule(struct parse *p, const char *fmt, const char *value)
{
    if (p->late_count == ARRAY_COUNT(p->late_rules))
        return bad(p, "too many options for delays and refusals: write a script");
    char *to = p->late_rules[p->late_count++];
    int len = snprintf(to, sizeof(p->late_rules[0]), fmt, value);
    return len < (int)sizeof(p->late_rules[0]) || bad(p, "the value is too long");
}

/* "P[:CODE]" */
static bool late_refusal(struct parse *p, const char *point, const char *value)
{
    char text[128];
    const char *colon = strchr(value, ':');
    int share = colon != NULL ? (int)(colon - value) : (int)strlen(value);
    snprintf(text, sizeof(text), "%s p=%.*s -> reply %.40s", point, share, value,
             colon != NULL ? colon + 1 : "450");
    return late_rule(p, "%s", text);
}

static bool parse_simple(struct parse *p, int option, const char *value)
{
    switch (option) {
    case OPTION_DELAY_GREETING:
        return late_rule(p, "connect -> delay %s", value);
    case OPTION_DELAY_DOT:
        return late_rule(p, "dot -> delay %s", value);
    case OPTION_DELAY_EACH:
        return late_rule(p, "each -> delay %s", value);
    case OPTION_REFUSE_RCPT:
        return late_refusal(p, "rcpt", value);
    case OPTION_REFUSE_MESSAGE:
        return late_refusal(p, "dot", value);
    case OPTION_REFUSE_EACH:
        return late_refusal(p, "each", value);
    case OPTION_DROP_DOT:
        return late_rule(p, "dot p=%s -> drop reset", value);
    default:
        return false;
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool parse_text(struct parse *p, int option, const char *value)
{
    struct sink_options *o = &p->sh->options;
    size_t len = strlen(value);
    switch (option) {
    case OPTION_HOSTNAME:
        if (len == 0 || len > DOMAIN_BYTES_MAX)
            return bad(p, "bad host name");
        memcpy(o->hostname, value, len + 1);
        return true;
    case OPTION_BANNER:
        if (len + sizeof("220 \r\n") > sizeof(o->banner))
            return bad(p, "the banner is too long");
        snprintf(o->banner, sizeof(o->banner), "220 %s\r\n", value);
        return true;
    case OPTION_STORE:
        if (strncmp(value, "maildir:", 8) != 0 || value[8] == '\0')
            return bad(p, "--store: not maildir:DIR");
        o->store_dir = value + 8;
        return true;
    case OPTION_OFFER:
        return parse_offers(p, value, &o->smtp.offers);
    case OPTION_NO_OFFER: {
        uint32_t without;
        if (!parse_offers(p, value, &without))
            return false;
        o->smtp.offers &= ~without;
        return true;
    }
    case 's':
        return script_read(p->sh->script, value, p->why, sizeof(p->why));
    case 'r':
        return script_add(p->sh->script, slice_str(value), p->why, sizeof(p->why));
    case 'l':
        return parse_listen(p, value);
    case 'L':
        o->ledger_path = value;
        return true;
    default:
        return parse_simple(p, option, value);
    }
}

static bool parse_one(struct parse *p, int option, const char *value)
{
    struct sink_options *o = &p->sh->options;
    switch (option) {
    case 'w':
        return number_u32(p, value, DIST_NUMBER, 1, SINK_WORKERS_MAX, &o->worker_count);
    case 'q':
        o->is_quiet = true;
        return true;
    case OPTION_CONNS:
        return number_u32(p, value, DIST_NUMBER, 1, CONNS_MAX, &o->conn_count_max);
    case OPTION_ONCE:
        o->conns_count_max = 1;
        return true;
    case OPTION_MAX_CONNS:
        return number(p, value, DIST_NUMBER, 1, UINT64_MAX, &o->conns_count_max);
    case OPTION_MAX_MESSAGES:
        return number(p, value, DIST_NUMBER, 1, UINT64_MAX, &o->message_count_max);
    case OPTION_SIZE:
        return number(p, value, DIST_BYTES, 1, UINT64_MAX, &o->smtp.size_max);
    case OPTION_RCPT_MAX:
        return number_u32(p, value, DIST_NUMBER, 1, RCPT_COUNT_HARD_MAX, &o->smtp.rcpt_max);
    case OPTION_SOURCE_CONNS:
        return number_u32(p, value, DIST_NUMBER, 1, UINT32_MAX, &o->source_conns_max);
    case OPTION_SOURCE_RATE:
        return number_u32(p, value, DIST_NUMBER, 1, UINT32_MAX, &o->source_rate_max);
    case OPTION_RCVBUF:
        return number_u32(p, value, DIST_BYTES, 1, INT_MAX, &o->rcvbuf_bytes);
    case OPTION_IDLE:
        return number(p, value, DIST_NS, NS_PER_MS, 86400 * NS_PER_S, &o->idle_ns_max);
    case OPTION_GRACE:
        return number(p, value, DIST_NS, 0, 86400 * NS_PER_S, &o->grace_ns);
    case OPTION_SEED:
        return number(p, value, DIST_NUMBER, 0, UINT64_MAX, &o->seed);
    default:
        return parse_text(p, option, value);
    }
}

static bool finish(struct parse *p)
{
    struct sink_options *o = &p->sh->options;
    if (o->listen_count == 0)
        return bad(p, "--listen is missing");
    for (uint32_t i = 0; i < p->late_count; i++)
        if (!script_add(p->sh->script, slice_str(p->late_rules[i]), p->why, sizeof(p->why)))
            return false;
    o->smtp.hostname = slice_str(o->hostname);
    o->lmtp = o->smtp;
    o->lmtp.protocol = SESSION_LMTP;
    return true;
}

enum options_result options_parse(struct shared *sh, int argc, char **argv)
{
    static struct parse p; /* zeros; too large for the stack */
    p.sh = sh;
    int option;
    sh->options = (struct sink_options){
        .worker_count = 1,
        .conn_count_max = CONNS_DEFAULT,
        .seed = 1,
        .idle_ns_max = IDLE_DEFAULT_NS,
        .grace_ns = GRACE_DEFAULT_NS,
        .hostname = "sink.example",
        .smtp = {.protocol = SESSION_SMTP,
                 .offers = SESSION_OFFER_STANDARD,
                 .rcpt_max = RCPT_COUNT_MAX},
    };
    while ((option = getopt_long(argc, argv, "l:w:s:r:L:q", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return OPTIONS_DONE;
        }
        if (option == OPTION_VERSION) {
            printf("postern-sink %s\n", POSTERN_VERSION);
            return OPTIONS_DONE;
        }
        if (option == '?') {
            fputs("\"postern-sink --help\" tells more\n", stderr);
            return OPTIONS_BAD;
        }
        if (!parse_one(&p, option, optarg)) {
            fprintf(stderr, "postern-sink: %s\n", p.why);
            return OPTIONS_BAD;
        }
    }
    if (optind < argc)
        snprintf(p.why, sizeof(p.why), "%.200s: what is this?", argv[optind]);
    if (optind == argc && finish(&p))
        return OPTIONS_RUN;
    fprintf(stderr, "postern-sink: %s\n", p.why);
    return OPTIONS_BAD;
}
