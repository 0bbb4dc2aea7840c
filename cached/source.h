/* source - the thread that talks to the world, DNS, HTTPS and SMTP probes, behind its questions.
 * It runs its own event loop; questions go in and plain results come out through two queues, so
 * that the answer thread never waits and shares no memory with it. All functions below are called
 * from the answer thread.
 *
 * Contract of the functions that ask: they always mean "later". The callback comes exactly once,
 * from the answer thread's loop, never before start has returned, never after source_cancel. The
 * result is borrowed for the length of the callback. */
#ifndef STS_CACHED_SOURCE_H
#define STS_CACHED_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/dane.h"
#include "common/alloc.h"
#include "common/domain.h"
#include "common/error.h"
#include "common/scan.h"

struct event_base;
struct settings;
struct source;
struct source_job;

enum {
    SOURCE_DETAIL_SIZE = 128,
    SOURCE_MX_MAX = 64 /* MX hosts kept of one set, best preference first */
};

struct txt_result {
    enum sts_error error; /* OK: records; NO_RECORD: NXDOMAIN or no TXT; or dns-* */
    char detail[SOURCE_DETAIL_SIZE];
    uint32_t ttl_s; /* of the records; of NO_RECORD: min(SOA TTL, SOA minimum), 0 without SOA */
    const struct span *records; /* each: strings of one record joined */
    size_t count;
};

struct fetch_result {
    enum sts_error error; /* OK: body; dns-* and no-host: the policy host's address; or fetch */
    char detail[SOURCE_DETAIL_SIZE]; /* "HTTP status 503", "certificate is for x.test" ... */
    int http_status;                 /* 0 when there was none */
    const char *body;                /* at most POLICY_BODY_MAX bytes */
    size_t len;
};

struct mx_result {
    enum sts_error error; /* OK: hosts; NULL_MX; NO_HOST: nothing to send to; or dns-* */
    char detail[SOURCE_DETAIL_SIZE];
    uint32_t ttl_s;
    const char *const *hosts; /* normalised names, each once, in order of preference */
    size_t count;
    bool secure;                 /* DNSSEC says so of the MX records, or that there are none */
    bool with_dane;              /* DANE was asked for */
    const enum dane_state *dane; /* of each host; NULL: not asked for, or not `secure` */
    enum sts_error dane_error;   /* dns-*: of a host that is DANE_FAILED, told in `detail`; or OK */
};

struct probe_result {
    enum sts_error error; /* OK: STARTTLS, chain, dates and DNS-ID are right; dns-*, no-host: its
                             addresses; connect-*, timeout: it could not be judged; tls-*: it was */
    char detail[SOURCE_DETAIL_SIZE]; /* "STARTTLS is not offered"; "" when OK */
    int64_t expires_s;               /* notAfter of its certificate, wall time; 0: none seen */
};

typedef void source_txt_fn(const struct txt_result *, void *arg);
typedef void source_fetch_fn(const struct fetch_result *, void *arg);
typedef void source_mx_fn(const struct mx_result *, void *arg);
typedef void source_probe_fn(const struct probe_result *, void *arg);

/* Starts the thread; results are delivered on `answer_base`. NULL: `why` says what is wrong (CA
 * file unreadable or without a certificate, bad server or address in the settings). */
MUST_CHECK struct source *source_new(struct event_base *answer_base, const struct settings *,
                                     char *why, size_t size);
/* Takes new settings (copied as needed). False: the old ones stay and `why` says what is wrong. */
MUST_CHECK bool source_reload(struct source *, const struct settings *, char *why, size_t size);
/* Stops the thread and joins it; jobs still under way are dropped without a callback. */
void source_free(struct source *);

/* TXT at _mta-sts.<domain>. `domain` is normalised, copied. */
struct source_job *source_txt(struct source *, const char *domain, source_txt_fn *, void *arg);
/* TXT at _smtp._tls.<domain> (RFC 8460 s3), in the same way. */
struct source_job *source_tlsrpt(struct source *, const char *domain, source_txt_fn *, void *arg);
/* https://mta-sts.<domain>/.well-known/mta-sts.txt: addresses by our own DNS, then one transfer an
 * address under one overall timeout. */
struct source_job *source_fetch(struct source *, const char *domain, source_fetch_fn *, void *arg);
/* The MX set of `domain`; without MX records the domain itself when it has an address. `dane_ms`
 * (0: not asked): of a secure set also what DANE says of each host, within that time. */
struct source_job *source_mx(struct source *, const char *domain, int64_t dane_ms, source_mx_fn *,
                             void *arg);
/* An SMTP session with the MX host `host` (normalised, copied) as far as its TLS: addresses by our
 * own DNS, a few of them in turn, `probe-port`; no envelope is sent. */
struct source_job *source_probe(struct source *, const char *host, source_probe_fn *, void *arg);

/* The callback will not come any more. Accepts NULL. The work may run to its end unseen. */
void source_cancel(struct source_job *);

#endif
