/* What the MX hosts do to a verdict: refusals and what comes before them, DANE, and askers that
 * need them after all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400 };

/* --- refusals ---------------------------------------------------------------------- */

static void
hold_unlisted(struct lab *lab)
{
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 11);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    assert_int_equal(asker.answers, 0);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    query_cancel(asker.token);
}

static void
a_refusal_waits_for_a_fresh_record(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    size_t looked;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id1");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    looked = lab->source.txt_started;
    lab_pass(lab, 9);
    lab_ask_mx(lab, &asker); /* at most once in 10 s */
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    assert_int_equal(lab->source.txt_started, looked);
    lab_pass(lab, 1);
    lab_ask_mx(lab, &asker);
    assert_false(asker.at_once);
    assert_int_equal(lab->source.txt_started, looked + 1);
    query_cancel(asker.token);
}

static void
a_changed_id_rescues_from_refusal(void **state)
{
    struct lab *lab = *state;
    struct asker asker, joins;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id2");
    assert_int_equal(asker.answers, 0); /* not before the new policy was seen */
    lab_ask_mx(lab, &joins);
    assert_int_equal(joins.answers, 0);
    lab_fetch_body(lab, "version: STSv1\nmode: enforce\nmx: mx.elsewhere.test\nmax_age: 86400\n");
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    lab_assert_told(&joins, VERDICT_SECURE, STS_OK);
    assert_string_equal(asker.hosts, "mx.elsewhere.test");
}

static void
a_failed_rescue_refuses(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id2");
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
}

/* The fetch of the new id takes so long that the look before it is no fresh one when it fails. */
static void
a_refusal_waits_for_one_record_only(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    size_t looked;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    lab_pass(lab, 11);
    looked = lab->source.txt_started;
    lab_ask_mx(lab, &asker);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    lab_txt(lab, "id2");
    lab_pass(lab, 11);
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    assert_int_equal(lab->source.txt_started, looked + 1);
}

/* RFC 7505: no policy makes such a domain take mail. */
static void
a_null_mx_waits_for_no_rescue(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_NULL_MX, NULL);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_NULL_MX);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id2");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_ask_mx(lab, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_NULL_MX);
}

/* --- DANE ------------------------------------------------------------------ */

/* A reload turns it on: what was looked up without it is looked up again. */
static void
a_set_looked_up_without_dane_is_of_no_use(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    assert_false(lab->source.with_dane);
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    lab->settings.dane = true;
    lab_ask_mx(lab, &asker);
    assert_false(asker.at_once);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_USABLE);
    lab_assert_told(&asker, VERDICT_DANE, STS_OK);
    lab_ask_mx(lab, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_DANE, STS_OK);
    lab->settings.dane = false;
    lab_ask_mx(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.mx_started, 2);
}

/* DANE is turned on while the set is looked up without it: asked again, and then answered. */
static void
dane_turned_on_meanwhile(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab->settings.dane = true;
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    assert_int_equal(asker.answers, 0);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_FAILED);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DNS_SERVFAIL);
}

/* Time is up while the hosts are looked at again: what DANE said of them last still counts, for
 * MTA-STS must not override it. */
static void
a_deadline_does_not_undo_dane(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab->settings.dane = true;
    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_USABLE);
    lab_pass(lab, 301);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_DANE, STS_DEADLINE);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_NONE);
    lab_pass(lab, 301);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
}

/* Who does not ask about the hosts (Sendmail's name) waits for no DNS. */
static void
dane_is_nothing_to_a_plain_question(void **state)
{
    struct lab *lab = *state;

    lab->settings.dane = true;
    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.mx_started, 0);
}

static bool
needs_mx(const struct judgement *j)
{
    return j->verdict == VERDICT_SECURE;
}

/* Sendmail's list is too long, which the policy tells: one question all the same, once answered. */
static void
an_asker_may_need_the_hosts_after_all(void **state)
{
    struct question question = {.wait_ms = LAB_SOON_MS, .needs_mx = needs_mx};
    struct lab *lab = *state;
    struct asker asker, plain;

    lab_put(lab, question, &asker);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS}, &plain);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&plain, VERDICT_SECURE, STS_OK);
    assert_int_equal(asker.answers, 0);
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->stats.questions, 2);
    lab_pass(lab, 601); /* the set is too old */
    lab_put(lab, question, &asker);
    assert_false(asker.at_once);
    if (lab_running(lab) == FAKE_TXT)
        lab_txt(lab, "id1");
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->stats.questions, 3);
    lab_put(lab, question, &asker);
    assert_true(asker.at_once);
    assert_int_equal(lab->stats.questions, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_refusal_waits_for_a_fresh_record),
        TEST(a_changed_id_rescues_from_refusal),
        TEST(a_failed_rescue_refuses),
        TEST(a_refusal_waits_for_one_record_only),
        TEST(a_null_mx_waits_for_no_rescue),
        TEST(a_set_looked_up_without_dane_is_of_no_use),
        TEST(dane_turned_on_meanwhile),
        TEST(a_deadline_does_not_undo_dane),
        TEST(dane_is_nothing_to_a_plain_question),
        TEST(an_asker_may_need_the_hosts_after_all),
    };

    log_open("test_query_hosts", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
