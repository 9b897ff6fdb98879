/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.c - owns what the verbs of posternctl share: how they fail, and how options are read. */
#include "ctl.h"
#include "base/err.h"
#include "ctl_text.h"

int ctl_failed(const struct ctl *ctl, const char *what, const char *reason)
{
    fputs("posternctl: ", ctl->err);
    ctl_put_text(ctl->err, slice_str(what), CTL_TEXT_LINE);
    fputs(": ", ctl->err);
    ctl_put_text(ctl->err, slice_str(reason), CTL_TEXT_LINE);
    fputc('\n', ctl->err);
    return EXIT_FAILED;
}

int ctl_finish(const struct ctl *ctl, int status)
{
    errno = 0;
    if (fflush(ctl->out) == 0 && !ferror(ctl->out))
        return status;
    return ctl_failed(ctl, "output", errno != 0 ? err_text(-errno) : "cannot be written");
}

static int refused(const struct ctl *ctl, const char *verb, const char *arg, const char *reason)
{
    fprintf(ctl->err, "posternctl: %s: ", verb);
    ctl_put_text(ctl->err, slice_str(arg), CTL_TEXT_LINE);
    fprintf(ctl->err, " %s\n", reason);
    return -1;
}

/* Takes the option at argv[0]. Return: arguments used, or -1. */
static int option_take(const struct ctl *ctl, const char *verb, const struct ctl_option *options,
                       size_t option_count, int argc, char **argv)
{
    const char *arg = argv[0];
    size_t name_len = strcspn(arg, "=");
    for (size_t i = 0; i < option_count; i++) {
        const struct ctl_option *o = &options[i];
        if (!slice_eq(slice_str(o->name), slice_of(arg, name_len)))
            continue;
        if (o->flag != NULL && arg[name_len] == '=')
            return refused(ctl, verb, o->name, "takes no value");
        if (o->flag != NULL) {
            *o->flag = true;
            return 1;
        }
        if (arg[name_len] == '=') {
            *o->value = arg + name_len + 1;
            return 1;
        }
        if (argc < 2)
            return refused(ctl, verb, arg, "needs a value");
        *o->value = argv[1];
        return 2;
    }
    return refused(ctl, verb, arg, "is not an option of this verb");
}

int ctl_options_parse(const struct ctl *ctl, const char *verb, const struct ctl_option *options,
                      size_t option_count, int argc, char **argv)
{
    int word_count = 0;
    bool is_over = false;
    for (int i = 0; i < argc;) {
        if (!is_over && strcmp(argv[i], "--") == 0) {
            is_over = true;
            i++;
        } else if (is_over || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[word_count++] = argv[i++];
        } else {
            int used = option_take(ctl, verb, options, option_count, argc - i, argv + i);
            if (used < 0)
                return -1;
            i += used;
        }
    }
    return word_count;
}
