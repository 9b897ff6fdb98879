/* SPDX-License-Identifier: Apache-2.0 */
/* ctltest.c - see ctltest.h. */
#include "ctltest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct spoolmaker ctltest_spool;

int ctltest_setup(void **state)
{
    (void)state;
    spoolmaker_init(&ctltest_spool);
    return 0;
}

int ctltest_teardown(void **state)
{
    (void)state;
    spoolmaker_deinit(&ctltest_spool);
    return 0;
}

uint64_t ctltest_add(struct slice content, size_t piece_bytes)
{
    const struct spool_rcpt rcpt = spoolmaker_rcpt("r@example.org", SPOOL_RCPT_ACTIVE);
    return spoolmaker_add(&ctltest_spool, spoolmaker_envelope(&rcpt, 1), content, piece_bytes);
}

const char *ctltest_id(uint64_t queue_id)
{
    static char texts[8][QUEUE_ID_CHARS + 1];
    static unsigned next;
    char *text = texts[next++ % ARRAY_COUNT(texts)];
    queue_id_format(queue_id, text);
    return text;
}

int ctltest_run(const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    return spoolmaker_ctl(&ctltest_spool, line);
}

void ctltest_assert_said(const char *said, const char *fmt, ...)
{
    static char want[65536];
    va_list args;
    va_start(args, fmt);
    vsnprintf(want, sizeof(want), fmt, args);
    va_end(args);
    assert_string_equal(said, want);
}
