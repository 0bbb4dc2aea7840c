#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "milter/network.h"

static void
parses_only_networks(void **state)
{
    static const struct {
        const char *text;
        bool is_network;
    } cases[] = {
        {"192.0.2.1", true},
        {"192.0.2.0/24", true},
        {"0.0.0.0/0", true},
        {"192.0.2.1/32", true},
        {"2001:db8::/32", true},
        {"::1", true},
        {"::/0", true},
        {"::ffff:192.0.2.1", true},
        {"2001:db8::1/128", true},
        {"192.0.2.1/24", false}, /* host bits */
        {"2001:db8::1/32", false},
        {"192.0.2.0/33", false},
        {"2001:db8::/129", false},
        {"192.0.2.0/", false},
        {"192.0.2.0/-1", false},
        {"192.0.2.0/2a", false},
        {"192.0.2.0/24/24", false},
        {"192.0.2", false},
        {"", false},
        {"/8", false},
        {"localhost", false},
        {"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct network net;
        if (network_parse(cases[i].text, &net) != cases[i].is_network ||
            (network_fault(cases[i].text) == NULL) != cases[i].is_network)
            fail_msg("\"%s\" is %sa network", cases[i].text, cases[i].is_network ? "" : "not ");
    }
}

static void
says_what_is_wrong(void **state)
{
    (void)state;
    assert_string_equal(network_fault("192.0.2.1/24"), "bits are set behind /24");
    assert_string_equal(network_fault("2001:db8::1/127"), "bits are set behind /127");
    assert_string_equal(network_fault("192.0.2.1/33"),
                        "not an address or a network (address/bits)");
}

static bool
holds(const char *network, const char *client)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
    struct sockaddr_in sin = {.sin_family = AF_INET};
    struct network net;

    assert_true(network_parse(network, &net));
    if (inet_pton(AF_INET, client, &sin.sin_addr) == 1)
        return network_holds(&net, (const struct sockaddr *)&sin);
    assert_int_equal(inet_pton(AF_INET6, client, &sin6.sin6_addr), 1);
    return network_holds(&net, (const struct sockaddr *)&sin6);
}

static void
holds_its_clients(void **state)
{
    static const struct {
        const char *network, *client;
        bool is_held;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.4/30", "192.0.2.7", true},
        {"192.0.2.4/30", "192.0.2.8", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true}, /* a v4 client on a v6 socket */
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        {"::1", "::1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (holds(cases[i].network, cases[i].client) != cases[i].is_held)
            fail_msg("%s and %s", cases[i].network, cases[i].client);
    }
}

static void
holds_no_other_family(void **state)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct network net;

    (void)state;
    assert_true(network_parse("::/0", &net));
    assert_false(network_holds(&net, &local));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_only_networks),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(holds_its_clients),
        cmocka_unit_test(holds_no_other_family),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
