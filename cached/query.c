/* What happens to a question.
 *
 *   query_ask     a hit in memory is answered on the spot; else the asker joins the running
 *                 resolution of the domain, or starts one, and waits until its deadline
 *   step_look     in a farm: what the others know of it
 *   step_txt      the TXT record at _mta-sts.<domain>
 *   step_lock     when the record's id is new; in a farm one node fetches, the others wait for it
 *   step_fetch    the policy file, and into the cache with it
 *   step_share    in a farm: to the others
 *   step_mx       the MX set, when an asker needs it and the policy enforces
 *   step_probe    the TLS of the listed hosts, when an asker wants it and `probe` is on
 *   step_answer   one verdict for every asker; a refusal goes back to step_txt once
 *
 * Askers come and go while a resolution runs; it ends when its work is done, asked for or not. */
#include "cached/query.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/query_engine.h"
#include "cached/settings.h"
#include "cached/stats.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    LOOKUP_RETRY_S = 60 /* TXT could not be asked, a policy is in force */
};

/* --- the TXT record -------------------------------------------------------------------------- */

/* No usable record, or none could be had. That ends no policy in force (RFC 8461 s3.1). Where there
 * were records, the answer had no SOA to say how long their absence lasts. */
static void
record_missing(struct resolution *r, enum sts_error error, const struct txt_result *result)
{
    struct cache *cache = r->engine->cache;
    struct entry *e = r->entry;
    int64_t now = clock_boot_ms();
    bool unknown = sts_error_is_dns(error);

    query_note_trouble(r, error, result->detail, 0);
    if (cache_policy_in_force(e, now))
        cache_set_checked(cache, e, unknown ? LOOKUP_RETRY_S : result->ttl_s);
    else if (unknown)
        cache_set_unknown(cache, e, error);
    else
        cache_set_none(cache, e, error, result->count > 0 ? 0 : result->ttl_s);
}

/* The step after TXT: FETCH when the record tells of a policy that we do not have. */
static enum resolution_step
after_record(struct resolution *r)
{
    const struct entry *e = r->entry;
    int64_t now = clock_boot_ms();
    bool in_force = cache_policy_in_force(e, now);

    if (!r->record_found) {
        if (!r->force_fetch || !in_force)
            return STEP_MX;
        /* RFC 8461 s10.2: regardless of the record */
        snprintf(r->id, sizeof r->id, "%s", policy_id(e->policy));
    } else if (in_force && !r->force_fetch && query_id_is_known(r)) {
        return STEP_MX;
    }
    return query_may_fetch(e, r->id, now) ? STEP_LOCK : STEP_MX;
}

static void
on_txt(const struct txt_result *result, void *arg)
{
    struct resolution *r = arg;
    enum sts_error error = result->error;

    r->job = NULL;
    if (error == STS_OK)
        error = txt_parse(result->records, result->count, r->id);
    r->record_found = error == STS_OK;
    if (r->record_found)
        cache_set_checked(r->engine->cache, r->entry, result->ttl_s);
    else
        record_missing(r, error, result);
    query_take_up(r, after_record(r));
}

static enum step_result
step_txt(struct resolution *r)
{
    r->engine->stats->txt_lookups++;
    r->job = source_txt(r->engine->source, r->entry->domain, on_txt, r);
    return WAIT;
}

/* --- the MX set ------------------------------------------------------------------------------ */

static void
on_mx(const struct mx_result *result, void *arg)
{
    struct resolution *r = arg;

    r->job = NULL;
    if (result->dane_error != STS_OK)
        log_info("dane domain=%s reason=%s detail=%s", r->entry->domain,
                 sts_error_name(result->dane_error), result->detail);
    cache_set_mx(r->engine->cache, r->entry, result);
    query_take_up(r, STEP_PROBE);
}

static enum verdict_mx
mx_wanted(const struct query_engine *q, bool want_mx)
{
    if (!want_mx)
        return VERDICT_NO_MX;
    return q->settings->dane ? VERDICT_MX_DANE : VERDICT_MX;
}

/* So much that a second server, or a second try, has its time, too, before the askers' is up. */
static int64_t
dane_time(const struct settings *s)
{
    return s->dane ? s->answer_deadline_ms * 3 / 4 : 0;
}

static enum step_result
step_mx(struct resolution *r)
{
    struct query_engine *q = r->engine;

    if (!r->want_mx || verdict_judge(r->entry, r->entry->domain, mx_wanted(q, true), false,
                                     clock_boot_ms(), &q->judgement) != VERDICT_NEEDS_MX)
        return NEXT;
    q->stats->mx_lookups++;
    r->job = source_mx(q->source, r->entry->domain, dane_time(q->settings), on_mx, r);
    return WAIT;
}

/* --- answers --------------------------------------------------------------------------------- */

static void
log_answer(const struct judgement *j, int64_t ms)
{
    char digits[BUF_NUMBER_SIZE], probes[QUERY_PROBES_TEXT_SIZE];
    struct log_line line;

    buf_format_number(digits, ms > 0 ? (uint64_t)ms : 0);
    query_describe_probes(j, probes); /* may end for lack of memory, and say so: not in the line */
    line = log_line_begin();
    log_line_add(&line, "query domain=");
    log_line_add(&line, j->domain);
    log_line_add(&line, " verdict=");
    log_line_add(&line, verdict_name(j->verdict));
    log_line_add(&line, " source=");
    log_line_add(&line, answer_source_name(j->source));
    log_line_add(&line, " reason=");
    log_line_add(&line, sts_error_name(j->reason));
    log_line_add(&line, " ms=");
    log_line_add(&line, digits);
    if (j->detail[0] != '\0' || probes[0] != '\0') {
        log_line_add(&line, " detail=");
        log_line_add(&line, j->detail);
        log_line_add(&line, probes);
    }
    log_line_end(&line);
}

/* Observing, the true verdict is logged and counted, and "none" is spoken. */
static void
speak(struct query_engine *q, struct judgement *j, int64_t ms)
{
    stats_count_answer(q->stats, j->verdict, j->reason, j->source, ms);
    if (log_wants(LOG_LEVEL_INFO))
        log_answer(j, ms);
    if (q->settings->mode == WORK_OBSERVE) {
        j->verdict = VERDICT_NONE;
        j->reason = STS_OBSERVE;
        j->policy = NULL;
        j->host_count = j->probe_count = 0;
    }
}

/* Ends one wait. The callback may ask again, or cancel others. */
static void
answer(struct query_token *token, struct judgement *j)
{
    query_done_fn *done = token->done;
    void *arg = token->arg;
    struct query_engine *q = token->resolution->engine;
    int64_t arrived_ms = token->asked.arrived_ms;

    assert(done != NULL); /* query_when_done follows query_ask at once */
    inflight_stop_waiting(token);
    speak(q, j, clock_boot_ms() - arrived_ms);
    done(j, arg);
}

/* True when a refusal must wait for the policy that is being fetched (RFC 8461 s5.1). */
static bool
may_be_rescued(const struct resolution *r, const struct judgement *j)
{
    return r != NULL && (r->step == STEP_LOCK || r->step == STEP_FETCH) &&
           j->verdict == VERDICT_REFUSE && j->reason != STS_NULL_MX;
}

/* What we do not know another node may: while Redis is away and we never had all that it holds, no
 * policy here is not "none". */
enum verdict_need
query_judge(const struct query_engine *q, const struct entry *e, const struct question *asked,
            int64_t now_ms, struct judgement *j)
{
    enum verdict_need need =
        verdict_judge(e, asked->domain, mx_wanted(q, asked->want_mx), asked->host_only, now_ms, j);

    if (need == VERDICT_FINAL && asked->needs_mx != NULL && asked->needs_mx(j))
        need = verdict_judge(e, asked->domain, mx_wanted(q, true), asked->host_only, now_ms, j);
    if (need == VERDICT_FINAL && asked->want_probe)
        need = query_judge_probes(q, now_ms, j);
    if (need == VERDICT_FINAL && j->verdict == VERDICT_NONE && j->policy == NULL &&
        farm_is_blind(q->farm)) {
        j->verdict = VERDICT_UNKNOWN;
        j->reason = STS_REDIS;
    }
    return need;
}

static enum verdict_need
judge_for(const struct query_token *token, struct judgement *j)
{
    const struct resolution *r = token->resolution;
    enum verdict_need need = query_judge(r->engine, r->entry, &token->asked, clock_boot_ms(), j);

    if (j->verdict == VERDICT_UNKNOWN && j->reason == r->error && j->detail[0] == '\0')
        j->detail = r->detail;
    return need == VERDICT_FINAL && may_be_rescued(r, j) ? VERDICT_NEEDS_RECHECK : need;
}

/* Answers everyone whose verdict is final by now. First they are picked, then called: a callback
 * may cancel any other wait. */
void
query_answer_ready(struct resolution *r)
{
    struct judgement *j = &r->engine->judgement;
    LIST_HEAD(, query_token) ready = LIST_HEAD_INITIALIZER(ready);
    struct query_token *token, *next;
    enum verdict_need need;

    for (token = LIST_FIRST(&r->waiters); token != NULL; token = next) {
        next = LIST_NEXT(token, link);
        if (judge_for(token, j) == VERDICT_FINAL) {
            LIST_REMOVE(token, link);
            LIST_INSERT_HEAD(&ready, token, link);
        }
    }
    while ((token = LIST_FIRST(&ready)) != NULL) {
        need = judge_for(token, j);
        verdict_in_doubt(need, r->record_found, need == VERDICT_FINAL ? j->reason : STS_DEADLINE,
                         j);
        answer(token, j);
    }
}

/* Whoever is left cannot be answered finally: a refusal wants a fresh TXT record first, a late
 * asker the MX set or its hosts' TLS; what the fetch limit keeps from being known is unknown. */
static enum step_result
step_answer(struct resolution *r)
{
    struct judgement *j = &r->engine->judgement;
    struct query_token *token;
    enum verdict_need need;

    while ((token = LIST_FIRST(&r->waiters)) != NULL) {
        need = judge_for(token, j);
        if (need == VERDICT_NEEDS_RECHECK && !r->rechecked) {
            r->rechecked = true;
            r->step = STEP_TXT;
            return NEXT;
        }
        if (need == VERDICT_NEEDS_MX) {
            r->want_mx = true;
            r->step = STEP_MX;
            return NEXT;
        }
        if (need == VERDICT_NEEDS_PROBE) {
            r->step = STEP_PROBE;
            return NEXT;
        }
        if (need == VERDICT_NEEDS_TXT)
            verdict_in_doubt(need, false, STS_OVERLOAD, j);
        answer(token, j);
    }
    return DONE;
}

/* --- the driver ------------------------------------------------------------------------------ */

/* Each step says whether the next one (r->step, set by the step when it is another than the next in
 * line) can run now, or a callback will come. */
static const struct {
    const char *name;
    enum step_result (*run)(struct resolution *);
} steps[] = {
    [STEP_LOOK] = {"look", query_step_look},    [STEP_TXT] = {"txt", step_txt},
    [STEP_LOCK] = {"lock", query_step_lock},    [STEP_FETCH] = {"fetch", query_step_fetch},
    [STEP_SHARE] = {"share", query_step_share}, [STEP_MX] = {"mx", step_mx},
    [STEP_PROBE] = {"probe", query_step_probe}, [STEP_ANSWER] = {"answer", step_answer},
};

static void
finish(struct resolution *r)
{
    struct query_engine *q = r->engine;
    struct refetch_result result = {.error = r->error, .http_status = r->http_status};
    struct refetch_waiter *w;
    char detail[SOURCE_DETAIL_SIZE], domain[DOMAIN_SIZE];
    STAILQ_HEAD(, refetch_waiter) waiters = STAILQ_HEAD_INITIALIZER(waiters);

    if (r->fetched)
        result.outcome = REFETCH_RENEWED;
    else if (cache_policy_in_force(r->entry, clock_boot_ms()))
        result.outcome = REFETCH_KEPT;
    else if (r->entry->outcome_unknown || farm_is_blind(q->farm))
        result.outcome = REFETCH_UNKNOWN;
    else
        result.outcome = REFETCH_NO_POLICY;
    result.detail = memcpy(detail, r->detail, sizeof detail);
    result.domain = strcpy(domain, r->entry->domain);
    while ((w = STAILQ_FIRST(&r->refetchers)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->refetchers, link);
        STAILQ_INSERT_TAIL(&waiters, w, link);
    }
    r->entry->source = SOURCE_MEMORY; /* where it came from has been told */
    inflight_remove(q->inflight, r, q->cache);
    q->stats->resolutions_running = inflight_count(q->inflight);
    while ((w = STAILQ_FIRST(&waiters)) != NULL) {
        STAILQ_REMOVE_HEAD(&waiters, link);
        w->done(&result, w->arg);
        free(w);
    }
}

/* Goes on with a resolution at `step`, from the loop. */
void
query_take_up(struct resolution *r, enum resolution_step step)
{
    r->step = step;
    for (;;) {
        query_answer_ready(r);
        if (r->job != NULL || r->farm_job != NULL || r->probes_wait != NULL || r->again != NULL)
            return; /* whoever was answered gave an order, and it began anew */
        step = r->step;
        log_debug("resolution domain=%s step=%s", r->entry->domain, steps[step].name);
        switch (steps[step].run(r)) {
        case WAIT:
            return;
        case DONE:
            finish(r);
            return;
        case NEXT:
            if (r->step == step)
                r->step = step + 1;
        }
    }
}

struct resolution *
query_begin(struct query_engine *q, struct entry *e, enum resolution_step step)
{
    struct resolution *r = inflight_add(q->inflight, q, e, clock_boot_ms());

    r->step = step;
    q->stats->resolutions_running = inflight_count(q->inflight);
    return r;
}

void
query_set_off(struct resolution *r)
{
    if (steps[r->step].run(r) == WAIT)
        return;
    r->step = STEP_TXT; /* the policy ended just now: there is no MX set to look up */
    (void)step_txt(r);
}

bool
query_begin_background(struct query_engine *q, struct entry *e, bool force_fetch)
{
    struct resolution *r;

    if (inflight_find(q->inflight, e->domain) != NULL ||
        !inflight_has_room(q->inflight, e->domain, cache_policy_in_force(e, clock_boot_ms())))
        return false;
    r = query_begin(q, e, STEP_TXT);
    r->force_fetch = force_fetch;
    query_set_off(r);
    return true;
}

/* --- questions ------------------------------------------------------------------------------- */

static void
on_deadline(int fd, short what, void *arg)
{
    struct query_token *token = arg;
    struct resolution *r = token->resolution;
    struct judgement *j = &r->engine->judgement;
    enum verdict_need need = judge_for(token, j);

    (void)fd, (void)what;
    if (need != VERDICT_FINAL) {
        r->engine->stats->deadlines_missed++;
        verdict_in_doubt(need, r->record_found, STS_DEADLINE, j);
    }
    answer(token, j);
}

static enum resolution_step
first_step(const struct query_engine *q, enum verdict_need need)
{
    if (need == VERDICT_NEEDS_MX)
        return STEP_MX;
    if (need == VERDICT_NEEDS_PROBE)
        return STEP_PROBE;
    return need == VERDICT_NEEDS_TXT && farm_is_up(q->farm) ? STEP_LOOK : STEP_TXT;
}

/* What the resolution has to find out beside the policy. */
static void
note_wants(struct resolution *r, const struct question *question, enum verdict_need need)
{
    r->want_mx |= need == VERDICT_NEEDS_MX || (question->want_mx && !question->host_only);
    r->want_probe |= question->want_probe && !question->host_only;
    r->want_host_probe |= question->want_probe && question->host_only;
}

/* The resolution to wait for; NULL when there would be too many. */
static struct resolution *
join_or_begin(struct query_engine *q, const struct question *question, enum verdict_need need,
              bool has_policy)
{
    struct resolution *r = inflight_find(q->inflight, question->domain);
    struct entry *e;

    if (r == NULL) {
        if (!inflight_has_room(q->inflight, question->domain, has_policy))
            return NULL;
        e = cache_want(q->cache, question->domain);
        r = query_begin(q, e, first_step(q, need));
        r->rechecked = need == VERDICT_NEEDS_RECHECK;
        note_wants(r, question, need);
        query_set_off(r);
    }
    note_wants(r, question, need);
    return r;
}

static int64_t
time_to_wait(const struct query_engine *q, const struct question *question,
             const struct resolution *r, int64_t now)
{
    int64_t deadline_ms = q->settings->answer_deadline_ms;
    int64_t wait_ms = question->wait_ms;

    /* Who asks again right after a missed deadline must not wait anew because the timer came a few
     * milliseconds early. */
    if (now - r->started_ms >= deadline_ms - deadline_ms / 64)
        return 0;
    if (wait_ms < 0 || wait_ms > deadline_ms)
        wait_ms = deadline_ms;
    return question->arrived_ms + wait_ms - now;
}

/* Nothing is looked at: MTA-STS is switched off, or the key names no domain. */
static bool
answer_unseen(struct query_engine *q, const char *domain, enum sts_error reason, int64_t arrived_ms,
              struct judgement *now)
{
    verdict_judge(NULL, domain, VERDICT_NO_MX, false, 0, now);
    now->verdict = VERDICT_NONE;
    now->reason = reason;
    speak(q, now, clock_boot_ms() - arrived_ms);
    return true;
}

void
query_note_no_domain(struct query_engine *q, int64_t arrived_ms)
{
    answer_unseen(q, "-", STS_NOT_A_DOMAIN, arrived_ms, &q->judgement);
}

static bool
answer_now(struct query_engine *q, const struct question *question, struct entry *e, int64_t now_ms,
           struct judgement *now)
{
    bool was_read = e != NULL && e->source == SOURCE_LMDB; /* which takes time, unlike memory */

    speak(q, now, (was_read ? clock_boot_ms() : now_ms) - question->arrived_ms);
    if (e == NULL)
        return true;
    if (e->policy != NULL)
        cache_note_asked(q->cache, e);
    query_keep_fresh(q, e, now_ms);
    if (inflight_find(q->inflight, e->domain) == NULL)
        e->source = SOURCE_MEMORY;
    return true;
}

bool
query_ask(struct query_engine *q, const struct question *question, struct judgement *now,
          struct query_token **token)
{
    int64_t now_ms = question->now_ms, wait_ms;
    struct entry *e;
    struct resolution *r;
    enum verdict_need need;

    if (q->settings->mode == WORK_OFF)
        return answer_unseen(q, question->domain, STS_OFF, question->arrived_ms, now);
    /* What is not in memory may be newer in Redis, where that can be asked, than in LMDB. */
    e = cache_get_at(q->cache, question->domain, !farm_is_up(q->farm), now_ms);
    need = query_judge(q, e, question, now_ms, now);
    if (need == VERDICT_FINAL) {
        if (!may_be_rescued(inflight_find(q->inflight, question->domain), now))
            return answer_now(q, question, e, now_ms, now);
        need = VERDICT_NEEDS_RECHECK;
    }
    r = join_or_begin(q, question, need, cache_policy_in_force(e, now_ms));
    if (r == NULL) {
        verdict_in_doubt(need, false, STS_OVERLOAD, now);
        speak(q, now, now_ms - question->arrived_ms);
        return true;
    }
    wait_ms = time_to_wait(q, question, r, now_ms);
    if (wait_ms <= 0) {
        query_judge(q, r->entry, question, now_ms, now);
        verdict_in_doubt(need, r->record_found, STS_DEADLINE, now);
        speak(q, now, now_ms - question->arrived_ms);
        return true;
    }
    *token = inflight_wait(r, q->base, wait_ms, on_deadline);
    (*token)->asked = *question;
    (*token)->asked.domain = r->entry->domain;
    return false;
}

void
query_when_done(struct query_token *token, query_done_fn *done, void *arg)
{
    token->done = done;
    token->arg = arg;
}

void
query_cancel(struct query_token *token)
{
    inflight_stop_waiting(token);
}

/* --- the engine ------------------------------------------------------------------------------- */

size_t
query_running(const struct query_engine *q)
{
    return inflight_count(q->inflight);
}

struct query_engine *
query_engine_new(struct event_base *base, const struct settings *settings, struct cache *cache,
                 struct source *source, struct stats *stats)
{
    struct query_engine *q = alloc_zero(1, sizeof *q);

    q->base = base;
    q->settings = settings;
    q->cache = cache;
    q->source = source;
    q->stats = stats;
    q->inflight = inflight_new();
    q->probes = probes_new(base, source, stats);
    return q;
}

void
query_engine_set_settings(struct query_engine *q, const struct settings *settings)
{
    q->settings = settings;
    probes_forget(q->probes);
}

void
query_engine_free(struct query_engine *q)
{
    if (q == NULL)
        return;
    inflight_free(q->inflight, q->cache);
    probes_free(q->probes);
    free(q);
}
