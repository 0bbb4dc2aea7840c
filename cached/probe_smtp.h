/* probe_smtp - one SMTP session with one address of an MX host, as far as its TLS: EHLO, STARTTLS,
 * the certificate, EHLO, QUIT. No envelope is ever sent. Curl's options, hooks and error codes stay
 * in here. */
#ifndef STS_CACHED_PROBE_SMTP_H
#define STS_CACHED_PROBE_SMTP_H

#include <stdint.h>
#include <sys/socket.h>

#include "cached/fetch_transfer.h"
#include "cached/source.h"

struct probe_smtp;

enum { PROBE_REPLIES_MAX = 16384 /* bytes of all the host's replies in one session */ };

struct probe_order {
    const struct fetch_transfer_rules *rules; /* loop, tls and allowed; outlives the session */
    const char *host, *helo;
    const struct sockaddr_storage *address;
    uint16_t port;
    int64_t connect_ms; /* for TCP */
    int64_t total_ms;   /* for everything */
};

typedef void probe_smtp_done_fn(const struct probe_result *, void *arg); /* result borrowed */

/* `order` is copied, but for its rules. Always later: `done` comes once, from the loop, unless
 * cancelled; the session is gone when it returns. */
struct probe_smtp *probe_smtp_start(const struct probe_order *, probe_smtp_done_fn *, void *arg);
void probe_smtp_cancel(struct probe_smtp *);

#endif
