/* screen_case - one row of a table of replies for the DNS screen: how it is built, what must come
 * out.
 */
#ifndef STS_TESTS_FAKE_SCREEN_CASE_H
#define STS_TESTS_FAKE_SCREEN_CASE_H

#include "cached/dns_screen.h"
#include "tests/fake/dns_packet.h"

#define SCREEN_NAME "_mta-sts.example.com"

enum { GOOD = DNS_SCREEN_OK, CUT = DNS_SCREEN_TRUNCATED, OTHER = DNS_SCREEN_OTHER };
#define BAD DNS_SCREEN_BAD

struct screen_case {
    const char *name;
    void (*build)(void); /* adds to the packet, which is a reply without records so far */
    int wanted;
    const char *why; /* BAD: a part of it */
};

/* Runs the cases on `packet`, as replies to a TXT question for SCREEN_NAME; fails the test. */
void screen_case_run(struct packet *packet, const struct screen_case *cases, size_t count);
/* Screens a copy that ends where its memory ends, so that a sanitizer sees a read past it. */
enum dns_screen screen_packet(const struct packet *, const uint8_t *query, size_t query_len,
                              const char **why);

#endif
