/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table.c - the one table of settings: name, type, unit, range, default, meaning.
 *
 * Reading, checking, printing, the reference text, unknown-key errors and the comparison at reload
 * all go over these rows; a setting is added here and nowhere else.
 */
#include "config_table.h"
#include "base/assert.h"
#include "base/limits.h"
#include "policy/policy_build.h"
#include "scan/scan.h"

const struct config_section_row config_sections[CONFIG_SECTION_COUNT] = {
    [CONFIG_TOP] = {"", false, offsetof(struct config, top), "The server as a whole."},
    [CONFIG_SPOOL] = {"spool", false, offsetof(struct config, spool),
                      "Where accepted mail is stored, and how safely."},
    [CONFIG_LOG] = {"log", false, offsetof(struct config, log),
                    "One line for each transaction and each event."},
    [CONFIG_LIMITS] = {"limits", false, offsetof(struct config, limits),
                       "Memory and time. What is counted here is counted for each shard."},
    [CONFIG_LISTENER] = {"listener", true, 0,
                         "listener \"NAME\" { }: an address to listen on. At least one."},
    [CONFIG_CLIENT] = {"client", true, 0,
                       "client \"NAME\" { }: clients that are known to wait for less time than "
                       "others, by network or by the name in their EHLO; either is enough."},
    [CONFIG_CLASS] =
        {"class", true, 0,
         "class \"NAME\" { }: what a group of recipients accepts. \"default\" exists "
         "always. \"postmaster\", when given, is postmaster's in every domain that does not "
         "list him otherwise; a class that rejects or defers all mail never holds for "
         "him."},
    [CONFIG_DOMAIN] =
        {"domain", true, 0,
         "domain \"NAME\" { }: mail for example.org, for subdomains as "
         "*.example.org, for a literal as [192.0.2.1], for every other domain as *. "
         "Mail for domains not served is refused: 550 5.7.1. The nearest entry holds, "
         "whatever its sources know. A domain with letters beyond ASCII is served "
         "in the form given, so list its xn-- form as well. At least one."},
};

static const struct knob_name scan_names[] = {
    {"auto", 0}, {"scalar", 1}, {"sse42", 2}, {"avx2", 3}, {"avx512", 4}, {"neon", 5}, {NULL, 0}};
static const struct knob_name case_names[] = {{"fold", 1}, {"exact", 0}, {NULL, 0}};
static const struct knob_name durability_names[] = {
    {"disk", SPOOL_DISK}, {"os", SPOOL_OS}, {"none", SPOOL_NONE}, {NULL, 0}};
static const struct knob_name offer_names[] = {{"standard", SESSION_OFFER_STANDARD},
                                               {"pipelining", SESSION_OFFER_PIPELINING},
                                               {"8bitmime", SESSION_OFFER_8BITMIME},
                                               {"chunking", SESSION_OFFER_CHUNKING},
                                               {"binarymime", SESSION_OFFER_BINARYMIME},
                                               {"enhancedstatuscodes", SESSION_OFFER_ENHANCED},
                                               {"dsn", SESSION_OFFER_DSN},
                                               {"smtputf8", SESSION_OFFER_SMTPUTF8},
                                               {"size", SESSION_OFFER_SIZE},
                                               {"limits", SESSION_OFFER_LIMITS},
                                               {"prdr", SESSION_OFFER_PRDR},
                                               {"deferrals", SESSION_OFFER_DEFERRALS},
                                               {"exdata", SESSION_OFFER_EXDATA},
                                               {"inline-dsn", SESSION_OFFER_INLINE_DSN},
                                               {"xprdr1", SESSION_OFFER_XPRDR1},
                                               {"adat", SESSION_OFFER_ADAT},
                                               {"xrcpt250", SESSION_OFFER_XRCPT250},
                                               {NULL, 0}};
static const struct knob_name bare_newline_names[] = {{"reject", 0}, {"normalize", 1}, {NULL, 0}};
static const struct knob_name early_names[] = {{"refuse", 1}, {"allow", 0}, {NULL, 0}};
static const struct knob_name mixed_names[] = {
    {"worst", POLICY_MIXED_WORST}, {"one-class", POLICY_MIXED_ONE_CLASS}, {NULL, 0}};
static const struct knob_name on_refusal_names[] = {
    {"quarantine", POLICY_REFUSAL_QUARANTINE}, {"refuse", POLICY_REFUSAL_REFUSE}, {NULL, 0}};
#define NO_RELAY "it needs a relay, which this version does not have"
static const struct knob_refusal mixed_refusals[] = {
    {"accept-and-bounce", NO_RELAY}, {"accept-and-quarantine", NO_RELAY}, {NULL, NULL}};
static const struct knob_refusal offer_refusals[] = {{"xrcpt250b", NO_RELAY}, {NULL, NULL}};
static const struct knob_refusal on_refusal_refusals[] = {{"bounce", NO_RELAY}, {NULL, NULL}};
static const struct knob_refusal action_refusals[] = {
    {"bounce", NO_RELAY}, {"relay", NO_RELAY}, {NULL, NULL}};
static const struct knob_name flag_names[] = {{"bare_cr", SCAN_FLAG_BARE_CR},
                                              {"bare_lf", SCAN_FLAG_BARE_LF},
                                              {"nul", SCAN_FLAG_NUL},
                                              {"high", SCAN_FLAG_HIGH},
                                              {"long_line", SCAN_FLAG_LONG_LINE},
                                              {"no_header_end", SCAN_FLAG_NO_HEADER_END},
                                              {"normalized", SCAN_FLAG_NORMALIZED},
                                              {"loop", SCAN_FLAG_LOOP},
                                              {"unended", SCAN_FLAG_UNENDED},
                                              {NULL, 0}};
static const struct knob_name action_names[] = {
    {"accept", POLICY_ACCEPT},   {"reject", POLICY_REJECT},         {"defer", POLICY_DEFER},
    {"discard", POLICY_DISCARD}, {"quarantine", POLICY_QUARANTINE}, {NULL, 0}};
static const struct knob_name order_names[] = {{"sequential", 0}, {"concurrent", 1}, {NULL, 0}};
static const struct knob_name vanished_names[] = {{"abort", 0}, {"finish", 1}, {NULL, 0}};
static const struct knob_name act_at_names[] = {{"content", 0}, {"rcpt", 1}, {NULL, 0}};

static const struct knob_name pacing_names[] = {
    {"tick", PACING_TICK}, {"batch", PACING_BATCH}, {"eager", PACING_EAGER}, {NULL, 0}};
static const struct knob_name commit_replies_names[] = {{"split", 0}, {"linked", 1}, {NULL, 0}};
static const struct knob_name yes_names[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};

#define HOUR_NS (3600 * NS_PER_S)
#define MINUTE_NS (60 * NS_PER_S)
#define TIB ((uint64_t)1024 * GIB)

#define FIELD(type, member) .offset = offsetof(struct type, member)

const struct knob config_knobs[] = {
    {CONFIG_TOP, KNOB_HOSTNAME, false, "hostname", NULL, FIELD(config_top, hostname),
     .doc = "Own full name, in greeting, replies and Received fields. When it is not given, the "
            "system's, or localhost.localdomain when that is not a full domain name."},
    {CONFIG_TOP, KNOB_COUNT, false, "shards", "auto", FIELD(config_top, shard_count), .min = 1,
     .max = SHARD_COUNT_MAX, .zero_word = "auto",
     .doc = "Threads, each with a ring, connections and a spool log of its own; auto: one for each "
            "processor that the process may use."},
    {CONFIG_TOP, KNOB_CHOICE, false, "scan", "auto", FIELD(config_top, scan), .names = scan_names,
     .doc = "Instruction set of the content scan; refused when the processor lacks it."},
    {CONFIG_TOP, KNOB_PATH, true, "rules", "default", FIELD(config_top, rules_path),
     .zero_word = "default",
     .doc = "File of content rules; default: the GTUBE and EICAR test strings."},
    {CONFIG_TOP, KNOB_TEXT, true, "recipient_delimiter", "", FIELD(config_top, delimiters),
     .min = 0, .max = POLICY_DELIMITERS_MAX,
     .doc = "Characters that separate user from extension, often \"+\": mail for user+extension "
            "goes by user when user+extension is not listed. The first one in an address counts. "
            "Empty: none."},
    {CONFIG_TOP, KNOB_CHOICE, true, "local_part_case", "fold", FIELD(config_top, folds_local),
     .names = case_names,
     .doc = "Whether Alice and alice are one recipient (fold) or two (exact)."},

    {CONFIG_SPOOL, KNOB_PATH, false, "dir", "/var/spool/postern", FIELD(config_spool, dir),
     .doc = "Folder of the spool; one server at a time."},
    {CONFIG_SPOOL, KNOB_CHOICE, false, "durability", "disk", FIELD(config_spool, durability),
     .names = durability_names,
     .doc = "What has happened before a recipient gets 2xx. disk: on stable storage. os: in the "
            "page cache, lost with the power. none: not stored at all, for measuring."},
    {CONFIG_SPOOL, KNOB_CHOICE, false, "commit_replies", "split",
     FIELD(config_spool, links_replies), .names = commit_replies_names,
     .doc = "How the replies to stored messages are sent. split: when the commit is known to have "
            "succeeded. linked: by the kernel itself, in one submission with the commit; they "
            "leave only if it succeeded in full, and no sign of life is sent before."},
    {CONFIG_SPOOL, KNOB_SIZE, false, "segment_size", "64mb", FIELD(config_spool, segment_bytes),
     .min = MIB, .max = GIB, .doc = "Size of one segment file."},
    {CONFIG_SPOOL, KNOB_SIZE, false, "reserve", "16mb", FIELD(config_spool, reserve_bytes),
     .min = MIB, .max = TIB,
     .doc = "Space of the file system that is never used for new mail, so that what was accepted "
            "can be finished."},

    {CONFIG_LOG, KNOB_PATH, true, "to", "stderr", FIELD(config_log, path), .zero_word = "stderr",
     .doc = "File to append to; opened again on SIGHUP."},
    {CONFIG_LOG, KNOB_SIZE, false, "buffer", "1mb", FIELD(config_log, buffer_bytes),
     .min = 64 * KIB, .max = GIB,
     .doc = "Lines that wait while the log is slow, for each shard; what does not fit is dropped "
            "and counted."},

    {CONFIG_LIMITS, KNOB_COUNT, false, "connections", "20000", FIELD(config_limits, conn_count_max),
     .min = 1, .max = 1000000, .doc = "Connections open at once."},
    {CONFIG_LIMITS, KNOB_COUNT, false, "transactions", "16384", FIELD(config_limits, txn_count_max),
     .min = 1, .max = 1000000, .doc = "Messages in progress at once; MAIL gets 452 4.3.0 beyond."},
    {CONFIG_LIMITS, KNOB_COUNT, false, "buffers", "512", FIELD(config_limits, buffer_count),
     .min = 16, .max = 32768, .doc = "Receive buffers of 64 KiB each; a power of two."},
    {CONFIG_LIMITS, KNOB_SIZE, false, "message_memory", "64mb", FIELD(config_limits, message_bytes),
     .min = MIB, .max = TIB,
     .doc = "Memory for content and envelopes that must wait outside of receive buffers."},
    {CONFIG_LIMITS, KNOB_TIME, false, "session_timeout", "4h", FIELD(config_limits, session_ns_max),
     .min = MINUTE_NS, .max = 30 * 24 * HOUR_NS, .doc = "A whole session."},
    {CONFIG_LIMITS, KNOB_TIME, false, "drain", "30s", FIELD(config_limits, drain_ns), .min = 0,
     .max = HOUR_NS, .doc = "How long sessions may finish their messages after SIGTERM."},

    {CONFIG_LISTENER, KNOB_TEXT, false, "address", NULL, FIELD(config_listener, address), .min = 1,
     .max = 256,
     .doc = "smtp://ADDR:PORT, lmtp://ADDR:PORT, smtp+unix:PATH or lmtp+unix:PATH; ADDR is numeric "
            "(IPv6 in brackets) or localhost. LMTP is refused on port 25."},
    {CONFIG_LISTENER, KNOB_FLAGS, false, "offer", "standard", FIELD(config_listener, offers),
     .names = offer_names, .refusals = offer_refusals,
     .doc =
         "Extensions named in the EHLO reply, for example [standard, -prdr]. standard: all up to "
         "exdata. binarymime needs chunking, smtputf8 needs 8bitmime; prdr and xprdr1 need "
         "pipelining and enhancedstatuscodes, deferrals and inline-dsn need pipelining. prdr "
         "and what follows it are ways to answer each recipient, used where a client asks for "
         "one of them; over LMTP, which does so anyway, none of them is offered."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "bare_newline", "reject",
     FIELD(config_listener, bare_newline), .names = bare_newline_names,
     .doc = "A bare LF in content: 550 5.5.2 at its end, or made CRLF. Bare CR and NUL are "
            "always refused, and only CRLF.CRLF ends content."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "early_talkers", "refuse",
     FIELD(config_listener, early_talkers), .names = early_names,
     .doc = "Clients that send before the greeting, or pipeline without being told they may."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "mixed", "worst", FIELD(config_listener, mixed),
     .names = mixed_names, .refusals = mixed_refusals,
     .doc =
         "When one reply must speak for recipients that were decided differently (plain SMTP). "
         "worst: any temporary failure defers all, a refusal beside acceptances follows "
         "on_refusal. one-class: recipients whose class differs from the first get 452 at RCPT."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "on_refusal", "quarantine",
     FIELD(config_listener, on_refusal), .names = on_refusal_names, .refusals = on_refusal_refusals,
     .doc = "quarantine: 2xx for all, the refused recipient's copy is held for the operator. "
            "refuse: 5xx for all."},
    {CONFIG_LISTENER, KNOB_SIZE, false, "size_max", "64mb", FIELD(config_listener, size_max),
     .min = 64 * KIB, .max = TIB, .zero_word = "unlimited",
     .doc = "Largest message, octets with CRLF; offered as SIZE."},
    {CONFIG_LISTENER, KNOB_COUNT, false, "recipients_max", "1000",
     FIELD(config_listener, rcpt_count_max), .min = 100, .max = RCPT_COUNT_HARD_MAX,
     .doc = "Recipients of one message; 452 4.5.3 beyond."},
    {CONFIG_LISTENER, KNOB_COUNT, false, "messages_max", "unlimited",
     FIELD(config_listener, mail_count_max), .min = 1, .max = 999999, .zero_word = "unlimited",
     .doc = "Transactions of one connection; 421 4.7.0 beyond."},
    {CONFIG_LISTENER, KNOB_COUNT, false, "errors_max", "20",
     FIELD(config_listener, error_count_max), .min = 1, .max = 10000,
     .doc = "Bad commands of one connection before 421 4.7.0."},
    {CONFIG_LISTENER, KNOB_COUNT, false, "received_max", "100",
     FIELD(config_listener, received_count_max), .min = 10, .max = 10000,
     .doc = "Received fields before a message counts as looping: 554 5.4.6."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "pacing", "tick", FIELD(config_listener, pacing),
     .names = pacing_names,
     .doc = "When the replies to a message leave. tick: at once, those that are ready together in "
            "one send. batch: all in one send after the last of them is ready, but for an opening "
            "that has to leave before (353, the first line of a list). eager: at once, each in a "
            "send of its own, those to commands as well."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "tcp_nodelay", "yes", FIELD(config_listener, tcp_nodelay),
     .names = yes_names,
     .doc = "no: Nagle's algorithm, as is Linux's own default: a reply that does not fill a "
            "segment waits while another such one is not acknowledged. Not for unix sockets."},
    {CONFIG_LISTENER, KNOB_COUNT, false, "connections_max", "unlimited",
     FIELD(config_listener, conn_count_max), .min = 1, .max = 1000000, .zero_word = "unlimited",
     .doc = "Connections of this listener open at once, for each shard; 421 4.7.0 beyond. The "
            "shard's own limit holds as well."},
    {CONFIG_LISTENER, KNOB_TIME, false, "command_timeout", "5min",
     FIELD(config_listener, command_ns_max), .min = NS_PER_S, .max = 24 * HOUR_NS,
     .doc = "For a complete next command (RFC 5321 4.5.3.2.7: at least 5min)."},
    {CONFIG_LISTENER, KNOB_TIME, false, "block_timeout", "3min",
     FIELD(config_listener, block_ns_max), .min = NS_PER_S, .max = 24 * HOUR_NS,
     .doc = "Between two blocks of content (RFC 5321 4.5.3.2.5: at least 3min)."},
    {CONFIG_LISTENER, KNOB_TIME, false, "content_timeout", "1h",
     FIELD(config_listener, content_ns_max), .min = NS_PER_S, .max = 24 * HOUR_NS,
     .doc = "For the whole content, from 354 to its end."},
    {CONFIG_LISTENER, KNOB_TIME, false, "send_timeout", "5min", FIELD(config_listener, send_ns_max),
     .min = NS_PER_S, .max = 24 * HOUR_NS, .doc = "For the client to take replies."},
    {CONFIG_LISTENER, KNOB_SIZE, false, "rate_min", "100b", FIELD(config_listener, rate_min),
     .min = 1, .max = GIB, .zero_word = "off",
     .doc = "Bytes a second of content, on average, below which a client is too slow: 421 4.4.2."},
    {CONFIG_LISTENER, KNOB_TIME, false, "rate_grace", "1min", FIELD(config_listener, rate_grace_ns),
     .min = NS_PER_S, .max = 24 * HOUR_NS, .doc = "When rate_min begins to count in a message."},
    {CONFIG_LISTENER, KNOB_TIME, false, "reply_budget", "4min",
     FIELD(config_listener, reply_ns_max), .min = NS_PER_S, .max = HOUR_NS,
     .doc = "From the end of the content until everybody has his answer; who has none then gets "
            "451 4.4.7, and nothing of him is stored. Below the shortest patience of clients: many "
            "wait for 5min, RFC 5321 asks for 10min."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "vanished", "abort",
     FIELD(config_listener, finishes_vanished), .names = vanished_names,
     .doc = "When a client is gone (reset, or end of input without QUIT) before its message is on "
            "its way to the disk. abort: nothing is stored. finish: as if nobody had noticed, "
            "which makes duplicates; for experiments."},
    {CONFIG_LISTENER, KNOB_DELAY, false, "content_delay", "off",
     FIELD(config_listener, content_delay), .max = DELAY_NS_MAX,
     .doc = "Work on the content before the first recipient is decided (T0); for experiments. See "
            "delay of a class."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "delay_order", "sequential",
     FIELD(config_listener, works_side_by_side), .names = order_names,
     .doc = "Whether recipients are worked on one after another or all at once."},
    {CONFIG_LISTENER, KNOB_CHOICE, false, "allow_delays", "no",
     FIELD(config_listener, allows_delays), .names = yes_names,
     .doc = "Confirms delay and content_delay where a listener is neither on a loopback address "
            "nor a unix socket; they keep real clients waiting."},
    {CONFIG_LISTENER, KNOB_MODE, false, "unix_mode", "0660", FIELD(config_listener, unix_mode),
     .doc = "Permissions of a unix socket."},

    {CONFIG_CLIENT, KNOB_TEXTS, false, "networks", NULL, FIELD(config_client, networks),
     .doc = "Addresses and networks: [192.0.2.0/24, \"2001:db8::/32\"]."},
    {CONFIG_CLIENT, KNOB_TEXTS, false, "helo", NULL, FIELD(config_client, helos),
     .doc = "Names in EHLO, HELO or LHLO; * stands for any number of characters."},
    {CONFIG_CLIENT, KNOB_TIME, false, "reply_budget", NULL, FIELD(config_client, reply_ns),
     .min = NS_PER_S, .max = HOUR_NS,
     .doc = "Instead of the listener's, where that is longer. The shortest of all that fit holds."},

    {CONFIG_CLASS, KNOB_SIZE, true, "size_max", "unlimited", FIELD(config_class, size_max),
     .min = 1, .max = TIB, .zero_word = "unlimited",
     .doc = "Largest message for these recipients, below the listener's: 552 5.2.3, at RCPT "
            "already when the client declared the size."},
    {CONFIG_CLASS, KNOB_SCORE, true, "score_reject", "15", FIELD(config_class, score_reject),
     .max = 100000000, .doc = "Score of content rules from which on mail is refused: 550 5.7.1."},
    {CONFIG_CLASS, KNOB_SCORE, true, "score_defer", "off", FIELD(config_class, score_defer),
     .max = 100000000, .doc = "Score from which on it is deferred: 451 4.7.1."},
    {CONFIG_CLASS, KNOB_FLAGS, true, "flags_reject", "none", FIELD(config_class, flags_reject),
     .names = flag_names, .doc = "Findings of the scan that are refused."},
    {CONFIG_CLASS, KNOB_CHOICE, true, "action", "accept", FIELD(config_class, action),
     .names = action_names, .refusals = action_refusals,
     .doc = "What happens to mail that passed the tests above. discard: 2xx and not stored. "
            "quarantine: 2xx and held for the operator."},
    {CONFIG_CLASS, KNOB_CHOICE, true, "act_at", "content", FIELD(config_class, acts_at_rcpt),
     .names = act_at_names, .doc = "With action reject and defer: when it is said."},
    {CONFIG_CLASS, KNOB_DELAY, true, "delay", "off", FIELD(config_class, delay),
     .max = DELAY_NS_MAX,
     .doc = "Work on each recipient before his verdict (Tr); for experiments with slow decisions. "
            "A time, or a distribution: uniform:10s-50s, exp:30s. Refused where a listener is open "
            "to others, unless its allow_delays says yes."},
    {CONFIG_CLASS, KNOB_REPLY, true, "reject_reply", "default", FIELD(config_class, reject_reply),
     .min = 500, .max = 559, .status = STATUS_REFUSED_POLICY,
     .doc = "Said for flags_reject, score_reject and action reject."},
    {CONFIG_CLASS, KNOB_REPLY, true, "defer_reply", "default", FIELD(config_class, defer_reply),
     .min = 400, .max = 459, .status = STATUS_DEFERRED_POLICY,
     .doc = "Said for score_defer and action defer."},
    {CONFIG_CLASS, KNOB_REPLY, true, "accept_reply", "default", FIELD(config_class, accept_reply),
     .min = 250, .max = 250, .status = STATUS_STORED,
     .doc = "Said for accept, discard and quarantine; default: stored as QUEUE-ID."},
    {CONFIG_CLASS, KNOB_REPLY, true, "size_reply", "default", FIELD(config_class, size_reply),
     .min = 500, .max = 559, .status = STATUS_TOO_BIG_FOR_RCPT, .doc = "Said for size_max."},

    {CONFIG_DOMAIN, KNOB_TEXTS, true, "recipients", "any", FIELD(config_domain, recipients),
     .doc = "Who is known here, asked in this order: \"file:PATH\" (one \"address [class]\" a "
            "line), \"lmdb:PATH\" (made by posternctl map build), \"address [class]\" itself, and "
            "any, for all others, as the last. Postmaster is always known."},
    {CONFIG_DOMAIN, KNOB_TEXT, true, "class", "default", FIELD(config_domain, class_name), .min = 1,
     .max = TABLE_CLASS_BYTES_MAX, .doc = "For recipients that are listed without a class."},
};
const size_t config_knob_count = ARRAY_COUNT(config_knobs);

void *config_record(const struct config *c, enum config_section section, uint32_t idx)
{
    switch (section) {
    case CONFIG_LISTENER:
        return idx < c->listener_count ? &c->listeners[idx] : NULL;
    case CONFIG_CLIENT:
        return idx < c->client_count ? &c->clients[idx] : NULL;
    case CONFIG_CLASS:
        return idx < c->class_count ? &c->classes[idx] : NULL;
    case CONFIG_DOMAIN:
        return idx < c->domain_count ? &c->domains[idx] : NULL;
    case CONFIG_TOP:
    case CONFIG_SPOOL:
    case CONFIG_LOG:
    case CONFIG_LIMITS:
        return idx == 0 ? (char *)(uintptr_t)c + config_sections[section].offset : NULL;
    case CONFIG_SECTION_COUNT:
        break;
    }
    UNREACHABLE();
}

const char *config_record_name(const struct config *c, enum config_section section, uint32_t idx)
{
    switch (section) {
    case CONFIG_LISTENER:
        return c->listeners[idx].name;
    case CONFIG_CLIENT:
        return c->clients[idx].name;
    case CONFIG_CLASS:
        return c->classes[idx].name;
    case CONFIG_DOMAIN:
        return c->domains[idx].name;
    case CONFIG_TOP:
    case CONFIG_SPOOL:
    case CONFIG_LOG:
    case CONFIG_LIMITS:
    case CONFIG_SECTION_COUNT:
        break;
    }
    UNREACHABLE();
}

const char *config_scan_isa(const struct config *c)
{
    return scan_names[c->top.scan].name;
}
