/* probes - what is known of MX hosts' TLS: the results of source_probe, kept a while, one probe a
 * host however many domains and askers want it; in a farm the nodes tell each other. Knows hosts
 * and times; what a result means for a domain is verdict's. Used by the answer thread only.
 *
 * A result is kept for PROBES_GOOD_MS when the host passed, though not beyond the end of its
 * certificate, else for PROBES_BAD_MS; as long the host is left in peace. Bounded: of
 * PROBES_HOSTS_MAX hosts the one looked at longest ago is forgotten first. */
#ifndef STS_CACHED_PROBES_H
#define STS_CACHED_PROBES_H

#include <stdbool.h>

#include "cached/farm.h"
#include "cached/source.h"

struct probes;
struct probes_wait;
struct stats;

enum {
    PROBES_GOOD_MS = 3600 * 1000,
    PROBES_BAD_MS = 5 * 60 * 1000,
    PROBES_HOSTS_MAX = 16384,  /* at most 8 MB, at a usual length of names 3 MB */
    PROBES_RUNNING_MAX = 1024, /* asked for at once; most of them wait in the prober's line */
    PROBES_WANT_MAX = 8        /* hosts of one domain: its owner chooses them */
};

enum probe_state {
    PROBE_UNKNOWN, /* probes_want would begin one */
    PROBE_RUNNING,
    PROBE_KNOWN
};

/* What is known of a host; `detail` is borrowed until the next probes_want or the loop. */
struct probe_memory {
    enum probe_state state;
    enum sts_error error; /* KNOWN: as in probe_result; OVERLOAD: too many run to begin one */
    const char *detail;
    int64_t running_ms; /* RUNNING: since when it runs, as a length of time */
    int64_t left_ms;    /* KNOWN: until it may be asked again */
};

typedef void probes_done_fn(void *arg);

/* `source` and `stats` are borrowed. */
MUST_CHECK struct probes *probes_new(struct event_base *, struct source *, struct stats *);
/* Borrowed. */
void probes_join_farm(struct probes *, struct farm *);
/* Drops all waits without a callback, and cancels all probes. Accepts NULL. */
void probes_free(struct probes *);
/* The settings changed: results so far do not count any more (but for what the farm's other nodes
 * have found). Running probes go on. */
void probes_forget(struct probes *);

/* Counts as a use. `host` is normalised. */
struct probe_memory probes_look(struct probes *, const char *host);
/* "ok", "tls-name", "running", "not-asked": for logs and JSON. */
const char *probes_word(const struct probe_memory *);

/* Begins a probe of each of the hosts (at most PROBES_WANT_MAX) that is PROBE_UNKNOWN, and waits
 * for all of them that run. `done` comes once, from the loop: when one of them has ended, or after
 * `limit_ms`; unless probes_cancel came first. The probes go on without a waiter. */
MUST_CHECK struct probes_wait *probes_want(struct probes *, const char *const *hosts, size_t count,
                                           int64_t limit_ms, probes_done_fn *, void *arg);
/* Accepts NULL. */
void probes_cancel(struct probes_wait *);

#endif
