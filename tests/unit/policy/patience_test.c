/* SPDX-License-Identifier: Apache-2.0 */
/* patience_test.c - networks and patterns of names by which impatient clients are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include "policy/patience.h"

static struct sockaddr_storage peer_of(const char *text)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;
    if (strcmp(text, "unix") == 0) {
        peer.ss_family = AF_UNIX;
    } else if (strchr(text, ':') == NULL) {
        v4->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
    } else {
        v6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    }
    return peer;
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *peer;
        bool is_in;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.77/24", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/25", "192.0.2.127", true},
        {"192.0.2.0/25", "192.0.2.128", false},
        {"192.0.2.0/31", "192.0.2.1", true},
        {"192.0.2.0/31", "192.0.2.2", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", true},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true},
        {"::ffff:192.0.2.0/120", "192.0.2.9", true},
        {"0.0.0.0/0", "unix", false},
        {"::/0", "unix", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct patience_network network;
        struct sockaddr_storage peer = peer_of(rows[i].peer);
        assert_true(patience_network_parse(slice_str(rows[i].network), &network));
        if (patience_network_has(&network, &peer) != rows[i].is_in)
            fail_msg("%s in %s", rows[i].peer, rows[i].network);
    }
}

static void what_is_no_network(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "/24",
                                      "192.0.2/24",
                                      "192.0.2.0/",
                                      "192.0.2.0/33",
                                      "192.0.2.0/-1",
                                      "192.0.2.0/2x",
                                      "192.0.2.0/0024",
                                      "::/129",
                                      ":::",
                                      "example.org",
                                      "192.0.2.0/24/24",
                                      "192.0.2.0 ",
                                      "2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct patience_network network = {.length = 99};
        if (patience_network_parse(slice_str(bad[i]), &network))
            fail_msg("'%s' was taken for a network", bad[i]);
        assert_int_equal(network.length, 99);
    }
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool is_match;
    } rows[] = {
        {"mox", "mox", true},
        {"mox", "MOX", true},
        {"mox", "moxx", false},
        {"mox", "mo", false},
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "a.b", true},
        {"*.example", "a.example", true},
        {"*.example", ".example", true},
        {"*.example", "example", false},
        {"*.example", "a.example.org", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXbY", false},
        {"a*b*c", "abcbc", true},
        {"**", "x", true},
        {"*a", "aaab", false},
        {"*aab", "aaaab", true},
        {"[*]", "[192.0.2.1]", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (patience_helo_matches(slice_str(rows[i].pattern), slice_str(rows[i].name)) !=
            rows[i].is_match)
            fail_msg("%s against %s", rows[i].name, rows[i].pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks),
        cmocka_unit_test(what_is_no_network),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
