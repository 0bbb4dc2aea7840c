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

static void
on_done(void *arg)
{
    *(bool *)arg = true;
}

static bool
is_done(struct lab *lab, void *arg)
{
    (void)lab;
    return *(bool *)arg;
}

static bool
holds(struct lab *lab, void *arg)
{
    (void)lab;
    return node_has(arg, DOMAIN);
}

static bool
lacks(struct lab *lab, void *arg)
{
    (void)lab;
    return !node_has(arg, DOMAIN);
}

static bool
is_up(struct lab *lab, void *arg)
{
    (void)lab;
    return farm_is_up(((struct node *)arg)->farm);
}

static bool
is_down(struct lab *lab, void *arg)
{
    return !is_up(lab, arg);
}

static bool
redis_holds(struct lab *lab, void *arg)
{
    (void)arg;
    return lab_redis_has(lab, DOMAIN);
}

/* --- what one learns the others get ----------------------------------------------------------- */

static void
shared_policy_reaches_the_store_of_others(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(*state, a, DOMAIN);
    assert_true(lab_until(*state, holds, b, SOON_MS));
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
    assert_true(lab_until(*state, holds, b, SOON_MS));
    assert_true(node_has_in_memory(b, DOMAIN));
}

static void
look_takes_the_record_into_memory(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    lab_plant(lab, DOMAIN, lab_now_us(), lab->key);
    assert_non_null(farm_look(a->farm, DOMAIN, on_done, &done));
    assert_false(done);
    assert_true(lab_until(lab, is_done, &done, SOON_MS));
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
    assert_true(lab_until(*state, holds, b, SOON_MS));
    (void)farm_bury(a->farm, DOMAIN, on_done, &done);
    assert_true(lab_until(*state, is_done, &done, SOON_MS));
    cache_forget(a->cache, DOMAIN);
    assert_true(lab_until(*state, lacks, b, SOON_MS));
    assert_true(b->forgotten > 0);
    node_fetch(b, DOMAIN, WEEK_S); /* and a new one counts */
    node_share(*state, b, DOMAIN);
    assert_true(lab_until(*state, holds, a, SOON_MS));
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
    (void)farm_bury(a->farm, DOMAIN, on_done, &done);
    assert_true(lab_until(lab, is_done, &done, SOON_MS));
    assert_string_equal(redis_lab_do(lab->redis, "GETRANGE", "sts:r:" DOMAIN, "0", "13", NULL),
                        "sts1 tombstone");
}

/* --- locks ------------------------------------------------------------------------------------ */

struct locked {
    bool done;
    struct farm_locked result;
};

static void
on_locked(const struct farm_locked *result, void *arg)
{
    struct locked *l = arg;

    l->result = *result;
    l->done = true;
}

static bool
is_answered(struct lab *lab, void *arg)
{
    (void)lab;
    return ((struct locked *)arg)->done;
}

static struct farm_locked
lock(struct lab *lab, struct node *node, bool force)
{
    struct locked l = {.done = false};

    assert_non_null(farm_lock(node->farm, DOMAIN, force, on_locked, &l));
    assert_false(l.done);
    assert_true(lab_until(lab, is_answered, &l, SOON_MS));
    return l.result;
}

static void
one_node_at_a_time_fetches(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct farm_locked l = lock(*state, a, false);
    int before;

    assert_true(l.locked && !l.away);
    assert_true(l.seq / 1000000 >= lab_now_us() / 1000000 - 60);
    l = lock(*state, b, false);
    assert_false(l.locked || l.away);
    assert_in_range(l.again_ms, 1, 5500);
    before = b->changed;
    farm_unlock(a->farm, DOMAIN);
    lab_run(*state, PEER_MS);
    assert_true(b->changed > before);
    assert_true(lock(*state, b, false).locked);
    assert_true(lock(*state, a, true).locked);
}

static void
lock_of_a_dead_node_runs_out(void **state)
{
    struct node *a = lab_node(*state, 0), *b = lab_node(*state, 1);
    struct farm_locked l;

    assert_true(lock(*state, a, false).locked);
    lab_node_end(a);
    l = lock(*state, b, false);
    assert_false(l.locked);
    lab_run(*state, l.again_ms + 200);
    assert_true(lock(*state, b, false).locked);
}

/* --- what is missed is copied ----------------------------------------------------------------- */

static void
new_node_copies_what_was_before(void **state)
{
    struct lab *lab = *state;
    struct node *a;
    char domain[32];

    for (int i = 0; i < 700; i++) {
        snprintf(domain, sizeof domain, "d%03d.example", i);
        lab_plant(lab, domain, lab_now_us(), lab->key);
    }
    a = lab_node(lab, 0);
    lab_run(lab, 1000);
    for (int i = 0; i < 700; i++) {
        snprintf(domain, sizeof domain, "d%03d.example", i);
        assert_true(node_has(a, domain));
    }
}

/* Something is shared before, so that a node has applied an event. */
static struct node *
node_before_a_gap(struct lab *lab)
{
    struct node *a = lab_node(lab, 0);

    node_fetch(a, "other.example", WEEK_S);
    node_share(lab, a, "other.example");
    lab_run(lab, 1500);
    lab_plant(lab, DOMAIN, lab_now_us(), lab->key);
    lab_run(lab, 1500);
    assert_false(node_has(a, DOMAIN)); /* no event: nothing is known of it yet */
    return a;
}

static void
trimmed_stream_is_a_gap(void **state)
{
    struct lab *lab = *state;
    struct node *a = node_before_a_gap(lab);

    redis_lab_do(lab->redis, "XTRIM", "sts:e", "MAXLEN", "0", NULL);
    assert_true(lab_until(lab, holds, a, LONG_MS));
}

static void
deleted_stream_is_a_gap(void **state)
{
    struct lab *lab = *state;
    struct node *a = node_before_a_gap(lab);

    redis_lab_do(lab->redis, "DEL", "sts:e", NULL);
    assert_true(lab_until(lab, holds, a, LONG_MS));
}

static void
another_epoch_is_a_gap(void **state)
{
    struct lab *lab = *state;
    struct node *a = node_before_a_gap(lab);
    char longest[2000];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    redis_lab_do(lab->redis, "SET", "sts:epoch", longest, NULL);
    assert_true(lab_until(lab, holds, a, LONG_MS));
}

/* --- what Redis loses comes back -------------------------------------------------------------- */

static void
flushed_redis_gets_everything_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, holds, b, SOON_MS));
    store_flush(a->store);
    redis_lab_do(lab->redis, "FLUSHALL", NULL);
    assert_true(lab_until(lab, redis_holds, NULL, LONG_MS));
    assert_true(node_has(a, DOMAIN) && node_has(b, DOMAIN));
}

static void
what_was_learnt_alone_is_written_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);

    redis_lab_kill(lab->redis);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lock(lab, a, false).away);
    redis_lab_start(lab->redis);
    assert_true(lab_until(lab, redis_holds, NULL, LONG_MS));
    assert_true(lab_until(lab, holds, b, LONG_MS));
    assert_int_equal(a->stats.redis_stale + b->stats.redis_stale, 0);
}

static void
share_that_nobody_waits_for_is_written_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, is_down, a, LONG_MS));
    node_fetch(a, DOMAIN, WEEK_S);
    farm_cancel(farm_share(a->farm, DOMAIN, on_done, &done));
    lab_run(lab, PEER_MS);
    assert_false(done);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, redis_holds, NULL, LONG_MS));
}

static void
what_is_fetched_during_a_share_keeps_its_order(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;
    uint64_t newer;

    node_fetch(a, DOMAIN, WEEK_S);
    (void)farm_share(a->farm, DOMAIN, on_done, &done);
    node_fetch(a, DOMAIN, 2 * WEEK_S);
    newer = node_seq(a, DOMAIN);
    assert_true(lab_until(lab, is_done, &done, SOON_MS));
    assert_true(node_seq(a, DOMAIN) >= newer);
}

static void
tombstone_made_alone_is_written_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);
    bool done = false;

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, holds, b, SOON_MS));
    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, is_down, a, LONG_MS));
    (void)farm_bury(a->farm, DOMAIN, on_done, &done);
    assert_true(lab_until(lab, is_done, &done, SOON_MS));
    cache_forget(a->cache, DOMAIN);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, is_up, a, LONG_MS));
    done = false;
    (void)farm_look(a->farm, DOMAIN, on_done, &done); /* the old record still stands there */
    assert_true(lab_until(lab, is_done, &done, SOON_MS));
    assert_false(node_has(a, DOMAIN));
    assert_true(lab_until(lab, lacks, b, LONG_MS));
    assert_false(node_has(a, DOMAIN));
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
    assert_true(lab_until(lab, holds, b, SOON_MS));
    seq = node_seq(b, DOMAIN);
    lab_plant(lab, DOMAIN, lab_now_us() + 1000000000, NULL);
    lab_event(lab, DOMAIN);
    lab_run(lab, PEER_MS);
    assert_true(b->stats.redis_refused > 0);
    assert_true(node_seq(b, DOMAIN) == seq);
    assert_true(lab_until(lab, redis_holds, NULL, LONG_MS));
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
    assert_true(lab_until(lab, holds, b, LONG_MS));
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
    assert_true(lab_until(lab, holds, b, SOON_MS));
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
    assert_true(lab_until(lab, is_up, a, LONG_MS));
    lab_run(lab, PEER_MS);
    assert_int_equal(cache_get(a->cache, DOMAIN, false)->outcome, STS_OK);
    redis_lab_kill(lab->redis);
    assert_true(lab_until(lab, is_down, a, LONG_MS));
    assert_false(farm_is_blind(a->farm));
    assert_int_equal(a->stats.redis_up, 0);
}

static void
hanging_redis_is_noticed_and_comes_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);

    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, is_down, a, SOON_MS));
    assert_true(lock(lab, a, false).away);
    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, holds, b, LONG_MS));
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
    (void)farm_look(a->farm, "other.example", on_done, &done);
    (void)farm_share(a->farm, DOMAIN, on_done, &done);
    (void)farm_lock(a->farm, "third.example", false, on_locked, &l);
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
        IN_LAB(new_node_copies_what_was_before),
        IN_LAB(trimmed_stream_is_a_gap),
        IN_LAB(deleted_stream_is_a_gap),
        IN_LAB(another_epoch_is_a_gap),
        IN_LAB(flushed_redis_gets_everything_back),
        IN_LAB(what_was_learnt_alone_is_written_back),
        IN_LAB(share_that_nobody_waits_for_is_written_back),
        IN_LAB(what_is_fetched_during_a_share_keeps_its_order),
        IN_LAB(tombstone_made_alone_is_written_back),
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
        IN_LAB(end_with_work_under_way_tells_nobody),
    };

    log_open("test_farm", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
