/* Which hosts a policy lists (RFC 8461 s4.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/policy.h"

#define MATCH_BODY                                                                                 \
    "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mail.example.com\nmx: *.example.net\nmx: " \
    "*.A.B.example.org.\nmx: MX.Upper.test.\n"                                                     \
    "mx: mx.xn--bcher-kva.test\nmx: localhost\nmx: *.com\nmx: 192.0.2.1\nmx: *.0.2.1\n"

static const struct {
    const char *host;
    bool listed;
} hosts[] = {
    {"mail.example.com", true},
    {"example.com", false},
    {"mail2.example.com", false},
    {"xmail.example.com", false},
    {"a.mail.example.com", false},
    {"mail.example.comx", false},
    {"mail.example.co", false},
    {"ail.example.com", false},
    {"mail.example", false},
    {"mail.example.com.evil.test", false},
    {"mx.example.net", true},
    {"a.example.net", true},
    {"1-2.example.net", true},
    {"xn--bcher-kva.example.net", true},
    {"example.net", false},
    {"foo.bar.example.net", false},
    {"mx.xexample.net", false},
    {"mxexample.net", false},
    {"mx.example.net.test", false},
    {"mx.a.b.example.org", true},
    {"a.b.example.org", false},
    {"b.example.org", false},
    {"x.y.a.b.example.org", false},
    {"mx.c.b.example.org", false},
    {"mx.upper.test", true},
    {"upper.test", false},
    {"mx.xn--bcher-kva.test", true},
    {"xn--bcher-kva.test", false},
    {"localhost", false},
    {"example2.com", false},
    {"com", false},
    {"192.0.2.1", false},
    {"x.0.2.1", false},
    {"net", false},
    {".example.net", false},
    {"", false},
    {".", false},
    {"*.example.net", true}, /* no host has this name; no harm */
};

static void
test_lists_host(void **state)
{
    static const char body[] = MATCH_BODY;
    struct policy *policy;

    (void)state;
    assert_int_equal(policy_parse((struct span){body, sizeof body - 1}, "", &policy, NULL, 0),
                     STS_OK);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (policy_lists_host(policy, hosts[i].host) != hosts[i].listed)
            fail_msg("\"%s\"", hosts[i].host);
    }
    policy_free(policy);
}

static void
test_pattern_matches(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool match;
    } rows[] = {
        {"a.b", "a.b", true},
        {"a.b", "c.a.b", false},
        {"*.b.c", "a.b.c", true},
        {"*.b.c", "b.c", false},
        {"*.b.c", ".b.c", false},
        {"*.b.c", "a.a.b.c", false},
        {"*.b.c", "a.b.c.d", false},
        {"*", "a", false},
        {"*", "a.b", false},
        {"*.", "a.", false},
        {"*.", "a", false},
        {"", "", false},
        {"", "a", false},
        {".b.c", "a.b.c", false},
        {"*.b.c", "axb.c", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span pattern = {rows[i].pattern, strlen(rows[i].pattern)};

        if (policy_pattern_matches(pattern, rows[i].host) != rows[i].match)
            fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].host);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_host),
        cmocka_unit_test(test_pattern_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
