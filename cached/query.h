/* query - the life of a question: what the daemon knows, what it must find out, what it answers.
 * Read query.c first. Everything happens on the answer thread; one resolution a domain however many
 * ask; every question is answered once and in time, while the work goes on without it. */
#ifndef STS_CACHED_QUERY_H
#define STS_CACHED_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/cache.h"
#include "cached/farm.h"
#include "cached/verdict.h"
#include "common/answer.h"

struct event_base;
struct settings;
struct stats;
struct query_engine;

enum {
    QUERY_RUNNING_MAX = 4096,
    /* Below one registrable domain, whose names cost nothing and whose DNS may be silent, when
     * places become scarce: as many are kept for newcomers, and as many again for domains whose
     * policy is in force, so that no flood keeps one from being renewed. */
    QUERY_SHARE_MAX = QUERY_RUNNING_MAX / 8
};

/* What is asked. */
struct question {
    const char *domain; /* normalised; copied */
    bool want_mx;       /* judge the domain's MX hosts too (under enforce) */
    /* Of a judgement without them: true when this asker needs them after all; may be NULL. */
    bool (*needs_mx)(const struct judgement *);
    bool host_only;     /* "[host]": the domain itself is the only candidate, no MX look-up */
    bool want_probe;    /* where `probe` is on: judge the listed hosts' TLS too; with want_mx */
    int64_t wait_ms;    /* answer within; negative: answer-deadline; 0: now, from what is known */
    int64_t arrived_ms; /* boot time at which the frame arrived */
    int64_t now_ms; /* boot time, by which what is known is judged; a batch shares one reading */
};

/* Borrowed, valid only during the callback (or, when query_ask answered on the spot, until the next
 * query_* or cache_* call). */
typedef void query_done_fn(const struct judgement *, void *arg);

struct query_engine *query_engine_new(struct event_base *, const struct settings *, struct cache *,
                                      struct source *, struct stats *);
void query_engine_set_settings(struct query_engine *, const struct settings *);
/* From now on this node is one of a farm; borrowed. */
void query_engine_join_farm(struct query_engine *, struct farm *);
/* Drops all waiters without a callback and cancels all work. */
void query_engine_free(struct query_engine *);

/* Asks. True: `*now` holds the answer already. False: `*token` names the wait for it, and the
 * caller says before it returns to the loop whom to tell: `done` comes once, from the loop, unless
 * query_cancel came first. */
struct query_token;
MUST_CHECK bool query_ask(struct query_engine *, const struct question *, struct judgement *now,
                          struct query_token **token);
void query_when_done(struct query_token *, query_done_fn *done, void *arg);
void query_cancel(struct query_token *);
/* A key that names no domain was answered without asking: counts and logs it like any question. */
void query_note_no_domain(struct query_engine *, int64_t arrived_ms);

/* A forced fetch (stsctl flush and refresh): regardless of TXT when a policy is in force,
 * forgetting outcome and back-off first. Only a newly fetched valid policy replaces one in force.
 */
enum refetch_outcome {
    REFETCH_RENEWED,  /* a valid policy was fetched and is in force */
    REFETCH_KEPT,     /* the fetch failed; the old policy stays in force */
    REFETCH_UNKNOWN,  /* no policy is in force, and whether there is one could not be found out */
    REFETCH_NO_POLICY /* no policy is in force, and none could be had */
};
struct refetch_result {
    enum refetch_outcome outcome;
    enum sts_error error; /* why not RENEWED */
    const char *detail;
    int http_status;
    const char *domain;
};
typedef void query_refetch_fn(const struct refetch_result *, void *arg);
/* `done` comes once, from the loop; there is no way to cancel but query_engine_free. */
void query_refetch(struct query_engine *, const char *domain, query_refetch_fn *done, void *arg);
/* Forgets all about the domain, an enforce policy included, on every node of the farm (flush
 * --force); what is under way for it will not bring the old policy back. True: `done` comes once,
 * from the loop, when the farm was told; false: this host is alone, and it is done. */
MUST_CHECK bool query_bury(struct query_engine *, const char *domain, farm_done_fn *done,
                           void *arg);
/* As query_bury, on this node only. */
void query_forget(struct query_engine *, const char *domain);

/* The daily refresh: fetches the policy in force again in the background, within the rate limits.
 * False: nothing was started (no policy, already running, or overload). */
bool query_refresh(struct query_engine *, const char *domain);
/* A host is being refused: looks in the background whether TXT has a newer id (RFC 8461 s5.1), at
 * most once in VERDICT_RECHECK_MS. */
void query_recheck(struct query_engine *, const char *domain);

/* How many resolutions run. */
size_t query_running(const struct query_engine *);

#endif
