/* Work that nobody's answer waits for: refetch, forget, refresh, recheck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400 };

/* What became of an order. */
struct order {
    unsigned answers;
    enum refetch_outcome outcome;
    enum sts_error error;
    struct lab *again; /* order once more from the callback */
};

static void
on_refetched(const struct refetch_result *result, void *arg)
{
    struct order *order = arg;
    struct lab *lab = order->again;

    assert_string_equal(result->domain, LAB_DOMAIN);
    order->answers++;
    order->outcome = result->outcome;
    order->error = result->error;
    order->again = NULL;
    if (lab != NULL)
        query_refetch(lab->engine, LAB_DOMAIN, on_refetched, order);
}

static void
refetch(struct lab *lab, struct order *order)
{
    memset(order, 0, sizeof *order);
    query_refetch(lab->engine, LAB_DOMAIN, on_refetched, order);
    assert_int_equal(order->answers, 0); /* never before it has returned */
}

static void
assert_ended(const struct order *order, enum refetch_outcome outcome, enum sts_error error)
{
    assert_int_equal(order->answers, 1);
    assert_int_equal(order->outcome, outcome);
    if (outcome != REFETCH_RENEWED)
        assert_int_equal(order->error, error);
}

/* How the record and the file are found. */
static const struct refetch_row {
    const char *name;
    bool held;
    enum sts_error txt, fetch;
    bool fetches;
    enum refetch_outcome outcome;
    enum sts_error error;
} refetches[] = {
    {"held, all well", true, STS_OK, STS_OK, true, REFETCH_RENEWED, STS_OK},
    {"held, no record", true, STS_NO_RECORD, STS_OK, true, REFETCH_RENEWED, STS_OK},
    {"held, no DNS", true, STS_DNS_TIMEOUT, STS_OK, true, REFETCH_RENEWED, STS_OK},
    {"held, no file", true, STS_OK, STS_TIMEOUT, true, REFETCH_KEPT, STS_TIMEOUT},
    {"held, neither", true, STS_NO_RECORD, STS_TIMEOUT, true, REFETCH_KEPT, STS_TIMEOUT},
    {"not held, all well", false, STS_OK, STS_OK, true, REFETCH_RENEWED, STS_OK},
    {"not held, no record", false, STS_NO_RECORD, STS_OK, false, REFETCH_NO_POLICY, STS_NO_RECORD},
    {"not held, no DNS", false, STS_DNS_TIMEOUT, STS_OK, false, REFETCH_UNKNOWN, STS_DNS_TIMEOUT},
    {"not held, no file", false, STS_OK, STS_TIMEOUT, true, REFETCH_NO_POLICY, STS_TIMEOUT},
};

static void
a_refetch_tells_what_came_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refetches / sizeof *refetches; i++) {
        const struct refetch_row *row = &refetches[i];
        struct lab *lab = lab_new();
        struct order order;

        print_message("%s\n", row->name);
        if (row->held)
            lab_hold(lab, "id1", "enforce", WEEK_S);
        refetch(lab, &order);
        if (row->txt == STS_OK)
            lab_txt(lab, "id1");
        else
            lab_txt_fails(lab, row->txt, 0);
        assert_int_equal(lab_running(lab), row->fetches ? FAKE_FETCH : FAKE_NOTHING);
        if (row->fetches && row->fetch == STS_OK)
            lab_fetch(lab, "enforce", WEEK_S);
        else if (row->fetches)
            lab_fetch_fails(lab, row->fetch);
        assert_ended(&order, row->outcome, row->error);
        assert_int_equal(query_running(lab->engine), 0);
        if (row->outcome == REFETCH_RENEWED || row->outcome == REFETCH_KEPT)
            lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_free(lab);
    }
}

static void
a_refetch_forgets_back_off_and_limit(void **state)
{
    struct lab *lab = *state;
    struct order order;

    for (int i = 0; i < 5; i++) {
        refetch(lab, &order);
        lab_txt(lab, "id1");
        lab_fetch_fails(lab, STS_TIMEOUT);
        assert_ended(&order, REFETCH_NO_POLICY, STS_TIMEOUT);
    }
    assert_int_equal(lab->source.fetch_started, 5);
}

static void
a_refetch_discards_what_is_under_way(void **state)
{
    struct lab *lab = *state;
    struct order one, two;
    struct asker asker;

    lab_ask(lab, &asker);
    lab_txt(lab, "id1");
    refetch(lab, &one);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    lab_txt(lab, "id2");
    refetch(lab, &two);
    lab_txt(lab, "id3");
    assert_int_equal(asker.answers, 0);
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_told(&asker, VERDICT_TESTING, STS_OK);
    assert_ended(&one, REFETCH_RENEWED, STS_OK);
    assert_ended(&two, REFETCH_RENEWED, STS_OK);
}

static void
a_refetch_after_the_fetch_fetches_again(void **state)
{
    struct lab *lab = *state;
    struct order order;
    struct asker asker;

    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    assert_int_equal(lab_running(lab), FAKE_MX);
    refetch(lab, &order);
    lab_txt(lab, "id1");
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_mx(lab, STS_OK, "mx." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_ended(&order, REFETCH_KEPT, STS_TIMEOUT);
}

/* The look at TXT before a refusal, in the same resolution, orders no second fetch. */
static void
a_forced_fetch_comes_once(void **state)
{
    struct lab *lab = *state;
    struct order order;
    struct asker asker;

    lab_ask_mx(lab, &asker);
    refetch(lab, &order);
    lab_txt(lab, "id1");
    lab_pass(lab, 11);
    lab_fetch(lab, "enforce", WEEK_S);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    lab_txt(lab, "id1");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    assert_ended(&order, REFETCH_RENEWED, STS_OK);
    assert_int_equal(lab->source.fetch_started, 1);
}

static void
an_mx_failure_is_not_why_a_refetch_failed(void **state)
{
    struct lab *lab = *state;
    struct order order;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    refetch(lab, &order);
    lab_txt(lab, "id1");
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_mx(lab, STS_DNS_SERVFAIL, NULL);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DNS_SERVFAIL);
    assert_ended(&order, REFETCH_KEPT, STS_TIMEOUT);
}

static void
an_order_may_be_given_from_the_callback(void **state)
{
    struct lab *lab = *state;
    struct order order;

    refetch(lab, &order);
    order.again = lab;
    lab_txt_fails(lab, STS_NO_RECORD, 0);
    assert_int_equal(order.answers, 1);
    lab_txt_fails(lab, STS_NO_RECORD, 0);
    assert_int_equal(order.answers, 2);
}

static void
what_is_forgotten_does_not_come_back(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    lab_txt(lab, "id1");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    query_forget(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab_running(lab), FAKE_TXT); /* the fetch was given up */
    lab_ask(lab, &asker);
    assert_false(asker.at_once);
    lab_txt_fails(lab, STS_NO_RECORD, 0);
    lab_assert_told(&asker, VERDICT_NONE, STS_NO_RECORD);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
}

static void
forgetting_at_rest_starts_nothing(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    query_forget(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    assert_null(cache_get(lab->cache, LAB_DOMAIN, true));
}

static void
a_refresh_needs_a_policy_and_obeys_the_limits(void **state)
{
    struct lab *lab = *state;

    assert_false(query_refresh(lab->engine, LAB_DOMAIN));
    lab_hold(lab, "id1", "enforce", WEEK_S);
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    assert_false(query_refresh(lab->engine, LAB_DOMAIN)); /* one is running */
    lab_txt(lab, "id1");
    lab_fetch_fails(lab, STS_TIMEOUT);
    assert_false(query_refresh(lab->engine, LAB_DOMAIN)); /* the back-off */
    assert_int_equal(lab->stats.refreshes, 1);
    assert_int_equal(lab->stats.refreshes_failed, 1);
    lab_pass(lab, 300);
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    lab_txt_fails(lab, STS_NO_RECORD, 0); /* whatever the record says */
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_now(lab, VERDICT_TESTING, STS_OK);
    lab_pass(lab, WEEK_S);
    assert_false(query_refresh(lab->engine, LAB_DOMAIN));
}

static void
a_recheck_comes_once_in_ten_seconds(void **state)
{
    struct lab *lab = *state;

    query_recheck(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 9);
    query_recheck(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    lab_pass(lab, 1);
    query_recheck(lab->engine, LAB_DOMAIN);
    lab_txt(lab, "id1");
    assert_int_equal(lab_running(lab), FAKE_NOTHING); /* the id is the same */
    query_recheck(lab->engine, LAB_DOMAIN);
    assert_int_equal(lab->source.txt_started, 2);
}

/* The tear-down sees that nothing is left, and that nobody is called. */
static void
the_end_drops_everyone(void **state)
{
    struct lab *lab = *state;
    static struct asker asker;
    static struct order order;

    lab_ask(lab, &asker);
    refetch(lab, &order);
    lab_txt(lab, "id1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refetch_tells_what_came_of_it),
        TEST(a_refetch_forgets_back_off_and_limit),
        TEST(a_refetch_discards_what_is_under_way),
        TEST(a_refetch_after_the_fetch_fetches_again),
        TEST(a_forced_fetch_comes_once),
        TEST(an_mx_failure_is_not_why_a_refetch_failed),
        TEST(an_order_may_be_given_from_the_callback),
        TEST(what_is_forgotten_does_not_come_back),
        TEST(forgetting_at_rest_starts_nothing),
        TEST(a_refresh_needs_a_policy_and_obeys_the_limits),
        TEST(a_recheck_comes_once_in_ten_seconds),
        TEST(the_end_drops_everyone),
    };

    log_open("test_query_orders", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
