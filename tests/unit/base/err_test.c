/* SPDX-License-Identifier: Apache-2.0 */
/* err_test.c - names and texts of system errors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/err.h"
#include <limits.h>

static void test_names(void **state)
{
    (void)state;
    static const struct {
        int err;
        const char *name, *text;
    } rows[] = {
        {-ENOSPC, "ENOSPC", "No space left on device"},
        {-EIO, "EIO", "Input/output error"},
        {-ECANCELED, "ECANCELED", "Operation canceled"},
        {-99999, "E?", "unknown error"},
        {ENOSPC, "E?", "unknown error"}, /* the sign is part of the contract */
        {INT_MIN, "E?", "unknown error"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_string_equal(err_name(rows[i].err), rows[i].name);
        assert_string_equal(err_text(rows[i].err), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
