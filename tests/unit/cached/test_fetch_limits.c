/* The real fetcher on the loopback: addresses, limits, cancelling, settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/fetch_transfer.h"
#include "common/clock.h"
#include "tests/fake/fetch_lab.h"

enum { GUARD_MS = 20000 };

/* --- addresses --------------------------------------------------------------- */

static void
check_addresses(const struct settings *settings, const char *const *addresses, enum sts_error want)
{
    struct lab_outcome got = lab_fetch(settings, addresses);

    if (got.result.error != want)
        fail_msg("%s, ...: got %s (%s)", addresses[0], sts_error_name(got.result.error),
                 got.result.detail);
    free(got.body);
}

static void
test_several_addresses(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert other = {.names = {"a.test"}};
    struct tls_server *good = lab_start_good_server("127.0.0.1", 0);
    uint16_t port = tls_server_port(good);
    struct tls_server *mute =
        tls_server_start("127.0.0.2", port, test_certs_server(lab_certs, &other), &silent);
    static const struct tls_script fine = {.head = LAB_GOOD};
    struct tls_server *wrong =
        tls_server_start("127.0.0.3", port, test_certs_server(lab_certs, &other), &fine);
    struct settings settings = lab_settings(port, AMPLE_MS / 4);

    (void)state;
    /* Nobody listens on 127.0.0.9. */
    check_addresses(&settings, (const char *[]){"127.0.0.9", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.9", NULL}, STS_CONNECT_REFUSED);
    check_addresses(&settings, (const char *[]){"10.0.0.1", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.2", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.2", "127.0.0.9", NULL},
                    STS_CONNECT_REFUSED);
    check_addresses(&settings, (const char *[]){"127.0.0.9", "10.0.0.1", NULL},
                    STS_CONNECT_BLOCKED);
    /* A server that can be heard decides, whatever the others would say. */
    check_addresses(&settings, (const char *[]){"127.0.0.3", "127.0.0.1", NULL}, STS_TLS_NAME);
    tls_server_stop(good, NULL);
    tls_server_stop(mute, NULL);
    tls_server_stop(wrong, NULL);
}

static void
on_transfer_done(const struct fetch_result *result, bool try_next, void *arg)
{
    assert_true(try_next);
    lab_on_done(result, arg);
}

static void
test_blocked_addresses(void **state)
{
    struct tls_server *server = lab_start_good_server("127.0.0.1", 0);
    struct settings settings = lab_settings(tls_server_port(server), AMPLE_MS);
    struct lab_outcome got;
    struct tls_seen seen;

    (void)state;
    settings.fetch.allow_address.count = 0;
    lab_transfers = 0;
    check_addresses(&settings, (const char *[]){"127.0.0.1", NULL}, STS_CONNECT_BLOCKED);
    check_addresses(&settings, (const char *[]){"::ffff:127.0.0.1", "127.0.0.1", "::1", NULL},
                    STS_CONNECT_BLOCKED);
    got = lab_fetch(&settings, (const char *[]){"127.0.0.1", "fd00::1", NULL});
    assert_string_equal(got.result.detail, "fd00::1 is not a public address");
    free(got.body);
    assert_int_equal(lab_transfers, 0); /* they are refused where they were looked up */
    tls_server_stop(server, &seen);
    assert_int_equal(seen.connections, 0);
}

/* The second wall: a transfer to such an address, begun all the same, connects to nothing. */
static void
test_blocked_at_connect(void **state)
{
    struct tls_server *server = lab_start_good_server("127.0.0.1", 0);
    struct settings settings = lab_settings(tls_server_port(server), AMPLE_MS);
    struct lab_outcome outcome = {0};
    struct sockaddr_storage to = lab_address("127.0.0.1");
    struct fetch_order order = {
        .domain = LAB_DOMAIN, .address = &to, .connect_ms = AMPLE_MS, .total_ms = AMPLE_MS};
    struct fetcher *fetcher;
    struct tls_seen seen;

    (void)state;
    settings.fetch.allow_address.count = 0;
    fetcher = lab_fetcher(&settings);
    assert_non_null(
        fetch_transfer_start(fetcher_rules(fetcher), &order, on_transfer_done, &outcome));
    lab_wait(&outcome);
    assert_int_equal(outcome.result.error, STS_CONNECT_BLOCKED);
    assert_string_equal(outcome.result.detail, "127.0.0.1 is not a public address");
    free(outcome.body);
    fetcher_free(fetcher);
    tls_server_stop(server, &seen);
    assert_int_equal(seen.connections, 0);
}

static void
test_ipv6(void **state)
{
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int bound = bind(probe, (struct sockaddr *)&here, sizeof(here));
    struct tls_server *server;
    struct settings settings;

    (void)state;
    close(probe);
    if (bound < 0)
        skip();
    server = lab_start_good_server("::1", 0);
    settings = lab_settings(tls_server_port(server), AMPLE_MS);
    check_addresses(&settings, (const char *[]){"::1", NULL}, STS_OK);
    tls_server_stop(server, NULL);
}

/* --- many at once ------------------------------------------------------------ */

enum { MANY = 40 };

static void
start_many(struct fetcher *fetcher, const char *where, struct fetch **fetches,
           struct lab_outcome *outcome)
{
    struct sockaddr_storage to = lab_address(where);

    for (size_t i = 0; i < MANY; i++)
        fetches[i] = fetch_start(fetcher, "example.test", &to, 1, lab_on_done, outcome);
}

static void
run_for(int ms)
{
    struct timeval span = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_base_loopexit(lab_base, &span);
    event_base_dispatch(lab_base);
}

/* Without an end: only the limits say how many connections there are. */
static void
test_limits(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert cert = {.names = {LAB_HOST}};
    struct tls_server *one =
        tls_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &silent);
    uint16_t port = tls_server_port(one);
    struct tls_server *two =
        tls_server_start("127.0.1.2", port, test_certs_server(lab_certs, &cert), &silent);
    struct settings settings = lab_settings(port, 60000);
    struct fetch *fetches[2 * MANY];
    struct lab_outcome outcome = {0};
    struct fetcher *fetcher;

    (void)state;
    settings.fetch.max_running = 20;
    fetcher = lab_fetcher(&settings);
    start_many(fetcher, "127.0.0.1", fetches, &outcome);
    run_for(300);
    assert_int_equal(tls_server_connections(one), 16);
    start_many(fetcher, "127.0.1.2", fetches + MANY, &outcome);
    run_for(300);
    assert_int_equal(tls_server_connections(one), 16);
    assert_int_equal(tls_server_connections(two), 4);
    for (size_t i = 0; i < 5; i++) /* five places get free: by turns */
        fetch_cancel(fetches[i]);
    run_for(300);
    assert_int_equal(tls_server_connections(one) + tls_server_connections(two), 25);
    assert_true(tls_server_connections(two) >= 6);
    assert_int_equal(outcome.calls, 0);
    fetcher_free(fetcher); /* with all of them under way */
    tls_server_stop(one, NULL);
    tls_server_stop(two, NULL);
}

/* The clock of those in line does not run: all are served, although together they take longer than
 * the timeout of one. */
static void
test_waiting_costs_no_time(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert cert = {.names = {LAB_HOST}};
    struct tls_server *server =
        tls_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &silent);
    struct settings settings = lab_settings(tls_server_port(server), 300);
    struct fetcher *fetcher = lab_fetcher(&settings);
    struct fetch *fetches[MANY];
    struct lab_outcome outcome = {0};
    int64_t end_ms = clock_boot_ms() + GUARD_MS;

    (void)state;
    start_many(fetcher, "127.0.0.1", fetches, &outcome);
    while (outcome.calls < MANY && clock_boot_ms() < end_ms)
        run_for(50);
    assert_int_equal(outcome.calls, MANY);
    assert_int_equal(tls_server_connections(server), MANY);
    free(outcome.body);
    fetcher_free(fetcher);
    tls_server_stop(server, NULL);
}

static void
test_cancel(void **state)
{
    struct tls_server *server = lab_start_good_server("127.0.0.1", 0);
    struct settings settings = lab_settings(tls_server_port(server), AMPLE_MS);
    struct fetcher *fetcher = lab_fetcher(&settings);
    struct sockaddr_storage to = lab_address("127.0.0.1");
    struct lab_outcome dropped = {0}, kept = {0};
    struct fetch *first = fetch_start(fetcher, "example.test", &to, 1, lab_on_done, &dropped);
    struct fetch *second;

    (void)state;
    fetch_cancel(first); /* before the loop saw it */
    second = fetch_start(fetcher, "example.test", &to, 1, lab_on_done, &dropped);
    event_base_loop(lab_base, EVLOOP_ONCE);
    fetch_cancel(second); /* connecting */
    fetch_start(fetcher, "example.test", &to, 1, lab_on_done, &kept);
    lab_wait(&kept);
    assert_int_equal(kept.result.error, STS_OK);
    assert_int_equal(dropped.calls, 0);
    free(kept.body);
    fetcher_free(fetcher);
    tls_server_stop(server, NULL);
}

/* --- settings ---------------------------------------------------------------- */

static void
check_refusal(const struct settings *settings, const char *option, const char *want)
{
    char why[200] = "", place[40];
    const char *fault;

    assert_null(fetcher_new(lab_base, settings, why, sizeof(why)));
    snprintf(place, sizeof(place), "fetch.%s: ", option);
    if (strncmp(why, place, strlen(place)) != 0 || strstr(why, want) == NULL)
        fail_msg("why is \"%s\"", why);
    fault = fetcher_fault(settings, why, sizeof(why));
    assert_non_null(fault);
    assert_string_equal(fault, option);
    assert_non_null(strstr(why, want));
}

static void
test_bad_settings(void **state)
{
    struct settings settings = lab_settings(443, AMPLE_MS);
    char *odd[] = {(char[]){"127.0.0.1"}, (char[]){"not-an-address"}};
    char why[200] = "";

    (void)state;
    assert_null(fetcher_fault(&settings, why, sizeof(why)));
    settings.fetch.ca_file = (char[]){"/nonexistent/ca.pem"};
    check_refusal(&settings, "ca-file", "/nonexistent/ca.pem");
    settings.fetch.ca_file = (char[]){"/dev/null"};
    check_refusal(&settings, "ca-file", "/dev/null");
    settings = lab_settings(443, AMPLE_MS);
    settings.fetch.allow_address.items = odd;
    check_refusal(&settings, "allow-address", "not-an-address");
    settings = lab_settings(443, AMPLE_MS);
    settings.fetch.proxy = (char[]){"http://proxy.example:3128"};
    check_refusal(&settings, "proxy", "proxy.example");
    settings.fetch.proxy = (char[]){"ftp://127.0.0.1:3128"};
    check_refusal(&settings, "proxy", "ftp://127.0.0.1");
    settings.fetch.proxy = (char[]){"https://127.0.0.1:3128"};
    check_refusal(&settings, "proxy", "https://127.0.0.1");
    settings.fetch.proxy = (char[]){"http://"};
    check_refusal(&settings, "proxy", "http://");
}

/* A proxy gets a CONNECT for the name, once; addresses and what the environment says are nothing to
 * it. This one refuses. */
static void
test_proxy(void **state)
{
    static const struct tls_script refusal = {.ending = NO_TLS, .head = "HTTP/1.1 403 No\r\n\r\n"};
    static const struct test_cert cert = {.names = {LAB_HOST}};
    struct tls_server *server =
        tls_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &refusal);
    struct settings settings = lab_settings(8443, AMPLE_MS);
    char proxy[64];
    struct tls_seen seen;

    (void)state;
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", tls_server_port(server));
    settings.fetch.proxy = proxy;
    settings.fetch.allow_address.count = 0;
    setenv("no_proxy", "*", 1);
    check_addresses(&settings, (const char *[]){"192.0.2.1", "192.0.2.2", NULL},
                    STS_CONNECT_REFUSED);
    unsetenv("no_proxy");
    tls_server_stop(server, &seen);
    assert_int_equal(seen.connections, 1);
    assert_int_equal(strncmp(seen.request, "CONNECT " LAB_HOST ":8443 HTTP/1.1\r\n", 44), 0);
}

static void
test_no_resolver_was_asked(void **state)
{
    (void)state;
    assert_int_equal(lab_resolver_calls, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_addresses),
        cmocka_unit_test(test_blocked_addresses),
        cmocka_unit_test(test_blocked_at_connect),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_waiting_costs_no_time),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_no_resolver_was_asked), /* last */
    };
    return cmocka_run_group_tests(tests, lab_set_up, lab_tear_down);
}
