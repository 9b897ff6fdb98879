/* SPDX-License-Identifier: Apache-2.0 */
/* lab_show.c - owns "postern-lab show": results that were made before, alone or side by side. */
#include "base/err.h"
#include "lab/lab.h"
#include "lab/output.h"
#include <string.h>

static const char usage[] =
    "usage: postern-lab show FILE... [OPTION...]\n"
    "\n"
    "Shows results that \"postern-lab run --json FILE\" wrote. Several of the same\n"
    "experiments, run apart in other modes or with other seeds, become one.\n"
    "\n";
static const char usage_end[] =
    "\n"
    "Exit status: 0 nothing contradicts the theory; 1 something does; 2 wrong usage;\n"
    "3 a file cannot be read or written, or does not belong to the others.\n";

struct call {
    FILE *out, *err;
    struct lab_output output;
    char **files; /* into argv */
    int file_count;
};

static int call_parse(struct call *c, int argc, char **argv)
{
    int count = 0;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (strncmp(word, "--", 2) != 0) {
            argv[1 + count++] = argv[at];
            continue;
        }
        if (at + 1 < argc && lab_output_parse(&c->output, word, argv[at + 1])) {
            at++;
            continue;
        }
        fprintf(c->err, "postern-lab: show: %s needs a value, or is not understood\n", word);
        return LAB_USAGE;
    }
    if (count == 0)
        fputs("postern-lab: show: FILE is needed\n", c->err);
    c->files = argv + 1;
    c->file_count = count;
    return count > 0 ? 0 : LAB_USAGE;
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
    struct call c = {.out = out, .err = err};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, out);
            fputs(lab_output_usage, out);
            fputs(usage_end, out);
            return LAB_OK;
        }
    }
    int status = call_parse(&c, argc, argv);
    if (status == 0)
        return show(&c);
    fputs("\"postern-lab show --help\" tells more\n", err);
    return status;
}
