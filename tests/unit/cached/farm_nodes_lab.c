#include "tests/unit/cached/farm_nodes_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"

enum { STORE_SIZE = 16 << 20, MEMORY_SIZE = 1 << 20, REFRESH_MS = 86400000, STEP_MS = 5 };

static const char key_text[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

/* --- the lab ---------------------------------------------------------------------------------- */

static void
write_key(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(key_text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

int
lab_set_up(void **state)
{
    struct lab *lab = alloc_zero(1, sizeof *lab);
    char path[200], why[200];

    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    lab->base = event_base_new();
    lab->redis = redis_lab_new();
    snprintf(path, sizeof path, "%s/key", redis_lab_directory(lab->redis));
    write_key(path);
    lab->key = farm_key_read(path, why, sizeof why);
    assert_non_null(lab->key);
    *state = lab;
    return 0;
}

int
lab_tear_down(void **state)
{
    struct lab *lab = *state;

    for (int i = 0; i < NODES_MAX; i++)
        lab_node_end(&lab->nodes[i]);
    redis_lab_free(lab->redis);
    farm_key_free(lab->key);
    event_base_free(lab->base);
    free(lab);
    return 0;
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

bool
lab_until(struct lab *lab, bool (*holds)(struct lab *, void *arg), void *arg, int64_t ms)
{
    struct event *step = event_new(lab->base, -1, EV_PERSIST, on_step, NULL);
    int64_t until_ms = clock_boot_ms() + ms;
    bool held;

    event_add(step, &(struct timeval){0, STEP_MS * 1000});
    while (!(held = holds(lab, arg)) && clock_boot_ms() < until_ms)
        event_base_loop(lab->base, EVLOOP_ONCE);
    event_free(step);
    return held;
}

static bool
never(struct lab *lab, void *arg)
{
    (void)lab, (void)arg;
    return false;
}

void
lab_run(struct lab *lab, int64_t ms)
{
    (void)lab_until(lab, never, NULL, ms);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void
on_changed(const char *domain, void *arg)
{
    struct node *node = arg;

    node->changed += strcmp(domain, DOMAIN) == 0;
}

static void
on_forgotten(const char *domain, void *arg)
{
    struct node *node = arg;

    node->forgotten += strcmp(domain, DOMAIN) == 0;
}

struct node *
lab_node_begin(struct lab *lab, int n)
{
    static const struct farm_events events = {.changed = on_changed, .forgotten = on_forgotten};
    struct node *node = &lab->nodes[n];
    char why[300] = "";

    *node = (struct node){0};
    snprintf(node->directory, sizeof node->directory, "%s/node%d", redis_lab_directory(lab->redis),
             n);
    snprintf(node->key_file, sizeof node->key_file, "%s/key", redis_lab_directory(lab->redis));
    mkdir(node->directory, 0700);
    node->settings.state_directory = node->directory;
    node->settings.redis.server = (char *)(uintptr_t)redis_lab_socket(lab->redis);
    node->settings.redis.prefix = (char *)(uintptr_t) "sts:";
    node->settings.redis.key_file = node->key_file;
    node->settings.redis.timeout_ms = 500;
    node->store = store_open(node->directory, STORE_SIZE, why, sizeof why);
    assert_non_null(node->store);
    node->cache = cache_new(node->store, MEMORY_SIZE, REFRESH_MS);
    node->farm = farm_new(lab->base, &node->settings, node->cache, node->store, &node->stats, why,
                          sizeof why);
    if (node->farm == NULL)
        fail_msg("farm_new: %s", why);
    farm_watch(node->farm, &events, node);
    return node;
}

static bool
has_copied(struct lab *lab, void *arg)
{
    const struct node *node = arg;

    (void)lab;
    return farm_is_up(node->farm) && node->stats.redis_copies > 0;
}

struct node *
lab_node(struct lab *lab, int n)
{
    struct node *node = lab_node_begin(lab, n);

    assert_true(lab_until(lab, has_copied, node, LONG_MS));
    lab_run(lab, 100);
    return node;
}

void
lab_node_end(struct node *node)
{
    if (node->cache == NULL)
        return;
    farm_free(node->farm);
    cache_free(node->cache);
    store_close(node->store);
    node->cache = NULL;
}

/* --- what they hold --------------------------------------------------------------------------- */

static int
write_body(char *body, size_t size, int max_age_s)
{
    return snprintf(body, size, "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: %d\n",
                    max_age_s);
}

uint64_t
lab_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void
node_fetch(struct node *node, const char *domain, int max_age_s)
{
    char body[200];
    int len = write_body(body, sizeof body, max_age_s);
    struct entry *e = cache_want(node->cache, domain);
    struct policy *policy;

    assert_int_equal(policy_parse((struct span){body, (size_t)len}, "id1", &policy, NULL, 0),
                     STS_OK);
    cache_set_policy(node->cache, e, policy, lab_now_us());
}

bool
node_has_in_memory(struct node *node, const char *domain)
{
    const struct entry *e = cache_get(node->cache, domain, false);

    return e != NULL && e->policy != NULL;
}

bool
node_has(struct node *node, const char *domain)
{
    return node_has_in_memory(node, domain) || node_seq(node, domain) != 0;
}

uint64_t
node_seq(struct node *node, const char *domain)
{
    struct buf body;
    struct record record;
    int64_t life_s;
    bool held;

    buf_init(&body, RECORD_MAX);
    held = cache_give(node->cache, domain, &body, &record, &life_s);
    buf_done(&body);
    return held && record.kind == RECORD_POLICY ? record.seq : 0;
}

static void
on_done(void *arg)
{
    *(bool *)arg = true;
}

static bool
is_true(struct lab *lab, void *arg)
{
    (void)lab;
    return *(bool *)arg;
}

void
node_share(struct lab *lab, struct node *node, const char *domain)
{
    bool done = false;

    assert_non_null(farm_share(node->farm, domain, on_done, &done));
    assert_false(done);
    assert_true(lab_until(lab, is_true, &done, LONG_MS));
}

/* --- what Redis holds ------------------------------------------------------------------------- */

void
lab_plant(struct lab *lab, const char *domain, uint64_t seq, const struct farm_key *key)
{
    struct record record = {.kind = RECORD_POLICY, .id = "id2", .seq = seq};
    char body[200], name[300], end[32];
    struct buf out;
    static int planted;

    record.fetched_s = clock_wall_s();
    record.refresh_s = record.fetched_s + 86400;
    record.asked_day = record.fetched_s / 86400;
    snprintf(record.domain, sizeof record.domain, "%s", domain);
    record.body = (struct span){body, (size_t)write_body(body, sizeof body, 604800)};
    buf_init(&out, RECORD_MAX);
    record_encode(&record, key, &out);
    snprintf(name, sizeof name, "sts:r:%s", domain);
    redis_lab_do(lab->redis, "SET", name, buf_string(&out), "EX", "604800", NULL);
    snprintf(end, sizeof end, "%" PRId64 ".%06d", record.fetched_s + 604800, ++planted);
    redis_lab_do(lab->redis, "ZADD", "sts:index", end, domain, NULL);
    buf_done(&out);
}

void
lab_event(struct lab *lab, const char *name)
{
    redis_lab_do(lab->redis, "XADD", "sts:e", "*", "d", name, NULL);
}

bool
lab_redis_has(struct lab *lab, const char *domain)
{
    struct record record;
    char name[300];
    const char *text;

    snprintf(name, sizeof name, "sts:r:%s", domain);
    text = redis_lab_do(lab->redis, "GET", name, NULL);
    return record_decode(text, strlen(text), lab->key, &record) &&
           strcmp(record.domain, domain) == 0;
}

/* --- conditions ------------------------------------------------------------------------------- */

void
note_done(void *arg)
{
    *(bool *)arg = true;
}

bool
until_done(struct lab *lab, void *arg)
{
    (void)lab;
    return *(bool *)arg;
}

bool
until_holds(struct lab *lab, void *arg)
{
    (void)lab;
    return node_has(arg, DOMAIN);
}

bool
until_lacks(struct lab *lab, void *arg)
{
    (void)lab;
    return !node_has(arg, DOMAIN);
}

bool
until_up(struct lab *lab, void *arg)
{
    (void)lab;
    return farm_is_up(((struct node *)arg)->farm);
}

bool
until_down(struct lab *lab, void *arg)
{
    return !until_up(lab, arg);
}

bool
until_redis_holds(struct lab *lab, void *arg)
{
    (void)arg;
    return lab_redis_has(lab, DOMAIN);
}

void
note_locked(const struct farm_locked *result, void *arg)
{
    struct locked *l = arg;

    l->result = *result;
    l->done = true;
}

struct farm_locked
node_lock(struct lab *lab, struct node *node, bool force)
{
    struct locked l = {.done = false};

    assert_non_null(farm_lock(node->farm, DOMAIN, force, note_locked, &l));
    assert_false(l.done);
    assert_true(lab_until(lab, until_done, &l, LONG_MS));
    return l.result;
}
