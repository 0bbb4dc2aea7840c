/* The run of a check: the real judges between a fake source and a clock that stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/check.h"
#include "cached/control.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "tests/fake/fake_source.h"

#define D "example.com"
#define GOOD "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmax_age: 604800\n"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000 };

struct desk {
    struct control control;
    struct source source;
    struct settings settings;
    json_t *reply;
    char error[200];
    size_t replies;
};

static int
set_up(void **state)
{
    struct desk *d = calloc(1, sizeof *d);

    clock_fake(BOOT_MS, WALL_S);
    d->source.side_by_side = true;
    d->control.base = event_base_new();
    d->control.source = &d->source;
    d->control.settings = &d->settings;
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    control_done(&d->control);
    assert_int_equal(d->source.running, 0);
    event_base_free(d->control.base);
    json_decref(d->reply);
    free(d);
    return 0;
}

static void
on_reply(const char *payload, size_t len, void *arg)
{
    struct desk *d = arg;

    json_decref(d->reply);
    d->reply = len > 3 ? json_loadb(payload + 3, len - 3, 0, NULL) : NULL;
    snprintf(d->error, sizeof d->error, "%.*s", (int)len, payload);
    d->replies++;
}

static void
start(struct desk *d, const char *command)
{
    control_run(&d->control, command, strlen(command), on_reply, d);
}

static struct span
span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static void
end_txt(struct desk *d, const char *record)
{
    struct span span = span_of(record != NULL ? record : "");
    struct txt_result result = {.error = record != NULL ? STS_OK : STS_NO_RECORD,
                                .records = &span,
                                .count = record != NULL};

    fake_source_end_txt(&d->source, D, &result);
}

static void
end_tlsrpt(struct desk *d, const char *record)
{
    struct span span = span_of(record);
    struct txt_result result = {.records = &span, .count = 1};

    fake_source_end_tlsrpt(&d->source, D, &result);
}

static void
end_fetch(struct desk *d, const char *body)
{
    struct fetch_result result = {.http_status = 200, .body = body, .len = strlen(body)};

    fake_source_end_fetch(&d->source, D, &result);
}

static void
end_fetch_badly(struct desk *d, enum sts_error error, const char *detail, int status)
{
    struct fetch_result result = {.error = error, .http_status = status, .body = ""};

    snprintf(result.detail, sizeof result.detail, "%s", detail);
    fake_source_end_fetch(&d->source, D, &result);
}

static void
end_probe(struct desk *d, const char *host, enum sts_error error, const char *detail, int64_t days)
{
    struct probe_result result = {.error = error, .expires_s = days ? WALL_S + days * 86400 : 0};

    snprintf(result.detail, sizeof result.detail, "%s", detail);
    fake_source_end_probe(&d->source, host, &result);
}

static void
end_mx(struct desk *d, enum sts_error error, const char *a, const char *b)
{
    const char *hosts[] = {a, b};
    struct mx_result result = {
        .error = error, .hosts = hosts, .count = (size_t)((a != NULL) + (b != NULL))};

    fake_source_end_mx(&d->source, D, &result);
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

/* True when a line of the layer has this status and this in its text, advice, subject or reason. */
static bool
says(const struct desk *d, const char *layer, const char *status, const char *part)
{
    static const char *const keys[] = {"text", "advice", "subject", "reason"};
    const json_t *lines = json_object_get(d->reply, "checks");

    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (strcmp(text_of(line, "layer"), layer) != 0 ||
            strcmp(text_of(line, "status"), status) != 0)
            continue;
        for (size_t k = 0; k < 4; k++) {
            if (strstr(text_of(line, keys[k]), part) != NULL)
                return true;
        }
    }
    return false;
}

#define assert_says(d, layer, status, part)                                                        \
    do {                                                                                           \
        if (!says(d, layer, status, part))                                                         \
            fail_msg("no %s %s with \"%s\" in %s", layer, status, part, (d)->error);               \
    } while (0)

static void
assert_exit(const struct desk *d, const char *status, int exit_code)
{
    assert_int_equal(d->replies, 1);
    assert_string_equal(text_of(d->reply, "status"), status);
    assert_int_equal(json_integer_value(json_object_get(d->reply, "exit")), exit_code);
}

static void
test_good(void **state)
{
    struct desk *d = *state;

    start(d, "check Example.COM.");
    end_txt(d, "v=STSv1; id=7;");
    end_fetch(d, GOOD);
    end_tlsrpt(d, "v=TLSRPTv1; rua=mailto:r@example.com");
    assert_int_equal(d->replies, 0);
    end_mx(d, STS_OK, "mx1.example.com", NULL);
    assert_int_equal(d->replies, 0);
    end_probe(d, "mx1.example.com", STS_OK, "", 30);
    assert_exit(d, "ok", 0);
    assert_string_equal(text_of(d->reply, "domain"), D);
    assert_string_equal(text_of(d->reply, "id"), "7");
    assert_string_equal(text_of(d->reply, "mode"), "enforce");
    assert_int_equal(json_integer_value(json_object_get(d->reply, "max_age")), 604800);
    assert_says(d, "txt", "ok", "id=7");
    assert_says(d, "fetch", "ok", "https://mta-sts.example.com/.well-known/mta-sts.txt");
    assert_says(d, "policy", "ok", "mode enforce");
    assert_says(d, "mx", "ok", "listed in the policy by mx1.example.com");
    assert_says(d, "tls", "ok", "ends on 2026-10-21, in 30 days");
    assert_says(d, "dane", "ok", "not looked at: trust-ad is off");
    assert_false(d->source.with_dane);
    assert_says(d, "tlsrpt", "ok", "mailto:r@example.com");
}

/* A table of worlds: what the layers give, and what comes of it. */
static const struct {
    const char *name, *txt, *body;
    enum sts_error fetch_error;
    int http_status;
    enum sts_error mx_error;
    const char *mx, *status;
    int exit_code;
    const char *layer, *line_status, *part;
} rows[] = {
    {"no record", NULL, GOOD, 0, 0, 0, "other.example", "error", 1, "txt", "error", "no-record"},
    {"no record: nothing behind it errs", NULL, GOOD, 0, 0, 0, "other.example", "error", 1, "mx",
     "warning", "mx-not-listed"},
    {"bad record", "v=STSv1; id=a b", GOOD, 0, 0, 0, "mx1.example.com", "error", 3, "txt", "error",
     "other than letters and digits"},
    {"404", "v=STSv1; id=1", "", STS_HTTP_STATUS, 404, 0, "mx1.example.com", "error", 3, "fetch",
     "error", "http-status"},
    {"503 may pass", "v=STSv1; id=1", "", STS_HTTP_STATUS, 503, 0, "mx1.example.com", "error", 2,
     "fetch", "error", "http-status"},
    {"refused may pass", "v=STSv1; id=1", "", STS_CONNECT_REFUSED, 0, 0, "mx1.example.com", "error",
     2, "fetch", "error", "port 443"},
    {"wrong name", "v=STSv1; id=1", "", STS_TLS_NAME, 0, 0, "mx1.example.com", "error", 3, "fetch",
     "error", "subjectAltName"},
    {"bad file", "v=STSv1; id=1", "version: STSv1\nmode: Enforce\n", 0, 0, 0, "mx1.example.com",
     "error", 3, "policy", "error", "line 2: mode is not"},
    {"not listed", "v=STSv1; id=1", GOOD, 0, 0, 0, "mx2.example.com", "error", 3, "mx", "error",
     "mx-not-listed"},
    {"pattern without a host", "v=STSv1; id=1", GOOD, 0, 0, 0, "mx2.example.com", "error", 3, "mx",
     "warning", "mx mx1.example.com of the policy matches none"},
    {"testing only warns", "v=STSv1; id=1",
     "version: STSv1\nmode: testing\nmx: mx1.example.com\nmax_age: 604800\n", 0, 0, 0,
     "mx2.example.com", "warning", 0, "policy", "warning", "mode testing"},
    {"mode none", "v=STSv1; id=1", "version: STSv1\nmode: none\nmax_age: 60\n", 0, 0, 0,
     "mx2.example.com", "warning", 1, "policy", "warning", "mode none"},
    {"null MX", "v=STSv1; id=1", GOOD, 0, 0, STS_NULL_MX, NULL, "error", 3, "mx", "error",
     "null-mx"},
    {"MX unknown", "v=STSv1; id=1", GOOD, 0, 0, STS_DNS_TIMEOUT, NULL, "error", 2, "mx", "error",
     "dns-timeout"},
    {"MX, no resolver", "v=STSv1; id=1", GOOD, 0, 0, STS_DNS_TIMEOUT, NULL, "error", 2, "mx",
     "error", "this host's resolver"},
    {"MX, SERVFAIL", "v=STSv1; id=1", GOOD, 0, 0, STS_DNS_SERVFAIL, NULL, "error", 2, "mx", "error",
     "see to the domain's name servers and its DNSSEC"},
    {"policy host, no resolver", "v=STSv1; id=1", "", STS_DNS_TIMEOUT, 0, 0, "mx1.example.com",
     "error", 2, "fetch", "error", "this host's resolver"},
};

static void
test_worlds(void **state)
{
    struct desk *d = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        d->replies = 0;
        start(d, "check " D);
        end_mx(d, rows[i].mx_error, rows[i].mx, NULL);
        if (rows[i].mx != NULL)
            end_probe(d, rows[i].mx, STS_OK, "", 30);
        if (rows[i].fetch_error != STS_OK)
            end_fetch_badly(d, rows[i].fetch_error, "", rows[i].http_status);
        else
            end_fetch(d, rows[i].body);
        end_tlsrpt(d, "v=TLSRPTv1; rua=https://example.com/r");
        end_txt(d, rows[i].txt);
        if (d->replies != 1 ||
            json_integer_value(json_object_get(d->reply, "exit")) != rows[i].exit_code ||
            strcmp(text_of(d->reply, "status"), rows[i].status) != 0)
            fail_msg("%s: %s", rows[i].name, d->error);
        assert_says(d, rows[i].layer, rows[i].line_status, rows[i].part);
    }
}

static void
test_foreign_text_is_harmless(void **state)
{
    struct desk *d = *state;
    char record[600], body[POLICY_BODY_MAX], *at = body;

    memset(record, 'x', sizeof record - 1);
    memcpy(record, "v=STSv1; id=\x1b[2J\xff\n", 18);
    record[sizeof record - 1] = '\0';
    for (int i = 0; i < 4000; i++)
        at += sprintf(at, "x\xff\x1b%04d: a\n", i);
    start(d, "check " D);
    end_txt(d, record);
    end_fetch(d, body);
    end_tlsrpt(d, record);
    end_mx(d, STS_OK, "mx1.example.com", NULL);
    end_probe(d, "mx1.example.com", STS_OK, "", 30);
    assert_exit(d, "error", 3);
    assert_says(d, "txt", "error", "\\x1B[2J\\xFF\\x0A");
    assert_says(d, "txt", "error", "...");
    assert_says(d, "policy", "warning", "more lines are not shown");
    assert_null(strchr(d->error, '\x1b'));
    assert_true(json_array_size(json_object_get(d->reply, "checks")) < 200);
}

/* How the hosts' TLS is judged, and what it does to the exit status. */
static void
test_tls(void **state)
{
    static const struct {
        const char *mode;
        enum sts_error error;
        const char *detail;
        int days;
        const char *status, *part;
        int exit_code;
    } hosts[] = {
        {"enforce", STS_OK, "", 15, "ok", "in 15 days", 0},
        {"enforce", STS_OK, "", 13, "warning", "renew", 0},
        {"enforce", STS_TLS_EXPIRED, "2026-01-01", -3, "error", "has expired: 2026-01-01", 3},
        {"enforce", STS_TLS_NAME, "", 9, "error", "this host's name", 3},
        {"enforce", STS_TLS_UNTRUSTED, "", 9, "error", "public CA", 3},
        {"enforce", STS_TLS_HANDSHAKE, "STARTTLS is not offered", 0, "error", "not offered", 3},
        {"enforce", STS_CONNECT_REFUSED, "", 0, "error", "port 25", 2},
        {"enforce", STS_TIMEOUT, "", 0, "error", "in time", 2},
        {"enforce", STS_NO_HOST, "it has no address", 0, "error", "no address", 3},
        {"testing", STS_TLS_EXPIRED, "", -3, "warning", "has expired", 0},
    };
    struct desk *d = *state;
    char body[200];

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        snprintf(body, sizeof body,
                 "version: STSv1\nmode: %s\nmx: *.example.com\nmax_age: 604800\n", hosts[i].mode);
        d->replies = 0;
        start(d, "check " D);
        end_txt(d, "v=STSv1; id=1");
        end_tlsrpt(d, "v=TLSRPTv1; rua=mailto:r@example.com");
        end_mx(d, STS_OK, "mx1.example.com", "mx2.example.com");
        end_probe(d, "mx2.example.com", hosts[i].error, hosts[i].detail, hosts[i].days);
        end_probe(d, "mx1.example.com", STS_OK, "", 30);
        assert_int_equal(d->replies, 0);
        end_fetch(d, body);
        assert_int_equal(d->replies, 1);
        assert_says(d, "tls", "ok", "mx1.example.com");
        assert_says(d, "tls", hosts[i].status, hosts[i].part);
        assert_says(d, "tls", hosts[i].status, "mx2.example.com");
        assert_int_equal(json_integer_value(json_object_get(d->reply, "exit")), hosts[i].exit_code);
    }
}

/* A host that no sender uses may have any certificate. */
static void
test_tls_of_unlisted_host(void **state)
{
    struct desk *d = *state;

    start(d, "check " D);
    end_mx(d, STS_OK, "mx2.example.com", NULL);
    end_probe(d, "mx2.example.com", STS_CONNECT_REFUSED, "", 0);
    end_txt(d, "v=STSv1; id=1");
    end_tlsrpt(d, "v=TLSRPTv1; rua=mailto:r@example.com");
    end_fetch(d, GOOD);
    assert_exit(d, "error", 3);
    assert_says(d, "tls", "warning", "connect-refused");
}

static void
test_many_hosts(void **state)
{
    struct desk *d = *state;
    char names[SOURCE_MX_MAX][40];
    const char *hosts[SOURCE_MX_MAX];
    struct mx_result result = {.hosts = hosts, .count = SOURCE_MX_MAX};

    for (int i = 0; i < SOURCE_MX_MAX; i++) {
        snprintf(names[i], sizeof names[i], "mx%d.example.com", i);
        hosts[i] = names[i];
    }
    start(d, "check " D);
    end_txt(d, "v=STSv1; id=1");
    end_tlsrpt(d, "v=TLSRPTv1; rua=mailto:r@example.com");
    end_fetch(d, "version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 604800\n");
    fake_source_end_mx(&d->source, D, &result);
    assert_int_equal(d->source.running, CHECK_PROBES_MAX);
    while (fake_source_fail_one(&d->source, STS_TIMEOUT))
        continue;
    assert_exit(d, "error", 2);
    assert_says(d, "mx", "ok", "mx63.example.com");
    assert_says(d, "tls", "ok", "48 more MX hosts were not connected to");
}

/* What is said of two hosts by their TLSA. */
static void
test_dane(void **state)
{
    static const struct {
        enum sts_error error;
        bool secure;
        enum dane_state states[2];
        const char *status; /* of the report */
        int exit_code;
        struct {
            const char *status, *part;
        } says[2];
    } sets[] = {
        {STS_OK, false, {0}, "ok", 0, {{"ok", "does not apply"}, {"ok", "example.com"}}},
        {STS_NULL_MX,
         true,
         {0},
         "error",
         3,
         {{"ok", "no MX host is known"}, {"ok", "example.com"}}},
        {STS_OK, true, {DANE_USABLE, DANE_USABLE}, "ok", 0, {{"ok", "mx1."}, {"ok", "mx2."}}},
        {STS_OK, true, {DANE_NONE, DANE_NONE}, "ok", 0, {{"ok", "no secure TLSA"}, {"ok", "mx2."}}},
        {STS_OK,
         true,
         {DANE_USABLE, DANE_NONE},
         "warning",
         0,
         {{"ok", "mx1."}, {"warning", "publish TLSA records"}}},
        {STS_OK,
         true,
         {DANE_UNUSABLE, DANE_USABLE},
         "warning",
         0,
         {{"warning", "TLSA 3 1 1"}, {"ok", "mx2."}}},
        {STS_OK,
         true,
         {DANE_FAILED, DANE_NONE},
         "warning",
         0,
         {{"warning", "dns-servfail"}, {"ok", "mx2."}}},
        {STS_OK,
         true,
         {DANE_FAILED, DANE_FAILED},
         "error",
         2,
         {{"error", "mx1."}, {"error", "see to the name servers"}}},
    };
    static const char body[] =
        "version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 604800\n";
    static const char *const hosts[] = {"mx1.example.com", "mx2.example.com"};
    struct desk *d = *state;

    d->settings.dns.trust_ad = true;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct mx_result mx = {.error = sets[i].error,
                               .hosts = hosts,
                               .count = sets[i].error == STS_OK ? 2 : 0,
                               .secure = sets[i].secure,
                               .with_dane = true,
                               .dane_error = STS_DNS_SERVFAIL};

        if (sets[i].secure && mx.count > 0)
            mx.dane = sets[i].states;
        d->replies = 0;
        start(d, "check " D);
        assert_true(d->source.with_dane);
        end_txt(d, "v=STSv1; id=1");
        end_fetch(d, body);
        end_tlsrpt(d, "v=TLSRPTv1; rua=https://example.com/r");
        fake_source_end_mx(&d->source, D, &mx);
        for (size_t k = 0; k < mx.count; k++)
            end_probe(d, hosts[k], STS_OK, "", 30);
        assert_exit(d, sets[i].status, sets[i].exit_code);
        for (int k = 0; k < 2; k++)
            assert_says(d, "dane", sets[i].says[k].status, sets[i].says[k].part);
    }
}

static void
on_report(const struct check_report *report, void *arg)
{
    struct desk *d = arg;
    struct buf out;

    buf_init(&out, 1 << 20);
    buf_add_string(&out, "OK ");
    check_report_json(report, &out);
    on_reply(out.data, out.len, d);
    buf_done(&out);
}

/* What hangs is dropped when time is up, and said to be missing; the rest is told. */
static void
test_deadline(void **state)
{
    struct desk *d = *state;
    struct check_order order = {
        .base = d->control.base, .source = &d->source, .domain = D, .time_ms = 20};

    assert_non_null(check_start(&order, on_report, d));
    end_txt(d, "v=STSv1; id=1");
    end_fetch(d, GOOD);
    end_mx(d, STS_OK, "mx1.example.com", NULL);
    event_base_dispatch(d->control.base);
    assert_exit(d, "error", 2);
    assert_int_equal(d->source.running, 0);
    assert_says(d, "mx", "ok", "listed");
    assert_says(d, "tls", "error", "deadline");
    assert_says(d, "tls", "error", "mx1.example.com");
    assert_says(d, "tlsrpt", "warning", "deadline");

    d->replies = 0;
    assert_non_null(check_start(&order, on_report, d));
    event_base_dispatch(d->control.base);
    assert_exit(d, "error", 2);
    assert_int_equal(d->source.running, 0);
    for (int i = 0; i < 3; i++) {
        static const char *const layers[] = {"txt", "fetch", "mx"};
        assert_says(d, layers[i], i == 0 ? "error" : "warning", "deadline");
    }
}

static void
test_no_domain(void **state)
{
    static const char *const words[] = {
        "check 192.0.2.1", "check [IPv6:2001:db8::1]", "check .example.com", "check a_b.example",
        "check",           "check a.example b.example"};
    struct desk *d = *state;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        start(d, words[i]);
        assert_int_equal(strncmp(d->error, "ERR 64 ", 7), 0);
    }
    start(d, "check M\xc3\xbcnchen.example");
    assert_int_equal(fake_source_running(&d->source, "xn--mnchen-3ya.example"), FAKE_TLSRPT);
}

static void
test_too_many(void **state)
{
    struct desk *d = *state;
    char command[40];

    for (int i = 0; i < CONTROL_CHECKS_MAX; i++) {
        snprintf(command, sizeof command, "check d%d.example", i);
        start(d, command);
    }
    assert_int_equal(d->replies, 0);
    start(d, "check " D);
    assert_int_equal(d->replies, 1);
    assert_int_equal(strncmp(d->error, "ERR 2 ", 6), 0);
}

/* Who asked goes away: all that ran for it is dropped. */
static void
test_cancel(void **state)
{
    struct desk *d = *state;

    start(d, "check " D);
    end_txt(d, "v=STSv1; id=1");
    end_fetch(d, GOOD);
    control_cancel(&d->control, d);
    assert_int_equal(d->source.running, 0);
    assert_int_equal(d->replies, 0);
    start(d, "check " D);
    end_mx(d, STS_OK, "mx1.example.com", NULL); /* the probe and the rest ends with the daemon */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_worlds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_text_is_harmless, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls_of_unlisted_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dane, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_hosts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_domain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
