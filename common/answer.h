/* answer - the `verdict` reply: what sts-cached says of a domain, and how it is written.
 * The one place that knows this wire format; the daemon formats, the milter and stsctl parse.
 *
 *   verdict=secure domain=example.com mode=enforce id=20260801 max_age=604800 expires=1790000000
 *   mx=mx1.example.com,*.example.net hosts=mx1.example.com source=memory reason=ok
 *
 * One line, all keys in this order, one space between; an empty value is "-"; inside a value every
 * byte outside 21-7E, and `%`, `=`, `,`, is percent-encoded (the comma between list items is not).
 */
#ifndef STS_COMMON_ANSWER_H
#define STS_COMMON_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/error.h"
#include "common/scan.h"

/* With the "OK " in front; PROTO_REPLY_MAX, and Postfix reads no more of any reply. */
enum { ANSWER_MAX = 100000 };

enum verdict {
    VERDICT_NONE,
    VERDICT_TESTING,
    VERDICT_SECURE,
    VERDICT_DANE,
    VERDICT_REFUSE,
    VERDICT_PENDING,
    VERDICT_UNKNOWN
};

enum answer_source { SOURCE_NONE, SOURCE_MEMORY, SOURCE_REDIS, SOURCE_LMDB, SOURCE_FETCH };

/* A list of values: `mx` patterns or `hosts`. */
struct answer_list {
    const struct span *items;
    size_t count;
};

/* Everything borrowed; NULL or "" means empty. */
struct answer {
    enum verdict verdict;
    const char *domain;
    const char *mode; /* "enforce", "testing", "none" or NULL */
    const char *id;
    bool has_policy; /* max_age and expires count only with it */
    uint32_t max_age_s;
    int64_t expires_s; /* wall time */
    struct answer_list mx, hosts;
    enum answer_source source;
    enum sts_error reason;
};

const char *verdict_name(enum verdict);
const char *answer_source_name(enum answer_source); /* "-" for SOURCE_NONE */

/* Appends the reply (without "OK "). When it would pass ANSWER_MAX bytes with its "OK ", items are
 * left out from the end of `mx` until it fits, then of `hosts`. */
void answer_format(const struct answer *, struct buf *);

/* What a client keeps of a reply. Strings are decoded; "-" becomes "". */
struct answer_view {
    enum verdict verdict;
    char domain[254];
    char mode[8];
    char id[33];
    uint64_t max_age_s;
    int64_t expires_s;
    char *mx, *hosts; /* comma-separated, owned, never NULL */
    char source[8];
    enum sts_error reason;
    char *probes; /* not of this reply: what "probes" says of a refusal's hosts; owned, or NULL */
};

/* Parses a reply (the bytes after "OK "). False when it is not of the form above, every key once
 * and in order, every value known and within its limit; then nothing needs freeing. */
MUST_CHECK bool answer_parse(const char *bytes, size_t len, struct answer_view *out);
void answer_view_done(struct answer_view *);

#endif
