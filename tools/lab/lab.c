/* SPDX-License-Identifier: Apache-2.0 */
/* lab.c - owns the command line up to the verb. */
#include "lab/lab.h"
#include "base/base.h"
#include <string.h>

static const char usage[] =
    "usage: postern-lab run FILE... [...]\n"
    "       postern-lab show FILE... [...]\n"
    "       postern-lab ledger --attempts FILE... --arrived KIND:PATH... [...]\n"
    "       postern-lab --version | --help\n"
    "\n"
    "  run     experiments: when is mail duplicated or lost, by theory and measured\n"
    "  show    results of earlier runs, alone or side by side\n"
    "  ledger  what clients learned against what arrived: lost, duplicated, ghosts\n"
    "\n"
    "\"postern-lab VERB --help\" tells more.\n";

int lab_wrong_usage(FILE *err, const char *verb, const char *why)
{
    fprintf(err, "postern-lab: %s: %s\n\"postern-lab %s --help\" tells more\n", verb, why, verb);
    return LAB_USAGE;
}

int lab_run(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv, FILE *out, FILE *err);
    } verbs[] = {{"run", lab_run_experiments}, {"show", lab_show}, {"ledger", lab_ledger}};
    const char *word = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        if (strcmp(word, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1, out, err);
    if (strcmp(word, "--version") == 0) {
        fprintf(out, "postern-lab %s\n", POSTERN_VERSION);
        return LAB_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fputs(usage, out);
        return LAB_OK;
    }
    if (word[0] != '\0')
        fprintf(err, "postern-lab: %s is not understood\n", word);
    fputs(usage, err);
    return LAB_USAGE;
}
