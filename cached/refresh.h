/* refresh - fetches every policy anew about once a day, asked for or not, so that no policy dies of
 * blocked look-ups around its last minute (RFC 8461 s3.3, s10.2).
 * The times are drawn when a policy is stored and lie in LMDB's `due` index; this module only looks
 * what is due, a few at a time. A policy unasked for 90 days is left to expire. */
#ifndef STS_CACHED_REFRESH_H
#define STS_CACHED_REFRESH_H

#include "cached/query.h"

struct refresh;
struct store;

enum {
    REFRESH_AT_ONCE = 32, /* started a second, and the most that run */
    REFRESH_UNASKED_DAYS = 90
};

/* Everything borrowed. */
struct refresh *refresh_new(struct event_base *, struct query_engine *, struct cache *,
                            struct store *);
void refresh_free(struct refresh *);

#endif
