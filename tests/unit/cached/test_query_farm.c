/* A resolution among other nodes: what it asks the farm, and what it does with the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "tests/fake/fake_farm.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400, AGAIN_MS = 20 };

#define SEQ UINT64_C(1790000000000000)

static struct farm farm;

static int
set_up(void **state)
{
    struct lab *lab = lab_new();

    farm = (struct farm){.up = true};
    query_engine_join_farm(lab->engine, &farm);
    *state = lab;
    return 0;
}

static int
tear_down(void **state)
{
    lab_free(*state);
    return farm.job != NULL ? -1 : 0; /* whoever ends cancels what is asked */
}

/* What another node has fetched comes into the cache, as the real farm does it. `old_id` is what it
 * had before, or "". */
static void
other_node_replaced(struct lab *lab, const char *old_id, const char *id, uint64_t seq)
{
    static const char body[] =
        "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";
    struct record record = {.kind = RECORD_POLICY,
                            .domain = LAB_DOMAIN,
                            .seq = seq,
                            .fetched_s = lab->wall_s,
                            .refresh_s = lab->wall_s + 50000,
                            .body = {body, sizeof body - 1}};

    snprintf(record.id, sizeof record.id, "%s", id);
    snprintf(record.old_ids[0].id, sizeof record.old_ids[0].id, "%s", old_id);
    record.old_ids[0].superseded_s = old_id[0] != '\0' ? lab->wall_s : 0;
    assert_int_equal(cache_take(lab->cache, &record, true), CACHE_TAKEN);
}

static void
other_node_has(struct lab *lab, const char *id, uint64_t seq)
{
    other_node_replaced(lab, "", id, seq);
}

static void
other_node_failed(struct lab *lab, const char *id)
{
    struct record record = {.kind = RECORD_FAILURE,
                            .domain = LAB_DOMAIN,
                            .seq = SEQ,
                            .fetched_s = lab->wall_s,
                            .error = STS_HTTP_STATUS,
                            .http_status = 404};

    snprintf(record.id, sizeof record.id, "%s", id);
    assert_int_equal(cache_take(lab->cache, &record, true), CACHE_TAKEN);
}

static void
news(void)
{
    farm.events->changed(LAB_DOMAIN, farm.events_arg);
}

/* Asks, nothing is known anywhere, and a record is found: then the lock is asked for. */
static void
ask_up_to_lock(struct lab *lab, struct asker *asker)
{
    lab_ask(lab, asker);
    assert_false(asker->at_once);
    fake_farm_end(&farm, FAKE_LOOK);
    lab_txt(lab, "1");
    assert_int_equal(fake_farm_asked(&farm), FAKE_LOCK);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
}

static void
end_lock(bool locked, uint64_t seq)
{
    fake_farm_end_lock(&farm,
                       &(struct farm_locked){.locked = locked, .seq = seq, .again_ms = AGAIN_MS});
}

static void
test_farm_is_asked_before_dns(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_ask(lab, &asker);
    assert_int_equal(fake_farm_asked(&farm), FAKE_LOOK);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    other_node_has(lab, "1", SEQ);
    fake_farm_end(&farm, FAKE_LOOK);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(asker.source, SOURCE_REDIS);
    lab_txt(lab, "1"); /* is looked at all the same, and nothing is to be fetched */
    assert_int_equal(farm.locks, 0);
    assert_int_equal(lab->source.fetch_started, 0);
}

static void
test_one_who_has_the_lock_fetches_and_shares(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(true, SEQ);
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK); /* does not wait for the sharing */
    assert_int_equal(fake_farm_asked(&farm), FAKE_SHARE);
    assert_true(cache_get(lab->cache, LAB_DOMAIN, false)->seq == SEQ);
    fake_farm_end(&farm, FAKE_SHARE);
    assert_int_equal(farm.unlocks, 0); /* sharing gives it up */
    assert_int_equal(query_running(lab->engine), 0);
}

static void
test_failure_is_shared_too(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(true, SEQ);
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_assert_told(&asker, VERDICT_NONE, STS_TIMEOUT);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
test_others_wait_for_the_news(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(false, SEQ);
    assert_int_equal(asker.answers, 0);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    other_node_has(lab, "1", SEQ);
    news();
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.fetch_started, 0);
    assert_int_equal(farm.locks, 1);
    assert_int_equal(query_running(lab->engine), 0);
}

static void
test_others_hear_of_a_failure(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(false, SEQ);
    other_node_failed(lab, "1");
    news();
    lab_assert_told(&asker, VERDICT_NONE, STS_HTTP_STATUS);
    assert_int_equal(lab->source.fetch_started, 0);
    assert_int_equal(farm.locks, 1);
    assert_int_equal(query_running(lab->engine), 0);
}

static void
test_news_of_nothing_lead_to_the_lock(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(false, SEQ);
    news(); /* the holder gave up */
    assert_int_equal(fake_farm_asked(&farm), FAKE_LOCK);
    end_lock(true, SEQ);
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
test_dead_holder_is_succeeded(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(false, SEQ);
    while (fake_farm_asked(&farm) == FAKE_NONE)
        assert_int_equal(event_base_loop(lab->base, EVLOOP_ONCE), 0);
    end_lock(true, SEQ);
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
test_lock_that_came_too_late_is_given_up(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    other_node_has(lab, "1", SEQ); /* comes with the lock's reply */
    end_lock(true, SEQ + 1);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(farm.unlocks, 1);
    assert_int_equal(lab->source.fetch_started, 0);
}

/* The other's failure counts for five minutes like one of our own: RFC 8461 s3.3. */
static void
test_lock_that_came_after_a_failure_is_given_up(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    other_node_failed(lab, "1");
    end_lock(true, SEQ + 1);
    lab_assert_told(&asker, VERDICT_NONE, STS_HTTP_STATUS);
    assert_int_equal(farm.unlocks, 1);
    assert_int_equal(lab->source.fetch_started, 0);
    assert_int_equal(query_running(lab->engine), 0);
}

/* Our resolver told the id that was, the other node's the one that is. */
static void
test_what_replaced_our_id_needs_no_fetch(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    other_node_replaced(lab, "1", "2", SEQ);
    end_lock(true, SEQ + 1);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(farm.unlocks, 1);
    assert_int_equal(lab->source.fetch_started, 0);
    assert_int_equal(query_running(lab->engine), 0);
}

/* What another node has is not what the record tells of: ids compare byte by byte. */
static void
test_another_id_is_fetched_all_the_same(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_ask(lab, &asker);
    fake_farm_end(&farm, FAKE_LOOK);
    lab_txt(lab, "a");
    other_node_replaced(lab, "A", "B", SEQ);
    end_lock(false, SEQ + 1);
    other_node_replaced(lab, "B", "A", SEQ + 1);
    news();
    end_lock(true, SEQ + 2);
    assert_int_equal(farm.unlocks, 0);
    assert_int_equal(lab_running(lab), FAKE_FETCH);
}

static void
test_without_redis_each_fetches(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    farm.up = false;
    lab_ask(lab, &asker);
    assert_int_equal(farm.looks, 0);
    lab_txt(lab, "1");
    fake_farm_end_lock(&farm, &(struct farm_locked){.away = true, .seq = SEQ});
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    fake_farm_end(&farm, FAKE_SHARE); /* is noted there, for later */
}

static void
test_result_older_than_the_farms_is_dropped(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(true, SEQ);
    other_node_has(lab, "2", SEQ + 1); /* an order's fetch, begun after ours */
    news();
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    lab_fetch(lab, "none", WEEK_S);
    assert_string_equal(policy_id(cache_get(lab->cache, LAB_DOMAIN, false)->policy), "2");
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
test_refresh_is_done_once(void **state)
{
    struct lab *lab = *state;

    other_node_has(lab, "1", SEQ);
    lab_pass(lab, 60000); /* it is due everywhere */
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    lab_txt(lab, "1");
    end_lock(false, SEQ + 1);
    other_node_has(lab, "1", SEQ + 2);
    news();
    assert_int_equal(lab->source.fetch_started, 0);
    assert_int_equal(query_running(lab->engine), 0);
}

/* Nobody has done it yet; the id is the same, which says nothing (RFC 8461 s10.2). */
static void
test_refresh_that_is_due_is_done(void **state)
{
    struct lab *lab = *state;

    other_node_has(lab, "1", SEQ);
    lab_pass(lab, 60000);
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    lab_txt(lab, "1");
    end_lock(true, SEQ + 1);
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_fetch(lab, "enforce", WEEK_S);
    fake_farm_end(&farm, FAKE_SHARE);
    assert_int_equal(query_running(lab->engine), 0);
}

static void
on_refetched(const struct refetch_result *result, void *arg)
{
    *(enum refetch_outcome *)arg = result->outcome;
}

static void
test_order_takes_the_lock_from_others(void **state)
{
    struct lab *lab = *state;
    enum refetch_outcome outcome = REFETCH_NO_POLICY;

    other_node_has(lab, "1", SEQ);
    query_refetch(lab->engine, LAB_DOMAIN, on_refetched, &outcome);
    lab_txt(lab, "1");
    assert_int_equal(farm.forced_locks, 1);
    end_lock(true, SEQ + 1);
    assert_int_equal(lab_running(lab), FAKE_FETCH); /* nobody else's result will do */
    lab_fetch(lab, "enforce", WEEK_S);
    assert_int_equal(outcome, REFETCH_NO_POLICY); /* the order is done when the farm has it */
    fake_farm_end(&farm, FAKE_SHARE);
    assert_int_equal(outcome, REFETCH_RENEWED);
}

/* A policy, and its successor. */
static void
hold_second_id(struct lab *lab)
{
    struct asker asker;

    ask_up_to_lock(lab, &asker);
    end_lock(true, SEQ);
    lab_fetch(lab, "enforce", WEEK_S);
    fake_farm_end(&farm, FAKE_SHARE);
    lab_pass(lab, 400);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "2");
    end_lock(true, SEQ + 1);
    lab_fetch(lab, "enforce", WEEK_S);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
test_id_that_was_superseded_is_no_news(void **state)
{
    struct lab *lab = *state;

    hold_second_id(lab);
    lab_pass(lab, 400);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "1"); /* by another resolver */
    assert_int_equal(farm.locks, 2);
    assert_true(cache_id_is_old(cache_get(lab->cache, LAB_DOMAIN, false), "1"));
    lab_pass(lab, 86400); /* after a day it is meant */
    assert_false(cache_id_is_old(cache_get(lab->cache, LAB_DOMAIN, false), "1"));
}

static void
test_superseded_id_may_save_from_refusal(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    hold_second_id(lab);
    lab_pass(lab, 100);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    lab_txt(lab, "1");
    assert_int_equal(asker.answers, 0);
    assert_int_equal(farm.locks, 3);
    query_cancel(asker.token);
}

static void
test_forgotten_by_another_node(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    struct record tombstone = {.kind = RECORD_TOMBSTONE, .domain = LAB_DOMAIN, .seq = SEQ + 5};

    ask_up_to_lock(lab, &asker);
    end_lock(true, SEQ);
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    tombstone.until_s = lab->wall_s + WEEK_S;
    assert_int_equal(cache_take(lab->cache, &tombstone, false), CACHE_TAKEN);
    farm.events->forgotten(LAB_DOMAIN, farm.events_arg);
    assert_int_equal(farm.unlocks, 1);
    assert_int_equal(lab_running(lab), FAKE_TXT); /* what was under way was older than the order */
    lab_txt(lab, "1");
    end_lock(true, SEQ + 6);
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_told(&asker, VERDICT_TESTING, STS_OK);
    fake_farm_end(&farm, FAKE_SHARE);
}

static void
on_buried(void *arg)
{
    ++*(unsigned *)arg;
}

static void
test_forgetting_reaches_the_farm(void **state)
{
    struct lab *lab = *state;
    unsigned done = 0;

    other_node_has(lab, "1", SEQ);
    assert_true(query_bury(lab->engine, LAB_DOMAIN, on_buried, &done));
    assert_null(cache_get(lab->cache, LAB_DOMAIN, false));
    assert_int_equal(farm.buried, 1);
    assert_int_equal(done, 0);
    fake_farm_end(&farm, FAKE_BURY);
    assert_int_equal(done, 1);
}

static void
test_blind_node_says_unknown(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    farm = (struct farm){.blind = true, .events = farm.events, .events_arg = farm.events_arg};
    lab_ask(lab, &asker);
    lab_txt_fails(lab, STS_NO_RECORD, 600);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_REDIS);
    lab_assert_now(lab, VERDICT_UNKNOWN, STS_REDIS);
    farm.blind = false;
    lab_assert_now(lab, VERDICT_NONE, STS_NO_RECORD);
}

static void
test_blind_node_knows_what_it_holds(void **state)
{
    struct lab *lab = *state;

    farm.up = false;
    farm.blind = true;
    other_node_has(lab, "1", SEQ);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "1");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_farm_is_asked_before_dns),
        TEST(test_one_who_has_the_lock_fetches_and_shares),
        TEST(test_failure_is_shared_too),
        TEST(test_others_wait_for_the_news),
        TEST(test_others_hear_of_a_failure),
        TEST(test_news_of_nothing_lead_to_the_lock),
        TEST(test_dead_holder_is_succeeded),
        TEST(test_lock_that_came_too_late_is_given_up),
        TEST(test_lock_that_came_after_a_failure_is_given_up),
        TEST(test_what_replaced_our_id_needs_no_fetch),
        TEST(test_another_id_is_fetched_all_the_same),
        TEST(test_without_redis_each_fetches),
        TEST(test_result_older_than_the_farms_is_dropped),
        TEST(test_refresh_is_done_once),
        TEST(test_refresh_that_is_due_is_done),
        TEST(test_order_takes_the_lock_from_others),
        TEST(test_id_that_was_superseded_is_no_news),
        TEST(test_superseded_id_may_save_from_refusal),
        TEST(test_forgotten_by_another_node),
        TEST(test_forgetting_reaches_the_farm),
        TEST(test_blind_node_says_unknown),
        TEST(test_blind_node_knows_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
