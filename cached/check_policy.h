/* check_policy - judges the policy file of a domain for a check: whether it could be fetched,
 * whether it holds (RFC 8461 s3.2, s3.3), and what in it is no error but should be mended. Pure. */
#ifndef STS_CACHED_CHECK_POLICY_H
#define STS_CACHED_CHECK_POLICY_H

#include "cached/check_report.h"
#include "cached/source.h"

enum {
    CHECK_MAX_AGE_SHORT_S = 7 * 86400, /* RFC 8461 s3.2: "in the range of weeks or greater" */
    CHECK_MAX_AGE_TOO_SHORT_S = 86400  /* a sender that mails once a day is never protected */
};

/* The result of source_fetch; sets the report's has_policy, mode and max_age_s. Returns the policy
 * (policy_free), or NULL when there is none that counts. */
struct policy *check_policy_file(struct check_report *, const struct fetch_result *);

#endif
