/* fetch - get one policy file over HTTPS by the rules of RFC 8461 s3.3.
 * Knows URLs, TLS, limits and HTTP status; nothing of caches, modes or verdicts. Addresses are
 * given: a transfer never asks a resolver, and connects only where address_may_connect agrees.
 * With `fetch.proxy` (whose host must be an address) there is one transfer, a CONNECT for the
 * policy host's name: the proxy looks it up, and where it may connect is the proxy's business. */
#ifndef STS_CACHED_FETCH_H
#define STS_CACHED_FETCH_H

#include <sys/socket.h>

#include "cached/source.h"
#include "common/alloc.h"

struct event_base;
struct fetcher;
struct fetch;
struct fetch_transfer_rules;

typedef void fetch_done_fn(const struct fetch_result *, void *arg); /* result borrowed */

/* Loads the CA file into one shared store. NULL: `why` says what is wrong with it or with
 * `fetch.allow-address` or `fetch.proxy`. */
MUST_CHECK struct fetcher *fetcher_new(struct event_base *, const struct settings *, char *why,
                                       size_t size);
/* The option of section fetch for whose sake fetcher_new refuses these settings, and `why`; NULL
 * when it does not. Reads the CA file once more, so it is for after a refusal: to say in which
 * line. */
const char *fetcher_fault(const struct settings *, char *why, size_t size);
/* Running transfers are dropped without a callback. */
void fetcher_free(struct fetcher *);
/* Its loop, CAs and allowed addresses, for whatever else speaks TLS to strangers. Borrowed. */
const struct fetch_transfer_rules *fetcher_rules(const struct fetcher *);

/* Starts fetching the policy of `domain` from `addresses` (copied; at least one, the first eight
 * count), tried in order until one gives an HTTP answer or a TLS verdict; a refused, blocked or
 * silent one leads to the next. Beyond `fetch.max-running` transfers (and the limits of a network
 * and of an address) it waits in line; the whole has `fetch.timeout` from its first connect. Always
 * later: `done` comes once, from the loop, unless fetch_cancel came first. */
struct fetch *fetch_start(struct fetcher *, const char *domain,
                          const struct sockaddr_storage *addresses, size_t count, fetch_done_fn *,
                          void *arg);
void fetch_cancel(struct fetch *);

#endif
