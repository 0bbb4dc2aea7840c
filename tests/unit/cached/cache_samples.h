/* cache_samples - two clocks to turn, and a cache with and without a store to try. */
#ifndef STS_TESTS_UNIT_CACHED_CACHE_SAMPLES_H
#define STS_TESTS_UNIT_CACHED_CACHE_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/cache.h"
#include "tests/unit/cached/store_samples.h"

/* When each test begins the machine was up for an hour, at some time in 2026. */
enum { BOOT_MS = 3600000, HOUR_S = 3600, DAY_S = 86400, MEMORY = 1 << 20 };
#define WALL_S INT64_C(1790000000)
#define DOMAIN "example.com"

/* What the clocks show; a test that sets them calls pass() next. */
extern int64_t boot_ms, wall_s;
/* Time passes (may be negative); or somebody sets the wall clock. */
void pass(int64_t seconds);
void step_wall_clock(int64_t seconds);

/* For cmocka: a directory for a store, and the clocks as above. */
int setup(void **state);
int teardown(void **state);
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

void set_policy(struct cache *, const char *domain, uint32_t max_age_s);
bool has_policy(struct cache *, const char *domain);

void open_all(struct store **, struct cache **);
/* A restart of the daemon. */
void reopen(struct store **, struct cache **);
void close_all(struct store *, struct cache *);
/* The last record in the store, without its body; all zero when it is empty. */
struct record stored(struct store *);

#endif
