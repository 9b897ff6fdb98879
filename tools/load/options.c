/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - one row an option: name, argument, what is in force when it is not given, help. The
 * rows make the help text, the parser, and the list of options in the report.
 */
#include "load/options.h"
#include "cli/cli.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNKNOWN_LENGTH_NS (6 * 3600 * NS_PER_S)
#define SECONDS_HARD_MAX 1000000
#define TIME_NS_MAX (1000000 * NS_PER_S)

static struct load_options *of(const struct cli *c)
{
    return c->options;
}

/* --- values ----------------------------------------------------------------------------------- */

static bool read_slice_time(struct slice text, clock_ns *ret_value)
{
    return dist_number_parse(text, DIST_NS, ret_value) && *ret_value <= TIME_NS_MAX;
}

static bool read_time(struct cli *c, const char *value, clock_ns *ret_value)
{
    return cli_time(c, value, 0, TIME_NS_MAX, "at most 1000000 s", ret_value);
}

/* "500", "500/s", "30/m". */
static bool read_rate(struct cli *c, const char *value, double *ret_rate)
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
        return cli_expected(c, value, "a rate: 500/s, 30/m");
    *ret_rate = rate / per;
    return true;
}

static bool read_share(struct cli *c, const char *value, double *ret_share)
{
    char *end;
    *ret_share = strtod(value, &end);
    if (end == value || *end != '\0' || !(*ret_share >= 0 && *ret_share <= 1))
        return cli_expected(c, value, "a share from 0 to 1");
    return true;
}

static bool read_dist(struct cli *c, const char *value, enum dist_unit unit, uint64_t low,
                      uint64_t high, struct dist *ret_dist)
{
    char why[160];
    dist_deinit(ret_dist);
    if (dist_parse(ret_dist, value, unit, low, high, why, sizeof(why)) == 0)
        return true;
    return cli_wrong(c, "--%s %s: %s", c->row->name, value, why);
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

static bool set_connections(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, CONNECTIONS_MAX, &of(c)->connection_count);
}

static bool set_rate(struct cli *c, const char *value)
{
    struct plan_options *plan = &of(c)->plan;
    if (!read_rate(c, value, &plan->rate))
        return false;
    if (plan->rate <= 0)
        return cli_expected(c, value, "more than 0");
    return true;
}

static bool set_shape(struct cli *c, const char *value)
{
    static const char expected[] = "constant, poisson, ramp:RATE or step:BY,EVERY,LAST";
    struct plan_options *plan = &of(c)->plan;
    char word[64];
    const char *at = value;
    struct slice kind = next_piece(&at, ':');
    if (piece_is(kind, "constant") && *at == '\0') {
        plan->shape = PLAN_CONSTANT;
    } else if (piece_is(kind, "poisson") && *at == '\0') {
        plan->shape = PLAN_POISSON;
    } else if (piece_is(kind, "ramp")) {
        plan->shape = PLAN_RAMP;
        return read_rate(c, at, &plan->rate_end);
    } else if (piece_is(kind, "step")) {
        plan->shape = PLAN_STEP;
        if (!read_rate(c, piece_text(next_piece(&at, ','), word, sizeof(word)), &plan->rate_step))
            return false;
        if (!read_slice_time(next_piece(&at, ','), &plan->step_ns) || plan->step_ns == 0)
            return cli_expected(c, value, expected);
        return read_rate(c, at, &plan->rate_end);
    } else {
        return cli_expected(c, value, expected);
    }
    return true;
}

static bool set_duration(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->plan.duration_ns);
}

static bool set_count(struct cli *c, const char *value)
{
    return cli_number(c, value, 1, UINT32_MAX, &of(c)->plan.count);
}

static bool set_warmup(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->warmup_ns);
}

static bool set_drain(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->drain_ns);
}

static bool set_think(struct cli *c, const char *value)
{
    return read_dist(c, value, DIST_NS, 0, 86400 * NS_PER_S, &of(c)->think);
}

static bool set_in_flight(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, CONNECTIONS_MAX, &of(c)->in_flight_max);
}

static bool set_reuse(struct cli *c, const char *value)
{
    return cli_u32(c, value, 0, UINT32_MAX, &of(c)->reuse_max);
}

static bool set_connecting(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, CONNECTIONS_MAX, &of(c)->connect_max);
}

static bool set_workers(struct cli *c, const char *value)
{
    if (strcmp(value, "auto") == 0) {
        long count = sysconf(_SC_NPROCESSORS_ONLN);
        of(c)->worker_count = count > 0 && count < WORKERS_MAX ? (uint32_t)count : 1;
        return true;
    }
    return cli_u32(c, value, 1, WORKERS_MAX, &of(c)->worker_count);
}

static bool set_source(struct cli *c, const char *value)
{
    return sources_parse(&of(c)->dial.sources, value, c->text, c->text_cap);
}

static bool set_seed(struct cli *c, const char *value)
{
    return cli_number(c, value, 0, UINT32_MAX, &of(c)->plan.seed);
}

static bool set_run(struct cli *c, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long run = strtoull(value, &end, 16);
    if (errno != 0 || *end != '\0' || run == 0 || strlen(value) > 16)
        return cli_expected(c, value, "up to 16 hexadecimal digits, not 0");
    of(c)->message.run = run;
    return true;
}

static bool add_target(struct cli *c, const char *value)
{
    struct load_options *o = of(c);
    if (o->target_count == TARGETS_MAX)
        return cli_expected(c, value, "at most 64 targets");
    return target_parse(value, &o->targets[o->target_count++], c->text, c->text_cap);
}

/* --- messages --------------------------------------------------------------------------------- */

static bool set_size(struct cli *c, const char *value)
{
    return read_dist(c, value, DIST_BYTES, 0, MESSAGE_BYTES_MAX, &of(c)->message.size);
}

static bool set_recipients(struct cli *c, const char *value)
{
    return read_dist(c, value, DIST_NUMBER, 1, RCPT_COUNT_HARD_MAX, &of(c)->message.rcpt_count);
}

static bool set_body(struct cli *c, const char *value)
{
    return message_body_parse(value, &of(c)->message.body) ||
           cli_expected(c, value, "text, base64, 8bit, dots, long, empty-lines or worst");
}

static bool set_no_identity(struct cli *c, const char *value)
{
    (void)value;
    of(c)->message.adds_identity = false;
    return true;
}

static bool set_from(struct cli *c, const char *value)
{
    return cli_address(c, value, PATH_UTF8_BYTES_MAX, true, &of(c)->message.sender);
}

static bool set_to(struct cli *c, const char *value)
{
    return cli_address(c, value, PATH_UTF8_BYTES_MAX, false, &of(c)->message.rcpt);
}

static bool set_users(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, UINT32_MAX, &of(c)->message.rcpt_users);
}

/* --- protocol --------------------------------------------------------------------------------- */

static bool set_helo(struct cli *c, const char *value)
{
    if (!cli_hello_name(c, value))
        return false;
    snprintf(of(c)->hostname, sizeof(of(c)->hostname), "%s", value);
    return true;
}

static bool set_prdr(struct cli *c, const char *value)
{
    (void)value;
    of(c)->client.dialects |= SESSION_OFFER_PRDR;
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

static bool set_dialect(struct cli *c, const char *value)
{
    uint32_t dialects = 0;
    if (strcmp(value, "any") == 0)
        dialects = SESSION_OFFER_DIALECTS;
    else if (strcmp(value, "none") != 0)
        for (const char *at = value; *at != '\0';)
            if (!add_dialect(next_piece(&at, ','), &dialects))
                return cli_expected(
                    c, value,
                    "any, none, or some of prdr, deferrals, inline-dsn, exdata, xrcpt250, "
                    "xrcpt250b, xprdr1, adat");
    of(c)->client.dialects = dialects;
    return true;
}

static bool set_dialect_min(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, RCPT_COUNT_HARD_MAX, &of(c)->client.dialect_rcpt_min);
}

static bool set_dialect_failures(struct cli *c, const char *value)
{
    return cli_u32(c, value, 0, UINT32_MAX, &of(c)->dialect_failures_max);
}

static bool set_bdat(struct cli *c, const char *value)
{
    of(c)->client.wants_chunking = true;
    return cli_bytes(c, value, 0, UINT64_MAX, &of(c)->client.chunk_bytes);
}

static bool set_pipelining(struct cli *c, const char *value)
{
    static const char *const names[] = {"none", "envelope", "full"};
    uint32_t level;
    if (!cli_one_of(c, value, names, ARRAY_COUNT(names), "none, envelope or full", &level))
        return false;
    of(c)->client.pipelining = (enum client_pipelining)level;
    return true;
}

static bool set_tls_resume(struct cli *c, const char *value)
{
    return read_share(c, value, &of(c)->tls_resume_share);
}

/* --- behaviour -------------------------------------------------------------------------------- */

static const char *const phase_names[CLIENT_PHASE_COUNT] = {
    "greeting", "hello", "mail", "rcpt", "data", "content", "done", "other", NULL};

static bool set_one_timeout(struct cli *c, struct slice name, clock_ns ns,
                            enum link_restart restart)
{
    struct load_options *o = of(c);
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

static bool set_timeout(struct cli *c, const char *value)
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
            return cli_expected(c, value, expected);
        if (!read_slice_time(slice_first(rest, colon), &ns) || ns == 0 ||
            !set_one_timeout(c, slice_first(item, equals), ns, (enum link_restart)restart))
            return cli_expected(c, value, expected);
    }
    return true;
}

static bool set_retry(struct cli *c, const char *value)
{
    static const char expected[] = "none, fixed:DELAY,TRIES or exp:DELAY,FACTOR,TRIES";
    struct retry_options *r = &of(c)->retry;
    const char *at = value;
    struct slice kind = next_piece(&at, ':');
    char word[64];
    *r = (struct retry_options){.kind = RETRY_NONE, .factor = 1};
    if (piece_is(kind, "none") && *at == '\0')
        return true;
    r->kind = piece_is(kind, "exp") ? RETRY_EXP : RETRY_FIXED;
    if (r->kind == RETRY_FIXED && !piece_is(kind, "fixed"))
        return cli_expected(c, value, expected);
    if (!read_slice_time(next_piece(&at, ','), &r->delay_ns))
        return cli_expected(c, value, expected);
    if (r->kind == RETRY_EXP) {
        char *end;
        r->factor = strtod(piece_text(next_piece(&at, ','), word, sizeof(word)), &end);
        if (*end != '\0' || end == word || !(r->factor >= 1 && r->factor <= 1000))
            return cli_expected(c, value, expected);
    }
    return cli_u32(c, at, 1, 1000, &r->count_max);
}

static bool set_slow_write(struct cli *c, const char *value)
{
    return cli_bytes(c, value, 0, UINT64_MAX, &of(c)->slow_write_bytes);
}

static bool set_slow_read(struct cli *c, const char *value)
{
    return cli_bytes(c, value, 0, UINT64_MAX, &of(c)->slow_read_bytes);
}

static bool set_rcvbuf(struct cli *c, const char *value)
{
    uint64_t bytes;
    if (!cli_bytes(c, value, 0, INT32_MAX, &bytes))
        return false;
    of(c)->dial.receive_bytes = (uint32_t)bytes;
    return true;
}

static bool set_vanish(struct cli *c, const char *value)
{
    struct load_options *o = of(c);
    const char *at = value;
    char word[64];
    struct slice when = next_piece(&at, ',');
    o->vanish_share = 1;
    o->vanish_replies = 0;
    o->vanish_how = LINK_HOW_CLOSE;
    if (!piece_is(when, "dot") && !cli_u32(c, piece_text(when, word, sizeof(word)), 0,
                                           RCPT_COUNT_HARD_MAX, &o->vanish_replies))
        return cli_expected(c, value, "dot or a number of replies[,close|reset|silent][,SHARE]");
    while (*at != '\0') {
        struct slice piece = next_piece(&at, ',');
        if (piece_is(piece, "reset"))
            o->vanish_how = LINK_HOW_RESET;
        else if (piece_is(piece, "silent"))
            o->vanish_how = LINK_HOW_SILENT;
        else if (!piece_is(piece, "close") &&
                 !read_share(c, piece_text(piece, word, sizeof(word)), &o->vanish_share))
            return cli_expected(c, value,
                                "dot or a number of replies[,close|reset|silent][,SHARE]");
    }
    return true;
}

/* --- output ----------------------------------------------------------------------------------- */

static bool set_lag_limit(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->lag_limit_ns);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct cli_row rows[] = {
    {"target", "URL", NULL, "another target; with several, traffic goes by weight", add_target, 0},
    {"connections", "N", "10", "connections; in an open loop the most there may be",
     set_connections, 0},
    {"rate", "N/s", NULL, "open loop at this rate (closed loop without it)", set_rate, 0},
    {"shape", "SHAPE", NULL, "constant, poisson, ramp:RATE, step:BY,EVERY,LAST", set_shape, 0},
    {"duration", "TIME", NULL, "how long messages are started [10s, or see --count]", set_duration,
     0},
    {"count", "N", NULL, "how many messages are started", set_count, 0},
    {"warmup", "TIME", "0s", "left out of the figures, at the start", set_warmup, 0},
    {"drain", "TIME", NULL, "for what is open at the end [10s; with --count: all]", set_drain, 0},
    {"think", "DIST", "0s", "pause of a connection in a closed loop", set_think, 0},
    {"in-flight", "N", NULL, "transactions at a time [as many as connections]", set_in_flight, 0},
    {"reuse", "N", "0", "messages a connection; 0: no limit", set_reuse, 0},
    {"preconnect", NULL, NULL, "make all connections before the start",
     CLI_FLAG(struct load_options, preconnects)},
    {"connecting", "N", "256", "connections being made at a time", set_connecting, 0},
    {"workers", "N|auto", "1", "threads; each has its share of everything", set_workers, 0},
    {"source", "LIST", NULL, "connect from these: 127.0.0.2-127.0.0.50,...", set_source, 0},
    {"seed", "N", "1", "for everything that is drawn", set_seed, 0},
    {"run", "HEX", NULL, "the run's identity [from the clock]", set_run, 0},
    {"size", "DIST", "1k", "N uniform:A-B exp:M lognormal:M,S file:F", set_size, 0},
    {"recipients", "DIST", "1", "recipients of a message", set_recipients, 0},
    {"body", "KIND", "text", "text base64 8bit dots long empty-lines worst", set_body, 0},
    {"corpus", "PATH", NULL, "messages from a folder, a Maildir or an mbox",
     CLI_TEXT(struct load_options, message.corpus)},
    {"no-identity", NULL, NULL, "add no field to messages of a corpus", set_no_identity, 0},
    {"from", "ADDRESS", "load@client.example", "sender; %s: sequence number", set_from, 0},
    {"to", "ADDRESS", "user%n@example.com", "recipients; %n: 0.. users, %i index, %s", set_to, 0},
    {"users", "N", "1000", "different recipients that %n makes", set_users, 0},
    {"helo", "NAME", "client.example", "name behind EHLO and LHLO", set_helo, 0},
    {"dialect", "LIST", "none", "any, or prdr,deferrals,exdata,... where offered", set_dialect, 0},
    {"dialect-min", "N", "2", NULL, set_dialect_min, 0},
    {"dialect-failures", "N", "0", NULL, set_dialect_failures, 0},
    {"exdata-if-asked", NULL, NULL, NULL,
     CLI_FLAG(struct load_options, client.heeds_exdata_only_if_asked)},
    {"prdr", NULL, NULL, NULL, set_prdr, 0},
    {"bdat", "SIZE", NULL, "BDAT where offered, in chunks of SIZE; 0: one", set_bdat, 0},
    {"pipelining", "LEVEL", "envelope", "none, envelope or full", set_pipelining, 0},
    {"starttls", NULL, NULL, "STARTTLS on smtp:// and lmtp://",
     CLI_FLAG(struct load_options, uses_starttls)},
    {"tls-ca", "PATH", NULL, "verify certificates [no verification]",
     CLI_TEXT(struct load_options, tls_ca)},
    {"tls-resume", "SHARE", "0", "of TLS connections resume a session", set_tls_resume, 0},
    {"timeout", "LIST", NULL, "PHASE=TIME[:line|:reply|:total],... [RFC 5321]", set_timeout, 0},
    {"retry", "PLAN", "none", "none, fixed:TIME,N or exp:TIME,FACTOR,N", set_retry, 0},
    {"slow-write", "N", NULL, "octets a second that are sent", set_slow_write, 0},
    {"slow-read", "N", NULL, "octets a second that are read", set_slow_read, 0},
    {"rcvbuf", "SIZE", NULL, "receive buffer of a socket", set_rcvbuf, 0},
    {"vanish", "WHEN", NULL, "dot or K (replies)[,close|reset|silent][,SHARE]", set_vanish, 0},
    {"half-close", NULL, NULL, "shut down writing behind QUIT",
     CLI_FLAG(struct load_options, half_closes)},
    {"reset", NULL, NULL, "end connections by RST, without QUIT",
     CLI_FLAG(struct load_options, resets)},
    {"attempts", "FILE", NULL, "a line a try and recipient, for postern-lab",
     CLI_TEXT(struct load_options, attempts_path)},
    {"json", "FILE", NULL, "everything, to be read by compare",
     CLI_TEXT(struct load_options, json_path)},
    {"csv", "FILE", NULL, "one line a second", CLI_TEXT(struct load_options, csv_path)},
    {"hgrm", "DIR", NULL, "percentiles of each phase (HdrHistogram text)",
     CLI_TEXT(struct load_options, hgrm_path)},
    {"html", "FILE", NULL, "a page with plots", CLI_TEXT(struct load_options, html_path)},
    {"quiet", NULL, NULL, "no progress, only the summary", CLI_FLAG(struct load_options, is_quiet)},
    {"lag-limit", "TIME", "1ms", "of our own lag (p99), or it is NOT A RESULT", set_lag_limit, 0},
};
static_assert(ARRAY_COUNT(rows) <= REPORT_PAIRS_MAX, "the report has room for all of them");

void options_print_help(FILE *out)
{
    fputs("usage: postern-load [OPTION]... smtp[s]://HOST[:PORT] | lmtp://HOST[:PORT] |\n"
          "                    smtp+unix:PATH | lmtp+unix:PATH  (each with [,weight=N])\n"
          "       postern-load compare A.json B.json [PAGE.html]\n",
          out);
    cli_print_rows(out, rows + 1, ARRAY_COUNT(rows) - 1, 21);
    fputs("Exit: 0 all accepted; 1 not all, or an error; 2 usage; 3 no result; 130 stopped\n", out);
}

static void note(struct load_options *o, size_t row_idx, const char *value)
{
    struct report_pair *pair = &o->pairs[row_idx];
    size_t len = strlen(pair->value);
    bool is_list = rows[row_idx].set == add_target && len > 0;
    pair->name = rows[row_idx].name;
    if (is_list)
        snprintf(pair->value + len, sizeof(pair->value) - len, " %s", value);
    else
        snprintf(pair->value, sizeof(pair->value), "%s", value);
}

/* A plain word is a target. */
static bool take(struct cli *c, const char *value)
{
    if (c->row == NULL)
        c->row = &rows[0];
    if (!c->row->set(c, value))
        return false;
    note(of(c), (size_t)(c->row - rows), value);
    return true;
}

/* --- what depends on other options ------------------------------------------------------------ */

static bool check_plan(struct cli *c)
{
    struct load_options *o = of(c);
    struct plan_options *plan = &o->plan;
    if (plan->rate <= 0 && plan->shape != PLAN_CLOSED)
        return cli_wrong(c, "--shape needs --rate");
    if (plan->rate > 0 && plan->shape == PLAN_CLOSED)
        plan->shape = PLAN_CONSTANT;
    if (plan->rate > 0 && o->think.high > 0)
        return cli_wrong(c, "--think is for a closed loop, without --rate");
    bool is_by_count = plan->count > 0;
    if (plan->shape == PLAN_STEP) {
        double steps = plan->rate_step > 0 ? (plan->rate_end - plan->rate) / plan->rate_step : -1;
        if (steps < 0 || steps > 100000)
            return cli_wrong(c,
                             "--shape step: LAST is to be above --rate, in steps of more than 0");
        if (plan->duration_ns == 0)
            plan->duration_ns = (floor(steps + 1e-9) + 1) * (double)plan->step_ns;
    } else if (plan->duration_ns == 0 && (!is_by_count || plan->shape == PLAN_RAMP)) {
        plan->duration_ns = 10 * NS_PER_S;
    }
    if (plan->duration_ns > 0 && o->warmup_ns >= plan->duration_ns)
        return cli_wrong(c, "--warmup is to be shorter than --duration");
    if (o->drain_ns == CLOCK_NEVER && plan->duration_ns > 0)
        o->drain_ns = 10 * NS_PER_S;
    plan->worker_count = o->worker_count;
    return true;
}

static bool check(struct cli *c)
{
    struct load_options *o = of(c);
    if (o->target_count == 0)
        return cli_wrong(c, "no target: smtp://HOST:PORT and others, see --help");
    if (o->slow_write_bytes > 0 && o->uses_starttls)
        return cli_wrong(c, "--slow-write is for connections without TLS");
    if (o->worker_count > o->connection_count)
        o->worker_count = o->connection_count;
    if (o->connection_count < o->target_count * o->worker_count)
        return cli_wrong(c, "--connections: at least one for each target and worker is needed");
    if (o->in_flight_max == 0 || o->in_flight_max > o->connection_count)
        o->in_flight_max = o->connection_count;
    if (o->in_flight_max < o->worker_count)
        return cli_wrong(c, "--in-flight: at least one for each worker is needed");
    o->message.hostname = o->hostname;
    o->message.seed = o->plan.seed;
    return check_plan(c);
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
    struct cli c = {.options = o, .text = ret_text, .text_cap = text_cap};
    set_defaults(o);
    switch (cli_asked(argc, argv)) {
    case CLI_HELP:
        return OPTIONS_HELP;
    case CLI_VERSION:
        return OPTIONS_VERSION;
    case CLI_NOTHING:
        break;
    }
    o->pair_count = ARRAY_COUNT(rows);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        o->pairs[i].name = rows[i].name;
    if (!cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, take) || !check(&c))
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
