/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - owns the forms of a result and where they go. */
#include "lab/output.h"
#include "base/err.h"
#include "load/outfile.h"
#include <string.h>

static void (*const forms[])(const struct lab_result *r, FILE *out) = {
    [LAB_OUTPUT_TEXT] = lab_result_text,
    [LAB_OUTPUT_JSON] = lab_result_json,
    [LAB_OUTPUT_CSV] = lab_result_csv,
    [LAB_OUTPUT_HTML] = lab_result_html,
};
static_assert(ARRAY_COUNT(forms) == LAB_OUTPUT_FORMS, "each form has a path");

static int write_file(size_t form, const char *path, const struct lab_result *r)
{
    struct outfile o;
    int result = outfile_open(&o, path);
    if (result < 0)
        return result;
    forms[form](r, o.file);
    return outfile_end(&o);
}

int lab_output_write(const struct lab_output *o, const struct lab_result *r, FILE *out, FILE *err)
{
    bool is_out_used = o->paths[LAB_OUTPUT_TEXT] != NULL;
    int first = 0;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        const char *path = o->paths[i];
        if (path == NULL)
            continue;
        if (strcmp(path, "-") == 0) {
            forms[i](r, out);
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
