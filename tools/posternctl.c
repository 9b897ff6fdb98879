/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl.c - owns the command line of the operator's tool: the first word says whose it is. */
#include "ctl.h"
#include "ctl_map.h"
#include "ctl_spool.h"
#include <string.h>

static const char usage[] =
    "usage: posternctl spool VERB --spool DIR [...]\n"
    "       posternctl map VERB [...]\n"
    "       posternctl --version | --help\n"
    "\n"
    "  spool   list, show, verify, export, delete or requeue stored messages\n"
    "  map     build, query or dump recipient maps (LMDB)\n"
    "\n"
    "Exit status: 0; 1 when something failed, was not found or is damaged; 2 for\n"
    "wrong usage. \"posternctl spool --help\" and \"posternctl map --help\" tell more.\n";

int main(int argc, char **argv)
{
    const struct ctl ctl = {stdout, stderr};
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "spool") == 0)
        return ctl_spool_main(argc - 1, argv + 1);
    if (strcmp(word, "map") == 0)
        return ctl_map_main(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0) {
        printf("posternctl %s\n", POSTERN_VERSION);
        return ctl_finish(&ctl, EXIT_OK);
    }
    bool is_help =
        strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (word[0] != '\0' && !is_help)
        ctl_failed(&ctl, word, "is not understood");
    fputs(usage, is_help ? stdout : stderr);
    return is_help ? ctl_finish(&ctl, EXIT_OK) : EXIT_USAGE;
}
