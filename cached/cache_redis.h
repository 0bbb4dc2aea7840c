/* cache_redis - records, locks and the index in Redis, by their names there.
 *
 *   <prefix>r:<domain>  the record (record.h), EX its remaining life
 *   <prefix>p:<mx host> what a probe found there, a record too, EX the rest of its life
 *   <prefix>l:<domain>  lock: a signed token, PX 5 s
 *   <prefix>index       sorted set: domain, Redis' time (s) at which its policy or tombstone ends
 *   <prefix>e           capped stream of events: field "d", a domain or a glob
 *   <prefix>epoch       a random word, made where there is none: another one is another Redis
 *   <prefix>nodes       hash: of each node the last event it has applied, a blank, and the time (s)
 *
 * Each reading or writing of a domain is one script (cache_redis_script.h), so that nothing comes
 * in between. What is read is verified here; nobody above sees a record that failed. Every callback
 * comes once, from the loop, never before the call has returned, unless cache_redis_cancel came
 * first; everything in a result is borrowed. An error reply is a warning, at most one a minute. */
#ifndef STS_CACHED_CACHE_REDIS_H
#define STS_CACHED_CACHE_REDIS_H

#include "cached/farm_key.h"
#include "cached/record.h"
#include "cached/redis_link.h"

struct cache_redis;
struct cache_redis_job;
struct event_base;
struct stats;

enum {
    CACHE_REDIS_LOCK_MS = 5000,
    CACHE_REDIS_RENEW_MS = 2000,
    CACHE_REDIS_EVENTS_KEPT = 10000,
    CACHE_REDIS_MANY = 64,
    CACHE_REDIS_PAGE_MAX = 1024,
    CACHE_REDIS_NODES_MAX = 1000,
    CACHE_REDIS_ID_SIZE = 48 /* of an event's id, or an epoch */
};

/* All borrowed but the prefix. */
struct cache_redis *cache_redis_new(struct event_base *, struct redis_link *,
                                    const struct farm_key *, const char *prefix, struct stats *);
/* Jobs end without a callback. The link has been freed before, since its replies would come to
 * nobody; not from within a callback. Accepts NULL. */
void cache_redis_free(struct cache_redis *);
/* How old a lock may be, by the time in its token; 25 s unless told. */
void cache_redis_set_held_max(struct cache_redis *, int64_t ms);
/* What has been sent may still be done in Redis; a lock so taken is given up. Accepts NULL. */
void cache_redis_cancel(struct cache_redis_job *);

enum cache_redis_status {
    CACHE_REDIS_DONE, /* see the result */
    CACHE_REDIS_AWAY  /* no reply: link down, time out, an error reply */
};

/* What stands in Redis for a domain. */
struct cache_redis_found {
    enum cache_redis_status status;
    const struct record *record; /* NULL: nothing usable there */
    bool refused;                /* something is there that failed the MAC or is for another domain:
                                    alarmed once a domain, counted */
};
typedef void cache_redis_found_fn(const struct cache_redis_found *, void *arg);
struct cache_redis_job *cache_redis_get(struct cache_redis *, const char *domain,
                                        cache_redis_found_fn *, void *arg);
/* Many at once (1 to CACHE_REDIS_MANY), for the copy: `each` once a domain in order, then `done`.
 * When Redis is away there is no `each`. */
typedef void cache_redis_each_fn(const char *domain, const struct cache_redis_found *, void *arg);
typedef void cache_redis_done_fn(enum cache_redis_status, void *arg);
struct cache_redis_job *cache_redis_get_many(struct cache_redis *, const char *const *domains,
                                             size_t count, cache_redis_each_fn *each,
                                             cache_redis_done_fn *done, void *arg);

/* The lock: it only spares work, nothing depends on it. The token is "<seq>.<nonce>.<mac>", signed
 * over "lock", domain, seq (our estimate of Redis' TIME), nonce, an LF between each. A lock whose
 * token does not verify, that is older than held_max or has no sane time to live counts as held for
 * at most 5 s from its first sight. */
struct cache_redis_locked {
    enum cache_redis_status status;
    bool locked;  /* we hold it; renewed every 2 s until released, Redis is away, or held_max */
    uint64_t seq; /* Redis TIME in us at this moment, or the found record's + 1 where that is more
                     (another master, whose clock is behind) */
    int64_t again_ms; /* held by another: look again after that, unless an event comes */
    struct cache_redis_found found; /* the record, read in the same moment */
};
typedef void cache_redis_locked_fn(const struct cache_redis_locked *, void *arg);
/* `force` takes it whoever holds it. */
struct cache_redis_job *cache_redis_lock(struct cache_redis *, const char *domain, bool force,
                                         cache_redis_locked_fn *, void *arg);
/* Gives it up when we hold it; `tell`: with an event, so that waiters look. */
void cache_redis_unlock(struct cache_redis *, const char *domain, bool tell);

/* Writes a record where nothing newer stands, with an event; gives our lock up, whatever comes of
 * it. */
struct cache_redis_put_result {
    enum cache_redis_status status;
    bool written;                    /* else `newer` stands there and was left */
    uint64_t seq;                    /* when written: the seq it has there */
    char event[CACHE_REDIS_ID_SIZE]; /* when written: id of the event */
    const struct record *newer;
};
typedef void cache_redis_put_fn(const struct cache_redis_put_result *, void *arg);
/* `record` is copied, its `seq` is the order: what stands there with an equal or higher one is
 * newer, unless it failed the MAC. A failure never replaces a policy or tombstone that has not
 * ended (that is `newer`, whatever its seq). A seq above Redis' own time is lowered to it, but not
 * below what stands there. `life_s`: EX, at least 1. */
struct cache_redis_job *cache_redis_put(struct cache_redis *, const struct record *, int64_t life_s,
                                        cache_redis_put_fn *, void *arg);
/* One page of the index, ordered by end, from the score `from` on (inclusive); names that are no
 * domains are left out. Fewer than `max` (1 to CACHE_REDIS_PAGE_MAX): that was the last page. Ends
 * have fractions, so a full page whose last score is still `from` is a stranger's work: go on above
 * it. */
typedef void cache_redis_page_fn(enum cache_redis_status, const char *const *domains,
                                 const double *scores, size_t count, void *arg);
struct cache_redis_job *cache_redis_index(struct cache_redis *, double from, size_t max,
                                          cache_redis_page_fn *, void *arg);
/* A warning about the domain's record there, once for each of the last domains so alarmed. */
void cache_redis_alarm(struct cache_redis *, const char *domain, const char *what);
/* Event without a record (flush of domains without a policy; a glob). */
void cache_redis_tell(struct cache_redis *, const char *name);
/* Writes the node's line of the registry: `registered` is the event that it claims to have applied.
 * Tells what the stream and the epoch look like. */
struct cache_redis_beat {
    enum cache_redis_status status;
    char epoch[CACHE_REDIS_ID_SIZE];  /* "": there is none, and none could be written */
    char newest[CACHE_REDIS_ID_SIZE]; /* last event of the stream; "" when it is empty */
    bool has_applied;                 /* `applied` is still in the stream */
};
typedef void cache_redis_beat_fn(const struct cache_redis_beat *, void *arg);
struct cache_redis_job *cache_redis_beat(struct cache_redis *, const char *node,
                                         const char *applied, const char *registered,
                                         cache_redis_beat_fn *, void *arg);
/* The registry as it stands, at most CACHE_REDIS_NODES_MAX lines; anybody may have written it. */
struct cache_redis_node {
    struct span name, line;
};
struct cache_redis_nodes {
    enum cache_redis_status status;
    struct span newest;
    const struct cache_redis_node *list;
    size_t count;
    int64_t now_s; /* by Redis' clock */
};
typedef void cache_redis_nodes_fn(const struct cache_redis_nodes *, void *arg);
struct cache_redis_job *cache_redis_nodes(struct cache_redis *, cache_redis_nodes_fn *, void *arg);
/* Takes a node's line out; `done` (may be NULL) when that has been tried. */
struct cache_redis_job *cache_redis_leave(struct cache_redis *, const char *node,
                                          cache_redis_done_fn *done, void *arg);
/* What another node's probe of an MX host found: `record` is NULL where nothing usable stands,
 * also when it is over, or claims a life of more than CACHE_REDIS_PROBE_S; `left_s` is the rest of
 * its life. What is not the farm's is alarmed and counted, as a domain's record. */
enum { CACHE_REDIS_PROBE_S = 3600 };
typedef void cache_redis_probe_fn(const struct record *, int64_t left_s, void *arg);
struct cache_redis_job *cache_redis_get_probe(struct cache_redis *, const char *host,
                                              cache_redis_probe_fn *, void *arg);
/* Writes one over whatever stands there, for `life_s` (1 to CACHE_REDIS_PROBE_S) from now; nobody
 * is told how that went. Of `record` only domain, error and detail count. */
void cache_redis_put_probe(struct cache_redis *, const struct record *, int64_t life_s);
/* Our estimate of Redis' TIME in us: from its last word, carried on by the boot clock; by the wall
 * clock before the first word. */
uint64_t cache_redis_now_us(const struct cache_redis *);

#endif
