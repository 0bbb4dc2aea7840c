#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "cached/address.h"

/* The edges of every special network, from inside and from outside. */
static const struct {
    const char *address;
    bool may;
} addresses[] = {
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"9.255.255.255", true},
    {"10.0.0.1", false},
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false},
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"169.253.255.255", true},
    {"169.254.169.254", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false},
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"191.255.255.255", true},
    {"192.0.0.1", false},
    {"192.0.1.0", true},
    {"192.0.2.255", false},
    {"192.0.3.0", true},
    {"192.31.196.1", false},
    {"192.52.193.1", false},
    {"192.88.98.255", true},
    {"192.88.99.1", false},
    {"192.88.100.0", true},
    {"192.167.255.255", true},
    {"192.168.1.1", false},
    {"192.169.0.0", true},
    {"192.175.48.1", false},
    {"198.17.255.255", true},
    {"198.18.0.0", false},
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.100.7", false},
    {"198.51.101.0", true},
    {"203.0.113.7", false},
    {"203.0.114.0", true},
    {"223.255.255.255", true},
    {"224.0.0.1", false},
    {"239.255.255.255", false},
    {"240.0.0.0", false},
    {"255.255.255.255", false},
    {"8.8.8.8", true},

    {"::", false},
    {"::1", false},
    {"::2", false},
    {"::127.0.0.1", false},
    {"::8.8.8.8", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:8.8.8.8", true},
    {"::ffff:10.1.2.3", false},
    {"::ffff:0:127.0.0.1", false},
    {"64:ff9b::127.0.0.1", false},
    {"64:ff9b::8.8.8.8", true},
    {"64:ff9b::a9fe:a9fe", false},
    {"64:ff9b:1::8.8.8.8", false},
    {"64:ff9b:2::1", true},
    {"100::1", false},
    {"100:0:0:1::1", false},
    {"100:0:0:2::1", true},
    {"2001::1", false},
    {"2001:1ff:ffff::1", false},
    {"2001:200::1", true},
    {"2001:db7:ffff::1", true},
    {"2001:db8::1", false},
    {"2001:db8:ffff::1", false},
    {"2001:db9::1", true},
    {"2001:4860:4860::8888", true},
    {"2002:7f00:1::1", false},
    {"2002:808:808::1", true},
    {"2002:a00:1::1", false},
    {"2003::1", true},
    {"2620:4f:8000::1", false},
    {"2620:4f:8001::1", true},
    {"2606:4700::1", true},
    {"3ffe:ffff::1", true},
    {"3fff::1", false},
    {"3fff:fff::1", false},
    {"3fff:1000::1", true},
    {"5eff::1", true},
    {"5f00::1", false},
    {"5f01::1", true},
    {"fbff::1", true},
    {"fc00::1", false},
    {"fdff::1", false},
    {"fe7f::1", true},
    {"fe80::1", false},
    {"febf::1", false},
    {"fec0::1", false},
    {"feff::1", false},
    {"ff02::1", false},
};

static bool
may_connect(const char *text, const struct address_list *allowed)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_may_connect((const struct sockaddr *)&v4, allowed);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_may_connect((const struct sockaddr *)&v6, allowed);
}

static void
test_special_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        if (may_connect(addresses[i].address, NULL) != addresses[i].may)
            fail_msg("%s", addresses[i].address);
    }
}

static void
test_other_families(void **state)
{
    struct sockaddr unix_address = {.sa_family = AF_UNIX};

    (void)state;
    assert_false(address_may_connect(&unix_address, NULL));
}

static void
test_allowed(void **state)
{
    static const struct {
        const char *address;
        bool may;
    } cases[] = {
        {"127.0.0.1", true},
        {"127.255.0.1", true},
        {"10.0.0.1", false},
        {"192.168.5.5", true},
        {"192.168.5.6", false},
        {"::ffff:127.0.0.1", true},
        {"64:ff9b::127.0.0.1", true},
        {"2002:7f00:1::1", true},
        {"::127.0.0.1", false},
        {"fd00:1::5", true},
        {"fd00:2::5", false},
        {"::1", true},
        {"::2", false},
        {"172.24.1.1", true},
        {"172.23.255.255", false},
        {"8.8.8.8", true},
    };
    char *items[] = {(char[]){"127.0.0.0/8"}, (char[]){"192.168.5.5"}, (char[]){"fd00:1::/32"},
                     (char[]){"::1"}, (char[]){"172.24.9.9/13"}};
    size_t bad;
    struct address_list *list = address_list_new(items, 5, &bad);

    (void)state;
    assert_non_null(list);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (may_connect(cases[i].address, list) != cases[i].may)
            fail_msg("%s", cases[i].address);
    }
    address_list_free(list);
}

static void
test_everything_allowed(void **state)
{
    char *items[] = {(char[]){"0.0.0.0/0"}, (char[]){"::/0"}};
    size_t bad;
    struct address_list *list = address_list_new(items, 2, &bad);

    (void)state;
    assert_non_null(list);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
        assert_true(may_connect(addresses[i].address, list));
    address_list_free(list);
}

static void
test_bad_items(void **state)
{
    static const char *const bad_items[] = {
        "",
        "x",
        "127.0.0.0/33",
        "::/129",
        "127.0.0.0/",
        "127.0.0.0/-1",
        "127.0.0/8",
        "/8",
        "1.2.3.4/8/8",
        "127.0.0.0/ 8",
        "fe80::1%eth0",
        "example.com",
        "127.0.0.0/0x8",
        "1.2.3.4.5",
        "::1 ",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/64",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad_items) / sizeof(*bad_items); i++) {
        char good[] = "127.0.0.0/8", bad_item[64];
        char *items[] = {good, bad_item};
        size_t bad = 99;
        strcpy(bad_item, bad_items[i]);
        if (address_list_new(items, 2, &bad) != NULL || bad != 1)
            fail_msg("%s", bad_item);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_addresses), cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_allowed),           cmocka_unit_test(test_everything_allowed),
        cmocka_unit_test(test_bad_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
