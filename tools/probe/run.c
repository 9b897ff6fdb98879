/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the order of things: discovery, checks, what every reply showed. */
#include "probe/run.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define SILENT_MAX 3 /* connections one after the other that come to nothing */

static const struct {
    enum check_need need;
    const char *text;    /* for --list */
    const char *missing; /* why a check is skipped */
} needs[] = {
    {NEED_SMTP, "SMTP", "not over LMTP"},
    {NEED_LMTP, "LMTP", "only over LMTP"},
    {NEED_RCPT, "--rcpt", "needs --rcpt, an address that is accepted"},
    {NEED_REFUSED, "--refused-rcpt", "needs --refused-rcpt, an address that is refused at RCPT"},
    {NEED_CONTENT_REFUSED, "--content-refused-rcpt",
     "needs --content-refused-rcpt, an address that is refused after the content"},
    {NEED_CONTENT_DELAYED, "--content-delayed-rcpt",
     "needs --content-delayed-rcpt, an address that is deferred after the content"},
    {NEED_GTUBE, "--gtube", "needs --gtube: whether content with GTUBE is refused"},
    {NEED_INTRUSIVE, "--intrusive", "needs --intrusive: it looks like an attack"},
    {NEED_CLEAR, "a connection in clear", "needs a connection that is not encrypted"},
};

const char *run_needs_text(const struct check *c, char *memory, size_t cap)
{
    size_t len = 0;
    memory[0] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(needs); i++)
        if ((c->needs & needs[i].need) != 0 && len < cap)
            len += (size_t)snprintf(memory + len, cap - len, "%s%s", len > 0 ? ", " : "",
                                    needs[i].text);
    if (*c->keywords != '\0' && len < cap)
        snprintf(memory + len, cap - len, "%s%s", len > 0 ? ", " : "", c->keywords);
    return memory;
}

static uint32_t needs_met(const struct probe_options *o)
{
    const struct target *target = &o->target;
    return (target->is_lmtp ? NEED_LMTP : NEED_SMTP) | (o->rcpt_count > 0 ? NEED_RCPT : 0u) |
           (o->refused_rcpt != NULL ? NEED_REFUSED : 0u) |
           (o->content_refused_rcpt != NULL ? NEED_CONTENT_REFUSED : 0u) |
           (o->content_delayed_rcpt != NULL ? NEED_CONTENT_DELAYED : 0u) |
           (o->has_gtube ? NEED_GTUBE : 0u) | (o->is_intrusive ? NEED_INTRUSIVE : 0u) |
           (target->is_tls || o->uses_starttls ? 0u : NEED_CLEAR);
}

/* Why the check cannot be done; false: it can. */
static bool is_impossible(const struct run *r, const struct check *c, char *ret_text, size_t cap)
{
    char missing[64] = "";
    uint32_t unmet = c->needs & ~needs_met(r->options);
    bool is_offered = found_has_all(&r->probe->found, c->keywords, missing, sizeof(missing));
    for (size_t i = 0; i < ARRAY_COUNT(needs); i++) {
        bool is_option = (needs[i].need & (NEED_SMTP | NEED_LMTP)) == 0;
        if ((unmet & needs[i].need) == 0 || (is_option && !is_offered))
            continue; /* what the server does not offer, no option would change */
        snprintf(ret_text, cap, "%s", needs[i].missing);
        return true;
    }
    const char *bar = strchr(missing, '|');
    if (!is_offered && bar != NULL)
        snprintf(ret_text, cap, "neither %.*s nor %s is offered", (int)(bar - missing), missing,
                 bar + 1);
    else if (!is_offered)
        snprintf(ret_text, cap, "%s is not offered", missing);
    if (!is_offered)
        return true;
    if (r->stopped != NULL)
        snprintf(ret_text, cap, "%s", r->stopped);
    return r->stopped != NULL;
}

/* --- start ------------------------------------------------------------------------------------ */

static bool make_tls(struct run *r, char *ret_text, size_t text_cap)
{
    const char *path = r->options->tls_ca;
    struct stat st;
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    r->probe->tls = c;
    if (c == NULL) {
        snprintf(ret_text, text_cap, "TLS: out of memory");
        return false;
    }
    SSL_CTX_set_mode(c, SSL_MODE_AUTO_RETRY | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A server that closes without a word of TLS has closed; that is no failure of TLS. */
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(c, path != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (path == NULL)
        return true;
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (SSL_CTX_load_verify_locations(c, is_folder ? NULL : path, is_folder ? path : NULL) == 1)
        return true;
    ERR_clear_error();
    snprintf(ret_text, text_cap, "%s: no certificates could be read from it", path);
    return false;
}

/* Greeting and EHLO: what cannot even do that cannot be tested. */
static bool discover(struct run *r, char *ret_text, size_t text_cap)
{
    static const struct check row = {"discovery", CHECK_MUST, 0, "", "what the server offers",
                                     NULL};
    struct trial t;
    struct probe *p = r->probe;
    trial_begin(&t, p, &row);
    (void)trial_connect(&t);
    if (trial_hello(&t)) {
        found_parse(&p->found, slice_of(p->reply.text, p->reply.len));
        (void)trial_quit(&t);
        if (!trial_goes_on(&t)) /* that is for CORE-4/quit to say */
            t.outcome = TRIAL_PASS;
    }
    bool is_good = trial_goes_on(&t);
    trial_end(&t);
    if (!is_good)
        snprintf(ret_text, text_cap, "%s: cannot be tested: %s\n%s", r->options->target.url,
                 t.reason, transcript_text(&t.transcript));
    transcript_deinit(&t.transcript);
    return is_good;
}

int run_open(struct run *r, struct probe_options *options, char *ret_text, size_t text_cap)
{
    struct timespec ts;
    memset(r, 0, sizeof(*r));
    r->options = options;
    r->row_cap = check_count();
    r->rows = calloc(r->row_cap, sizeof(*r->rows));
    r->probe = calloc(1, sizeof(*r->probe));
    if (r->rows == NULL || r->probe == NULL) {
        snprintf(ret_text, text_cap, "out of memory");
        return RUN_USAGE;
    }
    clock_gettime(CLOCK_REALTIME, &ts);
    r->began_ns = talk_now();
    r->probe->options = options;
    r->probe->talk.fd = -1;
    r->probe->run_id = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
    r->probe->deadline = r->began_ns + options->limit_ns;
    if (!make_tls(r, ret_text, text_cap))
        return RUN_USAGE;
    if (!target_resolve(&options->target, ret_text, text_cap))
        return RUN_UNTESTED;
    return discover(r, ret_text, text_cap) ? RUN_PASSED : RUN_UNTESTED;
}

void run_close(struct run *r)
{
    for (size_t i = 0; i < r->row_count; i++)
        transcript_deinit(&r->rows[i].transcript);
    free(r->rows);
    if (r->probe != NULL) {
        watch_deinit(&r->probe->watch);
        SSL_CTX_free(r->probe->tls);
    }
    free(r->probe);
    *r = (struct run){0};
}

/* --- checks ----------------------------------------------------------------------------------- */

static void copy_find(struct run *r, struct run_row *row, const struct watch_find *f)
{
    bool is_advice = row->check->level == CHECK_SHOULD && !r->options->is_strict;
    row->outcome = is_advice ? TRIAL_WARN : TRIAL_FAIL;
    snprintf(row->reason, sizeof(row->reason), "%s (first in %s; %u in all)", f->reason, f->check,
             f->count);
    if (!transcript_copy(&f->transcript, &row->transcript))
        row->transcript = (struct transcript){0};
}

static void do_check(struct run *r, struct run_row *row)
{
    struct trial t;
    struct probe *p = r->probe;
    trial_begin(&t, p, row->check);
    row->check->run(&t);
    trial_end(&t);
    row->outcome = t.outcome;
    snprintf(row->reason, sizeof(row->reason), "%s", t.reason);
    bool is_kept = t.outcome == TRIAL_FAIL || t.outcome == TRIAL_WARN || r->options->is_verbose;
    if (is_kept) {
        row->transcript = t.transcript;
        t.transcript = (struct transcript){0};
    }
    transcript_deinit(&t.transcript);
    p->silent_count = t.is_silent ? p->silent_count + 1 : 0;
    if (p->silent_count >= SILENT_MAX)
        r->stopped = "the server no longer answers";
    if (talk_now() >= p->deadline)
        r->stopped = "the time of --limit is over";
}

static const struct check *next_chosen(struct run *r, const struct check_sheet **ret_sheet)
{
    for (; r->sheet_idx < check_sheet_count; r->sheet_idx++, r->check_idx = 0) {
        *ret_sheet = check_sheets[r->sheet_idx];
        while (r->check_idx < (*ret_sheet)->count) {
            const struct check *c = &(*ret_sheet)->at[r->check_idx++];
            if (check_is_chosen(c, r->options->only, r->options->skip))
                return c;
        }
    }
    return NULL;
}

bool run_next(struct run *r)
{
    const struct check_sheet *sheet;
    const struct check *check = next_chosen(r, &sheet);
    if (check == NULL) {
        r->ended_ns = talk_now();
        return false;
    }
    struct run_row *row = &r->rows[r->row_count++];
    clock_ns began = talk_now();
    row->sheet = sheet;
    row->check = check;
    bool is_watched = check->run == NULL;
    if (is_watched && r->probe->watch.at[check - sheet->at].is_broken)
        copy_find(r, row, &r->probe->watch.at[check - sheet->at]);
    else if (is_impossible(r, check, row->reason, sizeof(row->reason)))
        row->outcome = TRIAL_SKIP;
    else if (!is_watched)
        do_check(r, row);
    row->ns = talk_now() - began;
    r->counts[row->outcome]++;
    return true;
}

int run_status(const struct run *r)
{
    if (r->counts[TRIAL_FAIL] > 0)
        return RUN_FAILED;
    return r->stopped != NULL ? RUN_UNTESTED : RUN_PASSED;
}
