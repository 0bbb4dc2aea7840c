/* redis_link - keeps one connection to the farm's Redis master, whoever that is at the moment.
 * A fixed server, or the one that the Sentinels name: each is asked in turn, what they say is
 * checked with ROLE, and +switch-master is followed. After a loss it connects again, at first after
 * 50 ms, doubling to 2 s, with jitter; there is no end to it and no restart needed. */
#ifndef STS_CACHED_REDIS_LINK_H
#define STS_CACHED_REDIS_LINK_H

#include "cached/redis_conn.h"

struct redis_link;
struct settings;

struct redis_link_events {
    void (*up)(void *arg);                    /* a master is there: PINGed, ROLE checked */
    void (*down)(const char *why, void *arg); /* after an up, once; or when no master was found for
                                                 the first time */
};

/* `settings` (redis section: server or sentinels and master-name, username, password-file,
 * database, timeout, tls ...) is borrowed for the link's life. NULL: `why` (password or TLS file).
 */
MUST_CHECK struct redis_link *redis_link_new(struct event_base *, const struct settings *,
                                             const struct redis_link_events *, void *arg, char *why,
                                             size_t size);
/* No callback comes any more. Accepts NULL. */
void redis_link_free(struct redis_link *);
bool redis_link_is_up(const struct redis_link *);

/* As redis_conn_send. An error reply that says that this server will not do (READONLY, LOADING,
 * MASTERDOWN, NOAUTH, WRONGPASS, NOPERM is not one) is handed on, and then the link is dropped and
 * a master is looked for again. */
void redis_link_send(struct redis_link *, const struct span *arguments, size_t count,
                     int64_t timeout_ms, redis_reply_fn *, void *arg);
/* The server turned out not to be usable: as a loss. */
void redis_link_drop(struct redis_link *, const char *why);

/* A second connection to the master of the moment, for blocking commands. The link must be up. */
struct redis_conn *redis_link_open_second(struct redis_link *, const struct redis_conn_events *,
                                          void *arg);
#endif
