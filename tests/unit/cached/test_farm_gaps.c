/* Nodes of one farm and a real Redis: what a node missed it copies, and what Redis loses comes
 * back. */
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
#include "tests/fake/slow.h"
#include "tests/unit/cached/farm_nodes_lab.h"

enum { SOON_MS = 3000, WEEK_S = 604800, PEER_MS = 500 };
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
    lab_run(lab, 1000 * slow_factor());
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
    assert_true(lab_until(lab, until_holds, a, LONG_MS));
}

static void
deleted_stream_is_a_gap(void **state)
{
    struct lab *lab = *state;
    struct node *a = node_before_a_gap(lab);

    redis_lab_do(lab->redis, "DEL", "sts:e", NULL);
    assert_true(lab_until(lab, until_holds, a, LONG_MS));
}

static void
another_epoch_is_a_gap(void **state)
{
    struct lab *lab = *state;
    struct node *a = node_before_a_gap(lab);
    char longest[2000];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_non_null(cache_get(a->cache, "other.example", false));
    redis_lab_do(lab->redis, "SET", "sts:epoch", longest, NULL);
    assert_true(lab_until(lab, until_holds, a, LONG_MS));
    assert_null(cache_get(a->cache, "other.example", false)); /* memory is dropped, */
    assert_true(node_has(a, "other.example"));                /* the disk still has it */
}

/* --- what Redis loses comes back -------------------------------------------------------------- */

static void
flushed_redis_gets_everything_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0), *b = lab_node(lab, 1);

    node_fetch(a, DOMAIN, WEEK_S);
    node_share(lab, a, DOMAIN);
    assert_true(lab_until(lab, until_holds, b, SOON_MS));
    store_flush(a->store);
    redis_lab_do(lab->redis, "FLUSHALL", NULL);
    assert_true(lab_until(lab, until_redis_holds, NULL, LONG_MS));
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
    assert_true(node_lock(lab, a, false).away);
    redis_lab_start(lab->redis);
    assert_true(lab_until(lab, until_redis_holds, NULL, LONG_MS));
    assert_true(lab_until(lab, until_holds, b, LONG_MS));
    assert_int_equal(a->stats.redis_stale + b->stats.redis_stale, 0);
}

static void
share_that_nobody_waits_for_is_written_back(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;

    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, until_down, a, LONG_MS));
    node_fetch(a, DOMAIN, WEEK_S);
    farm_cancel(farm_share(a->farm, DOMAIN, note_done, &done));
    lab_run(lab, PEER_MS);
    assert_false(done);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, until_redis_holds, NULL, LONG_MS));
}

static void
what_is_fetched_during_a_share_keeps_its_order(void **state)
{
    struct lab *lab = *state;
    struct node *a = lab_node(lab, 0);
    bool done = false;
    uint64_t newer;

    node_fetch(a, DOMAIN, WEEK_S);
    (void)farm_share(a->farm, DOMAIN, note_done, &done);
    node_fetch(a, DOMAIN, 2 * WEEK_S);
    newer = node_seq(a, DOMAIN);
    assert_true(lab_until(lab, until_done, &done, SOON_MS));
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
    assert_true(lab_until(lab, until_holds, b, SOON_MS));
    redis_lab_hang(lab->redis);
    assert_true(lab_until(lab, until_down, a, LONG_MS));
    (void)farm_bury(a->farm, DOMAIN, note_done, &done);
    assert_true(lab_until(lab, until_done, &done, SOON_MS));
    cache_forget(a->cache, DOMAIN);
    redis_lab_wake(lab->redis);
    assert_true(lab_until(lab, until_up, a, LONG_MS));
    done = false;
    (void)farm_look(a->farm, DOMAIN, note_done, &done); /* the old record still stands there */
    assert_true(lab_until(lab, until_done, &done, SOON_MS));
    assert_false(node_has(a, DOMAIN));
    assert_true(lab_until(lab, until_lacks, b, LONG_MS));
    assert_false(node_has(a, DOMAIN));
}

#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(new_node_copies_what_was_before),
        IN_LAB(trimmed_stream_is_a_gap),
        IN_LAB(deleted_stream_is_a_gap),
        IN_LAB(another_epoch_is_a_gap),
        IN_LAB(flushed_redis_gets_everything_back),
        IN_LAB(what_was_learnt_alone_is_written_back),
        IN_LAB(share_that_nobody_waits_for_is_written_back),
        IN_LAB(what_is_fetched_during_a_share_keeps_its_order),
        IN_LAB(tombstone_made_alone_is_written_back),
    };

    log_open("test_farm_gaps", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
