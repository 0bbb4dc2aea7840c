/* The decision where the listed hosts are probed, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cached/verdict.h"
#include "common/clock.h"
#include "tests/unit/cached/verdict_samples.h"

enum { PATIENCE_MS = 4000 };
#define KNOWN(e)                                                                                   \
    {                                                                                              \
        .state = PROBE_KNOWN, .error = e                                                           \
    }
#define RUNNING(ms)                                                                                \
    {                                                                                              \
        .state = PROBE_RUNNING, .running_ms = ms                                                   \
    }
#define NOT_ASKED                                                                                  \
    {                                                                                              \
        .state = PROBE_UNKNOWN                                                                     \
    }

static const struct {
    const char *name;
    size_t count;
    struct probe_memory known[3];
    enum verdict_need need; /* with TXT asked long ago */
    enum verdict verdict;
    enum sts_error reason;
} probes[] = {
    {"passed", 1, {KNOWN(STS_OK)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"not asked", 1, {NOT_ASKED}, VERDICT_NEEDS_PROBE, VERDICT_SECURE, STS_OK},
    {"running", 1, {RUNNING(PATIENCE_MS - 1)}, VERDICT_NEEDS_PROBE, VERDICT_SECURE, STS_OK},
    {"hanging", 1, {RUNNING(PATIENCE_MS)}, VERDICT_FINAL, VERDICT_SECURE, STS_DEADLINE},
    {"another name",
     1,
     {KNOWN(STS_TLS_NAME)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"expired",
     1,
     {KNOWN(STS_TLS_EXPIRED)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"not yet valid",
     1,
     {KNOWN(STS_TLS_NOT_YET_VALID)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"untrusted",
     1,
     {KNOWN(STS_TLS_UNTRUSTED)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"no TLS",
     1,
     {KNOWN(STS_TLS_HANDSHAKE)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"not reached", 1, {KNOWN(STS_CONNECT_REFUSED)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"not allowed to", 1, {KNOWN(STS_CONNECT_BLOCKED)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"silent", 1, {KNOWN(STS_TIMEOUT)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"no address", 1, {KNOWN(STS_NO_HOST)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"address unknown", 1, {KNOWN(STS_DNS_SERVFAIL)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"too many run", 1, {KNOWN(STS_OVERLOAD)}, VERDICT_FINAL, VERDICT_SECURE, STS_OVERLOAD},
    {"all bad",
     3,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_TLS_EXPIRED), KNOWN(STS_TLS_HANDSHAKE)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"bad, then good",
     2,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_OK)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"good, then running", 2, {KNOWN(STS_OK), RUNNING(1)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"hanging, then good",
     2,
     {RUNNING(PATIENCE_MS), KNOWN(STS_OK)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then running",
     2,
     {KNOWN(STS_TLS_NAME), RUNNING(1)},
     VERDICT_NEEDS_PROBE,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then not asked",
     2,
     {KNOWN(STS_TLS_NAME), NOT_ASKED},
     VERDICT_NEEDS_PROBE,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then hanging",
     2,
     {KNOWN(STS_TLS_NAME), RUNNING(PATIENCE_MS)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_DEADLINE},
    {"bad, then not reached",
     2,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_CONNECT_REFUSED)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"not reached, then running",
     2,
     {KNOWN(STS_CONNECT_REFUSED), RUNNING(1)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
};

/* The verdict on a domain of one listed host, and then on what is known of `count` of its hosts. */
static enum verdict_need
judge_probes(struct entry *e, size_t count, const struct probe_memory *known, struct judgement *j)
{
    assert_int_equal(verdict_judge(e, "host.b.test", VERDICT_MX, true, NOW_MS, j), VERDICT_FINAL);
    assert_true(verdict_can_be_probed(j));
    assert_int_equal(j->probe_count, 0);
    for (size_t i = 0; i < count; i++)
        j->probes[j->probe_count++] = (struct verdict_probe){"host.b.test", known[i]};
    return verdict_judge_probes(j, PATIENCE_MS, NOW_MS);
}

static void
judges_probes(void **state)
{
    struct facts long_ago = {ENFORCE, LISTED, .checked_ago_ms = VERDICT_RECHECK_MS};
    struct facts just_now = {ENFORCE, LISTED, .checked_ago_ms = VERDICT_RECHECK_MS - 1};

    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        struct entry *old = verdict_sample(&long_ago), *fresh = verdict_sample(&just_now);
        struct judgement j;

        print_message("%s\n", probes[i].name);
        assert_int_equal(judge_probes(old, probes[i].count, probes[i].known, &j), probes[i].need);
        assert_int_equal(j.verdict, probes[i].verdict);
        assert_int_equal(j.reason, probes[i].reason);
        assert_int_equal(judge_probes(fresh, probes[i].count, probes[i].known, &j),
                         probes[i].need == VERDICT_NEEDS_RECHECK ? VERDICT_FINAL : probes[i].need);
        assert_int_equal(j.verdict, probes[i].verdict);
        verdict_sample_free(old);
        verdict_sample_free(fresh);
    }
}

/* Where DANE is not known the policy decides, so its hosts are probed; that it is not known is told
 * again when no host is to blame. */
static void
hosts_are_probed_where_dane_is_not_known(void **state)
{
    struct facts facts = {ENFORCE, LISTED, MX_SET, .mx_hosts = {"mx1.a.test"}, .checked_ago_ms = 1};
    static const uint8_t states[] = {DANE_FAILED};
    static const struct probe_memory good = KNOWN(STS_OK), bad = KNOWN(STS_TLS_NAME),
                                     away = KNOWN(STS_TIMEOUT);
    const struct {
        const struct probe_memory *known;
        enum verdict verdict;
        enum sts_error reason;
    } cases[] = {{&good, VERDICT_SECURE, STS_DNS_TIMEOUT},
                 {&away, VERDICT_SECURE, STS_DNS_TIMEOUT},
                 {&bad, VERDICT_REFUSE, STS_PROBE_FAILED}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct entry *e = verdict_sample(&facts);
        struct judgement j;

        e->mx->with_dane = true;
        e->mx->dane = states;
        e->mx->dane_error = STS_DNS_TIMEOUT;
        assert_int_equal(verdict_judge(e, "a.test", VERDICT_MX_DANE, false, NOW_MS, &j),
                         VERDICT_FINAL);
        assert_true(verdict_can_be_probed(&j));
        j.probes[j.probe_count++] = (struct verdict_probe){"mx1.a.test", *cases[i].known};
        assert_int_equal(verdict_judge_probes(&j, PATIENCE_MS, NOW_MS), VERDICT_FINAL);
        assert_int_equal(j.verdict, cases[i].verdict);
        assert_int_equal(j.reason, cases[i].reason);
        assert_true(j.dane_failed);
        verdict_sample_free(e);
    }
}

static void
only_a_secure_verdict_with_listed_hosts_is_probed(void **state)
{
    static const struct judgement no[] = {
        {.verdict = VERDICT_NONE, .host_count = 1},
        {.verdict = VERDICT_TESTING, .host_count = 1},
        {.verdict = VERDICT_DANE, .host_count = 1},
        {.verdict = VERDICT_REFUSE, .reason = STS_MX_NOT_LISTED},
        {.verdict = VERDICT_SECURE, .reason = STS_DNS_SERVFAIL, .host_count = 1},
        {.verdict = VERDICT_SECURE, .host_count = 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(verdict_can_be_probed(&no[i]));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_probes),
        cmocka_unit_test(hosts_are_probed_where_dane_is_not_known),
        cmocka_unit_test(only_a_secure_verdict_with_listed_hosts_is_probed),
    };

    clock_fake(NOW_MS, WALL_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
