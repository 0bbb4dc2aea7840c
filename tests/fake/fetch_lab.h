/* fetch_lab - what the tests of the fetcher share: a trusted root, settings for the loopback, one
 * fetch from start to end. The C library's resolver is replaced by a counter, and what curl is
 * given is counted. */
#ifndef STS_TESTS_FETCH_LAB_H
#define STS_TESTS_FETCH_LAB_H

#include <event2/event.h>
#include <stddef.h>

#include "cached/fetch.h"
#include "cached/settings.h"
#include "tests/fake/test_certs.h"
#include "tests/fake/tls_server.h"

/* The policy host of the domain that is always asked for: LAB_DOMAIN. */
#define LAB_DOMAIN "example.test"
#define LAB_HOST "mta-sts." LAB_DOMAIN
#define LAB_BODY "version: STSv1\nmode: none\nmax_age: 864000\n" /* 42 bytes */
#define LAB_OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define LAB_GOOD LAB_OK_HEAD "Content-Length: 42\r\n\r\n" LAB_BODY

enum { QUICK_MS = 400, AMPLE_MS = 8000 };

extern struct event_base *lab_base;
extern struct test_certs *lab_certs;
extern int lab_resolver_calls;
extern int lab_transfers; /* that curl was given */

struct lab_outcome {
    int calls;
    struct fetch_result result;
    char *body; /* owned */
};

/* For cmocka_run_group_tests. */
int lab_set_up(void **state);
int lab_tear_down(void **state);

/* The loopback is allowed, the root is trusted. */
struct settings lab_settings(uint16_t port, int64_t timeout_ms);
/* Fails the test when it cannot be made. */
struct fetcher *lab_fetcher(const struct settings *);
struct sockaddr_storage lab_address(const char *text);

/* A fetch_done_fn for a struct lab_outcome. */
void lab_on_done(const struct fetch_result *, void *arg);
/* Runs the loop until the outcome has its one call. */
void lab_wait(struct lab_outcome *);
/* One whole fetch from `addresses` (NULL-terminated). */
struct lab_outcome lab_fetch(const struct settings *, const char *const *addresses);

/* Sends LAB_GOOD with a certificate for LAB_HOST. */
struct tls_server *lab_start_good_server(const char *where, uint16_t port);

#endif
