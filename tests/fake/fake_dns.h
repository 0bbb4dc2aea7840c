/* fake_dns - stands in for cached/dns.c: answers from a table, later, from the loop.
 * The table is set by the test's thread before it asks; the tests' queues order the two. */
#ifndef STS_TESTS_FAKE_DNS_H
#define STS_TESTS_FAKE_DNS_H

#include <stddef.h>

#include "cached/dns.h"

enum { FAKE_DNS_RECORDS = 8 };

struct fake_answer {
    const char *name;
    enum dns_type type;
    enum sts_error error;
    bool nxdomain;
    uint32_t ttl_s;
    int delay_ms;
    bool secure;
    const char *end; /* of a chain of CNAMEs; NULL: the name itself */
    struct {
        uint16_t preference;
        const char *text; /* host, address or TXT; of TLSA "usage selector matching
                             length"; NULL ends the list */
    } records[FAKE_DNS_RECORDS];
};

/* What is asked from now on is answered from `table` (borrowed); a question that is not in it gets
 * dns-bad-reply, "not in the test's table". */
void fake_dns_set(const struct fake_answer *table, size_t rows);
/* How many look-ups were started so far, in all. */
int fake_dns_questions(void);

/* When set, dns_new fails with this as `why`. */
extern const char *fake_dns_refusal;

#endif
