#include "tests/fake/screen_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns_parse.h"

enum dns_screen
screen_packet(const struct packet *packet, const uint8_t *query, size_t query_len, const char **why)
{
    uint8_t *exact = alloc_bytes(packet->len);
    enum dns_screen result;

    memcpy(exact, packet->bytes, packet->len);
    result = dns_screen(query, query_len, exact, packet->len, why);
    free(exact);
    return result;
}

void
screen_case_run(struct packet *packet, const struct screen_case *cases, size_t count)
{
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(SCREEN_NAME, DNS_TXT, false, false, query);

    for (size_t i = 0; i < count; i++) {
        const char *why = "unset";
        packet_reply(packet, query, len, 0);
        cases[i].build();
        int got = (int)screen_packet(packet, query, len, &why);
        if (got != cases[i].wanted || (cases[i].why && strstr(why, cases[i].why) == NULL))
            fail_msg("%s: got %d (%s)", cases[i].name, got, why);
        if (got != BAD)
            assert_string_equal(why, "");
    }
}
