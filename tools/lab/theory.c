/* SPDX-License-Identifier: Apache-2.0 */
/*
 * theory.c - owns the closed forms of DUP section 3.
 *
 * A try is looked at in one piece, without events: when each answer leaves, when the client gives
 * up (the first gap that is longer than its limit), and from these which recipients it credits and
 * which the server commits. Copies of the first try are what is committed and not credited. All
 * tries together are that, again and again, with what is left (DUP-6 in its general form).
 *
 * This is on purpose no simulation: it knows no sessions, no clocks and no order of events, so that
 * it can contradict one.
 */
#include "lab/theory.h"
#include "base/assert.h"
#include "base/limits.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When a recipient is credited, and when the server must have committed it (DUP section 2). */
enum settles {
    SETTLES_ONE,    /* one reply for all */
    SETTLES_EACH,   /* the recipient's own reply */
    SETTLES_FINAL,  /* the final reply */
    SETTLES_OPENER, /* the opening line */
};

struct
try {
    enum settles settles;
    bool has_opener;
    bool is_one_reply; /* the answers are lines of one reply */
    bool is_buffered;
    bool commits_each; /* in front of each answer; else once */
    bool names_later; /* ADAT: recipients follow the content, and a command of their own the last */
    uint32_t count;   /* recipients of this try */
    uint32_t refused;
    clock_ns before, per_rcpt, commit, delay, gap;
    clock_ns opener_at;
    clock_ns answer_at[RCPT_COUNT_MAX]; /* when each leaves, from the content's arrival */
    bool is_kept[RCPT_COUNT_MAX];       /* accepted, when the server goes on to the end */
    clock_ns final_at;
    clock_ns gives_up_at; /* client's time from the dot; CLOCK_NEVER: it gets everything */
    bool is_broken;       /* then: the connection breaks; else the client closes it */
};

struct outcome {
    bool is_settled[RCPT_COUNT_MAX];
    bool is_committed[RCPT_COUNT_MAX];
};

static clock_ns constant(const struct dist *d)
{
    return d->kind == DIST_CONSTANT ? d->low : 0;
}

static clock_ns add(clock_ns a, clock_ns b)
{
    clock_ns sum;
    return __builtin_add_overflow(a, b, &sum) ? CLOCK_NEVER : sum;
}

/* --- one try ------------------------------------------------------------------------------- */

static enum settles settles_of(enum lab_dialect d)
{
    switch (d) {
    case LAB_SMTP:
        return SETTLES_ONE;
    case LAB_LMTP:
    case LAB_EXDATA:
    case LAB_WRAPPED_A:
        return SETTLES_EACH;
    case LAB_PRDR:
    case LAB_DEFERRALS:
    case LAB_INLINE_DSN:
    case LAB_XPRDR1:
    case LAB_ADAT:
        return SETTLES_FINAL;
    case LAB_WRAPPED_B:
        return SETTLES_OPENER;
    case LAB_DIALECT_COUNT:
        break;
    }
    UNREACHABLE();
}

/* So long may a server be silent between two replies of a block (DEF-18, EXD-16). */
static clock_ns gap_of(const struct try *t, enum lab_dialect d)
{
    if (t->is_buffered || t->settles == SETTLES_ONE)
        return CLOCK_NEVER;
    if (d == LAB_DEFERRALS)
        return 60 * NS_PER_S;
    return d == LAB_EXDATA ? 300 * NS_PER_S : CLOCK_NEVER;
}

static void shape(struct try *t, const struct lab_server *s)
{
    enum lab_dialect d = s->dialect;
    t->is_buffered =
        s->pacing == LAB_BUFFER && d != LAB_ADAT; /* its commands are answered singly */
    t->settles = settles_of(d);
    t->commits_each = t->settles == SETTLES_EACH && !t->is_buffered;
    t->names_later = d == LAB_ADAT;
    t->is_one_reply = d == LAB_EXDATA || d == LAB_WRAPPED_A || d == LAB_WRAPPED_B;
    t->has_opener = d != LAB_SMTP && d != LAB_LMTP && d != LAB_XPRDR1 && d != LAB_EXDATA;
    /* Without a refusal EXDATA has nothing to list, and answers like SMTP (EXD-10); and nobody asks
     * for a list of one (PRDR-39), but where there is no other form. */
    bool is_lone = t->count < LAB_LIST_RCPT_MIN && d != LAB_LMTP && d != LAB_ADAT;
    if ((d == LAB_EXDATA && t->refused == 0) || is_lone) {
        t->settles = SETTLES_ONE;
        t->has_opener = t->is_one_reply = false;
    }
    t->gap = gap_of(t, d);
}

/* One recipient's work after another's, or all at once; commits that stand in front of an answer
 * are a part of it. A block that is open may not be silent for too long: then 4xx is answered, and
 * the next one's turn has come. */
static void work(struct try *t, const struct lab_server *s)
{
    clock_ns each = t->per_rcpt + (t->commits_each ? t->commit : 0);
    clock_ns begin = t->before, last = t->has_opener ? t->opener_at : CLOCK_NEVER;
    for (uint32_t i = 0; i < t->count; i++) {
        bool is_refused = i < t->refused;
        clock_ns end = begin + (is_refused ? t->per_rcpt : each);
        t->is_kept[i] = !is_refused;
        if (last != CLOCK_NEVER && end > add(last, t->gap)) {
            end = last + t->gap;
            t->is_kept[i] = false;
        }
        if (s->order == LAB_SEQUENTIAL)
            begin = u64_max(begin, end);
        last = last == CLOCK_NEVER ? end : u64_max(last, end);
        t->answer_at[i] = last;
    }
}

static void budget(struct try *t, clock_ns budget_ns)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->answer_at[i] <= budget_ns)
            continue;
        t->answer_at[i] = budget_ns;
        /* What stands behind an opening line is the server's already. */
        bool is_ours = t->settles == SETTLES_OPENER && !t->is_buffered && t->commit <= budget_ns;
        t->is_kept[i] = t->is_kept[i] && is_ours;
    }
}

/* One answer for all: a deferral defers all, and who is refused beside others is taken with them.
 */
static void level(struct try *t)
{
    bool is_late = !t->is_kept[t->count - 1] && t->count > t->refused;
    for (uint32_t i = 0; i < t->count; i++) {
        t->answer_at[i] = t->final_at;
        t->is_kept[i] = !is_late && t->count > t->refused;
    }
}

static void answers(struct try *t, const struct lab_server *s)
{
    bool is_kept = false;
    t->opener_at = s->opener_ns;
    if (t->names_later)
        t->opener_at = t->before;
    else if (s->opener_ns == CLOCK_NEVER || t->is_buffered)
        t->has_opener = false;
    else /* the first reply may come before it, and brings it along */
        t->opener_at = u64_min(t->opener_at, t->before + t->per_rcpt);
    if (t->settles == SETTLES_OPENER && t->has_opener)
        t->opener_at = u64_max(t->opener_at, t->commit);
    work(t, s);
    budget(t, s->reply_budget_ns);
    for (uint32_t i = 0; i < t->count; i++)
        is_kept |= t->is_kept[i];
    t->final_at = t->answer_at[t->count - 1];
    if (t->names_later) /* naming, and the command that ends it, each have their way */
        for (uint32_t i = 0; i < t->count; i++)
            t->answer_at[i] += 2 * t->delay;
    if (t->names_later)
        t->final_at += 4 * t->delay;
    else if (t->settles == SETTLES_FINAL && !t->is_buffered)
        t->final_at += s->final_ns;
    if (is_kept && !t->commits_each && (t->settles != SETTLES_OPENER || t->is_buffered))
        t->final_at += t->commit;
    if (t->settles == SETTLES_OPENER && !t->has_opener)
        t->opener_at = u64_max(t->answer_at[0], t->commit);
    if (t->settles == SETTLES_ONE && s->dialect != LAB_EXDATA)
        level(t);
}

/* The client's clock: the first answer that comes too late. */
static clock_ns gives_up(const struct try *t, const struct lab_client *c)
{
    bool restarts = c->timer == LAB_TIMER_LINE || (c->timer == LAB_TIMER_REPLY && !t->is_one_reply);
    clock_ns round_trip = 2 * t->delay;
    if (c->limit_ns == CLOCK_NEVER)
        return CLOCK_NEVER;
    if (!restarts || t->is_buffered || t->settles == SETTLES_ONE)
        return t->final_at + round_trip > c->limit_ns ? c->limit_ns : CLOCK_NEVER;
    clock_ns since = 0;
    if (t->has_opener) {
        if (t->opener_at + round_trip > c->limit_ns)
            return c->limit_ns;
        since = t->opener_at + round_trip;
    }
    for (uint32_t i = 0; i <= t->count; i++) {
        clock_ns at = (i < t->count ? t->answer_at[i] : t->final_at) + round_trip;
        if (at > add(since, c->limit_ns))
            return since + c->limit_ns;
        since = u64_max(since, at);
    }
    return CLOCK_NEVER;
}

/* When a recipient's fate leaves. */
static clock_ns settled_at(const struct try *t, const struct lab_client *c, uint32_t i)
{
    bool is_at_end = t->is_buffered || t->settles == SETTLES_ONE ||
                     (t->settles == SETTLES_FINAL && (!c->credits_early || t->names_later));
    if (is_at_end)
        return t->final_at;
    return t->settles == SETTLES_OPENER ? u64_min(t->opener_at, t->answer_at[i]) : t->answer_at[i];
}

/* When the server has committed recipient @i, if it comes to that. */
static clock_ns commit_end(const struct try *t, uint32_t i)
{
    if (t->commits_each)
        return t->answer_at[i];
    return t->settles == SETTLES_OPENER && !t->is_buffered ? t->commit : t->final_at;
}

/* DUP-10: with write errors only, the first write to a client that has left goes well and the
 * second one fails; to a connection that broke the first one fails already. Whether the commit for
 * recipient
 * @i comes before that. */
static bool writes_reach(const struct try *t, uint32_t i)
{
    uint32_t written = 0, before = t->commits_each ? i : t->count;
    clock_ns look = commit_end(t, i) - t->commit;
    if (t->is_buffered || t->settles == SETTLES_ONE || t->settles == SETTLES_OPENER)
        return true;
    if (t->has_opener && t->opener_at <= look && t->opener_at < t->answer_at[0])
        written += t->is_broken ? t->opener_at >= t->gives_up_at : t->opener_at > t->gives_up_at;
    for (uint32_t k = 0; k < before; k++)
        written += t->answer_at[k] > t->gives_up_at && t->answer_at[k] <= look;
    return written < (t->is_broken ? 1u : 2u);
}

static bool commits(const struct try *t, const struct lab_server *s, uint32_t i)
{
    if (!t->is_kept[i])
        return false;
    if (t->gives_up_at == CLOCK_NEVER)
        return true;
    /* ADAT: the command that asks for the commit is never sent. */
    clock_ns named_at = t->answer_at[t->count - 1] + 2 * t->delay;
    if (t->names_later && (t->is_broken ? named_at >= t->gives_up_at : named_at > t->gives_up_at))
        return false;
    if (s->vanished == LAB_VANISHED_RUN)
        return true;
    clock_ns end = commit_end(t, i);
    if (s->vanished == LAB_VANISHED_WRITE)
        return writes_reach(t, i);
    /* At one instant the network comes first, then work, then limits: news that travelled is there
     * before the look, a limit that strikes at that very moment is not. */
    clock_ns look = end - t->commit;
    return t->delay > 0 && !t->is_broken ? look < t->gives_up_at : look <= t->gives_up_at;
}

static void try_make(struct try *t, const struct lab_point *p, bool is_first, uint32_t count,
                     uint32_t refused)
{
    const struct lab_server *s = &p->server;
    ASSERT(count > 0 && count <= RCPT_COUNT_MAX);
    *t = (struct try){.count = count, .refused = refused};
    t->before = !is_first && s->remembers_scan ? 0 : constant(&s->before);
    t->per_rcpt = constant(&s->per_rcpt);
    t->commit = constant(&s->commit);
    t->delay = p->faults.one_way_ns;
    shape(t, s);
    answers(t, s);
    t->gives_up_at = gives_up(t, &p->client);
}

/* A client that hears nothing, or is cut off, after @read answers. */
static void try_cut(struct try *t, const struct lab_point *p)
{
    const struct lab_faults *f = &p->faults;
    if (f->cut != LAB_CUT_AFTER_REPLIES)
        return;
    clock_ns at = 0;
    /* What leaves together and is alike for all leaves as one reply, where there is such a form. */
    bool is_alike = t->refused == 0 || t->refused == t->count;
    bool is_single =
        t->settles == SETTLES_ONE || (t->is_buffered && is_alike && p->server.dialect != LAB_LMTP &&
                                      p->server.dialect != LAB_XPRDR1);
    if (f->cut_replies > 0 && !is_single)
        at = add(t->is_buffered ? t->final_at : t->answer_at[u64_min(f->cut_replies, t->count) - 1],
                 2 * t->delay);
    if (is_single && f->cut_replies > 0)
        return; /* it has heard all there is */
    t->is_broken = at <= t->gives_up_at;
    t->gives_up_at = u64_min(t->gives_up_at, at);
}

static void try_judge(const struct try *t, const struct lab_point *p, struct outcome *ret)
{
    bool is_cut = p->faults.cut == LAB_CUT_AFTER_REPLIES;
    for (uint32_t i = 0; i < t->count; i++) {
        clock_ns read_at = add(settled_at(t, &p->client, i), 2 * t->delay);
        bool is_read = t->gives_up_at == CLOCK_NEVER || read_at <= t->gives_up_at;
        /* Of answers that come in one moment a cut lets only so many pass. */
        if (is_cut && t->gives_up_at != CLOCK_NEVER && t->settles != SETTLES_OPENER)
            is_read = is_read && i < p->faults.cut_replies &&
                      (t->settles == SETTLES_EACH || (p->client.credits_early && !t->names_later));
        if (is_cut && p->faults.cut_replies == 0)
            is_read = false;
        ret->is_settled[i] = is_read;
        ret->is_committed[i] = commits(t, &p->server, i);
    }
}

/* --- all tries ----------------------------------------------------------------------------- */

struct sums {
    double first, total;
    bool is_livelock;
};

struct pair {
    bool is_open, is_refused, is_deferred;
    uint32_t copies;
};

/* Tries of one message, when nothing in them is left to chance. */
static void tries(const struct lab_point *p, struct sums *ret)
{
    struct pair pairs[RCPT_COUNT_MAX];
    bool has_progress = false;
    uint32_t open = p->rcpt_count;
    *ret = (struct sums){0};
    for (uint32_t i = 0; i < p->rcpt_count; i++)
        pairs[i] = (struct pair){true, i < p->server.refused_count, false, 0};
    for (uint32_t n = 0; n < p->client.tries_max && open > 0; n++) {
        struct try t;
        struct outcome o;
        uint32_t at = 0, refused = 0;
        for (uint32_t i = 0; i < p->rcpt_count; i++)
            refused += pairs[i].is_open && pairs[i].is_refused;
        try_make(&t, p, n == 0, open, refused);
        if (n == 0 || !p->faults.is_first_try_only)
            try_cut(&t, p);
        struct lab_point uncut = *p;
        if (n > 0 && p->faults.is_first_try_only)
            uncut.faults.cut = LAB_CUT_NONE;
        try_judge(&t, &uncut, &o);
        for (uint32_t i = 0; i < p->rcpt_count; i++) {
            struct pair *pair = &pairs[i];
            if (!pair->is_open)
                continue;
            bool is_new = !p->server.suppresses_copies || pair->copies == 0;
            pair->copies += o.is_committed[at] && is_new;
            ret->first += n == 0 && o.is_committed[at] && !o.is_settled[at];
            /* A recipient that was told 4xx is still open, and the next try is for it. */
            bool is_settled = o.is_settled[at] && (t.is_kept[at] || pair->is_refused);
            pair->is_open = !is_settled;
            has_progress |= is_settled;
            open -= is_settled;
            at++;
        }
    }
    for (uint32_t i = 0; i < p->rcpt_count; i++)
        ret->total += pairs[i].copies > 1 ? pairs[i].copies - 1 : 0;
    ret->is_livelock = open > 0 && !has_progress;
}

/* --- chance -------------------------------------------------------------------------------- */

/* All tries, when each fails whole with probability @share and @count are committed then: the f-th
 * failure costs @count copies if another try follows. So it is min(failures, tries - 1) times. */
static void repeated(double count, double share, uint32_t tries_max, struct lab_theory *ret)
{
    double mean = 0, square = 0, power = 1;
    for (uint32_t f = 1; f < tries_max; f++) {
        power *= share;
        mean += power;
        square += (2.0 * f - 1) * power;
    }
    ret->copies_total = count * mean;
    ret->copies_total_sd = count * sqrt(fmax(0, square - mean * mean));
}

static uint32_t kept_count(const struct try *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++)
        count += t->is_kept[i];
    return count;
}

struct change { /* of the copies that a cut makes, as it comes later and later */
    clock_ns at;
    int by;
};

static int by_time(const void *a, const void *b)
{
    clock_ns x = ((const struct change *)a)->at, y = ((const struct change *)b)->at;
    return x < y ? -1 : x > y;
}

/*
 * DUP-11: the connection breaks with hazard lambda, from the content's arrival on, and the client's
 * own limit does not strike. A cut makes a copy of a recipient when it comes after the server's
 * last look (a server that never looks: at any time) and before his answer has been read.
 */
static void hazard(const struct lab_point *p, struct lab_theory *ret)
{
    struct try t;
    struct change changes[2 * RCPT_COUNT_MAX];
    double lambda = p->faults.hazard_per_s, mean = 0, square = 0;
    uint32_t count = 0, kept = 0, copies = 0;
    try_make(&t, p, true, p->rcpt_count, p->server.refused_count);
    /* ADAT's last command is not sent on a broken connection: as good as a look. */
    bool looks = p->server.vanished == LAB_VANISHED_STOP || t.names_later;
    for (uint32_t i = 0; i < t.count; i++) {
        clock_ns read_at = add(settled_at(&t, &p->client, i), t.delay);
        clock_ns look_at = looks ? commit_end(&t, i) - t.commit : 0;
        if (!t.is_kept[i] || look_at >= read_at)
            continue;
        changes[count++] = (struct change){look_at, 1};
        changes[count++] = (struct change){read_at, -1};
        kept++;
    }
    qsort(changes, count, sizeof(*changes), by_time);
    for (uint32_t i = 0; i + 1 < count; i++) {
        copies = (uint32_t)((int)copies + changes[i].by);
        double from = (double)changes[i].at / 1e9, to = (double)changes[i + 1].at / 1e9;
        double share = exp(-lambda * from) * -expm1(-lambda * (to - from));
        mean += copies * share;
        square += (double)copies * copies * share;
    }
    ret->copies_first = mean;
    ret->copies_first_sd = sqrt(fmax(0, square - mean * mean));
    /* Where all recipients share one fate and nothing changes from try to try. */
    bool is_whole = t.settles != SETTLES_EACH || t.is_buffered;
    ret->has_total = is_whole && !looks && !p->client.credits_early && kept == t.count &&
                     !p->faults.is_first_try_only && !p->server.remembers_scan;
    if (ret->has_total)
        repeated(kept, kept > 0 ? mean / kept : 0, p->client.tries_max, ret);
    snprintf(ret->rule, sizeof(ret->rule), "DUP-11");
}

/* Nothing passes after the dot, and nobody can see it (DUP-17): all is committed, nothing read. */
static void black_hole(const struct lab_point *p, struct lab_theory *ret)
{
    struct try t;
    double share = p->faults.black_hole_share;
    try_make(&t, p, true, p->rcpt_count, p->server.refused_count);
    double kept = t.names_later ? 0 : kept_count(&t);
    ret->copies_first = share * kept;
    ret->copies_first_sd = kept * sqrt(share * (1 - share));
    ret->has_total = !p->faults.is_first_try_only && p->server.refused_count == 0;
    repeated(kept, share, p->client.tries_max, ret);
    ret->is_livelock = share >= 1;
    snprintf(ret->rule, sizeof(ret->rule), "DUP-17");
}

/* DUP-22: what was committed, and whose reply nobody is known to have read, is not kept again. */
static void suppressed(struct lab_theory *ret)
{
    char rule[LAB_RULE_BYTES_MAX];
    snprintf(rule, sizeof(rule), "%.20s, DUP-22", ret->rule);
    memcpy(ret->rule, rule, sizeof(rule));
    ret->copies_total = ret->copies_total_sd = 0;
    ret->is_livelock = false;
}

/* --- which --------------------------------------------------------------------------------- */

/* How long a server can be at work that does not look up. */
static clock_ns last_work(const struct lab_point *p)
{
    const struct lab_server *s = &p->server;
    clock_ns each = constant(&s->per_rcpt) + constant(&s->commit);
    return constant(&s->before) + p->rcpt_count * each + s->final_ns + constant(&s->commit);
}

/* Why there is no closed form, or NULL. */
static const char *none(const struct lab_point *p)
{
    const struct lab_server *s = &p->server;
    if (s->before.kind != DIST_CONSTANT || s->per_rcpt.kind != DIST_CONSTANT ||
        s->commit.kind != DIST_CONSTANT)
        return "a time is distributed";
    if (p->mix.count > 0)
        return "the clients differ";
    if (s->capacity > 0 || s->slowdown > 0)
        return "messages wait for each other";
    if (p->faults.cut == LAB_CUT_SLOW)
        return "the link is slow";
    if (s->refused_share > 0 || s->deferred_share > 0)
        return "verdicts are drawn";
    if (s->vanished != LAB_VANISHED_RUN && p->client.half_closes)
        return "who has said QUIT cannot be seen to leave (PRDR-33)";
    if (s->suppresses_copies && p->client.retry_ns < last_work(p))
        return "a try may begin before the work of the last one is over";
    if (s->progress_ns > 0)
        return "signs of life are sent";
    return NULL;
}

static const char *rule_of(const struct lab_point *p)
{
    bool is_total = p->client.timer == LAB_TIMER_TOTAL;
    bool is_plain = p->server.dialect == LAB_EXDATA && p->server.refused_count == 0;
    if (p->server.vanished != LAB_VANISHED_RUN)
        return "DUP-10";
    switch (settles_of(p->server.dialect)) {
    case SETTLES_ONE:
        return "DUP-4";
    case SETTLES_EACH:
        if (p->server.pacing == LAB_BUFFER || is_plain)
            return "DUP-8";
        if (p->server.dialect != LAB_LMTP && p->client.timer == LAB_TIMER_REPLY)
            return "DUP-6, DUP-13";
        return is_total ? "DUP-6" : "DUP-5";
    case SETTLES_FINAL:
        return p->server.dialect == LAB_DEFERRALS && p->server.pacing == LAB_STREAM
                   ? "DUP-7, DEF-18"
                   : "DUP-7";
    case SETTLES_OPENER:
        return p->server.pacing == LAB_BUFFER ? "DUP-8" : "DUP-9";
    }
    UNREACHABLE();
}

void lab_theory(const struct lab_point *p, struct lab_theory *ret_theory)
{
    struct sums sums;
    *ret_theory = (struct lab_theory){.why_none = none(p)};
    if (ret_theory->why_none != NULL)
        return;
    tries(p, &sums);
    bool is_chance = p->faults.cut == LAB_CUT_HAZARD || p->faults.cut == LAB_CUT_BLACK_HOLE;
    if (is_chance && sums.first > 0) {
        ret_theory->why_none = "cuts and the client's limit both strike";
    } else if (p->faults.cut == LAB_CUT_HAZARD) {
        if (p->server.vanished == LAB_VANISHED_WRITE)
            ret_theory->why_none = "cuts, and a server that sees them by its writes";
        else
            hazard(p, ret_theory);
    } else if (p->faults.cut == LAB_CUT_BLACK_HOLE) {
        black_hole(p, ret_theory);
    } else {
        ret_theory->copies_first = sums.first;
        ret_theory->copies_total = sums.total;
        ret_theory->has_total = true;
        ret_theory->is_livelock = sums.is_livelock;
        snprintf(ret_theory->rule, sizeof(ret_theory->rule), "%s", rule_of(p));
    }
    if (p->server.suppresses_copies && p->client.tries_max > 1 && ret_theory->why_none == NULL)
        suppressed(ret_theory);
    if (p->model_ns_max != CLOCK_NEVER)
        ret_theory->has_total = false; /* the run may end before the last try */
}

double lab_theory_bound(double sd, uint64_t messages)
{
    ASSERT(messages > 0);
    return LAB_THEORY_SIGMAS * sd / sqrt((double)messages) + 1e-9;
}
