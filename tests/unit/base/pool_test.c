/* SPDX-License-Identifier: Apache-2.0 */
/* pool_test.c - taking and giving, the limit, growth in slabs, and misuse that must end the
 * process. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/pool.h"
#include "base/rng.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct object {
    uint64_t words[25]; /* 200 bytes: 256 apart */
};

static void test_take_to_the_limit(void **state)
{
    (void)state;
    static const struct {
        size_t bytes, distance;
        uint32_t limit;
    } rows[] = {{1, 16, 1},       {16, 16, 5000},    {17, 32, 3},
                {64, 64, 2000},   {200, 256, 1000},  {4096, 4096, 7},
                {5000, 5056, 40}, {16384, 16384, 9}, {100000, 100032, 5}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct pool p;
        assert_int_equal(pool_init(&p, rows[i].bytes, rows[i].limit), 0);
        uint8_t *last = NULL;
        for (uint32_t n = 0; n < rows[i].limit; n++) {
            uint8_t *object = pool_take(&p);
            assert_non_null(object);
            assert_int_equal((uintptr_t)object % (rows[i].bytes >= 64 ? 64 : 16), 0);
            assert_int_equal(pool_index(&p, object), n);
            assert_ptr_equal(pool_at(&p, n), object);
            assert_true(pool_is_taken(&p, n));
            if (last != NULL)
                assert_int_equal(object - last, rows[i].distance);
            memset(object, (int)n, rows[i].bytes); /* all of it is there */
            last = object;
        }
        assert_null(pool_take(&p));
        assert_int_equal(pool_used_count(&p), rows[i].limit);
        assert_int_equal(pool_used_count_max(&p), rows[i].limit);
        pool_give(&p, last);
        assert_ptr_equal(pool_take(&p), last);
        assert_null(pool_take(&p));
        pool_deinit(&p);
        pool_deinit(&p);
    }
}

/* Against a plain array: nothing is handed out twice, contents stay, counts are right. */
static void test_random(void **state)
{
    (void)state;
    enum { LIMIT = 3000 };
    static struct object *taken[LIMIT];
    struct rng r;
    struct pool p;
    uint32_t count = 0, highest = 0;
    rng_init(&r, 3);
    assert_int_equal(pool_init(&p, sizeof(struct object), LIMIT), 0);
    for (int step = 0; step < 200000; step++) {
        bool is_filling = step / 20000 % 2 == 0;
        if (rng_below(&r, 10) < (is_filling ? 6 : 4)) {
            struct object *o = pool_take(&p);
            assert_int_equal(o == NULL, count == LIMIT);
            if (o == NULL)
                continue;
            o->words[0] = (uintptr_t)o;
            o->words[24] = ~(uint64_t)(uintptr_t)o;
            taken[count++] = o;
        } else if (count > 0) {
            uint32_t at = (uint32_t)rng_below(&r, count);
            struct object *o = taken[at];
            assert_true(o->words[0] == (uintptr_t)o && o->words[24] == ~(uint64_t)(uintptr_t)o);
            assert_true(pool_is_taken(&p, pool_index(&p, o)));
            taken[at] = taken[--count];
            uint32_t idx = pool_index(&p, o);
            pool_give(&p, o);
            assert_false(pool_is_taken(&p, idx));
        }
        highest = count > highest ? count : highest;
        assert_int_equal(pool_used_count(&p), count);
        assert_int_equal(pool_used_count_max(&p), highest);
    }
    assert_false(pool_is_taken(&p, LIMIT));
    assert_false(pool_is_taken(&p, UINT32_MAX));
    pool_deinit(&p);
}

/* Room for a million costs what was in use at once. */
static void test_grows_in_slabs(void **state)
{
    (void)state;
    struct pool p;
    assert_int_equal(pool_init(&p, 1024, 1000000), 0);
    assert_int_equal(pool_memory_bytes(&p), 0);
    void *first = pool_take(&p);
    assert_int_equal(pool_memory_bytes(&p), 64 * (1024 + 4));
    for (int i = 1; i < 20000; i++)
        assert_non_null(pool_take(&p));
    assert_int_equal(pool_memory_bytes(&p), 20032 * (1024 + 4)); /* 313 slabs */
    for (int i = 0; i < 1000; i++) {
        pool_give(&p, first);
        first = pool_take(&p);
    }
    assert_int_equal(pool_memory_bytes(&p), 20032 * (1024 + 4));
    pool_deinit(&p);
}

static void test_too_large(void **state)
{
    (void)state;
    struct pool p;
    assert_int_equal(pool_init(&p, SIZE_MAX / 16, UINT32_MAX / 2), -ENOMEM);
    assert_int_equal(pool_init(&p, (size_t)1 << 40, UINT32_MAX / 2), -ENOMEM);
    pool_deinit(&p);
}

/* No memory for another slab: NULL as at the limit, and what is there goes on working. */
static void test_no_memory(void **state)
{
    (void)state;
    struct pool p;
    assert_int_equal(pool_init(&p, 1024, 1000), 0);
    void *first = pool_take(&p);
    assert_non_null(first);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {4096, 4096};
        int taken = 1;
        if (setrlimit(RLIMIT_DATA, &none) != 0)
            _exit(2);
        while (pool_take(&p) != NULL)
            taken++;
        pool_give(&p, first);
        _exit(taken == 64 && pool_take(&p) == first && pool_take(&p) == NULL ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pool_deinit(&p);
}

/* Runs @misuse in a child process, which must be ended by an assertion. */
static void assert_dies(void (*misuse)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO); /* what it says does not belong in the log of a good run */
        misuse();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void give_twice(void)
{
    struct pool p;
    if (pool_init(&p, 64, 10) != 0)
        return;
    void *a = pool_take(&p);
    void *b = pool_take(&p);
    if (pool_take(&p) == NULL)
        return;
    pool_give(&p, a);
    pool_give(&p, b);
    pool_give(&p, a); /* one is still out: only its own state gives it away */
}

static void give_foreign(void)
{
    struct pool p;
    uint8_t memory[64];
    if (pool_init(&p, 64, 10) != 0 || pool_take(&p) == NULL)
        return;
    pool_give(&p, memory);
}

static void give_inside(void)
{
    struct pool p;
    if (pool_init(&p, 64, 10) != 0)
        return;
    uint8_t *a = pool_take(&p);
    pool_give(&p, a + 16);
}

static void give_never_taken(void)
{
    struct pool p;
    if (pool_init(&p, 64, 10) != 0)
        return;
    uint8_t *a = pool_take(&p);
    pool_give(&p, a + 64);
}

static void at_never_taken(void)
{
    struct pool p;
    if (pool_init(&p, 64, 10) != 0 || pool_take(&p) == NULL)
        return;
    if (pool_at(&p, 1) == NULL)
        _exit(1);
}

static void test_misuse(void **state)
{
    (void)state;
    assert_dies(give_twice);
    assert_dies(give_foreign);
    assert_dies(give_inside);
    assert_dies(give_never_taken);
    assert_dies(at_never_taken);
}

#if DEBUG_CHECKS
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
static void write_after_give(void)
{
    struct pool p;
    if (pool_init(&p, 64, 10) != 0)
        return;
    uint8_t *a = pool_take(&p);
    pool_give(&p, a);
    ((volatile uint8_t *)a)[40] = 1;
    if (pool_take(&p) == NULL)
        _exit(1);
}

static void test_poison(void **state)
{
    (void)state;
    struct pool p;
    assert_int_equal(pool_init(&p, 64, 10), 0);
    uint8_t *a = pool_take(&p);
    memset(a, 0, 64);
    pool_give(&p, a);
    for (int i = 0; i < 64; i++)
        assert_int_equal(((volatile uint8_t *)a)[i], 0xDB);
    pool_deinit(&p);
    assert_dies(write_after_give);
}
#endif
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_to_the_limit),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_grows_in_slabs),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_misuse),
#if DEBUG_CHECKS && !defined(HAS_ASAN)
        cmocka_unit_test(test_poison),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
