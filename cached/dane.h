/* dane - which TLSA records a mail sender can use (RFC 7672 s3.1), and what an MX host has of them.
 * Knows nothing of DNS messages, look-ups or verdicts. Pure. */
#ifndef STS_CACHED_DANE_H
#define STS_CACHED_DANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/scan.h"

/* Of one MX host. FAILED is no NONE: its records could not be looked up (RFC 7672 s2.2). */
enum dane_state { DANE_NONE, DANE_USABLE, DANE_UNUSABLE, DANE_FAILED };

/* "none", "usable", "unusable", "failed" */
const char *dane_state_name(enum dane_state);

struct dane_record {
    uint8_t usage, selector, matching;
    struct span data;
};

/* Usage 2 or 3, selector 0 or 1, and data of the matching type's length: a SHA-256 or SHA-512
 * digest, or a whole certificate or key, which is not empty. */
bool dane_is_usable(const struct dane_record *);

#endif
