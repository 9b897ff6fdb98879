/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - see cli.h. Nothing is kept here, and no word of the command line is copied. */
#include "cli/cli.h"
#include "base/limits.h"
#include "load/dist.h"
#include "smtp/hello.h"
#include <stdarg.h>
#include <string.h>

#define INITIAL_SHOWN_MAX 9 /* longer ones are in the manual only */

/* --- what is wrong ---------------------------------------------------------------------------- */

bool cli_wrong(struct cli *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->text, c->text_cap, fmt, args);
    va_end(args);
    return false;
}

bool cli_expected(struct cli *c, const char *value, const char *expected)
{
    return cli_wrong(c, "--%s %s: expected %s", c->row->name, value, expected);
}

/* --- values ----------------------------------------------------------------------------------- */

static void *place_of(const struct cli *c)
{
    return (uint8_t *)c->options + c->row->at;
}

bool cli_set_flag(struct cli *c, const char *value)
{
    bool *flag = place_of(c);
    (void)value;
    *flag = true;
    return true;
}

bool cli_set_text(struct cli *c, const char *value)
{
    const char **text = place_of(c);
    *text = value;
    return true;
}

bool cli_number(struct cli *c, const char *value, uint64_t low, uint64_t high, uint64_t *ret_value)
{
    uint64_t number;
    if (!dist_number_parse(slice_str(value), DIST_NUMBER, &number) || number < low || number > high)
        return cli_wrong(c, "--%s %s: expected a number from %llu to %llu", c->row->name, value,
                         (unsigned long long)low, (unsigned long long)high);
    *ret_value = number;
    return true;
}

bool cli_u32(struct cli *c, const char *value, uint32_t low, uint32_t high, uint32_t *ret_value)
{
    uint64_t number;
    if (!cli_number(c, value, low, high, &number))
        return false;
    *ret_value = (uint32_t)number;
    return true;
}

bool cli_address(struct cli *c, const char *value, size_t bytes_max, bool may_be_empty,
                 const char **ret_address)
{
    size_t len = strlen(value);
    if (len > bytes_max || (len == 0 && !may_be_empty) || strpbrk(value, "<>\r\n") != NULL)
        return cli_expected(c, value, "an address without angle brackets");
    *ret_address = value;
    return true;
}

bool cli_hello_name(struct cli *c, const char *value)
{
    return (hello_name_is_good(slice_str(value)) && strlen(value) <= DOMAIN_BYTES_MAX) ||
           cli_expected(c, value, "a host name");
}

bool cli_one_of(struct cli *c, const char *value, const char *const *words, size_t word_count,
                const char *expected, uint32_t *ret_idx)
{
    for (size_t i = 0; i < word_count; i++) {
        if (strcmp(value, words[i]) != 0)
            continue;
        *ret_idx = (uint32_t)i;
        return true;
    }
    return cli_expected(c, value, expected);
}

/* --- the whole line --------------------------------------------------------------------------- */

enum cli_asked cli_asked(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return CLI_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return CLI_VERSION;
    }
    return CLI_NOTHING;
}

/* "--name", "--name=value"; *ret_value is NULL without "=". */
static const struct cli_row *find_row(const struct cli_row *rows, size_t row_count,
                                      const char *word, const char **ret_value)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    *ret_value = name[len] == '=' ? name + len + 1 : NULL;
    for (size_t i = 0; i < row_count; i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

enum cli_word cli_next(struct cli *c, const struct cli_row *rows, size_t row_count, int argc,
                       char **argv, int *at, const char **ret_value)
{
    const char *word = argv[(*at)++];
    *ret_value = word;
    if (word[0] != '-')
        return CLI_PLAIN;
    const char *value;
    const struct cli_row *row = find_row(rows, row_count, word, &value);
    if (row == NULL)
        return CLI_UNKNOWN;
    c->row = row;
    if (row->arg == NULL && value != NULL)
        return CLI_VALUE_SURPLUS;
    if (row->arg == NULL)
        value = "yes";
    else if (value == NULL && *at < argc)
        value = argv[(*at)++];
    *ret_value = value;
    return value != NULL ? CLI_OPTION : CLI_VALUE_MISSING;
}

void cli_print_rows(FILE *out, const struct cli_row *rows, size_t row_count, int width)
{
    for (size_t i = 0; i < row_count; i++) {
        const struct cli_row *r = &rows[i];
        char left[64];
        if (r->help == NULL)
            continue;
        snprintf(left, sizeof(left), "--%s %s", r->name, r->arg != NULL ? r->arg : "");
        fprintf(out, "  %-*s %s", width, left, r->help);
        if (r->initial != NULL && strlen(r->initial) <= INITIAL_SHOWN_MAX)
            fprintf(out, " [%s]", r->initial);
        fputc('\n', out);
    }
}
