/* policy - the MTA-STS policy file (RFC 8461 s3.2) and the matching of MX hosts (s4.1).
 * Reads bytes, gives values; knows nothing of fetching, caching or verdicts. A policy is one heap
 * block that holds the body, what was found in it and its id, and does not change. */
#ifndef STS_COMMON_POLICY_H
#define STS_COMMON_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"
#include "common/error.h"
#include "common/scan.h"

enum {
    POLICY_BODY_MAX = 65536,       /* RFC 8461 s3.3 suggests 64 kilobytes */
    POLICY_MAX_AGE_MAX = 31557600, /* s3.2; larger values of up to 10 digits are clamped */
    POLICY_LIFE_MIN_S = 60         /* no policy dies sooner, max_age 0 included (ambiguity 20) */
};

enum policy_mode { POLICY_MODE_NONE, POLICY_MODE_TESTING, POLICY_MODE_ENFORCE };

struct policy;

/* Parses a body (requirements C, ambiguities 9-28). On STS_OK `*out` is a new policy (policy_free)
 * with this id, copied, of less than 256 bytes; else STS_POLICY_INVALID or STS_TOO_LARGE, `*out` is
 * NULL and `detail` (of `detail_size` bytes, may be 0) says what is wrong and in which line. */
MUST_CHECK enum sts_error policy_parse(struct span body, const char *id, struct policy **out,
                                       char *detail, size_t detail_size);
/* Accepts NULL. */
void policy_free(struct policy *);

/* The id of the TXT record that announced it (RFC 8461 s3.1); "" where there was none. */
const char *policy_id(const struct policy *);

enum policy_mode policy_mode(const struct policy *);
/* "enforce", "testing", "none". */
const char *policy_mode_name(enum policy_mode);
uint32_t policy_max_age_s(const struct policy *);
/* max(60, max_age): for how long it stays in force after its fetch. */
uint32_t policy_life_s(const struct policy *);

/* The mx patterns in file order: lower case, no final dot, "*.example.net" for wildcards.
 * Only those that may reach a reply are here: a name of two labels or more (after "*."), the last
 * one not all digits; others are valid in a file but never match and never leave this module. */
size_t policy_mx_count(const struct policy *);
struct span policy_mx(const struct policy *, size_t index);

/* The whole body as it was fetched. */
struct span policy_body(const struct policy *);

/* True when `host` (normalised) is listed: equal to a pattern, or `*.` stands for exactly its
 * left-most label (RFC 8461 s4.1). */
bool policy_lists_host(const struct policy *, const char *host);
/* The same test for one pattern. */
bool policy_pattern_matches(struct span pattern, const char *host);

/* Walks the lines as declared, for Postfix's policy_string and for people: takes the next line
 * (without its end and trailing blanks; blank lines skipped) from `rest`, which starts as
 * scan_bytes(body). False at the end. */
bool policy_next_line(struct scan *rest, struct span *line);

#endif
