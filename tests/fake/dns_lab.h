/* dns_lab - the real resolver against scripted servers, on one event loop. */
#ifndef STS_TESTS_FAKE_DNS_LAB_H
#define STS_TESTS_FAKE_DNS_LAB_H

#include "cached/dns.h"
#include "cached/settings.h"
#include "tests/fake/dns_server.h"

enum { DNS_LAB_SERVERS = 2, DNS_LAB_TIMEOUT_MS = 400, DNS_LAB_PATIENCE_MS = 5000 };

#define SCRIPT(...) ((dns_step *const[]){__VA_ARGS__, NULL})

struct dns_lab_result {
    int calls;
    enum sts_error error;
    bool nxdomain, authentic, secure;
    uint32_t ttl_s;
    size_t count, text_len;
    char text[64];
    char why[128];
};

struct dns_lab {
    struct event_base *base;
    struct dns_server *servers[DNS_LAB_SERVERS];
    struct settings settings;
    char *specs[DNS_LAB_SERVERS];
    struct dns *dns;
    struct dns_lab_result result;
    int64_t took_ms;
};

/* Opens a resolver with one or two servers (`second` may be NULL). `dns.timeout` is
 * DNS_LAB_TIMEOUT_MS when the first has a silent step, else DNS_LAB_PATIENCE_MS: a busy machine
 * must change no outcome. */
void dns_lab_open(struct dns_lab *, dns_step *const *first, dns_step *const *second);
/* Opens the resolver anew, with `trust-ad`. */
void dns_lab_trust_ad(struct dns_lab *);
void dns_lab_close(struct dns_lab *);

/* A dns_done_fn; `arg` is a struct dns_lab_result. */
void dns_lab_on_done(const struct dns_answer *, void *arg);
/* Turns the loop until `calls` is `wanted`; fails the test after 20 s. */
void dns_lab_turn(struct dns_lab *, const int *calls, int wanted);
/* One look-up of TXT from beginning to end, into lab->result. */
void dns_lab_look_up(struct dns_lab *, const char *name);

#endif
