/* verdict - the decision: from what is remembered of a domain to one of the seven verdicts.
 * Every rule of RFC 8461 s4 and s5 that makes mail go or wait stands here, and only here; nothing
 * waits, asks or stores. Pure. */
#ifndef STS_CACHED_VERDICT_H
#define STS_CACHED_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/cache.h"
#include "cached/probes.h"
#include "common/answer.h"

enum {
    VERDICT_FAILURE_MS = 24 * 3600 * 1000, /* a failed fetch is remembered that long */
    VERDICT_RECHECK_MS = 10 * 1000         /* TXT is this fresh before any refusal */
};

/* What must be found out before the verdict is final. */
enum verdict_need {
    VERDICT_FINAL,
    VERDICT_NEEDS_TXT,
    VERDICT_NEEDS_MX,
    VERDICT_NEEDS_PROBE,
    VERDICT_NEEDS_RECHECK
};

/* One listed host, and what is known of its TLS. */
struct verdict_probe {
    const char *host;
    struct probe_memory memory;
};

/* What of the candidate hosts is judged: nothing; whether the policy lists them; what DANE says of
 * them first (`dane` = on). */
enum verdict_mx { VERDICT_NO_MX, VERDICT_MX, VERDICT_MX_DANE };

/* What is answered: facts for the front ends to put in their words. Everything is borrowed; hosts
 * point into the entry's MX set. */
struct judgement {
    enum verdict verdict;
    enum sts_error reason;
    enum answer_source source;
    const char *domain;
    const char *detail;               /* "" or the layer's own words ("HTTP status 503") */
    int http_status;                  /* of the failed fetch, else 0 */
    const struct entry *entry;        /* NULL: nothing is remembered */
    const struct policy *policy;      /* the one in force, or NULL */
    int64_t expires_s;                /* wall time; only with a policy */
    const char *hosts[SOURCE_MX_MAX]; /* candidate hosts that the policy lists, by preference */
    size_t host_count;
    const char *candidates[SOURCE_MX_MAX]; /* all candidate hosts, when MX was asked */
    size_t candidate_count;
    const uint8_t *dane; /* enum dane_state of each candidate; NULL: not looked at, or not secure */
    enum sts_error dane_error; /* dns-*: of a candidate DANE could not be looked up; or OK */
    bool dane_failed;          /* of none it could, or not in time */
    bool had_dane;             /* VERDICT_NEEDS_MX: by the MX set that is over DANE was to decide */
    struct verdict_probe probes[PROBES_WANT_MAX]; /* of the first `hosts`, where probing counted */
    size_t probe_count;
};

/* Judges what `entry` (NULL: nothing) knows of `domain` at `now_ms`. `host_only`: the
 * domain itself is the only candidate ("[host]"), of which DANE is not asked.
 * VERDICT_FINAL: `*out` is complete. VERDICT_NEEDS_RECHECK: `*out` is a refusal that must not be
 * spoken before TXT was asked anew (RFC 8461 s5.1). Else `*out` holds no verdict yet. */
enum verdict_need verdict_judge(const struct entry *entry, const char *domain, enum verdict_mx,
                                bool host_only, int64_t now_ms, struct judgement *out);

/* True when `judgement`, final, is one that probing can change: `secure` with listed hosts; also
 * where DANE could not be looked up, for then the policy decides. */
bool verdict_can_be_probed(const struct judgement *);
/* Judges the listed hosts by their `probes`, which the caller has filled in: one that passed is
 * enough; when TLS is wrong at all of them mail waits, as where no host is listed. Where a host
 * could not be judged, is not among `probes`, or is being probed for `patience_ms` already, the
 * verdict stays `secure`. Returns as verdict_judge; VERDICT_NEEDS_PROBE: a host may still decide.
 */
enum verdict_need verdict_judge_probes(struct judgement *, int64_t patience_ms, int64_t now_ms);

/* What to say when time is up before the verdict is final: `need` is what is still missing, and
 * `record_found` says that a valid TXT record was seen and its policy is being fetched. */
void verdict_in_doubt(enum verdict_need need, bool record_found, enum sts_error reason,
                      struct judgement *);

/* Wall time at which the entry's policy ends: as its fetch's wall time gives it (so that it does
 * not jitter), unless the clock was set since; then as the boot clock does, by which it really
 * ends. */
int64_t verdict_expires_s(const struct entry *, int64_t now_ms);
/* True while a failed fetch stands for the domain. */
bool verdict_failure_stands(const struct entry *, int64_t now_ms);

/* True when `next` protects less than `old`: a weaker mode, or no mx in common
 * where the old one had any (DESIGN: alarm). */
bool verdict_is_weaker(const struct policy *old, const struct policy *next);

#endif
