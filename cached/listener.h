/* listener - the listening sockets, and all connections that came through them.
 * A full table makes room by closing the connection that was idle longest, if it was idle for
 * LISTENER_IDLE_MIN_S; never before, since Sendmail defers a mail for each connection that we
 * close. Out of descriptors: no accepting for a moment. */
#ifndef STS_CACHED_LISTENER_H
#define STS_CACHED_LISTENER_H

#include <stddef.h>

#include "cached/conn.h"
#include "cached/settings.h"

struct listeners;

enum {
    LISTENER_CONNECTIONS_MAX = 16384,
    LISTENER_IDLE_MIN_S = 110,                     /* Postfix keeps a connection 100 s */
    LISTENER_SOCKETS_MAX = SETTINGS_LISTEN_MAX + 1 /* the control socket */
};

/* Opens every `listen` socket and the `control` socket of the settings (or takes those that systemd
 * hands over) before privileges are dropped. NULL: `why`. */
MUST_CHECK struct listeners *listeners_open(const struct settings *, char *why, size_t size);
/* Starts to accept. `service` is copied, its callbacks are the listeners' own; at most
 * `connections_max` connections. */
void listeners_start(struct listeners *, const struct conn_service *service,
                     size_t connections_max);
/* After a reload: the settings for every further answer. Borrowed. */
void listeners_set_settings(struct listeners *, const struct settings *);
/* Accepts no more, and lets every connection end by itself. */
void listeners_drain(struct listeners *);
size_t listeners_connections(const struct listeners *);
/* Closes everything and removes the socket files where permissions allow. */
void listeners_close(struct listeners *);

#endif
