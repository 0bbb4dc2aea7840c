/* describe - what operators are told of domains and policies, as JSON objects on one line.
 * Keys are stable: scripts read them through stsctl --json, and stsctl prints from them. Bytes that
 * are no UTF-8 (a policy's body is somebody else's text) come out as "\xNN". */
#ifndef STS_CACHED_DESCRIBE_H
#define STS_CACHED_DESCRIBE_H

#include "cached/exitcode.h"
#include "cached/farm.h"
#include "cached/flush.h"
#include "cached/held.h"
#include "cached/query.h"
#include "cached/settings.h"
#include "common/buf.h"

/* All functions append. Times are wall time in seconds; what does not apply is null. */

/* query: verdict, domain, mode, id, max_age, expires, fetched, refresh, mx, hosts, candidates,
 * dane (state of each candidate), probes (of each listed host that was to be probed: host, result,
 * detail, until), source, reason, reason_text, detail, http_status, last_failure, exit, and
 * `reply`: the line of the `verdict` map. */
void describe_judgement(const struct judgement *, struct buf *);

/* list: domain, mode, max_age, expires, id, fetched. */
void describe_policy(const struct held_policy *, struct buf *);

/* show: as in a list, and refresh, mx, body, source, last_failure, exit. `entry`: what memory knows
 * of the domain, or NULL. */
void describe_held(const struct held_policy *, const struct entry *, struct buf *);

/* These three leave their object open for describe_end. flush DOMAIN, refresh: domain, outcome,
 * reason, reason_text, detail, http_status. */
void describe_refetch(const struct refetch_result *, struct buf *);
/* flush DOMAIN --force: the same keys. */
void describe_forgotten(const char *domain, struct buf *);
/* flush GLOB, --all: renewed, kept, no_policy, forgotten, failures. */
void describe_flush(const struct flush_result *, struct buf *);
/* What an order has come to in the farm. */
struct describe_farm {
    const struct farm_node *nodes; /* NULL: not asked for */
    size_t count;
    bool has_redis, is_away; /* a farm; that cannot be told now */
};
/* Adds nodes, redis_away and exit, and closes the object. */
void describe_end(const struct describe_farm *, enum exitcode, struct buf *);

/* nodes: nodes, of each name, self, confirmed, last_seen; redis_away. */
void describe_nodes(const struct describe_farm *, struct buf *);

/* config: listen (a list), socket_mode (a number), mode, dane, dane_on_failure, probe, probe_port,
 * ca_file. */
void describe_settings(const struct settings *, struct buf *);

#endif
