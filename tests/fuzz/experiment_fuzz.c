/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment_fuzz.c - experiment files. Oracle: an error has words, and a line of the text unless
 * something is missing from the whole; of a file that is taken every point can be made, the same
 * each time, and theory says something about it that is possible. Printed and parsed again it is
 * the same, and prints the same.
 *
 * Files of distributions are left out: they could name a device.
 */
#include "base/assert.h"
#include "base/err.h"
#include "lab/experiment.h"
#include "lab/theory.h"
#include <math.h>
#include <stdlib.h>

#define NAME "x.conf"
#define POINTS_LOOKED_AT 20
#define TRIES_TIMES_RCPTS_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_file(struct slice text)
{
    for (size_t i = 0; i + 5 <= text.len; i++)
        if (slice_has_prefix_nocase(slice_from(text, i), SLICE_LIT("file:")))
            return true;
    return false;
}

static void check_error(struct slice text, const struct lab_file_error *error)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    ASSERT(strncmp(error->text, NAME ":", strlen(NAME) + 1) == 0);
    ASSERT(strlen(error->text) > strlen(NAME) + 2);
    ASSERT(error->line <= lines);
}

static void check_point(const struct lab_experiment *e, uint32_t idx)
{
    struct lab_point p, again;
    struct lab_theory t;
    ASSERT(lab_point_make(e, idx, &p) == 0);
    ASSERT(lab_point_make(e, idx, &again) == 0);
    ASSERT(memcmp(&p, &again, sizeof(p)) == 0);
    if ((uint64_t)p.client.tries_max * p.rcpt_count <= TRIES_TIMES_RCPTS_MAX) {
        lab_theory(&p, &t);
        ASSERT((t.why_none == NULL) == (t.rule[0] != '\0'));
        ASSERT(t.copies_first >= 0 && t.copies_first <= p.rcpt_count);
        ASSERT(t.copies_total >= 0);
        ASSERT(t.copies_total <= (double)p.rcpt_count * p.client.tries_max);
        ASSERT(isfinite(t.copies_first_sd) && isfinite(t.copies_total_sd));
    }
    lab_point_deinit(&p);
    lab_point_deinit(&again);
}

static char *print(const struct lab_experiment *e, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);
    ASSERT(out != NULL);
    lab_experiment_print(e, out);
    ASSERT(fclose(out) == 0);
    return text;
}

static void check_axes(const struct lab_experiment *a, const struct lab_experiment *b)
{
    ASSERT(a->axis_count == b->axis_count && a->point_count == b->point_count);
    for (uint32_t i = 0; i < a->axis_count; i++) {
        const struct lab_axis *x = &a->axes[i], *y = &b->axes[i];
        ASSERT(strcmp(x->name, y->name) == 0 && x->count == y->count);
        for (uint32_t k = 0; k < x->count; k++)
            ASSERT(strcmp(x->values[k].text, y->values[k].text) == 0);
    }
}

static void check_printed(const struct lab_experiment *e)
{
    struct lab_file f;
    struct lab_file_error error;
    size_t len = 0, len_again = 0;
    char *text = print(e, &len);
    int result = lab_file_parse(slice_of(text, len), NAME, &f, &error);
    ASSERT(result == 0);
    ASSERT(f.count == 1);
    const struct lab_experiment *other = &f.experiments[0];
    check_axes(e, other);
    ASSERT(strcmp(e->title, other->title) == 0 && strcmp(e->description, other->description) == 0);
    ASSERT(e->seed_count == other->seed_count && e->mode_count == other->mode_count);
    ASSERT(memcmp(e->seeds, other->seeds, e->seed_count * sizeof(*e->seeds)) == 0);
    ASSERT(e->projected == other->projected);
    for (uint32_t i = 0; i < e->point_count && i < POINTS_LOOKED_AT; i++) {
        struct lab_point p, q;
        ASSERT(lab_point_make(e, e->point_count - 1 - i, &p) == 0);
        ASSERT(lab_point_make(other, e->point_count - 1 - i, &q) == 0);
        ASSERT(memcmp(&p, &q, sizeof(p)) == 0);
        lab_point_deinit(&p);
        lab_point_deinit(&q);
    }
    char *again = print(other, &len_again);
    ASSERT(len == len_again && memcmp(text, again, len) == 0);
    free(text);
    free(again);
    lab_file_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_file f;
    struct lab_file_error error;
    struct slice text = slice_of(data, size);
    if (has_file(text))
        return 0;
    int result = lab_file_parse(text, NAME, &f, &error);
    ASSERT(result == 0 || result == -EINVAL);
    if (result < 0) {
        check_error(text, &error);
        return 0;
    }
    ASSERT(f.count > 0 && f.count <= LAB_EXPERIMENTS_MAX);
    for (uint32_t i = 0; i < f.count; i++) {
        const struct lab_experiment *e = &f.experiments[i];
        ASSERT(e->seed_count > 0 && e->point_count > 0 && e->point_count <= LAB_POINTS_MAX);
        for (uint32_t k = 0; k < e->point_count && k < POINTS_LOOKED_AT; k++)
            check_point(e, e->point_count - 1 - k);
        check_printed(e);
    }
    lab_file_free(&f);
    return 0;
}
