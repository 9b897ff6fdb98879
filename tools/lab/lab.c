/* SPDX-License-Identifier: Apache-2.0 */
/* lab.c - owns the command line up to the verb. */
#include "lab/lab.h"
#include <string.h>

static const char usage[] =
    "usage: postern-lab ledger --attempts FILE... --arrived KIND:PATH... [...]\n"
    "       postern-lab --version | --help\n"
    "\n"
    "  ledger  what clients learned against what arrived: lost, duplicated, ghosts\n"
    "\n"
    "\"postern-lab ledger --help\" tells more.\n";

int lab_run(int argc, char **argv, FILE *out, FILE *err)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "ledger") == 0)
        return lab_ledger(argc - 1, argv + 1, out, err);
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
