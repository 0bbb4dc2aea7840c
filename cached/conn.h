/* conn - one client: netstrings in, netstrings out, answers in the order of the questions.
 * Reads a batch, answers what can be answered, writes once, after all others who asked in the same
 * turn of the loop have been answered; waits for the socket only when a write
 * would block. A client that half-closes still gets its answers. A bad frame ends its own
 * connection only. Who does not read what was answered is not asked for more, and is cut off after
 * CONN_STALL_S without taking any of it, as is one who leaves a frame unfinished for so long. What
 * all clients leave unread is bounded, too: above CONN_UNREAD_MAX whoever holds more than his share
 * is cut off at once. */
#ifndef STS_CACHED_CONN_H
#define STS_CACHED_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cached/control.h"

struct conn;

enum {
    CONN_PIPELINE_MAX = 128,         /* questions of one client under way */
    CONN_OUT_MAX = 32 * 1024 * 1024, /* bytes of answers unread; a control reply may be long */
    CONN_OUT_HIGH = 256 * 1024,      /* above it nothing more is read */
    CONN_UNREAD_MAX = 64 << 20,      /* of all query connections */
    CONN_STALL_S = 30
};

enum conn_kind { CONN_QUERY, CONN_CONTROL, CONN_FORBIDDEN };

/* What all connections work on; borrowed. */
struct conn_service {
    struct event_base *base;
    struct query_engine *engine;
    struct control *control;
    struct stats *stats;
    const struct settings *settings;
    struct buf *reply; /* room for one while it is made; PROTO_REPLY_MAX */
    struct turn *turn; /* of the base's loop */
    void (*on_closed)(struct conn *, void *arg); /* the last thing that a conn does */
    void (*on_active)(struct conn *, void *arg); /* it was asked something */
    void *arg;
};

struct conn_link {
    TAILQ_ENTRY(conn_link) entry; /* for whoever lists connections */
    struct conn *conn;
    int64_t active_ms; /* boot time of the last request */
};

/* Serves `fd` (taken, non-blocking) until the client or an error ends it, then calls on_closed. */
struct conn *conn_new(const struct conn_service *, int fd, enum conn_kind);
/* Ends it at once; calls on_closed. */
void conn_close(struct conn *);
/* Reads once more, what was sent by now; ends by itself when that is answered and written. */
void conn_drain(struct conn *);
/* Nothing is being answered and nothing half read. */
bool conn_is_idle(const struct conn *);
struct conn_link *conn_link(struct conn *);

#endif
