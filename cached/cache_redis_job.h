/* cache_redis_job - one question to Redis under way; what cache_redis_*.c share among themselves.
 * Nobody else includes this. A job is embedded as the first member of what a kind of question
 * keeps; it lives until its reply came, cancelled or not, since a command sent cannot be called
 * back. */
#ifndef STS_CACHED_CACHE_REDIS_JOB_H
#define STS_CACHED_CACHE_REDIS_JOB_H

#include "cached/cache_redis.h"
#include "cached/cache_redis_script.h"

struct event_base;
struct lock_book;

enum { CACHE_REDIS_ALARMED = 64 };

struct cache_redis {
    struct event_base *base;
    struct redis_link *link;
    const struct farm_key *key;
    char *prefix;
    struct stats *stats;
    int64_t offset_us; /* Redis' time less the boot clock; from its last word */
    bool clock_known;
    int64_t warned_ms; /* boot time of the last warning about an error reply; 0: none */
    struct cache_redis_job *jobs;
    char alarmed[CACHE_REDIS_ALARMED][DOMAIN_SIZE]; /* a ring */
    size_t alarmed_next;
    int64_t held_max_ms;
    struct lock_book *locks;
};

/* The reply: at least TIME and `wanted` items more; NULL: none that can be used. Here the job is
 * sent again or ended. */
typedef void job_reply_fn(struct cache_redis_job *, const struct resp *);

struct cache_redis_job {
    struct cache_redis *cr;
    struct cache_redis_job *next, **to_me;
    enum script script;
    size_t wanted;
    job_reply_fn *on_reply;
    void (*free_rest)(struct cache_redis_job *); /* what the kind owns; may be NULL */
    bool cancelled;
    int64_t sent_ms;
    uint64_t time_us; /* Redis' TIME in the reply */
    char domain[DOMAIN_SIZE];
};

enum { JOB_ITEMS = 2 /* of a reply, before the script's own */ };

/* `size` is that of the struct around it; the rest is zero. `domain` is copied; "" for none. */
struct cache_redis_job *job_new(struct cache_redis *, size_t size, const char *domain,
                                job_reply_fn *);
void job_begin(struct cache_redis_job *, enum script, size_t wanted, struct script_call *);
void job_key(struct cache_redis_job *, struct script_call *, const char *kind);
/* Sends it and frees the call. `timeout_ms` as redis_link_send. */
void job_send(struct cache_redis_job *, struct script_call *, int64_t timeout_ms);
/* Out of the list: cache_redis_free no longer reaches it. Then the callback, then job_free. */
void job_end(struct cache_redis_job *);
void job_free(struct cache_redis_job *);

/* Item `i` behind the TIME. */
const struct resp *job_item(const struct resp *reply, size_t i);

/* Verifies what was read for the domain and raises the alarm. `record` is where it is decoded to.
 */
void cache_redis_verify(struct cache_redis *, const char *domain, const struct resp *value,
                        struct record *record, struct cache_redis_found *out);

/* cache_redis_lock.c */
struct lock_book *lock_book_new(void);
void lock_book_free(struct lock_book *);
enum { LOCK_TOKEN_SIZE = 128 };
/* We stop renewing it, it is forgotten here; `token` is what stands in Redis, "" when we did not
 * hold it. */
void lock_leave(struct cache_redis *, const char *domain, char token[LOCK_TOKEN_SIZE]);
/* Removes the token from Redis. */
void lock_remove(struct cache_redis *, const char *domain, const char *token, bool tell);

#endif
