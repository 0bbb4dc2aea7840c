/* Probing: a question waits for the TLS of the listed MX hosts, as long as that can still change
 * its answer and its time lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "cached/query_engine.h"
#include "common/log.h"
#include "tests/fake/query_lab.h"

#define MX1 "mx1." LAB_DOMAIN
#define MX2 "mx2." LAB_DOMAIN

enum { WEEK_S = 7 * 86400 };

static int
set_up(void **state)
{
    struct lab *lab = lab_new();

    lab->settings.probe = true;
    lab->source.side_by_side = true;
    *state = lab;
    return 0;
}

/* As the milter asks. */
static void
ask(struct lab *lab, struct asker *asker)
{
    lab_put(lab, (struct question){.wait_ms = -1, .want_mx = true, .want_probe = true}, asker);
}

static void
mx_set(struct lab *lab, const char *one, const char *other)
{
    const char *hosts[] = {one, other};
    struct mx_result result = {.ttl_s = 600, .hosts = hosts, .count = other != NULL ? 2 : 1};

    fake_source_end_mx(&lab->source, LAB_DOMAIN, &result);
}

static void
probe_ends(struct lab *lab, const char *host, enum sts_error error)
{
    struct probe_result result = {.error = error, .expires_s = lab->wall_s + WEEK_S};

    if (error != STS_OK)
        snprintf(result.detail, sizeof result.detail, "what is wrong");
    fake_source_end_probe(&lab->source, host, &result);
}

static bool
is_probed(const struct lab *lab, const char *host)
{
    return fake_source_running(&lab->source, host) == FAKE_PROBE;
}

/* A first question, as far as the probes of both hosts. */
static void
ask_as_far_as_probes(struct lab *lab, struct asker *asker)
{
    ask(lab, asker);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    mx_set(lab, MX1, MX2);
    assert_int_equal(asker->answers, 0);
    assert_true(is_probed(lab, MX1) && is_probed(lab, MX2));
}

static void
assert_asked_now(struct lab *lab, enum verdict verdict, enum sts_error reason)
{
    struct asker asker;

    ask(lab, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, verdict, reason);
}

static void
one_host_that_passed_is_enough(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX1, STS_TLS_EXPIRED);
    assert_int_equal(asker.answers, 0);
    probe_ends(lab, MX2, STS_OK);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_string_equal(asker.hosts, MX1 " " MX2);
    assert_asked_now(lab, VERDICT_SECURE, STS_OK);
}

static void
the_first_good_host_ends_the_wait(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX2, STS_OK);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(query_running(lab->engine), 0);
    assert_true(is_probed(lab, MX1)); /* goes on by itself */
    probe_ends(lab, MX1, STS_TLS_NAME);
}

static void
when_all_fail_mail_waits(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX2, STS_TLS_NAME);
    probe_ends(lab, MX1, STS_TLS_HANDSHAKE);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_PROBE_FAILED); /* TXT was asked just now */
    assert_string_equal(asker.hosts, MX1 " " MX2);
    assert_asked_now(lab, VERDICT_REFUSE, STS_PROBE_FAILED);
    assert_int_equal(lab->stats.reasons[STS_PROBE_FAILED], 2);
}

/* RFC 8461 s5.1, as before any refusal. */
static void
txt_is_asked_anew_before_a_refusal(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 30);
    ask(lab, &asker);
    mx_set(lab, MX1, NULL);
    probe_ends(lab, MX1, STS_TLS_NAME);
    assert_int_equal(asker.answers, 0);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    lab_txt(lab, "id2");
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_told(&asker, VERDICT_TESTING, STS_OK);
}

static void
the_refusal_stands_when_the_record_does(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 30);
    ask(lab, &asker);
    mx_set(lab, MX1, NULL);
    probe_ends(lab, MX1, STS_TLS_NAME);
    lab_txt(lab, "id1");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_PROBE_FAILED);
    assert_int_equal(lab->source.probe_started, 1);
}

static void
a_host_that_cannot_be_judged_holds_nothing_back(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX1, STS_TLS_NAME);
    probe_ends(lab, MX2, STS_CONNECT_REFUSED);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
}

static void
hosts_are_left_in_peace_for_their_time(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX1, STS_TLS_NAME);
    probe_ends(lab, MX2, STS_TLS_NAME);
    for (int i = 0; i < 100; i++)
        assert_asked_now(lab, VERDICT_REFUSE, STS_PROBE_FAILED);
    assert_int_equal(lab->source.probe_started, 2);
    lab_pass(lab, PROBES_BAD_MS / 1000);
    ask(lab, &asker);
    assert_int_equal(lab->source.probe_started, 4);
    assert_int_equal(asker.answers, 0);
    probe_ends(lab, MX1, STS_OK);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    probe_ends(lab, MX2, STS_OK);
}

/* The probe goes on behind, and does not make the next ones wait again. */
static void
a_hanging_host_costs_one_deadline(void **state)
{
    struct lab *lab = *state;
    struct asker first, second;

    lab->settings.answer_deadline_ms = LAB_SOON_MS;
    ask(lab, &first);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    mx_set(lab, MX1, NULL);
    lab_wait(lab, &first);
    lab_assert_told(&first, VERDICT_SECURE, STS_DEADLINE);
    lab_pass(lab, 1);
    assert_asked_now(lab, VERDICT_SECURE, STS_DEADLINE);
    while (query_running(lab->engine) > 0) /* nobody waits any more */
        event_base_loop(lab->base, EVLOOP_ONCE);
    assert_true(is_probed(lab, MX1));
    probe_ends(lab, MX1, STS_TLS_NAME);
    ask(lab, &second);
    lab_assert_told(&second, VERDICT_REFUSE, STS_PROBE_FAILED);
    assert_int_equal(lab->source.probe_started, 1);
}

static void
no_time_to_wait_still_begins_the_probe(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_put(lab, (struct question){.wait_ms = 0, .want_mx = true, .want_probe = true}, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
    mx_set(lab, MX1, NULL);
    lab_put(lab, (struct question){.wait_ms = 0, .want_mx = true, .want_probe = true}, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
    probe_ends(lab, MX1, STS_TLS_NAME);
    assert_int_equal(query_running(lab->engine), 0);
    lab_put(lab, (struct question){.wait_ms = 0, .want_mx = true, .want_probe = true}, &asker);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_PROBE_FAILED);
}

static void
maps_wait_for_no_probe(void **state)
{
    struct lab *lab = *state;
    struct asker milter, map;

    ask_as_far_as_probes(lab, &milter);
    lab_ask_mx(lab, &map);
    assert_true(map.at_once);
    lab_assert_told(&map, VERDICT_SECURE, STS_OK);
    probe_ends(lab, MX1, STS_TLS_NAME);
    probe_ends(lab, MX2, STS_TLS_NAME);
    lab_assert_told(&milter, VERDICT_REFUSE, STS_PROBE_FAILED);
    lab_ask_mx(lab, &map);
    lab_assert_told(&map, VERDICT_SECURE, STS_OK);
}

/* RFC 8461 s3.4: of "[host]" the host itself is the only one, and no MX set is asked for. */
static void
a_fixed_next_hop_is_probed_itself(void **state)
{
    struct lab *lab = *state;
    struct question question = {
        .wait_ms = -1, .want_mx = true, .host_only = true, .want_probe = true};
    struct asker asker;

    lab_put(lab, question, &asker);
    lab_txt(lab, "id1");
    lab_fetch_body(lab, "version: STSv1\nmode: enforce\nmx: " LAB_DOMAIN "\nmax_age: 86400\n");
    assert_true(is_probed(lab, LAB_DOMAIN));
    probe_ends(lab, LAB_DOMAIN, STS_TLS_UNTRUSTED);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_PROBE_FAILED);
    assert_int_equal(lab->source.mx_started, 0);
}

static void
both_kinds_of_asker_are_served_by_one_resolution(void **state)
{
    struct lab *lab = *state;
    struct question fixed = {.wait_ms = -1, .want_mx = true, .host_only = true, .want_probe = true};
    struct asker by_mx, by_host;

    ask(lab, &by_mx);
    lab_txt(lab, "id1");
    lab_fetch_body(lab, "version: STSv1\nmode: enforce\nmx: " LAB_DOMAIN "\nmx: " MX1
                        "\nmax_age: 86400\n");
    mx_set(lab, MX1, NULL);
    lab_put(lab, fixed, &by_host);
    probe_ends(lab, MX1, STS_TLS_NAME);
    lab_assert_told(&by_mx, VERDICT_REFUSE, STS_PROBE_FAILED);
    probe_ends(lab, LAB_DOMAIN, STS_OK);
    lab_assert_told(&by_host, VERDICT_SECURE, STS_OK);
}

static void
only_the_first_of_many_hosts_are_asked(void **state)
{
    struct lab *lab = *state;
    char names[PROBES_WANT_MAX + 2][40];
    const char *hosts[PROBES_WANT_MAX + 2];
    struct mx_result result = {.ttl_s = 600, .hosts = hosts, .count = PROBES_WANT_MAX + 2};
    struct asker asker;

    for (size_t i = 0; i < result.count; i++) {
        snprintf(names[i], sizeof names[i], "mx%zu." LAB_DOMAIN, i);
        hosts[i] = names[i];
    }
    hosts[0] = "other.test"; /* not listed: never asked, and not one of the eight */
    ask(lab, &asker);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    fake_source_end_mx(&lab->source, LAB_DOMAIN, &result);
    assert_int_equal(lab->source.probe_started, PROBES_WANT_MAX);
    assert_false(is_probed(lab, hosts[0]));
    assert_false(is_probed(lab, hosts[PROBES_WANT_MAX + 1]));
    for (size_t i = 1; i <= PROBES_WANT_MAX; i++) {
        assert_int_equal(asker.answers, 0);
        probe_ends(lab, hosts[i], STS_TLS_NAME);
    }
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK); /* the ninth may be good */
}

static void
an_order_breaks_the_wait_off(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    query_forget(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    assert_int_equal(asker.answers, 0);
    lab_txt_fails(lab, STS_NO_RECORD, 60);
    lab_assert_told(&asker, VERDICT_NONE, STS_NO_RECORD);
    assert_int_equal(query_running(lab->engine), 0);
    probe_ends(lab, MX1, STS_TLS_NAME);
    probe_ends(lab, MX2, STS_OK);
}

static void
who_does_not_want_probes_has_none(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab->settings.probe = false;
    ask(lab, &asker);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    mx_set(lab, MX1, NULL);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.probe_started, 0);
}

static void
a_reload_asks_anew(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_as_far_as_probes(lab, &asker);
    probe_ends(lab, MX1, STS_TLS_UNTRUSTED);
    probe_ends(lab, MX2, STS_TLS_UNTRUSTED);
    query_engine_set_settings(lab->engine, &lab->settings);
    ask(lab, &asker);
    assert_int_equal(asker.answers, 0);
    probe_ends(lab, MX1, STS_OK);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    probe_ends(lab, MX2, STS_OK);
}

static void
probe(struct judgement *j, const char *host, enum sts_error error, const char *detail)
{
    j->probes[j->probe_count++] =
        (struct verdict_probe){host, {.state = PROBE_KNOWN, .error = error, .detail = detail}};
}

static void
the_log_names_each_cause_and_keeps_its_bounds(void **state)
{
    struct judgement j = {.verdict = VERDICT_REFUSE};
    char text[QUERY_PROBES_TEXT_SIZE], long_detail[SOURCE_DETAIL_SIZE];

    (void)state;
    query_describe_probes(&j, text);
    assert_string_equal(text, "");
    probe(&j, "mx1.test", STS_OK, "");
    query_describe_probes(&j, text);
    assert_string_equal(text, "");
    probe(&j, "mx2.test", STS_TLS_NAME, "for x.test");
    query_describe_probes(&j, text);
    assert_string_equal(text, "mx1.test ok, mx2.test tls-name (for x.test)");
    memset(long_detail, 'd', sizeof long_detail);
    long_detail[sizeof long_detail - 1] = '\0';
    while (j.probe_count < PROBES_WANT_MAX)
        probe(&j, "mx3.test", STS_TIMEOUT, long_detail);
    query_describe_probes(&j, text);
    assert_true(strlen(text) < sizeof text && strlen(text) > sizeof text / 2);
    assert_string_equal(text + strlen(text) - 7, "d), ...");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, lab_tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(one_host_that_passed_is_enough),
        TEST(the_first_good_host_ends_the_wait),
        TEST(when_all_fail_mail_waits),
        TEST(txt_is_asked_anew_before_a_refusal),
        TEST(the_refusal_stands_when_the_record_does),
        TEST(a_host_that_cannot_be_judged_holds_nothing_back),
        TEST(hosts_are_left_in_peace_for_their_time),
        TEST(a_hanging_host_costs_one_deadline),
        TEST(no_time_to_wait_still_begins_the_probe),
        TEST(maps_wait_for_no_probe),
        TEST(a_fixed_next_hop_is_probed_itself),
        TEST(both_kinds_of_asker_are_served_by_one_resolution),
        TEST(only_the_first_of_many_hosts_are_asked),
        TEST(an_order_breaks_the_wait_off),
        TEST(who_does_not_want_probes_has_none),
        TEST(a_reload_asks_anew),
        cmocka_unit_test(the_log_names_each_cause_and_keeps_its_bounds),
    };

    log_open("test_query_probe", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
