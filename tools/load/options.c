/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - one row an option: name, argument, what is in force when it is not given, help. The
 * rows make the help text, the parser, and the list of options in the report.
 */
#include "load/options.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNKNOWN_LENGTH_NS (6 * 3600 * NS_PER_S)
#define SECONDS_HARD_MAX 1000000

struct parser {
    struct load_options *options;
    const char *name; /* of the option that is being read */
    char *text;       /* what is wrong */
    size_t text_cap;
};

static bool fail(struct parser *p, const char *value, const char *expected)
{
    snprintf(p->text, p->text_cap, "--%s %s: expected %s", p->name, value, expected);
    return false;
}

/* --- values ----------------------------------------------------------------------------------- */

static bool read_number(struct parser *p, const char *value, uint64_t low, uint64_t high,
                        uint64_t *ret_value)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "a number from %llu to %llu", (unsigned long long)low,
             (unsigned long long)high);
    if (!dist_number_parse(slice_str(value), DIST_NUMBER, ret_value) || *ret_value < low ||
        *ret_value > high)
        return fail(p, value, expected);
    return true;
}

static bool read_u32(struct parser *p, const char *value, uint32_t low, uint32_t high,
                     uint32_t *ret_value)
{
    uint64_t number;
    if (!read_number(p, value, low, high, &number))
        return false;
    *ret_value = (uint32_t)number;
    return true;
}

static bool read_bytes(struct parser *p, const char *value, uint64_t *ret_value)
{
    return dist_number_parse(slice_str(value), DIST_BYTES, ret_value) ||
           fail(p, value, "a size: 512, 64k, 1M");
}

static bool read_slice_time(struct slice text, clock_ns *ret_value)
{
    return dist_number_parse(text, DIST_NS, ret_value) && *ret_value <= 1000000 * NS_PER_S;
}

static bool read_time(struct parser *p, const char *value, clock_ns *ret_value)
{
    return read_slice_time(slice_str(value), ret_value) ||
           fail(p, value, "a time: 250ms, 30s, 5m (at most 1000000 s)");
}

/* "500", "500/s", "30/m". */
static bool read_rate(struct parser *p, const char *value, double *ret_rate)
{
    char *end;
    double rate = strtod(value, &end);
    double per = 1;
    if (strcmp(end, "/m") == 0)
        per = 60;
    else if (strcmp(end, "/h") == 0)
        per = 3600;
    else if (*end != '\0' && strcmp(end, "/s") != 0)
        end = NULL;
    if (end == NULL || end == value || !isfinite(rate) || rate < 0 || rate > 1e9)
        return fail(p, value, "a rate: 500/s, 30/m");
    *ret_rate = rate / per;
    return true;
}

static bool read_share(struct parser *p, const char *value, double *ret_share)
{
    char *end;
    *ret_share = strtod(value, &end);
    if (end == value || *end != '\0' || !(*ret_share >= 0 && *ret_share <= 1))
        return fail(p, value, "a share from 0 to 1");
    return true;
}

static bool read_dist(struct parser *p, const char *value, enum dist_unit unit, uint64_t low,
                      uint64_t high, struct dist *ret_dist)
{
    char why[160];
    dist_deinit(ret_dist);
    if (dist_parse(ret_dist, value, unit, low, high, why, sizeof(why)) == 0)
        return true;
    snprintf(p->text, p->text_cap, "--%s %s: %s", p->name, value, why);
    return false;
}

/* The next piece of a list, up to @separator. */
static struct slice next_piece(const char **at, char separator)
{
    const char *end = strchr(*at, separator);
    size_t len = end != NULL ? (size_t)(end - *at) : strlen(*at);
    struct slice piece = slice_of(*at, len);
    *at += len + (end != NULL);
    return piece;
}

static bool piece_is(struct slice piece, const char *word)
{
    return slice_eq(piece, slice_str(word));
}

/* As a string of its own, for those functions that want one. */
static const char *piece_text(struct slice piece, char *memory, size_t cap)
{
    snprintf(memory, cap, "%.*s", (int)piece.len, (const char *)piece.ptr);
    return memory;
}

/* --- traffic ---------------------------------------------------------------------------------- */

static bool set_connections(struct parser *p, const char *value)
{
    return read_u32(p, value, 1, CONNECTIONS_MAX, &p->options->connection_count);
}

static bool set_rate(struct parser *p, const char *value)
{
    struct plan_options *plan = &p->options->plan;
    if (!read_rate(p, value, &plan->rate))
        return false;
    if (plan->rate <= 0)
        return fail(p, value, "more than 0");
    return true;
}

static bool set_shape(struct parser *p, const char *value)
{
    static const char expected[] = "constant, poisson, ramp:RATE or step:BY,EVERY,LAST";
    struct plan_options *plan = &p->options->plan;
    char word[64];
    const char *at = value;
    struct slice kind = next_piece(&at, ':');
    if (piece_is(kind, "constant") && *at == '\0') {
        plan->shape = PLAN_CONSTANT;
    } else if (piece_is(kind, "poisson") && *at == '\0') {
        plan->shape = PLAN_POISSON;
    } else if (piece_is(kind, "ramp")) {
        plan->shape = PLAN_RAMP;
        return read_rate(p, at, &plan->rate_end);
    } else if (piece_is(kind, "step")) {
        plan->shape = PLAN_STEP;
        if (!read_rate(p, piece_text(next_piece(&at, ','), word, sizeof(word)), &plan->rate_step))
            return false;
        if (!read_slice_time(next_piece(&at, ','), &plan->step_ns) || plan->step_ns == 0)
            return fail(p, value, expected);
        return read_rate(p, at, &plan->rate_end);
    } else {
        return fail(p, value, expected);
    }
    return true;
}

static bool set_duration(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->plan.duration_ns);
}

static bool set_count(struct parser *p, const char *value)
{
    return read_number(p, value, 1, UINT32_MAX, &p->options->plan.count);
}

static bool set_warmup(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->warmup_ns);
}

static bool set_drain(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->drain_ns);
}

static bool set_think(struct parser *p, const char *value)
{
    return read_dist(p, value, DIST_NS, 0, 86400 * NS_PER_S, &p->options->think);
}

static bool set_in_flight(struct parser *p, const char *value)
{
    return read_u32(p, value, 1, CONNECTIONS_MAX, &p->options->in_flight_max);
}

static bool set_reuse(struct parser *p, const char *value)
{
    return read_u32(p, value, 0, UINT32_MAX, &p->options->reuse_max);
}

static bool set_preconnect(struct parser *p, const char *value)
{
    (void)value;
    p->options->preconnects = true;
    return true;
}

static bool set_connecting(struct parser *p, const char *value)
{
    return read_u32(p, value, 1, CONNECTIONS_MAX, &p->options->connect_max);
}

static bool set_workers(struct parser *p, const char *value)
{
    if (strcmp(value, "auto") == 0) {
        long count = sysconf(_SC_NPROCESSORS_ONLN);
        p->options->worker_count = count > 0 && count < WORKERS_MAX ? (uint32_t)count : 1;
        return true;
    }
    return read_u32(p, value, 1, WORKERS_MAX, &p->options->worker_count);
}

static bool set_source(struct parser *p, const char *value)
{
    return sources_parse(&p->options->dial.sources, value, p->text, p->text_cap);
}

static bool set_seed(struct parser *p, const char *value)
{
    return read_number(p, value, 0, UINT32_MAX, &p->options->plan.seed);
}

static bool set_run(struct parser *p, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long run = strtoull(value, &end, 16);
    if (errno != 0 || *end != '\0' || run == 0 || strlen(value) > 16)
        return fail(p, value, "up to 16 hexadecimal digits, not 0");
    p->options->message.run = run;
    return true;
}

static bool add_target(struct parser *p, const char *value)
{
    struct load_options *o = p->options;
    if (o->target_count == TARGETS_MAX)
        return fail(p, value, "at most 64 targets");
    return target_parse(value, &o->targets[o->target_count++], p->text, p->text_cap);
}

/* --- messages --------------------------------------------------------------------------------- */

static bool set_size(struct parser *p, const char *value)
{
    return read_dist(p, value, DIST_BYTES, 0, MESSAGE_BYTES_MAX, &p->options->message.size);
}

static bool set_recipients(struct parser *p, const char *value)
{
    return read_dist(p, value, DIST_NUMBER, 1, RCPT_COUNT_HARD_MAX,
                     &p->options->message.rcpt_count);
}

static bool set_body(struct parser *p, const char *value)
{
    return message_body_parse(value, &p->options->message.body) ||
           fail(p, value, "text, base64, 8bit, dots, long, empty-lines or worst");
}

static bool set_corpus(struct parser *p, const char *value)
{
    p->options->message.corpus = value;
    return true;
}

static bool set_no_identity(struct parser *p, const char *value)
{
    (void)value;
    p->options->message.adds_identity = false;
    return true;
}

static bool read_address(struct parser *p, const char *value, bool may_be_empty, const char **ret)
{
    size_t len = strlen(value);
    if (len > PATH_UTF8_BYTES_MAX || (len == 0 && !may_be_empty) ||
        strpbrk(value, "<>\r\n") != NULL)
        return fail(p, value, "an address without angle brackets");
    *ret = value;
    return true;
}

static bool set_from(struct parser *p, const char *value)
{
    return read_address(p, value, true, &p->options->message.sender);
}

static bool set_to(struct parser *p, const char *value)
{
    return read_address(p, value, false, &p->options->message.rcpt);
}

static bool set_users(struct parser *p, const char *value)
{
    return read_u32(p, value, 1, UINT32_MAX, &p->options->message.rcpt_users);
}

/* --- protocol --------------------------------------------------------------------------------- */

static bool set_helo(struct parser *p, const char *value)
{
    if (!hello_name_is_good(slice_str(value)) || strlen(value) > DOMAIN_BYTES_MAX)
        return fail(p, value, "a host name");
    snprintf(p->options->hostname, sizeof(p->options->hostname), "%s", value);
    return true;
}

static bool set_prdr(struct parser *p, const char *value)
{
    (void)value;
    p->options->client.dialects |= SESSION_OFFER_PRDR;
    return true;
}

static bool add_dialect(struct slice word, uint32_t *dialects)
{
    for (int d = 0; d < DIALECT_COUNT; d++) {
        uint32_t offer = dialect_offer((enum dialect)d);
        if (offer != 0 && piece_is(word, dialect_name((enum dialect)d))) {
            *dialects |= offer;
            return true;
        }
    }
    return false;
}

static bool set_dialect(struct parser *p, const char *value)
{
    uint32_t dialects = 0;
    if (strcmp(value, "any") == 0)
        dialects = SESSION_OFFER_DIALECTS;
    else if (strcmp(value, "none") != 0)
        for (const char *at = value; *at != '\0';)
            if (!add_dialect(next_piece(&at, ','), &dialects))
                return fail(p, value,
                            "any, none, or some of prdr, deferrals, inline-dsn, exdata, xrcpt250, "
                            "xrcpt250b, xprdr1, adat");
    p->options->client.dialects = dialects;
    return true;
}

static bool set_dialect_min(struct parser *p, const char *value)
{
    return read_u32(p, value, 1, RCPT_COUNT_HARD_MAX, &p->options->client.dialect_rcpt_min);
}

static bool set_dialect_failures(struct parser *p, const char *value)
{
    return read_u32(p, value, 0, UINT32_MAX, &p->options->dialect_failures_max);
}

static bool set_exdata_if_asked(struct parser *p, const char *value)
{
    (void)value;
    p->options->client.heeds_exdata_only_if_asked = true;
    return true;
}

static bool set_bdat(struct parser *p, const char *value)
{
    p->options->client.wants_chunking = true;
    return read_bytes(p, value, &p->options->client.chunk_bytes);
}

static bool set_pipelining(struct parser *p, const char *value)
{
    static const char *const names[] = {"none", "envelope", "full"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        p->options->client.pipelining = (enum client_pipelining)i;
        return true;
    }
    return fail(p, value, "none, envelope or full");
}

static bool set_starttls(struct parser *p, const char *value)
{
    (void)value;
    p->options->uses_starttls = true;
    return true;
}

static bool set_tls_ca(struct parser *p, const char *value)
{
    p->options->tls_ca = value;
    return true;
}

static bool set_tls_resume(struct parser *p, const char *value)
{
    return read_share(p, value, &p->options->tls_resume_share);
}

/* --- behaviour -------------------------------------------------------------------------------- */

static const char *const phase_names[CLIENT_PHASE_COUNT] = {
    "greeting", "hello", "mail", "rcpt", "data", "content", "done", "other", NULL};

static bool set_one_timeout(struct parser *p, struct slice name, clock_ns ns,
                            enum link_restart restart)
{
    struct load_options *o = p->options;
    if (piece_is(name, "connect")) {
        o->timeouts.connect_ns = ns;
        return restart == LINK_RESTART_RESET;
    }
    if (piece_is(name, "tls")) {
        o->timeouts.tls_ns = ns;
        return restart == LINK_RESTART_RESET;
    }
    bool is_all = piece_is(name, "all");
    bool is_known = is_all;
    for (uint32_t i = 0; i < CLIENT_PHASE_COUNT; i++) {
        if (phase_names[i] == NULL || (!is_all && !piece_is(name, phase_names[i])))
            continue;
        o->client.timeouts_ns[i] = ns;
        o->timeouts.restarts[i] = restart;
        is_known = true;
    }
    return is_known;
}

static bool set_timeout(struct parser *p, const char *value)
{
    static const char expected[] =
        "PHASE=TIME[:reset|:line|:reply|:total],... with connect, tls, greeting, hello, mail, "
        "rcpt, data, content, done, other or all";
    static const char *const restarts[] = {"reset", "line", "reply", "total"};
    static_assert(ARRAY_COUNT(restarts) == LINK_RESTART_COUNT, "a name each");
    for (const char *at = value; *at != '\0';) {
        struct slice item = next_piece(&at, ',');
        size_t equals = slice_find(item, '=');
        struct slice rest = slice_from(item, equals + 1);
        size_t colon = slice_find(rest, ':');
        struct slice kind = slice_from(rest, colon + 1);
        uint32_t restart = 0;
        clock_ns ns;
        while (colon < rest.len && restart < LINK_RESTART_COUNT &&
               !piece_is(kind, restarts[restart]))
            restart++;
        if (restart == LINK_RESTART_COUNT)
            return fail(p, value, expected);
        if (!read_slice_time(slice_first(rest, colon), &ns) || ns == 0 ||
            !set_one_timeout(p, slice_first(item, equals), ns, (enum link_restart)restart))
            return fail(p, value, expected);
    }
    return true;
}

static bool set_retry(struct parser *p, const char *value)
{
    static const char expected[] = "none, fixed:DELAY,TRIES or exp:DELAY,FACTOR,TRIES";
    struct retry_options *r = &p->options->retry;
    const char *at = value;
    struct slice kind = next_piece(&at, ':');
    char word[64];
    *r = (struct retry_options){.kind = RETRY_NONE, .factor = 1};
    if (piece_is(kind, "none") && *at == '\0')
        return true;
    r->kind = piece_is(kind, "exp") ? RETRY_EXP : RETRY_FIXED;
    if (r->kind == RETRY_FIXED && !piece_is(kind, "fixed"))
        return fail(p, value, expected);
    if (!read_slice_time(next_piece(&at, ','), &r->delay_ns))
        return fail(p, value, expected);
    if (r->kind == RETRY_EXP) {
        char *end;
        r->factor = strtod(piece_text(next_piece(&at, ','), word, sizeof(word)), &end);
        if (*end != '\0' || end == word || !(r->factor >= 1 && r->factor <= 1000))
            return fail(p, value, expected);
    }
    return read_u32(p, at, 1, 1000, &r->count_max);
}

static bool set_slow_write(struct parser *p, const char *value)
{
    return read_bytes(p, value, &p->options->slow_write_bytes);
}

static bool set_slow_read(struct parser *p, const char *value)
{
    return read_bytes(p, value, &p->options->slow_read_bytes);
}

static bool set_rcvbuf(struct parser *p, const char *value)
{
    uint64_t bytes;
    if (!read_bytes(p, value, &bytes) || bytes > INT32_MAX)
        return fail(p, value, "a size");
    p->options->dial.receive_bytes = (uint32_t)bytes;
    return true;
}

static bool set_vanish(struct parser *p, const char *value)
{
    struct load_options *o = p->options;
    const char *at = value;
    char word[64];
    struct slice when = next_piece(&at, ',');
    o->vanish_share = 1;
    o->vanish_replies = 0;
    o->vanish_how = LINK_HOW_CLOSE;
    if (!piece_is(when, "dot") && !read_u32(p, piece_text(when, word, sizeof(word)), 0,
                                            RCPT_COUNT_HARD_MAX, &o->vanish_replies))
        return fail(p, value, "dot or a number of replies[,close|reset|silent][,SHARE]");
    while (*at != '\0') {
        struct slice piece = next_piece(&at, ',');
        if (piece_is(piece, "reset"))
            o->vanish_how = LINK_HOW_RESET;
        else if (piece_is(piece, "silent"))
            o->vanish_how = LINK_HOW_SILENT;
        else if (!piece_is(piece, "close") &&
                 !read_share(p, piece_text(piece, word, sizeof(word)), &o->vanish_share))
            return fail(p, value, "dot or a number of replies[,close|reset|silent][,SHARE]");
    }
    return true;
}

static bool set_half_close(struct parser *p, const char *value)
{
    (void)value;
    p->options->half_closes = true;
    return true;
}

static bool set_reset(struct parser *p, const char *value)
{
    (void)value;
    p->options->resets = true;
    return true;
}

/* --- output ----------------------------------------------------------------------------------- */

static bool set_attempts(struct parser *p, const char *value)
{
    p->options->attempts_path = value;
    return true;
}

static bool set_json(struct parser *p, const char *value)
{
    p->options->json_path = value;
    return true;
}

static bool set_csv(struct parser *p, const char *value)
{
    p->options->csv_path = value;
    return true;
}

static bool set_html(struct parser *p, const char *value)
{
    p->options->html_path = value;
    return true;
}

static bool set_hgrm(struct parser *p, const char *value)
{
    p->options->hgrm_path = value;
    return true;
}

static bool set_quiet(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_quiet = true;
    return true;
}

static bool set_lag_limit(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->lag_limit_ns);
}

/* --- the table -------------------------------------------------------------------------------- */

struct row {
    const char *name;
    const char *arg;     /* NULL: a switch */
    const char *initial; /* in force when it is not given; NULL: what it sets is off, or computed */
    const char *help;    /* NULL: only in the manual */
    bool (*set)(struct parser *p, const char *value);
};

static const struct row rows[] = {
    {"target", "URL", NULL, "another target; with several, traffic goes by weight", add_target},
    {"connections", "N", "10", "connections; in an open loop the most there may be",
     set_connections},
    {"rate", "N/s", NULL, "open loop at this rate (closed loop without it)", set_rate},
    {"shape", "SHAPE", NULL, "constant, poisson, ramp:RATE, step:BY,EVERY,LAST", set_shape},
    {"duration", "TIME", NULL, "how long messages are started [10s, or see --count]", set_duration},
    {"count", "N", NULL, "how many messages are started", set_count},
    {"warmup", "TIME", "0s", "left out of the figures, at the start", set_warmup},
    {"drain", "TIME", NULL, "for what is open at the end [10s; with --count: all]", set_drain},
    {"think", "DIST", "0s", "pause of a connection in a closed loop", set_think},
    {"in-flight", "N", NULL, "transactions at a time [as many as connections]", set_in_flight},
    {"reuse", "N", "0", "messages a connection; 0: no limit", set_reuse},
    {"preconnect", NULL, NULL, "make all connections before the start", set_preconnect},
    {"connecting", "N", "256", "connections being made at a time", set_connecting},
    {"workers", "N|auto", "1", "threads; each has its share of everything", set_workers},
    {"source", "LIST", NULL, "connect from these: 127.0.0.2-127.0.0.50,...", set_source},
    {"seed", "N", "1", "for everything that is drawn", set_seed},
    {"run", "HEX", NULL, "the run's identity [from the clock]", set_run},
    {"size", "DIST", "1k", "N uniform:A-B exp:M lognormal:M,S file:F", set_size},
    {"recipients", "DIST", "1", "recipients of a message", set_recipients},
    {"body", "KIND", "text", "text base64 8bit dots long empty-lines worst", set_body},
    {"corpus", "PATH", NULL, "messages from a folder, a Maildir or an mbox", set_corpus},
    {"no-identity", NULL, NULL, "add no field to messages of a corpus", set_no_identity},
    {"from", "ADDRESS", "load@client.example", "sender; %s: sequence number", set_from},
    {"to", "ADDRESS", "user%n@example.com", "recipients; %n: 0.. users, %i index, %s", set_to},
    {"users", "N", "1000", "different recipients that %n makes", set_users},
    {"helo", "NAME", "client.example", "name behind EHLO and LHLO", set_helo},
    {"dialect", "LIST", "none", "any, or prdr,deferrals,exdata,... where offered", set_dialect},
    {"dialect-min", "N", "2", NULL, set_dialect_min},
    {"dialect-failures", "N", "0", NULL, set_dialect_failures},
    {"exdata-if-asked", NULL, NULL, NULL, set_exdata_if_asked},
    {"prdr", NULL, NULL, NULL, set_prdr},
    {"bdat", "SIZE", NULL, "BDAT where offered, in chunks of SIZE; 0: one", set_bdat},
    {"pipelining", "LEVEL", "envelope", "none, envelope or full", set_pipelining},
    {"starttls", NULL, NULL, "STARTTLS on smtp:// and lmtp://", set_starttls},
    {"tls-ca", "PATH", NULL, "verify certificates [no verification]", set_tls_ca},
    {"tls-resume", "SHARE", "0", "of TLS connections resume a session", set_tls_resume},
    {"timeout", "LIST", NULL, "PHASE=TIME[:line|:reply|:total],... [RFC 5321]", set_timeout},
    {"retry", "PLAN", "none", "none, fixed:TIME,N or exp:TIME,FACTOR,N", set_retry},
    {"slow-write", "N", NULL, "octets a second that are sent", set_slow_write},
    {"slow-read", "N", NULL, "octets a second that are read", set_slow_read},
    {"rcvbuf", "SIZE", NULL, "receive buffer of a socket", set_rcvbuf},
    {"vanish", "WHEN", NULL, "dot or K (replies)[,close|reset|silent][,SHARE]", set_vanish},
    {"half-close", NULL, NULL, "shut down writing behind QUIT", set_half_close},
    {"reset", NULL, NULL, "end connections by RST, without QUIT", set_reset},
    {"attempts", "FILE", NULL, "a line a try and recipient, for postern-lab", set_attempts},
    {"json", "FILE", NULL, "everything, to be read by compare", set_json},
    {"csv", "FILE", NULL, "one line a second", set_csv},
    {"hgrm", "DIR", NULL, "percentiles of each phase (HdrHistogram text)", set_hgrm},
    {"html", "FILE", NULL, "a page with plots", set_html},
    {"quiet", NULL, NULL, "no progress, only the summary", set_quiet},
    {"lag-limit", "TIME", "1ms", "of our own lag (p99), or it is NOT A RESULT", set_lag_limit},
};
static_assert(ARRAY_COUNT(rows) <= REPORT_PAIRS_MAX, "the report has room for all of them");

void options_print_help(FILE *out)
{
    fputs("usage: postern-load [OPTION]... smtp[s]://HOST[:PORT] | lmtp://HOST[:PORT] |\n"
          "                    smtp+unix:PATH | lmtp+unix:PATH  (each with [,weight=N])\n"
          "       postern-load compare A.json B.json [PAGE.html]\n",
          out);
    for (size_t i = 1; i < ARRAY_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        char left[32];
        if (r->help == NULL)
            continue;
        snprintf(left, sizeof(left), "--%s %s", r->name, r->arg != NULL ? r->arg : "");
        fprintf(out, "  %-21s %s", left, r->help);
        if (r->initial != NULL && strlen(r->initial) < 10)
            fprintf(out, " [%s]", r->initial);
        fputc('\n', out);
    }
    fputs("Exit: 0 all accepted; 1 not all, or an error; 2 usage; 3 no result; 130 stopped\n", out);
}

static struct report_pair *pair_of(struct load_options *o, size_t row_idx)
{
    return &o->pairs[row_idx];
}

static void note(struct load_options *o, size_t row_idx, const char *value)
{
    struct report_pair *pair = pair_of(o, row_idx);
    size_t len = strlen(pair->value);
    bool is_list = rows[row_idx].set == add_target && len > 0;
    pair->name = rows[row_idx].name;
    if (is_list)
        snprintf(pair->value + len, sizeof(pair->value) - len, " %s", value);
    else
        snprintf(pair->value, sizeof(pair->value), "%s", value);
}

static bool apply(struct parser *p, size_t row_idx, const char *value)
{
    p->name = rows[row_idx].name;
    if (!rows[row_idx].set(p, value))
        return false;
    note(p->options, row_idx, value);
    return true;
}

/* "--name", "--name=value"; *ret_value is NULL without "=". */
static bool find_row(const char *word, size_t *ret_idx, const char **ret_value)
{
    size_t len = strcspn(word, "=");
    *ret_value = word[len] == '=' ? word + len + 1 : NULL;
    for (*ret_idx = 0; *ret_idx < ARRAY_COUNT(rows); (*ret_idx)++) {
        const char *name = rows[*ret_idx].name;
        if (strlen(name) == len && memcmp(name, word, len) == 0)
            return true;
    }
    return false;
}

static bool parse_words(struct parser *p, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        size_t row_idx;
        if (strncmp(argv[i], "--", 2) != 0) {
            if (argv[i][0] == '-') {
                snprintf(p->text, p->text_cap, "%s: not an option; see --help", argv[i]);
                return false;
            }
            if (!apply(p, 0, argv[i]))
                return false;
            continue;
        }
        if (!find_row(argv[i] + 2, &row_idx, &value)) {
            snprintf(p->text, p->text_cap, "%s: not an option; see --help", argv[i]);
            return false;
        }
        const struct row *r = &rows[row_idx];
        if ((r->arg == NULL) != (value == NULL) && r->arg == NULL) {
            snprintf(p->text, p->text_cap, "--%s takes no value", r->name);
            return false;
        }
        if (r->arg != NULL && value == NULL && i + 1 < argc)
            value = argv[++i];
        if (r->arg != NULL && value == NULL) {
            snprintf(p->text, p->text_cap, "--%s needs a value: %s", r->name, r->arg);
            return false;
        }
        if (!apply(p, row_idx, value != NULL ? value : "yes"))
            return false;
    }
    return true;
}

/* --- what depends on other options -------------------------------------------------------------
 */

static bool complain(struct parser *p, const char *text)
{
    snprintf(p->text, p->text_cap, "%s", text);
    return false;
}

static bool check_plan(struct parser *p)
{
    struct load_options *o = p->options;
    struct plan_options *plan = &o->plan;
    if (plan->rate <= 0 && plan->shape != PLAN_CLOSED)
        return complain(p, "--shape needs --rate");
    if (plan->rate > 0 && plan->shape == PLAN_CLOSED)
        plan->shape = PLAN_CONSTANT;
    if (plan->rate > 0 && o->think.high > 0)
        return complain(p, "--think is for a closed loop, without --rate");
    bool is_by_count = plan->count > 0;
    if (plan->shape == PLAN_STEP) {
        double steps = plan->rate_step > 0 ? (plan->rate_end - plan->rate) / plan->rate_step : -1;
        if (steps < 0 || steps > 100000)
            return complain(p, "--shape step: LAST is to be above --rate, in steps of more than 0");
        if (plan->duration_ns == 0)
            plan->duration_ns = (floor(steps + 1e-9) + 1) * (double)plan->step_ns;
    } else if (plan->duration_ns == 0 && (!is_by_count || plan->shape == PLAN_RAMP)) {
        plan->duration_ns = 10 * NS_PER_S;
    }
    if (plan->duration_ns > 0 && o->warmup_ns >= plan->duration_ns)
        return complain(p, "--warmup is to be shorter than --duration");
    if (o->drain_ns == CLOCK_NEVER && plan->duration_ns > 0)
        o->drain_ns = 10 * NS_PER_S;
    plan->worker_count = o->worker_count;
    return true;
}

static bool check(struct parser *p)
{
    struct load_options *o = p->options;
    if (o->target_count == 0)
        return complain(p, "no target: smtp://HOST:PORT and others, see --help");
    if (o->slow_write_bytes > 0 && o->uses_starttls)
        return complain(p, "--slow-write is for connections without TLS");
    if (o->worker_count > o->connection_count)
        o->worker_count = o->connection_count;
    if (o->connection_count < o->target_count * o->worker_count)
        return complain(p, "--connections: at least one for each target and worker is needed");
    if (o->in_flight_max == 0 || o->in_flight_max > o->connection_count)
        o->in_flight_max = o->connection_count;
    if (o->in_flight_max < o->worker_count)
        return complain(p, "--in-flight: at least one for each worker is needed");
    o->message.hostname = o->hostname;
    o->message.seed = o->plan.seed;
    return check_plan(p);
}

static void set_defaults(struct load_options *o)
{
    memset(o, 0, sizeof(*o));
    o->drain_ns = CLOCK_NEVER;
    o->message.adds_identity = true;
    o->timeouts.connect_ns = 30 * NS_PER_S;
    o->timeouts.tls_ns = 300 * NS_PER_S;
    o->retry.factor = 1;
    for (uint32_t i = 0; i < CLIENT_PHASE_COUNT; i++)
        o->client.timeouts_ns[i] = client_phase_timeout((enum client_phase)i);
    o->client.timeouts_ns[CLIENT_PHASE_IDLE] = o->client.timeouts_ns[CLIENT_PHASE_CONTENT];
}

enum options_result options_parse(struct load_options *o, int argc, char **argv, char *ret_text,
                                  size_t text_cap)
{
    struct parser p = {.options = o, .text = ret_text, .text_cap = text_cap};
    set_defaults(o);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return OPTIONS_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return OPTIONS_VERSION;
    }
    o->pair_count = ARRAY_COUNT(rows);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        o->pairs[i].name = rows[i].name;
        if (rows[i].initial != NULL && !apply(&p, i, rows[i].initial))
            return OPTIONS_BAD;
    }
    if (!parse_words(&p, argc, argv) || !check(&p))
        return OPTIONS_BAD;
    return OPTIONS_RUN;
}

uint32_t options_seconds_max(const struct load_options *o)
{
    clock_ns drain_ns = u64_min(o->drain_ns, 3600 * NS_PER_S);
    clock_ns length_ns =
        o->plan.duration_ns > 0 ? o->plan.duration_ns + drain_ns : UNKNOWN_LENGTH_NS;
    return (uint32_t)u64_min(length_ns / NS_PER_S + 10, SECONDS_HARD_MAX);
}

void options_deinit(struct load_options *o)
{
    dist_deinit(&o->think);
    dist_deinit(&o->message.size);
    dist_deinit(&o->message.rcpt_count);
    sources_deinit(&o->dial.sources);
}
