/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment.h - experiment files: text to points.
 *
 * A file has experiments; an experiment has settings (setting.h), each with one value or a list.
 * Lists are axes, in the order in which they stand in the file, and so are several clients with
 * names. The points are all combinations: the last axis changes from each point to the next, the
 * first one most rarely.
 *
 * A file that was read is checked as a whole: every value, and every point for what its values say
 * together. Making a point cannot fail afterwards but for memory and files of distributions.
 */
#ifndef LAB_EXPERIMENT_H
#define LAB_EXPERIMENT_H

#include "lab/setting.h"
#include "region.h"

#define LAB_EXPERIMENTS_MAX 64
#define LAB_AXES_MAX 8
#define LAB_AXIS_VALUES_MAX 1000
#define LAB_POINTS_MAX 20000
#define LAB_SEEDS_MAX 1000
#define LAB_MODES_MAX 8
#define LAB_FILE_BYTES_MAX ((size_t)1 * MIB)

struct lab_axis_value {
    uint32_t idx;     /* in the file's list; others may have been left out */
    const char *text; /* as in the file */
    bool has_number;
    double number; /* seconds, octets, shares, counts */
};

struct lab_axis {
    const char *name; /* "server.before", "recipients", "client", "mix.exim.limit" */
    const char *unit; /* of the numbers: "s", "octets", "" */
    uint32_t count;
    struct lab_axis_value *values;
};

struct lab_fixed { /* a setting with one value */
    const char *name, *text;
};

struct lab_given; /* private to experiment.c */

struct lab_experiment {
    const char *name; /* letters, digits and "-": it is a part of file names */
    const char *title, *description;
    uint32_t line;
    uint32_t mode_count; /* words of "modes"; which there are is not the file's to know */
    const char *modes[LAB_MODES_MAX];
    uint32_t modes_line;
    uint32_t seed_count;
    uint64_t *seeds;
    uint64_t projected; /* messages that the result is scaled to; 0: it is not */
    uint32_t axis_count;
    struct lab_axis axes[LAB_AXES_MAX];
    uint32_t fixed_count;
    struct lab_fixed *fixed;
    uint32_t point_count;

    struct lab_given *given;
    uint32_t *given_order; /* of the file: indices in @given */
    uint32_t given_count;
    uint32_t mix_count;
    uint32_t mix_order; /* it stands behind so many settings */
    const char *mix_names[LAB_MIX_ROWS_MAX];
    int32_t client_axis;   /* of named clients; -1: there are none */
    uint32_t client_order; /* the first one stands behind so many settings */
};

struct lab_file {
    struct region memory;
    const char *path, *text;
    uint32_t count;
    struct lab_experiment *experiments;
};

struct lab_file_error {
    char text[600]; /* "FILE:LINE: what is wrong" */
    uint32_t line;  /* 0: not a matter of one line */
};

/*
 * lab_file_parse() - the text of a file
 * @path: stands for it in errors; kept as given
 * Return: 0, -EINVAL or the errno of a file, with @ret_error filled; then *ret_file is untouched
 */
MUST_CHECK int lab_file_parse(struct slice text, const char *path, struct lab_file *ret_file,
                              struct lab_file_error *ret_error);
/* lab_file_read() - the same from a file. */
MUST_CHECK int lab_file_read(const char *path, struct lab_file *ret_file,
                             struct lab_file_error *ret_error);
/* lab_file_free() - and all experiments; may be called twice. */
void lab_file_free(struct lab_file *f);

/*
 * lab_experiment_print() - as text that gives the same points again, whatever form the file had:
 * each setting in a line, in the order of the axes; after lab_experiment_only() without the values
 * that were left out
 */
void lab_experiment_print(const struct lab_experiment *e, FILE *out);

/*
 * lab_experiment_only() - leaves those values of an axis of which @wanted says so, and the points
 * that have them
 * @wanted: one for each value of the axis; at least one is true
 */
void lab_experiment_only(struct lab_experiment *e, uint32_t axis, const bool *wanted);

/*
 * lab_experiment_messages() - what is told of the experiment's number of messages, where another
 * one than the file's is run; a list of them stays
 * @text: must live as long as the experiment
 */
void lab_experiment_messages(struct lab_experiment *e, const char *text);

/* lab_point_values() - which value of each axis point @idx has. */
void lab_point_values(const struct lab_experiment *e, uint32_t idx, uint32_t ret_at[LAB_AXES_MAX]);
/* lab_point_make() - 0, -ENOMEM, or the errno of a distribution's file; else lab_point_deinit(). */
MUST_CHECK int lab_point_make(const struct lab_experiment *e, uint32_t idx,
                              struct lab_point *ret_point);
void lab_point_deinit(struct lab_point *p);

#endif
