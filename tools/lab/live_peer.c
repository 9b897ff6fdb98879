/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_peer.c - owns what is known of real mail programs: which limits they have, what cannot be
 * set, and how the program that starts them is called.
 */
#include "lab/live_peer.h"
#include "base/err.h"
#include "lab/live_fault.h"
#include "lab/setting.h"
#include <string.h>
#include <unistd.h>

#define HELPER "bench/lab/real_peer.py"
#define CHECK_NS (30 * NS_PER_S)
#define OPENSMTPD_LIMIT_NS (300 * NS_PER_S)
#define RCPT_COUNT_PEER_MAX 100 /* in one transaction, whatever the program */
#define MESSAGES_PEER_MAX 100
#define WHOLE_SECOND_NS (5 * NS_PER_MS) /* so near is a limit that is set in seconds */

const char *live_peer_client_name(enum lab_like like)
{
    switch ((unsigned)like) {
    case LAB_LIKE_POSTFIX:
        return "postfix";
    case LAB_LIKE_POSTFIX_DEADLINE:
        return "postfix-deadline";
    case LAB_LIKE_EXIM:
        return "exim";
    case LAB_LIKE_OPENSMTPD:
        return "opensmtpd";
    default:
        return NULL;
    }
}

/* --- what can be ------------------------------------------------------------------------------ */

static bool can_time(const struct lab_client *c, clock_ns time_scale_ns, char *ret_reason)
{
    clock_ns limit = live_time(c->limit_ns, time_scale_ns);
    clock_ns rest = limit % NS_PER_S;
    if (c->limit_ns == CLOCK_NEVER)
        return live_cannot(ret_reason, "the programs always have a limit");
    if (c->like == LAB_LIKE_OPENSMTPD && limit != OPENSMTPD_LIMIT_NS)
        return live_cannot(ret_reason,
                           "OpenSMTPD waits for 300 s of real time, which cannot be set");
    if (limit < NS_PER_S || (rest > WHOLE_SECOND_NS && rest < NS_PER_S - WHOLE_SECOND_NS))
        return live_cannot(ret_reason, "the limit is not a whole number of real seconds, which the "
                                       "programs know");
    return true;
}

bool live_peer_can_send(const struct lab_point *p, clock_ns time_scale_ns,
                        char ret_reason[LIVE_REASON_BYTES_MAX])
{
    const struct lab_client *c = &p->client;
    enum lab_timer timer;
    if (p->mix.count > 0 || p->rate_per_s > 0)
        return live_cannot(ret_reason, "one program sends all messages, and at once");
    if (live_peer_client_name(c->like) == NULL)
        return live_cannot(ret_reason,
                           "client.like is not postfix, postfix-deadline, exim or opensmtpd");
    if (!lab_like_timer(c->like, &timer) || timer != c->timer)
        return live_cannot(ret_reason, "%s has another timer", lab_like_name(c->like));
    if (p->server.dialect != LAB_SMTP && p->server.dialect != LAB_LMTP &&
        !(p->server.dialect == LAB_PRDR && c->like == LAB_LIKE_EXIM))
        return live_cannot(ret_reason, "%s does not speak %s", lab_like_name(c->like),
                           lab_dialect_name(p->server.dialect));
    if (c->credits_early != (c->like == LAB_LIKE_EXIM))
        return live_cannot(ret_reason, "when %s credits is not to be set", lab_like_name(c->like));
    bool quits_early = c->like != LAB_LIKE_OPENSMTPD;
    if (c->half_closes && !quits_early)
        return live_cannot(ret_reason, "%s sends no QUIT before the replies",
                           lab_like_name(c->like));
    if (p->server.vanished != LAB_VANISHED_RUN && quits_early && !c->half_closes)
        return live_cannot(ret_reason,
                           "%s sends QUIT behind the content, so nobody sees it leave "
                           "(PRDR-33): half_closes = yes",
                           lab_like_name(c->like));
    if (p->rcpt_count > RCPT_COUNT_PEER_MAX || p->message_count > MESSAGES_PEER_MAX)
        return live_cannot(ret_reason, "more than %d recipients or %d messages",
                           RCPT_COUNT_PEER_MAX, MESSAGES_PEER_MAX);
    return can_time(c, time_scale_ns, ret_reason);
}

bool live_peer_can_serve(const struct lab_point *p, char ret_reason[LIVE_REASON_BYTES_MAX])
{
    const struct lab_server *s = &p->server;
    const char *name = lab_program_name(s->program);
    bool is_lmtp = s->program == LAB_PROGRAM_DOVECOT || s->program == LAB_PROGRAM_CYRUS;
    if (s->program == LAB_PROGRAM_SINK || s->program == LAB_PROGRAM_POSTERND)
        return live_cannot(ret_reason, "server.program is none of exim, dovecot, cyrus");
    if (is_lmtp ? s->dialect != LAB_LMTP : s->dialect != LAB_SMTP && s->dialect != LAB_PRDR)
        return live_cannot(ret_reason, "%s does not speak %s", name, lab_dialect_name(s->dialect));
    if (dist_mean(&s->before) > 0 || dist_mean(&s->per_rcpt) > 0 || dist_mean(&s->commit) > 0 ||
        s->final_ns > 0 || s->capacity > 0 || s->slowdown > 0 || s->reply_budget_ns != CLOCK_NEVER)
        return live_cannot(ret_reason, "how long %s works cannot be set", name);
    if (s->refused_count > 0 || s->refused_share > 0 || s->deferred_share > 0)
        return live_cannot(ret_reason, "whom %s refuses cannot be set", name);
    if (s->suppresses_copies || s->remembers_scan)
        return live_cannot(ret_reason, "%s does not remember tries", name);
    if (p->rcpt_count > RCPT_COUNT_PEER_MAX)
        return live_cannot(ret_reason, "more than %d recipients", RCPT_COUNT_PEER_MAX);
    return live_fault_can(p, ret_reason);
}

/* --- the program that starts them ------------------------------------------------------------- */

bool live_peer_find(char ret_path[PROCESS_PATH_BYTES_MAX])
{
    char own[PROCESS_PATH_BYTES_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (len <= 0)
        return false;
    own[len] = '\0';
    for (char *slash = strrchr(own, '/'); slash != NULL; slash = strrchr(own, '/')) {
        *slash = '\0';
        int written = snprintf(ret_path, PROCESS_PATH_BYTES_MAX, "%s/%s", own, HELPER);
        if (written > 0 && written < PROCESS_PATH_BYTES_MAX && access(ret_path, R_OK) == 0)
            return true;
    }
    return false;
}

static bool put_helper(struct args *a, const char *what)
{
    char path[PROCESS_PATH_BYTES_MAX];
    if (!live_peer_find(path))
        return false;
    args_put(a, "/usr/bin/env");
    args_put(a, "python3");
    args_put(a, "-B");
    args_put(a, "%s", path);
    args_put(a, "%s", what);
    return true;
}

/* What it printed is the reason. */
static void read_reason(const char *log, char *ret_reason)
{
    FILE *f = fopen(log, "re");
    if (f == NULL)
        return;
    if (fgets(ret_reason, LIVE_REASON_BYTES_MAX, f) == NULL)
        live_cannot(ret_reason, HELPER " failed");
    ret_reason[strcspn(ret_reason, "\n")] = '\0';
    fclose(f);
}

bool live_peer_is_there(const char *name, char ret_reason[LIVE_REASON_BYTES_MAX])
{
    struct args a = {.count = 0};
    struct process p;
    char folder[PROCESS_PATH_BYTES_MAX], log[PROCESS_PATH_BYTES_MAX + 8];
    clock_ns lag = 0;
    if (!put_helper(&a, "check"))
        return live_cannot(ret_reason,
                           "there is no " HELPER " above postern-lab: it is started from "
                           "where it was built");
    args_put(&a, "%s", name);
    int result = folder_make(folder);
    if (result < 0)
        return live_cannot(ret_reason, "%s", err_text(result));
    snprintf(log, sizeof(log), "%s/log", folder);
    result = process_start(&p, HELPER, &a, log);
    if (result == 0)
        result = process_wait_until(&p, process_now() + CHECK_NS, &lag);
    bool is_there = result == 0 && process_is_good(&p, 0);
    if (result < 0)
        live_cannot(ret_reason, HELPER ": %s", err_text(result));
    else if (!is_there)
        read_reason(log, ret_reason);
    process_end(&p);
    folder_remove(folder);
    return is_there;
}

void live_peer_put_client(struct args *a, const struct lab_point *p, clock_ns time_scale_ns,
                          uint32_t port)
{
    const struct lab_client *c = &p->client;
    if (!put_helper(a, "client"))
        return;
    args_put(a, "%s", live_peer_client_name(c->like));
    args_put(a, "--dialect=%s", lab_dialect_name(p->server.dialect));
    args_put(a, "--port=%u", port);
    args_put(a, "--limit=%.3f", (double)live_time(c->limit_ns, time_scale_ns) / 1e9 - 0.01);
    args_put(a, "--retry=%.3f", (double)live_time(c->retry_ns, time_scale_ns) / 1e9);
    args_put(a, "--tries=%u", c->tries_max);
    args_put(a, "--recipients=%u", p->rcpt_count);
    args_put(a, "--messages=%llu", (unsigned long long)p->message_count);
    args_put(a, "--size=%llu", (unsigned long long)p->message_bytes);
}

void live_peer_put_rules(struct args *a, const struct lab_point *p)
{
    uint32_t first = p->client.tries_max + 1;
    args_put(a, "--rule=dot attempt=%u- -> commit never; gone stop; reply 450 4.3.0 Enough; stop",
             first);
    args_put(a, "--rule=each attempt=%u- -> stop", first);
}

void live_peer_put_server(struct args *a, const struct lab_point *p)
{
    if (!put_helper(a, "server"))
        return;
    args_put(a, "%s", lab_program_name(p->server.program));
    args_put(a, "--recipients=%u", p->rcpt_count);
}
