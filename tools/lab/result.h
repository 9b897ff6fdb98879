/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.h - what an experiment gave: every point, every run, whatever ran it, and the theory
 * beside it. Text, CSV, JSON and the page are made from it; JSON can be read back, and results of
 * the same experiment that were made apart can be joined.
 */
#ifndef LAB_RESULT_H
#define LAB_RESULT_H

#include "lab/experiment.h"
#include "lab/interval.h"
#include "lab/ladder.h"
#include "lab/theory.h"

#define LAB_RESULT_FORMAT "postern-lab result"
#define LAB_RESULT_FORMAT_VERSION 2
#define LAB_RESULT_MODES_MAX 8
#define LAB_RESULT_BUCKETS_MAX 400 /* of a series; finer ones are put together */
#define LAB_RESULT_RUNGS_MAX 5000  /* of a ladder; later ones are counted only */
#define LAB_WORD_BYTES_MAX 32

struct lab_spread { /* of times, model ns */
    uint64_t count;
    double mean;
    uint64_t min, p50, p90, p99, max;
};

/* The numbers of struct lab_measure, in a form that a table can walk: lab_number_fields. */
struct lab_numbers {
    uint64_t messages, pairs, tries, tries_failed;
    uint64_t accepted, refused, deferred, gave_up, delivered, lost;
    uint64_t duplicated_pairs, copies_excess;
    uint64_t causes[LEDGER_CAUSE_COUNT];
    uint64_t copies_first_try, copies_first_try_sq, copies_excess_sq;
    uint64_t livelocks, model_ns, events;
};

struct lab_number_field {
    const char *name;
    size_t offset; /* of a uint64_t in struct lab_numbers */
};
extern const struct lab_number_field lab_number_fields[];
extern const size_t lab_number_field_count;

struct lab_run {   /* one mode, one seed */
    uint32_t mode; /* index in lab_result.modes */
    uint64_t seed;
    double real_s;
    clock_ns late_ns; /* model time, seen in this run */
    struct lab_numbers numbers;
    struct lab_spread dot_to_first, dot_to_last, settled;
    struct lab_series series; /* in the result's memory */
    uint64_t ladder_seq;      /* of which message, when there are rungs */
    uint32_t rung_count;      /* 0: no ladder was asked for */
    struct rung *rungs;
    uint64_t rungs_left_out;
};

/* What a mode may say without contradicting the theory: it is exact but for chance, and for times
 * that are so near to the limit that the mode cannot tell on which side they are. */
struct lab_expectation {
    double first_low, first_high;
    double total_low, total_high;
};

struct lab_result_point {
    uint32_t at[LAB_AXES_MAX]; /* its value of each axis */
    uint32_t rcpt_count;
    clock_ns time_scale_ns;
    clock_ns precision_ns[LAB_RESULT_MODES_MAX]; /* model time: how exactly the mode kept times
                                                    here; 0: exactly, or not run */
    struct lab_theory theory;                    /* why_none in the result's memory */
    struct lab_expectation expected[LAB_RESULT_MODES_MAX];
    const char *not_run[LAB_RESULT_MODES_MAX]; /* why the mode cannot do it; NULL: it can */
    uint32_t run_count;
    struct lab_run *runs; /* by mode, then seed */
};

struct lab_result_mode {
    char name[LAB_WORD_BYTES_MAX];
    clock_ns precision_ns; /* model time: how exactly it kept times, at worst; 0: exactly */
    char note[400];        /* one or two sentences for the reader; "": nothing to say */
};

struct lab_result_experiment {
    const char *name, *title, *description;
    uint64_t projected; /* messages; 0: not projected */
    uint32_t axis_count;
    struct lab_axis axes[LAB_AXES_MAX];
    uint32_t fixed_count;
    struct lab_fixed *fixed;
    uint32_t point_count;
    struct lab_result_point *points;
};

struct lab_result {
    struct region memory;
    const char *version, *kernel, *cpu, *command,
        *started;            /* commands of joined ones: a line each */
    const char *path, *text; /* the experiment file */
    uint32_t mode_count;
    struct lab_result_mode modes[LAB_RESULT_MODES_MAX];
    uint32_t experiment_count;
    struct lab_result_experiment *experiments;
};

/* lab_result_free() - may be called twice. */
void lab_result_free(struct lab_result *r);

/* lab_result_about() - version, kernel, processor, command line; 0 or -ENOMEM. */
MUST_CHECK int lab_result_about(struct lab_result *r, int argc, char **argv);

/* lab_result_begin() - places for all points of an experiment of @f, without runs; 0 or -ENOMEM.
 * Texts are copied, so @f may go. */
MUST_CHECK int lab_result_begin(struct lab_result *r, const struct lab_experiment *e,
                                struct lab_result_experiment *ret_experiment);

/* lab_run_take() - the numbers of @m; 0 or -ENOMEM. */
MUST_CHECK int lab_run_take(struct lab_result *r, const struct lab_measure *m,
                            struct lab_run *ret_run);

/* lab_run_take_ladder() - what happened to message @seq; 0 or -ENOMEM. */
MUST_CHECK int lab_run_take_ladder(struct lab_result *r, const struct ladder *l, uint64_t seq,
                                   struct lab_run *run);

/*
 * lab_result_join() - the runs of @from beside those of @to
 * Return: 0; -ENOMEM; -EINVAL with @ret_text: another experiment, or the same mode and seed twice
 */
MUST_CHECK int lab_result_join(struct lab_result *to, const struct lab_result *from, char *ret_text,
                               size_t text_cap);

/* --- what is told of a point ------------------------------------------------------------------ */

/* What an interval is made of. Messages that do not come at a rate do not wait for each other, so
 * each is a sample of its own; else only seeds are. */
enum lab_method {
    LAB_METHOD_SEEDS,    /* Student's t over the seeds' means */
    LAB_METHOD_MESSAGES, /* Student's t over messages */
    LAB_METHOD_RARE,     /* interval_sum(): what is counted happens to few messages, or what is not
                            to few */
    LAB_METHOD_SHARE,    /* interval_share() of messages */
    LAB_METHOD_COUNT
};

#define LAB_ALPHA 0.05 /* intervals that are shown are of 95 % */

struct lab_estimate {
    double mean;
    bool has_interval;
    double low, high;
    enum lab_method method;
};

struct lab_summary {
    uint32_t seed_count;
    uint64_t messages;                /* of all seeds */
    struct lab_estimate copies_first; /* per message */
    struct lab_estimate copies_total; /* per message */
    struct lab_estimate lost;         /* pairs that were accepted and are not there, per message */
    struct lab_estimate tries;        /* per message */
    struct lab_estimate unsettled;    /* share of pairs that were given up or are still open */
    struct lab_estimate livelock;     /* share of messages */
    struct lab_estimate model_s;      /* until everything was settled, or the run's end */
    struct lab_estimate settled_p50_s, settled_p99_s, dot_to_first_s, dot_to_last_s;
    bool is_off_first, is_off_total, is_off_livelock; /* outside of what the theory allows */
    struct lab_interval sure_first, sure_total; /* what the true means are in but for 1 - 4 standard
                                                   errors' confidence */
};

/* lab_method_name() - "student-seeds", "student-messages", "gamma", "clopper-pearson". */
const char *lab_method_name(enum lab_method m);

/* lab_summary_make() - of @mode; false: no run in it. */
MUST_CHECK bool lab_summary_make(const struct lab_result_point *p, uint32_t mode,
                                 struct lab_summary *ret_summary);
/* lab_result_deviations() - points and modes that contradict the theory. */
uint32_t lab_result_deviations(const struct lab_result *r);

/* --- files ------------------------------------------------------------------------------------ */

void lab_result_text(const struct lab_result *r, FILE *out);
void lab_result_csv(const struct lab_result *r, FILE *out);
void lab_result_json(const struct lab_result *r, FILE *out);
/* lab_result_html() - one page that needs nothing but itself: pictures, tables, ladders. */
void lab_result_html(const struct lab_result *r, FILE *out);
/* lab_result_read() - what lab_result_json() wrote; 0, or a negative errno with @ret_text. */
MUST_CHECK int lab_result_read(const char *path, struct lab_result *ret_result, char *ret_text,
                               size_t text_cap);

#endif
