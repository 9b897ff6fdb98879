/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knob.h - one setting of the configuration: type, unit, range, default, and text both ways.
 */
#ifndef KNOB_H
#define KNOB_H

#include "conftree.h"
#include "policy/delay.h"
#include "smtp/status.h"
#include <stdio.h>

enum knob_type {
    KNOB_TEXT,     /* char *, any printable text */
    KNOB_HOSTNAME, /* char *, at least two labels */
    KNOB_PATH,     /* char *, relative ones are taken from a base folder; zero_word is NULL */
    KNOB_COUNT,    /* uint32_t, min..max; zero_word is 0 */
    KNOB_SIZE,     /* uint64_t, octets: 10mb; min..max; zero_word is 0 */
    KNOB_TIME,     /* uint64_t, nanoseconds: 5min; min..max; zero_word is 0 */
    KNOB_SCORE,    /* int32_t, hundredths: 12.5; up to max either way; "off" is INT32_MAX */
    KNOB_MODE,     /* uint32_t, octal permission bits */
    KNOB_CHOICE,   /* uint32_t, one of names */
    KNOB_FLAGS,    /* uint32_t, list of names; "all", "none" and "-name" */
    KNOB_REPLY,    /* struct answer: "550 5.7.1 No"; "default" is STATUS_NONE */
    KNOB_TEXTS,    /* struct knob_texts, list of texts */
    KNOB_DELAY,    /* struct delay: 30s, uniform:10s-50s, exp:30s; up to max; "off" is none */
};

struct knob_name {
    const char *name; /* NULL ends the list */
    uint32_t value;
};

struct knob_refusal { /* a name that one may expect, and why it is not there */
    const char *name; /* NULL ends the list */
    const char *why;
};

struct knob_texts {
    uint32_t count;
    const struct knob_text {
        struct slice text;
        uint32_t line;
    } * at;
};

struct knob {
    uint8_t section; /* the owner of the table numbers them */
    enum knob_type type;
    bool is_reloadable;
    const char *name;
    const char *otherwise; /* default, as it would stand in a file; NULL: none, it must be given */
    size_t offset;         /* of the field in the section's struct */
    uint64_t min, max;
    const char *zero_word;         /* "off", "auto", "unlimited": means 0 (or NULL); may be NULL */
    const struct knob_name *names; /* CHOICE, FLAGS */
    const struct knob_refusal *refusals; /* names refused with a reason; may be NULL */
    enum status status;                  /* REPLY: what the configured reply stands for */
    const char *doc;
};

struct knob_context {
    struct region *memory; /* texts live here */
    const char *base_dir;  /* for relative paths */
    char reason[320];      /* out: why a value was refused */
    bool is_out_of_memory; /* out */
};

/* knob_set() - check the words of a value and write the field in @record. */
MUST_CHECK bool knob_set(const struct knob *k, struct knob_context *context, void *record,
                         const struct knob_text *words, uint32_t count);

/* knob_set_text() - one word, as from the command line or a default. */
MUST_CHECK bool knob_set_text(const struct knob *k, struct knob_context *context, void *record,
                              const char *text);

/* knob_print() - the field's value in a form that knob_set() reads back to the same value. */
void knob_print(const struct knob *k, const void *record, FILE *out);

/* knob_print_doc() - type, unit, range and default in words: "size, 1kb to 1gb, default 50mb". */
void knob_print_doc(const struct knob *k, FILE *out);

/* knob_print_quoted() - @text in double quotes, with the escapes of conftree.h. */
void knob_print_quoted(struct slice text, FILE *out);

/* knob_distance() - edit distance of two names, for "did you mean"; at most 99. */
unsigned knob_distance(struct slice a, struct slice b);

#endif
