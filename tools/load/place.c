/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - see place.h. */
#include "load/place.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void place_kernel(char *to, size_t cap)
{
    struct utsname names;
    if (uname(&names) == 0)
        snprintf(to, cap, "%.20s %.60s %.40s", names.sysname, names.release, names.machine);
    else
        snprintf(to, cap, "unknown");
}

void place_cpu(char *to, size_t cap)
{
    char line[256];
    snprintf(to, cap, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f == NULL)
        return;
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *colon = strchr(line, ':');
        bool is_name = strncmp(line, "model name", 10) == 0 || strncmp(line, "CPU part", 8) == 0;
        if (!is_name || colon == NULL || colon[1] != ' ')
            continue;
        snprintf(to, cap, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(f);
}
