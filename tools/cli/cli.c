/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - see cli.h. Nothing is kept here, and no word of the command line is copied. */
#include "cli/cli.h"
#include "base/limits.h"
#include "load/dist.h"
#include "smtp/hello.h"
#include <stdarg.h>
#include <string.h>

#define INITIAL_SHOWN_MAX 9 /* longer ones are in the manual only */
#define ROW_BYTES_MAX 512
#define HALF_LINE 40

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

bool cli_bytes(struct cli *c, const char *value, uint64_t low, uint64_t high, uint64_t *ret_bytes)
{
    uint64_t bytes;
    if (!dist_number_parse(slice_str(value), DIST_BYTES, &bytes) || bytes < low || bytes > high)
        return cli_expected(c, value, "a size: 512, 64k, 1M");
    *ret_bytes = bytes;
    return true;
}

bool cli_time(struct cli *c, const char *value, clock_ns low, clock_ns high, const char *range,
              clock_ns *ret_ns)
{
    clock_ns ns;
    if (!dist_number_parse(slice_str(value), DIST_NS, &ns) || ns < low || ns > high)
        return cli_wrong(c, "--%s %s: expected a time: 250ms, 30s, 5m (%s)", c->row->name, value,
                         range);
    *ret_ns = ns;
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

static bool is_letter(const struct cli_row *row)
{
    return row->set == NULL;
}

/* "--name", "--name=value"; *ret_value is NULL without "=". */
static const struct cli_row *find_name(const struct cli_row *rows, size_t row_count,
                                       const char *word, const char **ret_value)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    *ret_value = name[len] == '=' ? name + len + 1 : NULL;
    for (size_t i = 0; i < row_count; i++)
        if (!is_letter(&rows[i]) && strlen(rows[i].name) == len &&
            memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

static const struct cli_row *find_letter(const struct cli_row *rows, size_t row_count, char letter)
{
    for (size_t i = 0; i + 1 < row_count; i++)
        if (is_letter(&rows[i]) && rows[i].name[0] == letter)
            return &rows[i + 1];
    return NULL;
}

/* One line that is being read. */
struct line {
    const struct cli_row *rows;
    size_t row_count;
    int argc, at; /* the next word */
    char **argv;
    cli_take_fn *take;
};

/* @value is what stood in the option's own word, or NULL. */
static bool take_option(struct cli *c, struct line *l, const char *value)
{
    if (c->row->arg == NULL)
        value = "yes";
    else if (value == NULL && l->at < l->argc)
        value = l->argv[l->at++];
    return value != NULL ? l->take(c, value)
                         : cli_wrong(c, "--%s needs a value: %s", c->row->name, c->row->arg);
}

/* "-n", "-nVALUE", or switches and perhaps another option behind one dash. */
static bool read_letters(struct cli *c, struct line *l, const char *word)
{
    bool is_good = true;
    for (const char *letter = word + 1; is_good && *letter != '\0'; letter++) {
        c->row = find_letter(l->rows, l->row_count, *letter);
        if (c->row == NULL)
            return cli_wrong(c, "%s: not an option; see --help", word);
        if (c->row->arg != NULL)
            return take_option(c, l, letter[1] != '\0' ? letter + 1 : NULL);
        is_good = take_option(c, l, NULL);
    }
    return is_good;
}

static bool read_word(struct cli *c, struct line *l)
{
    const char *word = l->argv[l->at++], *value;
    c->row = NULL;
    if (word[0] != '-')
        return l->take(c, word);
    if (word[1] != '\0' && word[1] != '-')
        return read_letters(c, l, word);
    c->row = word[1] == '-' ? find_name(l->rows, l->row_count, word, &value) : NULL;
    if (c->row == NULL)
        return cli_wrong(c, "%s: not an option; see --help", word);
    if (c->row->arg == NULL && value != NULL)
        return cli_wrong(c, "--%s takes no value", c->row->name);
    return take_option(c, l, value);
}

bool cli_take_option(struct cli *c, const char *value)
{
    return c->row != NULL ? c->row->set(c, value)
                          : cli_wrong(c, "%s: not an option; see --help", value);
}

bool cli_read(struct cli *c, const struct cli_row *rows, size_t row_count, int argc, char **argv,
              cli_take_fn *take)
{
    struct line l = {rows, row_count, argc, 1, argv, take};
    for (c->row = rows; c->row < rows + row_count; c->row++)
        if (c->row->initial != NULL && !take(c, c->row->initial))
            return false;
    while (l.at < argc)
        if (!read_word(c, &l))
            return false;
    return true;
}

/* --- help ------------------------------------------------------------------------------------- */

/* One row, with the letter that stands before it; empty when it is not printed. */
static int row_format(const struct cli_row *rows, size_t idx, int width, char *to, size_t cap)
{
    const struct cli_row *r = &rows[idx];
    bool has_letter = idx > 0 && is_letter(r - 1);
    bool has_initial = r->initial != NULL && strlen(r->initial) <= INITIAL_SHOWN_MAX;
    char left[64];
    to[0] = '\0';
    if (r->help == NULL)
        return 0;
    snprintf(left, sizeof(left), "%s%s%s--%s %s", has_letter ? "-" : "",
             has_letter ? r[-1].name : "", has_letter ? ", " : "", r->name,
             r->arg != NULL ? r->arg : "");
    return snprintf(to, cap, "  %-*s %s%s%s%s", width, left, r->help, has_initial ? " [" : "",
                    has_initial ? r->initial : "", has_initial ? "]" : "");
}

void cli_print_rows(FILE *out, const struct cli_row *rows, size_t row_count, int width)
{
    char text[ROW_BYTES_MAX];
    for (size_t i = 0; i < row_count; i++) {
        if (row_format(rows, i, width, text, sizeof(text)) == 0)
            continue;
        for (const char *at = text; *at != '\0'; at++) {
            fputc(*at, out);
            if (*at == '\n')
                fprintf(out, "%*s", width + 3, "");
        }
        fputc('\n', out);
    }
}

void cli_print_pairs(FILE *out, const struct cli_row *rows, size_t row_count, int width)
{
    char text[ROW_BYTES_MAX];
    int at = 0; /* where the line has come to; 0: a new one */
    for (size_t i = 0; i < row_count; i++) {
        int len = row_format(rows, i, width, text, sizeof(text));
        bool is_second = at > 0 && at <= HALF_LINE && len <= HALF_LINE;
        if (len == 0)
            continue;
        if (at > 0 && !is_second)
            fputc('\n', out);
        fprintf(out, "%*s%s%s", is_second ? HALF_LINE - at : 0, "", text, is_second ? "\n" : "");
        at = is_second ? 0 : len;
    }
    if (at > 0)
        fputc('\n', out);
}
