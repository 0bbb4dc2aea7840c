/* flush - renews what is held of many domains (stsctl flush GLOB, flush --all).
 * What is remembered of domains without a policy is forgotten; of every domain with one the policy
 * is fetched anew, FLUSH_RUNNING at a time, so that a million of them neither stop the answers nor
 * storm the policy hosts. Works in bounded steps from the loop, to the end or until cancelled. */
#ifndef STS_CACHED_FLUSH_H
#define STS_CACHED_FLUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/query.h"
#include "common/alloc.h"

struct flush;
struct store;

enum {
    FLUSH_RUNNING = 32,
    FLUSH_FAILURES_MAX = 1000 /* named in the result; the others are only counted */
};

struct flush_failure {
    char *domain, *detail;
    enum refetch_outcome outcome;
    enum sts_error error;
    int http_status;
};

struct flush_result {
    uint64_t renewed;   /* newly fetched policies */
    uint64_t kept;      /* could not be fetched: the old policy stays in force */
    uint64_t no_policy; /* had one when the flush began and has none any more, or unknown */
    uint64_t forgotten; /* domains of which nothing is remembered any more */
    struct flush_failure failures[FLUSH_FAILURES_MAX];
    size_t failure_count;
};

/* The result is borrowed; the flush is gone when this returns. */
typedef void flush_done_fn(const struct flush_result *, void *arg);

struct flush_request {
    struct event_base *base;
    struct query_engine *engine;
    struct cache *cache;
    struct store *store; /* may be NULL */
    const char *glob;    /* NULL: all; copied */
    bool force;          /* forget the policies too instead of fetching them */
};

/* `done` comes once, from the loop, never before start has returned. */
struct flush *flush_start(const struct flush_request *, flush_done_fn *done, void *arg);
/* No further fetch is started; `done` comes when those under way have ended. */
void flush_cancel(struct flush *);
/* Frees it now. Only when the engine was freed before: no fetch may come back to it. */
void flush_abandon(struct flush *);

#endif
