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

/* What a recipient is told, if the client waits for it. */
enum told { TOLD_ACCEPTED, TOLD_REFUSED, TOLD_LATER };

/*
 * One try, in two clocks: the server's begins when the content arrives, the client's with the dot,
 * one delay earlier. So a reply that leaves at t by the server's is read at t + 2 delay by the
 * client's.
 */
struct
try {
    enum settles settles;
    bool has_opener;
    bool is_one_reply; /* the answers are lines of one reply */
    bool is_buffered;
    bool commits_each; /* in front of each answer; else once */
    bool names_later; /* ADAT: recipients follow the content, and a command of their own the last */
    bool is_each_alone; /* recipients that are ready at one moment are so one after another */
    uint32_t count;     /* recipients of this try */
    clock_ns before, per_rcpt, commit, delay, gap;
    clock_ns opener_at;
    bool is_known[RCPT_COUNT_MAX]; /* the server has him already (DUP-22) */
    enum told told[RCPT_COUNT_MAX];
    clock_ns decided_at[RCPT_COUNT_MAX];
    clock_ns answer_at[RCPT_COUNT_MAX]; /* when each leaves */
    clock_ns final_at;
    clock_ns gives_up_at; /* client's clock; CLOCK_NEVER: it gets everything */
    bool is_broken;       /* then: the connection breaks; else the client closes it */
    clock_ns seen_at;     /* server's clock: when it could know that */
    uint32_t read_count;  /* is_broken: behind so many answers */
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
    bool is_any_refused = false;
    for (uint32_t i = 0; i < t->count; i++)
        is_any_refused |= t->told[i] == TOLD_REFUSED;
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
    if ((d == LAB_EXDATA && !is_any_refused) || is_lone) {
        t->settles = SETTLES_ONE;
        t->has_opener = t->is_one_reply = false;
    }
    t->gap = gap_of(t, d);
    t->is_each_alone = s->order == LAB_CONCURRENT && t->per_rcpt > 0 && !t->is_buffered;
}

/* One recipient's work after another's, or all at once; commits that stand in front of an answer
 * are a part of it. A block that is open may not be silent for too long: then 4xx is answered, and
 * the next one's turn has come. Who is undecided when the budget ends is told 4xx too; a commit
 * that has begun by then is finished. */
static void work(struct try *t, const struct lab_server *s)
{
    clock_ns begin = t->before + (t->names_later ? 2 * t->delay : 0);
    clock_ns last = t->has_opener ? t->opener_at : CLOCK_NEVER;
    for (uint32_t i = 0; i < t->count; i++) {
        clock_ns end = t->is_known[i] ? 0 : begin + t->per_rcpt;
        clock_ns due = last == CLOCK_NEVER ? CLOCK_NEVER : add(last, t->gap);
        clock_ns late_at = u64_min(due, s->reply_budget_ns);
        t->decided_at[i] = u64_min(end, late_at);
        if (end > late_at) {
            /* What stands behind an opening line is the server's already. */
            bool is_ours = late_at < due && t->settles == SETTLES_OPENER && !t->is_buffered &&
                           t->commit <= late_at && t->told[i] == TOLD_ACCEPTED;
            t->told[i] = is_ours ? TOLD_ACCEPTED : TOLD_LATER;
            end = late_at;
        } else if (t->commits_each && t->told[i] == TOLD_ACCEPTED && !t->is_known[i]) {
            end += t->commit;
        }
        if (s->order == LAB_SEQUENTIAL)
            begin = u64_max(begin, end);
        last = last == CLOCK_NEVER ? end : u64_max(last, end);
        t->answer_at[i] = last;
    }
}

static bool is_any_told(const struct try *t, enum told told)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->told[i] == told)
            return true;
    return false;
}

/* One answer for all (CORE-8): a deferral defers all, and who is refused beside others is taken
 * with them. */
static void level(struct try *t)
{
    enum told told = is_any_told(t, TOLD_LATER)      ? TOLD_LATER
                     : is_any_told(t, TOLD_ACCEPTED) ? TOLD_ACCEPTED
                                                     : TOLD_REFUSED;
    for (uint32_t i = 0; i < t->count; i++)
        t->told[i] = told;
}

/* When a 353 or opening line leaves: in its time, or with the first reply when that comes before,
 * and not before what it stands for is on disk. */
static void opener(struct try *t, const struct lab_server *s)
{
    bool is_commit_first = t->commits_each && t->told[0] == TOLD_ACCEPTED;
    clock_ns first = t->before + t->per_rcpt + (is_commit_first ? t->commit : 0);
    t->opener_at = s->opener_ns;
    if (t->names_later) {
        t->opener_at = t->before;
        return;
    }
    if (t->is_buffered)
        t->has_opener = false;
    for (uint32_t i = 0; i < t->count; i++)
        first = t->is_known[i] ? 0 : first;
    t->opener_at = u64_min(t->opener_at, u64_min(first, s->reply_budget_ns));
    if (t->settles == SETTLES_OPENER && t->has_opener)
        t->opener_at = u64_max(t->opener_at, t->commit);
}

static void answers(struct try *t, const struct lab_server *s)
{
    opener(t, s);
    work(t, s);
    bool is_kept = is_any_told(t, TOLD_ACCEPTED);
    /* Also where all are decided before: the work on the content is not given up. */
    t->final_at = u64_max(t->answer_at[t->count - 1], u64_min(t->before, s->reply_budget_ns));
    if (t->names_later) /* the command that ends naming has its way, as the naming had */
        t->final_at += 2 * t->delay;
    else if (t->settles == SETTLES_FINAL && !t->is_buffered)
        t->final_at += s->final_ns;
    if (t->settles == SETTLES_ONE && s->dialect != LAB_EXDATA) {
        level(t);
        is_kept = t->told[0] == TOLD_ACCEPTED;
    }
    if (t->settles == SETTLES_ONE && is_kept && is_any_told(t, TOLD_LATER)) {
        t->settles = SETTLES_EACH; /* EXDATA: there is something to list after all */
        t->is_buffered = true;
    }
    if (is_kept && !t->commits_each && (t->settles != SETTLES_OPENER || t->is_buffered))
        t->final_at += t->commit;
    if (t->settles == SETTLES_OPENER && !t->has_opener)
        t->opener_at = u64_max(t->answer_at[0], t->commit);
    for (uint32_t i = 0; i < t->count && (t->settles == SETTLES_ONE || t->is_buffered); i++)
        t->answer_at[i] = t->final_at;
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

/* When the server looks before it commits recipient @i. */
static clock_ns look_at(const struct try *t, uint32_t i)
{
    if (t->commits_each)
        return t->decided_at[i];
    return t->settles == SETTLES_OPENER && !t->is_buffered ? 0 : t->final_at - t->commit;
}

/* Whether what is done for recipient @i (the last one: for all) at this moment comes after the
 * break. At one instant the network comes first, then work: a break at the dot is before
 * everything, one behind a reply that has just left is behind what was done in one piece with it.
 */
static bool is_after_break(const struct try *t, uint32_t i, clock_ns at)
{
    if (at != t->seen_at)
        return at > t->seen_at;
    if (t->read_count == 0 || t->delay > 0)
        return true;
    /* What the budget ends comes behind what was ready at that moment. */
    bool is_late = t->told[i] == TOLD_LATER && t->told[t->read_count - 1] != TOLD_LATER;
    bool is_apart = t->is_each_alone || (is_late && !t->is_buffered);
    return is_apart && i >= t->read_count;
}

/* A write that cannot arrive: the client has closed by then. */
static bool is_vain(const struct try *t, clock_ns at)
{
    return at + 2 * t->delay > t->gives_up_at;
}

/*
 * DUP-10: with write errors only, the first write to a client that has left goes well, and one that
 * follows when its reset has come back fails; on a connection that broke the first one fails
 * already. Whether recipient @i's commit comes before that. Replies that leave in one piece are one
 * write; what the budget ends comes behind what was ready at that moment.
 */
static bool writes_reach(const struct try *t, uint32_t i)
{
    uint32_t before = t->commits_each ? i : t->count;
    clock_ns look = look_at(t, i), first = CLOCK_NEVER;
    bool is_first_late = false;
    if (t->is_buffered || t->settles == SETTLES_ONE || t->settles == SETTLES_OPENER)
        return true;
    if (t->has_opener && t->opener_at <= look && t->opener_at < t->answer_at[0]) {
        if (t->is_broken && t->opener_at >= t->seen_at)
            return false;
        if (!t->is_broken && is_vain(t, t->opener_at))
            first = t->opener_at;
    }
    for (uint32_t k = 0; k < before && t->answer_at[k] <= look; k++) {
        clock_ns at = t->answer_at[k];
        bool is_late = t->told[k] == TOLD_LATER;
        if (t->is_broken && is_after_break(t, k, at))
            return false;
        if (t->is_broken || !is_vain(t, at))
            continue;
        bool is_apart = at > first || t->is_each_alone || (is_late && !is_first_late);
        if (first != CLOCK_NEVER && is_apart && at >= first + 2 * t->delay)
            return false;
        is_first_late = first == CLOCK_NEVER ? is_late : is_first_late;
        first = u64_min(first, at);
    }
    return true;
}

static bool commits(const struct try *t, const struct lab_server *s, uint32_t i)
{
    if (t->told[i] != TOLD_ACCEPTED || t->is_known[i])
        return false;
    if (t->gives_up_at == CLOCK_NEVER)
        return true;
    /* ADAT: the command that asks for the commit is never sent. */
    clock_ns named_at = t->answer_at[t->count - 1] + 2 * t->delay;
    if (t->names_later && (t->is_broken ? named_at >= t->gives_up_at : named_at > t->gives_up_at))
        return false;
    if (s->vanished == LAB_VANISHED_RUN)
        return true;
    if (s->vanished == LAB_VANISHED_WRITE)
        return writes_reach(t, i);
    clock_ns look = look_at(t, i);
    if (t->is_broken)
        return !is_after_break(t, t->commits_each ? i : t->count - 1, look);
    /* News that travelled is there before the look, a limit that strikes at that very moment is
     * not. */
    return t->delay > 0 ? look < t->seen_at : look <= t->seen_at;
}

/* @told, @is_known: of those who are left */
static void try_make(struct try *t, const struct lab_point *p, bool is_first, uint32_t count)
{
    const struct lab_server *s = &p->server;
    bool is_all_known = s->dialect != LAB_ADAT;
    ASSERT(count > 0 && count <= RCPT_COUNT_MAX);
    t->count = count;
    t->per_rcpt = constant(&s->per_rcpt);
    t->commit = constant(&s->commit);
    t->delay = p->faults.one_way_ns;
    for (uint32_t i = 0; i < count; i++)
        is_all_known = is_all_known && t->is_known[i];
    t->before = constant(&s->before);
    /* A look that the budget has cut short is begun anew (DUP-21). */
    bool is_scanned = !is_first && s->remembers_scan && t->before <= s->reply_budget_ns;
    if (is_scanned || is_all_known)
        t->before = 0;
    shape(t, s);
    answers(t, s);
    t->gives_up_at = t->seen_at = gives_up(t, &p->client);
    t->is_broken = false;
}

/* The first try: of all, nobody known. */
static void first_make(struct try *t, const struct lab_point *p)
{
    for (uint32_t i = 0; i < p->rcpt_count; i++) {
        t->told[i] = i < p->server.refused_count ? TOLD_REFUSED : TOLD_ACCEPTED;
        t->is_known[i] = false;
    }
    try_make(t, p, true, p->rcpt_count);
}

/* cut = after-replies: the connection breaks, if the client has not left before. */
static void try_cut(struct try *t, const struct lab_point *p)
{
    const struct lab_faults *f = &p->faults;
    uint32_t k = f->cut_replies;
    clock_ns at = 0, seen = 0;
    if (!lab_faults_have(f, LAB_CUT_AFTER_REPLIES))
        return;
    /* What leaves together and is alike for all leaves as one reply, where there is such a form. */
    bool is_alike = true;
    for (uint32_t i = 1; i < t->count; i++)
        is_alike = is_alike && t->told[i] == t->told[0];
    bool has_form = p->server.dialect != LAB_LMTP && p->server.dialect != LAB_XPRDR1;
    bool is_single = t->settles == SETTLES_ONE || (t->is_buffered && is_alike && has_form);
    if (k > (is_single ? 0 : t->count))
        return; /* it has heard all there is */
    if (k > 0) {
        seen = add(t->is_buffered ? t->final_at : t->answer_at[k - 1], t->delay);
        at = add(seen, t->delay);
    }
    if (at > t->gives_up_at)
        return;
    t->is_broken = true;
    t->gives_up_at = at;
    t->seen_at = seen;
    t->read_count = k;
}

static void try_judge(const struct try *t, const struct lab_point *p, struct outcome *ret)
{
    for (uint32_t i = 0; i < t->count; i++) {
        clock_ns read_at = add(settled_at(t, &p->client, i), 2 * t->delay);
        bool is_read = t->gives_up_at == CLOCK_NEVER || read_at <= t->gives_up_at;
        /* Of answers that come in one moment a cut lets only so many pass. */
        if (t->is_broken && t->read_count == 0)
            is_read = false;
        else if (t->is_broken && t->settles != SETTLES_OPENER)
            is_read = is_read && i < t->read_count &&
                      (t->settles == SETTLES_EACH || (p->client.credits_early && !t->names_later));
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
    bool is_open;
    uint32_t copies;
};

/* The try of those who are still open. */
static void next_make(struct try *t, const struct lab_point *p, const struct pair *pairs,
                      bool is_first)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->rcpt_count; i++) {
        if (!pairs[i].is_open)
            continue;
        t->told[count] = i < p->server.refused_count ? TOLD_REFUSED : TOLD_ACCEPTED;
        t->is_known[count] = p->server.suppresses_copies && pairs[i].copies > 0;
        t->told[count] = t->is_known[count] ? TOLD_ACCEPTED : t->told[count];
        count++;
    }
    try_make(t, p, is_first, count);
}

/* Tries of one message, when nothing in them is left to chance. */
static void tries(const struct lab_point *p, struct sums *ret)
{
    struct pair pairs[RCPT_COUNT_MAX];
    struct try t;
    struct outcome o;
    bool has_progress = false;
    uint32_t open = p->rcpt_count;
    *ret = (struct sums){0};
    for (uint32_t i = 0; i < p->rcpt_count; i++)
        pairs[i] = (struct pair){true, 0};
    for (uint32_t n = 0; n < p->client.tries_max && open > 0; n++) {
        uint32_t at = 0;
        next_make(&t, p, pairs, n == 0);
        if (n == 0 || !p->faults.is_first_try_only)
            try_cut(&t, p);
        try_judge(&t, p, &o);
        for (uint32_t i = 0; i < p->rcpt_count; i++) {
            struct pair *pair = &pairs[i];
            if (!pair->is_open)
                continue;
            pair->copies += o.is_committed[at];
            ret->first += n == 0 && o.is_committed[at] && !o.is_settled[at];
            /* A recipient that was told 4xx is still open, and the next try is for it. */
            bool is_settled = o.is_settled[at] && t.told[at] != TOLD_LATER;
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
        count += t->told[i] == TOLD_ACCEPTED;
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

struct moments { /* of a first try's copies */
    double mean, square;
};

static void moments_add(struct moments *m, double share, double copies)
{
    m->mean += share * copies;
    m->square += share * copies * copies;
}

/*
 * DUP-11: the connection breaks with hazard lambda, from the content's arrival on. A cut makes a
 * copy of a recipient when it comes after the server's last look (a server that never looks: at any
 * time) and before his answer has been read.
 * @o: without such a cut, where the try has another end: who was never read is so at any time
 */
static void hazard(const struct try *t, const struct lab_point *p, bool looks,
                   const struct outcome *o, struct moments *m)
{
    struct change changes[2 * RCPT_COUNT_MAX];
    double lambda = p->faults.hazard_per_s;
    uint32_t count = 0;
    int copies = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        clock_ns read_at = add(settled_at(t, &p->client, i), t->delay);
        read_at = o->is_settled[i] ? u64_min(read_at, t->seen_at) : t->seen_at;
        clock_ns look = looks ? look_at(t, i) : 0;
        if (t->told[i] != TOLD_ACCEPTED || look >= read_at)
            continue;
        changes[count++] = (struct change){look, 1};
        changes[count++] = (struct change){read_at, -1};
    }
    qsort(changes, count, sizeof(*changes), by_time);
    for (uint32_t i = 0; i + 1 < count; i++) {
        copies += changes[i].by;
        double from = (double)changes[i].at / 1e9, to = (double)changes[i + 1].at / 1e9;
        moments_add(m, exp(-lambda * from) * -expm1(-lambda * (to - from)), copies);
    }
}

/* How long a server can be at work that does not look up. */
static clock_ns last_work(const struct lab_point *p)
{
    const struct lab_server *s = &p->server;
    clock_ns each = constant(&s->per_rcpt) + constant(&s->commit);
    return constant(&s->before) + p->rcpt_count * each + s->final_ns + constant(&s->commit);
}

/*
 * What is left to chance: a share of the connections is swallowed (DUP-17: nobody can see it, so
 * all is committed and nothing read), and the others break at random, or behind so many replies, or
 * the client leaves at its limit, whatever comes first.
 */
static void chance(const struct lab_point *p, struct lab_theory *ret)
{
    const struct lab_faults *f = &p->faults;
    bool has_hazard = lab_faults_have(f, LAB_CUT_HAZARD);
    bool has_hole = lab_faults_have(f, LAB_CUT_BLACK_HOLE);
    double swallowed = has_hole ? f->black_hole_share : 0, sure = 0;
    bool is_all_settled = true;
    struct moments rest = {0}, m = {0};
    struct try t;
    struct outcome o;
    first_make(&t, p);
    uint32_t kept = kept_count(&t);
    try_cut(&t, p);
    try_judge(&t, p, &o);
    for (uint32_t i = 0; i < t.count; i++) {
        sure += o.is_committed[i] && !o.is_settled[i];
        is_all_settled = is_all_settled && o.is_settled[i];
    }
    /* ADAT's last command is not sent on a broken connection: as good as a look. */
    bool looks = p->server.vanished == LAB_VANISHED_STOP || t.names_later;
    if (has_hazard)
        hazard(&t, p, looks, &o, &rest);
    bool has_end = t.gives_up_at != CLOCK_NEVER;
    if (has_end)
        moments_add(&rest, has_hazard ? exp(-f->hazard_per_s * (double)t.seen_at / 1e9) : 1, sure);
    moments_add(&m, swallowed, t.names_later ? 0 : kept);
    m.mean += (1 - swallowed) * rest.mean;
    m.square += (1 - swallowed) * rest.square;
    ret->copies_first = m.mean;
    ret->copies_first_sd = sqrt(fmax(0, m.square - m.mean * m.mean));
    /* All recipients share one fate, it is that of the connection, and no try changes the next. */
    bool is_alike = !f->is_first_try_only && kept == t.count && !t.names_later;
    bool is_whole = t.settles != SETTLES_EACH || t.is_buffered;
    double failed = kept > 0 ? m.mean / kept : 0;
    ret->has_total = is_alike;
    if (has_hazard || has_end)
        ret->has_total = is_alike && is_whole && !looks && !p->client.credits_early &&
                         !p->server.remembers_scan && !p->server.suppresses_copies &&
                         (is_all_settled || sure > 0) &&
                         fabs(m.square - m.mean * kept) < 1e-9 * (1 + m.square);
    if (ret->has_total)
        repeated(kept, failed, p->client.tries_max, ret);
    ret->is_livelock = failed > 1 - 1e-9;
    /* The second try has no cut, and time for all of it: it brings what the first one cost. */
    if (f->is_first_try_only && kept == t.count && p->client.tries_max > 1 &&
        p->client.limit_ns >= last_work(p) + 8 * p->faults.one_way_ns) {
        ret->has_total = true;
        ret->copies_total = ret->copies_first;
        ret->copies_total_sd = ret->copies_first_sd;
        ret->is_livelock = false;
    }
    snprintf(ret->rule, sizeof(ret->rule), "%s",
             !has_hole ? "DUP-11" : (has_hazard ? "DUP-11, DUP-17" : "DUP-17"));
}

/* DUP-22: what was committed, and whose reply nobody is known to have read, is not kept again. */
static void suppressed(struct lab_theory *ret)
{
    char rule[LAB_RULE_BYTES_MAX];
    snprintf(rule, sizeof(rule), "%.20s, DUP-22", ret->rule);
    memcpy(ret->rule, rule, sizeof(rule));
    ret->copies_total = ret->copies_total_sd = 0;
}

/* --- which --------------------------------------------------------------------------------- */

/* A server keeps what it has committed in mind for so long (DUP-22: W). */
#define SUPPRESS_NS ((clock_ns)5 * 24 * 3600 * NS_PER_S)

/* Whether all tries begin, and end, within half of that. */
static bool is_remembered(const struct lab_point *p)
{
    const struct lab_client *c = &p->client;
    double wait = (double)c->retry_ns, all = 0;
    for (uint32_t i = 1; i < c->tries_max; i++) {
        all += wait + (double)last_work(p);
        wait *= c->retry_factor > 0 ? c->retry_factor : 1;
        if (c->retry_max_ns > 0)
            wait = fmin(wait, (double)c->retry_max_ns);
    }
    return all < (double)SUPPRESS_NS / 2;
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
    if (lab_faults_have(&p->faults, LAB_CUT_SLOW))
        return "the link is slow";
    if (s->refused_share > 0 || s->deferred_share > 0)
        return "verdicts are drawn";
    if (s->vanished != LAB_VANISHED_RUN && p->client.half_closes)
        return "who has said QUIT cannot be seen to leave (PRDR-33)";
    if (s->suppresses_copies && p->client.retry_ns < last_work(p))
        return "a try may begin before the work of the last one is over";
    if (s->suppresses_copies && !is_remembered(p))
        return "a try may come when what was committed is forgotten (DUP-22)";
    if (s->progress_ns > 0)
        return "signs of life are sent";
    if (p->model_ns_max != CLOCK_NEVER)
        return "the run may end in the midst of a try";
    return NULL;
}

/* Where chance is at work: why there is none, or NULL. */
static const char *none_of_chance(const struct lab_point *p)
{
    if (p->server.vanished == LAB_VANISHED_WRITE && lab_faults_have(&p->faults, LAB_CUT_HAZARD))
        return "cuts, and a server that sees them by its writes";
    return NULL;
}

/* A black hole that swallows nothing is none. */
static bool is_left_to_chance(const struct lab_faults *f)
{
    return lab_faults_have(f, LAB_CUT_HAZARD) ||
           (lab_faults_have(f, LAB_CUT_BLACK_HOLE) && f->black_hole_share > 0);
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
    bool is_chance = is_left_to_chance(&p->faults);
    *ret_theory = (struct lab_theory){.why_none = none(p)};
    if (ret_theory->why_none == NULL && is_chance)
        ret_theory->why_none = none_of_chance(p);
    if (ret_theory->why_none != NULL)
        return;
    if (is_chance) {
        chance(p, ret_theory);
    } else {
        tries(p, &sums);
        ret_theory->copies_first = sums.first;
        ret_theory->copies_total = sums.total;
        ret_theory->has_total = true;
        ret_theory->is_livelock = sums.is_livelock;
        snprintf(ret_theory->rule, sizeof(ret_theory->rule), "%s", rule_of(p));
    }
    if (p->server.suppresses_copies && p->client.tries_max > 1)
        suppressed(ret_theory);
}

double lab_theory_bound(double sd, uint64_t messages)
{
    ASSERT(messages > 0);
    return LAB_THEORY_SIGMAS * sd / sqrt((double)messages) + 1e-9;
}
