/* farm - this node's place among the others that share one Redis.
 * Brings into the cache what the others learnt and gives them what we learnt: by events while
 * Redis is there, by a whole copy after a gap, by writing back after an outage. What it is told is
 * believed only where a record's signature stands for it (record.h, farm_key.h): whoever can write
 * to Redis can delay, never weaken.
 * Callbacks come once, from the loop, never before the call has returned, unless farm_cancel came
 * first. */
#ifndef STS_CACHED_FARM_H
#define STS_CACHED_FARM_H

#include "cached/cache.h"

struct event_base;
struct farm;
struct farm_job;
struct settings;
struct stats;

/* What the query engine is told. */
struct farm_events {
    /* The farm has news of the domain, and the cache has them by now. */
    void (*changed)(const char *domain, void *arg);
    /* Another node forgot the domain by order, and so did the cache: what is under way is older. */
    void (*forgotten)(const char *domain, void *arg);
};

/* Joins the farm that the settings' redis section names (a server or Sentinels). `cache`, `store`
 * (NULL: none), `settings` and `stats` are borrowed. NULL: `why` (key file, password, TLS files).
 */
MUST_CHECK struct farm *farm_new(struct event_base *, const struct settings *, struct cache *,
                                 struct store *, struct stats *, char *why, size_t size);
/* True when farm_new could read all files that it needs with these settings; nothing is connected.
 * False: `why`. */
MUST_CHECK bool farm_files_are_good(struct event_base *, const struct settings *, char *why,
                                    size_t size);
void farm_watch(struct farm *, const struct farm_events *, void *arg);
/* Leaves the registry, which may run the loop for the redis timeout, and closes; jobs end without a
 * callback, and nobody is told of events any more. Accepts NULL. */
void farm_free(struct farm *);

/* These five accept NULL: then nothing is up, nor blind. */
bool farm_is_up(const struct farm *);
/* Something that was learnt is on its way to Redis; it gets there or not within the timeouts. */
bool farm_is_sharing(const struct farm *);
/* Redis is away and was never copied whole: what this node does not hold, others may. */
bool farm_is_blind(const struct farm *);
/* Tells all nodes to forget what they remember of domains without a policy: of one domain, or of
 * all that a glob matches. */
void farm_tell(struct farm *, const char *name);
void farm_cancel(struct farm_job *); /* accepts NULL for the job */

typedef void farm_done_fn(void *arg);
/* Reads the domain's record and takes it into the cache, memory too, when it is newer than what is
 * held; then `done`. */
struct farm_job *farm_look(struct farm *, const char *domain, farm_done_fn *done, void *arg);

struct farm_locked {
    bool locked;      /* fetch it, then farm_share or farm_unlock */
    bool away;        /* Redis did not answer: fetch it all the same */
    uint64_t seq;     /* of a fetch that begins now */
    int64_t again_ms; /* neither: another node is at it; `changed` comes, or ask again after this */
};
typedef void farm_locked_fn(const struct farm_locked *, void *arg);
/* Before a fetch: takes the lock (`force`: whoever holds it), and the record as farm_look does. */
struct farm_job *farm_lock(struct farm *, const char *domain, bool force, farm_locked_fn *,
                           void *arg);
/* Gives the lock up; nothing came of the fetch. */
void farm_unlock(struct farm *, const char *domain);
/* Gives what the cache holds of the domain to the farm (a policy, or a failed fetch), and the lock
 * up; then `done`. Where the farm has something newer the cache takes that. When Redis is away the
 * domain is noted and written back later. */
struct farm_job *farm_share(struct farm *, const char *domain, farm_done_fn *done, void *arg);
/* flush --force: a tombstone for the policy that the cache holds when this is called; then `done`.
 */
struct farm_job *farm_bury(struct farm *, const char *domain, farm_done_fn *done, void *arg);

/* What a probe of an MX host found, for the other nodes; strings borrowed. */
struct farm_probe {
    enum sts_error error;
    const char *detail;
    int64_t left_s; /* until it counts no more */
};
/* NULL: the farm knows nothing of the host, or Redis is away. */
typedef void farm_probe_fn(const struct farm_probe *, void *arg);
struct farm_job *farm_look_probe(struct farm *, const char *host, farm_probe_fn *, void *arg);
/* Lost when Redis is away: then each node probes for itself. `left_s`: at most an hour. */
void farm_share_probe(struct farm *, const char *host, const struct farm_probe *);

/* One node of the registry; borrowed. */
struct farm_node {
    const char *name;
    bool self;
    bool confirmed;      /* of farm_wait: has applied all events; of farm_nodes: seen within 15 s */
    int64_t last_seen_s; /* wall time, by Redis' clock */
};
typedef void farm_nodes_fn(bool reachable, const struct farm_node *, size_t count, void *arg);
struct farm_job *farm_nodes(struct farm *, farm_nodes_fn *, void *arg);
/* Waits until every node has applied all that is in the stream now, at most 15 s. A node unseen for
 * 15 s is not waited for. */
struct farm_job *farm_wait(struct farm *, farm_nodes_fn *, void *arg);

#endif
