/* farm_parts - what the files of farm share; nobody else includes it. */
#ifndef STS_CACHED_FARM_PARTS_H
#define STS_CACHED_FARM_PARTS_H

#include <sys/queue.h>

#include "cached/cache_redis.h"
#include "cached/farm.h"
#include "cached/stats.h"

enum {
    FARM_NAME_SIZE = 80,
    FARM_BEAT_MS = 1000,
    FARM_UNSEEN_S = 15 /* a node unseen so long is not waited for */
};

/* The domain's records are to be written to Redis when it can be. */
struct farm_dirty {
    struct table_link link;
    TAILQ_ENTRY(farm_dirty) entry;
    struct record *tombstone; /* NULL: what the cache holds */
    int64_t life_s;           /* of the tombstone */
    char domain[];
};

struct farm_job {
    LIST_ENTRY(farm_job) entry;
    struct farm *farm;
    struct cache_redis_job *redis; /* or */
    struct event *timer;
    bool taking; /* the cache takes what came: it outlives its cancelling */
    bool cancelled;
    farm_done_fn *done;
    farm_locked_fn *locked;
    farm_nodes_fn *nodes;
    farm_probe_fn *probe;
    void *arg;
    uint64_t wanted[2]; /* farm_wait: the id that nodes must have reached */
    int64_t until_ms, pause_ms;
    bool shares;              /* writes, and goes on when nobody waits for it any more */
    struct record *tombstone; /* being written */
    int64_t life_s;           /* of it */
    int raises;               /* how often its order may still be raised above a newer one's */
    enum record_kind kind;    /* of what is shared, and its order */
    uint64_t seq;
    char domain[DOMAIN_SIZE];
};

struct farm_copy;
struct farm_stream;

struct farm {
    struct event_base *base;
    const struct settings *settings;
    struct cache *cache;
    struct store *store;
    struct stats *stats;
    struct farm_key *key;
    struct redis_link *link;
    struct cache_redis *redis;
    const struct farm_events *events;
    void *events_arg;
    char name[FARM_NAME_SIZE];
    LIST_HEAD(, farm_job) jobs;

    struct event *beat;
    bool beating, beat_again; /* a reply is outstanding; one more is wanted then */
    bool left;
    char beat_id[CACHE_REDIS_ID_SIZE]; /* what was applied when the beat was sent */
    char epoch[CACHE_REDIS_ID_SIZE];   /* "": none known yet */
    bool copied;                       /* once, whole */
    struct farm_stream *stream;
    struct farm_copy *copy;

    struct table *dirty;
    TAILQ_HEAD(, farm_dirty) dirty_order;
    bool dirty_overflow; /* more than could be noted: a copy finds them */
    size_t writing_back;
};

/* --- farm.c --- */
/* Takes what was found into the cache, tells the engine of a tombstone, and notes the domain when
 * we have better. `to_memory` see cache_take. */
void farm_take(struct farm *, const char *domain, const struct cache_redis_found *, bool to_memory);
void farm_tell_changed(struct farm *, const char *domain);
struct farm_job *farm_job_new(struct farm *, const char *domain, void *arg);
void farm_job_free(struct farm_job *);
/* farm_share; when there is nothing to give, the lock is given up only if told. */
struct farm_job *farm_give(struct farm *, const char *domain, bool unlock, farm_done_fn *,
                           void *arg);
/* Writes a tombstone (taken); noted for later when Redis is away. */
void farm_put_tombstone(struct farm *, struct record *, int64_t life_s, struct farm_job *);

/* --- farm_dirty.c --- */
void farm_dirty_init(struct farm *);
void farm_dirty_done(struct farm *);
/* Takes the tombstone (NULL: none). */
void farm_dirty_add(struct farm *, const char *domain, struct record *tombstone, int64_t life_s);
void farm_write_back(struct farm *);
/* True when a tombstone waits that comes after this record. */
bool farm_dirty_buries(const struct farm *, const struct record *);

/* --- farm_stream.c --- */
struct farm_stream *farm_stream_new(struct farm *);
void farm_stream_free(struct farm_stream *);
/* The last event that was applied; "" when none is known yet. */
const char *farm_stream_applied(const struct farm_stream *);
/* Reads on behind `id` (NULL: behind the last applied), when it does not read already. */
void farm_stream_begin(struct farm_stream *, const char *id);
void farm_stream_stop(struct farm_stream *);
bool farm_stream_reads(const struct farm_stream *);

/* --- farm_copy.c --- */
struct farm_copy *farm_copy_new(struct farm *);
void farm_copy_free(struct farm_copy *);
/* False when the last one was broken off. */
bool farm_copy_is_whole(const struct farm_copy *);
/* True until all that Redis has is taken after the last farm_copy_begin. */
bool farm_copy_is_behind(const struct farm_copy *);
/* From the start again, at most every few seconds. */
void farm_copy_begin(struct farm_copy *);
void farm_copy_stop(struct farm_copy *);

/* --- farm_nodes.c --- */
/* The name kept in the state directory, made once. */
void farm_nodes_name(struct farm *);
/* Writes our line of the registry, and looks whether stream and epoch still are what they were: if
 * not, all is copied anew. */
void farm_beat(struct farm *);
/* Takes our line out, before the end. */
void farm_nodes_leave(struct farm *);

#endif
