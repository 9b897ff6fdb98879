/* SPDX-License-Identifier: Apache-2.0 */
/* notify_test.c - what arrives at a real datagram socket, by path and by abstract name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/buf.h"
#include "obs/notify.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    char path[80];
    int path_fd;
    char abstract[64];
    int abstract_fd;
};

static int open_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    else
        len++;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    return fd;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%.40s/notify-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    snprintf(f->abstract, sizeof(f->abstract), "@postern-notify-test-%ld", (long)getpid());
    f->path_fd = open_socket(f->path);
    f->abstract_fd = open_socket(f->abstract);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unsetenv("NOTIFY_SOCKET");
    close(f->path_fd);
    close(f->abstract_fd);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void assert_received(int fd, const char *want)
{
    char text[2048];
    ssize_t len = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, want);
    assert_int_equal(recv(fd, text, sizeof(text), 0), -1); /* one datagram each */
}

static void use(const char *name)
{
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static void test_states(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {f->path, f->abstract};
    int fds[] = {f->path_fd, f->abstract_fd};
    for (int i = 0; i < 2; i++) {
        use(names[i]);
        assert_int_equal(notify_send("READY=1"), 1);
        assert_received(fds[i], "READY=1");
        assert_int_equal(notify_ready(NULL), 1);
        assert_received(fds[i], "READY=1\n");
        assert_int_equal(notify_ready("listening"), 1);
        assert_received(fds[i], "READY=1\nSTATUS=listening");
        assert_int_equal(notify_reloading(123456789999), 1);
        assert_received(fds[i], "RELOADING=1\nMONOTONIC_USEC=123456789");
        assert_int_equal(notify_stopping("draining 3 sessions"), 1);
        assert_received(fds[i], "STOPPING=1\nSTATUS=draining 3 sessions");
        assert_int_equal(notify_status("busy"), 1);
        assert_received(fds[i], "STATUS=busy");
    }
}

/* A status cannot smuggle in another assignment, nor make the datagram too long. */
static void test_status_is_one_line(void **state)
{
    struct fixture *f = *state;
    char text[3000];
    use(f->path);
    assert_int_equal(notify_status("fine\nREADY=1"), 1);
    assert_received(f->path_fd, "STATUS=fine");
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(notify_stopping(text), 1);
    ssize_t len = recv(f->path_fd, text, sizeof(text), 0);
    assert_int_equal(len, 1023);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    char name[200];
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_send("READY=1"), 0);
    use("");
    assert_int_equal(notify_send("READY=1"), 0);
    use("vsock:2:1234");
    assert_int_equal(notify_send("READY=1"), -EAFNOSUPPORT);
    use("relative/path");
    assert_int_equal(notify_send("READY=1"), -EAFNOSUPPORT);
    use("@");
    assert_int_equal(notify_send("READY=1"), -EINVAL);
    snprintf(name, sizeof(name), "%s/nobody", f->dir);
    use(name);
    assert_int_equal(notify_send("READY=1"), -ENOENT);
    use("@postern-notify-test-nobody-is-here");
    assert_int_equal(notify_send("READY=1"), -ECONNREFUSED);
    memset(name, 'a', sizeof(name));
    name[0] = '/';
    name[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0'; /* no room for the NUL */
    use(name);
    assert_int_equal(notify_send("READY=1"), -ENAMETOOLONG);
    name[0] = '@'; /* an abstract name has none */
    use(name);
    assert_int_equal(notify_send("READY=1"), -ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
