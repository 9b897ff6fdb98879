/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - postern-lab; everything is in a library, so that tests can call it. */
#include "lab/lab.h"

int main(int argc, char **argv)
{
    int status = lab_run(argc, argv, stdout, stderr);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "postern-lab: standard output: cannot be written\n");
        return status == LAB_OK ? LAB_UNREADABLE : status;
    }
    return status;
}
