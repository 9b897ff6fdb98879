/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting.h - the settings of experiment files: one row each, with type, range, default and
 * meaning, and the way from text to a field of a point.
 */
#ifndef LAB_SETTING_H
#define LAB_SETTING_H

#include "base/slice.h"
#include "lab/point.h"
#include <stdio.h>

enum lab_section {
    LAB_SECTION_TOP, /* of struct lab_point; the others of the struct that their section fills */
    LAB_SECTION_SERVER,
    LAB_SECTION_CLIENT,
    LAB_SECTION_FAULTS,
    LAB_SECTION_MIX, /* of struct lab_mix_row; a row also takes what a client takes */
    LAB_SECTION_COUNT
};

enum lab_type {
    LAB_CHOICE, /* an enum, by name */
    LAB_SET,    /* an enum of bits, by their names with "+" between; the first name is for none */
    LAB_COUNT,  /* uint32_t */
    LAB_LONG,   /* uint64_t */
    LAB_SIZE,   /* uint64_t, octets: 10kb */
    LAB_TIME,   /* clock_ns: 5min */
    LAB_DIST,   /* struct dist of times: 5min, exp:30s */
    LAB_NUMBER, /* double */
    LAB_SHARE,  /* double, 0 to 1: 0.1, 10% */
    LAB_RATE,   /* double, per second: 3/s, 100/h */
    LAB_YESNO,  /* bool */
};

struct lab_setting {
    enum lab_section section;
    enum lab_type type;
    const char *name;
    const char *otherwise; /* default, as it would stand in a file */
    size_t offset;
    uint64_t min, max;
    const char *word; /* stands for word_value; NULL: there is none */
    uint64_t word_value;
    const char *const *choices; /* of LAB_CHOICE: the words by value; NULL is behind the last */
    const char *doc;
};

extern const struct lab_setting lab_settings[];
extern const size_t lab_setting_count;

struct lab_plain { /* a setting of an experiment that is no part of its points */
    const char *name, *type, *otherwise, *doc;
};
#define LAB_PLAIN_COUNT 5
extern const struct lab_plain lab_plains[LAB_PLAIN_COUNT];

/* lab_section_name() - "" at the top. */
const char *lab_section_name(enum lab_section s);

/* lab_setting_find() - NULL: no such setting in this section. */
const struct lab_setting *lab_setting_find(enum lab_section section, struct slice name);

struct lab_value {
    bool has_number; /* a number that a reader can draw: seconds, octets, shares, counts */
    double number;
    char reason[200]; /* out: why a value was refused */
};

/*
 * lab_setting_read() - check @text and write the field in @record
 * @record: of the setting's section; a distribution in it is lost, so give back before
 *
 * Return: 0, -EINVAL with ret_value->reason filled, or a system error of a file
 */
MUST_CHECK int lab_setting_read(const struct lab_setting *s, struct slice text, void *record,
                                struct lab_value *ret_value);

/* lab_like_apply() - the timers of that program (DUP section 5) to @c. */
void lab_like_apply(struct lab_client *c);
/* lab_like_timer() - which kind of timer it has; false: it is no program. */
MUST_CHECK bool lab_like_timer(enum lab_like like, enum lab_timer *ret_timer);

/* lab_settings_print() - every setting with type, range, default and meaning. */
void lab_settings_print(FILE *out);

#endif
