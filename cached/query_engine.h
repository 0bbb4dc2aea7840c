/* query_engine - what query.c and query_orders.c share; nobody else includes it. */
#ifndef STS_CACHED_QUERY_ENGINE_H
#define STS_CACHED_QUERY_ENGINE_H

#include "cached/inflight.h"
#include "cached/probes.h"

struct query_engine {
    struct event_base *base;
    const struct settings *settings;
    struct cache *cache;
    struct source *source;
    struct farm *farm; /* NULL: this host is alone */
    struct stats *stats;
    struct inflight *inflight;
    struct probes *probes;
    struct judgement judgement; /* the one being spoken */
};

/* Makes a resolution of the entry's domain, which must have none, that begins at `step`, a step
 * that waits: so nobody is answered before the caller has returned. query_set_off then sets it
 * going. */
struct resolution *query_begin(struct query_engine *, struct entry *, enum resolution_step);
void query_set_off(struct resolution *);
/* Goes on with a resolution at `step`, from the loop. */
void query_take_up(struct resolution *, enum resolution_step);
/* Answers everyone whose verdict is final by now. */
void query_answer_ready(struct resolution *);

/* What is answered to `asked` from what is known of it. `asked->domain` counts; `e` may be NULL. */
enum verdict_need query_judge(const struct query_engine *, const struct entry *,
                              const struct question *asked, int64_t now_ms, struct judgement *);

enum step_result { NEXT, WAIT, DONE };
/* query_fetch.c. */
enum step_result query_step_fetch(struct resolution *);
/* The last thing that went wrong: whoever ordered a fetch is told. */
void query_note_trouble(struct resolution *, enum sts_error, const char *detail, int http_status);

/* The steps that ask the farm (query_farm.c). */
enum step_result query_step_look(struct resolution *);
enum step_result query_step_lock(struct resolution *);
enum step_result query_step_share(struct resolution *);
/* Gives the lock up, if it is held. */
void query_unlock(struct resolution *);

/* The step that probes MX hosts (query_probe.c). */
enum step_result query_step_probe(struct resolution *);
/* Judges the listed hosts' TLS, where the judgement, final, can be changed by it. */
enum verdict_need query_judge_probes(const struct query_engine *, int64_t now_ms,
                                     struct judgement *);
/* "mx1.example.com tls-name (certificate is for x.test), mx2.example.com ok": for the log; "" where
 * no host was at fault. */
enum { QUERY_PROBES_TEXT_SIZE = 600 };
void query_describe_probes(const struct judgement *, char text[QUERY_PROBES_TEXT_SIZE]);

/* Begins at TXT with nobody waiting. False: one is running already, or too many are. */
bool query_begin_background(struct query_engine *, struct entry *, bool force_fetch);

/* True when the record's id is no news: that of the policy in force, or, in a farm, whose nodes
 * hear different resolvers, of one before it; unless a refusal depends on it. */
bool query_id_is_known(const struct resolution *);
/* RFC 8461 s3.3: not the same failed id again within five minutes; and at most three fetches of a
 * domain in five minutes whatever the ids. */
bool query_may_fetch(const struct entry *, const char *id, int64_t now_ms);

/* Begins the work that an answered question shows to be due. */
void query_keep_fresh(struct query_engine *, struct entry *, int64_t now_ms);

#endif
