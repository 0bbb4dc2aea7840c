/* The decision where DANE is looked at first, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cached/verdict.h"
#include "common/clock.h"
#include "tests/unit/cached/verdict_samples.h"

#define HOSTS_LISTED .mx_hosts = {"mx1.a.test", "x.b.test"}
#define HOSTS_UNLISTED .mx_hosts = {"evil.test", "b.test"}
#define NOBODY .mx = "mx: localhost\n"

/* Two hosts with these states; looked up `with_dane`, of a set that is `secure`. */
static const struct {
    const char *name;
    struct facts facts;
    bool without_dane, insecure;
    enum dane_state states[2];
    enum sts_error dane_error;
    enum verdict_mx want;
    enum verdict_need need;
    enum verdict verdict;
    enum sts_error reason;
    bool dane_failed;
} dane_rows[] = {
    {"usable",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"one is enough",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_NONE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"beside one that failed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_USABLE},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"before refuse",
     {ENFORCE, LISTED, MX_SET, HOSTS_UNLISTED},
     .states = {DANE_USABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"before a policy that lists nobody",
     {ENFORCE, NOBODY, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"none",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_NONE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"unusable",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_UNUSABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"one failed, one without",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_NONE},
     .dane_error = STS_DNS_TIMEOUT,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_TIMEOUT},
    {"all failed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_FAILED},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_SERVFAIL,
     .dane_failed = true},
    {"all failed, none listed",
     {ENFORCE, LISTED, MX_SET, HOSTS_UNLISTED, .checked_ago_ms = 1},
     .states = {DANE_FAILED, DANE_FAILED},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_REFUSE,
     .reason = STS_MX_NOT_LISTED,
     .dane_failed = true},
    {"a set that is not signed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"MX look-up failed",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_DNS_SERVFAIL},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_SERVFAIL},
    {"MX look-up failed, nobody listed",
     {ENFORCE, NOBODY, MX_SET, .mx_error = STS_DNS_SERVFAIL, .checked_ago_ms = 1},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_REFUSE,
     .reason = STS_MX_NOT_LISTED},
    {"looked up before DANE was on",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .without_dane = true,
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .need = VERDICT_NEEDS_MX},
    {"nobody listed, not looked up",
     {ENFORCE, NOBODY},
     .want = VERDICT_MX_DANE,
     .need = VERDICT_NEEDS_MX},
    {"DANE is off now",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX,
     .verdict = VERDICT_SECURE},
    {"MX not asked about",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_NO_MX,
     .verdict = VERDICT_SECURE},
    {"mode testing",
     {.mode = "testing", .expires_in_s = 1, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_TESTING},
};

static void
leaves_to_dane_what_has_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dane_rows / sizeof *dane_rows; i++) {
        struct entry *e = verdict_sample(&dane_rows[i].facts);
        uint8_t states[2] = {(uint8_t)dane_rows[i].states[0], (uint8_t)dane_rows[i].states[1]};
        struct judgement j;

        print_message("%s\n", dane_rows[i].name);
        if (e->mx != NULL) {
            e->mx->with_dane = !dane_rows[i].without_dane;
            e->mx->dane = dane_rows[i].insecure ? NULL : states;
            e->mx->dane_error = dane_rows[i].dane_error;
        }
        assert_int_equal(verdict_judge(e, "b.test", dane_rows[i].want, false, NOW_MS, &j),
                         dane_rows[i].need);
        if (dane_rows[i].need == VERDICT_FINAL) {
            assert_int_equal(j.verdict, dane_rows[i].verdict);
            assert_int_equal(j.reason, dane_rows[i].reason);
            assert_int_equal(j.dane_failed, dane_rows[i].dane_failed);
            assert_true(j.dane == NULL || j.dane == states);
        }
        verdict_sample_free(e);
    }
}

/* "[host]" has no MX set that could be secure. */
static void
a_single_host_is_not_left_to_dane(void **state)
{
    struct facts facts = {ENFORCE, .mx = "mx: *.b.test\n", MX_SET, HOSTS_LISTED};
    struct entry *e = verdict_sample(&facts);
    static const uint8_t states[] = {DANE_USABLE, DANE_USABLE};
    struct judgement j;

    (void)state;
    e->mx->with_dane = true;
    e->mx->dane = states;
    assert_int_equal(verdict_judge(e, "host.b.test", VERDICT_MX_DANE, true, NOW_MS, &j),
                     VERDICT_FINAL);
    assert_int_equal(j.verdict, VERDICT_SECURE);
    assert_null(j.dane);
    verdict_sample_free(e);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_to_dane_what_has_it),
        cmocka_unit_test(a_single_host_is_not_left_to_dane),
    };

    clock_fake(NOW_MS, WALL_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
