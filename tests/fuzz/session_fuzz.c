/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_fuzz.c - a client that says anything, in any pieces.
 *
 * Input: two bytes of configuration, eight bytes of seed, then what the client sends.
 * Oracles: the same output, content and events whole and split; each line of output well-formed; as
 * many replies as slots were given out, and as many after the content as the dialect wants; marks
 * of a dialect (352, 353, 558, +RCPT) only for transactions that asked for it (PRDR-40, EXD-4); a
 * third run, held to the rules of pipelining, with late answers and a sudden end, must end well.
 */
#include "../dialogue/owner.h"
#include "../support/testscan.h"
#include "base/rng.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct rng rng; /* decisions, in the order in which they are asked for */
    bool may_be_late;
    uint64_t block_lines; /* replies after the content that are due, less one for each block */
    uint64_t laters;      /* 352 to RCPT */
    uint64_t openers;     /* 353 */
    uint64_t wrapped;     /* 558 and +RCPT may stand in the output */
    bool is_uncounted;    /* XPRDR1: a last chunk that was refused has a block that we do not see */
};

static struct answer decide(struct fuzz *f, enum status good)
{
    static const enum status bad[] = {STATUS_NO_SUCH_USER, STATUS_LOCAL_ERROR, STATUS_STORE_FULL};
    uint64_t n = rng_below(&f->rng, 16);
    if (f->may_be_late && n < 3)
        return OWNER_LATER;
    return n < 13 ? ANSWER(good) : ANSWER(bad[n - 13]);
}

static struct answer on_mail(struct owner *o, const struct session_event *ev)
{
    struct fuzz *f = o->ctx;
    f->is_uncounted |= (ev->mail.dialects & SESSION_OFFER_XPRDR1) != 0;
    return decide(f, STATUS_SENDER_OK);
}

static struct answer on_rcpt(struct owner *o, const struct session_event *ev)
{
    struct fuzz *f = o->ctx;
    (void)ev;
    if (session_may_decide_later(&o->session) && rng_below(&f->rng, 3) > 0) {
        f->laters++;
        return ANSWER(STATUS_RCPT_LATER);
    }
    return decide(f, STATUS_RCPT_OK);
}

static struct answer on_content(struct owner *o)
{
    return decide(o->ctx, STATUS_OK);
}

/* How one message was decided. */
struct decision {
    uint32_t count;
    uint32_t listed;
    bool is_mixed; /* no one reply fits all */
    bool is_lost;  /* somebody is refused who has no line (DEF-15) */
};

/* What a block adds to the one reply that every message has. */
static void note_block(struct fuzz *f, enum dialect dialect, const struct decision *d)
{
    switch (dialect) {
    case DIALECT_SMTP:
    case DIALECT_ADAT:
        break;
    case DIALECT_LMTP:
        f->block_lines += d->listed - 1;
        break;
    case DIALECT_PRDR:
    case DIALECT_DEFERRALS:
    case DIALECT_INLINE_DSN:
        f->openers++;
        f->block_lines += d->listed + 1;
        if (dialect == DIALECT_INLINE_DSN && d->is_lost)
            f->block_lines--; /* without its end (INL-4) */
        break;
    case DIALECT_XPRDR1:
        f->block_lines += d->listed;
        break;
    case DIALECT_EXDATA:
    case DIALECT_XRCPT250:
    case DIALECT_XRCPT250B:
        f->wrapped++;
        break;
    case DIALECT_COUNT:
        UNREACHABLE();
    }
}

static bool is_listed(const struct owner *o, uint32_t idx)
{
    return !session_may_decide_later(&o->session) || o->rcpt_codes[idx] == 352;
}

static void decide_entries(struct owner *o, struct fuzz *f, struct decision *d)
{
    bool is_alike = session_has_one_reply(&o->session) || rng_below(&f->rng, 2) == 0;
    uint64_t common = rng_below(&f->rng, 4);
    uint64_t first = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        uint64_t n = is_alike ? common : rng_below(&f->rng, 4);
        first = i == 0 ? n : first;
        d->is_mixed |= (n > 1 ? n : 0) != (first > 1 ? first : 0);
        d->is_lost |= n > 1 && !is_listed(o, i);
        if (n <= 1)
            owner_accept(o, i, ANSWER(n == 0 ? STATUS_STORED : STATUS_RCPT_OK));
        else
            session_refuse_rcpt(&o->session, i,
                                ANSWER(n == 2 ? STATUS_REFUSED_POLICY : STATUS_DEFERRED_POLICY));
    }
}

static void on_end(struct owner *o, const struct session_event *ev)
{
    struct fuzz *f = o->ctx;
    struct decision d = {.count = session_rcpt_count(&o->session)};
    enum dialect dialect = session_dialect(&o->session);
    bool is_open = rng_below(&f->rng, 4) == 0;
    ASSERT(d.count > 0);
    for (uint32_t i = 0; i < d.count; i++)
        d.listed += is_listed(o, i);
    if (is_open)
        session_open_block(&o->session);
    bool has_block =
        dialect == DIALECT_LMTP || dialect == DIALECT_XPRDR1 || (is_open && d.listed > 0);
    if (ev->answer.status != STATUS_NONE) {
        d.is_lost = d.listed < d.count;
        if (has_block)
            note_block(f, dialect, &d);
        session_finish(&o->session, ev->answer);
        return;
    }
    decide_entries(o, f, &d);
    if (is_open) /* now somebody may have been refused, or accepted */
        session_open_block(&o->session);
    bool is_forced = d.is_mixed && d.listed > 0 && !(dialect == DIALECT_INLINE_DSN && d.is_lost);
    if (has_block || is_forced)
        note_block(f, dialect, &d);
    session_finish(&o->session, ANSWER(STATUS_NONE));
}

static const struct owner_ops ops = {on_mail, on_rcpt, on_content, on_end};

static uint64_t count_lines(struct slice out, const char *begin)
{
    uint64_t count = 0;
    while (out.len > 0) {
        count += slice_has_prefix_nocase(out, slice_str(begin));
        out = slice_from(out, slice_find(out, '\n') + 1);
    }
    return count;
}

static void check_marks(const struct owner *o, const struct fuzz *f)
{
    struct slice out = bytes_slice(&o->out);
    ASSERT(count_lines(out, "352") == f->laters);
    ASSERT(count_lines(out, "353") == f->openers);
    if (f->wrapped == 0)
        ASSERT(count_lines(out, "558") == 0 && count_lines(out, "250-2.0.0 +RCPT") == 0);
}

static uint64_t final_lines(struct slice out)
{
    uint64_t count = 0;
    while (out.len > 0) {
        count += out.ptr[3] == ' ';
        out = slice_from(out, slice_find(out, '\n') + 1);
    }
    return count;
}

static void run(struct owner *o, struct fuzz *f, const struct session_config *config,
                struct slice in, uint64_t seed, bool is_split)
{
    struct rng cuts;
    rng_init(&cuts, seed + 1);
    rng_init(&f->rng, seed);
    owner_init(o, config, &ops, f);
    owner_pump(o);
    while (in.len > 0) {
        size_t len = is_split ? 1 + (size_t)rng_below(&cuts, size_min(in.len, 40)) : in.len;
        len = size_min(len, in.len);
        owner_feed(o, slice_first(in, len));
        in = slice_from(in, len);
        while (f->may_be_late && o->later_count > 0 && rng_below(&cuts, 3) == 0) {
            owner_answer(o, ANSWER(rng_below(&cuts, 2) == 0 ? STATUS_OK : STATUS_LOCAL_ERROR));
            owner_pump(o);
        }
    }
    owner_check_output(bytes_slice(&o->out));
}

static void end(struct owner *o, uint64_t seed)
{
    if (seed % 2 == 0)
        session_end_now(&o->session, ANSWER(STATUS_SHUTTING_DOWN));
    else
        (void)session_eof(&o->session, bytes_slice(&o->held));
    while (o->later_count > 0)
        owner_answer(o, ANSWER(STATUS_OK));
    owner_pump(o);
    if (o->is_closed || seed % 2 == 0) {
        ASSERT(session_wants_close(&o->session));
        ASSERT(session_replies_done(&o->session));
    }
    owner_check_output(bytes_slice(&o->out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct owner whole, split, strict;
    static bool is_ready;
    struct fuzz f[3] = {0};
    if (!is_ready && testscan_init() != 0)
        abort();
    is_ready = true;
    if (size < 10)
        return 0;
    uint64_t seed;
    memcpy(&seed, data + 2, sizeof(seed));
    struct session_config config = {
        .protocol = (data[0] & 1) != 0 ? SESSION_LMTP : SESSION_SMTP,
        .offers = (data[0] & 2) != 0 ? (uint32_t)data[1] * 257 : SESSION_OFFER_ALL,
        .hostname = SLICE_LIT("mx.example"),
        .size_max = (data[0] & 4) != 0 ? 50 : 0,
        .rcpt_max = (data[0] & 8) != 0 ? 2 : 100,
        .mail_max = (data[0] & 16) != 0 ? 2 : 0,
        .error_max = (data[0] & 32) != 0 ? 2 : 0,
        .received_max = (data[0] & 64) != 0 ? 1 : 0,
        .normalize_bare_lf = (data[0] & 128) != 0,
    };
    struct slice in = slice_of(data + 10, size - 10);
    run(&whole, &f[0], &config, in, seed, false);
    run(&split, &f[1], &config, in, seed, true);
    ASSERT(slice_eq(bytes_slice(&whole.out), bytes_slice(&split.out)));
    ASSERT(slice_eq(bytes_slice(&whole.bodies), bytes_slice(&split.bodies)));
    ASSERT(slice_eq(bytes_slice(&whole.trace), bytes_slice(&split.trace)));
    check_marks(&whole, &f[0]);
    if (config.protocol == SESSION_SMTP && !f[0].is_uncounted)
        ASSERT(final_lines(bytes_slice(&whole.out)) ==
               whole.session.replies.head_seq + f[0].block_lines);
    config.bind_early_talkers = true;
    f[2].may_be_late = true;
    run(&strict, &f[2], &config, in, seed, true);
    end(&strict, seed);
    owner_deinit(&whole);
    owner_deinit(&split);
    owner_deinit(&strict);
    return 0;
}
