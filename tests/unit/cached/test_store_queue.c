/* What waits for the store, and what is owed when the store refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/store_queue.h"
#include "tests/unit/cached/store_samples.h"

static const char domain[] = "d000001.example"; /* of sample 1 */

static uint64_t
cost_of_one(const struct store_change *c)
{
    (void)c;
    return 1;
}

static void
add(struct store_queue *q, char what)
{
    struct record record = sample_record(1, 1);

    assert_true(store_queue_add(q, store_change_new(domain, what == 'p' ? &record : NULL)));
}

/* Takes all and makes it, or not. */
static struct store_queue_finished
work(struct store_queue *q, bool refuse)
{
    struct store_change *c;
    uint64_t cost = 0;

    for (c = store_queue_take(q, 1000, cost_of_one, &cost); c != NULL; c = TAILQ_NEXT(c, entry))
        c->given_up = refuse;
    return store_queue_finish(q);
}

/* p: a write is queued, r: a removal; -: the store refuses what it is given, +: it does not;
 * t: takes what waits, f: that was refused; o: what is owed is tried again. */
static const struct row {
    const char *name, *steps;
    char want; /* what the domain's newest change is; 0: none */
    bool owes;
} rows[] = {
    {"a write that is made", "p+", 0, false},
    {"a write that is refused", "p-", 0, false},
    {"a removal that is made", "r+", 0, false},
    {"a removal that is refused", "r-", 'r', true},
    {"and refused again", "r-o-", 'r', true},
    {"and made at last", "r-o-o+", 0, false},
    {"and tried by itself", "r-+", 'r', true},
    {"a removal again", "r-r", 'r', false},
    {"a write in its place", "r-p", 'p', false},
    {"that is made", "r-p+", 0, false},
    {"that is refused", "r-p-", 'r', true},
    {"a write behind a removal that waits", "rp-", 'r', true},
    {"and made", "rp+", 0, false},
    {"a write while the removal is refused", "rtpf", 'p', false},
    {"and is refused", "rtpf-", 'r', true},
    {"and made", "rtpf+", 0, false},
    {"a write while the write in its place is refused", "r-ptpf-", 'r', true},
};

/* `*taken` is what was taken last. */
static void
step(struct store_queue *q, char what, struct store_change **taken)
{
    uint64_t cost = 0;

    switch (what) {
    case 'p':
    case 'r':
        add(q, what);
        break;
    case 't':
        *taken = store_queue_take(q, 1000, cost_of_one, &cost);
        break;
    case 'f':
        (*taken)->given_up = true;
        (void)store_queue_finish(q);
        break;
    case 'o':
        store_queue_retry(q, 1);
        break;
    default:
        (void)work(q, what == '-');
    }
}

static void
test_changes_of_one_domain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_queue *q = store_queue_new();
        struct store_change *taken = NULL;
        const struct store_change *c;

        for (const char *at = rows[i].steps; *at != '\0'; at++)
            step(q, *at, &taken);
        c = store_queue_find(q, domain);
        if ((c == NULL    ? 0
             : c->removes ? 'r'
                          : 'p') != rows[i].want ||
            store_queue_owes(q) != rows[i].owes)
            fail_msg("%s: %s", rows[i].name, c == NULL ? "none" : c->removes ? "r" : "p");
        store_queue_free(q);
    }
}

/* Whoever waits for a change does not wait for the store to be mended. */
static void
test_what_is_owed_is_not_waited_for(void **state)
{
    struct store_queue *q = store_queue_new();

    (void)state;
    add(q, 'r');
    assert_int_equal(store_queue_done(q), store_queue_last(q) - 1);
    assert_false(work(q, true).pays);
    assert_int_equal(store_queue_done(q), store_queue_last(q));
    store_queue_retry(q, 1);
    assert_true(work(q, false).pays);
    store_queue_free(q);
}

static void
test_what_is_owed_is_bounded(void **state)
{
    enum { MANY = 800000 };
    struct store_queue *q = store_queue_new();
    struct store_queue_finished finished;
    size_t lost = 0, owed = 0;

    (void)state;
    for (int n = 0; n < MANY; n++) {
        char name[SAMPLE_DOMAIN_SIZE];

        sample_domain(n, name);
        assert_true(store_queue_add(q, store_change_new(name, NULL)));
        if (store_queue_count(q) < STORE_BATCH_MAX && n < MANY - 1)
            continue;
        finished = work(q, true);
        lost += finished.lost;
    }
    while (store_queue_owes(q)) {
        store_queue_retry(q, STORE_BATCH_MAX);
        owed += store_queue_count(q);
        (void)work(q, false);
    }
    assert_int_equal(owed + lost, MANY);
    assert_true(owed > 500000);
    assert_true(lost > 0);
    store_queue_free(q);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_of_one_domain),
        cmocka_unit_test(test_what_is_owed_is_not_waited_for),
        cmocka_unit_test(test_what_is_owed_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
