/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting.c - owns the table of settings of experiment files and how their values are read.
 *
 * Times, sizes and counts are read by the server's own code (knob.c), distributions by
 * postern-load's (dist.c). What is here is only what experiments have and servers have not.
 */
#include "lab/setting.h"
#include "base/err.h"
#include "base/limits.h"
#include "knob.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#define NS_PER_DAY (86400 * NS_PER_S)
#define TIME_NS_MAX (3650 * NS_PER_DAY)
#define WORK_NS_MAX (30 * NS_PER_DAY)

/* --- the table -------------------------------------------------------------------------------- */

#define TOP(field) LAB_SECTION_TOP, .offset = offsetof(struct lab_point, field)
#define SERVER(field) LAB_SECTION_SERVER, .offset = offsetof(struct lab_server, field)
#define CLIENT(field) LAB_SECTION_CLIENT, .offset = offsetof(struct lab_client, field)
#define FAULTS(field) LAB_SECTION_FAULTS, .offset = offsetof(struct lab_faults, field)
#define MIX(field) LAB_SECTION_MIX, .offset = offsetof(struct lab_mix_row, field)

const struct lab_setting lab_settings[] = {
    {TOP(rcpt_count), .type = LAB_COUNT, .name = "recipients", .otherwise = "10", .min = 1,
     .max = RCPT_COUNT_MAX, .doc = "n: recipients of each message"},
    {TOP(message_count), .type = LAB_LONG, .name = "messages", .otherwise = "1", .min = 1,
     .max = 1000000000, .doc = "how many are sent in one run"},
    {TOP(message_bytes), .type = LAB_SIZE, .name = "message_size", .otherwise = "4kb", .min = 512,
     .max = 256 * MIB, .doc = "octets of each message"},
    {TOP(rate_per_s), .type = LAB_RATE, .name = "rate", .otherwise = "off", .max = 1000000,
     .word = "off",
     .doc = "messages that arrive, with random (exponential) gaps; off: the next one comes when "
            "everything of the one before is settled"},
    {TOP(client_count), .type = LAB_COUNT, .name = "senders", .otherwise = "auto", .min = 1,
     .max = 1000000, .word = "auto",
     .doc = "independent senders, each with one connection; auto: as many as are needed"},
    {TOP(model_ns_max), .type = LAB_TIME, .name = "model_time", .otherwise = "unlimited",
     .min = NS_PER_S, .max = TIME_NS_MAX, .word = "unlimited", .word_value = CLOCK_NEVER,
     .doc = "the run ends then; unlimited: when everything is settled"},
    {TOP(time_scale_ns), .type = LAB_TIME, .name = "time_scale", .otherwise = "10ms",
     .min = NS_PER_MS, .max = NS_PER_S,
     .doc = "how long a second of the experiment takes where it is run in real time"},

    {SERVER(program), .type = LAB_CHOICE, .name = "program", .otherwise = "postern-sink",
     .choices = lab_program_names,
     .doc =
         "which one is the server where programs are run: postern-sink or posternd in live runs, "
         "one of the others in real-server"},
    {SERVER(dialect), .type = LAB_CHOICE, .name = "dialect", .otherwise = "smtp",
     .choices = lab_dialect_names,
     .doc = "how recipients are answered after the content; wrapped-a and wrapped-b are XRCPT250 "
            "in its two readings"},
    {SERVER(pacing), .type = LAB_CHOICE, .name = "pacing", .otherwise = "stream",
     .choices = lab_pacing_names,
     .doc = "stream: each reply leaves when it is due; buffer: all of them with the last one, an "
            "opening line too"},
    {SERVER(before), .type = LAB_DIST, .name = "before", .otherwise = "0s", .max = WORK_NS_MAX,
     .doc = "T0: work between the end of the content and the first recipient's own work"},
    {SERVER(per_rcpt), .type = LAB_DIST, .name = "per_recipient", .otherwise = "0s",
     .max = WORK_NS_MAX, .doc = "Tr: work for each recipient"},
    {SERVER(commit), .type = LAB_DIST, .name = "commit", .otherwise = "0s", .max = WORK_NS_MAX,
     .doc = "a durable write, added to each commit"},
    {SERVER(order), .type = LAB_CHOICE, .name = "order", .otherwise = "sequential",
     .choices = lab_order_names,
     .doc = "the work for recipients is done one after another, or for all at once"},
    {SERVER(vanished), .type = LAB_CHOICE, .name = "vanished", .otherwise = "run",
     .choices = lab_vanished_names,
     .doc = "run: the server never notices that the client has left; stop: it looks before each "
            "commit; write: it notices when the write of a reply fails"},
    {SERVER(opener_ns), .type = LAB_TIME, .name = "opener", .otherwise = "0s", .max = WORK_NS_MAX,
     .word = "first-reply", .word_value = CLOCK_NEVER,
     .doc = "o: when a 353 or an opening line leaves, from the end of the content; first-reply: "
            "not before the first reply"},
    {SERVER(final_ns), .type = LAB_TIME, .name = "final", .otherwise = "0s", .max = WORK_NS_MAX,
     .doc = "Tf: from the last reply about a recipient to the final one"},
    {SERVER(progress_ns), .type = LAB_TIME, .name = "progress", .otherwise = "off", .min = NS_PER_S,
     .max = WORK_NS_MAX, .word = "off",
     .doc = "wrapped-a and wrapped-b: a line as a sign of life so often"},
    {SERVER(reply_budget_ns), .type = LAB_TIME, .name = "reply_budget", .otherwise = "off",
     .min = NS_PER_MS, .max = WORK_NS_MAX, .word = "off", .word_value = CLOCK_NEVER,
     .doc = "from the end of the content; recipients that are undecided then are answered 451, "
            "and nothing is kept of them"},
    {SERVER(refused_count), .type = LAB_COUNT, .name = "refused_first", .otherwise = "0",
     .max = RCPT_COUNT_MAX,
     .doc = "so many recipients of each message, the first ones, are answered 5xx after their "
            "work"},
    {SERVER(refused_share), .type = LAB_SHARE, .name = "refused", .otherwise = "0", .max = 1,
     .doc = "share of the other recipients that are answered 5xx after their work"},
    {SERVER(deferred_share), .type = LAB_SHARE, .name = "deferred", .otherwise = "0", .max = 1,
     .doc = "share of the other recipients that are answered 4xx after their work"},
    {SERVER(capacity), .type = LAB_COUNT, .name = "capacity", .otherwise = "unlimited", .min = 1,
     .max = 1000000, .word = "unlimited", .doc = "messages in work at a time; more wait"},
    {SERVER(slowdown), .type = LAB_NUMBER, .name = "slowdown", .otherwise = "0", .max = 1000,
     .doc = "work takes 1 + slowdown * load times as long, load being the messages in work and "
            "waiting, over the capacity if there is one"},
    {SERVER(remembers_scan), .type = LAB_YESNO, .name = "remembers_scan", .otherwise = "no",
     .doc = "a retry of the same content needs no \"before\" again"},
    {SERVER(suppresses_copies), .type = LAB_YESNO, .name = "suppresses_copies", .otherwise = "no",
     .doc = "what was committed and whose reply is not known to be read is answered on a retry, "
            "and not kept again"},

    {CLIENT(like), .type = LAB_CHOICE, .name = "like", .otherwise = "none",
     .choices = lab_like_names,
     .doc = "limit, timer and credits_early of this program; what else is given in the section "
            "comes on top"},
    {CLIENT(limit_ns), .type = LAB_TIME, .name = "limit", .otherwise = "10min", .min = NS_PER_MS,
     .max = WORK_NS_MAX, .word = "never", .word_value = CLOCK_NEVER,
     .doc = "C: how long the client waits after the end of the content"},
    {CLIENT(timer), .type = LAB_CHOICE, .name = "timer", .otherwise = "reset",
     .choices = lab_timer_names,
     .doc = "what starts the limit anew: reset, each complete reply; total, nothing; line, each "
            "line, also inside of one reply"},
    {CLIENT(retry_ns), .type = LAB_TIME, .name = "retry", .otherwise = "30min", .max = TIME_NS_MAX,
     .doc = "from the end of a try to the next one"},
    {CLIENT(retry_factor), .type = LAB_NUMBER, .name = "retry_factor", .otherwise = "1", .min = 1,
     .max = 100, .doc = "each wait is so many times the one before"},
    {CLIENT(retry_max_ns), .type = LAB_TIME, .name = "retry_max", .otherwise = "5d",
     .max = TIME_NS_MAX, .doc = "the longest wait"},
    {CLIENT(tries_max), .type = LAB_COUNT, .name = "tries", .otherwise = "5", .min = 1, .max = 1000,
     .doc = "then the client gives up; 1: no retry"},
    {CLIENT(credits_early), .type = LAB_YESNO, .name = "credits_early", .otherwise = "no",
     .doc = "a reply about a recipient counts at once where the dialect says that only the final "
            "one does"},
    {CLIENT(half_closes), .type = LAB_YESNO, .name = "half_closes", .otherwise = "no",
     .doc = "the client sends QUIT behind the content and closes its side, but reads on"},

    {FAULTS(cut), .type = LAB_SET, .name = "cut", .otherwise = "none", .choices = lab_cut_names,
     .doc = "what happens to connections after the end of the content; several with + between: "
            "what comes first does"},
    {FAULTS(cut_replies), .type = LAB_COUNT, .name = "cut_replies", .otherwise = "0",
     .max = RCPT_COUNT_MAX, .doc = "cut = after-replies: the connection breaks after so many"},
    {FAULTS(hazard_per_s), .type = LAB_RATE, .name = "hazard", .otherwise = "0", .max = 1000,
     .doc = "cut = hazard: lambda, breaks per second of waiting"},
    {FAULTS(black_hole_share), .type = LAB_SHARE, .name = "black_hole", .otherwise = "1", .max = 1,
     .doc = "cut = black-hole: of connections, on which nothing passes any more"},
    {FAULTS(bytes_per_s), .type = LAB_SIZE, .name = "bytes_per_second", .otherwise = "1kb",
     .min = 1, .max = GIB, .doc = "cut = slow: so much passes, each way"},
    {FAULTS(one_way_ns), .type = LAB_TIME, .name = "one_way", .otherwise = "0s",
     .max = 3600 * NS_PER_S, .doc = "delta: delay of the network, each way"},
    {FAULTS(is_first_try_only), .type = LAB_YESNO, .name = "first_try_only", .otherwise = "no",
     .doc = "later tries are not cut"},

    {MIX(share), .type = LAB_SHARE, .name = "share", .otherwise = "0", .max = 1,
     .doc = "of the senders, in a mix; the shares of a mix make 1"},
};
const size_t lab_setting_count = ARRAY_COUNT(lab_settings);

const struct lab_plain lab_plains[LAB_PLAIN_COUNT] = {
    {"title", "text", "its name", "what stands above the result"},
    {"description", "text, or list of texts", "\"\"",
     "what a reader should know; the texts of a list are lines of one"},
    {"modes", "list of modes", "sim", "how it is run when --mode does not say so"},
    {"seeds", "number, 1 to 1000, or list of seeds", "1",
     "so many runs of each point, with the seeds 1, 2 and so on, or with these"},
    {"projected", "number, 1 to 1000000000000000, or off", "off",
     "the result is told for so many messages as well, by multiplying"},
};

const char *lab_section_name(enum lab_section s)
{
    static const char *const names[LAB_SECTION_COUNT] = {"", "server", "client", "faults", "mix"};
    ASSERT(s < LAB_SECTION_COUNT);
    return names[s];
}

const struct lab_setting *lab_setting_find(enum lab_section section, struct slice name)
{
    for (size_t i = 0; i < lab_setting_count; i++)
        if (lab_settings[i].section == section && slice_eq(slice_str(lab_settings[i].name), name))
            return &lab_settings[i];
    return NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

#define SHOWN(text) (int)size_min((text).len, 60), (const char *)(text).ptr

PRINTF_LIKE(2, 3) static int refuse(struct lab_value *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(v->reason, sizeof(v->reason), fmt, args);
    va_end(args);
    return -EINVAL;
}

static int number_is(struct lab_value *v, double number)
{
    v->has_number = true;
    v->number = number;
    return 0;
}

static int choice_read(const struct lab_setting *s, struct slice text, uint32_t *ret_value,
                       struct lab_value *v)
{
    char known[160] = "";
    size_t len = 0;
    const char *name, *near = NULL;
    unsigned near_distance = 3;
    for (uint32_t i = 0; (name = s->choices[i]) != NULL; i++) {
        if (slice_eq_nocase(text, slice_str(name))) {
            *ret_value = i;
            return 0;
        }
        unsigned distance = knob_distance(text, slice_str(name));
        if (distance < near_distance) {
            near = name;
            near_distance = distance;
        }
        int put = snprintf(known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", name);
        len = size_min(len + (put > 0 ? (size_t)put : 0), sizeof(known) - 1);
    }
    if (near != NULL)
        return refuse(v, "'%.*s' is not known; did you mean '%s'?", SHOWN(text), near);
    return refuse(v, "'%.*s' is not one of %s", SHOWN(text), known);
}

/* "hazard+black-hole": each kind once, and none alone. */
static int set_read(const struct lab_setting *s, struct slice text, void *field,
                    struct lab_value *v)
{
    uint32_t set = 0;
    bool is_one = slice_find(text, '+') >= text.len;
    for (struct slice rest = text;;) {
        uint32_t at;
        size_t len = slice_find(rest, '+');
        struct slice word = slice_first(rest, len);
        int result = choice_read(s, word, &at, v);
        if (result < 0)
            return result;
        if (at == 0 && !is_one)
            return refuse(v, "'%.*s': %s goes with nothing else", SHOWN(text), s->choices[0]);
        if (at > 0 && (set & 1u << (at - 1)) != 0)
            return refuse(v, "'%.*s' has %s twice", SHOWN(text), s->choices[at]);
        set |= at > 0 ? 1u << (at - 1) : 0;
        if (len >= rest.len)
            break;
        rest = slice_from(rest, len + 1);
    }
    memcpy(field, &set, sizeof(set));
    return 0;
}

/* Counts, sizes and times: as in the server's configuration. */
static int knob_read(const struct lab_setting *s, enum knob_type type, struct slice text,
                     void *ret_value, struct lab_value *v)
{
    const struct knob k = {.type = type, .name = s->name, .min = s->min, .max = s->max};
    struct knob_context context = {.memory = NULL};
    const struct knob_text word = {text, 0};
    if (knob_set(&k, &context, ret_value, &word, 1))
        return 0;
    return refuse(v, "%s%s%s", context.reason, s->word != NULL ? ", nor is it " : "",
                  s->word != NULL ? s->word : "");
}

/* Decimal with point and exponent; what follows it goes to *ret_rest. */
static bool real_read(struct slice text, double *ret_value, struct slice *ret_rest)
{
    char copy[64];
    char *end = NULL;
    if (text.len == 0 || text.len >= sizeof(copy) || text.ptr[0] < '0' || text.ptr[0] > '9')
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strpbrk(copy, "xX") != NULL)
        return false;
    *ret_value = strtod(copy, &end);
    *ret_rest = slice_from(text, (size_t)(end - copy));
    return isfinite(*ret_value);
}

static int double_read(const struct lab_setting *s, struct slice text, double *ret_value,
                       struct lab_value *v)
{
    static const struct {
        enum lab_type type;
        const char *text;
        double factor;
    } suffixes[] = {
        {LAB_NUMBER, "", 1},          {LAB_SHARE, "", 1},
        {LAB_SHARE, "%", 0.01},       {LAB_RATE, "", 1},
        {LAB_RATE, "/s", 1},          {LAB_RATE, "/min", 1.0 / 60},
        {LAB_RATE, "/h", 1.0 / 3600}, {LAB_RATE, "/d", 1.0 / 86400},
    };
    double number;
    struct slice rest;
    if (!real_read(text, &number, &rest))
        return refuse(v, "'%.*s' is not a number%s%s", SHOWN(text),
                      s->word != NULL ? ", nor is it " : "", s->word != NULL ? s->word : "");
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        if (suffixes[i].type != s->type || !slice_eq(rest, slice_str(suffixes[i].text)))
            continue;
        number *= suffixes[i].factor;
        if (number < (double)s->min || number > (double)s->max)
            return refuse(v, "'%.*s' is outside of %llu to %llu", SHOWN(text),
                          (unsigned long long)s->min, (unsigned long long)s->max);
        *ret_value = number;
        return number_is(v, number);
    }
    return refuse(v, "'%.*s' has a unit that is not known here", SHOWN(text));
}

/* A time as the server's, or one of postern-load's distributions. */
static int dist_read(const struct lab_setting *s, struct slice text, struct dist *ret_dist,
                     struct lab_value *v)
{
    char copy[4096];
    if (slice_find(text, ':') >= text.len) {
        uint64_t ns = 0;
        int result = knob_read(s, KNOB_TIME, text, &ns, v);
        if (result < 0)
            return result;
        *ret_dist = (struct dist){.kind = DIST_CONSTANT, .a = (double)ns, .low = ns, .high = ns};
        return number_is(v, (double)ns / 1e9);
    }
    if (text.len >= sizeof(copy))
        return refuse(v, "too long for a distribution");
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct dist d;
    int result = dist_parse(&d, copy, DIST_NS, 0, s->max, v->reason, sizeof(v->reason));
    bool is_half = strncmp(copy, "lognormal:", 10) == 0 || strncmp(copy, "normal:", 7) == 0;
    if (result == 0)
        *ret_dist = d;
    else if (is_half && strchr(copy, ',') == NULL)
        return refuse(v, "'%.*s' is half of a distribution: with a comma in it, it needs quotes",
                      SHOWN(text));
    return result;
}

static int yesno_read(struct slice text, bool *ret_value, struct lab_value *v)
{
    bool is_yes = slice_eq_nocase(text, SLICE_LIT("yes"));
    if (!is_yes && !slice_eq_nocase(text, SLICE_LIT("no")))
        return refuse(v, "'%.*s' is neither yes nor no", SHOWN(text));
    *ret_value = is_yes;
    return 0;
}

/* The special word of a setting; true when @text is it. */
static bool word_read(const struct lab_setting *s, struct slice text, void *field)
{
    if (s->word == NULL || !slice_eq_nocase(text, slice_str(s->word)))
        return false;
    if (s->type == LAB_COUNT)
        *(uint32_t *)field = (uint32_t)s->word_value;
    else if (s->type == LAB_NUMBER || s->type == LAB_RATE)
        *(double *)field = (double)s->word_value;
    else
        *(uint64_t *)field = s->word_value;
    return true;
}

static int plain_read(const struct lab_setting *s, struct slice text, void *field,
                      struct lab_value *v)
{
    uint64_t value = 0;
    uint32_t narrow = 0;
    int result;
    switch (s->type) {
    case LAB_CHOICE:
        result = choice_read(s, text, &narrow, v);
        if (result == 0)
            memcpy(field, &narrow, sizeof(narrow));
        return result;
    case LAB_SET:
        return set_read(s, text, field, v);
    case LAB_COUNT:
        result = knob_read(s, KNOB_COUNT, text, &narrow, v);
        if (result == 0)
            *(uint32_t *)field = narrow;
        return result < 0 ? result : number_is(v, narrow);
    case LAB_LONG:
        if (text.len > 0 && (text.ptr[text.len - 1] < '0' || text.ptr[text.len - 1] > '9'))
            return refuse(v, "'%.*s' is not a plain number", SHOWN(text));
        __attribute__((fallthrough));
    case LAB_SIZE:
    case LAB_TIME:
        result = knob_read(s, s->type == LAB_TIME ? KNOB_TIME : KNOB_SIZE, text, &value, v);
        if (result == 0)
            *(uint64_t *)field = value;
        return result < 0 ? result : number_is(v, (double)value / (s->type == LAB_TIME ? 1e9 : 1));
    case LAB_DIST:
        return dist_read(s, text, field, v);
    case LAB_NUMBER:
    case LAB_SHARE:
    case LAB_RATE:
        return double_read(s, text, field, v);
    case LAB_YESNO:
        return yesno_read(text, field, v);
    }
    UNREACHABLE();
}

int lab_setting_read(const struct lab_setting *s, struct slice text, void *record,
                     struct lab_value *ret_value)
{
    void *field = (char *)record + s->offset;
    *ret_value = (struct lab_value){.has_number = false};
    if (word_read(s, text, field))
        return 0;
    return plain_read(s, text, field, ret_value);
}

void lab_like_apply(struct lab_client *c)
{
    static const struct {
        uint32_t limit_s;
        enum lab_timer timer;
        bool credits_early;
    } rows[LAB_LIKE_COUNT] = {
        [LAB_LIKE_RFC5321] = {600, LAB_TIMER_REPLY, false},
        [LAB_LIKE_POSTFIX] = {600, LAB_TIMER_LINE, false},
        [LAB_LIKE_POSTFIX_DEADLINE] = {600, LAB_TIMER_REPLY, false},
        [LAB_LIKE_EXIM] = {600, LAB_TIMER_REPLY, true},
        [LAB_LIKE_SENDMAIL] = {3600, LAB_TIMER_REPLY, false},
        [LAB_LIKE_QMAIL] = {1200, LAB_TIMER_LINE, false},
        [LAB_LIKE_EXCHANGE] = {600, LAB_TIMER_LINE, false},
        [LAB_LIKE_OPENSMTPD] = {300, LAB_TIMER_LINE, false},
        [LAB_LIKE_GO_SMTP] = {720, LAB_TIMER_TOTAL, false},
        [LAB_LIKE_MOX] = {30, LAB_TIMER_LINE, false},
        [LAB_LIKE_K9] = {300, LAB_TIMER_LINE, false},
    };
    ASSERT(c->like < LAB_LIKE_COUNT);
    if (c->like == LAB_LIKE_NONE)
        return;
    c->limit_ns = (clock_ns)rows[c->like].limit_s * NS_PER_S;
    c->timer = rows[c->like].timer;
    c->credits_early = rows[c->like].credits_early;
}

bool lab_like_timer(enum lab_like like, enum lab_timer *ret_timer)
{
    struct lab_client c = {.like = like};
    lab_like_apply(&c);
    *ret_timer = c.timer;
    return like != LAB_LIKE_NONE;
}

/* --- reference -------------------------------------------------------------------------------- */

static void print_type(const struct lab_setting *s, FILE *out)
{
    static const struct {
        enum lab_type type;
        enum knob_type knob;
    } knobs[] = {{LAB_COUNT, KNOB_COUNT}, {LAB_SIZE, KNOB_SIZE}, {LAB_TIME, KNOB_TIME}};
    static const char *const types[] = {
        [LAB_LONG] = "number",    [LAB_NUMBER] = "number",
        [LAB_SHARE] = "share",    [LAB_RATE] = "rate",
        [LAB_YESNO] = "yes | no", [LAB_DIST] = "time or distribution of times",
    };
    for (size_t i = 0; i < ARRAY_COUNT(knobs); i++) {
        const struct knob k = {.type = knobs[i].knob,
                               .name = s->name,
                               .otherwise = s->otherwise,
                               .min = s->min,
                               .max = s->max,
                               .zero_word = s->word};
        if (knobs[i].type != s->type)
            continue;
        knob_print_doc(&k, out);
        return;
    }
    if (s->type == LAB_CHOICE || s->type == LAB_SET) {
        const char *name;
        for (uint32_t i = 0; (name = s->choices[i]) != NULL; i++)
            fprintf(out, "%s%s", i > 0 ? " | " : "", name);
        fputs(s->type == LAB_SET ? ", also several with + between" : "", out);
    } else {
        fputs(types[s->type], out);
    }
    if (s->type == LAB_DIST)
        fprintf(out, ", at most %ud", (unsigned)(s->max / NS_PER_DAY));
    else if (s->type != LAB_CHOICE && s->type != LAB_SET && s->type != LAB_YESNO)
        fprintf(out, ", %llu to %llu", (unsigned long long)s->min, (unsigned long long)s->max);
    fprintf(out, "%s%s; default: %s", s->word != NULL ? ", or " : "",
            s->word != NULL ? s->word : "", s->otherwise);
}

void lab_settings_print(FILE *out)
{
    for (size_t i = 0; i < LAB_PLAIN_COUNT; i++)
        fprintf(out, "%s: %s; default: %s\n    %s\n", lab_plains[i].name, lab_plains[i].type,
                lab_plains[i].otherwise, lab_plains[i].doc);
    for (size_t i = 0; i < lab_setting_count; i++) {
        const struct lab_setting *s = &lab_settings[i];
        const char *section = lab_section_name(s->section);
        fprintf(out, "%s%s%s: ", section, section[0] != '\0' ? "." : "", s->name);
        print_type(s, out);
        fprintf(out, "\n    %s\n", s->doc);
    }
}
