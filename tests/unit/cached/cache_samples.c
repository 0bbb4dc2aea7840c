#include "tests/unit/cached/cache_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"

int64_t boot_ms, wall_s;

void
pass(int64_t seconds)
{
    boot_ms += seconds * 1000;
    wall_s += seconds;
    clock_fake(boot_ms, wall_s);
}

void
step_wall_clock(int64_t seconds)
{
    wall_s += seconds;
    clock_fake(boot_ms, wall_s);
}

int
setup(void **state)
{
    (void)state;
    boot_ms = BOOT_MS;
    wall_s = WALL_S;
    pass(0);
    sample_directory_make();
    return 0;
}

int
teardown(void **state)
{
    (void)state;
    sample_directory_remove();
    return 0;
}

static struct policy *
make_policy(const char *mode, uint32_t max_age_s)
{
    struct policy *policy;
    char body[200];
    int len = snprintf(body, sizeof body, "version: STSv1\nmode: %s\nmx: *.%s\nmax_age: %u\n", mode,
                       DOMAIN, max_age_s);

    assert_int_equal(policy_parse((struct span){body, (size_t)len}, "id1", &policy, NULL, 0),
                     STS_OK);
    return policy;
}

void
set_policy(struct cache *cache, const char *domain, uint32_t max_age_s)
{
    cache_set_policy(cache, cache_want(cache, domain), make_policy("enforce", max_age_s), 0);
}

bool
has_policy(struct cache *cache, const char *domain)
{
    const struct entry *e = cache_get(cache, domain, true);

    return e != NULL && e->policy != NULL;
}

void
reopen(struct store **store, struct cache **cache)
{
    cache_free(*cache);
    store_close(*store);
    *store = sample_open();
    *cache = cache_new(*store, MEMORY, DAY_S * 1000);
}

void
close_all(struct store *store, struct cache *cache)
{
    cache_free(cache);
    store_close(store);
}

void
open_all(struct store **store, struct cache **cache)
{
    *store = sample_open();
    *cache = cache_new(*store, MEMORY, DAY_S * 1000);
}

static bool
note_record(const struct record *record, void *arg)
{
    *(struct record *)arg = *record;
    ((struct record *)arg)->body = (struct span){0};
    return true;
}

struct record
stored(struct store *store)
{
    struct record record = {0};

    store_flush(store);
    store_walk(store, NULL, note_record, &record);
    return record;
}
