/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_tls_test.c - sessions that postern-load keeps and resumes, with a server in memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/buf.h"
#include "load/tls.h"
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define SESSIONS_MAX 8

struct server {
    SSL_CTX *ssl;
    struct tls_context *clients;
};

struct dialogue { /* a connection, both ends of it */
    SSL *server;
    BIO *in, *out; /* of the server */
    struct tls *client;
};

/* A certificate that nobody checks. */
static void certificate_make(SSL_CTX *ssl)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_true(key != NULL && x != NULL);
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ssl, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ssl, key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void server_init(struct server *s, int version, uint32_t sessions_max)
{
    struct tls_options options = {.sessions_max = sessions_max};
    char text[200] = "";
    s->ssl = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->ssl);
    assert_int_equal(SSL_CTX_set_min_proto_version(s->ssl, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(s->ssl, version), 1);
    certificate_make(s->ssl);
    assert_int_equal(tls_context_new(&options, &s->clients, text, sizeof(text)), 0);
}

static void server_deinit(struct server *s)
{
    tls_context_free(s->clients);
    SSL_CTX_free(s->ssl);
}

static void dialogue_open(struct dialogue *d, struct server *s)
{
    d->server = SSL_new(s->ssl);
    d->in = BIO_new(BIO_s_mem());
    d->out = BIO_new(BIO_s_mem());
    assert_true(d->server != NULL && d->in != NULL && d->out != NULL);
    SSL_set_bio(d->server, d->in, d->out);
    SSL_set_accept_state(d->server);
    d->client = tls_open(s->clients, true);
    assert_non_null(d->client);
}

static void dialogue_close(struct dialogue *d)
{
    tls_close(d->client);
    SSL_free(d->server);
}

/* What the client has to say is with the server. */
static void client_to_server(struct dialogue *d)
{
    static uint8_t memory[65536];
    struct buf out = buf_over(memory, sizeof(memory));
    assert_false(tls_drain(d->client, &out));
    if (out.len > 0)
        assert_int_equal(BIO_write(d->in, memory, (int)out.len), (int)out.len);
}

static void server_to_client(struct dialogue *d)
{
    static uint8_t memory[65536];
    int len = BIO_read(d->out, memory, sizeof(memory));
    if (len > 0)
        assert_true(tls_take(d->client, slice_of(memory, (size_t)len)));
}

/* The handshake, on both sides; what the server sends behind it stays there. */
static bool handshake(struct dialogue *d)
{
    enum tls_result result = tls_handshake(d->client);
    for (int i = 0; i < 10 && (result == TLS_MORE || !SSL_is_init_finished(d->server)); i++) {
        client_to_server(d);
        (void)SSL_do_handshake(d->server);
        if (result == TLS_MORE) {
            server_to_client(d);
            result = tls_handshake(d->client);
        }
    }
    assert_int_equal(result, TLS_DONE);
    assert_true(SSL_is_init_finished(d->server));
    return tls_was_resumed(d->client);
}

/* The client reads what came behind the handshake: new tickets. */
static void tickets_arrive(struct dialogue *d)
{
    struct slice plain;
    server_to_client(d);
    assert_int_equal(tls_read(d->client, &plain), TLS_MORE);
}

/* One connection, to its end. */
static bool resumed(struct server *s)
{
    struct dialogue d;
    dialogue_open(&d, s);
    bool was_resumed = handshake(&d);
    tickets_arrive(&d);
    dialogue_close(&d);
    return was_resumed;
}

/* Two tickets serve two connections at a time; who begins before a third has come has none. */
static void test_tickets_are_used_once(void **state)
{
    (void)state;
    struct server s;
    struct dialogue at[4];
    static const bool expected[] = {true, true, false};
    server_init(&s, TLS1_3_VERSION, SESSIONS_MAX);
    assert_false(resumed(&s));
    for (uint32_t i = 0; i < 3; i++) {
        dialogue_open(&at[i], &s);
        assert_int_equal(handshake(&at[i]), expected[i]);
    }
    tickets_arrive(&at[0]);
    dialogue_open(&at[3], &s);
    assert_true(handshake(&at[3]));
    for (uint32_t i = 0; i < 4; i++)
        dialogue_close(&at[i]);
    server_deinit(&s);
}

/* One after the other all resume; the oldest make room for the newest. */
static void test_no_more_than_asked_for(void **state)
{
    (void)state;
    for (uint32_t max = 0; max <= 3; max++) {
        struct server s;
        server_init(&s, TLS1_3_VERSION, max);
        for (uint32_t i = 0; i < 10; i++)
            assert_int_equal(resumed(&s), i > 0 && max > 0);
        struct dialogue many[5];
        uint32_t resumed_count = 0;
        for (uint32_t i = 0; i < 5; i++) { /* full ones, for many tickets */
            dialogue_open(&many[i], &s);
            resumed_count += handshake(&many[i]);
        }
        assert_int_equal(resumed_count, max > 2 ? 2 : max);
        for (uint32_t i = 0; i < 5; i++) {
            tickets_arrive(&many[i]);
            dialogue_close(&many[i]);
        }
        resumed_count = 0;
        for (uint32_t i = 0; i < 5; i++) {
            dialogue_open(&many[i], &s);
            resumed_count += handshake(&many[i]);
        }
        assert_int_equal(resumed_count, max);
        for (uint32_t i = 0; i < 5; i++)
            dialogue_close(&many[i]);
        server_deinit(&s);
    }
}

/* A session of TLS 1.2 is good for any number of connections. */
static void test_sessions_before_tickets(void **state)
{
    (void)state;
    struct server s;
    struct dialogue at[5];
    server_init(&s, TLS1_2_VERSION, SESSIONS_MAX);
    assert_false(resumed(&s));
    for (uint32_t i = 0; i < 5; i++) {
        dialogue_open(&at[i], &s);
        assert_true(handshake(&at[i]));
    }
    for (uint32_t i = 0; i < 5; i++)
        dialogue_close(&at[i]);
    server_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tickets_are_used_once),
        cmocka_unit_test(test_no_more_than_asked_for),
        cmocka_unit_test(test_sessions_before_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
