/* The step that fetches, and what comes of it: a policy in force, or a failure that is remembered.
 */
#include "cached/query_engine.h"

#include <stdio.h>

#include "cached/stats.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    RETRY_MIN_S = 300, /* a failed refresh is tried again after an eighth of the */
    RETRY_MAX_S = 3600 /* time left, within these */
};

void
query_note_trouble(struct resolution *r, enum sts_error error, const char *detail, int http_status)
{
    r->error = error;
    r->http_status = http_status;
    snprintf(r->detail, sizeof r->detail, "%s", detail);
}

static void
fetch_failed(struct resolution *r, const struct fetch_result *result)
{
    struct query_engine *q = r->engine;
    struct entry *e = r->entry;
    int64_t left_s = (e->expires_s * SECOND_MS - clock_boot_ms()) / SECOND_MS;
    int64_t retry_s = left_s / 8;

    query_note_trouble(r, result->error, result->detail, result->http_status);
    q->stats->fetches_failed[result->error]++;
    retry_s = retry_s < RETRY_MIN_S ? RETRY_MIN_S : retry_s > RETRY_MAX_S ? RETRY_MAX_S : retry_s;
    cache_note_failure(q->cache, e, r->id, r->seq, result);
    if (!cache_policy_in_force(e, clock_boot_ms()))
        return;
    cache_put_off_refresh(q->cache, e, (uint32_t)retry_s);
    q->stats->refreshes_failed++;
    if (policy_mode(e->policy) != POLICY_MODE_NONE) /* RFC 8461 s3.3, s8.3 */
        log_warning("the policy of %s could not be refreshed: %s%s%s; the cached one stays "
                    "in force for %lld s",
                    e->domain, sts_error_name(result->error), result->detail[0] ? ": " : "",
                    result->detail, (long long)left_s);
}

static void
policy_fetched(struct resolution *r, struct policy *policy)
{
    struct query_engine *q = r->engine;
    struct entry *e = r->entry;

    if (cache_policy_in_force(e, clock_boot_ms()) && verdict_is_weaker(e->policy, policy)) {
        q->stats->weakened++;
        log_warning("alarm: the policy of %s became weaker: mode %s to %s, id %s to %s%s",
                    e->domain, policy_mode_name(policy_mode(e->policy)),
                    policy_mode_name(policy_mode(policy)), policy_id(e->policy), r->id,
                    policy_mode(policy) == POLICY_MODE_ENFORCE ? ", no mx in common" : "");
    }
    cache_set_policy(q->cache, e, policy, r->seq);
    r->fetched = true;
    r->force_fetch = false; /* done; a newer id seen later is fetched by its own right */
    r->error = STS_OK;
}

static void
on_fetch(const struct fetch_result *result, void *arg)
{
    struct resolution *r = arg;
    struct fetch_result invalid = {.error = STS_OK};
    struct policy *policy;

    r->job = NULL;
    if (r->entry->seq > r->seq && r->seq != 0) { /* the farm has the result of a later fetch */
        r->fetched = cache_policy_in_force(r->entry, clock_boot_ms());
        query_take_up(r, STEP_SHARE);
        return;
    }
    if (result->error == STS_OK) {
        invalid.error = policy_parse((struct span){result->body, result->len}, r->id, &policy,
                                     invalid.detail, sizeof invalid.detail);
        invalid.http_status = result->http_status;
        result = &invalid;
    }
    if (result->error == STS_OK)
        policy_fetched(r, policy);
    else
        fetch_failed(r, result);
    query_take_up(r, STEP_SHARE);
}

enum step_result
query_step_fetch(struct resolution *r)
{
    struct query_engine *q = r->engine;

    cache_note_fetch(r->entry, clock_boot_ms());
    q->stats->fetches++;
    r->job = source_fetch(q->source, r->entry->domain, on_fetch, r);
    return WAIT;
}
