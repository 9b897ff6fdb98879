/* SPDX-License-Identifier: Apache-2.0 */
/* probe_test.c - what is said agrees with what is found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/err.h"
#include "io/probe.h"
#include "io/ring.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct probe found;

static void test_run(void **state)
{
    (void)state;
    struct utsname name;
    assert_int_equal(uname(&name), 0);
    assert_string_equal(found.kernel, name.release);
    assert_int_equal(found.result, 0);
    assert_true(found.op_count > 30);
    for (uint32_t i = 0; i < PROBE_FEATURE_COUNT; i++)
        assert_in_range(found.features[i], PROBE_ABSENT, PROBE_UNTRIED);
    /* Every kernel of ours has them, and they are never "wrong". */
    assert_int_equal(found.features[PROBE_SINGLE_ISSUER], PROBE_OFFERED);
    assert_int_equal(found.features[PROBE_DEFER_TASKRUN], PROBE_OFFERED);
    assert_int_equal(found.features[PROBE_MESSAGE], PROBE_OFFERED);
    if (found.features[PROBE_ACCEPT_MULTISHOT] != PROBE_UNTRIED) {
        assert_int_equal(found.features[PROBE_ACCEPT_MULTISHOT], PROBE_OFFERED);
        assert_int_equal(found.features[PROBE_RECV_MULTISHOT], PROBE_OFFERED);
    }
}

/* The trial answers the same each time, and leaves no descriptor behind. */
static void test_incremental(void **state)
{
    (void)state;
    int before = dup(STDOUT_FILENO);
    for (int i = 0; i < 20; i++)
        assert_int_equal(probe_incremental_is_right(),
                         found.features[PROBE_BUFFERS_INCREMENTAL] == PROBE_OFFERED);
    struct probe again;
    assert_int_equal(probe_run(&again), 0);
    assert_memory_equal(again.features, found.features, sizeof(found.features));
    int after = dup(STDOUT_FILENO);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
}

/* A ring that shards would use is taken where the probe says so. */
static void test_ring_takes_it(void **state)
{
    (void)state;
    struct ring *ring = NULL;
    struct ring_options options = {.sq_entries = 8,
                                   .cq_entries = 16,
                                   .file_count = 8,
                                   .buffer_count = 16,
                                   .buffer_bytes = 4096};
    assert_int_equal(ring_new(&options, &ring), 0);
    ring_free(ring);
    options.incremental = true;
    if (found.features[PROBE_BUFFERS_INCREMENTAL] == PROBE_OFFERED) {
        assert_int_equal(ring_new(&options, &ring), 0);
        ring_free(ring);
    } else if (found.features[PROBE_BUFFERS_INCREMENTAL] == PROBE_ABSENT) {
        assert_int_equal(ring_new(&options, &ring), -EINVAL);
    }
}

static void test_print(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0, lines = 0, offered = 0, used_only = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    probe_print(out);
    fclose(out);
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        lines++;
        offered += strstr(line, "offered: yes") != NULL;
        used_only += strstr(line, "offered: yes") == NULL && strstr(line, "used: yes") != NULL;
        assert_true(line[strlen(line) - 1] != ' '); /* there is a reason */
    }
    size_t want = 0;
    for (uint32_t i = 0; i < PROBE_FEATURE_COUNT; i++)
        want += found.features[i] == PROBE_OFFERED || found.features[i] == PROBE_WRONG;
    assert_int_equal(offered, want);
    assert_int_equal(used_only, 0);
    assert_int_equal(lines, PROBE_FEATURE_COUNT + 2 + (found.register_count > 0));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_incremental),
        cmocka_unit_test(test_ring_takes_it),
        cmocka_unit_test(test_print),
    };
    int result = probe_run(&found);
    if (result < 0) {
        print_message("io_uring is not available here: %s\n", err_text(result));
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
