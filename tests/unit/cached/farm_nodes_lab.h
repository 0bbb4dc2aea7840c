/* farm_nodes_lab - nodes of a farm in one process, each with a cache and a store of its own, and a
 * real Redis between them. */
#ifndef STS_TESTS_UNIT_CACHED_FARM_NODES_LAB_H
#define STS_TESTS_UNIT_CACHED_FARM_NODES_LAB_H

#include "cached/cache_lmdb.h"
#include "cached/farm.h"
#include "cached/settings.h"
#include "cached/stats.h"
#include "tests/fake/redis_lab.h"

#define DOMAIN "example.com"

enum { NODES_MAX = 3, LONG_MS = 20000 };

struct node {
    struct settings settings;
    struct stats stats;
    struct store *store;
    struct cache *cache;
    struct farm *farm;
    char directory[200], key_file[200];
    int changed, forgotten; /* calls about DOMAIN */
};

struct lab {
    struct event_base *base;
    struct redis_lab *redis;
    struct farm_key *key;
    struct node nodes[NODES_MAX];
};

/* For cmocka: Redis runs, no node does. */
int lab_set_up(void **state);
int lab_tear_down(void **state);

/* Starts node `n` (what its store holds from before is there again), waits until it has copied. */
struct node *lab_node(struct lab *, int n);
/* As above, but does not wait. */
struct node *lab_node_begin(struct lab *, int n);
void lab_node_end(struct node *);

/* Runs the loop until the test holds; false after `ms`. */
bool lab_until(struct lab *, bool (*holds)(struct lab *, void *arg), void *arg, int64_t ms);
void lab_run(struct lab *, int64_t ms);

/* What farm_lock tells about DOMAIN, waited for; and for calls of one's own. */
struct farm_locked node_lock(struct lab *, struct node *, bool force);
struct locked {
    bool done;
    struct farm_locked result;
};
void note_locked(const struct farm_locked *, void *arg);

/* Tests for lab_until about DOMAIN; `arg` is the node, of until_done the bool that note_done sets.
 */
bool until_holds(struct lab *, void *arg);
bool until_lacks(struct lab *, void *arg);
bool until_redis_holds(struct lab *, void *arg);
bool until_up(struct lab *, void *arg);
bool until_down(struct lab *, void *arg);
bool until_done(struct lab *, void *arg);
void note_done(void *arg);

/* Wall time, as Redis has it. */
uint64_t lab_now_us(void);

/* A fetched policy of that max_age, in memory and store. */
void node_fetch(struct node *, const char *domain, int max_age_s);
bool node_has(struct node *, const char *domain); /* in memory or store */
bool node_has_in_memory(struct node *, const char *domain);
uint64_t node_seq(struct node *, const char *domain);
void node_share(struct lab *, struct node *, const char *domain); /* and waits for it */

/* Writes a record of a policy straight into Redis, into the index too, without an event; signed by
 * `key`. */
void lab_plant(struct lab *, const char *domain, uint64_t seq, const struct farm_key *key);
void lab_event(struct lab *, const char *name);
/* True when a sound record of the farm stands in Redis for the domain. */
bool lab_redis_has(struct lab *, const char *domain);
#endif
