/* The life of a question, from asking to the answer, against a source that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400, MIN_S = 60, BACKOFF_S = 300, MANY = 300 };

/* --- one resolution, one answer ------------------------------------------- */

static void
one_resolution_serves_many_askers(void **state)
{
    struct lab *lab = *state;
    static struct asker askers[MANY];

    for (size_t i = 0; i < MANY; i++)
        lab_ask(lab, &askers[i]);
    assert_int_equal(query_running(lab->engine), 1);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    for (size_t i = 0; i < MANY; i++) {
        lab_assert_told(&askers[i], VERDICT_SECURE, STS_OK);
        assert_int_equal(askers[i].source, SOURCE_FETCH);
    }
    assert_int_equal(query_running(lab->engine), 0);
    assert_int_equal(lab->source.txt_started, 1);
    assert_int_equal(lab->source.fetch_started, 1);
    assert_int_equal(lab->stats.questions, MANY);
    lab_ask(lab, &askers[0]);
    lab_assert_told(&askers[0], VERDICT_SECURE, STS_OK);
    assert_int_equal(askers[0].source, SOURCE_MEMORY);
    assert_int_equal(lab->source.running, 0);
}

static void
a_cancelled_asker_hears_nothing(void **state)
{
    struct lab *lab = *state;
    struct asker gone, stays;

    lab_ask(lab, &gone);
    lab_ask(lab, &stays);
    query_cancel(gone.token);
    lab_txt_fails(lab, STS_NO_RECORD, 0);
    assert_int_equal(gone.answers, 0);
    lab_assert_told(&stays, VERDICT_NONE, STS_NO_RECORD);
}

static void
work_goes_on_without_askers(void **state)
{
    struct lab *lab = *state;
    struct asker gone;

    lab_ask(lab, &gone);
    query_cancel(gone.token);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
}

static void
only_who_needs_mx_waits_for_it(void **state)
{
    struct lab *lab = *state;
    struct asker map, milter;

    lab_ask(lab, &map);
    lab_ask_mx(lab, &milter);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&map, VERDICT_SECURE, STS_OK);
    assert_int_equal(milter.answers, 0);
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&milter, VERDICT_SECURE, STS_OK);
    assert_string_equal(milter.hosts, "mx1." LAB_DOMAIN);
    lab_ask_mx(lab, &milter);
    assert_true(milter.at_once);
    assert_int_equal(lab->source.mx_started, 1);
}

/* --- time ------------------------------------------------------------------ */

/* What a deadline makes of each stage. */
enum stage { AT_TXT, AT_FETCH, AT_MX, AT_RECHECK, AT_NEW_ID };

static void
bring_to(struct lab *lab, enum stage stage)
{
    struct asker asker;

    switch (stage) {
    case AT_TXT:
        break;
    case AT_FETCH:
        lab_ask(lab, &asker);
        lab_txt(lab, "id1");
        query_cancel(asker.token);
        break;
    case AT_MX:
        lab_hold(lab, "id1", "enforce", WEEK_S);
        break;
    case AT_RECHECK:
    case AT_NEW_ID:
        lab_hold(lab, "id1", "enforce", WEEK_S);
        lab_ask_mx(lab, &asker);
        lab_mx(lab, STS_OK, "mx.elsewhere.test");
        lab_pass(lab, 11);
        break;
    }
}

/* Which server it was: once, to those who waited. */
static void
whoever_waited_hears_why_it_is_unknown(void **state)
{
    static const struct txt_result failed = {.error = STS_DNS_TIMEOUT,
                                             .detail = "inet:53@192.0.2.1: silence"};
    struct lab *lab = *state;
    struct asker asker;

    lab_ask(lab, &asker);
    fake_source_end_txt(&lab->source, LAB_DOMAIN, &failed);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_DNS_TIMEOUT);
    assert_string_equal(asker.detail, failed.detail);
    lab_assert_now(lab, VERDICT_UNKNOWN, STS_DNS_TIMEOUT);
}

static const struct {
    const char *name;
    enum stage stage;
    enum verdict verdict;
} deadlines[] = {
    {"no answer about TXT", AT_TXT, VERDICT_UNKNOWN},
    {"first fetch", AT_FETCH, VERDICT_PENDING},
    {"MX look-up", AT_MX, VERDICT_SECURE},
    {"TXT before a refusal", AT_RECHECK, VERDICT_PENDING},
    {"new policy before a refusal", AT_NEW_ID, VERDICT_PENDING},
};

static void
the_deadline_says_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        struct lab *lab = lab_new();
        struct asker asker, now;
        struct question question = {.want_mx = true, .wait_ms = LAB_SOON_MS};

        print_message("deadline: %s\n", deadlines[i].name);
        bring_to(lab, deadlines[i].stage);
        lab_put(lab, question, &asker);
        assert_false(asker.at_once);
        if (deadlines[i].stage == AT_NEW_ID)
            lab_txt(lab, "id2");
        assert_int_equal(asker.answers, 0);
        question.wait_ms = 0;
        lab_put(lab, question, &now);
        assert_true(now.at_once);
        lab_assert_told(&now, deadlines[i].verdict, STS_DEADLINE);
        lab_wait(lab, &asker);
        lab_assert_told(&asker, deadlines[i].verdict, STS_DEADLINE);
        assert_int_equal(query_running(lab->engine), 1); /* work goes on */
        lab_free(lab);
    }
}

static void
no_wait_still_starts_the_work(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_put(lab, (struct question){.wait_ms = 0}, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_DEADLINE);
    lab_txt(lab, "id1");
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_now(lab, VERDICT_TESTING, STS_OK);
}

static void
who_joins_late_is_answered_at_once(void **state)
{
    struct lab *lab = *state;
    struct asker first, late;

    lab_ask(lab, &first);
    lab_txt(lab, "id1");
    lab_pass(lab, LAB_DEADLINE_MS / 1000);
    lab_ask(lab, &late);
    assert_true(late.at_once);
    lab_assert_told(&late, VERDICT_PENDING, STS_DEADLINE);
    query_cancel(first.token);
}

static void
nobody_waits_longer_than_the_deadline(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab->settings.answer_deadline_ms = LAB_SOON_MS;
    lab_put(lab, (struct question){.wait_ms = 3600 * 1000}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_DEADLINE);
}

static void
time_since_arrival_counts(void **state)
{
    struct lab *lab = *state;
    struct question question = {.domain = LAB_DOMAIN,
                                .wait_ms = -1,
                                .arrived_ms = lab->boot_ms - LAB_DEADLINE_MS,
                                .now_ms = lab->boot_ms};
    struct query_token *token;
    struct judgement j;

    assert_true(query_ask(lab->engine, &question, &j, &token));
    assert_int_equal(j.reason, STS_DEADLINE);
}

/* --- no policy --------------------------------------------------------------- */

static const struct {
    enum sts_error error;
    uint32_t ttl_s;
    unsigned kept_s;
    enum verdict verdict;
} absences[] = {
    {STS_NO_RECORD, 0, 300, VERDICT_NONE},
    {STS_NO_RECORD, 5, 60, VERDICT_NONE},
    {STS_NO_RECORD, 700, 700, VERDICT_NONE},
    {STS_NO_RECORD, 86400, 3600, VERDICT_NONE},
};

static void
absence_is_remembered_for_its_ttl(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof absences / sizeof *absences; i++) {
        struct lab *lab = lab_new();
        struct asker asker;

        lab_ask(lab, &asker);
        lab_txt_fails(lab, absences[i].error, absences[i].ttl_s);
        lab_assert_told(&asker, absences[i].verdict, absences[i].error);
        lab_pass(lab, absences[i].kept_s - 1);
        lab_assert_now(lab, absences[i].verdict, absences[i].error);
        assert_int_equal(lab->source.running, 0);
        lab_pass(lab, 1);
        lab_ask(lab, &asker);
        assert_false(asker.at_once);
        lab_free(lab);
    }
}

/* That such a record is there says nothing of how long there is no policy. */
static void
a_record_of_no_use_is_absence_without_a_ttl(void **state)
{
    static const struct span record = {"v=STSv1; id=;", 13};
    static const struct txt_result bad = {.ttl_s = 86400, .records = &record, .count = 1};
    struct lab *lab = *state;
    struct asker asker;

    lab_ask(lab, &asker);
    fake_source_end_txt(&lab->source, LAB_DOMAIN, &bad);
    lab_assert_told(&asker, VERDICT_NONE, STS_BAD_RECORD);
    lab_pass(lab, 299);
    lab_assert_now(lab, VERDICT_NONE, STS_BAD_RECORD);
    lab_pass(lab, 1);
    lab_ask(lab, &asker);
    assert_false(asker.at_once);
}

static void
unknown_is_not_none_and_doubles(void **state)
{
    static const unsigned waits_s[] = {30, 60, 120, 240, 300, 300};
    struct lab *lab = *state;
    struct asker asker;

    lab_ask(lab, &asker);
    lab_txt_fails(lab, STS_DNS_SERVFAIL, 0);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_DNS_SERVFAIL);
    for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++) {
        lab_pass(lab, waits_s[i] - 1);
        lab_assert_now(lab, VERDICT_UNKNOWN, STS_DNS_SERVFAIL);
        assert_int_equal(lab_running(lab), FAKE_NOTHING);
        lab_pass(lab, 1);
        lab_assert_now(lab, VERDICT_UNKNOWN, STS_DNS_SERVFAIL); /* asked again behind the scenes */
        assert_int_equal(lab_running(lab), FAKE_TXT);
        lab_txt_fails(lab, STS_DNS_SERVFAIL, 0);
    }
    lab_pass(lab, 300);
    lab_assert_now(lab, VERDICT_UNKNOWN, STS_DNS_SERVFAIL);
    lab_txt_fails(lab, STS_NO_RECORD, 0);
    lab_assert_now(lab, VERDICT_NONE, STS_NO_RECORD);
}

/* --- failed fetches ------------------------------------------------------------ */

static void
fail_first_fetch(struct lab *lab, const char *id)
{
    struct asker asker;

    lab_ask(lab, &asker);
    lab_txt(lab, id);
    lab_fetch_fails(lab, STS_CONNECT_REFUSED);
    lab_assert_told(&asker, VERDICT_NONE, STS_CONNECT_REFUSED);
}

/* RFC 8461 s3.3: the same id not again within five minutes, then in the background. */
static void
a_failed_fetch_is_remembered(void **state)
{
    struct lab *lab = *state;

    fail_first_fetch(lab, "id1");
    for (unsigned waited = 0; waited + LAB_TTL_S < BACKOFF_S; waited += LAB_TTL_S) {
        lab_pass(lab, LAB_TTL_S);
        lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
        lab_txt(lab, "id1"); /* looked at when its TTL is over */
        assert_int_equal(lab->source.fetch_started, 1);
    }
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_txt(lab, "id1");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
}

static void
a_new_id_is_fetched_in_spite_of_the_back_off(void **state)
{
    struct lab *lab = *state;

    fail_first_fetch(lab, "id1");
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_txt(lab, "id2");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
}

static void
three_fetches_in_five_minutes_whatever_the_ids(void **state)
{
    struct lab *lab = *state;

    fail_first_fetch(lab, "id1");
    for (unsigned i = 2; i <= 5; i++) {
        char id[8];

        snprintf(id, sizeof id, "id%u", i);
        lab_pass(lab, LAB_TTL_S);
        lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
        lab_txt(lab, id);
        if (i <= 3)
            lab_fetch_fails(lab, STS_CONNECT_REFUSED);
        assert_int_equal(lab_running(lab), FAKE_NOTHING);
    }
    assert_int_equal(lab->source.fetch_started, 3);
    lab_pass(lab, LAB_TTL_S); /* now the first is five minutes old */
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_txt(lab, "id6");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
}

/* The id is new every second and each fetch succeeds; before each refusal TXT is asked, every ten
 * seconds. */
static void
three_fetches_in_five_minutes_though_they_succeed(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    char id[16];

    lab_hold(lab, "id0", "enforce", WEEK_S);
    for (unsigned second = 1; second <= BACKOFF_S; second++) {
        unsigned want = second < 20 ? 1 + second / 10 : 3;

        lab_pass(lab, 1);
        lab_ask_mx(lab, &asker);
        snprintf(id, sizeof id, "id%u", second);
        if (lab_running(lab) == FAKE_MX)
            lab_mx(lab, STS_OK, "mx.elsewhere.test");
        if (lab_running(lab) == FAKE_TXT)
            lab_txt(lab, id);
        if (lab_running(lab) == FAKE_FETCH)
            lab_fetch(lab, "enforce", WEEK_S);
        lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
        if (second == BACKOFF_S) /* the first is five minutes old */
            want++;
        assert_int_equal(lab->source.fetch_started, want);
    }
    assert_int_equal(lab->source.txt_started, 1 + BACKOFF_S / 10);
}

/* A policy that lives a minute only: the limit holds, and what it hides is unknown. */
static void
the_limit_leaves_a_domain_unknown(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    for (int i = 0; i < 3; i++) {
        lab_hold(lab, "id1", "enforce", 0);
        lab_pass(lab, MIN_S);
    }
    lab_ask(lab, &asker);
    lab_txt(lab, "id1");
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);
    assert_int_equal(lab->source.fetch_started, 3);
}

static void
a_failure_makes_no_storm_of_look_ups(void **state)
{
    struct lab *lab = *state;

    fail_first_fetch(lab, "id1");
    lab_pass(lab, BACKOFF_S + 1);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_txt_fails(lab, STS_DNS_SERVFAIL, 0);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    lab_pass(lab, MIN_S);
    lab_assert_now(lab, VERDICT_NONE, STS_CONNECT_REFUSED);
    lab_txt_fails(lab, STS_NO_RECORD, 3600);
    lab_pass(lab, MIN_S);
    lab_assert_now(lab, VERDICT_NONE, STS_NO_RECORD);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
}

static void
a_failure_is_forgotten_after_a_day(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    fail_first_fetch(lab, "id1");
    lab_pass(lab, 86400);
    lab_ask(lab, &asker);
    assert_false(asker.at_once);
    query_cancel(asker.token);
}

/* --- modes of work --------------------------------------------------------------------- */

static void
observing_looks_and_says_none(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab->settings.mode = WORK_OBSERVE;
    lab_ask(lab, &asker);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&asker, VERDICT_NONE, STS_OBSERVE);
    assert_false(asker.has_policy);
    lab_assert_now(lab, VERDICT_NONE, STS_OBSERVE);
    assert_int_equal(lab->stats.verdicts[VERDICT_SECURE], 2);
    assert_int_equal(lab->stats.verdicts[VERDICT_NONE], 0);
}

static void
off_looks_at_nothing(void **state)
{
    struct lab *lab = *state;

    lab->settings.mode = WORK_OFF;
    lab_assert_now(lab, VERDICT_NONE, STS_OFF);
    assert_int_equal(lab->source.txt_started, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(one_resolution_serves_many_askers),
        TEST(a_cancelled_asker_hears_nothing),
        TEST(work_goes_on_without_askers),
        TEST(only_who_needs_mx_waits_for_it),
        cmocka_unit_test(the_deadline_says_what_is_known),
        TEST(whoever_waited_hears_why_it_is_unknown),
        TEST(no_wait_still_starts_the_work),
        TEST(who_joins_late_is_answered_at_once),
        TEST(nobody_waits_longer_than_the_deadline),
        TEST(time_since_arrival_counts),
        cmocka_unit_test(absence_is_remembered_for_its_ttl),
        TEST(a_record_of_no_use_is_absence_without_a_ttl),
        TEST(unknown_is_not_none_and_doubles),
        TEST(a_failed_fetch_is_remembered),
        TEST(a_new_id_is_fetched_in_spite_of_the_back_off),
        TEST(three_fetches_in_five_minutes_whatever_the_ids),
        TEST(three_fetches_in_five_minutes_though_they_succeed),
        TEST(the_limit_leaves_a_domain_unknown),
        TEST(a_failure_makes_no_storm_of_look_ups),
        TEST(a_failure_is_forgotten_after_a_day),
        TEST(observing_looks_and_says_none),
        TEST(off_looks_at_nothing),
    };

    log_open("test_query", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
