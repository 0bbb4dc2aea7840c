/* Probes of MX hosts, over real sockets and TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cached/fetch_transfer.h"
#include "cached/probe.h"
#include "common/clock.h"
#include "tests/fake/fetch_lab.h"
#include "tests/fake/slow.h"
#include "tests/fake/smtp_server.h"

#define MX "mx.example.test"
#define HOUR 3600L

enum { FROZEN_MS = 300 /* the loop may not stand still for longer */ };

struct outcome {
    int calls;
    struct probe_result result;
};

static struct fetcher *fetcher;
static struct prober *prober;
static struct settings settings;

static void
open_prober(uint16_t port, int64_t timeout_ms)
{
    settings = lab_settings(443, timeout_ms);
    settings.probe_port = port;
    fetcher = lab_fetcher(&settings);
    prober = prober_new(lab_base, fetcher_rules(fetcher), &settings);
}

static void
close_prober(void)
{
    prober_free(prober);
    fetcher_free(fetcher);
}

static void
on_done(const struct probe_result *result, void *arg)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    outcome->result = *result;
}

/* Runs the loop, which must never stand still, until the probe has its result. */
static void
wait_for(struct outcome *outcome)
{
    int64_t end_ms = clock_boot_ms() + 20000, last_ms = clock_boot_ms();
    struct timeval tick = {.tv_usec = 20000};

    while (outcome->calls == 0 && clock_boot_ms() < end_ms) {
        event_base_loopexit(lab_base, &tick);
        event_base_dispatch(lab_base);
        assert_true(clock_boot_ms() - last_ms < FROZEN_MS * slow_factor());
        last_ms = clock_boot_ms();
    }
    assert_int_equal(outcome->calls, 1);
}

static struct probe *
begin(const char *const *addresses, struct outcome *outcome)
{
    struct sockaddr_storage list[16];
    size_t count = 0;

    for (; addresses[count] != NULL; count++)
        list[count] = lab_address(addresses[count]);
    return probe_start(prober, MX, list, count, on_done, outcome);
}

/* --- one session -------------------------------------------------------------- */

struct row {
    const char *name;
    enum sts_error want;
    const char *detail; /* must be part of it */
    struct smtp_script script;
    struct test_cert cert; /* without a name: MX */
    int timeout_ms;        /* 0: AMPLE_MS */
    const char *commands;  /* NULL: any */
};

#define WHOLE "EHLO|STARTTLS|[TLS]|EHLO|QUIT|"

static const struct row rows[] = {
    {"good", STS_OK, "", .commands = WHOLE},
    {"wildcard", STS_OK, "", .cert = {.names = {"*.example.test"}}},
    {"several lines", STS_OK, "",
     .script = {.greeting = "220-mx\r\n220-no spam\r\n220 mx ESMTP\r\n"}, .commands = WHOLE},
    {"intermediate", STS_OK, "", .cert = {.signer = SIGNED_BY_INTERMEDIATE}},
    {"TLS 1.2", STS_OK, "", .script = {.version = TLS1_2_VERSION}},
    {"TLS 1.3", STS_OK, "", .script = {.version = TLS1_3_VERSION}},

    {"another name", STS_TLS_NAME, "certificate is for a.test, b.test",
     .cert = {.names = {"a.test", "b.test"}}, .commands = "EHLO|STARTTLS|"},
    {"subject CN only", STS_TLS_NAME, "no DNS name", .cert = {.names = {""}, .common_name = MX}},
    {"the domain only", STS_TLS_NAME, "example.test", .cert = {.names = {"example.test"}}},
    {"expired", STS_TLS_EXPIRED, "expired", .cert = {.starts_s = -9 * HOUR, .ends_s = -HOUR}},
    {"not yet valid", STS_TLS_NOT_YET_VALID, "not yet",
     .cert = {.starts_s = HOUR, .ends_s = 9 * HOUR}},
    {"self-signed", STS_TLS_UNTRUSTED, "self", .cert = {.signer = SIGNED_BY_ITSELF}},
    {"unknown CA", STS_TLS_UNTRUSTED, "issuer", .cert = {.signer = SIGNED_BY_STRANGER}},
    {"no intermediate", STS_TLS_UNTRUSTED, "issuer",
     .cert = {.signer = SIGNED_BY_INTERMEDIATE, .no_intermediate = 1}},

    {"no STARTTLS", STS_TLS_HANDSHAKE, "STARTTLS is not offered",
     .script = {.ehlo = "250-mx\r\n250 SIZE\r\n"}},
    {"STARTTLS 454", STS_TLS_HANDSHAKE, "STARTTLS answered 454 4.7.0 not ?[31m today",
     .script = {.starttls = "454 4.7.0 not \033[31m today\r\n"}},
    {"STARTTLS 502", STS_TLS_HANDSHAKE, "STARTTLS answered 502",
     .script = {.starttls = "502-5.5.1 x\r\n502 5.5.1 no\r\n"}},
    {"data behind the 220", STS_TLS_HANDSHAKE, "behind its answer",
     .script = {.starttls = "220 go\r\n250 injected\r\n"}},
    {"TLS 1.1", STS_TLS_HANDSHAKE, "TLS handshake", .script = {.version = TLS1_1_VERSION}},
    {"TLS 1.0", STS_TLS_HANDSHAKE, "TLS handshake", .script = {.version = TLS1_VERSION}},
    {"cut in the handshake", STS_TLS_HANDSHAKE, "TLS handshake", .script = {.handshake = SMTP_CUT}},
    {"reset in the handshake", STS_TLS_HANDSHAKE, "TLS handshake",
     .script = {.handshake = SMTP_RESET}},

    {"421 at once", STS_CONNECT_REFUSED, "the connection was answered 421 4.3.2 busy",
     .script = {.greeting = "421 4.3.2 busy\r\n"}},
    {"554 at once", STS_CONNECT_REFUSED, "answered 554", .script = {.greeting = "554 no\r\n"}},
    {"no SMTP", STS_TIMEOUT, "in time", .script = {.greeting = "SSH-2.0-x\r\n" SMTP_CUT},
     .timeout_ms = QUICK_MS},
    {"EHLO refused", STS_CONNECT_REFUSED, "EHLO was answered 502 5.5.2 no",
     .script = {.ehlo = "502 5.5.2 no\r\n"}},
    {"cut for a greeting", STS_CONNECT_REFUSED, "cut before a greeting",
     .script = {.greeting = SMTP_CUT}},
    {"cut at EHLO", STS_CONNECT_REFUSED, "cut before TLS", .script = {.ehlo = SMTP_CUT}},
    {"cut at STARTTLS", STS_CONNECT_REFUSED, "cut before TLS", .script = {.starttls = SMTP_CUT}},
    {"reset at STARTTLS", STS_CONNECT_REFUSED, "cut before TLS",
     .script = {.starttls = SMTP_RESET}},
    {"many lines", STS_CONNECT_REFUSED, "too long",
     .script = {.flood = "220-and more\r\n", .times = 5000}},
    {"a long line", STS_CONNECT_REFUSED, "",
     .script = {.flood = "220-and more and more and more", .times = 50000, .greeting = SMTP_HANG},
     .timeout_ms = 1500},
    {"silent", STS_TIMEOUT, "in time", .script = {.greeting = SMTP_HANG}, .timeout_ms = QUICK_MS},
    {"silent after EHLO", STS_TIMEOUT, "in time", .script = {.ehlo = SMTP_HANG},
     .timeout_ms = QUICK_MS},
    {"silent handshake", STS_TIMEOUT, "in time", .script = {.handshake = SMTP_HANG},
     .timeout_ms = QUICK_MS},

    /* TLS was right: whatever comes after it does not matter, and holds nothing up. */
    {"EHLO refused under TLS", STS_OK, "", .script = {.ehlo_in_tls = "502 no\r\n"}},
    {"cut under TLS", STS_OK, "", .script = {.ehlo_in_tls = SMTP_CUT}},
    {"silent under TLS", STS_OK, "", .script = {.ehlo_in_tls = SMTP_HANG}, .timeout_ms = QUICK_MS},
    {"QUIT refused", STS_OK, "", .script = {.quit = "500 stay\r\n"}},
    {"QUIT answered, then open", STS_OK, "", .script = {.quit = "221 bye\r\n"}},
    {"silent at QUIT", STS_OK, "", .script = {.quit = SMTP_HANG}, .timeout_ms = QUICK_MS},
    {"no SMTP for QUIT", STS_OK, "", .script = {.quit = "what\r\n"}, .timeout_ms = QUICK_MS},
};

/* The session's commands; EHLO names this host, whatever its name is. */
static void
check_commands(const struct row *row, const struct smtp_seen *seen)
{
    char got[512] = "";
    const char *at = seen->commands;

    for (size_t len; *at; at += len + 1) {
        len = strcspn(at, "|");
        if (strncmp(at, "EHLO ", 5) == 0 && len > 5)
            strcat(got, "EHLO|");
        else
            strncat(got, at, len + 1);
    }
    assert_string_equal(got, row->commands);
}

static void
check_row(const struct row *row)
{
    static const char *const loopback[] = {"127.0.0.1", NULL};
    struct test_cert cert = row->cert;
    struct smtp_server *server;
    struct smtp_seen seen;
    struct outcome outcome = {0};

    if (cert.names[0] == NULL)
        cert.names[0] = MX;
    else if (cert.names[0][0] == '\0')
        cert.names[0] = NULL;
    server = smtp_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &row->script);
    open_prober(smtp_server_port(server), row->timeout_ms ? row->timeout_ms : AMPLE_MS);
    begin(loopback, &outcome);
    wait_for(&outcome);
    close_prober();
    smtp_server_stop(server, &seen);
    if (outcome.result.error != row->want || !strstr(outcome.result.detail, row->detail) ||
        (row->want != STS_OK) != (outcome.result.detail[0] != '\0'))
        fail_msg("%s: %s (%s)", row->name, sts_error_name(outcome.result.error),
                 outcome.result.detail);
    if (row->commands != NULL)
        check_commands(row, &seen);
    if (row->want == STS_OK)
        assert_string_equal(seen.sni, MX);
}

static void
test_sessions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_row(&rows[i]);
    assert_int_equal(lab_resolver_calls, 0);
}

/* The end of the certificate is told, of a good one and of a bad one. */
static void
test_expiry(void **state)
{
    static const char *const loopback[] = {"127.0.0.1", NULL};
    static const struct smtp_script good = {0};
    const struct test_cert certs[] = {
        {.names = {MX}, .starts_s = -HOUR, .ends_s = 5 * HOUR},
        {.names = {"a.test"}, .starts_s = -HOUR, .ends_s = 5 * HOUR},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct smtp_server *server =
            smtp_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &certs[i]), &good);
        struct outcome outcome = {0};
        open_prober(smtp_server_port(server), AMPLE_MS);
        begin(loopback, &outcome);
        wait_for(&outcome);
        assert_in_range(outcome.result.expires_s, time(NULL) + 5 * HOUR - 60,
                        time(NULL) + 5 * HOUR);
        close_prober();
        smtp_server_stop(server, NULL);
    }
}

/* --- several addresses --------------------------------------------------------- */

static const struct {
    const char *name, *addresses[6];
    enum sts_error want;
    const char *detail;
} address_rows[] = {
    {"refused, then good", {"127.0.0.9", "127.0.0.1"}, STS_OK, ""},
    {"bad, then good", {"127.0.0.2", "127.0.0.1"}, STS_OK, ""},
    {"refused, then bad", {"127.0.0.9", "127.0.0.2"}, STS_TLS_HANDSHAKE, "STARTTLS"},
    {"bad, then refused", {"127.0.0.2", "127.0.0.9"}, STS_TLS_HANDSHAKE, "STARTTLS"},
    {"private, then good", {"10.0.0.1", "127.0.0.1"}, STS_OK, ""},
    {"private",
     {"10.0.0.1", "::ffff:192.168.1.1"},
     STS_CONNECT_BLOCKED,
     "10.0.0.1 is not a public"},
    {"refused", {"127.0.0.9"}, STS_CONNECT_REFUSED, "127.0.0.9: Connection refused"},
    {"one too many",
     {"127.0.0.9", "127.0.0.9", "127.0.0.9", "127.0.0.9", "127.0.0.1"},
     STS_CONNECT_REFUSED,
     ""},
};

static void
test_addresses(void **state)
{
    static const struct smtp_script good = {0}, bad = {.ehlo = "250 mx\r\n"};
    static const struct test_cert cert = {.names = {MX}};
    struct smtp_server *one =
        smtp_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &good);
    uint16_t port = smtp_server_port(one);
    struct smtp_server *two =
        smtp_server_start("127.0.0.2", port, test_certs_server(lab_certs, &cert), &bad);

    (void)state;
    open_prober(port, AMPLE_MS);
    for (size_t i = 0; i < sizeof(address_rows) / sizeof(*address_rows); i++) {
        struct outcome outcome = {0};
        int before = lab_transfers;

        begin(address_rows[i].addresses, &outcome);
        wait_for(&outcome);
        if (address_rows[i].want == STS_CONNECT_BLOCKED)
            assert_int_equal(lab_transfers, before); /* refused where they were looked up */
        if (outcome.result.error != address_rows[i].want ||
            !strstr(outcome.result.detail, address_rows[i].detail))
            fail_msg("%s: %s (%s)", address_rows[i].name, sts_error_name(outcome.result.error),
                     outcome.result.detail);
    }
    close_prober();
    smtp_server_stop(one, NULL);
    smtp_server_stop(two, NULL);
}

/* --- limits -------------------------------------------------------------------- */

/* Of many probes of one address a few run; cancelled and freed ones say nothing. */
static void
test_limits(void **state)
{
    static const char *const loopback[] = {"127.0.0.1", NULL};
    static const struct smtp_script silent = {.greeting = SMTP_HANG};
    static const struct test_cert cert = {.names = {MX}};
    struct smtp_server *server =
        smtp_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &silent);
    struct outcome outcomes[20] = {0};
    struct probe *probes[20];
    struct timeval span = {.tv_usec = 300000};
    struct smtp_seen seen;

    (void)state;
    open_prober(smtp_server_port(server), AMPLE_MS);
    for (size_t i = 0; i < 20; i++)
        probes[i] = begin(loopback, &outcomes[i]);
    event_base_loopexit(lab_base, &span);
    event_base_dispatch(lab_base);
    for (size_t i = 0; i < 5; i++)
        probe_cancel(probes[i]);
    probe_cancel(probes[19]);
    event_base_loopexit(lab_base, &span);
    event_base_dispatch(lab_base);
    close_prober();
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(outcomes[i].calls, 0);
    event_base_loopexit(lab_base, &span);
    event_base_dispatch(lab_base);
    smtp_server_stop(server, &seen);
    /* The first few, and those that came when these were cancelled. */
    assert_int_equal(seen.connections, 2 * PROBE_PER_ADDRESS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, lab_set_up, lab_tear_down);
}
