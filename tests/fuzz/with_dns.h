/* with_dns - what holds of any dns_answer, whatever came from the server. */
#ifndef STS_TESTS_FUZZ_WITH_DNS_H
#define STS_TESTS_FUZZ_WITH_DNS_H

#include <string.h>

#include "cached/dns_parse.h"
#include "cached/dns_screen.h"
#include "tests/fuzz/fuzz.h"

static const enum dns_type fuzz_dns_types[] = {DNS_TXT,  DNS_MX,    DNS_A,  DNS_AAAA,
                                               DNS_TLSA, DNS_CNAME, DNS_SOA};

/* What MTAs deliver to is more than host names. */
static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

static inline enum dns_type
fuzz_dns_type(uint8_t byte)
{
    return fuzz_dns_types[byte % (sizeof fuzz_dns_types / sizeof *fuzz_dns_types)];
}

static void
fuzz_dns_check_record(const struct dns_answer *answer, const struct dns_record *record,
                      enum dns_type type, size_t len)
{
    switch (type) {
    case DNS_A:
        REQUIRE(record->address.ss_family == AF_INET);
        break;
    case DNS_AAAA:
        REQUIRE(record->address.ss_family == AF_INET6);
        break;
    case DNS_MX:
        REQUIRE(record->host[strspn(record->host, host_bytes)] == '\0');
        break;
    case DNS_TXT:
    case DNS_TLSA:
        REQUIRE(record->text.at >= answer->text);
        REQUIRE(record->text.at + record->text.len <= answer->text + len);
        break;
    case DNS_CNAME:
    case DNS_SOA:
        break;
    }
}

/* `len`: of the reply that it was made of, or more. */
static void
fuzz_dns_check(const struct dns_answer *answer, enum dns_type type, size_t len)
{
    uint8_t query[DNS_QUERY_SIZE];

    REQUIRE(answer->error == STS_OK || answer->error == STS_NO_RECORD ||
            sts_error_is_dns(answer->error));
    REQUIRE(sts_error_is_dns(answer->error) == (answer->why[0] != '\0'));
    REQUIRE(answer->count <= (type == DNS_TXT ? DNS_TXT_RECORDS_MAX : DNS_RECORDS_MAX));
    if (answer->alias[0] != '\0') {
        REQUIRE(answer->error == STS_OK && answer->count == 0 && answer->links > 0);
        REQUIRE(dns_build_query(answer->alias, type, false, false, query) > 0);
    }
    if (answer->end[0] != '\0') {
        REQUIRE(answer->error == STS_OK);
        REQUIRE(dns_build_query(answer->end, type, false, false, query) > 0);
    }
    for (size_t i = 0; i < answer->count; i++)
        fuzz_dns_check_record(answer, &answer->records[i], type, len);
}

#endif
