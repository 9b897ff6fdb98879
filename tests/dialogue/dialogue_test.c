/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * dialogue_test.c - runs transcripts against the server machine.
 *
 *     dialogue_test [--seed N] FILE...
 *
 * A transcript is a text file:
 *
 *     # comment, with the rule ids that it shows
 *     = key value ...     configuration: lmtp | offers HEX | with HEX | without HEX | size_max N |
 *                         rcpt_max N | mail_max N | error_max N | received_max N | normalize |
 *                         bind | early: the first bytes come before the greeting was formatted
 *     = stepwise          replies must be waited for: no run with everything sent at once
 *     = whole             steps are sent whole: the transcript is about one segment
 *     C: text             the client sends a line, CRLF is added
 *     C+: text            the client sends these bytes, nothing is added
 *     S: text             the server says this line, exactly
 *     H: text             greeting, then the client sends this, then one 250 reply of any lines
 *     V mail: verdict     what the owner answers to the next MAIL, RCPT or content event that has
 *     V rcpt: verdict     no verdict yet (default: accept); "later" leaves it to "@ answer"
 *     V content: verdict
 *     V end: v; v; ...    for the entries in order, with "whole ..." for the final reply, "open" to
 *                         open the block first, "later" to leave everything to "@" lines;
 *                         default: accept all, or what the machine demands
 *     @ answer verdict    the oldest answer that was left for later
 *     @ entry N verdict   decide entry N;  @ open, @ life, @ finish [verdict]
 *     @ promise N verdict entry N accepts, and nothing is stored yet
 *     @ end verdict       session_end_now();  @ eof true|false: session_eof() and its result
 *     B: text             the content of the next complete message
 *     E: letters          all events so far: h mail rcpt content body-end abort close(x), and for ADAT
 *                         naming and commit(k)
 *     X                   the server wants to close
 *
 * Offered is, unless a transcript says otherwise, all but LIMITS and the dialects other than PRDR.
 *
 * A verdict is "accept", "accept code e.n.h text", a failure "code e.n.h text", or "352" for a
 * recipient that is decided after the content. In texts, \r \n
 * \t \\ \xHH and \(N,text) for N times the text are understood.
 *
 * Each transcript runs stepwise with whole steps, byte by byte, at random splits with a seed that
 * is printed, and, unless it says stepwise or has "@" lines, with everything sent at once (which
 * the server need not like, but must answer alike as long as "bind" is off).
 */
/* clang-format on */
#include "owner.h"
#include "../support/testscan.h"
#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX 4096
#define VERDICTS_MAX 256

enum run_mode { RUN_WHOLE, RUN_BYTEWISE, RUN_RANDOM, RUN_AT_ONCE, RUN_SMALL_OUTPUT, RUN_COUNT };
static const char *const mode_names[] = {"whole", "bytewise", "random", "at once", "small output"};

struct line {
    struct slice tag;
    struct slice text; /* unescaped */
    unsigned number;
};

struct verdicts {
    struct slice at[VERDICTS_MAX];
    unsigned count;
    unsigned next;
};

struct script {
    const char *name;
    struct line lines[LINES_MAX];
    unsigned count;
    struct session_config config;
    size_t out_room;
    bool is_stepwise;
    bool is_whole; /* the split is what it is about */
    bool is_early; /* the first bytes come before the greeting is formatted */
};

struct run {
    const struct script *script;
    enum run_mode mode;
    struct rng rng;
    uint64_t seed;
    struct owner owner;
    struct verdicts mail, rcpt, content, end;
    size_t out_at; /* output that was compared */
    size_t bodies_at;
    struct bytes pending; /* input that the current step will send */
    bool has_failed;
};

static void die(const char *what, const char *name, unsigned line)
{
    fprintf(stderr, "%s:%u: %s\n", name, line, what);
    exit(2);
}

/* ---- reading a transcript ---- */

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct slice unescape(struct slice in, const char *name, unsigned number)
{
    struct bytes out = {0};
    bytes_put(&out, SLICE_LIT(""));
    for (size_t i = 0; i < in.len; i++) {
        uint8_t byte = in.ptr[i];
        if (byte == '\\' && i + 1 < in.len) {
            uint8_t c = in.ptr[++i];
            if (c == '(') {
                size_t count = 0;
                while (++i < in.len && in.ptr[i] != ',')
                    count = count * 10 + (size_t)(in.ptr[i] - '0');
                size_t start = i + 1;
                size_t end = start + slice_find(slice_from(in, start), ')');
                struct slice text = unescape(slice_of(in.ptr + start, end - start), name, number);
                while (count-- > 0)
                    bytes_put(&out, text);
                free((void *)(uintptr_t)text.ptr);
                i = end;
                continue;
            }
            if (c == 'x' && i + 2 < in.len) {
                byte = (uint8_t)(hex_value(in.ptr[i + 1]) * 16 + hex_value(in.ptr[i + 2]));
                i += 2;
            } else if (c == 'r') {
                byte = '\r';
            } else if (c == 'n') {
                byte = '\n';
            } else if (c == 't') {
                byte = '\t';
            } else if (c == '\\') {
                byte = '\\';
            } else {
                die("unknown escape", name, number);
            }
        }
        bytes_put(&out, slice_of(&byte, 1));
    }
    if (out.ptr == NULL)
        out.ptr = malloc(1);
    return bytes_slice(&out);
}

static struct slice word(struct slice *rest)
{
    while (rest->len > 0 && rest->ptr[0] == ' ')
        *rest = slice_from(*rest, 1);
    struct slice w = slice_first(*rest, slice_find(*rest, ' '));
    *rest = slice_from(*rest, w.len + 1);
    return w;
}

static uint64_t number_of(struct slice s)
{
    char text[32] = {0};
    ASSERT(s.len < sizeof(text));
    memcpy(text, s.ptr, s.len);
    return strtoull(text, NULL, 0);
}

static void configure(struct script *sc, struct slice text, unsigned number)
{
    struct session_config *c = &sc->config;
    while (text.len > 0) {
        struct slice key = word(&text);
        if (key.len == 0)
            continue;
        if (slice_eq(key, SLICE_LIT("stepwise")))
            sc->is_stepwise = true;
        else if (slice_eq(key, SLICE_LIT("normalize")))
            c->normalize_bare_lf = true;
        else if (slice_eq(key, SLICE_LIT("bind")))
            c->bind_early_talkers = sc->is_stepwise = true;
        else if (slice_eq(key, SLICE_LIT("whole")))
            sc->is_whole = true;
        else if (slice_eq(key, SLICE_LIT("early")))
            sc->is_early = true;
        else if (slice_eq(key, SLICE_LIT("lmtp")))
            c->protocol = SESSION_LMTP;
        else if (slice_eq(key, SLICE_LIT("offers")))
            c->offers = (uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("with")))
            c->offers |= (uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("without")))
            c->offers &= ~(uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("size_max")))
            c->size_max = number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("rcpt_max")))
            c->rcpt_max = (uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("mail_max")))
            c->mail_max = (uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("error_max")))
            c->error_max = (uint32_t)number_of(word(&text));
        else if (slice_eq(key, SLICE_LIT("received_max")))
            c->received_max = (uint32_t)number_of(word(&text));
        else
            die("unknown configuration key", sc->name, number);
    }
}

static void add_line(struct script *sc, struct slice tag, struct slice text, unsigned number)
{
    if (sc->count == LINES_MAX)
        die("too many lines", sc->name, number);
    sc->lines[sc->count++] =
        (struct line){unescape(tag, sc->name, number), unescape(text, sc->name, number), number};
}

static void add_hello(struct script *sc, struct slice text, unsigned number)
{
    bool is_lmtp = sc->config.protocol == SESSION_LMTP;
    add_line(sc, SLICE_LIT("S"),
             is_lmtp ? SLICE_LIT("220 mx.example LMTP") : SLICE_LIT("220 mx.example ESMTP"),
             number);
    add_line(sc, SLICE_LIT("C"), text, number);
    add_line(sc, SLICE_LIT("SKIP"), SLICE_LIT("250"), number);
}

static void load(struct script *sc, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t cap = 0;
    ssize_t len;
    unsigned number = 0;
    if (f == NULL)
        die("cannot open", path, 0);
    const char *slash = strrchr(path, '/');
    sc->name = slash != NULL ? slash + 1 : path;
    sc->config = (struct session_config){
        .offers = (SESSION_OFFER_ALL & ~(uint32_t)(SESSION_OFFER_LIMITS | SESSION_OFFER_DIALECTS)) |
                  SESSION_OFFER_PRDR,
        .hostname = SLICE_LIT("mx.example"),
        .size_max = 100000,
        .rcpt_max = 100,
        .error_max = 20,
    };
    while ((len = getline(&text, &cap, f)) >= 0) {
        struct slice s = slice_of(text, (size_t)len);
        number++;
        if (s.len > 0 && s.ptr[s.len - 1] == '\n')
            s.len--;
        if (s.len == 0 || s.ptr[0] == '#')
            continue;
        if (s.ptr[0] == '=') {
            configure(sc, slice_from(s, 1), number);
            continue;
        }
        size_t colon = slice_find(s, s.ptr[0] == '@' ? ' ' : ':');
        struct slice rest = slice_from(s, colon + 1);
        if (s.ptr[0] != '@' && rest.len > 0 && rest.ptr[0] == ' ')
            rest = slice_from(rest, 1);
        if (s.ptr[0] == '@')
            sc->is_stepwise = true;
        if (s.ptr[0] == 'H')
            add_hello(sc, rest, number);
        else
            add_line(sc, slice_first(s, colon), rest, number);
    }
    free(text);
    fclose(f);
}

static bool is_tag(const struct line *l, const char *tag)
{
    return slice_eq(l->tag, slice_str(tag));
}

/* ---- verdicts ---- */

static void trim(struct slice *s)
{
    while (s->len > 0 && s->ptr[0] == ' ')
        *s = slice_from(*s, 1);
    while (s->len > 0 && s->ptr[s->len - 1] == ' ')
        s->len--;
}

/* The status with these codes, or the next best: same code, same class. */
static enum status status_for(unsigned code, const uint8_t *enhanced)
{
    enum status best = STATUS_NONE;
    unsigned best_score = 0;
    for (int st = STATUS_NONE + 1; st < STATUS_COUNT; st++) {
        const struct status_row *row = status_row((enum status)st);
        unsigned score = 0;
        if (row->code / 100 == code / 100)
            score = 1 + (row->code == code) + (memcmp(row->enhanced, enhanced, 3) == 0);
        if (score > best_score) {
            best_score = score;
            best = (enum status)st;
        }
    }
    ASSERT(best_score > 0);
    return best;
}

static struct answer parse_verdict(struct slice text, enum status accept_status)
{
    trim(&text);
    if (text.len == 0 || slice_eq(text, SLICE_LIT("later")))
        return OWNER_LATER;
    if (slice_eq(text, SLICE_LIT("accept")))
        return ANSWER(accept_status);
    if (slice_eq(text, SLICE_LIT("352")))
        return ANSWER(STATUS_RCPT_LATER);
    struct slice rest = text;
    if (slice_has_prefix_nocase(text, SLICE_LIT("accept ")))
        rest = slice_from(text, 7);
    unsigned code = (unsigned)number_of(word(&rest));
    struct answer a = {.code = (uint16_t)code};
    struct slice enhanced = word(&rest);
    size_t dot = 2 + slice_find(slice_from(enhanced, 2), '.');
    ASSERT(dot + 1 < enhanced.len);
    a.enhanced[0] = (uint8_t)(enhanced.ptr[0] - '0');
    a.enhanced[1] = (uint8_t)number_of(slice_of(enhanced.ptr + 2, dot - 2));
    a.enhanced[2] = (uint8_t)number_of(slice_from(enhanced, dot + 1));
    a.status = status_for(code, a.enhanced);
    a.text = rest;
    return a;
}

static struct answer next_verdict(struct verdicts *v, enum status accept_status)
{
    if (v->next == v->count)
        return ANSWER(accept_status);
    return parse_verdict(v->at[v->next++], accept_status);
}

static struct answer on_mail(struct owner *o, const struct session_event *ev)
{
    (void)ev;
    return next_verdict(&((struct run *)o->ctx)->mail, STATUS_SENDER_OK);
}

static struct answer on_rcpt(struct owner *o, const struct session_event *ev)
{
    (void)ev;
    return next_verdict(&((struct run *)o->ctx)->rcpt, STATUS_RCPT_OK);
}

static struct answer on_content(struct owner *o)
{
    return next_verdict(&((struct run *)o->ctx)->content, STATUS_OK);
}

static void decide_entry(struct owner *o, uint32_t idx, struct slice text)
{
    struct answer a = parse_verdict(text, STATUS_STORED);
    if (status_is_success(a.status))
        owner_accept(o, idx, a);
    else
        session_refuse_rcpt(&o->session, idx, a);
}

static void on_end(struct owner *o, const struct session_event *ev)
{
    struct run *r = o->ctx;
    struct answer whole = ANSWER(STATUS_NONE);
    uint32_t idx = 0;
    if (r->end.next == r->end.count) {
        owner_accept_all(o, ev);
        return;
    }
    ASSERT(ev->answer.status == STATUS_NONE);
    struct slice rest = r->end.at[r->end.next++];
    while (rest.len > 0) {
        struct slice part = slice_first(rest, slice_find(rest, ';'));
        rest = slice_from(rest, part.len + 1);
        trim(&part);
        if (slice_eq(part, SLICE_LIT("later")))
            return;
        if (slice_eq(part, SLICE_LIT("open")))
            session_open_block(&o->session);
        else if (slice_has_prefix_nocase(part, SLICE_LIT("whole ")))
            whole = parse_verdict(slice_from(part, 6), STATUS_STORED);
        else
            decide_entry(o, idx++, part);
    }
    o->accepted_count++;
    session_finish(&o->session, whole);
}

static const struct owner_ops ops = {on_mail, on_rcpt, on_content, on_end};

/* ---- running ---- */

static void show(const char *head, struct slice s)
{
    fprintf(stderr, "%s", head);
    for (size_t i = 0; i < s.len && i < 3000; i++) {
        uint8_t c = s.ptr[i];
        if (c == '\n')
            fprintf(stderr, "\\n\n    ");
        else if (c == '\r')
            fprintf(stderr, "\\r");
        else if (c < 0x20 || c > 0x7E)
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    fprintf(stderr, "\n");
}

static void fail(struct run *r, const struct line *l, const char *what, struct slice expected,
                 struct slice got)
{
    fprintf(stderr, "%s:%u: %s (mode %s, seed %llu)\n", r->script->name, l->number, what,
            mode_names[r->mode], (unsigned long long)r->seed);
    show("  expected: ", expected);
    show("  got:      ", got);
    r->has_failed = true;
}

static void send_pending(struct run *r)
{
    struct slice in = bytes_slice(&r->pending);
    while (in.len > 0) {
        size_t len = in.len;
        if (r->mode == RUN_BYTEWISE)
            len = 1;
        else if (r->mode == RUN_RANDOM)
            len = 1 + (size_t)rng_below(&r->rng, rng_below(&r->rng, 4) == 0 ? in.len : 12);
        len = size_min(len, in.len);
        owner_feed(&r->owner, slice_first(in, len));
        in = slice_from(in, len);
    }
    r->pending.len = 0;
}

static void do_at(struct run *r, const struct line *l)
{
    struct owner *o = &r->owner;
    struct slice rest = l->text;
    struct slice verb = word(&rest);
    if (slice_eq(verb, SLICE_LIT("answer"))) {
        owner_answer(o, parse_verdict(rest, STATUS_OK));
    } else if (slice_eq(verb, SLICE_LIT("entry"))) {
        uint32_t idx = (uint32_t)number_of(word(&rest));
        decide_entry(o, idx, rest);
    } else if (slice_eq(verb, SLICE_LIT("promise"))) {
        uint32_t idx = (uint32_t)number_of(word(&rest));
        session_promise_rcpt(&o->session, idx, parse_verdict(rest, STATUS_STORED));
    } else if (slice_eq(verb, SLICE_LIT("open"))) {
        session_open_block(&o->session);
    } else if (slice_eq(verb, SLICE_LIT("life"))) {
        session_show_life(&o->session);
    } else if (slice_eq(verb, SLICE_LIT("finish"))) {
        session_finish(&o->session, parse_verdict(rest, STATUS_STORED));
    } else if (slice_eq(verb, SLICE_LIT("end"))) {
        session_end_now(&o->session, parse_verdict(rest, STATUS_OK));
    } else if (slice_eq(verb, SLICE_LIT("eof"))) {
        bool goes_on = session_eof(&o->session, bytes_slice(&o->held));
        struct slice got = goes_on ? SLICE_LIT("true") : SLICE_LIT("false");
        if (!slice_eq(rest, got))
            fail(r, l, "session_eof()", rest, got);
    } else {
        die("unknown @", r->script->name, l->number);
    }
    owner_pump(o);
}

static void expect_line(struct run *r, const struct line *l)
{
    struct slice got = slice_from(bytes_slice(&r->owner.out), r->out_at);
    struct slice line = slice_first(got, slice_find(got, '\n') + 1);
    if (line.len < 2 || !slice_eq(slice_first(line, line.len - 2), l->text))
        fail(r, l, "reply", l->text, got);
    r->out_at += line.len;
}

/* A whole reply with this code, whatever its lines say. */
static void skip_reply(struct run *r, const struct line *l)
{
    for (bool is_last = false; !is_last;) {
        struct slice got = slice_from(bytes_slice(&r->owner.out), r->out_at);
        struct slice line = slice_first(got, slice_find(got, '\n') + 1);
        if (line.len < 6 || !slice_eq(slice_first(line, 3), l->text)) {
            fail(r, l, "reply", l->text, got);
            return;
        }
        is_last = line.ptr[3] == ' ';
        r->out_at += line.len;
    }
}

static void expect_body(struct run *r, const struct line *l)
{
    struct slice got = slice_from(bytes_slice(&r->owner.bodies), r->bodies_at);
    struct slice mark = SLICE_LIT("\n--\n");
    struct slice head = slice_first(got, l->text.len);
    struct slice tail = slice_first(slice_from(got, l->text.len), mark.len);
    if (!slice_eq(head, l->text) || !slice_eq(tail, mark))
        fail(r, l, "content", l->text, got);
    r->bodies_at += l->text.len + mark.len;
}

static void expect_quiet(struct run *r, const struct line *l)
{
    struct slice got = slice_from(bytes_slice(&r->owner.out), r->out_at);
    if (got.len > 0)
        fail(r, l, "reply that was not expected", SLICE_EMPTY, got);
}

/* One line of the transcript. */
static void run_line(struct run *r, const struct line *l)
{
    bool is_input = is_tag(l, "C") || is_tag(l, "C+");
    if (is_input) {
        bytes_put(&r->pending, l->text);
        if (is_tag(l, "C"))
            bytes_put(&r->pending, SLICE_LIT("\r\n"));
        return;
    }
    if (l->tag.ptr[0] == 'V')
        return; /* collected before */
    if (r->pending.len > 0 && r->mode != RUN_AT_ONCE) {
        expect_quiet(r, l);
        send_pending(r);
    }
    if (is_tag(l, "S"))
        expect_line(r, l);
    else if (is_tag(l, "SKIP"))
        skip_reply(r, l);
    else if (is_tag(l, "B"))
        expect_body(r, l);
    else if (is_tag(l, "@"))
        do_at(r, l);
    else if (is_tag(l, "X")) {
        if (!session_wants_close(&r->owner.session))
            fail(r, l, "does not want to close", SLICE_EMPTY, SLICE_EMPTY);
    } else if (is_tag(l, "E")) {
        if (r->mode != RUN_AT_ONCE && !slice_eq(l->text, bytes_slice(&r->owner.trace)))
            fail(r, l, "events", l->text, bytes_slice(&r->owner.trace));
    } else {
        die("unknown tag", r->script->name, l->number);
    }
}

static void collect_verdicts(struct run *r)
{
    for (unsigned i = 0; i < r->script->count; i++) {
        const struct line *l = &r->script->lines[i];
        struct verdicts *v = NULL;
        if (l->tag.ptr[0] != 'V')
            continue;
        if (is_tag(l, "V mail"))
            v = &r->mail;
        else if (is_tag(l, "V rcpt"))
            v = &r->rcpt;
        else if (is_tag(l, "V content"))
            v = &r->content;
        else if (is_tag(l, "V end"))
            v = &r->end;
        else
            die("unknown verdict", r->script->name, l->number);
        ASSERT(v->count < VERDICTS_MAX);
        v->at[v->count++] = l->text;
    }
}

static bool run_script(const struct script *sc, enum run_mode mode, uint64_t seed)
{
    static struct run r;
    struct line last = {.number = sc->lines[sc->count - 1].number};
    memset(&r, 0, sizeof(r));
    r.script = sc;
    r.mode = mode;
    r.seed = seed;
    rng_init(&r.rng, seed);
    collect_verdicts(&r);
    owner_init(&r.owner, &sc->config, &ops, &r);
    r.owner.out_room = mode == RUN_SMALL_OUTPUT ? SESSION_OUTPUT_BYTES_MIN : 0;
    if (!sc->is_early)
        owner_pump(&r.owner);
    if (mode == RUN_AT_ONCE) {
        for (unsigned i = 0; i < sc->count; i++)
            if (is_tag(&sc->lines[i], "C") || is_tag(&sc->lines[i], "C+"))
                run_line(&r, &sc->lines[i]);
        send_pending(&r);
    }
    for (unsigned i = 0; i < sc->count && !r.has_failed; i++) {
        bool is_input = is_tag(&sc->lines[i], "C") || is_tag(&sc->lines[i], "C+");
        if (mode != RUN_AT_ONCE || !is_input)
            run_line(&r, &sc->lines[i]);
    }
    if (!r.has_failed && r.pending.len > 0)
        send_pending(&r);
    if (!r.has_failed)
        expect_quiet(&r, &last);
    if (!r.has_failed && (r.end.next != r.end.count || r.rcpt.next != r.rcpt.count ||
                          r.mail.next != r.mail.count || r.content.next != r.content.count))
        fail(&r, &last, "verdicts left over", SLICE_EMPTY, SLICE_EMPTY);
    owner_check_output(bytes_slice(&r.owner.out));
    owner_deinit(&r.owner);
    bytes_free(&r.pending);
    return !r.has_failed;
}

int main(int argc, char **argv)
{
    static struct script sc;
    uint64_t seed = 1;
    int first = 1;
    unsigned failed = 0;
    unsigned runs = 0;
    if (testscan_init() != 0)
        return 2;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        seed = strtoull(argv[2], NULL, 0);
        first = 3;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: dialogue_test [--seed N] FILE...\n");
        return 2;
    }
    for (int i = first; i < argc; i++) {
        memset(&sc, 0, sizeof(sc));
        load(&sc, argv[i]);
        if (sc.count == 0)
            die("empty", sc.name, 0);
        for (int mode = 0; mode < RUN_COUNT; mode++) {
            bool is_split = mode == RUN_BYTEWISE || mode == RUN_RANDOM;
            if ((mode == RUN_AT_ONCE && sc.is_stepwise) || (is_split && sc.is_whole))
                continue;
            unsigned repeats = mode == RUN_RANDOM ? 20 : 1;
            for (unsigned n = 0; n < repeats; n++, runs++)
                failed += !run_script(&sc, (enum run_mode)mode, seed + n);
        }
        for (unsigned n = 0; n < sc.count; n++) {
            free((void *)(uintptr_t)sc.lines[n].tag.ptr);
            free((void *)(uintptr_t)sc.lines[n].text.ptr);
        }
    }
    printf("%d transcripts, %u runs, %u failed, seed %llu\n", argc - first, runs, failed,
           (unsigned long long)seed);
    return failed == 0 ? 0 : 1;
}
