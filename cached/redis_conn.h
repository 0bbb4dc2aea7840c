/* redis_conn - one connection to one Redis or Sentinel: commands out, replies in, in order.
 * TCP, unix socket or TLS over a libevent bufferevent; AUTH and SELECT before anything else. While
 * a reply is outstanding the server must send one within the time-out of the command that is next,
 * or the connection ends: what comes later could not be matched. There is no reconnect: redis_link
 * does that. Never blocks, knows no keys.
 *
 * Callbacks come from the loop, never before the call that caused them has returned; every function
 * may be called from within any of them, redis_conn_free too. */
#ifndef STS_CACHED_REDIS_CONN_H
#define STS_CACHED_REDIS_CONN_H

#include "cached/redis_tls.h"
#include "cached/resp.h"
#include "common/sockspec.h"

struct event_base;
struct redis_conn;

enum {
    REDIS_CONN_PENDING_MAX = 16384,          /* commands without a reply */
    REDIS_CONN_UNSENT_MAX = 32 * 1024 * 1024 /* bytes not yet written */
};

/* How to talk to a server; all but `tls` is borrowed during redis_conn_new only. */
struct redis_options {
    struct sockspec address;
    const char *username, *password; /* NULL: none; a password alone is AUTH's old form */
    int64_t database;                /* 0: no SELECT */
    int64_t timeout_ms;              /* for a command; and, at least 250, for all until it is up */
    const struct redis_tls *tls;     /* NULL: none; must outlive the connection */
};

struct redis_conn_events {
    void (*up)(void *arg);                           /* ready for commands; at most once */
    void (*down)(const char *why, void *arg);        /* at the end, once; only free it then */
    void (*message)(const struct resp *, void *arg); /* a published message; may be NULL */
};

/* The reply, borrowed; NULL when the connection ended before it came. */
typedef void redis_reply_fn(const struct resp *, void *arg);

struct redis_conn *redis_conn_new(struct event_base *, const struct redis_options *,
                                  const struct redis_conn_events *, void *arg);
/* Closes. No callback comes any more, of commands neither. Accepts NULL. */
void redis_conn_free(struct redis_conn *);
bool redis_conn_is_up(const struct redis_conn *);

/* Sends a command, pipelined. `timeout_ms` 0: that of the options (a blocking command brings its
 * own). Not up, or too much pending: `reply` comes with NULL. `reply` may be NULL. */
void redis_conn_send(struct redis_conn *, const struct span *arguments, size_t count,
                     int64_t timeout_ms, redis_reply_fn *reply, void *arg);
/* SUBSCRIBE: from now on every array that begins with "message" goes to events.message. */
void redis_conn_subscribe(struct redis_conn *, const char *channel);

#endif
