#include "cached/verdict.h"

#include <string.h>

#include "common/clock.h"

enum { COMPARED_MAX = 64 };

bool
verdict_failure_stands(const struct entry *e, int64_t now_ms)
{
    return e != NULL && e->failure != NULL && now_ms - cache_tried_ms(e, 0) < VERDICT_FAILURE_MS;
}

/* The end as the fetch's wall time gives it, unless the clock was set since: then the boot clock,
 * by which the policy really ends, is right to the second. */
int64_t
verdict_expires_s(const struct entry *e, int64_t now_ms)
{
    int64_t by_fetch = (int64_t)e->fetched_s + policy_life_s(e->policy);
    int64_t by_boot_clock = clock_wall_s() + (e->expires_s * SECOND_MS - now_ms) / SECOND_MS;
    int64_t apart = by_fetch - by_boot_clock;

    return apart >= -1 && apart <= 1 ? by_fetch : by_boot_clock;
}

static enum verdict_need
final(struct judgement *out, enum verdict verdict, enum sts_error reason)
{
    out->verdict = verdict;
    out->reason = reason;
    return VERDICT_FINAL;
}

/* A refusal holds mail back, so the owner's newest word must have been heard first. */
static enum verdict_need
refuse(struct judgement *out, enum sts_error reason, int64_t now_ms)
{
    final(out, VERDICT_REFUSE, reason);
    if (cache_checked_ago_ms(out->entry, now_ms) < VERDICT_RECHECK_MS)
        return VERDICT_FINAL;
    return VERDICT_NEEDS_RECHECK;
}

static void
add_candidate(struct judgement *out, const char *host)
{
    if (out->candidate_count == SOURCE_MX_MAX)
        return;
    out->candidates[out->candidate_count++] = host;
    if (policy_lists_host(out->policy, host))
        out->hosts[out->host_count++] = host;
}

static void
add_mx_hosts(struct judgement *out, const struct mx_set *mx)
{
    const char *name = mx->names;

    for (unsigned i = 0; i < mx->count; i++) {
        add_candidate(out, name);
        name += strlen(name) + 1;
    }
}

static bool
is_known(const struct mx_set *mx, enum verdict_mx want, int64_t now_ms)
{
    return mx != NULL && now_ms < mx->until_ms && (want != VERDICT_MX_DANE || mx->with_dane);
}

/* RFC 8461 s2: MTA-STS must not override DANE, so that comes first where a host has it. One host
 * of which it could not be looked up stops nothing. */
static bool
is_left_to_dane(struct judgement *out, const struct mx_set *mx)
{
    out->dane = mx->dane;
    out->dane_error = mx->dane_error;
    out->dane_failed = mx_set_count(mx, DANE_FAILED) == mx->count;
    return mx_set_count(mx, DANE_USABLE) > 0;
}

/* RFC 8461 s5.1: candidates that the policy does not list are passed over; only when none is left
 * does mail wait. */
static enum verdict_need
judge_hosts(struct judgement *out, enum verdict_mx want, bool host_only, int64_t now_ms)
{
    const struct mx_set *mx = out->entry->mx;

    if (host_only) {
        add_candidate(out, out->domain);
    } else if (!is_known(mx, want, now_ms)) {
        out->had_dane = want == VERDICT_MX_DANE && mx_set_count(mx, DANE_USABLE) > 0;
        out->dane_failed = want == VERDICT_MX_DANE && !out->had_dane;
        return VERDICT_NEEDS_MX;
    } else if (mx->error == STS_NULL_MX) {
        return final(out, VERDICT_REFUSE, STS_NULL_MX);
    } else if (mx->error != STS_OK && policy_mx_count(out->policy) > 0) {
        return final(out, VERDICT_SECURE, mx->error);
    } else {
        add_mx_hosts(out, mx);
        if (want == VERDICT_MX_DANE && mx->dane != NULL && is_left_to_dane(out, mx))
            return final(out, VERDICT_DANE, STS_OK);
    }
    if (out->host_count > 0)
        return final(out, VERDICT_SECURE, out->dane_error);
    return refuse(out, STS_MX_NOT_LISTED, now_ms);
}

static enum verdict_need
judge_policy(struct judgement *out, enum verdict_mx want, bool host_only, int64_t now_ms)
{
    const struct entry *e = out->entry;

    out->policy = e->policy;
    out->expires_s = verdict_expires_s(e, now_ms);
    switch (policy_mode(e->policy)) {
    case POLICY_MODE_NONE:
        return final(out, VERDICT_NONE, STS_OK);
    case POLICY_MODE_TESTING:
        return final(out, VERDICT_TESTING, STS_OK);
    case POLICY_MODE_ENFORCE:
        break;
    }
    if (policy_mx_count(e->policy) == 0 && want != VERDICT_MX_DANE)
        return refuse(out, STS_MX_NOT_LISTED, now_ms);
    if (want == VERDICT_NO_MX)
        return final(out, VERDICT_SECURE, STS_OK);
    return judge_hosts(out, want, host_only, now_ms);
}

/* Without a policy: the newest firm word first, what is merely unknown last. An unknown outcome is
 * spoken until its wait is over and once more as long, while it is asked again behind the scenes.
 */
static enum verdict_need
judge_absence(struct judgement *out, int64_t now_ms)
{
    const struct entry *e = out->entry;

    if (e->outcome != STS_OK && !e->outcome_unknown && now_ms < e->outcome_until_s * SECOND_MS)
        return final(out, VERDICT_NONE, (enum sts_error)e->outcome);
    if (verdict_failure_stands(e, now_ms)) {
        out->detail = e->failure->detail;
        out->http_status = e->failure->http_status;
        return final(out, VERDICT_NONE, e->failure->error);
    }
    if (e->outcome_unknown && now_ms < (e->outcome_until_s + e->backoff_s) * SECOND_MS)
        return final(out, VERDICT_UNKNOWN, (enum sts_error)e->outcome);
    return VERDICT_NEEDS_TXT;
}

enum verdict_need
verdict_judge(const struct entry *entry, const char *domain, enum verdict_mx want, bool host_only,
              int64_t now_ms, struct judgement *out)
{
    out->verdict = VERDICT_UNKNOWN;
    out->reason = STS_OK;
    out->source = entry != NULL ? (enum answer_source)entry->source : SOURCE_NONE;
    out->domain = domain;
    out->detail = "";
    out->http_status = 0;
    out->entry = entry;
    out->policy = NULL;
    out->expires_s = 0;
    out->host_count = out->candidate_count = out->probe_count = 0;
    out->dane = NULL;
    out->dane_error = STS_OK;
    out->dane_failed = out->had_dane = false;
    if (entry != NULL && cache_policy_in_force(entry, now_ms))
        return judge_policy(out, want, host_only, now_ms);
    return entry != NULL ? judge_absence(out, now_ms) : VERDICT_NEEDS_TXT;
}

/* --- probes ---------------------------------------------------------------------------------- */

bool
verdict_can_be_probed(const struct judgement *j)
{
    return j->verdict == VERDICT_SECURE && j->reason == j->dane_error && j->host_count > 0;
}

enum verdict_need
verdict_judge_probes(struct judgement *j, int64_t patience_ms, int64_t now_ms)
{
    bool is_open = false, is_in_doubt = false;
    bool is_cut = j->host_count > j->probe_count; /* the others may be good */

    j->reason = STS_OK; /* that DANE is not known is told again at the end */
    for (size_t i = 0; i < j->probe_count; i++) {
        const struct probe_memory *m = &j->probes[i].memory;

        if (m->state == PROBE_KNOWN && m->error == STS_OK)
            return final(j, VERDICT_SECURE, j->dane_error);
        if (m->state == PROBE_RUNNING && m->running_ms >= patience_ms)
            j->reason = STS_DEADLINE;
        else if (m->state == PROBE_KNOWN && m->error == STS_OVERLOAD)
            j->reason = STS_OVERLOAD;
        else if (m->state == PROBE_KNOWN && !sts_error_is_tls(m->error))
            is_in_doubt = true;
        else if (m->state != PROBE_KNOWN)
            is_open = true;
    }
    if (is_open && !is_in_doubt && j->reason == STS_OK)
        return VERDICT_NEEDS_PROBE;
    if (is_in_doubt || is_cut || j->reason != STS_OK)
        return final(j, VERDICT_SECURE, j->reason != STS_OK ? j->reason : j->dane_error);
    return refuse(j, STS_PROBE_FAILED, now_ms);
}

/* --- in doubt -------------------------------------------------------------------------------- */

void
verdict_in_doubt(enum verdict_need need, bool record_found, enum sts_error reason,
                 struct judgement *out)
{
    out->reason = reason;
    switch (need) {
    case VERDICT_FINAL:
        break;
    case VERDICT_NEEDS_TXT:
        out->verdict = record_found ? VERDICT_PENDING : VERDICT_UNKNOWN;
        break;
    case VERDICT_NEEDS_MX:
        out->verdict = out->had_dane ? VERDICT_DANE : VERDICT_SECURE;
        break;
    case VERDICT_NEEDS_PROBE:
        out->verdict = VERDICT_SECURE;
        break;
    case VERDICT_NEEDS_RECHECK:
        out->verdict = VERDICT_PENDING;
        break;
    }
}

/* Looks at the first patterns of each only: nobody can make this slow, and an alarm too many for a
 * policy of hundreds of patterns costs a line in the log. */
static bool
has_mx_in_common(const struct policy *a, const struct policy *b)
{
    for (size_t i = 0; i < policy_mx_count(a) && i < COMPARED_MAX; i++) {
        struct span one = policy_mx(a, i);
        for (size_t k = 0; k < policy_mx_count(b) && k < COMPARED_MAX; k++) {
            struct span other = policy_mx(b, k);
            if (one.len == other.len && memcmp(one.at, other.at, one.len) == 0)
                return true;
        }
    }
    return false;
}

bool
verdict_is_weaker(const struct policy *old, const struct policy *next)
{
    if (policy_mode(old) != POLICY_MODE_ENFORCE)
        return false;
    if (policy_mode(next) != POLICY_MODE_ENFORCE)
        return true;
    return policy_mx_count(old) > 0 && !has_mx_in_common(old, next);
}
