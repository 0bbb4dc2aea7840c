/* Input: one byte that picks the type asked for, then the reply. */
#include "tests/fuzz/with_dns.h"

#define NAME "_mta-sts.example.com"

enum { ID_HIGH = 0x12, ID_LOW = 0x34 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;
    const char *why = NULL;
    size_t query_len;

    if (size == 0)
        return 0;
    enum dns_type type = fuzz_dns_type(data[0]);
    query_len = dns_build_query(NAME, type, false, false, query);
    query[0] = ID_HIGH;
    query[1] = ID_LOW;
    enum dns_screen screened = dns_screen(query, query_len, data + 1, size - 1, &why);
    REQUIRE((screened == DNS_SCREEN_BAD) == (why[0] != '\0'));
    if (screened != DNS_SCREEN_OK)
        return 0;
    dns_parse_reply(data + 1, size - 1, NAME, type, &answer);
    fuzz_dns_check(&answer, type, size);
    dns_answer_done(&answer);
    return 0;
}
