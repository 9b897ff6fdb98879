/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_test.c - the client machine against canned servers: who owns what when the conversation is
 * cut after each reply and at each byte (PRDR-29, LMTP-20), the table of PRDR-35, garbage, 3xx,
 * repeats (LMTP-21), timeouts; the tables of DEF-17, EXD-15 and HOL-11. Replies need no enhanced
 * code (PRDR-3), any code of a class is good (CORE-5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/client.h"
#include <stdio.h>

#define RCPTS 3
#define REPLIES_MAX 24

/* Fates as text: D done, R requeue, F fail. */
struct row {
    const char *name;
    enum client_protocol protocol;
    uint32_t dialects;
    const char *keyword; /* the dialect that is offered */
    enum client_pipelining pipelining;
    uint64_t chunk_bytes;             /* 0: DATA */
    const char *replies[REPLIES_MAX]; /* after EHLO: one whole reply each; the end is a cut */
    const char *fates;
    enum client_error error; /* NONE: the connection is still open */
};

#define S CLIENT_SMTP, 0, "PRDR"
#define P CLIENT_SMTP, SESSION_OFFER_PRDR, "PRDR"
#define L CLIENT_LMTP, 0, "PRDR"
#define D CLIENT_SMTP, SESSION_OFFER_DIALECTS, "DEFERRALS"
#define X CLIENT_SMTP, SESSION_OFFER_DIALECTS, "EXDATA"
#define XX CLIENT_SMTP, SESSION_OFFER_DIALECTS, "XEXDATA"
#define U CLIENT_SMTP, 0, "XEXDATA"
#define W CLIENT_SMTP, SESSION_OFFER_DIALECTS, "XRCPT250"
#define B CLIENT_SMTP, SESSION_OFFER_DIALECTS, "XRCPT250B"
#define N CLIENT_SMTP, SESSION_OFFER_DIALECTS, "INLINE-DSN"
#define A CLIENT_SMTP, SESSION_OFFER_DIALECTS, "XPRDR1"
#define T CLIENT_SMTP, SESSION_OFFER_DIALECTS, "ADAT"
#define ENV CLIENT_PIPELINE_ENVELOPE, 0
#define STEP CLIENT_PIPELINE_NONE, 0
#define FULL CLIENT_PIPELINE_FULL, 5
/* Replies to MAIL and three RCPT; and to DATA; the same, the first and the third RCPT's put off. */
#define SENT "250 ok", "250 ok", "250 ok", "250 ok"
#define HEAD SENT, "354 go"
#define LISTED "250 ok", "352 l", "250 ok", "352 l", "354 go"
/* How it ends. */
#define OPEN CLIENT_ERROR_NONE
#define WRONG CLIENT_ERROR_PROTOCOL
#define BYE CLIENT_ERROR_REFUSED

/* clang-format off */
static const struct row rows[] = {
    /* plain SMTP */
    {"accepted", S, ENV, {HEAD, "250 ok"}, "DDD", OPEN},
    {"accepted, step by step", S, STEP, {HEAD, "250 ok"}, "DDD", OPEN},
    {"deferred", S, ENV, {HEAD, "451 no"}, "RRR", OPEN},
    {"refused", S, ENV, {HEAD, "554 5.6.0 no"}, "FFF", OPEN},
    {"mixed RCPT", S, ENV,
     {"250 ok", "550 no", "450 no", "250 ok", "354 go", "250 ok"}, "FRD", OPEN},
    {"552 to RCPT is 452", S, ENV,
     {"250 ok", "552 no", "250 ok", "250 ok", "354 go", "250 ok"}, "RDD", OPEN},
    {"552 to RCPT by its enhanced code", S, ENV,
     {"250 ok", "552 5.2.3 too big", "552 5.5.3 too many", "250 ok", "354 go",
      "250 ok"}, "FRD", OPEN},
    {"MAIL refused, group", S, ENV,
     {"550 no", "503 no", "503 no", "503 no", "503 no"}, "FFF", OPEN},
    {"MAIL deferred, steps", S, STEP, {"451 no"}, "RRR", OPEN},
    {"MAIL refused, yet 354", S, ENV,
     {"550 no", "503 no", "503 no", "503 no", "354 go", "250 ok"}, "FFF", OPEN},
    {"all RCPT refused, group", S, ENV,
     {"250 ok", "550 no", "550 no", "450 no", "554 no", "250 reset"}, "FFR", OPEN},
    {"all RCPT refused, 354 all the same (CORE-21)", S, ENV,
     {"250 ok", "550 no", "550 no", "450 no", "354 go", "250 ok"}, "FFR", OPEN},
    {"all RCPT refused, steps", S, STEP,
     {"250 ok", "550 no", "550 no", "450 no", "250 reset"}, "FFR", OPEN},
    {"DATA refused", S, ENV,
     {"250 ok", "250 ok", "250 ok", "550 no", "452 no", "250 reset"}, "RRF", OPEN},
    {"any code of its class (CORE-5)", S, ENV,
     {"259 a", "251 b", "499 c", "556 d", "354 go", "299 e"}, "DRF", OPEN},
    {"521 to MAIL (CORE-31)", S, STEP, {"521 no mail"}, "FFF", OPEN},
    {"556 to RCPT (CORE-31)", S, ENV,
     {"250 ok", "556 5.1.10 null MX", "250 ok", "250 ok", "354 go", "250 ok"}, "FDD", OPEN},
    {"421 to RCPT", S, ENV, {"250 ok", "250 ok", "421 bye"}, "RRR", BYE},
    {"421 at the end", S, ENV, {HEAD, "421 bye"}, "RRR", BYE},
    {"353 to who did not ask (PRDR-40)", S, ENV, {HEAD, "353 x"}, "RRR", WRONG},
    {"354 again", S, ENV, {HEAD, "354 x"}, "RRR", WRONG},
    {"352 to RCPT", S, ENV, {"250 ok", "352 x"}, "RRR", WRONG},
    {"250 to DATA", S, ENV, {SENT, "250 x"}, "RRR", WRONG},
    {"558 unasked is 5xx for all (EXD-4)", S, ENV, {HEAD, "558-250 a\r\n558 550 b"}, "FFF", OPEN},
    {"garbage", S, ENV, {HEAD, "abc"}, "RRR", WRONG},
    {"codes differ in one reply", S, ENV, {HEAD, "250-a\r\n251 b"}, "RRR", WRONG},
    {"bare LF in a reply", S, ENV, {HEAD, "250 a\n250 b"}, "RRR", WRONG},
    {"multi-line", S, ENV, {HEAD, "250-a\r\n250-b\r\n250 c"}, "DDD", OPEN},
    {"bytes after the final (PRDR-38)", S, ENV, {HEAD, "250 ok", "250 what"}, "DDD", WRONG},
    {"421 while idle", S, ENV, {HEAD, "250 ok", "421 bye"}, "DDD", BYE},
    /* PRDR */
    {"single 2xx", P, ENV, {HEAD, "250 ok"}, "DDD", OPEN},
    {"single 4xx", P, ENV, {HEAD, "450 no"}, "RRR", OPEN},
    {"single 5xx", P, ENV, {HEAD, "550 no"}, "FFF", OPEN},
    {"final 2xx (PRDR-35)", P, ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "250 f"}, "DRF", OPEN},
    {"final 4xx (PRDR-35)", P, ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "450 f"}, "RRF", OPEN},
    {"final 5xx (PRDR-35)", P, ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "554 f"}, "FFF", OPEN},
    {"final 2xx with nobody in it", P, ENV,
     {HEAD, "353 x", "450 a", "450 b", "550 c", "250 some"}, "RRF", OPEN},
    {"multi-line individual (PRDR-19)", P, ENV,
     {HEAD, "353-x\r\n353 y", "250 a", "550-b\r\n550 b", "250 c", "250 f"}, "DFD", OPEN},
    {"refused RCPT has no line (PRDR-18)", P, ENV,
     {"250 ok", "250 ok", "550 no", "250 ok", "354 go", "353 x", "250 a", "450 c",
      "250 f"}, "DFR", OPEN},
    {"block of one (PRDR-15)", P, ENV,
     {"250 ok", "550 no", "550 no", "250 ok", "354 go", "353 x", "250 c", "250 f"}, "FFD", OPEN},
    {"opener 354 (PRDR-34)", P, ENV, {HEAD, "354 x"}, "RRR", WRONG},
    {"opener 299", P, ENV, {HEAD, "299 x"}, "DDD", OPEN},
    {"opener abc", P, ENV, {HEAD, "abc"}, "RRR", WRONG},
    {"individual 3xx (PRDR-38)", P, ENV, {HEAD, "353 x", "550 a", "353 b"}, "RRR", WRONG},
    {"individual 421", P, ENV, {HEAD, "353 x", "550 a", "421 b"}, "RRR", BYE},
    {"final 421", P, ENV, {HEAD, "353 x", "250 a", "451 b", "451 c", "421 f"}, "RRR", BYE},
    {"one line too many (PRDR-38)", P, ENV,
     {HEAD, "353 x", "250 a", "250 b", "250 c", "250 f", "250 g"}, "DDD", WRONG},
    /* LMTP */
    {"each his own (LMTP-19)", L, ENV, {HEAD, "250 a", "451 b", "550 c"}, "DRF", OPEN},
    {"multi-line is one (LMTP-7)", L, ENV, {HEAD, "250-a\r\n250 a", "550 b", "250 c"}, "DFD", OPEN},
    {"3xx in the block (LMTP-25)", L, ENV, {HEAD, "250 a", "353 b"}, "DRR", WRONG},
    {"421 in the block", L, ENV, {HEAD, "250 a", "421 b"}, "DRR", BYE},
    {"DATA refused is one reply (LMTP-15)", L, ENV, {SENT, "550 no", "250 reset"}, "FFF", OPEN},
    {"354 with nobody (LMTP-6)", L, ENV,
     {"250 ok", "550 a", "550 b", "550 c", "354 go"}, "FFF", WRONG},
    /* DEFERRALS: what follows is about those answered 352 */
    {"each his own (DEF-10)", D, ENV, {LISTED, "353 x", "550 a", "452 c", "250 f"}, "FDR", OPEN},
    {"all 352 are recipients (DEF-8)", D, STEP,
     {"250 ok", "352 l", "352 l", "352 l", "354 go", "353 x", "250 a", "452 b", "550 c",
      "250 f"}, "DRF", OPEN},
    {"single form 2xx (DEF-9)", D, ENV, {LISTED, "250 f"}, "DDD", OPEN},
    {"single form 5xx (DEF-9)", D, ENV,
     {"250 ok", "352 l", "450 no", "352 l", "354 go", "550 f"}, "FRF", OPEN},
    {"final 4xx: those accepted by RCPT come again (DEF-15, DEF-17)", D, ENV,
     {LISTED, "353 x", "550 a", "250 c", "452 f"}, "FRR", OPEN},
    {"final 5xx", D, ENV, {LISTED, "353 x", "450 a", "250 c", "554 f"}, "FFF", OPEN},
    {"multi-line individual (DEF-11)", D, ENV,
     {LISTED, "353 x", "550-a\r\n550 a", "250 c", "250 f"}, "FDD", OPEN},
    {"353 with nobody listed (DEF-10)", D, ENV, {HEAD, "353 x"}, "RRR", WRONG},
    {"352 again (DEF-11)", D, ENV, {LISTED, "353 x", "352 a"}, "RRR", WRONG},
    {"353 to RCPT", D, ENV, {"250 ok", "353 l"}, "RRR", WRONG},
    {"352 behind a refused MAIL", D, ENV, {"550 no", "352 l"}, "FFF", WRONG},
    {"352 where PRDR was asked for", P, ENV, {"250 ok", "352 l"}, "RRR", WRONG},
    {"chunks, then the block (DEF-22)", D, FULL,
     {"250 ok", "352 l", "250 ok", "550 no", "250 5", "250 5", "353 x", "450 a",
      "250 f"}, "RDF", OPEN},
    /* EXDATA: each complete reply inside 558 counts at once */
    {"EXDATA sheet section 5", X, ENV,
     {HEAD, "558-250 stored for ann", "558-550-bob refuses this\r\n558-550 see his policy page",
      "558 452 cid is over quota"}, "DFR", OPEN},
    {"by its other name (EXD-2)", XX, ENV,
     {HEAD, "558-250 a", "558-550 b", "558 452 c"}, "DFR", OPEN},
    {"unasked, from who offers it (EXDATA sheet section 4)", U, ENV,
     {HEAD, "558-250-<a@b>:\r\n558-250 a", "558-550 b", "558 250 c"}, "DFD", OPEN},
    {"unasked, from who offers it, an ordinary 558", U, ENV, {HEAD, "558 no"}, "FFF", OPEN},
    {"plain 2xx (EXD-10)", X, ENV, {HEAD, "250 a"}, "DDD", OPEN},
    {"plain 5xx (EXD-5)", X, ENV, {HEAD, "554 a"}, "FFF", OPEN},
    {"all 2xx inside (EXD-10)", X, ENV, {HEAD, "558-250 a", "558-250 b", "558 250 c"}, "DDD", OPEN},
    {"refused RCPT has none (EXD-9)", X, ENV,
     {"250 ok", "250 ok", "450 no", "250 ok", "354 go", "558-550 a", "558 250 c"}, "FRD", OPEN},
    {"too few (EXD-17)", X, ENV, {HEAD, "558-250 a", "558 550 b"}, "DFR", OPEN},
    {"surplus line (EXD-17)", X, ENV,
     {"250 ok", "250 ok", "250 ok", "550 no", "354 go", "558-250 a", "558-250 b",
      "558-250 c"}, "DDF", WRONG},
    {"codes differ within one (EXD-18)", X, ENV,
     {HEAD, "558-250 a", "558-450-b\r\n558-550 b", "558 250 c"}, "DRD", OPEN},
    {"last line goes on (EXD-8)", X, ENV,
     {HEAD, "558-250 a", "558-550 b", "558 250-c"}, "DFR", WRONG},
    {"no code inside", X, ENV, {HEAD, "558-250 a", "558-what"}, "DRR", WRONG},
    {"3xx inside", X, ENV, {HEAD, "558-250 a", "558-354 b"}, "DRR", WRONG},
    {"outer code changes", X, ENV, {HEAD, "558-250 a", "550-250 b"}, "DRR", WRONG},
    {"353 where EXDATA was asked for", X, ENV, {HEAD, "353 x"}, "RRR", WRONG},
    {"558 in place of 354 is an ordinary one (EXD-6)", X, ENV,
     {SENT, "558-250 a\r\n558 550 b", "250 reset"}, "FFF", OPEN},
    {"558 after BDAT LAST (EXD-6)", X, FULL,
     {SENT, "250 5", "250 5", "558-250 a", "558-452 b", "558 550 c"}, "DRF", OPEN},
    /* the wrapped 250 list, reading A */
    {"Holzer sheet section 6", W, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-250 2.1.5 ann stored",
      "250-550-5.7.1 bob refuses\r\n250-550 5.7.1 see policy", "250-452 4.2.2 cid over quota",
      "250 2.0.0 +END"}, "DFR", OPEN},
    {"signs of life (HOL-10)", W, ENV,
     {HEAD, "250-2.0.0 +RCPT 3\r\n250-000 working", "250-000 working\r\n250-250 a",
      "250-000\r\n250-450 b", "250-550 c", "250-000 working\r\n250 2.0.0 +END"}, "DRF", OPEN},
    {"ordinary 250 (HOL-17)", W, ENV, {HEAD, "250 ok"}, "DDD", OPEN},
    {"ordinary 250 of lines (HOL-17)", W, ENV, {HEAD, "250-ok\r\n250 ok"}, "DDD", OPEN},
    {"ordinary 4xx", W, ENV, {HEAD, "451-no\r\n451 no"}, "RRR", OPEN},
    {"ordinary 5xx", W, ENV, {HEAD, "554 no"}, "FFF", OPEN},
    {"another number (HOL-5)", W, ENV, {HEAD, "250-2.0.0 +RCPT 4"}, "RRR", WRONG},
    {"no number", W, ENV, {HEAD, "250-2.0.0 +RCPT "}, "RRR", WRONG},
    {"surplus line (HOL-18)", W, ENV,
     {"250 ok", "250 ok", "550 no", "250 ok", "354 go", "250-2.0.0 +RCPT 2", "250-250 a",
      "250-550 c", "250-250 d"}, "DFF", WRONG},
    {"list ends early", W, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-250 a", "250 2.0.0 +END"}, "DRR", WRONG},
    {"outer code changes (HOL-18)", W, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-250 a", "550-250 b"}, "DRR", WRONG},
    {"reply ends without +END", W, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-250 a", "250-250 b", "250 250 c"}, "DDR", WRONG},
    {"wrapped after BDAT LAST", W, FULL,
     {SENT, "250 5", "250 5", "250-2.0.0 +RCPT 3", "250-250 a", "250-452 b", "250-550 c",
      "250 2.0.0 +END"}, "DRF", OPEN},
    {"unasked it is a plain 250", S, ENV,
     {HEAD,
      "250-2.0.0 +RCPT 3\r\n250-550 a\r\n250-550 b\r\n250-550 c\r\n250 2.0.0 +END"}, "DDD", OPEN},
    /* reading B: with the opening line all is theirs but what is refused in the rest (HOL-12) */
    {"B: whole list", B, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-250 a", "250-550 b", "250-452 c",
      "250 2.0.0 +END"}, "DFR", OPEN},
    {"B: list ends early", B, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-550 a", "250 2.0.0 +END"}, "FDD", WRONG},
    {"B: no opening line", B, ENV, {HEAD, "250-2.0.0 +RCPT 2"}, "RRR", WRONG},
    {"B: single form", B, ENV, {HEAD, "451 no"}, "RRR", OPEN},
    {"B: garbage in the list (HOL-18)", B, ENV,
     {HEAD, "250-2.0.0 +RCPT 3", "250-452 a", "251-250 b"}, "RDD", WRONG},
    {"B: cut (HOL-12)", B, ENV,
     {"250 ok", "250 ok", "550 no", "250 ok", "354 go", "250-2.0.0 +RCPT 2", "250-550 a",
      "421 b"}, "FFD", WRONG},
    /* INLINE-DSN: the list ends in 250, or was not read */
    {"INLINE-DSN sheet (INL-1)", N, ENV,
     {LISTED, "353 x", "550 a", "452 c", "250 end"}, "FDR", OPEN},
    {"all refused, and 250 (INL-6)", N, ENV,
     {"250 ok", "352 l", "352 l", "550 c", "354 go", "353 x", "550 a", "552 b",
      "250 end"}, "FFF", OPEN},
    {"single refusal (INL-6)", N, ENV, {LISTED, "451 no"}, "RRR", OPEN},
    {"no 250 at the end (INL-5)", N, ENV,
     {LISTED, "353 x", "550 a", "250 c", "554 no"}, "RRR", WRONG},
    /* Assmann's variant: no opener, no single form (OTH-11, OTH-12) */
    {"each, then the final", A, ENV, {HEAD, "250 a", "450 b", "550 c", "250 f"}, "DRF", OPEN},
    {"final 4xx", A, ENV, {HEAD, "250 a", "250 b", "550 c", "450 f"}, "RRF", OPEN},
    {"final 5xx", A, ENV, {HEAD, "250 a", "450 b", "550 c", "554 f"}, "FFF", OPEN},
    {"353 has no place", A, ENV, {HEAD, "353 x"}, "RRR", WRONG},
    {"DATA refused is one reply", A, ENV, {SENT, "451 no", "250 reset"}, "RRR", OPEN},
    {"chunks, then each", A, FULL,
     {SENT, "250 5", "250 5", "250 a", "550 b", "250 c", "250 f"}, "DFD", OPEN},
    /* ADAT: recipients after the content; all or none with ERCP (OTH-7) */
    {"each DRCP, then ERCP", T, ENV,
     {"250 ok", "354 go", "355 x", "250 a", "550 b", "450 c", "250 all"}, "DFR", OPEN},
    {"one by one", T, STEP,
     {"250 ok", "354 go", "355 x", "250 a", "550 b", "450 c", "250 all"}, "DFR", OPEN},
    {"nobody, and ERCP 250 (OTH-8)", T, ENV,
     {"250 ok", "354 go", "355 x", "550 a", "550 b", "450 c", "250 all"}, "FFR", OPEN},
    {"ERCP 451 (OTH-6)", T, ENV,
     {"250 ok", "354 go", "355 x", "250 a", "550 b", "450 c", "451 no"}, "RFR", OPEN},
    {"ERCP 554 (OTH-6)", T, ENV,
     {"250 ok", "354 go", "355 x", "250 a", "550 b", "450 c", "554 no"}, "FFF", OPEN},
    {"content refused (OTH-4)", T, ENV, {"250 ok", "354 go", "552 no"}, "FFF", OPEN},
    {"ADAT refused", T, ENV, {"250 ok", "452 no", "250 reset"}, "RRR", OPEN},
    {"MAIL refused", T, ENV, {"550 no"}, "FFF", OPEN},
    {"250 where 355 belongs", T, ENV, {"250 ok", "354 go", "250 x"}, "RRR", WRONG},
    {"354 where 355 belongs", T, ENV, {"250 ok", "354 go", "354 x"}, "RRR", WRONG},
    {"352 to DRCP", T, ENV, {"250 ok", "354 go", "355 x", "250 a", "352 b"}, "RRR", WRONG},
    {"355 unasked", S, ENV, {HEAD, "355 x"}, "RRR", WRONG},
    /* BDAT, 12 octets in chunks of 5 */
    {"chunks", S, FULL, {SENT, "250 5", "250 5", "250 ok"}, "DDD", OPEN},
    {"chunk refused, all were sent", S, FULL,
     {SENT, "452 no", "503 no", "503 no", "250 reset"}, "RRR", OPEN},
    {"chunks to nobody", S, FULL,
     {"250 ok", "550 no", "550 no", "550 no", "503 no", "503 no", "503 no",
      "250 reset"}, "FFF", OPEN},
    {"chunks in a block", P, FULL,
     {SENT, "250 5", "250 5", "353 x", "250 a", "550 b", "250 c", "250 f"}, "DFD", OPEN},
    {"353 to a chunk", P, FULL, {SENT, "353 x"}, "RRR", WRONG},
    {"chunks on LMTP", L, FULL, {SENT, "250 5", "250 5", "250 a", "550 b", "250 c"}, "DFD", OPEN},
    {"nobody on LMTP: no BDAT is sent (LMTP-17)", L, FULL,
     {"250 ok", "550 a", "450 b", "550 c", "250 reset"}, "FRF", OPEN},
    {"chunk refused on LMTP: LAST is not sent (LMTP-16)", L, FULL,
     {SENT, "250 5", "452 no", "250 reset"}, "RRR", OPEN},
};
/* clang-format on */

struct rig {
    struct client client;
    struct client_config config;
    struct client_message message;
    struct client_rcpt rcpts[RCPTS];
    struct client_result results[RCPTS];
    struct slice content[2];
    char sent[8192];
    size_t sent_len;
    uint8_t held[1200]; /* heard and not consumed: part of a line */
    size_t held_len;
    char settled[RCPTS + 1]; /* recipients in the order in which replies settled them */
    bool is_ready;
    bool is_done;
    bool is_closed;
    enum client_error error;
};

static void send_all(struct rig *r)
{
    uint8_t memory[3 * CLIENT_COMMAND_BYTES_MAX];
    struct slices parts;
    bool has_more;
    do {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&r->client, 0, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
            assert_true(r->sent_len + parts.at[i].len < sizeof(r->sent));
            memcpy(r->sent + r->sent_len, parts.at[i].ptr, parts.at[i].len);
            r->sent_len += parts.at[i].len;
        }
    } while (has_more);
    r->sent[r->sent_len] = '\0';
}

static void note_settled(struct rig *r, const struct client_event *ev)
{
    size_t len = strlen(r->settled);
    assert_true(ev->rcpt_idx < RCPTS && len < RCPTS);
    r->settled[len] = (char)('0' + ev->rcpt_idx);
}

/* Any bytes; part of a line stays for the next time. */
static void hear(struct rig *r, struct slice more)
{
    struct client_event ev;
    assert_true(r->held_len + more.len <= sizeof(r->held));
    if (more.len > 0)
        memcpy(r->held + r->held_len, more.ptr, more.len);
    struct slice in = slice_of(r->held, r->held_len + more.len);
    for (;;) {
        size_t used = client_feed(&r->client, in, 0, &ev);
        assert_true(used <= in.len);
        in = slice_from(in, used);
        if (ev.kind == CLIENT_EV_REPLY && ev.is_settled)
            note_settled(r, &ev);
        if (ev.kind == CLIENT_EV_READY)
            r->is_ready = true;
        if (ev.kind == CLIENT_EV_DONE) {
            assert_false(r->is_done);
            r->is_done = true;
        }
        if (ev.kind == CLIENT_EV_CLOSED) {
            r->is_closed = true;
            r->error = ev.error;
        }
        if (ev.kind == CLIENT_EV_MORE)
            break;
    }
    memmove(r->held, in.ptr, in.len);
    r->held_len = in.len;
}

static void reply(struct rig *r, const char *text)
{
    char line[1200];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);
    hear(r, slice_of(line, (size_t)len));
    assert_int_equal(r->held_len, 0);
    send_all(r);
    if (client_has_event(&r->client))
        hear(r, SLICE_EMPTY);
}

/* The first @max bytes of a reply, one at a time. */
static void reply_bytewise(struct rig *r, const char *text, size_t max)
{
    char line[1200];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);
    for (size_t i = 0; i < size_min((size_t)len, max); i++) {
        hear(r, slice_of(line + i, 1));
        send_all(r);
        if (client_has_event(&r->client))
            hear(r, SLICE_EMPTY);
    }
}

static void begin_with(struct rig *r, const struct row *row, const char *hello, uint32_t rcpt_count)
{
    memset(r, 0, sizeof(*r));
    r->config = (struct client_config){
        .protocol = row->protocol,
        .pipelining = row->pipelining,
        .hostname = SLICE_LIT("out.example"),
        .dialects = row->dialects,
        .wants_chunking = row->chunk_bytes > 0,
        .chunk_bytes = row->chunk_bytes,
    };
    for (int i = 0; i < RCPTS; i++)
        r->rcpts[i].address = SLICE_LIT("same@mx.example"); /* LMTP-21: by position, not by name */
    r->content[0] = SLICE_LIT("x\r\n.y");
    r->content[1] = SLICE_LIT("\r\nz12\r\n");
    r->message = (struct client_message){
        .sender = SLICE_LIT("a@a.example"),
        .rcpts = r->rcpts,
        .rcpt_count = rcpt_count,
        .content = r->content,
        .content_count = 2,
    };
    client_init(&r->client, &r->config, 0);
    reply(r, "220 mx ESMTP");
    reply(r, hello);
    assert_true(r->is_ready);
    r->is_ready = false;
    r->sent_len = 0;
    client_begin(&r->client, &r->message, r->results, 0);
    send_all(r);
}

static void begin(struct rig *r, const struct row *row)
{
    char hello[200];
    snprintf(hello, sizeof(hello),
             "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-CHUNKING\r\n"
             "250-ENHANCEDSTATUSCODES\r\n250 %s",
             row->keyword);
    begin_with(r, row, hello, RCPTS);
}

/* Begins, and says the first @count replies, or as many as there are. */
static void play(struct rig *r, const struct row *row, int count)
{
    begin(r, row);
    for (int n = 0; n < count && row->replies[n] != NULL; n++)
        reply(r, row->replies[n]);
}

static char letter(const struct client_result *result)
{
    switch (result->fate) {
    case CLIENT_FATE_DONE:
        return 'D';
    case CLIENT_FATE_REQUEUE:
        return 'R';
    case CLIENT_FATE_FAIL:
        return 'F';
    case CLIENT_FATE_OPEN:
        break;
    }
    return '-';
}

static void check_fates(const struct rig *r, const struct row *row, const char *expected)
{
    for (int i = 0; i < RCPTS; i++)
        if (letter(&r->results[i]) != expected[i])
            fail_msg("%s: recipient %d: expected %c, got %c", row->name, i, expected[i],
                     letter(&r->results[i]));
}

/* PRDR-37: what was refused for now is requeued, and only that. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rig r;
        play(&r, &rows[i], REPLIES_MAX);
        if (!r.is_done)
            fail_msg("%s: not done", rows[i].name);
        check_fates(&r, &rows[i], rows[i].fates);
        if (r.is_closed != (rows[i].error != CLIENT_ERROR_NONE) || r.error != rows[i].error)
            fail_msg("%s: error %d", rows[i].name, (int)r.error);
        assert_int_equal(r.is_ready, rows[i].error == CLIENT_ERROR_NONE ||
                                         strstr(rows[i].name, "after the final") != NULL ||
                                         strstr(rows[i].name, "too many") != NULL ||
                                         strstr(rows[i].name, "idle") != NULL);
    }
}

/* Responsibility moves with each recipient's own reply, as on LMTP (EXD-15, HOL-11). */
static bool moves_with_each(const struct row *row)
{
    return strstr(row->keyword, "EXDATA") != NULL || strncmp(row->keyword, "XRCPT250", 8) == 0;
}

/* What a cut after @count replies makes of those who are open: theirs, once they said so (HOL-12).
 */
static char fate_when_cut(const struct row *row, int count)
{
    for (int n = 0; n < count && strcmp(row->keyword, "XRCPT250B") == 0; n++)
        if (strncmp(row->replies[n], "250-2.0.0 +RCPT", 15) == 0)
            return 'D';
    return 'R';
}

/* Of all, settled or not. */
static void fates_when_cut(const struct rig *r, const struct row *row, int count,
                           char ret_fates[RCPTS])
{
    for (int n = 0; n < RCPTS; n++)
        ret_fates[n] = r->results[n].fate != CLIENT_FATE_OPEN ? letter(&r->results[n])
                                                              : fate_when_cut(row, count);
}

/*
 * The same rows, cut after each reply: a fate that was settled stays, one that was not is requeued,
 * and nothing on PRDR or SMTP is settled by a reply after the content but the last (PRDR-29).
 */
static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        int total = 0;
        while (row->replies[total] != NULL)
            total++;
        for (int cut = 0; cut < total; cut++) {
            struct rig r;
            char expected[RCPTS];
            play(&r, row, cut);
            fates_when_cut(&r, row, cut, expected);
            bool was_done = r.is_done;
            client_lost(&r.client, CLIENT_ERROR_LOST);
            hear(&r, SLICE_EMPTY);
            assert_true(r.is_done && r.is_closed);
            check_fates(&r, row, expected);
            for (int n = 0; n < RCPTS && !was_done; n++)
                if (row->protocol != CLIENT_LMTP && !moves_with_each(row))
                    assert_int_not_equal(r.results[n].fate, CLIENT_FATE_DONE);
        }
    }
}

/* Each row byte by byte ends as it does whole. */
static void test_bytewise(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rig r;
        begin(&r, &rows[i]);
        for (int n = 0; rows[i].replies[n] != NULL; n++)
            reply_bytewise(&r, rows[i].replies[n], SIZE_MAX);
        assert_true(r.is_done);
        check_fates(&r, &rows[i], rows[i].fates);
        assert_int_equal(r.error, rows[i].error);
    }
}

/*
 * Each row cut at each byte: part of a reply is worth nothing, so the outcome is that of the whole
 * replies before it (PRDR-29, PRDR-35, LMTP-20).
 */
static void test_byte_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        for (int cut = 0; row->replies[cut] != NULL; cut++) {
            size_t len = strlen(row->replies[cut]) + 2;
            for (size_t part = 0; part < len; part++) {
                struct rig r;
                char expected[RCPTS];
                play(&r, row, cut);
                fates_when_cut(&r, row, cut, expected);
                reply_bytewise(&r, row->replies[cut], part);
                client_lost(&r.client, CLIENT_ERROR_LOST);
                hear(&r, SLICE_EMPTY);
                assert_true(r.is_done && r.is_closed);
                check_fates(&r, row, expected);
            }
        }
    }
}

/* LMTP-19, LMTP-23: each reply on LMTP settles its recipient at once; PRDR-29: none does before the
 * final one. */
static void test_settled(void **state)
{
    static const struct row lmtp = {"", L, ENV, {HEAD, "250 a", "450 b", "550 c"}, "", 0};
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a", "550 b", "450 c", "250 f"},
                                    "", 0};
    struct rig r;
    (void)state;
    play(&r, &lmtp, 5);
    for (size_t n = 0; n < RCPTS; n++) {
        assert_int_equal(strlen(r.settled), n);
        reply(&r, lmtp.replies[5 + n]);
    }
    assert_string_equal(r.settled, "012");
    assert_true(r.is_done);
    begin(&r, &prdr);
    for (int n = 0; n < 9; n++) {
        reply(&r, prdr.replies[n]);
        for (int i = 0; i < RCPTS; i++)
            assert_int_equal(r.results[i].fate, CLIENT_FATE_OPEN);
    }
    assert_string_equal(r.settled, "");
    reply(&r, prdr.replies[9]);
    check_fates(&r, &prdr, "DFR");
}

/* EXD-15, HOL-11, HOL-16: each complete reply inside settles its recipient at once; DEF-17: none
 * does before the final one. */
static void test_settled_wrapped(void **state)
{
    static const struct row wrapped[] = {
        {"", X, ENV, {HEAD, "558-250 a", "558-550 b", "558 452 c"}, "", 0},
        {"",
         W,
         ENV,
         {HEAD, "250-2.0.0 +RCPT 3\r\n250-250 a", "250-550 b", "250-452 c", "250 2.0.0 +END"},
         "",
         0},
    };
    static const struct row deferrals = {
        "", D, ENV, {"250 ok", "352 l", "250 ok", "352 l", "354 go", "353 x", "550 a", "250 c"},
        "", 0};
    struct rig r;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrapped); i++) {
        play(&r, &wrapped[i], 5);
        for (size_t n = 0; n < RCPTS; n++) {
            assert_int_equal(strlen(r.settled), n);
            assert_false(r.is_done);
            reply(&r, wrapped[i].replies[5 + n]);
        }
        assert_string_equal(r.settled, "012");
        assert_int_equal(r.is_done, i == 0);
        check_fates(&r, &wrapped[i], "DFR");
        assert_int_equal(r.results[1].code, 550);
    }
    play(&r, &deferrals, REPLIES_MAX);
    for (int i = 0; i < RCPTS; i++)
        assert_int_equal(r.results[i].fate, CLIENT_FATE_OPEN);
    reply(&r, "250 f");
    check_fates(&r, &deferrals, "FDD");
}

/* DEF-18, DEF-20: 10 minutes for the opening reply, as for each that follows. */
static void test_opener_deadline(void **state)
{
    static const struct row row = {
        "", D, ENV, {"250 ok", "352 l", "352 l", "352 l", "354 go", "353 x", "250 a"}, "", 0};
    struct rig r;
    (void)state;
    play(&r, &row, 5);
    assert_int_equal(client_phase(&r.client), CLIENT_PHASE_DONE);
    assert_true(client_deadline(&r.client) >= 600 * NS_PER_S);
    for (int n = 5; row.replies[n] != NULL; n++) {
        clock_ns now = 599 * NS_PER_S * (clock_ns)(n - 4);
        struct client_event ev;
        char line[64];
        int len = snprintf(line, sizeof(line), "%s\r\n", row.replies[n]);
        assert_int_equal(client_feed(&r.client, slice_of(line, (size_t)len), now, &ev), len);
        assert_int_equal(ev.is_opening, n == 5);
        assert_true(client_deadline(&r.client) >= now + 600 * NS_PER_S);
    }
}

/* EXD-16: a fresh timer for each reply inside; HOL-15: for each line. */
static void test_wrapped_deadlines(void **state)
{
    static const struct row rows_of[] = {
        {"", X, ENV, {HEAD, "558-250 a", "558-550 b"}, "", 0},
        {"", W, ENV, {HEAD, "250-2.0.0 +RCPT 3", "250-000 working", "250-250-a"}, "", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows_of); i++) {
        struct rig r;
        play(&r, &rows_of[i], 5);
        for (int n = 5; rows_of[i].replies[n] != NULL; n++) {
            clock_ns now = 540 * NS_PER_S * (clock_ns)n;
            struct client_event ev;
            char line[64];
            int len = snprintf(line, sizeof(line), "%s\r\n", rows_of[i].replies[n]);
            assert_int_equal(client_feed(&r.client, slice_of(line, (size_t)len), now, &ev), len);
            assert_true(client_deadline(&r.client) >= now + 600 * NS_PER_S);
        }
    }
}

/* OTH-2, OTH-5, OTH-6: what is sent: nothing in the same group as ADAT, and ERCP with the number of
 * those who were accepted. */
static void test_adat_bytes(void **state)
{
    static const struct row row = {
        "", T, FULL, {"250 ok", "354 go", "355 x", "250 a", "550 b", "250 c", "250 all"}, "", 0};
    struct rig r;
    (void)state;
    begin(&r, &row);
    client_quit(&r.client);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> SIZE=12\r\n");
    static const char *const next[] = {
        "ADAT 3\r\n",
        "x\r\n..y\r\nz12\r\n.\r\n",
        "DRCP TO:<same@mx.example>\r\nDRCP TO:<same@mx.example>\r\nDRCP TO:<same@mx.example>\r\n",
        "",
        "",
        "ERCP 2\r\n",
        "QUIT\r\n"};
    for (size_t n = 0; n < ARRAY_COUNT(next); n++) {
        r.sent_len = 0;
        r.sent[0] = '\0';
        reply(&r, row.replies[n]);
        send_all(&r);
        assert_string_equal(r.sent, next[n]);
    }
    check_fates(&r, &row, "DFD");
}

/* DEF-2, EXD-1, EXD-2, HOL-4: the parameter that is sent; of several that are offered one is taken;
 * EXD-14: 558 unasked, where we are told not to guess. */
static void test_dialect_asked(void **state)
{
    static const struct {
        uint32_t dialects;
        const char *keywords;
        const char *param;
    } cases[] = {
        {SESSION_OFFER_DIALECTS, "250 DEFERRALS", " DEFERRALS"},
        {SESSION_OFFER_DIALECTS, "250 EXDATA", " EXDATA"},
        {SESSION_OFFER_DIALECTS, "250 XEXDATA", " EXDATA"},
        {SESSION_OFFER_DIALECTS, "250 XRCPT250", " XRCPT250"},
        {SESSION_OFFER_DIALECTS, "250-XRCPT250\r\n250-EXDATA\r\n250-PRDR\r\n250 DEFERRALS",
         " PRDR"},
        {SESSION_OFFER_EXDATA | SESSION_OFFER_XRCPT250, "250-PRDR\r\n250-XRCPT250\r\n250 XEXDATA",
         " EXDATA"},
        {SESSION_OFFER_DEFERRALS, "250-PRDR\r\n250 EXDATA", ""},
        {SESSION_OFFER_DIALECTS, "250-XRCPT250B\r\n250 XRCPT250", " XRCPT250"}, /* HOL-14 */
        {0, "250-PRDR\r\n250 DEFERRALS", ""},
    };
    struct rig r;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct row row = {"", CLIENT_SMTP, cases[i].dialects, "", ENV, {NULL}, "", 0};
        char text[200];
        snprintf(text, sizeof(text), "250-mx\r\n%s", cases[i].keywords);
        begin_with(&r, &row, text, 2);
        snprintf(text, sizeof(text), "MAIL FROM:<a@a.example>%s\r\n", cases[i].param);
        assert_string_equal(r.sent, text);
        begin_with(&r, &row, "250 mx", 2);
        assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    }
    static const struct row unasked = {"", U, ENV, {HEAD}, "", 0};
    begin(&r, &unasked);
    r.config.heeds_exdata_only_if_asked = true;
    for (int n = 0; n < 5; n++)
        reply(&r, unasked.replies[n]);
    reply(&r, "558-250 a\r\n558-250 b\r\n558 250 c");
    check_fates(&r, &unasked, "FFF");
    assert_false(r.is_closed);
}

/* PRDR-35, PRDR-36: whose text a notice would carry: the final reply's or the recipient's own. */
static void test_block_codes(void **state)
{
    static const struct {
        const char *final;
        uint16_t codes[RCPTS];
        uint16_t details[RCPTS];
    } cases[] = {
        {"250 2.0.9 f", {250, 452, 550}, {9, 2, 3}},
        {"450 4.0.9 f", {450, 450, 550}, {9, 9, 3}},
        {"554 5.0.9 f", {554, 554, 554}, {9, 9, 9}},
    };
    static const uint16_t own[RCPTS] = {250, 452, 550};
    static const struct row prdr = {
        "", P, ENV, {HEAD, "353 x", "250 2.0.1 a", "452 4.0.2 b", "550 5.0.3 c"}, "", 0};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rig r;
        play(&r, &prdr, REPLIES_MAX);
        reply(&r, cases[i].final);
        for (int n = 0; n < RCPTS; n++) {
            assert_int_equal(r.results[n].code, cases[i].codes[n]);
            assert_int_equal(r.results[n].enhanced[2], cases[i].details[n]);
            assert_int_equal(r.results[n].individual_code, own[n]);
            assert_int_equal(r.results[n].individual_enhanced[2], n + 1);
            assert_int_equal(r.results[n].phase, CLIENT_PHASE_DONE);
        }
    }
}

/* PRDR-2, PRDR-39: asked for only where this EHLO offered it, for two recipients or more. */
static void test_prdr_asked(void **state)
{
    static const struct row prdr = {"", P, ENV, {NULL}, "", 0};
    static const struct row full = {"", P, CLIENT_PIPELINE_FULL, 0, {HEAD, "250 ok"}, "", 0};
    struct rig r;
    (void)state;
    begin_with(&r, &prdr, "250-mx\r\n250 prdr", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> PRDR\r\n");
    begin_with(&r, &prdr, "250-mx\r\n250 prdr", 1);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250-mx\r\n250 PRDRX", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250-PRDR\r\n250 8BITMIME", 2); /* the first line is the name */
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250 PRDR", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    /* CORE-21, CORE-48: without PIPELINING each command waits, and QUIT for the last reply. */
    begin_with(&r, &full, "250-mx\r\n250 PRDR", RCPTS);
    client_quit(&r.client);
    for (int n = 0; n < 5; n++) {
        assert_int_equal(r.sent[r.sent_len - 1], '\n');
        r.sent_len = 0;
        reply(&r, full.replies[n]);
        static const char *const next[] = {"RCPT", "RCPT", "RCPT", "DATA", "x\r\n."};
        assert_memory_equal(r.sent, next[n], 4);
    }
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\n");
    r.sent_len = 0;
    reply(&r, "250 ok");
    assert_string_equal(r.sent, "QUIT\r\n");
}

/* LMTP-20: cut after k of n: k done, n-k requeued. PRDR-29: cut anywhere: all requeued. */
static void test_cut_counts(void **state)
{
    static const struct row lmtp = {"", L, ENV, {HEAD, "250 a", "250 b", "250 c"}, "", 0};
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a", "550 b", "250 c", "250 f"},
                                    "", 0};
    (void)state;
    for (int k = 0; k <= 3; k++) {
        struct rig r;
        begin(&r, &lmtp);
        for (int n = 0; n < 5 + k; n++)
            reply(&r, lmtp.replies[n]);
        client_lost(&r.client, CLIENT_ERROR_TIMEOUT);
        hear(&r, SLICE_EMPTY);
        for (int n = 0; n < RCPTS; n++)
            assert_int_equal(letter(&r.results[n]), n < k ? 'D' : 'R');
    }
    for (int k = 0; k <= 5; k++) {
        struct rig r;
        begin(&r, &prdr);
        for (int n = 0; n < 5 + k; n++)
            reply(&r, prdr.replies[n]);
        client_lost(&r.client, CLIENT_ERROR_LOST);
        hear(&r, SLICE_EMPTY);
        check_fates(&r, &prdr, k == 5 ? "DFD" : "RRR");
    }
}

/* What is sent, exactly. */
static void test_bytes(void **state)
{
    static const struct row data = {"", P, ENV, {HEAD, "250 ok"}, "", 0};
    static const struct row steps = {"", S, STEP, {HEAD, "250 ok"}, "", 0};
    static const struct row chunks = {"", S, FULL, {NULL}, "", 0};
    struct rig r;
    (void)state;
    begin(&r, &data);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> SIZE=12 PRDR\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "DATA\r\n");
    r.sent_len = 0;
    for (int n = 0; n < 5; n++)
        reply(&r, data.replies[n]);
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\n");
    begin(&r, &steps);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> SIZE=12\r\n");
    r.sent_len = 0;
    reply(&r, "250 ok");
    assert_string_equal(r.sent, "RCPT TO:<same@mx.example>\r\n");
    begin(&r, &chunks);
    assert_non_null(strstr(r.sent, "BDAT 5\r\nx\r\n.yBDAT 5\r\n\r\nz12BDAT 2 LAST\r\n\r\n"));
    static const struct row nobody = {"", L, FULL, {"250 ok", "550 a", "450 b", "550 c"}, "", 0};
    begin(&r, &nobody); /* LMTP-17 */
    for (int n = 0; n < 4; n++)
        reply(&r, nobody.replies[n]);
    assert_null(strstr(r.sent, "BDAT"));
    assert_non_null(strstr(r.sent, "RSET"));
    begin(&r, &chunks);
    /* PRDR-33, CORE-48: QUIT behind the content only where it was asked for and is allowed. */
    client_quit(&r.client);
    send_all(&r);
    assert_null(strstr(r.sent, "QUIT"));
    struct row full = data;
    full.pipelining = CLIENT_PIPELINE_FULL;
    begin(&r, &full);
    client_quit(&r.client);
    r.sent_len = 0;
    for (int n = 0; n < 5; n++)
        reply(&r, data.replies[n]);
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\nQUIT\r\n");
    reply(&r, "250 ok");
    assert_true(r.is_done && !r.is_closed);
    reply(&r, "221 bye");
    assert_true(r.is_closed);
    assert_int_equal(r.error, CLIENT_ERROR_NONE);
}

static void test_hello(void **state)
{
    struct client_config config = {.hostname = SLICE_LIT("a.example")};
    struct rig r;
    (void)state;
    memset(&r, 0, sizeof(r));
    client_init(&r.client, &config, 0); /* EHLO refused: HELO */
    reply(&r, "220 x");
    reply(&r, "502 no");
    assert_string_equal(r.sent, "EHLO a.example\r\nHELO a.example\r\n");
    reply(&r, "250 x");
    assert_true(r.is_ready);
    assert_int_equal(r.client.caps.offers, 0);
    static const char *const refusals[] = {"554 no", "521 no", "421 no", "250 what"};
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) { /* CORE-1, CORE-31 */
        memset(&r, 0, sizeof(r));
        client_init(&r.client, &config, 0);
        reply(&r, refusals[i]);
        assert_true(r.is_closed && r.error == CLIENT_ERROR_REFUSED);
        assert_int_equal(r.sent_len, 0);
    }
    config.protocol = CLIENT_LMTP; /* LHLO refused: nothing else to try */
    memset(&r, 0, sizeof(r));
    client_init(&r.client, &config, 0);
    reply(&r, "220 x");
    reply(&r, "500 no");
    assert_string_equal(r.sent, "LHLO a.example\r\n");
    assert_true(r.is_closed);
}

/* What the server cannot take is not tried: CORE-27, CORE-23, RFC 1870 6.1. */
static void test_local(void **state)
{
    static const struct row plain = {"", S, ENV, {NULL}, "", 0};
    static uint8_t big[1001];
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct rig r;
        begin(&r, &plain);
        for (int n = 0; n < 6; n++)
            reply(&r, rows[0].replies[n]);
        assert_true(client_is_ready(&r.client));
        r.is_done = false;
        r.sent_len = 0;
        r.message.params.smtputf8 = what == 0;
        r.message.params.body = what == 1 ? PARAM_BODY_BINARYMIME : PARAM_BODY_7BIT;
        if (what == 2)
            r.content[0] = slice_of(big, sizeof(big));
        client_begin(&r.client, &r.message, r.results, 0);
        assert_true(client_has_event(&r.client));
        send_all(&r);
        hear(&r, SLICE_EMPTY);
        assert_true(r.is_done);
        assert_int_equal(r.sent_len, 0);
        check_fates(&r, &plain, "FFF");
        assert_int_equal(r.results[0].code, what == 0 ? 553 : what == 1 ? 554 : 552);
    }
}

/* CORE-47: content with a bare LF is never ended. */
static void test_bad_content(void **state)
{
    static const struct row plain = {"", S, ENV, {HEAD}, "", 0};
    struct rig r;
    (void)state;
    begin(&r, &plain);
    r.content[1] = SLICE_LIT("\n.\r\nMAI");
    for (int n = 0; n < 5; n++)
        reply(&r, plain.replies[n]);
    assert_true(r.is_closed);
    assert_int_equal(r.error, CLIENT_ERROR_CONTENT);
    assert_null(strstr(r.sent, "\n.\r\n"));
    check_fates(&r, &plain, "RRR");
}

/* LMTP-22, PRDR-28: a fresh timer for each reply; which one by phase. */
static void test_deadlines(void **state)
{
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a"}, "", 0};
    static const enum client_phase phases[] = {
        CLIENT_PHASE_MAIL, CLIENT_PHASE_RCPT,    CLIENT_PHASE_RCPT, CLIENT_PHASE_RCPT,
        CLIENT_PHASE_DATA, CLIENT_PHASE_CONTENT, CLIENT_PHASE_DONE, CLIENT_PHASE_DONE,
    };
    struct rig r;
    (void)state;
    begin(&r, &prdr);
    for (int n = 0; prdr.replies[n] != NULL; n++) {
        clock_ns now = 1000 * NS_PER_S * (clock_ns)(n + 1);
        struct client_event ev;
        char line[64];
        assert_int_equal(client_phase(&r.client), n == 5 ? CLIENT_PHASE_DONE : phases[n]);
        int len = snprintf(line, sizeof(line), "%s\r\n", prdr.replies[n]);
        assert_int_equal(client_feed(&r.client, slice_of(line, (size_t)len), now, &ev), len);
        assert_int_equal(ev.kind, CLIENT_EV_REPLY);
        clock_ns timeout = client_phase_timeout(client_phase(&r.client));
        if (n >= 5) /* PRDR sheet section 9: 9 minutes between two replies are survived */
            assert_true(client_deadline(&r.client) > now + 540 * NS_PER_S);
        assert_true(client_deadline(&r.client) == now + timeout);
        if (n == 4) {
            assert_int_equal(client_phase(&r.client), CLIENT_PHASE_CONTENT);
            send_all(&r);
        }
    }
    static const struct {
        enum client_phase phase;
        clock_ns seconds;
    } least[] = {
        {CLIENT_PHASE_GREETING, 300}, {CLIENT_PHASE_MAIL, 300},    {CLIENT_PHASE_RCPT, 300},
        {CLIENT_PHASE_DATA, 120},     {CLIENT_PHASE_CONTENT, 180}, {CLIENT_PHASE_DONE, 600},
    };
    for (size_t i = 0; i < ARRAY_COUNT(least); i++) /* CORE table B */
        assert_true(client_phase_timeout(least[i].phase) >= least[i].seconds * NS_PER_S);
    client_lost(&r.client, CLIENT_ERROR_TIMEOUT);
    assert_true(client_deadline(&r.client) == CLOCK_NEVER);
}

/* HOL-13: QUIT that is said before the list was read tells the server nothing, and he would send
 * notices for refusals that were read; where no notice depends on it, it goes behind the content.
 */
static void test_quit_tells_what_was_read(void **state)
{
    static const struct row owner = {"", B, CLIENT_PIPELINE_FULL, 0, {HEAD}, "", 0};
    static const struct row each = {"", W, CLIENT_PIPELINE_FULL, 0, {HEAD}, "", 0};
    static const char *const list[] = {"250-2.0.0 +RCPT 3", "250-250 a", "250-550 b", "250-250 c"};
    struct rig r;
    (void)state;
    begin(&r, &each);
    client_quit(&r.client);
    for (int n = 0; n < 5; n++)
        reply(&r, each.replies[n]);
    assert_non_null(strstr(r.sent, ".\r\nQUIT\r\n"));
    begin(&r, &owner);
    client_quit(&r.client);
    for (int n = 0; n < 5; n++)
        reply(&r, owner.replies[n]);
    for (size_t n = 0; n < ARRAY_COUNT(list); n++)
        reply(&r, list[n]);
    assert_null(strstr(r.sent, "QUIT"));
    r.sent_len = 0;
    reply(&r, "250 2.0.0 +END");
    assert_string_equal(r.sent, "QUIT\r\n");
    check_fates(&r, &owner, "DFD");
}

/* The parameter that a message gets now, from a server that offers both. */
static void expect_asked(struct rig *r, struct client_trust *trust, clock_ns now, const char *asked)
{
    static const struct row both = {"", D, ENV, {NULL}, "", 0};
    char mail[64];
    begin_with(r, &both, "250-mx\r\n250-PIPELINING\r\n250-EXDATA\r\n250 DEFERRALS", 1);
    client_lost(&r->client, CLIENT_ERROR_LOST); /* one recipient: nothing was asked */
    r->config.trust = trust;
    client_init(&r->client, &r->config, now);
    r->sent_len = r->held_len = 0;
    reply(r, "220 mx");
    reply(r, "250-mx\r\n250-PIPELINING\r\n250-EXDATA\r\n250 DEFERRALS");
    r->message.rcpt_count = RCPTS;
    r->sent_len = 0;
    r->is_done = false;
    client_begin(&r->client, &r->message, r->results, now);
    send_all(r);
    snprintf(mail, sizeof(mail), "MAIL FROM:<a@a.example>%s\r\n", asked);
    assert_memory_equal(r->sent, mail, strlen(mail));
}

/* DEF-21, PRDR-32: after two failures in a row not asked for, for 10 s; a good end forgives. */
static void test_trust(void **state)
{
    struct client_trust trust = {.failures_max = 2, .hold_ns = 10 * NS_PER_S};
    struct rig r;
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int n = 0; n < 3; n++) { /* failed, good, failed */
            expect_asked(&r, &trust, 0, " DEFERRALS");
            for (int k = 0; k < 5; k++)
                reply(&r, k == 0 || k == 1 ? "250 ok" : k == 4 ? "354 go" : "352 later");
            reply(&r, "353 x");
            if (n != 1) {
                client_lost(&r.client, n == 0 ? CLIENT_ERROR_TIMEOUT : CLIENT_ERROR_LOST);
                continue;
            }
            reply(&r, "450 b");
            reply(&r, "550 c");
            reply(&r, "250 f");
            assert_true(r.is_done);
        }
        client_trust_answered(&trust, DIALECT_DEFERRALS);
    }
    /* A connection that is lost before the content is out says nothing about dialects. */
    for (int n = 0; n < 3; n++) {
        expect_asked(&r, &trust, 0, " DEFERRALS");
        reply(&r, "250 ok");
        client_lost(&r.client, CLIENT_ERROR_LOST);
    }
    for (int n = 0; n < 2; n++) {
        expect_asked(&r, &trust, 0, " DEFERRALS");
        for (int k = 0; k < 5; k++)
            reply(&r, k == 4 ? "354 go" : "250 ok");
        reply(&r, n == 0 ? "354 again" : "abc");
        assert_true(r.is_closed);
    }
    expect_asked(&r, &trust, 1, " EXDATA");
    expect_asked(&r, &trust, 10 * NS_PER_S - 1, " EXDATA");
    expect_asked(&r, &trust, 10 * NS_PER_S, " DEFERRALS");
    /* One more, and he is left alone again. */
    for (int k = 0; k < 5; k++)
        reply(&r, k == 4 ? "354 go" : "250 ok");
    client_lost(&r.client, CLIENT_ERROR_TIMEOUT);
    expect_asked(&r, &trust, 1, " EXDATA");
    trust = (struct client_trust){0}; /* no limit */
    for (int n = 0; n < 9; n++)
        client_trust_failed(&trust, DIALECT_PRDR, 0);
    assert_int_equal(client_trust_offers(&trust, SESSION_OFFER_PRDR, 1), SESSION_OFFER_PRDR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_byte_cuts),
        cmocka_unit_test(test_settled),
        cmocka_unit_test(test_block_codes),
        cmocka_unit_test(test_prdr_asked),
        cmocka_unit_test(test_cut_counts),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_bad_content),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_settled_wrapped),
        cmocka_unit_test(test_dialect_asked),
        cmocka_unit_test(test_adat_bytes),
        cmocka_unit_test(test_wrapped_deadlines),
        cmocka_unit_test(test_opener_deadline),
        cmocka_unit_test(test_quit_tells_what_was_read),
        cmocka_unit_test(test_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
