/* replies - the map names: what each asks, and how its MTA wants the verdict put.
 * From a request's bytes to a question, from a judgement to the reply's bytes (DESIGN: wire
 * formats; what each MTA does with them). Only "OK data", "NOTFOUND " and "TEMP reason" ever leave:
 * Sendmail delivers unenforced on anything else. Pure. */
#ifndef STS_CACHED_REPLIES_H
#define STS_CACHED_REPLIES_H

#include "cached/verdict.h"
#include "common/buf.h"
#include "common/nexthop.h"

struct settings;

enum map {
    MAP_UNKNOWN,
    MAP_POSTFIX,
    MAP_POSTFIX_TLSRPT,
    MAP_STS,
    MAP_STSMX,
    MAP_VERDICT,
    MAP_PROBES
};

enum { REPLIES_SENDMAIL_LIST_MAX = 255 }; /* bytes after match= that Sendmail reads */

/* One request, read. */
struct map_request {
    enum map map;
    struct nexthop hop;
    char mx_host[DOMAIN_SIZE]; /* stsmx: the host asked about; "" when it is no MX host's name */
    int64_t wait_ms;           /* verdict, probes: from "wait=MS"; else -1 */
    bool want_mx;              /* the judgement needs the MX set */
    bool want_probe;           /* and its hosts' TLS, where probing is on */
};

/* Reads "NAME SP KEY". True: the domain in `hop` is to be judged. False: there is nothing to judge
 * (unknown map, literal, no domain); replies_write may be called at once, without a judgement. */
bool replies_read(struct span payload, struct map_request *);

/* True when the reply may be left to DANE, which only the MX set can tell: Postfix' names while
 * `dane` is on. */
bool replies_needs_mx(const struct map_request *, const struct settings *);
/* True when Sendmail cannot take the whole list of patterns: the MX set says which it needs. */
bool replies_list_is_long(const struct judgement *);
/* True when the reply refuses an MX host by name, so that TXT should be looked at again. */
bool replies_refuses_host(const struct map_request *, const struct judgement *);

/* Appends the reply's payload. `judgement` NULL: see replies_read. */
void replies_write(const struct map_request *, const struct judgement *, const struct settings *,
                   struct buf *);

/* Fills the verdict reply's fields from a judgement; `mx` must have room for policy_mx_count()
 * spans. */
struct answer replies_answer(const struct judgement *, struct span *mx,
                             struct span hosts[SOURCE_MX_MAX]);

#endif
