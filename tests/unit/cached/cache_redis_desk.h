/* cache_redis_desk - a real Redis and two nodes' cache_redis at it, without a key; what the last
 * callback said lies in the desk. Without redis-server the tests fail. */
#ifndef STS_TESTS_CACHE_REDIS_DESK_H
#define STS_TESTS_CACHE_REDIS_DESK_H

#include "cached/cache_redis.h"
#include "cached/settings.h"
#include "cached/stats.h"
#include "tests/fake/redis_lab.h"

enum { DESK_NODES = 2, DESK_LIFE_S = 600 };

extern const char desk_domain[], desk_record_key[], desk_lock_key[];

struct node {
    struct redis_link *link;
    struct cache_redis *cr;
};

struct desk {
    struct redis_lab *lab;
    struct event_base *base;
    struct settings settings;
    struct stats stats;
    struct node nodes[DESK_NODES];
    int called, each;
    enum cache_redis_status status;
    bool there, refused, locked, written;
    uint64_t seq, there_seq;
    enum record_kind there_kind;
    int64_t again_ms;
    size_t names;
    char name[DOMAIN_SIZE];
};

int desk_set_up(void **state);
int desk_tear_down(void **state);

/* Runs the loop until that holds (or the test fails), or for so long. */
void desk_run_until(struct desk *, bool (*is)(const struct desk *));
void desk_run_ms(struct desk *, int64_t ms);
bool desk_are_up(const struct desk *);
bool desk_was_called(const struct desk *);

/* One question each, and its callback is waited for; the node is 0 where it is not named. */
void desk_get(struct desk *);
void desk_put(struct desk *, int node, enum record_kind, uint64_t seq);
void desk_lock(struct desk *, int node, bool force);
void desk_page(struct desk *, double from, size_t max);
/* A record of desk_domain. */
struct record desk_sample(enum record_kind, uint64_t seq);

/* The callbacks; `arg` is the desk. */
cache_redis_found_fn desk_on_found;
cache_redis_each_fn desk_on_each;
cache_redis_done_fn desk_on_done;
cache_redis_put_fn desk_on_put;
cache_redis_locked_fn desk_on_locked;
cache_redis_page_fn desk_on_page;

/* A command of a stranger; as redis_lab_do, of the desk `d`. */
#define ASK(...) redis_lab_do(d->lab, __VA_ARGS__, (char *)NULL)

#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, desk_set_up, desk_tear_down)

#endif
