/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - owns the forms of a result and where they go. */
#include "lab/output.h"
#include "base/err.h"
#include "load/outfile.h"
#include <string.h>

static const struct {
    const char *option;
    void (*write)(const struct lab_result *r, FILE *out);
} forms[] = {
    {"--text", lab_result_text},
    {"--json", lab_result_json},
    {"--csv", lab_result_csv},
    {"--html", lab_result_html},
};
static_assert(ARRAY_COUNT(forms) <= LAB_OUTPUT_FORMS, "each form has a path");

const char lab_output_usage[] =
    "  --text FILE         tables (default: on standard output)\n"
    "  --json FILE         everything; \"postern-lab show\" reads it back\n"
    "  --csv FILE          one line a run\n"
    "  --html FILE         a page with maps, curves, tables and ladders\n"
    "                      FILE may be \"-\": standard output, and no tables there\n";

bool lab_output_parse(struct lab_output *o, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (strcmp(name, forms[i].option) != 0)
            continue;
        o->paths[i] = value;
        return true;
    }
    return false;
}

static int write_file(size_t form, const char *path, const struct lab_result *r)
{
    struct outfile o;
    int result = outfile_open(&o, path);
    if (result < 0)
        return result;
    forms[form].write(r, o.file);
    return outfile_end(&o);
}

int lab_output_write(const struct lab_output *o, const struct lab_result *r, FILE *out, FILE *err)
{
    bool is_out_used = o->paths[0] != NULL;
    int first = 0;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        const char *path = o->paths[i];
        if (path == NULL)
            continue;
        if (strcmp(path, "-") == 0) {
            forms[i].write(r, out);
            is_out_used = true;
            continue;
        }
        int result = write_file(i, path, r);
        if (result < 0)
            fprintf(err, "postern-lab: %s: %s\n", path, err_text(result));
        first = first == 0 ? result : first;
    }
    if (!is_out_used)
        lab_result_text(r, out);
    return first;
}
