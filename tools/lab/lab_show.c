/* SPDX-License-Identifier: Apache-2.0 */
/* lab_show.c - owns "postern-lab show": results that were made before, alone or side by side. */
#include "base/err.h"
#include "lab/lab.h"
#include "lab/output.h"
#include <stdlib.h>

struct call {
    FILE *out, *err;
    struct lab_output output;
    const char **files;
    int file_count;
};

static const struct cli_row rows[] = {LAB_OUTPUT_ROWS(struct call, output)};

static void print_help(FILE *out)
{
    fputs("usage: postern-lab show FILE... [OPTION...]\n"
          "\n"
          "Shows results that \"postern-lab run --json FILE\" wrote. Several of the same\n"
          "experiments, run apart in other modes or with other seeds, become one.\n"
          "\n",
          out);
    cli_print_rows(out, rows, ARRAY_COUNT(rows), LAB_HELP_WIDTH);
    fputs("\n"
          "Exit status: 0 nothing contradicts the theory; 1 something does; 2 wrong usage;\n"
          "3 a file cannot be read or written, or does not belong to the others.\n",
          out);
}

static bool take(struct cli *c, const char *value)
{
    struct call *call = c->options;
    if (c->row != NULL)
        return c->row->set(c, value);
    call->files[call->file_count++] = value;
    return true;
}

static int read_one(const struct call *c, const char *path, struct lab_result *to, bool is_first)
{
    char reason[300] = "";
    struct lab_result other = {.version = NULL};
    int result = lab_result_read(path, is_first ? to : &other, reason, sizeof(reason));
    if (result == 0 && !is_first)
        result = lab_result_join(to, &other, reason, sizeof(reason));
    if (result < 0)
        fprintf(c->err, "postern-lab: %s: %s\n", path,
                reason[0] != '\0' ? reason : err_text(result));
    lab_result_free(&other);
    return result;
}

static int show(const struct call *c)
{
    struct lab_result result = {.version = NULL};
    int status = LAB_OK;
    for (int i = 0; i < c->file_count && status == LAB_OK; i++)
        if (read_one(c, c->files[i], &result, i == 0) < 0)
            status = LAB_UNREADABLE;
    if (status == LAB_OK && lab_output_write(&c->output, &result, c->out, c->err) < 0)
        status = LAB_UNREADABLE;
    if (status == LAB_OK && lab_result_deviations(&result) > 0)
        status = LAB_WRONG;
    lab_result_free(&result);
    return status;
}

int lab_show(int argc, char **argv, FILE *out, FILE *err)
{
    char why[LAB_WHY_BYTES_MAX];
    struct call call = {.out = out, .err = err};
    struct cli c = {.options = &call, .text = why, .text_cap = sizeof(why)};
    if (cli_asked(argc, argv) == CLI_HELP) {
        print_help(out);
        return LAB_OK;
    }
    call.files = calloc((size_t)argc, sizeof(*call.files));
    if (call.files == NULL)
        return LAB_UNREADABLE;
    bool is_good = cli_read(&c, rows, ARRAY_COUNT(rows), argc, argv, take) &&
                   (call.file_count > 0 || cli_wrong(&c, "FILE is needed"));
    int status = is_good ? show(&call) : lab_wrong_usage(err, "show", why);
    free(call.files);
    return status;
}
