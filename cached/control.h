/* control - the operator's socket: one command a request, "OK JSON" or "ERR code text" a reply.
 * `code` is the exit status that stsctl ends with; a JSON reply that has an exit status of its own
 * holds it as "exit". Frames and permissions are conn.c's; this module knows the commands. Words
 * are separated by blanks:
 *
 *   query KEY [wait=MS]          the verdict, as the `verdict` map gives it, and why
 *   verdict KEY [wait=MS]        the same; a query socket knows this word too
 *   show DOMAIN                  the policy held, with its body
 *   list [GLOB] [after=DOMAIN]   {"policies": [...], "next": DOMAIN}: one page of the policies
 *                                held, in order; ask again with after=NEXT until "next" is null
 *
 *   flush DOMAIN [wait] [force]  fetch anew what is held of one domain
 *
 *   flush GLOB|--all [wait] [force]  the same for all that match; the reply comes at the end
 *
 *   refresh DOMAIN               fetch anew, held or not
 *
 *   check DOMAIN                 a live look at all that the domain publishes (check_report.h);
 *                                nothing is remembered of it
 *
 *   stats                        the counters
 *
 *   nodes                        {"nodes": [...], "redis_away": ...}: the nodes of the farm; alone,
 * this one
 *
 *   config                       where the daemon listens and what it is set to: describe.h
 *
 * `wait` asks to reply only when every node has confirmed; "nodes" of the reply is then not null:
 * name, self, confirmed, last_seen of each. "redis_away" is true when no other node could be told;
 * null without a farm. `force` forgets instead of fetching. In a GLOB `*` stands for any
 * bytes and `?` for one.
 */
#ifndef STS_CACHED_CONTROL_H
#define STS_CACHED_CONTROL_H

#include <stddef.h>

#include "cached/query.h"
#include "cached/stats.h"

struct control_job;
struct control_listing;
struct event_base;
struct store;

enum {
    CONTROL_PAGE = 500,    /* policies in a page of a list */
    CONTROL_CHECKS_MAX = 8 /* checks at a time: each is some dozens of connections */
};

/* What the commands work on; borrowed. The last two are control.c's own: NULL at first. */
struct control {
    struct event_base *base;
    struct query_engine *engine;
    struct cache *cache;
    struct store *store;
    struct farm *farm; /* NULL: this host is alone */
    struct stats *stats;
    const struct settings *settings; /* in force; set anew at a reload */
    struct source *source;           /* for checks */
    struct control_job *jobs;
    struct control_listing *listing;
};

/* The reply's payload; called once, at once or later from the loop; borrowed. */
typedef void control_reply_fn(const char *payload, size_t len, void *arg);

/* Runs one command (`len` bytes, borrowed). The reply may come before this returns. */
void control_run(struct control *, const char *command, size_t len, control_reply_fn *, void *arg);

/* Who asked with this `arg` is gone: no reply comes to it any more. A flush stops, one fetch that
 * was asked for goes on unseen. */
void control_cancel(struct control *, const void *arg);

/* At the end, after query_engine_free: frees all that is under way, without a reply. */
void control_done(struct control *);

#endif
