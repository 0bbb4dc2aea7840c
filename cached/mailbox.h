/* mailbox - one thread's way to hand things to another thread's event loop.
 * A list under a mutex, and an eventfd that wakes the reader. Things change owner and are never
 * touched by two threads at once. It is the only way: a loop is its thread's alone, and libevent
 * keeps no locks. */
#ifndef STS_CACHED_MAILBOX_H
#define STS_CACHED_MAILBOX_H

#include <sys/queue.h>

#include "common/alloc.h"

struct event_base;
struct mailbox;

/* A member of what is posted. */
struct mail {
    STAILQ_ENTRY(mail) next;
};

/* Called from the reader's loop for each, in order; takes over the mail. */
typedef void mailbox_read_fn(struct mail *, void *arg);

/* A mailbox read on `base`. Make and free it while no other thread uses it or runs `base`. */
MUST_CHECK struct mailbox *mailbox_new(struct event_base *base, mailbox_read_fn *, void *arg);
void mailbox_free(struct mailbox *);

/* Posts `mail` (taken). From any thread. */
void mailbox_post(struct mailbox *, struct mail *);
/* Takes what nobody has read yet, NULL when there is none. For the end. */
MUST_CHECK struct mail *mailbox_take(struct mailbox *);

#endif
