/* Nodes of one farm and a real Redis between them: what one learns the others get, and what Redis
 * loses, or somebody writes there, weakens nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/cached/farm_nodes_lab.h"

enum { SOON_MS = 3000, WEEK_S = 604800, PEER_MS = 500 };
/* --- what one learns the others get ----------------------------------------------------------- */

static void
shared_policy_reaches_the_store_of_others(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(*state, a, DOMAIN);
    assert_true(lab_until(*state, until_holds, b, SOON_MS));
    assert_false(node_has_in_memory(b, DOMAIN)); /* nobody asked there */
    assert_true(node_seq(b, DOMAIN) == node_seq(a, DOMAIN));
    lab_run(*state, PEER_MS);
    assert_true(b->changed > 0);
    assert_int_equal(a->stats.redis_stale + b->stats.redis_stale, 0);
}

static void
shared_policy_replaces_an_outcome_in_memory(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);

    cache_set_none(b->cache, cache_want(b->cache, DOMAIN), STS_NO_RECORD, 3600);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(*state, a, DOMAIN);
    assert_true(lab_until(*state, until_holds, b, SOON_MS));
    assert_true(node_has_in_memory(b, DOMAIN));
}

static void
look_takes_the_record_into_memory(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    lab_plant(lab, DOMAIN, lab_now_us(), lab->key);
    assert_non_null(farm_look(a->farm, DOMAIN, note_done, &done));
    assert_false(done);
    assert_true(lab_until(lab, until_done, &done, SOON_MS));
    assert_true(node_has_in_memory(a, DOMAIN));
}

static void
tell_forgets_the_outcomes_of_all(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct entry *e = cache_want(b->cache, "none.example");

    cache_set_none(b->cache, e, STS_NO_RECORD, 3600);
    farm_tell(a->farm, "*.example");
    lab_run(*state, PEER_MS);
    assert_int_equal(e->outcome, STS_OK);
    cache_set_none(b->cache, e, STS_NO_RECORD, 3600);
    farm_tell(a->farm, "none.example");
    lab_run(*state, PEER_MS);
    assert_int_equal(e->outcome, STS_OK);
}

static void
buried_policy_is_forgotten_by_all(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    bool done = false;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(*state, a, DOMAIN);
    assert_true(lab_until(*state, until_holds, b, SOON_MS));
    (void)farm_bury(a->farm, DOMAIN, note_done, &done);
    assert_true(lab_until(*state, until_done, &done, SOON_MS));
    cache_forget(a->cache, DOMAIN);
    assert_true(lab_until(*state, until_lacks, b, SOON_MS));
    assert_true(b->forgotten > 0);
    node_fetch(b, DOMAIN, WEEK_S); /* and a new one counts */
    node_share(*state, b, DOMAIN);
    assert_true(lab_until(*state, until_holds, a, SOON_MS));
}

static void
order_to_forget_comes_after_what_was_there(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    lab_plant(lab, DOMAIN, lab_now_us() + 5000000, lab->key);
    (void)farm_bury(a->farm, DOMAIN, note_done, &done);
    assert_true(lab_until(lab, until_done, &done, SOON_MS));
    assert_string_equal(redis_lab_do(lab->redis, "GETRANGE", "sts:r:" DOMAIN, "0", "13", NULL),
                        "sts1 tombstone");
}

/* --- locks ------------------------------------------------------------------------------------ */

static void
one_node_at_a_time_fetches(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct farm_locked l = node_lock(*state, a, false);
    int before;

    assert_true(l.locked && !l.away);
    assert_true(l.seq / 1000000 >= lab_now_us() / 1000000 - 60);
    l = node_lock(*state, b, false);
    assert_false(l.locked || l.away);
    assert_in_range(l.again_ms, 1, 5500);
    before = b->changed;
    farm_unlock(a->farm, DOMAIN);
    lab_run(*state, PEER_MS);
    assert_true(b->changed > before);
    assert_true(node_lock(*state, b, false).locked);
    assert_true(node_lock(*state, a, true).locked);
}

static void
lock_of_a_dead_node_runs_out(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct farm_locked l;

    assert_true(node_lock(*state, a, false).locked);
    lab_node_end(a);
    l = node_lock(*state, b, false);
    assert_false(l.locked);
    lab_run(*state, l.again_ms + 200);
    assert_true(node_lock(*state, b, false).locked);
}

/* --- whoever can write to Redis --------------------------------------------------------------- */

static void
forged_record_is_refused_and_replaced(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);
    uint64_t seq;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, until_holds, b, SOON_MS));
    seq = node_seq(b, DOMAIN);
    lab_plant(lab, DOMAIN, lab_now_us() + 1000000000, NULL);
    lab_event(lab, DOMAIN);
    lab_run(lab, PEER_MS);
    assert_true(b->stats.redis_refused > 0);
    assert_true(node_seq(b, DOMAIN) == seq);
    assert_true(lab_until(lab, until_redis_holds, NULL, LONG_MS));
}

static void
replayed_record_is_refused_and_counted(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    uint64_t seq;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    lab_run(lab, 1500);
    seq = node_seq(a, DOMAIN);
    lab_plant(lab, DOMAIN, seq - 1000, lab->key);
    lab_event(lab, DOMAIN);
    lab_run(lab, 3000);
    assert_true(a->stats.redis_stale > 0);
    assert_true(node_seq(a, DOMAIN) >= seq);
    assert_string_equal(redis_lab_do(lab->redis, "EXISTS", "sts:r:" DOMAIN, NULL), "1");
}

static void
lost_record_leaves_the_policy(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    redis_lab_do(lab->redis, "DEL", "sts:r:" DOMAIN, NULL);
    lab_event(lab, DOMAIN);
    lab_event(lab, "*");
    lab_run(lab, PEER_MS);
    assert_true(node_has_in_memory(a, DOMAIN));
}

static void
keys_of_a_wrong_kind_stop_nobody(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);
    static const char *const keys[] = {"sts:e", "sts:nodes", "sts:index", ("sts:r:" DOMAIN)};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        redis_lab_do(lab->redis, "DEL", keys[i], NULL);
        redis_lab_do(lab->redis, "LPUSH", keys[i], "x", NULL);
    }
    redis_lab_do(lab->redis, "DEL", "sts:epoch", NULL);
    redis_lab_do(lab->redis, "LPUSH", "sts:epoch", "x", NULL);
    lab_run(lab, 7000);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, until_holds, b, LONG_MS));
}

static void
junk_in_the_stream_is_passed_over(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);
    char longest[3000];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    lab_event(lab, longest);
    lab_event(lab, "");
    lab_event(lab, "Not A Domain\r\n");
    redis_lab_do(lab->redis, "XADD", "sts:e", "*", "x", "y", "d", "z", NULL);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, until_holds, b, SOON_MS));
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct heard {
    bool done, reachable;
    size_t count, confirmed, selves;
    char unconfirmed[80];
    int64_t took_ms;
};

static void
on_nodes(bool reachable, const struct farm_node *nodes, size_t count, void *arg)
{
    struct heard *h = arg;

    h->done = true;
    h->reachable = reachable;
    h->count = count;
    for (size_t i = 0; i < count; i++) {
        h->confirmed += nodes[i].confirmed;
        h->selves += nodes[i].self;
        if (!nodes[i].confirmed)
            snprintf(h->unconfirmed, sizeof h->unconfirmed, "%s", nodes[i].name);
    }
}

static bool
has_heard(struct lab *lab, void *arg)
{
    (void)lab;
    return ((struct heard *)arg)->done;
}

static struct heard
wait_for_nodes(struct lab *lab, struct node *node)
{
    struct heard h = {.done = false};
    int64_t began_ms = clock_boot_ms();

    assert_non_null(farm_wait(node->farm, on_nodes, &h));
    assert_false(h.done);
    assert_true(lab_until(lab, has_heard, &h, LONG_MS));
    h.took_ms = clock_boot_ms() - began_ms;
    return h;
}

static void
put_node(struct lab *lab, const char *name, const char *applied, int64_t seen_s)
{
    char value[100];

    snprintf(value, sizeof value, "%s %" PRId64, applied, seen_s);
    redis_lab_do(lab->redis, "HSET", "sts:nodes", name, value, NULL);
}

static void
wait_confirms_living_nodes(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct heard h;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(*state, a, DOMAIN);
    h = wait_for_nodes(*state, a);
    assert_true(h.reachable);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.confirmed, 2);
    assert_int_equal(h.selves, 1);
    assert_true(h.took_ms < 1000);
    assert_true(node_has(b, DOMAIN));
}

static void
node_confirms_only_what_it_has_copied(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    struct heard h;

    redis_lab_do(lab->redis, "SET", "sts:epoch", "another", NULL);
    lab_event(lab, DOMAIN);
    lab_run(lab, 1500); /* it has seen that; two copies lie five seconds apart */
    h = wait_for_nodes(lab, a);
    assert_int_equal(h.confirmed, 1);
    assert_in_range(h.took_ms, 1500, 6000);
}

static void
wait_names_the_dead_node(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    struct heard h;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    put_node(lab, "dead-00000000", "0-0", clock_wall_s() - 60);
    put_node(lab, "gone-00000000", "0-0", clock_wall_s() - 8 * 86400);
    redis_lab_do(lab->redis, "HSET", "sts:nodes", "junk", "junk", NULL);
    h = wait_for_nodes(lab, a);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.confirmed, 1);
    assert_string_equal(h.unconfirmed, "dead-00000000");
    assert_true(h.took_ms < 1000);
    put_node(lab, "dead-00000000", "0-0", clock_wall_s() - 12); /* may yet live */
    h = wait_for_nodes(lab, a);
    assert_int_equal(h.confirmed, 1);
    assert_in_range(h.took_ms, 1000, 5000);
    assert_string_equal(redis_lab_do(lab->redis, "HEXISTS", "sts:nodes", "gone-00000000", NULL),
                        "0");
}

static void
clean_end_leaves_the_registry_and_a_restart_keeps_the_name(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    char name[300];

    (void)a;
    snprintf(
        name, sizeof name, "%s",
        redis_lab_do(lab->redis, "EVAL", "return redis.call('HKEYS', 'sts:nodes')[1]", "0", NULL));
    assert_true(strlen(name) > 9);
    lab_node_end(a);
    assert_string_equal(redis_lab_do(lab->redis, "HLEN", "sts:nodes", NULL), "0");
    (void)lab_node(lab, 0);
    assert_string_equal(redis_lab_do(lab->redis, "HEXISTS", "sts:nodes", name, NULL), "1");
}

/* --- without Redis ---------------------------------------------------------------------------- */

static void
node_is_blind_until_it_has_copied_once(void **state)
{
    struct lab *lab = *state;
    struct node *a;
    struct heard h;

    redis_lab_kill(lab->redis);
    a = lab_node_begin(lab, 0);
    lab_run(lab, 300);
    assert_false(farm_is_up(a->farm));
    assert_true(farm_is_blind(a->farm));
    h = wait_for_nodes(lab, a);
    assert_false(h.reachable);
    cache_set_unknown(a->cache, cache_want(a->cache, DOMAIN), STS_DNS_TIMEOUT);
    redis_lab_start(lab->redis);
    assert_true(lab_until(lab, until_up, a, LONG_MS));
    lab_run(lab, PEER_MS);
    assert_null(cache_get(a->cache, DOMAIN, false)); /* learnt alone, without the others' word */
    redis_lab_kill(lab->redis);
    assert_true(lab_until(lab, until_down, a, LONG_MS));
    assert_false(farm_is_blind(a->farm));
    assert_int_equal(a->stats.redis_up, 0);
}

static void
hanging_redis_is_noticed_and_comes_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);

    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, until_down, a, SOON_MS));
    assert_true(node_lock(lab, a, false).away);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, until_holds, b, LONG_MS));
}

/* A program that stops waits for this. */
static void
tells_while_it_shares(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    assert_false(farm_is_sharing(NULL));
    assert_false(farm_is_sharing(a->farm));
    node_fetch(a, DOMAIN, WEEK_S);
    (void)farm_look(a->farm, "other.example", note_done, &done);
    assert_false(farm_is_sharing(a->farm));
    farm_cancel(farm_share(a->farm, DOMAIN, note_done, &done));
    assert_true(farm_is_sharing(a->farm));
    lab_run(lab, PEER_MS);
    assert_false(farm_is_sharing(a->farm));
}

static void
end_with_work_under_way_tells_nobody(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;
    struct heard h = {.done = false};
    struct locked l = {.done = false};

    node_fetch(a, DOMAIN, WEEK_S);
    (void)farm_look(a->farm, "other.example", note_done, &done);
    (void)farm_share(a->farm, DOMAIN, note_done, &done);
    (void)farm_lock(a->farm, "third.example", false, note_locked, &l);
    (void)farm_wait(a->farm, on_nodes, &h);
    lab_node_end(a);
    lab_run(lab, PEER_MS);
    assert_false(done || h.done || l.done);
}

#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(shared_policy_reaches_the_store_of_others),
        IN_LAB(shared_policy_replaces_an_outcome_in_memory),
        IN_LAB(look_takes_the_record_into_memory),
        IN_LAB(tell_forgets_the_outcomes_of_all),
        IN_LAB(buried_policy_is_forgotten_by_all),
        IN_LAB(order_to_forget_comes_after_what_was_there),
        IN_LAB(one_node_at_a_time_fetches),
        IN_LAB(lock_of_a_dead_node_runs_out),
        IN_LAB(forged_record_is_refused_and_replaced),
        IN_LAB(replayed_record_is_refused_and_counted),
        IN_LAB(lost_record_leaves_the_policy),
        IN_LAB(keys_of_a_wrong_kind_stop_nobody),
        IN_LAB(junk_in_the_stream_is_passed_over),
        IN_LAB(wait_confirms_living_nodes),
        IN_LAB(node_confirms_only_what_it_has_copied),
        IN_LAB(wait_names_the_dead_node),
        IN_LAB(clean_end_leaves_the_registry_and_a_restart_keeps_the_name),
        IN_LAB(node_is_blind_until_it_has_copied_once),
        IN_LAB(hanging_redis_is_noticed_and_comes_back),
        IN_LAB(tells_while_it_shares),
        IN_LAB(end_with_work_under_way_tells_nobody),
    };

    log_open("test_farm", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
