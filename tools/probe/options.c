/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - one row an option: the rows make the parser and the help text. */
#include "probe/options.h"
#include "cli/cli.h"
#include "probe/check.h"
#include <string.h>

#define ADDRESS_BYTES_MAX 512

static struct probe_options *of(const struct cli *c)
{
    return c->options;
}

static bool read_time(struct cli *c, const char *value, clock_ns *ret_ns)
{
    return cli_time(c, value, 1, 86400 * NS_PER_S, "at most a day", ret_ns);
}

static bool set_rcpt(struct cli *c, const char *value)
{
    struct probe_options *o = of(c);
    if (o->rcpt_count == PROBE_RCPTS_MAX)
        return cli_expected(c, value, "at most 16 of them");
    return cli_address(c, value, ADDRESS_BYTES_MAX, false, &o->rcpts[o->rcpt_count]) &&
           ++o->rcpt_count > 0;
}

static bool set_refused(struct cli *c, const char *value)
{
    return cli_address(c, value, ADDRESS_BYTES_MAX, false, &of(c)->refused_rcpt);
}

static bool set_content_refused(struct cli *c, const char *value)
{
    return cli_address(c, value, ADDRESS_BYTES_MAX, false, &of(c)->content_refused_rcpt);
}

static bool set_content_delayed(struct cli *c, const char *value)
{
    return cli_address(c, value, ADDRESS_BYTES_MAX, false, &of(c)->content_delayed_rcpt);
}

static bool set_from(struct cli *c, const char *value)
{
    return cli_address(c, value, ADDRESS_BYTES_MAX, true, &of(c)->sender);
}

static bool set_helo(struct cli *c, const char *value)
{
    of(c)->helo = value;
    return cli_hello_name(c, value);
}

static bool set_only(struct cli *c, const char *value)
{
    of(c)->only = value;
    return check_pattern_is_good(value, c->text, c->text_cap);
}

static bool set_skip(struct cli *c, const char *value)
{
    of(c)->skip = value;
    return check_pattern_is_good(value, c->text, c->text_cap);
}

static bool set_timeout(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->timeout_ns);
}

static bool set_limit(struct cli *c, const char *value)
{
    return read_time(c, value, &of(c)->limit_ns);
}

static bool set_upload(struct cli *c, const char *value)
{
    return cli_bytes(c, value, 0, UINT64_MAX, &of(c)->upload_bytes);
}

static bool set_rcpt_bound(struct cli *c, const char *value)
{
    return cli_number(c, value, 100, 1000000, &of(c)->bound_rcpts);
}

static bool set_color(struct cli *c, const char *value)
{
    static const char *const names[] = {"auto", "always", "never"};
    uint32_t color;
    if (!cli_one_of(c, value, names, ARRAY_COUNT(names), "auto, always or never", &color))
        return false;
    of(c)->color = (enum probe_color)color;
    return true;
}

static const struct cli_row rows[] = {
    {"rcpt", "ADDRESS", NULL, "accepted; may be given several times", set_rcpt, 0},
    {"refused-rcpt", "ADDRESS", NULL, "refused at RCPT", set_refused, 0},
    {"content-refused-rcpt", "ADDRESS", NULL, "refused after the content", set_content_refused, 0},
    {"content-delayed-rcpt", "ADDRESS", NULL, "4xx after the content", set_content_delayed, 0},
    {"gtube", NULL, NULL, "content with the GTUBE line is refused",
     CLI_FLAG(struct probe_options, has_gtube)},
    {"from", "ADDRESS", "probe@client.example", "sender", set_from, 0},
    {"helo", "NAME", "client.example", "name behind EHLO and LHLO", set_helo, 0},
    {"only", "LIST", NULL, "rules: ids, their beginnings, or expressions", set_only, 0},
    {"skip", "LIST", NULL, "rules that are left out", set_skip, 0},
    {"list", NULL, NULL, "print the rules and what each needs",
     CLI_FLAG(struct probe_options, is_list)},
    {"intrusive", NULL, NULL, "also what looks like an attack",
     CLI_FLAG(struct probe_options, is_intrusive)},
    {"strict", NULL, NULL, "recommendations are rules", CLI_FLAG(struct probe_options, is_strict)},
    {"timeout", "TIME", "10s", "for each reply", set_timeout, 0},
    {"limit", "TIME", "15m", "for the whole run", set_limit, 0},
    {"upload", "SIZE", "4M", "largest SIZE that is exceeded", set_upload, 0},
    {"rcpt-bound", "N", "1100", "recipients offered at most", set_rcpt_bound, 0},
    {"starttls", NULL, NULL, "STARTTLS first, on smtp:// and lmtp://",
     CLI_FLAG(struct probe_options, uses_starttls)},
    {"tls-ca", "PATH", NULL, "verify certificates [no verification]",
     CLI_TEXT(struct probe_options, tls_ca)},
    {"color", "WHEN", "auto", "auto, always or never", set_color, 0},
    {"json", "FILE", NULL, "everything, as JSON", CLI_TEXT(struct probe_options, json_path)},
    {"junit", "FILE", NULL, "everything, as JUnit XML", CLI_TEXT(struct probe_options, junit_path)},
    {"verbose", NULL, NULL, "keep and print every transcript",
     CLI_FLAG(struct probe_options, is_verbose)},
    {"quiet", NULL, NULL, "print failures, warnings and the sums",
     CLI_FLAG(struct probe_options, is_quiet)},
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
    cli_print_rows(out, rows, ARRAY_COUNT(rows), 30);
    fputs("  --help                         print this\n"
          "  --version                      print the version\n"
          "\n"
          "Exit: 0 no rule failed; 1 some failed; 2 usage; 3 it could not be tested\n",
          out);
}

static bool set_target(struct cli *c, const char *word)
{
    struct probe_options *o = of(c);
    if (o->has_target)
        return cli_wrong(c, "%s: one server at a time", word);
    o->has_target = true;
    return target_parse(word, &o->target, c->text, c->text_cap);
}

static bool take(struct cli *c, const char *value)
{
    return c->row != NULL ? c->row->set(c, value) : set_target(c, value);
}

static bool check(struct cli *c)
{
    const struct probe_options *o = of(c);
    if (!o->has_target && !o->is_list)
        return cli_wrong(c, "no server: smtp://HOST:PORT and others, see --help");
    if (o->uses_starttls && (o->target.is_tls || o->target.is_local))
        return cli_wrong(c, "--starttls is for smtp://HOST and lmtp://HOST");
    return true;
}

enum probe_options_result probe_options_parse(struct probe_options *o, int argc, char **argv,
                                              char *ret_text, size_t text_cap)
{
    struct cli c = {.options = o, .text = ret_text, .text_cap = text_cap};
    memset(o, 0, sizeof(*o));
    switch (cli_asked(argc, argv)) {
    case CLI_HELP:
        return PROBE_OPTIONS_HELP;
    case CLI_VERSION:
        return PROBE_OPTIONS_VERSION;
    case CLI_NOTHING:
        break;
    }
    return cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, take) && check(&c) ? PROBE_OPTIONS_RUN
                                                                                : PROBE_OPTIONS_BAD;
}
