/* Input: one byte that picks the type asked for, then the reply. */
#include <string.h>

#include "cached/dns_parse.h"
#include "cached/dns_screen.h"
#include "tests/fuzz/fuzz.h"

#define NAME "_mta-sts.example.com"

enum { ID_HIGH = 0x12, ID_LOW = 0x34 };

static void
check_record(const struct dns_answer *answer, const struct dns_record *record, enum dns_type type,
             size_t len)
{
    switch (type) {
    case DNS_A:
        REQUIRE(record->address.ss_family == AF_INET);
        break;
    case DNS_AAAA:
        REQUIRE(record->address.ss_family == AF_INET6);
        break;
    case DNS_MX:
        REQUIRE(record->host[0] == '\0' || domain_is_normal(record->host));
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

static void
check_answer(const struct dns_answer *answer, enum dns_type type, size_t len)
{
    uint8_t query[DNS_QUERY_SIZE];

    REQUIRE(answer->error == STS_OK || answer->error == STS_NO_RECORD ||
            sts_error_is_dns(answer->error));
    REQUIRE(sts_error_is_dns(answer->error) == (answer->why[0] != '\0'));
    REQUIRE(answer->count <= DNS_RECORDS_MAX);
    if (answer->alias[0] != '\0') {
        REQUIRE(answer->error == STS_OK && answer->count == 0 && answer->links > 0);
        REQUIRE(dns_build_query(answer->alias, type, false, false, query) > 0);
    }
    if (answer->end[0] != '\0') {
        REQUIRE(answer->error == STS_OK);
        REQUIRE(dns_build_query(answer->end, type, false, false, query) > 0);
    }
    for (size_t i = 0; i < answer->count; i++)
        check_record(answer, &answer->records[i], type, len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_TXT,  DNS_MX,    DNS_A,  DNS_AAAA,
                                          DNS_TLSA, DNS_CNAME, DNS_SOA};
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;
    const char *why = NULL;
    size_t query_len;

    if (size == 0)
        return 0;
    enum dns_type type = types[data[0] % (sizeof types / sizeof *types)];
    query_len = dns_build_query(NAME, type, false, false, query);
    query[0] = ID_HIGH;
    query[1] = ID_LOW;
    enum dns_screen screened = dns_screen(query, query_len, data + 1, size - 1, &why);
    REQUIRE((screened == DNS_SCREEN_BAD) == (why[0] != '\0'));
    if (screened != DNS_SCREEN_OK)
        return 0;
    dns_parse_reply(data + 1, size - 1, NAME, type, &answer);
    check_answer(&answer, type, size);
    dns_answer_done(&answer);
    return 0;
}
