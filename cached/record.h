/* record - how what is known of a domain is written down, in LMDB and for the farm: one readable
 * text format.
 *
 *   sts1 policy                   or "sts1 failure", "sts1 tombstone", "sts1 probe"
 *   domain: example.com
 *   seq: 1790000000000000         the farm's order of fetches of this domain
 *   id: 20260801                  "-" when empty
 *   old-ids: 20260701=1790000000  ids superseded and when, newest first, at most three; or "-"
 *   fetched: 1790000000           wall time, seconds, of the fetch (failure: of the try)
 *   refresh: 1790050000           policy: wall time at which a whole fetch is due
 *   asked: 20650                  policy: day (since 1970) of the last question
 *   error: http-status 503 text   failure, probe: reason, HTTP status (0: none), detail (may be
 *                                 empty)
 *   until: 1790604800             tombstone: wall time at which the forgotten policy would have
 *                                 ended; probe: at which it ends, by Redis' clock
 *   body: 123                     policy
 *   <body bytes>
 *   mac: <64 hex digits>          farm_key over all that stands before this line
 *
 * Each line ends with LF; nothing follows the last; a line whose kind does not have it is absent.
 * Numbers are decimal, without leading zeros. record_encode and record_decode are the only two
 * functions that know it. A record that was altered, cut or signed by nobody we know never decodes.
 * In LMDB the key is NULL (a checksum). */
#ifndef STS_CACHED_RECORD_H
#define STS_CACHED_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/farm_key.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/domain.h"
#include "common/error.h"
#include "common/scan.h"
#include "common/txt.h"

enum { RECORD_MAX = 70000, RECORD_OLD_IDS = 3, RECORD_DETAIL_SIZE = 128 };

/* A probe is what was found at an MX host, its `domain`; it stands under a name of its own. */
enum record_kind { RECORD_POLICY, RECORD_FAILURE, RECORD_TOMBSTONE, RECORD_PROBE };

struct record_old_id {
    char id[TXT_ID_SIZE]; /* "": none, nor any behind it */
    int64_t superseded_s; /* wall time */
};

struct record {
    enum record_kind kind;
    char domain[DOMAIN_SIZE];
    char id[TXT_ID_SIZE];
    struct record_old_id old_ids[RECORD_OLD_IDS];
    uint64_t seq;
    int64_t fetched_s;
    int64_t refresh_s, asked_day; /* policy */
    struct span
        body; /* policy; borrowed: by encode from the caller, by decode from the bytes given */
    enum sts_error error;            /* failure: never STS_OK; probe */
    int http_status;                 /* failure */
    char detail[RECORD_DETAIL_SIZE]; /* failure; printable ASCII, other bytes are written as '?' */
    int64_t until_s;                 /* tombstone, probe */
};

/* Appends the record, signed. The domain is normalised, ids letters and digits, no number negative
 * or of more than 18 digits, the body at most POLICY_BODY_MAX bytes. */
void record_encode(const struct record *, const struct farm_key *, struct buf *out);
/* False when the bytes are no sound record. What decodes would be encoded to the same bytes (but
 * for the mac, where it was another key's). */
MUST_CHECK bool record_decode(const char *bytes, size_t len, const struct farm_key *,
                              struct record *out);
#endif
