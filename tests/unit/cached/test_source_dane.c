/* What DANE says of MX hosts, over a fake resolver: one host a row, then many and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "cached/source_dane.h"
#include "common/clock.h"
#include "tests/fake/fake_dns.h"

enum { LONG_MS = 10000, HOSTS_MAX = 64 };

static struct event_base *base;
static struct dns *dns;

#define SECURE .ttl_s = 60, .secure = true
#define A(name) name, DNS_A, SECURE, .records = {{0, "192.0.2.1"}}
#define NO_AAAA(name) name, DNS_AAAA, .error = STS_NO_RECORD, SECURE
#define TLSA(host, ...) "_25._tcp." host, DNS_TLSA, SECURE, .records = {__VA_ARGS__}
#define NO_TLSA(host) "_25._tcp." host, DNS_TLSA, .error = STS_NO_RECORD, SECURE
#define GOOD                                                                                       \
    {                                                                                              \
        0, "3 1 1 32"                                                                              \
    }

static const struct fake_answer answers[] = {
    {A("good.test")},
    {NO_AAAA("good.test")},
    {TLSA("good.test", {0, "0 0 1 32"}, GOOD)},
    {A("pkix.test")},
    {NO_AAAA("pkix.test")},
    {TLSA("pkix.test", {0, "1 1 1 32"}, {0, "3 1 1 31"})},
    {A("junk.test")}, /* records that could not be read */
    {NO_AAAA("junk.test")},
    {TLSA("junk.test", {0, NULL})},
    {A("none.test")},
    {NO_AAAA("none.test")},
    {NO_TLSA("none.test")},
    {A("plain-tlsa.test")},
    {NO_AAAA("plain-tlsa.test")},
    {"_25._tcp.plain-tlsa.test", DNS_TLSA, .ttl_s = 60, .records = {GOOD}},
    {A("bogus.test")},
    {NO_AAAA("bogus.test")},
    {"_25._tcp.bogus.test", DNS_TLSA, .error = STS_DNS_SERVFAIL},
    /* TLSA of what is not signed is not asked for: it is not in this table. */
    {"plain.test", DNS_A, .ttl_s = 60, .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("plain.test")},
    {"half.test", DNS_AAAA, .ttl_s = 60, .records = {{0, "2001:db8::1"}}},
    {A("half.test")},
    {"gone.test", DNS_A, .error = STS_NO_RECORD, SECURE},
    {NO_AAAA("gone.test")},
    {"away.test", DNS_A, .error = STS_DNS_TIMEOUT},
    {NO_AAAA("away.test")},
    /* Aliases. */
    {"alias.test", DNS_A, SECURE, .end = "good.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("alias.test")},
    {"alias-own.test", DNS_A, SECURE, .end = "none.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("alias-own.test")},
    {TLSA("alias-own.test", {0, "2 0 2 64"})},
    {"alias-bogus.test", DNS_A, SECURE, .end = "bogus.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("alias-bogus.test")},
    {TLSA("alias-bogus.test", GOOD)},
    {"alias-none.test", DNS_A, SECURE, .end = "none.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("alias-none.test")},
    {NO_TLSA("alias-none.test")},
    {"leaves.test", DNS_A, .ttl_s = 60, .end = "cdn.plain.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("leaves.test")},
    {"leaves.test", DNS_CNAME, SECURE},
    {TLSA("leaves.test", GOOD)},
    {"never-in.test", DNS_A, .ttl_s = 60, .end = "cdn.plain.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("never-in.test")},
    {"never-in.test", DNS_CNAME, .ttl_s = 60},
    {"lost.test", DNS_A, .ttl_s = 60, .end = "cdn.plain.test", .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("lost.test")},
    {"lost.test", DNS_CNAME, .error = STS_DNS_BAD_REPLY},
    /* Time. */
    {"slow.test", DNS_A, SECURE, .delay_ms = 60000, .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("slow.test")},
    {A("slow-tlsa.test")},
    {NO_AAAA("slow-tlsa.test")},
    {"_25._tcp.slow-tlsa.test", DNS_TLSA, SECURE, .delay_ms = 60000, .records = {GOOD}},
    {"brief.test", DNS_A, .ttl_s = 7, .secure = true, .records = {{0, "192.0.2.1"}}},
    {NO_AAAA("brief.test")},
    {TLSA("brief.test", GOOD)},
};

struct got {
    int calls;
    enum dane_state states[HOSTS_MAX];
    size_t count; /* set by the test */
    enum sts_error error;
    char failed[64];
    uint32_t ttl_s;
};

static void
on_done(const struct source_dane_result *result, void *arg)
{
    struct got *got = arg;

    got->calls++;
    memcpy(got->states, result->states, got->count * sizeof *result->states);
    got->error = result->error;
    got->ttl_s = result->ttl_s;
    if (result->error != STS_OK) {
        snprintf(got->failed, sizeof got->failed, "%s", result->failed_host);
        assert_true(result->why[0] != '\0');
    }
}

static void
run_for(int64_t ms)
{
    struct timeval span = clock_timeval(ms);

    event_base_loopexit(base, &span);
    event_base_dispatch(base);
}

static struct source_dane *
begin(const char *const *hosts, int64_t time_ms, struct got *got)
{
    struct source_dane_order order = {base, dns, hosts, got->count, time_ms};
    struct source_dane *dane = source_dane_start(&order, on_done, got);

    assert_int_equal(got->calls, 0);
    return dane;
}

/* Returns after how long. */
static int64_t
look(const char *const *hosts, int64_t time_ms, struct got *got)
{
    int64_t began_ms = clock_boot_ms();

    assert_non_null(begin(hosts, time_ms, got));
    while (got->calls == 0 && clock_boot_ms() < began_ms + 2 * LONG_MS)
        run_for(2);
    assert_int_equal(got->calls, 1);
    return clock_boot_ms() - began_ms;
}

static const struct {
    const char *host;
    enum dane_state want;
    enum sts_error error;
    int questions;
} rows[] = {
    {"good.test", DANE_USABLE, STS_OK, 3},
    {"pkix.test", DANE_UNUSABLE, STS_OK, 3},
    {"junk.test", DANE_UNUSABLE, STS_OK, 3},
    {"none.test", DANE_NONE, STS_OK, 3},
    {"plain-tlsa.test", DANE_NONE, STS_OK, 3},
    {"bogus.test", DANE_FAILED, STS_DNS_SERVFAIL, 3},
    {"plain.test", DANE_NONE, STS_OK, 2},
    {"half.test", DANE_NONE, STS_OK, 2},
    {"gone.test", DANE_NONE, STS_OK, 2},
    {"away.test", DANE_FAILED, STS_DNS_TIMEOUT, 2},
    {"alias.test", DANE_USABLE, STS_OK, 3},
    {"alias-own.test", DANE_USABLE, STS_OK, 4},
    {"alias-bogus.test", DANE_FAILED, STS_DNS_SERVFAIL, 3},
    {"alias-none.test", DANE_NONE, STS_OK, 4},
    {"leaves.test", DANE_USABLE, STS_OK, 4},
    {"never-in.test", DANE_NONE, STS_OK, 3},
    {"lost.test", DANE_FAILED, STS_DNS_BAD_REPLY, 3},
};

static void
test_one_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct got got = {.count = 1};
        int asked = fake_dns_questions();
        look(&rows[i].host, LONG_MS, &got);
        if (got.states[0] != rows[i].want || got.error != rows[i].error)
            fail_msg("%s: state %d, error %d", rows[i].host, (int)got.states[0], (int)got.error);
        assert_int_equal(fake_dns_questions() - asked, rows[i].questions);
        assert_string_equal(got.failed, rows[i].error != STS_OK ? rows[i].host : "");
        assert_int_equal(got.ttl_s, rows[i].error != STS_OK ? 0 : 60);
    }
}

/* The first failure is told, the smallest TTL counts only where nothing failed. */
static void
test_several_hosts(void **state)
{
    static const char *const all[] = {"none.test", "bogus.test", "good.test", "away.test",
                                      "brief.test"};
    static const char *const well[] = {"good.test", "brief.test"};
    struct got got = {.count = 5}, good = {.count = 2};

    (void)state;
    look(all, LONG_MS, &got);
    assert_int_equal(got.states[0], DANE_NONE);
    assert_int_equal(got.states[1], DANE_FAILED);
    assert_int_equal(got.states[2], DANE_USABLE);
    assert_int_equal(got.states[3], DANE_FAILED);
    assert_int_equal(got.states[4], DANE_USABLE);
    assert_int_equal(got.ttl_s, 0);
    look(well, LONG_MS, &good);
    assert_int_equal(good.ttl_s, 7);
}

/* Whoever does not answer costs one span of time, and the others nothing. */
static void
test_time_is_up(void **state)
{
    static const char *const hosts[] = {"slow.test", "good.test", "slow-tlsa.test", "none.test"};
    struct got got = {.count = 4};
    int64_t took_ms = look(hosts, 150, &got);

    (void)state;
    assert_in_range(took_ms, 150, 2000);
    assert_int_equal(got.states[0], DANE_FAILED);
    assert_int_equal(got.states[1], DANE_USABLE);
    assert_int_equal(got.states[2], DANE_FAILED);
    assert_int_equal(got.states[3], DANE_NONE);
    assert_int_equal(got.error, STS_DNS_TIMEOUT);
}

/* All of the largest set are looked at, so many at a time. */
static void
test_many_hosts(void **state)
{
    const char *hosts[HOSTS_MAX];
    struct got got = {.count = HOSTS_MAX};
    int asked = fake_dns_questions();
    struct source_dane *dane;

    (void)state;
    for (size_t i = 0; i < HOSTS_MAX; i++)
        hosts[i] = i < SOURCE_DANE_ABREAST ? "slow.test" : "good.test";
    dane = begin(hosts, LONG_MS, &got);
    run_for(30);
    assert_int_equal(fake_dns_questions() - asked, 2 * SOURCE_DANE_ABREAST);
    source_dane_cancel(dane);
    assert_int_equal(got.calls, 0);
    for (size_t i = 0; i < HOSTS_MAX; i++)
        hosts[i] = "good.test";
    look(hosts, LONG_MS, &got);
    for (size_t i = 0; i < HOSTS_MAX; i++)
        assert_int_equal(got.states[i], DANE_USABLE);
}

static void
test_cancel(void **state)
{
    static const char *const hosts[] = {"slow.test", "slow-tlsa.test", "good.test"};
    struct got got = {.count = 3};
    struct source_dane *dane = begin(hosts, 60, &got);

    (void)state;
    source_dane_cancel(NULL);
    run_for(20);
    source_dane_cancel(dane);
    run_for(80);
    assert_int_equal(got.calls, 0);
}

static int
set_up(void **state)
{
    (void)state;
    base = event_base_new();
    dns = dns_new(base, NULL, NULL, 0);
    fake_dns_set(answers, sizeof answers / sizeof *answers);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    dns_free(dns);
    event_base_free(base);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_host),   cmocka_unit_test(test_several_hosts),
        cmocka_unit_test(test_time_is_up), cmocka_unit_test(test_many_hosts),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
