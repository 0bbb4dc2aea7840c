/* redis_sentinel - asks the Sentinels who the master is, and hears of it when that changes.
 * One conversation at a time: with the first Sentinel that answers, in the order of the settings
 * after the one asked last. */
#ifndef STS_CACHED_REDIS_SENTINEL_H
#define STS_CACHED_REDIS_SENTINEL_H

#include "cached/redis_conn.h"
#include "common/conffile.h"

struct redis_sentinel;

struct redis_sentinel_events {
    /* The master's address; or NULL: no Sentinel gave one, and `why` says what the last one said.
     * Answers redis_sentinel_ask, once. */
    void (*told)(const struct sockspec *, const char *why, void *arg);
    void (*switched)(void *arg); /* +switch-master of our master came: ask again */
};

/* Copies the specifications (checked by settings) and `master_name`; `tls` (NULL: none) is
 * borrowed. */
struct redis_sentinel *redis_sentinel_new(struct event_base *, const struct conf_list *sentinels,
                                          const char *master_name, int64_t timeout_ms,
                                          const struct redis_tls *,
                                          const struct redis_sentinel_events *, void *arg);
void redis_sentinel_free(struct redis_sentinel *);
/* Asks, and stays subscribed at the one that answered. An earlier question is dropped. */
void redis_sentinel_ask(struct redis_sentinel *);

#endif
