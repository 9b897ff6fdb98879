/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_postern.c - owns the translation of points into configurations of posternd.
 *
 * Its delays, budgets and the look at its client are those that mail for others goes through, so
 * this is the server as it is, and not a script that plays one.
 */
#include "lab/live_postern.h"
#include "base/assert.h"
#include "lab/live_fault.h"

#define TIME_NS_MAX (3600 * NS_PER_S) /* of its settings */
#define BUDGET_NS_MIN NS_PER_S

/* As "offer" calls it; NULL: there is no such word. */
static const char *offer_word(enum lab_dialect d)
{
    static const char *const words[LAB_DIALECT_COUNT] = {
        [LAB_PRDR] = "prdr",     [LAB_INLINE_DSN] = "inline-dsn", [LAB_XPRDR1] = "xprdr1",
        [LAB_EXDATA] = "exdata", [LAB_WRAPPED_A] = "xrcpt250",
    };
    ASSERT(d < LAB_DIALECT_COUNT);
    return words[d];
}

static bool can_delay(const struct dist *d, clock_ns scale, char *ret_reason)
{
    if (d->kind != DIST_CONSTANT && d->kind != DIST_UNIFORM && d->kind != DIST_EXP)
        return live_cannot(ret_reason, "posternd draws delays from uniform and exp only");
    clock_ns longest = d->kind == DIST_EXP ? (clock_ns)d->a : d->high;
    if (live_time(longest, scale) > TIME_NS_MAX)
        return live_cannot(ret_reason, "posternd delays nothing for longer than an hour");
    return true;
}

static bool can_speak(const struct lab_point *p, char *ret_reason)
{
    const struct lab_server *s = &p->server;
    if (s->dialect == LAB_WRAPPED_B)
        return live_cannot(ret_reason, "posternd promises nothing before it is stored (wrapped-b)");
    if (s->dialect == LAB_ADAT)
        return live_cannot(ret_reason, "posternd decides on recipients of ADAT when all are named");
    if (s->dialect == LAB_DEFERRALS)
        return live_cannot(ret_reason,
                           "posternd keeps the minute of DEFERRALS in real time (DEF-18)");
    if (s->dialect == LAB_EXDATA && s->refused_count == 0 && s->vanished != LAB_VANISHED_RUN)
        return live_cannot(ret_reason,
                           "posternd stores nobody before it is known whether there is a list");
    bool has_opener = s->dialect != LAB_SMTP && s->dialect != LAB_LMTP &&
                      s->dialect != LAB_XPRDR1 && s->dialect != LAB_EXDATA &&
                      s->dialect != LAB_ADAT;
    if (has_opener && s->pacing == LAB_BUFFER)
        return live_cannot(ret_reason, "posternd sends what opens a block ahead of the rest");
    bool stores_each = s->dialect == LAB_LMTP || s->dialect == LAB_EXDATA;
    if (stores_each && s->pacing == LAB_BUFFER && s->vanished != LAB_VANISHED_RUN)
        return live_cannot(ret_reason,
                           "posternd stores recipients as they are decided, also where the "
                           "replies leave together");
    if (s->progress_ns > 0)
        return live_cannot(ret_reason, "posternd says by itself when it is alive");
    return true;
}

bool live_postern_can_serve(const struct lab_point *p, clock_ns time_scale_ns,
                            char ret_reason[LIVE_REASON_BYTES_MAX])
{
    const struct lab_server *s = &p->server;
    if (!can_speak(p, ret_reason) || !can_delay(&s->before, time_scale_ns, ret_reason) ||
        !can_delay(&s->per_rcpt, time_scale_ns, ret_reason))
        return false;
    if (s->commit.kind != DIST_CONSTANT || s->commit.low > 0)
        return live_cannot(ret_reason, "how long posternd writes is the disk's to say");
    if (s->refused_share > 0 || s->deferred_share > 0)
        return live_cannot(ret_reason, "posternd does not draw verdicts");
    if (s->refused_count > LIVE_REFUSED_MAX)
        return live_cannot(ret_reason, "more than %d recipients that are refused by name",
                           LIVE_REFUSED_MAX);
    if (s->final_ns > 0 || s->capacity > 0 || s->slowdown > 0)
        return live_cannot(ret_reason,
                           "posternd has no delay before the last reply, and works on all "
                           "messages at once");
    if (s->vanished == LAB_VANISHED_WRITE)
        return live_cannot(ret_reason, "posternd sees a close as soon as it comes, or never");
    if (s->remembers_scan || s->suppresses_copies)
        return live_cannot(ret_reason, "posternd does not remember tries");
    clock_ns budget = live_time(s->reply_budget_ns, time_scale_ns);
    if (budget != CLOCK_NEVER && (budget < BUDGET_NS_MIN || budget > TIME_NS_MAX))
        return live_cannot(ret_reason, "a reply budget of posternd is 1 s to 1 h of real time");
    return live_fault_can(p, ret_reason);
}

/* Whole milliseconds, as times are written there. */
static unsigned long long ms_of(clock_ns model_ns, clock_ns scale)
{
    return (live_time(model_ns, scale) + NS_PER_MS / 2) / NS_PER_MS;
}

static void put_delay(FILE *out, const char *name, const struct dist *d, clock_ns scale)
{
    if (d->kind == DIST_UNIFORM)
        fprintf(out, "  %s = uniform:%llums-%llums;\n", name, ms_of(d->low, scale),
                ms_of(d->high, scale));
    else if (d->kind == DIST_EXP)
        fprintf(out, "  %s = exp:%llums;\n", name, ms_of((clock_ns)d->a, scale));
    else if (ms_of(d->low, scale) > 0)
        fprintf(out, "  %s = %llums;\n", name, ms_of(d->low, scale));
}

void live_postern_config(const struct lab_point *p, clock_ns time_scale_ns, const char *folder,
                         FILE *out)
{
    const struct lab_server *s = &p->server;
    const char *offer = offer_word(s->dialect);
    fputs("hostname = mx.example;\nshards = 1;\nlimits { drain = 1h; }\n"
          "spool { segment_size = 16mb; }\n",
          out);
    fprintf(out, "listener \"lab\" {\n  address = \"%s+unix:%s/s\";\n", live_scheme(p), folder);
    fprintf(out,
            "  offer = [none, pipelining, 8bitmime, enhancedstatuscodes, dsn, size%s%s];\n"
            "  recipients_max = %u;\n  command_timeout = 1d;\n  vanished = %s;\n  pacing = %s;\n"
            "  delay_order = %s;\n",
            offer != NULL ? ", " : "", offer != NULL ? offer : "",
            p->rcpt_count > 1000 ? p->rcpt_count : 1000,
            s->vanished == LAB_VANISHED_RUN ? "finish" : "abort",
            s->pacing == LAB_BUFFER ? "batch" : "tick",
            s->order == LAB_CONCURRENT ? "concurrent" : "sequential");
    if (s->reply_budget_ns == CLOCK_NEVER)
        fputs("  reply_budget = 1h;\n", out);
    else
        fprintf(out, "  reply_budget = %llums;\n", ms_of(s->reply_budget_ns, time_scale_ns));
    put_delay(out, "content_delay", &s->before, time_scale_ns);
    fputs("}\nclass \"default\" {\n", out);
    put_delay(out, "delay", &s->per_rcpt, time_scale_ns);
    fputs("}\nclass \"refused\" {\n  action = reject;\n", out);
    put_delay(out, "delay", &s->per_rcpt, time_scale_ns);
    fputs("}\ndomain \"lab.example\" {\n  recipients = [", out);
    for (uint32_t i = 0; i < s->refused_count; i++)
        fprintf(out, "\"r%u refused\", ", i);
    fputs("any];\n}\n", out);
}
