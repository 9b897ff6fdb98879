/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one row an option: the rows make the parser and the help text. */
#include "probe/options.h"
#include "load/dist.h"
#include "probe/check.h"
#include "smtp/hello.h"
#include <string.h>

#define ADDRESS_BYTES_MAX 512

struct parser {
    struct probe_options *options;
    const char *name; /* of the option that is being read */
    char *text;       /* what is wrong */
    size_t text_cap;
};

static bool fail(struct parser *p, const char *value, const char *expected)
{
    snprintf(p->text, p->text_cap, "--%s %s: expected %s", p->name, value, expected);
    return false;
}

static bool read_address(struct parser *p, const char *value, bool may_be_empty, const char **ret)
{
    size_t len = strlen(value);
    if (len > ADDRESS_BYTES_MAX || (len == 0 && !may_be_empty) || strpbrk(value, "<>\r\n") != NULL)
        return fail(p, value, "an address without angle brackets");
    *ret = value;
    return true;
}

static bool read_time(struct parser *p, const char *value, clock_ns *ret_ns)
{
    if (dist_number_parse(slice_str(value), DIST_NS, ret_ns) && *ret_ns > 0 &&
        *ret_ns <= 86400 * NS_PER_S)
        return true;
    return fail(p, value, "a time: 500ms, 10s, 5m (at most a day)");
}

static bool set_rcpt(struct parser *p, const char *value)
{
    struct probe_options *o = p->options;
    if (o->rcpt_count == PROBE_RCPTS_MAX)
        return fail(p, value, "at most 16 of them");
    return read_address(p, value, false, &o->rcpts[o->rcpt_count]) && ++o->rcpt_count > 0;
}

static bool set_refused(struct parser *p, const char *value)
{
    return read_address(p, value, false, &p->options->refused_rcpt);
}

static bool set_content_refused(struct parser *p, const char *value)
{
    return read_address(p, value, false, &p->options->content_refused_rcpt);
}

static bool set_content_delayed(struct parser *p, const char *value)
{
    return read_address(p, value, false, &p->options->content_delayed_rcpt);
}

static bool set_gtube(struct parser *p, const char *value)
{
    (void)value;
    p->options->has_gtube = true;
    return true;
}

static bool set_from(struct parser *p, const char *value)
{
    return read_address(p, value, true, &p->options->sender);
}

static bool set_helo(struct parser *p, const char *value)
{
    if (!hello_name_is_good(slice_str(value)) || strlen(value) > DOMAIN_BYTES_MAX)
        return fail(p, value, "a host name");
    p->options->helo = value;
    return true;
}

static bool set_only(struct parser *p, const char *value)
{
    p->options->only = value;
    return check_pattern_is_good(value, p->text, p->text_cap);
}

static bool set_skip(struct parser *p, const char *value)
{
    p->options->skip = value;
    return check_pattern_is_good(value, p->text, p->text_cap);
}

static bool set_list(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_list = true;
    return true;
}

static bool set_intrusive(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_intrusive = true;
    return true;
}

static bool set_strict(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_strict = true;
    return true;
}

static bool set_timeout(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->timeout_ns);
}

static bool set_limit(struct parser *p, const char *value)
{
    return read_time(p, value, &p->options->limit_ns);
}

static bool set_upload(struct parser *p, const char *value)
{
    return dist_number_parse(slice_str(value), DIST_BYTES, &p->options->upload_bytes) ||
           fail(p, value, "a size: 512k, 64M");
}

static bool set_rcpt_bound(struct parser *p, const char *value)
{
    if (dist_number_parse(slice_str(value), DIST_NUMBER, &p->options->bound_rcpts) &&
        p->options->bound_rcpts >= 100 && p->options->bound_rcpts <= 1000000)
        return true;
    return fail(p, value, "a number from 100 to 1000000");
}

static bool set_starttls(struct parser *p, const char *value)
{
    (void)value;
    p->options->uses_starttls = true;
    return true;
}

static bool set_tls_ca(struct parser *p, const char *value)
{
    p->options->tls_ca = value;
    return true;
}

static bool set_color(struct parser *p, const char *value)
{
    static const char *const names[] = {"auto", "always", "never"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        p->options->color = (enum probe_color)i;
        return true;
    }
    return fail(p, value, "auto, always or never");
}

static bool set_json(struct parser *p, const char *value)
{
    p->options->json_path = value;
    return true;
}

static bool set_junit(struct parser *p, const char *value)
{
    p->options->junit_path = value;
    return true;
}

static bool set_quiet(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_quiet = true;
    return true;
}

static bool set_verbose(struct parser *p, const char *value)
{
    (void)value;
    p->options->is_verbose = true;
    return true;
}

struct row {
    const char *name;
    const char *arg;     /* NULL: a switch */
    const char *initial; /* in force when it is not given; NULL: nothing */
    const char *help;
    bool (*set)(struct parser *p, const char *value);
};

static const struct row rows[] = {
    {"rcpt", "ADDRESS", NULL, "accepted; may be given several times", set_rcpt},
    {"refused-rcpt", "ADDRESS", NULL, "refused at RCPT", set_refused},
    {"content-refused-rcpt", "ADDRESS", NULL, "refused after the content", set_content_refused},
    {"content-delayed-rcpt", "ADDRESS", NULL, "4xx after the content", set_content_delayed},
    {"gtube", NULL, NULL, "content with the GTUBE line is refused", set_gtube},
    {"from", "ADDRESS", "probe@client.example", "sender", set_from},
    {"helo", "NAME", "client.example", "name behind EHLO and LHLO", set_helo},
    {"only", "LIST", NULL, "rules: ids, their beginnings, or expressions", set_only},
    {"skip", "LIST", NULL, "rules that are left out", set_skip},
    {"list", NULL, NULL, "print the rules and what each needs", set_list},
    {"intrusive", NULL, NULL, "also what looks like an attack", set_intrusive},
    {"strict", NULL, NULL, "recommendations are rules", set_strict},
    {"timeout", "TIME", "10s", "for each reply", set_timeout},
    {"limit", "TIME", "15m", "for the whole run", set_limit},
    {"upload", "SIZE", "4M", "largest SIZE that is exceeded", set_upload},
    {"rcpt-bound", "N", "1100", "recipients offered at most", set_rcpt_bound},
    {"starttls", NULL, NULL, "STARTTLS first, on smtp:// and lmtp://", set_starttls},
    {"tls-ca", "PATH", NULL, "verify certificates [no verification]", set_tls_ca},
    {"color", "WHEN", "auto", "auto, always or never", set_color},
    {"json", "FILE", NULL, "everything, as JSON", set_json},
    {"junit", "FILE", NULL, "everything, as JUnit XML", set_junit},
    {"verbose", NULL, NULL, "keep and print every transcript", set_verbose},
    {"quiet", NULL, NULL, "print failures, warnings and the sums", set_quiet},
};

void probe_options_print_help(FILE *out)
{
    fputs("usage: postern-probe [OPTION]... smtp[s]://HOST[:PORT] | lmtp://HOST[:PORT] |\n"
          "                     smtp+unix:PATH | lmtp+unix:PATH\n"
          "       postern-probe --list [--only LIST] [--skip LIST]\n"
          "\n"
          "Holds an SMTP or LMTP server against numbered rules. It sends messages.\n"
          "\n",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        char left[48];
        snprintf(left, sizeof(left), "--%s %s", r->name, r->arg != NULL ? r->arg : "");
        fprintf(out, "  %-30s %s", left, r->help);
        if (r->initial != NULL && strlen(r->initial) < 10)
            fprintf(out, " [%s]", r->initial);
        fputc('\n', out);
    }
    fputs("  --help                         print this\n"
          "  --version                      print the version\n"
          "\n"
          "Exit: 0 no rule failed; 1 some failed; 2 usage; 3 it could not be tested\n",
          out);
}

static bool complain(struct parser *p, const char *text, const char *word)
{
    snprintf(p->text, p->text_cap, "%s%s", word, text);
    return false;
}

/* "--name", "--name=value"; *ret_value is NULL without "=". */
static const struct row *find_row(const char *word, const char **ret_value)
{
    size_t len = strcspn(word, "=");
    *ret_value = word[len] == '=' ? word + len + 1 : NULL;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, word, len) == 0)
            return &rows[i];
    return NULL;
}

static bool parse_word(struct parser *p, int argc, char **argv, int *at)
{
    struct probe_options *o = p->options;
    const char *word = argv[*at], *value;
    if (word[0] != '-') {
        if (o->has_target)
            return complain(p, ": one server at a time", word);
        o->has_target = true;
        return target_parse(word, &o->target, p->text, p->text_cap);
    }
    const struct row *r = strncmp(word, "--", 2) == 0 ? find_row(word + 2, &value) : NULL;
    if (r == NULL)
        return complain(p, ": not an option; see --help", word);
    if (r->arg == NULL && value != NULL)
        return complain(p, ": takes no value", word);
    if (r->arg != NULL && value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (r->arg != NULL && value == NULL)
        return complain(p, " needs a value", word);
    p->name = r->name;
    return r->set(p, value);
}

static bool check(struct parser *p)
{
    const struct probe_options *o = p->options;
    if (!o->has_target && !o->is_list)
        return complain(p, "no server: smtp://HOST:PORT and others, see --help", "");
    if (o->uses_starttls && (o->target.is_tls || o->target.is_local))
        return complain(p, "--starttls is for smtp://HOST and lmtp://HOST", "");
    return true;
}

enum probe_options_result probe_options_parse(struct probe_options *o, int argc, char **argv,
                                              char *ret_text, size_t text_cap)
{
    struct parser p = {.options = o, .text = ret_text, .text_cap = text_cap};
    memset(o, 0, sizeof(*o));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return PROBE_OPTIONS_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return PROBE_OPTIONS_VERSION;
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        p.name = rows[i].name;
        if (rows[i].initial != NULL && !rows[i].set(&p, rows[i].initial))
            return PROBE_OPTIONS_BAD;
    }
    for (int i = 1; i < argc; i++)
        if (!parse_word(&p, argc, argv, &i))
            return PROBE_OPTIONS_BAD;
    return check(&p) ? PROBE_OPTIONS_RUN : PROBE_OPTIONS_BAD;
}
