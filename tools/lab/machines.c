/* SPDX-License-Identifier: Apache-2.0 */
/* machines.c - owns the moment at which the scan's kernel is chosen, and the names of dialects. */
#include "lab/machines.h"
#include "base/assert.h"
#include "scan/scan.h"
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose_scan(void)
{
    int result = scan_init("auto");
    ASSERT(result == 0);
}

void machines_begin(void)
{
    (void)pthread_once(&once, choose_scan);
}

enum dialect machines_dialect(enum lab_dialect d)
{
    static const enum dialect dialects[LAB_DIALECT_COUNT] = {
        [LAB_SMTP] = DIALECT_SMTP,
        [LAB_LMTP] = DIALECT_LMTP,
        [LAB_PRDR] = DIALECT_PRDR,
        [LAB_DEFERRALS] = DIALECT_DEFERRALS,
        [LAB_INLINE_DSN] = DIALECT_INLINE_DSN,
        [LAB_XPRDR1] = DIALECT_XPRDR1,
        [LAB_EXDATA] = DIALECT_EXDATA,
        [LAB_WRAPPED_A] = DIALECT_XRCPT250,
        [LAB_WRAPPED_B] = DIALECT_XRCPT250B,
        [LAB_ADAT] = DIALECT_ADAT,
    };
    ASSERT(d < LAB_DIALECT_COUNT);
    return dialects[d];
}
