/* SPDX-License-Identifier: Apache-2.0 */
/* makereport.c - program: writes the forms of all sample reports into a folder, for tests that look
 * at them with programs of others. */
#include "samplerun.h"
#include <limits.h>

static int put_forms(const struct load_report *r, const struct load_report *other, const char *dir,
                     const char *name)
{
    char path[PATH_MAX];
    int result = 0;
    snprintf(path, sizeof(path), "%s/%s.json", dir, name);
    result |= report_json(r, path);
    snprintf(path, sizeof(path), "%s/%s.csv", dir, name);
    result |= report_csv(r, path);
    snprintf(path, sizeof(path), "%s/%s.html", dir, name);
    result |= report_html(r, path);
    snprintf(path, sizeof(path), "%s/%s-compared.html", dir, name);
    result |= report_compare(r, other, stdout, path);
    return result;
}

int main(int argc, char **argv)
{
    int result = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: makereport FOLDER\n");
        return 2;
    }
    struct load_report *other = sample_report(SAMPLE_CLOSED);
    for (uint32_t kind = 0; kind < SAMPLE_KIND_COUNT; kind++) {
        struct load_report *r = sample_report(kind);
        result |= put_forms(r, other, argv[1], sample_name(kind));
        report_free(r);
    }
    report_free(other);
    return result != 0;
}
