/* inflight - what is under way: one resolution a domain, and whoever waits for it.
 * Knows who waits for what and until when; what a resolution does is query.c's story. */
#ifndef STS_CACHED_INFLIGHT_H
#define STS_CACHED_INFLIGHT_H

#include <sys/queue.h>

#include "cached/farm.h"
#include "cached/probes.h"
#include "cached/query.h"

struct event;
struct inflight;
struct inflight_share;

enum resolution_step {
    STEP_LOOK,
    STEP_TXT,
    STEP_LOCK,
    STEP_FETCH,
    STEP_SHARE,
    STEP_MX,
    STEP_PROBE,
    STEP_ANSWER
};

/* One asker; query_token to the outside. */
struct query_token {
    LIST_ENTRY(query_token) link;
    struct resolution *resolution;
    struct event *timer; /* fires at the deadline */
    query_done_fn *done;
    void *arg;
    struct question asked; /* its domain is the entry's */
};

/* Whoever ordered a forced fetch. */
struct refetch_waiter {
    STAILQ_ENTRY(refetch_waiter) link;
    query_refetch_fn *done;
    void *arg;
};

struct resolution {
    struct table_link link;
    LIST_ENTRY(resolution) all;
    struct query_engine *engine;
    struct entry *entry; /* pinned */
    struct inflight_share *share;
    bool has_policy;                  /* was in force at the beginning */
    struct source_job *job;           /* the one thing that is waited for: the source, */
    struct farm_job *farm_job;        /* the farm, */
    struct probes_wait *probes_wait;  /* probes, */
    struct event *again;              /* or another node's fetch: then until this timer at most */
    LIST_HEAD(, query_token) waiters; /* newest first */
    STAILQ_HEAD(, refetch_waiter) refetchers;
    int64_t started_ms;
    uint64_t seq; /* of the fetch */
    enum resolution_step step;
    bool want_mx;         /* someone asked, or asks, about the MX hosts */
    bool want_probe;      /* and about their TLS */
    bool want_host_probe; /* or about that of the domain itself, "[host]" */
    bool force_fetch;     /* whatever the id says, also without a record */
    bool locked;          /* this node holds the farm's lock of the domain */
    bool record_found;    /* a valid TXT record was seen */
    bool fetched;         /* a valid policy was fetched */
    bool rechecked;       /* TXT was asked anew before a refusal */
    enum sts_error error; /* the last thing that went wrong */
    int http_status;
    char detail[SOURCE_DETAIL_SIZE];
    char id[TXT_ID_SIZE]; /* of the record that was found */
};

struct inflight *inflight_new(void);
/* Removes all resolutions, cancelling their jobs. */
void inflight_free(struct inflight *, struct cache *);

struct resolution *inflight_find(const struct inflight *, const char *domain);
/* Makes a resolution for the entry, which must have none, and pins the entry. */
struct resolution *inflight_add(struct inflight *, struct query_engine *, struct entry *,
                                int64_t now_ms);
/* Ends whatever is waited for: job, farm job, timer. */
void inflight_stop_work(struct resolution *);
/* Takes it out, unpins the entry and frees it; whoever still waits is dropped without a callback.
 */
void inflight_remove(struct inflight *, struct resolution *, struct cache *);
size_t inflight_count(const struct inflight *);
/* False when one more for this domain would be too many: in all, or, when places are scarce, below
 * its registrable domain.
 * `has_policy`: the domain's policy is in force, and may take the places kept for such. */
bool inflight_has_room(const struct inflight *, const char *domain, bool has_policy);

/* Adds an asker whose `on_deadline(token)` comes after `wait_ms`. */
struct query_token *inflight_wait(struct resolution *, struct event_base *, int64_t wait_ms,
                                  void (*on_deadline)(int, short, void *));
/* Unlinks and frees it. */
void inflight_stop_waiting(struct query_token *);
#endif
