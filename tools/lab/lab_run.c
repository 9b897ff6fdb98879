/* SPDX-License-Identifier: Apache-2.0 */
/* lab_run.c - owns "postern-lab run": its options, its order of work, its exit status. */
#include "base/err.h"
#include "lab/lab.h"
#include "lab/output.h"
#include "lab/runner.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONLY_MAX LAB_EXPERIMENTS_MAX
#define JOBS_MAX 64
#define MESSAGES_MAX 1000000000
#define WHERE_MAX 64

struct call {
    FILE *out, *err;
    int argc;
    char **argv;
    struct lab_output output;
    const char *files[LAB_EXPERIMENTS_MAX];
    uint32_t file_count;
    const char *only[ONLY_MAX];
    uint32_t only_count;
    const char *where[WHERE_MAX]; /* "server.dialect=lmtp" */
    uint32_t where_count;
    const char *mode_list, *ledger_dir, *bin_dir;
    bool has_ladder;
    uint64_t ladder_seq;
    uint64_t seed, messages;
    uint32_t jobs;
    const char *messages_text; /* NULL: what the file says */
    bool tolerates, checks, prints, prints_settings;
};

/* --- options ------------------------------------------------------------------------------- */

static struct call *of(const struct cli *c)
{
    return c->options;
}

static bool set_only(struct cli *c, const char *value)
{
    struct call *call = of(c);
    if (call->only_count == ONLY_MAX)
        return cli_expected(c, value, "at most 64 of them");
    call->only[call->only_count++] = value;
    return true;
}

static bool set_where(struct cli *c, const char *value)
{
    struct call *call = of(c);
    if (call->where_count == WHERE_MAX || strchr(value, '=') == NULL)
        return cli_expected(c, value, "NAME=VALUE, at most 64 of them");
    call->where[call->where_count++] = value;
    return true;
}

static bool set_seed(struct cli *c, const char *value)
{
    return cli_number(c, value, 1, INT64_MAX - LAB_SEEDS_MAX, &of(c)->seed);
}

static bool set_messages(struct cli *c, const char *value)
{
    of(c)->messages_text = value;
    return cli_number(c, value, 1, MESSAGES_MAX, &of(c)->messages);
}

static bool set_jobs(struct cli *c, const char *value)
{
    return cli_u32(c, value, 1, JOBS_MAX, &of(c)->jobs);
}

static bool set_ladder(struct cli *c, const char *value)
{
    of(c)->has_ladder = true;
    return cli_number(c, value, 0, MESSAGES_MAX, &of(c)->ladder_seq);
}

static const struct cli_row rows[] = {
    {"mode", "LIST", NULL,
     "how (default: what the file says, else the first one):", CLI_TEXT(struct call, mode_list)},
    {"only", "NAME", NULL, "this experiment; repeatable", set_only, 0},
    {"where", "NAME=VALUE", NULL, "only points with this value of a list; repeatable", set_where,
     0},
    {"seed", "N", NULL, "the first seed; others follow (default: the file's)", set_seed, 0},
    {"messages", "N", NULL, "of each run (default: the file's)", set_messages, 0},
    {"jobs", "N", NULL, "runs at a time, where the mode allows it (one a core)", set_jobs, 0},
    {"ladder", "SEQ", NULL, "tell what happened to this message (from 0), first seed", set_ladder,
     0},
    {"bin", "DIR", NULL,
     "where the programs of live runs are\n"
     "(default: where postern-lab is)",
     CLI_TEXT(struct call, bin_dir)},
    {"ledger", "DIR", NULL, "attempts and arrivals of each run, for postern-lab ledger",
     CLI_TEXT(struct call, ledger_dir)},
    {"tolerate", NULL, NULL, "what contradicts the theory is no failure",
     CLI_FLAG(struct call, tolerates)},
    {"check", NULL, NULL, "read the files, say how many points there are, run nothing",
     CLI_FLAG(struct call, checks)},
    {"print", NULL, NULL, "print the experiments in one form, run nothing",
     CLI_FLAG(struct call, prints)},
    {"settings", NULL, NULL, "print what may stand in a file",
     CLI_FLAG(struct call, prints_settings)},
    LAB_OUTPUT_ROWS(struct call, output),
};

static void print_help(FILE *out)
{
    fputs("usage: postern-lab run FILE... [OPTION...]\n"
          "\n"
          "Runs the experiments of files (postern-lab-experiment(5)): under which dialect,\n"
          "pacing and client is mail duplicated or lost, by theory and by measurement.\n"
          "\n",
          out);
    cli_print_rows(out, rows, 1, LAB_HELP_WIDTH);
    fputs("                      ", out);
    lab_modes_print(out);
    fputc('\n', out);
    cli_print_rows(out, rows + 1, ARRAY_COUNT(rows) - 1, LAB_HELP_WIDTH);
    fputs("\n"
          "Exit status: 0 nothing contradicts the theory; 1 something does; 2 wrong usage,\n"
          "or an error in an experiment; 3 a run or an output failed.\n",
          out);
}

static bool take(struct cli *c, const char *value)
{
    struct call *call = of(c);
    if (c->row != NULL)
        return c->row->set(c, value);
    if (call->file_count == ARRAY_COUNT(call->files))
        return cli_wrong(c, "%s is one file too many", value);
    call->files[call->file_count++] = value;
    return true;
}

/* --- experiments ---------------------------------------------------------------------------- */

static int wrong(const struct call *c, const char *what, const char *why)
{
    fprintf(c->err, "postern-lab: run: %s %s\n", what, why);
    return LAB_USAGE;
}

static bool is_wanted(const struct call *c, const char *name)
{
    for (uint32_t i = 0; i < c->only_count; i++)
        if (strcmp(c->only[i], name) == 0)
            return true;
    return c->only_count == 0;
}

/* --- modes --------------------------------------------------------------------------------- */

/* The bit of the mode @name, which the result and the runner know from now on. */
static int mode_bit(struct lab_runner *r, const char *name, uint32_t *ret_bits)
{
    const struct lab_mode *mode = lab_mode_find(name);
    struct lab_result *to = r->result;
    if (mode == NULL)
        return -ENOENT;
    for (uint32_t m = 0; m < to->mode_count; m++) {
        if (r->modes[m] != mode)
            continue;
        *ret_bits |= 1u << m;
        return 0;
    }
    ASSERT(to->mode_count < LAB_RESULT_MODES_MAX);
    struct lab_result_mode *m = &to->modes[to->mode_count];
    snprintf(m->name, sizeof(m->name), "%s", mode->name);
    snprintf(m->note, sizeof(m->note), "%s", mode->note);
    r->modes[to->mode_count] = mode;
    *ret_bits |= 1u << to->mode_count++;
    return 0;
}

static int modes_from_option(const struct call *c, struct lab_runner *r, uint32_t *ret_bits)
{
    const char *at = c->mode_list;
    while (*at != '\0') {
        char name[LAB_WORD_BYTES_MAX];
        size_t len = strcspn(at, ",");
        snprintf(name, sizeof(name), "%.*s", (int)len, at);
        if (mode_bit(r, name, ret_bits) < 0) {
            fprintf(c->err, "postern-lab: run: --mode %s is not one of ", name);
            lab_modes_print(c->err);
            fputc('\n', c->err);
            return LAB_USAGE;
        }
        at += len;
        at += *at == ',';
    }
    return *ret_bits != 0 ? 0 : wrong(c, "--mode", "needs a mode");
}

/* The file's words are modes. */
static int modes_check(const struct call *c, const struct lab_file *f)
{
    for (uint32_t k = 0; k < f->count; k++) {
        const struct lab_experiment *e = &f->experiments[k];
        for (uint32_t i = 0; i < e->mode_count; i++) {
            if (lab_mode_find(e->modes[i]) != NULL)
                continue;
            fprintf(c->err, "%s:%u: modes: '%s' is not one of ", f->path, e->modes_line,
                    e->modes[i]);
            lab_modes_print(c->err);
            fputc('\n', c->err);
            return LAB_USAGE;
        }
    }
    return 0;
}

static int modes_of(const struct call *c, struct lab_runner *r, const struct lab_experiment *e,
                    uint32_t *ret_bits)
{
    *ret_bits = 0;
    if (c->mode_list != NULL)
        return modes_from_option(c, r, ret_bits);
    for (uint32_t i = 0; i < e->mode_count; i++)
        if (mode_bit(r, e->modes[i], ret_bits) < 0)
            return LAB_USAGE; /* modes_check() has seen it */
    if (e->mode_count == 0 && mode_bit(r, lab_modes[0].name, ret_bits) < 0)
        return LAB_USAGE;
    return 0;
}

/* --- work ---------------------------------------------------------------------------------- */

static int files_read(const struct call *c, struct lab_file *files, uint32_t *ret_experiments)
{
    struct lab_file_error error;
    uint32_t found = 0;
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (lab_file_read(c->files[i], &files[i], &error) < 0) {
            fprintf(c->err, "%s\n", error.text);
            return LAB_USAGE;
        }
        int status = modes_check(c, &files[i]);
        if (status != 0)
            return status;
        for (uint32_t k = 0; k < files[i].count; k++) {
            found += is_wanted(c, files[i].experiments[k].name);
            if (c->messages_text != NULL)
                lab_experiment_messages(&files[i].experiments[k], c->messages_text);
        }
    }
    if (found == 0)
        return wrong(c, "--only", "names no experiment of these files");
    *ret_experiments = found;
    return 0;
}

/* --where: an axis keeps the values that are named, if any of them is. */
static int where_apply(const struct call *c, struct lab_experiment *e, bool *is_used)
{
    for (uint32_t a = 0; a < e->axis_count; a++) {
        struct lab_axis *axis = &e->axes[a];
        bool wanted[LAB_AXIS_VALUES_MAX] = {false}, is_named = false, has_any = false;
        size_t len = strlen(axis->name);
        for (uint32_t w = 0; w < c->where_count; w++) {
            if (strncmp(c->where[w], axis->name, len) != 0 || c->where[w][len] != '=')
                continue;
            is_named = true;
            for (uint32_t i = 0; i < axis->count; i++) {
                bool is_it = strcmp(axis->values[i].text, c->where[w] + len + 1) == 0;
                wanted[i] |= is_it;
                is_used[w] |= is_it;
                has_any |= is_it;
            }
        }
        if (is_named && !has_any) {
            fprintf(c->err, "postern-lab: run: --where: no such value of %s in %s\n", axis->name,
                    e->name);
            return LAB_USAGE;
        }
        if (is_named)
            lab_experiment_only(e, a, wanted);
    }
    return 0;
}

static int where_apply_all(const struct call *c, struct lab_file *files)
{
    bool is_used[WHERE_MAX] = {false};
    for (uint32_t i = 0; i < c->file_count; i++) {
        for (uint32_t k = 0; k < files[i].count; k++) {
            if (!is_wanted(c, files[i].experiments[k].name))
                continue;
            int status = where_apply(c, &files[i].experiments[k], is_used);
            if (status != 0)
                return status;
        }
    }
    for (uint32_t w = 0; w < c->where_count; w++)
        if (!is_used[w])
            return wrong(c, c->where[w], "names no list of these experiments");
    return 0;
}

/* The names of experiments are those of ledgers and results, so they are unique over all files. */
static int names_check(const struct call *c, const struct lab_file *files)
{
    for (uint32_t i = 0; i < c->file_count; i++)
        for (uint32_t k = 0; k < files[i].count; k++)
            for (uint32_t j = 0; j < i; j++)
                for (uint32_t m = 0; m < files[j].count; m++)
                    if (strcmp(files[i].experiments[k].name, files[j].experiments[m].name) == 0)
                        return wrong(c, files[i].experiments[k].name, "stands in two files");
    return 0;
}

static void check_print(const struct call *c, const struct lab_file *files)
{
    for (uint32_t i = 0; i < c->file_count; i++) {
        for (uint32_t k = 0; k < files[i].count; k++) {
            const struct lab_experiment *e = &files[i].experiments[k];
            if (is_wanted(c, e->name))
                fprintf(c->out, "%s: %u point%s, %u seed%s\n", e->name, e->point_count,
                        e->point_count == 1 ? "" : "s", e->seed_count,
                        e->seed_count == 1 ? "" : "s");
        }
    }
}

static void experiments_print(const struct call *c, const struct lab_file *files)
{
    for (uint32_t i = 0; i < c->file_count; i++)
        for (uint32_t k = 0; k < files[i].count; k++)
            if (is_wanted(c, files[i].experiments[k].name))
                lab_experiment_print(&files[i].experiments[k], c->out);
}

static int texts_join(const struct call *c, const struct lab_file *files, struct lab_result *r)
{
    size_t paths_len = 1, texts_len = 1;
    for (uint32_t i = 0; i < c->file_count; i++) {
        paths_len += strlen(files[i].path) + 1;
        texts_len += strlen(files[i].text) + 1;
    }
    char *paths = region_take(&r->memory, paths_len), *texts = region_take(&r->memory, texts_len);
    if (paths == NULL || texts == NULL)
        return -ENOMEM;
    struct buf path = buf_over(paths, paths_len - 1), text = buf_over(texts, texts_len - 1);
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (i > 0)
            buf_put_byte(&path, ' ');
        buf_put(&path, slice_str(files[i].path));
        buf_put(&text, slice_str(files[i].text));
    }
    r->path = paths;
    r->text = texts;
    return 0;
}

/* A message that no experiment has is a slip. */
static int ladder_check(const struct call *c, const struct lab_file *files)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < c->file_count; i++) {
        for (uint32_t k = 0; k < files[i].count; k++) {
            const struct lab_experiment *e = &files[i].experiments[k];
            for (uint32_t point = 0; point < e->point_count; point++) {
                struct lab_point p;
                if (!is_wanted(c, e->name) || lab_point_make(e, point, &p) < 0)
                    continue;
                most = u64_max(most, c->messages > 0 ? c->messages : p.message_count);
                lab_point_deinit(&p);
            }
        }
    }
    if (most == 0 || c->ladder_seq < most)
        return 0;
    fprintf(c->err, "postern-lab: run: --ladder %llu: the last message is %llu\n",
            (unsigned long long)c->ladder_seq, (unsigned long long)most - 1);
    return LAB_USAGE;
}

/* First all modes are looked up, so that a word that is none ends it before anything has run. */
static int experiments_run(const struct call *c, const struct lab_file *files, struct lab_runner *r)
{
    for (int is_run = 0; is_run < 2; is_run++) {
        for (uint32_t i = 0; i < c->file_count; i++) {
            for (uint32_t k = 0; k < files[i].count; k++) {
                const struct lab_experiment *e = &files[i].experiments[k];
                uint32_t bits;
                if (!is_wanted(c, e->name))
                    continue;
                int status = modes_of(c, r, e, &bits);
                if (status != 0)
                    return status;
                if (is_run == 0)
                    continue;
                struct lab_result *to = r->result;
                if (lab_runner_run(r, e, bits, &to->experiments[to->experiment_count]) < 0) {
                    fprintf(c->err, "postern-lab: run: %s\n", r->reason);
                    return LAB_UNREADABLE;
                }
                to->experiment_count++;
            }
        }
    }
    return 0;
}

static int run(const struct call *c, const struct lab_file *files, uint32_t count)
{
    struct lab_result result = {.version = NULL};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct lab_runner r = {
        .result = &result,
        .jobs = c->jobs > 0 ? c->jobs : (uint32_t)(cores > 0 ? cores : 1),
        .ledger_dir = c->ledger_dir,
        .bin_dir = c->bin_dir,
        .err = c->err,
        .seed = c->seed,
        .messages = c->messages,
        .has_ladder = c->has_ladder,
        .ladder_seq = c->ladder_seq,
        .progress = c->err == stderr && isatty(STDERR_FILENO) ? stderr : NULL,
    };
    int status = LAB_UNREADABLE;
    result.experiments = region_take(&result.memory, count * sizeof(*result.experiments));
    if (result.experiments == NULL || lab_result_about(&result, c->argc, c->argv) < 0 ||
        texts_join(c, files, &result) < 0) {
        fputs("postern-lab: run: out of memory\n", c->err);
    } else if (c->ledger_dir != NULL && mkdir(c->ledger_dir, 0777) < 0 && errno != EEXIST) {
        fprintf(c->err, "postern-lab: %s: %s\n", c->ledger_dir, err_text(-errno));
    } else {
        status = experiments_run(c, files, &r);
        if (status == 0 && lab_output_write(&c->output, &result, c->out, c->err) < 0)
            status = LAB_UNREADABLE;
        if (status == 0 && !c->tolerates && lab_result_deviations(&result) > 0)
            status = LAB_WRONG;
    }
    lab_result_free(&result);
    return status;
}

static int files_run(const struct call *c)
{
    struct lab_file files[LAB_EXPERIMENTS_MAX] = {{.path = NULL}};
    uint32_t count = 0;
    int status = files_read(c, files, &count);
    if (status == 0)
        status = names_check(c, files);
    if (status == 0)
        status = where_apply_all(c, files);
    if (status == 0 && c->has_ladder)
        status = ladder_check(c, files);
    if (status == 0 && c->prints)
        experiments_print(c, files);
    if (status == 0 && c->checks)
        check_print(c, files);
    else if (status == 0 && !c->prints)
        status = run(c, files, count);
    for (uint32_t i = 0; i < c->file_count; i++)
        lab_file_free(&files[i]);
    return status;
}

int lab_run_experiments(int argc, char **argv, FILE *out, FILE *err)
{
    char why[LAB_WHY_BYTES_MAX];
    struct call call = {.out = out, .err = err, .argc = argc, .argv = argv};
    struct cli c = {.options = &call, .text = why, .text_cap = sizeof(why)};
    if (cli_asked(argc, argv) == CLI_HELP) {
        print_help(out);
        return LAB_OK;
    }
    if (!cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, take))
        return lab_wrong_usage(err, "run", why);
    if (call.prints_settings) {
        lab_settings_print(out);
        return LAB_OK;
    }
    return call.file_count > 0 ? files_run(&call) : lab_wrong_usage(err, "run", "FILE is needed");
}
