/* client - a blocking client of sts-cached: one question, one answer, one deadline over all.
 * Connects when first needed and keeps the connection. An attempt that fails on a kept connection
 * is made once more on a new one, within the same deadline. After a missed deadline the connection
 * is closed: a late answer can never be taken for the next one's. One client serves one thread at
 * a time; the milter wraps it in a lock. */
#ifndef STS_COMMON_CLIENT_H
#define STS_COMMON_CLIENT_H

#include <stddef.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/sockspec.h"

struct client;

enum client_status {
    CLIENT_OK,
    CLIENT_NO_CONNECTION, /* refused, no such socket, closed twice */
    CLIENT_NO_PERMISSION, /* EACCES on a unix socket */
    CLIENT_TIMEOUT,
    CLIENT_BAD_REPLY /* no netstring, or longer than allowed */
};

/* `spec` is copied. Nothing is opened yet. Replies above `reply_max` bytes are CLIENT_BAD_REPLY. */
struct client *client_new(const struct sockspec *spec, size_t reply_max);
void client_free(struct client *);

/* Sends `request` (len bytes of payload) and waits for one reply, at most until `timeout_ms` from
 * now. The reply's payload replaces what is in `reply`. */
MUST_CHECK enum client_status client_ask(struct client *, const char *request, size_t len,
                                         int timeout_ms, struct buf *reply);
/* "the cache daemon did not answer in time": half a sentence. */
const char *client_status_text(enum client_status);
/* The same of what client_ask just gave, with the cause where there is one: "the cache daemon
 * cannot be reached: Connection refused". Good until the client is used again or freed. */
const char *client_fault(struct client *, enum client_status);

#endif
