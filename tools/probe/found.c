/* SPDX-License-Identifier: Apache-2.0 */
/* found.c - cuts the reply to EHLO into a domain and keywords with their parameters. */
#include "probe/found.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void found_parse(struct found *f, struct slice reply)
{
    size_t len = size_min(reply.len, sizeof(f->text) - 1);
    memcpy(f->text, reply.ptr, len);
    f->text[len] = '\0';
    f->count = 0;
    f->is_cut = len < reply.len;
    f->domain = f->text + len;
    bool is_first = true;
    for (char *line = f->text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *text = strlen(line) > 4 ? line + 4 : line + strlen(line);
        /* A blank where the name should begin stays in it, for CORE-2 to see. */
        char *params = *text != '\0' ? text + 1 + strcspn(text + 1, " ") : text;
        if (is_first) {
            f->domain = text;
        } else if (f->count == FOUND_KEYWORDS_MAX) {
            f->is_cut = true;
        } else if (*text != '\0') {
            if (*params == ' ')
                *params++ = '\0';
            f->at[f->count++] = (struct found_keyword){text, params};
        }
        is_first = false;
        line = next;
    }
}

const struct found_keyword *found_get(const struct found *f, const char *name)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (strcasecmp(f->at[i].name, name) == 0)
            return &f->at[i];
    return NULL;
}

/* One of "EXDATA|XEXDATA". */
static bool has_any(const struct found *f, const char *names, size_t len)
{
    for (size_t at = 0; at < len;) {
        char name[64];
        size_t word = strcspn(names + at, "| ");
        snprintf(name, sizeof(name), "%.*s", (int)word, names + at);
        if (found_get(f, name) != NULL)
            return true;
        at += word + 1;
    }
    return false;
}

bool found_has_all(const struct found *f, const char *names, char *ret_missing, size_t cap)
{
    while (*names != '\0') {
        size_t len = strcspn(names, " ");
        snprintf(ret_missing, cap, "%.*s", (int)len, names);
        if (!has_any(f, names, len))
            return false;
        names += len + strspn(names + len, " ");
    }
    return true;
}

uint64_t found_size(const struct found *f)
{
    char *end;
    const struct found_keyword *size = found_get(f, "SIZE");
    if (size == NULL || *size->params < '0' || *size->params > '9')
        return 0;
    errno = 0;
    unsigned long long value = strtoull(size->params, &end, 10);
    return errno == 0 && *end == '\0' ? value : 0;
}
