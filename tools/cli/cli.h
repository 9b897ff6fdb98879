/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - command lines that are tables: one row an option, which makes the parser and the help
 * text. Options are long ones, "--name VALUE" or "--name=VALUE"; where the table gives one a
 * letter, "-n VALUE" or "-nVALUE" too. What else stands there is a plain word. What is wrong is
 * written into the caller's memory.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/base.h"
#include "base/clock.h"
#include <stddef.h>
#include <stdio.h>

struct cli_row;

/* One command line that is being read. */
struct cli {
    void *options;             /* the caller's struct, which the rows fill */
    const struct cli_row *row; /* of the option that is being read; NULL: a plain word */
    char *text;                /* what is wrong */
    size_t text_cap;
};

struct cli_row {
    const char *name;
    const char *arg;     /* NULL: a switch */
    const char *initial; /* in force when it is not given; NULL: what it sets is off, or computed */
    const char *help;    /* NULL: not among the rows that are printed */
    bool (*set)(struct cli *c, const char *value);
    size_t at; /* of CLI_FLAG and CLI_TEXT: where in the options */
};

/* The last two columns of a row: a bool that becomes true, a string that is kept as it is. */
#define CLI_FLAG(type, field)                                                                      \
    cli_set_flag, offsetof(type, field) + 0 * sizeof(_Generic(((type *)0)->field, bool : 1))
#define CLI_TEXT(type, field)                                                                      \
    cli_set_text, offsetof(type, field) + 0 * sizeof(_Generic(((type *)0)->field, const char * : 1))

/* A row that gives the row behind it a letter. */
#define CLI_LETTER(letter)                                                                         \
    {                                                                                              \
        letter, NULL, NULL, NULL, NULL, 0                                                          \
    }

/* cli_set_flag(), cli_set_text() - for CLI_FLAG and CLI_TEXT; never fail. */
bool cli_set_flag(struct cli *c, const char *value);
bool cli_set_text(struct cli *c, const char *value);

/* --- what is wrong ---------------------------------------------------------------------------- */

/* cli_wrong() - the text from a format; false, to be returned. */
PRINTF_LIKE(2, 3)
bool cli_wrong(struct cli *c, const char *fmt, ...);
/* cli_expected() - "--name value: expected ..."; false, to be returned. */
bool cli_expected(struct cli *c, const char *value, const char *expected);

/* --- values: false, and what is wrong is told ------------------------------------------------- */

/* cli_number() - a whole number from @low to @high. */
MUST_CHECK bool cli_number(struct cli *c, const char *value, uint64_t low, uint64_t high,
                           uint64_t *ret_value);
/* cli_u32() - the same for 32 bits. */
MUST_CHECK bool cli_u32(struct cli *c, const char *value, uint32_t low, uint32_t high,
                        uint32_t *ret_value);
/* cli_bytes() - a size of @low to @high octets. */
MUST_CHECK bool cli_bytes(struct cli *c, const char *value, uint64_t low, uint64_t high,
                          uint64_t *ret_bytes);
/* cli_time() - a time from @low to @high, which @range says for people. */
MUST_CHECK bool cli_time(struct cli *c, const char *value, clock_ns low, clock_ns high,
                         const char *range, clock_ns *ret_ns);
/* cli_address() - at most @bytes_max octets that can stand between angle brackets. */
MUST_CHECK bool cli_address(struct cli *c, const char *value, size_t bytes_max, bool may_be_empty,
                            const char **ret_address);
/* cli_hello_name() - @value can stand behind EHLO and LHLO. */
MUST_CHECK bool cli_hello_name(struct cli *c, const char *value);
/* cli_one_of() - which of the words; @expected names them all. */
MUST_CHECK bool cli_one_of(struct cli *c, const char *value, const char *const *words,
                           size_t word_count, const char *expected, uint32_t *ret_idx);

/* --- the whole line --------------------------------------------------------------------------- */

enum cli_asked { CLI_NOTHING, CLI_HELP, CLI_VERSION };

/* cli_asked() - --help, -h and --version count wherever they stand. */
enum cli_asked cli_asked(int argc, char **argv);

/* What a program does with a word: that of c->row, "yes" for a switch, or a plain one. False, and
 * what is wrong is told, ends the reading. */
typedef bool cli_take_fn(struct cli *c, const char *value);

/* cli_take_option() - as the row says; false for a plain word. */
bool cli_take_option(struct cli *c, const char *value);

/* cli_read() - @take the initial value of each row, then the whole line. */
MUST_CHECK bool cli_read(struct cli *c, const struct cli_row *rows, size_t row_count, int argc,
                         char **argv, cli_take_fn *take);

/* cli_print_rows() - one below the other, names and arguments in a column of @width; help may have
 * several lines. */
void cli_print_rows(FILE *out, const struct cli_row *rows, size_t row_count, int width);

/* cli_print_pairs() - the same with one line of help each, two in a line of 80 where both are short
 * enough. */
void cli_print_pairs(FILE *out, const struct cli_row *rows, size_t row_count, int width);

#endif
