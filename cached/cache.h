/* cache - what this node remembers of each domain: memory in front, LMDB behind.
 * An entry holds facts and times, no decisions: a policy and its term; or why there is none; what
 * became of the last fetches; the MX set. Used by the answer thread only.
 *
 * Memory is bounded in bytes: entries with a policy share one half of `memory-size`, all others
 * (about 98 % of all domains) the other half; in each the least recently used goes first. A policy
 * that leaves memory is still in LMDB. An entry that is pinned is never dropped. */
#ifndef STS_CACHED_CACHE_H
#define STS_CACHED_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/record.h"
#include "cached/source.h"
#include "cached/table.h"
#include "common/answer.h"
#include "common/policy.h"
#include "common/txt.h"

struct cache;
struct store;

/* An MX look-up's outcome, one heap block. */
struct mx_set {
    int64_t until_ms;          /* boot time */
    enum sts_error error;      /* OK: hosts; or NULL_MX, NO_HOST, dns-* */
    enum sts_error dane_error; /* dns-*: why a host is DANE_FAILED; or OK */
    uint16_t count;
    bool with_dane;      /* DANE was asked for */
    uint32_t size;       /* bytes of this block */
    const uint8_t *dane; /* in it, enum dane_state of each host; NULL: as in struct mx_result */
    char names[];        /* `count` NUL-terminated names, best preference first */
};

/* Of how many hosts DANE says this; 0 where it was not asked. `mx` may be NULL. */
size_t mx_set_count(const struct mx_set *mx, enum dane_state);

/* Why the last fetch that ended failed, one heap block. */
struct fetch_failure {
    uint64_t seq; /* its place among the fetches of the farm; 0: the clock gives it */
    enum sts_error error;
    int http_status;
    char id[TXT_ID_SIZE];
    char detail[];
};

enum { CACHE_TRIES = 3 };

/* All *_ms are boot times, and so are those in seconds, which are rounded up, but for `fetched_s`
 * and `stored_end_s`.
 * Fields are read by anyone, changed only through the functions below. */
struct entry {
    struct table_link link;
    struct entry *newer, *older;   /* order of use within its half */
    struct policy *policy;         /* NULL: none in force is known */
    struct mx_set *mx;             /* NULL: never looked up or dropped */
    struct fetch_failure *failure; /* NULL: the last fetch did not fail */
    struct record_old_id *old_ids; /* RECORD_OLD_IDS of them, newest first; NULL: none */
    uint64_t seq; /* order of the policy, or of its tombstone, among the fetches of the farm */
    uint32_t expires_s; /* end of the policy's term */
    uint32_t refresh_s; /* a whole fetch is due */
    union {
        uint32_t fetched_s;    /* of the policy: wall time of its fetch */
        uint32_t stored_end_s; /* without one: wall time at which LMDB's, not in force, ended */
    };
    uint32_t checked_ms;           /* see cache_checked_ago_ms */
    uint32_t recheck_s;            /* TXT is to be asked again */
    uint32_t outcome_until_s;      /* `outcome` is answered at once until then */
    uint32_t tried_s[CACHE_TRIES]; /* see cache_tried_ms */
    uint32_t asked_day;
    uint16_t backoff_s; /* unknown: the present wait */
    uint8_t outcome;    /* enum sts_error while there is no policy; STS_OK: nothing known */
    uint8_t outcome_unknown : 1; /* the outcome is "unknown", not "none" */
    uint8_t told_here : 1;       /* the term was told from its fetch, not from the wall clock */
    uint8_t source : 6;          /* enum answer_source: where the policy came from */
    uint8_t pinned;
    char domain[];
};

/* `store` may be NULL (tests); borrowed. `refresh_interval_ms` see settings. */
struct cache *cache_new(struct store *, int64_t memory_size, int64_t refresh_interval_ms);
void cache_free(struct cache *);
void cache_set_limits(struct cache *, int64_t memory_size, int64_t refresh_interval_ms);

/* The entry of `domain` (normalised) from memory, else, when `store_too`, from LMDB brought to
 * memory; NULL when neither has one. Counts as a use. Expired policies are dropped on the way,
 * their entry stays if it knows anything else; those whose end the wall clock told stay in LMDB,
 * unused, as cache_store_set_aside says. Valid until the next cache_* call that may add or evict,
 * unless pinned. */
struct entry *cache_get(struct cache *, const char *domain, bool store_too);
/* The same at `now_ms`, which the caller has just read from the boot clock. */
struct entry *cache_get_at(struct cache *, const char *domain, bool store_too, int64_t now_ms);
/* As cache_get, but makes an empty entry when there is none. */
struct entry *cache_want(struct cache *, const char *domain);
/* True while the entry has a policy, and `now_ms` is within its term (RFC 8461 s3.2: max_age from
 * its fetch). The entry may be NULL. */
bool cache_policy_in_force(const struct entry *, int64_t now_ms);

/* While pinned (counted) an entry stays where it is in memory. */
void cache_pin(struct entry *);
void cache_unpin(struct cache *, struct entry *);

/* Puts a newly fetched policy (taken) in force, in memory and LMDB; term and next refresh run from
 * now; forgets the outcome and the failure. `seq`: the fetch's place in the farm's order (0: by
 * this host's clock). */
void cache_set_policy(struct cache *, struct entry *, struct policy *, uint64_t seq);
/* No policy: `outcome` is remembered for `ttl_s` (60-3600 s; 0: 300 s), and until then, at most
 * 300 s, TXT need not be asked again. A policy in force is not touched (RFC 8461 s3.1), and then no
 * outcome is set. */
void cache_set_none(struct cache *, struct entry *, enum sts_error outcome, uint32_t ttl_s);
/* Nothing known: 30 s, doubling to 300 s while it repeats. With a policy in force only the re-check
 * is put off so. */
void cache_set_unknown(struct cache *, struct entry *, enum sts_error outcome);
/* TXT was asked and answered now with a good record; ask again after `ttl_s` (60-300 s bounds are
 * applied here). */
void cache_set_checked(struct cache *, struct entry *, uint32_t ttl_s);
/* How long ago TXT was last answered; UINT32_MAX: not by this process. To be compared with seconds,
 * not with days: it begins anew after 49. */
uint32_t cache_checked_ago_ms(const struct entry *, int64_t now_ms);
/* A fetch begins, or began at this boot time. */
void cache_note_fetch(struct entry *, int64_t began_ms);
/* When the last fetch (0), or the second or third last (1, 2) began, for the back-off and the rate
 * limit (RFC 8461 s3.3): boot time, rounded up to a second so that no limit ends early; 0: there
 * was none. */
int64_t cache_tried_ms(const struct entry *, size_t which);
/* It failed, for this id; `seq` as above. Kept for a day after the last fetch. Puts nothing off. */
void cache_note_failure(struct cache *, struct entry *, const char *id, uint64_t seq,
                        const struct fetch_result *);
/* The next refresh of the policy is due only after `wait_s`. */
void cache_put_off_refresh(struct cache *, struct entry *, uint32_t wait_s);
/* The MX set (copied), kept for its TTL within 60-600 s. */
void cache_set_mx(struct cache *, struct entry *, const struct mx_result *);
/* Forgets everything of the domain, policy included, in memory and LMDB; a pinned entry stays
 * empty. */
void cache_forget(struct cache *, const char *domain);
/* Forgets outcome, back-off and all about fetches, not the policy. */
void cache_forget_outcome(struct cache *, struct entry *);
/* True when `id` was that of an earlier policy within the last day. */
bool cache_id_is_old(const struct entry *, const char *id);
/* A question came for a policy: writes the day to LMDB when it changed. */
void cache_note_asked(struct cache *, struct entry *);

/* --- shared with the farm --------------------------------------------------------------------- */

enum cache_taken {
    CACHE_TAKEN,
    CACHE_SAME,   /* just that is held, or there was nothing to forget */
    CACHE_OLDER,  /* what is held is newer */
    CACHE_USELESS /* over, or no policy at all */
};
/* Takes a verified record of the farm. A policy with a higher seq than what is held goes to LMDB,
 * and to memory where the domain is there or `to_memory`; the try that a failure tells of counts as
 * ours for five minutes, where no policy is in force and the domain is in memory or `to_memory`; a
 * tombstone forgets a policy with a lower seq. */
MUST_CHECK enum cache_taken cache_take(struct cache *, const struct record *, bool to_memory);
/* What is held of the domain, as a record to share: the policy in force, or else the failure that
 * stands. `body` (emptied first, limit at least RECORD_MAX) holds the policy's. `*life_s`: how long
 * the record has to live, at least 1. False: nothing is held. */
MUST_CHECK bool cache_give(struct cache *, const char *domain, struct buf *body, struct record *,
                           int64_t *life_s);
/* A tombstone for the policy held, with its seq raised to at least `seq` and above what is held.
 * False: no policy is held. */
MUST_CHECK bool cache_bury(struct cache *, const char *domain, uint64_t seq, struct record *,
                           int64_t *life_s);
/* The farm has what is held under this seq now. */
void cache_set_seq(struct cache *, const char *domain, uint64_t seq);
/* Forgets the outcome and all about fetches of all domains in memory without a policy that match
 * (NULL: all). */
void cache_forget_outcomes(struct cache *, const char *glob);
/* Drops what is in memory and not in use: others know better. Policies stay where LMDB could not
 * take all that it was given, since nobody else may have them. */
void cache_drop_memory(struct cache *);

struct cache_stats {
    uint64_t policies, others; /* entries in memory */
    uint64_t policy_bytes, other_bytes;
    uint64_t policy_evictions, other_evictions;
};
void cache_stats(const struct cache *, struct cache_stats *);
/* Calls `each` for every entry in memory, in no order. Nothing may be added meanwhile. */
void cache_walk(struct cache *, void (*each)(struct entry *, void *arg), void *arg);

#endif
