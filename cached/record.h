/* record - how a policy is written down, in LMDB now and for the farm: one readable text format.
 *
 *   sts1 policy
 *   domain: example.com
 *   seq: 1790000000000000
 *   id: 20260801                  "-" when empty
 *   fetched: 1790000000           wall time, seconds
 *   refresh: 1790050000           wall time at which a whole fetch is due
 *   asked: 20650                  day (since 1970) of the last question
 *   body: 123
 *   <body bytes>
 *   sum: <64 hex digits>          SHA-256 over all that stands before this line
 *
 * Each line ends with LF; nothing follows the last. Numbers are decimal, without leading zeros.
 * record_encode and record_decode are the only two functions that know it. A record that was
 * altered or cut never decodes. Pure, apart from OpenSSL's digest. */
#ifndef STS_CACHED_RECORD_H
#define STS_CACHED_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/domain.h"
#include "common/scan.h"
#include "common/txt.h"

enum { RECORD_MAX = 70000 };

struct record {
    char domain[DOMAIN_SIZE];
    char id[TXT_ID_SIZE];
    uint64_t seq;
    int64_t fetched_s, refresh_s;
    int64_t asked_day;
    struct span body; /* borrowed: by encode from the caller, by decode from the bytes given */
};

/* Appends the record. The domain is normalised, the id letters and digits, no number negative or of
 * more than 18 digits, the body at most POLICY_BODY_MAX bytes. */
void record_encode(const struct record *, struct buf *out);
/* False when the bytes are no sound record. What decodes would be encoded to the same bytes. */
MUST_CHECK bool record_decode(const char *bytes, size_t len, struct record *out);

#endif
