#include "cached/held.h"

#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/verdict.h"
#include "common/clock.h"
#include "common/glob.h"

enum {
    WRITE_DELAY_S = 60 /* far more than the store's writer ever needs */
};

struct held {
    struct cache *cache;
    struct store *store;
    char *glob;
    char position[DOMAIN_SIZE];
    char **noted; /* domains that memory alone may hold, sorted */
    size_t noted_count, noted_size, noted_at;
    bool note_all; /* the store may lack any of them */
    int64_t began_s, began_ms;
};

/* One page under way. */
struct page {
    struct held *held;
    held_each_fn *each;
    void *arg;
    size_t wanted, scans_left;
    bool full;
};

static bool
matches(const struct held *h, const char *domain)
{
    return h->glob == NULL || glob_matches(h->glob, domain);
}

/* --- what memory alone may hold --------------------------------------------------------------- */

static void
note_entry(struct entry *e, void *arg)
{
    struct held *h = arg;

    if (!cache_policy_in_force(e, h->began_ms))
        return;
    if (!h->note_all && h->began_s - e->fetched_s > WRITE_DELAY_S)
        return;
    if (strcmp(e->domain, h->position) <= 0 || !matches(h, e->domain))
        return;
    if (h->noted_count == h->noted_size) {
        h->noted_size = h->noted_size == 0 ? 64 : h->noted_size * 2;
        h->noted = alloc_resize(h->noted, h->noted_size * sizeof(*h->noted));
    }
    h->noted[h->noted_count++] = alloc_string(e->domain);
}

static int
compare_names(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;

    return strcmp(*left, *right);
}

static bool
store_may_lack_any(struct store *store)
{
    struct store_stats st;

    if (store == NULL)
        return true;
    store_stats(store, &st);
    return st.evicted > 0 || st.write_errors > 0;
}

struct held *
held_new(struct cache *cache, struct store *store, const char *glob, const char *after)
{
    struct held *h = alloc_zero(1, sizeof(*h));

    h->cache = cache;
    h->store = store;
    h->glob = glob != NULL ? alloc_string(glob) : NULL;
    if (after != NULL)
        strncpy(h->position, after, sizeof(h->position) - 1);
    h->began_s = clock_wall_s();
    h->began_ms = clock_boot_ms();
    h->note_all = store_may_lack_any(store);
    cache_walk(cache, note_entry, h);
    if (h->noted_count > 1)
        qsort(h->noted, h->noted_count, sizeof(*h->noted), compare_names);
    return h;
}

void
held_free(struct held *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->noted_count; i++)
        free(h->noted[i]);
    free(h->noted);
    free(h->glob);
    free(h);
}

const char *
held_position(const struct held *h)
{
    return h->position;
}

/* --- one policy, from either place ------------------------------------------------------------ */

static bool
show_entry(const struct entry *e, held_each_fn *each, void *arg)
{
    int64_t now_ms = clock_boot_ms();

    if (!cache_policy_in_force(e, now_ms))
        return false;
    each(&(struct held_policy){.domain = e->domain,
                               .id = policy_id(e->policy),
                               .policy = e->policy,
                               .fetched_s = e->fetched_s,
                               .expires_s = verdict_expires_s(e, now_ms),
                               .refresh_s = clock_wall_of(e->refresh_s * SECOND_MS)},
         arg);
    return true;
}

/* A record whose policy has run out, or that no longer parses, is not held. */
static bool
show_record(const struct record *r, held_each_fn *each, void *arg)
{
    int64_t now_s = clock_wall_s();
    int64_t fetched_s = r->fetched_s < now_s ? r->fetched_s : now_s;
    struct policy *policy;

    if (policy_parse(r->body, r->id, &policy, NULL, 0) != STS_OK)
        return false;
    struct held_policy held = {.domain = r->domain,
                               .id = r->id,
                               .policy = policy,
                               .fetched_s = r->fetched_s,
                               .expires_s = fetched_s + policy_life_s(policy),
                               .refresh_s = r->refresh_s};
    bool in_force = held.expires_s > now_s;
    if (in_force)
        each(&held, arg);
    policy_free(policy);
    return in_force;
}

bool
held_find(struct cache *cache, struct store *store, const char *domain, held_each_fn *each,
          void *arg)
{
    struct buf bytes;
    struct record record;
    bool found;

    if (show_entry(cache_get(cache, domain, false), each, arg))
        return true;
    if (store == NULL)
        return false;
    buf_init(&bytes, RECORD_MAX);
    found = store_get(store, domain, &bytes, &record) && show_record(&record, each, arg);
    buf_done(&bytes);
    return found;
}

bool
held_anything(const struct entry *e)
{
    return e != NULL && (e->policy != NULL || e->outcome != STS_OK || e->failure != NULL);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void
move_to(struct held *h, const char *domain)
{
    memcpy(h->position, domain, strlen(domain) + 1);
}

static bool
page_has_room(struct page *p)
{
    p->full = p->wanted == 0 || p->scans_left == 0;
    return !p->full;
}

/* Takes the noted domains that come before `limit` (NULL: all that are left). */
static void
take_noted(struct page *p, const char *limit)
{
    struct held *h = p->held;

    while (h->noted_at < h->noted_count) {
        const char *domain = h->noted[h->noted_at];
        if ((limit != NULL && strcmp(domain, limit) >= 0) || !page_has_room(p))
            return;
        h->noted_at++;
        p->scans_left--;
        if (show_entry(cache_get(h->cache, domain, false), p->each, p->arg))
            p->wanted--;
        move_to(h, domain);
    }
}

/* A domain that memory has too is newer there. */
static bool
take_noted_twin(struct page *p, const char *domain)
{
    struct held *h = p->held;

    if (h->noted_at == h->noted_count || strcmp(h->noted[h->noted_at], domain) != 0)
        return false;
    h->noted_at++;
    return show_entry(cache_get(h->cache, domain, false), p->each, p->arg);
}

static bool
take_record(const struct record *r, void *arg)
{
    struct page *p = arg;
    struct held *h = p->held;

    take_noted(p, r->domain);
    if (!page_has_room(p))
        return false;
    p->scans_left--;
    if (matches(h, r->domain) && (take_noted_twin(p, r->domain) || show_record(r, p->each, p->arg)))
        p->wanted--;
    move_to(h, r->domain);
    return true;
}

bool
held_next(struct held *h, size_t max, held_each_fn *each, void *arg)
{
    struct page p = {
        .held = h, .each = each, .arg = arg, .wanted = max, .scans_left = HELD_SCAN_MAX};

    if (h->store != NULL)
        store_walk(h->store, h->position[0] != '\0' ? h->position : NULL, take_record, &p);
    if (!p.full)
        take_noted(&p, NULL);
    return p.full;
}
