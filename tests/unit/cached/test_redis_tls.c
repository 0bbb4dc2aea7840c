/* A connection over TLS: whom it believes, and what goes over it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/test_certs.h"
#include "tests/unit/cached/conn_lab.h"

#define CA_FILE "test_redis_tls.pem"

/* Connects over TLS to a server with such a certificate. */
static void
open_tls(struct conn_lab *t, struct test_certs *certs, const struct test_cert *cert,
         const char *name, struct redis_tls **tls)
{
    char why[256];

    t->tls = test_certs_server(certs, cert);
    t->options.timeout_ms = 5000;
    *tls = redis_tls_new(CA_FILE, NULL, NULL, name, why, sizeof why);
    assert_non_null(*tls);
    t->options.tls = *tls;
    conn_lab_serve(t, (struct conn_lab_script){.bytes = "$5\r\nvalue\r\n"});
    conn_lab_open(t);
}

static void
certificate_decides(void **state)
{
    static const struct {
        struct test_cert cert;
        const char *name, *why; /* NULL: it is believed */
    } rows[] = {
        {{.names = {"redis.test,IP:127.0.0.1"}}, NULL, NULL},
        {{.names = {"redis.test"}}, "redis.test", NULL},
        {{.names = {"redis.test"}}, NULL, "IP address mismatch"},
        {{.names = {"redis.test,IP:127.0.0.2"}}, NULL, "IP address mismatch"},
        {{.names = {"redis.test"}}, "other.test", "ostname mismatch"},
        {{.common_name = "redis.test"}, "redis.test", "ostname mismatch"},
        {{.names = {"r*.test"}}, "redis.test", "ostname mismatch"},
        {{.names = {"a,IP:127.0.0.1"}, .signer = SIGNED_BY_STRANGER}, NULL, "issuer"},
        {{.names = {"a,IP:127.0.0.1"}, .signer = SIGNED_BY_ITSELF}, NULL, "self"},
        {{.names = {"a,IP:127.0.0.1"}, .starts_s = -7200, .ends_s = -3600}, NULL, "expired"},
        {{.names = {"a,IP:127.0.0.1"}, .usage = "clientAuth"}, NULL, "purpose"},
    };
    struct test_certs *certs = test_certs_new(CA_FILE);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct redis_tls *tls;
        struct conn_lab *t;
        void *own;

        conn_lab_begin(&own);
        t = own;
        open_tls(t, certs, &rows[i].cert, rows[i].name, &tls);
        if (!conn_lab_reaches(t, rows[i].why == NULL ? &t->ups : &t->downs, 1) ||
            t->ups != (rows[i].why == NULL))
            fail_msg("row %zu: %s", i, t->why);
        if (rows[i].why != NULL && strstr(t->why, rows[i].why) == NULL)
            fail_msg("row %zu: %s", i, t->why);
        if (rows[i].why == NULL) {
            conn_lab_send(t, "GET", "key");
            assert_true(conn_lab_reaches(t, &t->replies, 1));
            assert_string_equal(t->text, "value");
        }
        conn_lab_end(&own);
        redis_tls_free(tls);
    }
    test_certs_free(certs);
    remove(CA_FILE);
}

/* Written in pieces while more is added behind: TLS wants the same bytes offered again. */
static void
much_goes_over_tls(void **state)
{
    struct conn_lab *t = *state;
    struct test_certs *certs = test_certs_new(CA_FILE);
    const struct test_cert cert = {.names = {"a,IP:127.0.0.1"}};
    char large[5000];
    struct redis_tls *tls;

    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    open_tls(t, certs, &cert, NULL, &tls);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    t->script.bytes = NULL;
    for (int i = 0; i < 4000; i++) {
        conn_lab_send(t, "SET", i % 7 == 0 ? "s" : large);
        if (i % 20 == 0)
            conn_lab_turn(t, 1);
        assert_int_equal(t->downs, 0);
        conn_lab_listen(t, i > 2500 && i % 200 > 150); /* 10 MB are too much for the sockets */
    }
    conn_lab_listen(t, true);
    conn_lab_turn(t, 300);
    assert_int_equal(t->downs, 0);
    assert_int_equal(t->nulls, 0);
    test_certs_free(certs);
    remove(CA_FILE);
    redis_conn_free(t->conn);
    t->conn = NULL;
    redis_tls_free(tls);
}

static void
server_without_tls_is_refused(void **state)
{
    struct conn_lab *t = *state;
    struct test_certs *certs = test_certs_new(CA_FILE);
    char why[256];
    struct redis_tls *tls = redis_tls_new(CA_FILE, NULL, NULL, NULL, why, sizeof why);

    t->options.tls = tls;
    conn_lab_serve(t, (struct conn_lab_script){.bytes = "-ERR unknown command\r\n"});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_int_equal(t->ups, 0);
    assert_non_null(strstr(t->why, "TLS: "));
    test_certs_free(certs);
    remove(CA_FILE);
    redis_tls_free(tls);
}

static void
silent_handshake_costs_the_time_out(void **state)
{
    struct conn_lab *t = *state;
    struct test_certs *certs = test_certs_new(CA_FILE);
    char why[256];
    struct redis_tls *tls = redis_tls_new(CA_FILE, NULL, NULL, NULL, why, sizeof why);
    int64_t began_ms = conn_lab_now_ms();

    t->options.tls = tls;
    conn_lab_serve(t, (struct conn_lab_script){.deaf = true});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_int_equal(t->ups, 0);
    assert_in_range(conn_lab_now_ms() - began_ms, 200, 2000);
    test_certs_free(certs);
    remove(CA_FILE);
    redis_tls_free(tls);
}

static void
bad_files_are_named(void **state)
{
    char why[256] = "";

    (void)state;
    assert_null(redis_tls_new("/nonexistent/ca", NULL, NULL, NULL, why, sizeof why));
    assert_non_null(strstr(why, "/nonexistent/ca"));
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, conn_lab_begin, conn_lab_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_decides), STORY(much_goes_over_tls),
        STORY(server_without_tls_is_refused),  STORY(silent_handshake_costs_the_time_out),
        cmocka_unit_test(bad_files_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
