/* dns_server - a scripted DNS server on 127.0.0.1, UDP and TCP, on the test's own event loop.
 * Each query that comes takes the next step of the script; the last step serves all further ones.
 */
#ifndef STS_TESTS_FAKE_DNS_SERVER_H
#define STS_TESTS_FAKE_DNS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fake/dns_packet.h"

struct event_base;
struct dns_server;

struct dns_question {
    const uint8_t *bytes;
    size_t len;
    bool by_tcp, has_edns;
};

/* Writes the reply, prepared with the question and RCODE 0. A length of 0: no reply; over TCP the
 * connection is closed then. */
typedef void dns_step(struct packet *reply, const struct dns_question *);

/* No reply. */
dns_step dns_server_silent;

/* `steps` (borrowed) ends with NULL. */
struct dns_server *dns_server_new(struct event_base *, dns_step *const *steps);
void dns_server_free(struct dns_server *);

/* "inet:PORT@127.0.0.1"; borrowed. */
char *dns_server_spec(struct dns_server *);
/* Queries so far. */
int dns_server_asked(const struct dns_server *);
int dns_server_asked_by_tcp(const struct dns_server *);
/* UDP replies are preceded by a copy with another id and one with another question. */
void dns_server_forge(struct dns_server *);
/* TCP replies come in small pieces, each in a segment of its own. */
void dns_server_dribble(struct dns_server *);

#endif
