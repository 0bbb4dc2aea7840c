/* redis_sentinel - asks the Sentinels who the master is, and hears of it when that changes.
 * It stays subscribed at the Sentinel that answered; when that one is lost it subscribes at
 * another, and tells nothing as long as the master stays the same. */
#ifndef STS_CACHED_REDIS_SENTINEL_H
#define STS_CACHED_REDIS_SENTINEL_H

#include "cached/redis_conn.h"
#include "common/conffile.h"

struct redis_sentinel;

struct redis_sentinel_events {
    /* The master's address; or NULL: no Sentinel gave one, and `why` says what the last one said.
     * Answers redis_sentinel_ask, once. */
    void (*told)(const struct sockspec *, const char *why, void *arg);
    /* +switch-master of our master came, or was missed while no Sentinel was there: ask again. */
    void (*switched)(void *arg);
};

/* Copies the specifications (checked by settings) and `master_name`; `tls` (NULL: none) is
 * borrowed. */
struct redis_sentinel *redis_sentinel_new(struct event_base *, const struct conf_list *sentinels,
                                          const char *master_name, int64_t timeout_ms,
                                          const struct redis_tls *,
                                          const struct redis_sentinel_events *, void *arg);
void redis_sentinel_free(struct redis_sentinel *);
/* Asks each in turn, first the one that answered last. An earlier question is dropped. */
void redis_sentinel_ask(struct redis_sentinel *);
/* What it told last was no master: the next question begins with another Sentinel. */
void redis_sentinel_distrust(struct redis_sentinel *);

#endif
