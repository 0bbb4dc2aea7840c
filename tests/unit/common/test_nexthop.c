#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/nexthop.h"

#define D NEXTHOP_DOMAIN
#define H NEXTHOP_HOST
#define L NEXTHOP_LITERAL
#define X NEXTHOP_INVALID

static const struct {
    const char *name, *key;
    enum nexthop_kind kind;
    const char *domain;
} single[] = {
    {"domain", "example.com", D, "example.com"},
    {"Sendmail's final dot", "good.test.", D, "good.test"},
    {"upper case", "GOOD.TEST", D, "good.test"},
    {"U-label",
     "b\xc3\xbc"
     "cher.test",
     D, "xn--bcher-kva.test"},
    {"blanks round it", " \texample.com\t ", D, "example.com"},
    {"user", "user@example.com", D, "example.com"},
    {"last at sign", "a@b@example.com", D, "example.com"},
    {"quoted user", "\"a b:[c@d\"@Example.com.", D, "example.com"},
    {"empty user", "@example.com", D, "example.com"},
    {"user without domain", "user@", X, ""},
    {"port", "example.com:587", D, "example.com"},
    {"final dot and port", "example.com.:25", D, "example.com"},
    {"service as port", "example.com:submission", D, "example.com"},
    {"user and port", "user@example.com:25", D, "example.com"},
    {"any service as port", "example.com:mail", D, "example.com"},
    {"service that is no word", "example.com:m_il", X, ""},
    {"highest port", "example.com:65535", D, "example.com"},
    {"port too high", "example.com:65536", X, ""},
    {"port of six digits", "example.com:000025", X, ""},
    {"empty port", "example.com:", X, ""},
    {"port alone", ":25", X, ""},
    {"signed port", "example.com:+25", X, ""},
    {"two ports", "example.com:25:25", X, ""},
    {"list as one", "a.test:b.test", X, ""},
    {"one label", "localhost", D, "localhost"},

    {"bracketed host", "[smart.test]", H, "smart.test"},
    {"bracketed host and port", "[smart.test]:587", H, "smart.test"},
    {"bracketed host and service", "[smart.test]:submission", H, "smart.test"},
    {"service in upper case", "[smart.test]:SMTPS", H, "smart.test"},
    {"any service", "[smart.test]:imap", H, "smart.test"},
    {"service with a hyphen", "[smart.test]:smtp-alt", H, "smart.test"},
    {"service that starts with a digit", "[smart.test]:3com-tsmux", H, "smart.test"},
    {"service of 15 letters", "[smart.test]:abcdefghijklmno", H, "smart.test"},
    {"service of 16 letters", "[smart.test]:abcdefghijklmnop", X, ""},
    {"service with a dot", "[smart.test]:a.b", X, ""},
    {"service without a letter", "[smart.test]:2-5", X, ""},
    {"two services", "[smart.test]:smtp:smtp", X, ""},
    {"bracketed, upper case, dot", "[SMART.Test.]", H, "smart.test"},
    {"user at bracketed host", "me@[smart.test]", H, "smart.test"},
    {"bracketed U-label",
     "[b\xc3\xbc"
     "cher.test]",
     H, "xn--bcher-kva.test"},
    {"blank in brackets", "[ smart.test]", X, ""},
    {"empty brackets", "[]", X, ""},
    {"brackets not closed", "[smart.test", X, ""},
    {"junk behind brackets", "[smart.test]x", X, ""},
    {"empty port behind brackets", "[smart.test]:", X, ""},
    {"junk port behind brackets", "[smart.test]:2_", X, ""},
    {"double brackets", "[[smart.test]]", X, ""},
    {"bracket behind", "smart.test]", X, ""},
    {"leading dot in brackets", "[.smart.test]", X, ""},
    {"port inside brackets", "[smart.test:25]", X, ""},

    {"IPv4 literal", "[127.0.5.11]", L, ""},
    {"IPv4 literal and port", "[127.0.5.11]:25", L, ""},
    {"user at IPv4 literal", "lit@[127.0.5.11]", L, ""},
    {"IPv6 literal", "[IPv6:2001:db8::1]", L, ""},
    {"IPv6 literal, lower-case tag", "[ipv6:2001:db8::1]:25", L, ""},
    {"IPv6 in brackets without tag", "[2001:db8::1]", L, ""},
    {"bare IPv4", "192.0.2.1", L, ""},
    {"bare IPv4 and port", "192.0.2.1:25", L, ""},
    {"bare IPv6", "2001:db8::1", L, ""},
    {"bare IPv6 that ends like a port", "2001:db8::25", L, ""},
    {"unspecified IPv6", "::", L, ""},
    {"mapped IPv6", "::ffff:192.0.2.1", L, ""},
    {"tagged IPv6 without brackets", "IPv6:2001:db8::1", L, ""},
    {"broken IPv4", "[127.0.5.256]", X, ""},
    {"short IPv4", "127.1", X, ""},
    {"broken IPv6", "[IPv6:2001:zz::1]", X, ""},
    {"IPv6 tag alone", "[IPv6:]", X, ""},

    {"empty", "", X, ""},
    {"blanks", "  ", X, ""},
    {"parent", ".example.com", X, ""},
    {"blank inside", "exam ple.com", X, ""},
    {"underscore", "_mta-sts.example.com", X, ""},
    {"slash", "example.com/mx.example.com", X, ""},
    {"newline", "example.com\n", X, ""},
    {"broken UTF-8", "\xc3(.test", X, ""},
    {"comma", "a.test,b.test", X, ""},
};

static struct nexthop
parse(const char *key, size_t len)
{
    struct nexthop hop;

    memset(&hop, 'x', sizeof hop);
    nexthop_parse(key, len, &hop);
    return hop;
}

static void
test_single(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        struct nexthop hop = parse(single[i].key, strlen(single[i].key));

        if (hop.kind != single[i].kind || strcmp(hop.domain, single[i].domain) != 0)
            fail_msg("%s: kind %d, domain \"%s\"", single[i].name, hop.kind, hop.domain);
    }
}

/* What a list becomes: the kind's letter and the domain of each hop, with a blank between. */
static const struct {
    const char *name, *key, *want;
} lists[] = {
    {"empty", "", ""},
    {"separators only", " , :,", ""},
    {"one domain", "example.com", "D:example.com"},
    {"one domain and port", "example.com:123", "D:example.com"},
    {"Sendmail pair", "a.test:b.test", "D:a.test D:b.test"},
    {"Sendmail list with dots", "a.test.:b.test.:c.test.", "D:a.test D:b.test D:c.test"},
    {"port in the middle", "a.test:25:b.test", "D:a.test D:b.test"},
    {"port at the end", "a.test:b.test:25", "D:a.test D:b.test"},
    {"Sendmail brackets", "[a.test]:[b.test]", "H:a.test H:b.test"},
    {"Sendmail mixed", "[a.test]:b.test", "H:a.test D:b.test"},
    {"Postfix list", "[a.test]:587, [b.test]", "H:a.test H:b.test"},
    {"Postfix list by blanks", "a.test\t[b.test]:25  c.test", "D:a.test H:b.test D:c.test"},
    {"Postfix list by commas", "a.test,b.test:24", "D:a.test D:b.test"},
    {"service", "[a.test]:submission, b.test", "H:a.test D:b.test"},
    {"any service behind brackets", "[a.test]:msa, [b.test]:mail", "H:a.test H:b.test"},
    {"any service behind brackets, then a host", "[a.test]:ssmtp:b.test", "H:a.test D:b.test"},
    {"one label behind a colon", "a.test:mail", "D:a.test D:mail"},
    {"bare IPv6", "2001:db8::1", "L:"},
    {"bare IPv6 in a list", "a.test, 2001:db8::1, b.test", "D:a.test L: D:b.test"},
    {"IPv6 in brackets", "[IPv6:2001:db8::1]:25:b.test", "L: D:b.test"},
    {"IPv4", "192.0.2.1:25:[127.0.0.1]", "L: L:"},
    {"user", "me@[smart.test]:25", "H:smart.test"},
    {"empty parts", ":a.test::b.test:", "D:a.test D:b.test"},
    {"junk keeps its place", "a.test:.parent:b.test", "D:a.test X: D:b.test"},
    {"brackets not closed", "[a.test:b.test", "X:"},
};

static void
test_lists(void **state)
{
    static const char letters[] = {[D] = 'D', [H] = 'H', [L] = 'L', [X] = 'X'};

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct nexthop hops[NEXTHOP_MAX];
        size_t count = nexthop_parse_list(lists[i].key, strlen(lists[i].key), hops);
        char got[NEXTHOP_MAX * (DOMAIN_SIZE + 4)] = "", *at = got;

        for (size_t h = 0; h < count; h++)
            at += snprintf(at, sizeof got - (size_t)(at - got), "%s%c:%s", h ? " " : "",
                           letters[hops[h].kind], hops[h].domain);
        if (strcmp(got, lists[i].want) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", lists[i].name, got, lists[i].want);
    }
}

static void
test_list_is_bounded(void **state)
{
    struct nexthop hops[NEXTHOP_MAX + 1];
    char key[10000];

    (void)state;
    hops[NEXTHOP_MAX].kind = NEXTHOP_LITERAL;
    for (size_t i = 0; i < sizeof key; i += 2)
        memcpy(key + i, "a:", 2);
    assert_int_equal(nexthop_parse_list(key, sizeof key, hops), NEXTHOP_MAX);
    for (size_t i = 1; i < sizeof key; i += 2)
        key[i] = ',';
    assert_int_equal(nexthop_parse_list(key, sizeof key, hops), NEXTHOP_MAX);
    assert_int_equal(hops[NEXTHOP_MAX].kind, NEXTHOP_LITERAL);
}

static void
test_lengths_rule_not_nul(void **state)
{
    (void)state;
    assert_int_equal(parse(NULL, 0).kind, NEXTHOP_INVALID);
    assert_int_equal(parse("127.0.0.1\0x", 11).kind, NEXTHOP_INVALID);
    assert_int_equal(parse("a.test:25\0x", 11).kind, NEXTHOP_INVALID);
    assert_int_equal(parse("[a.test]:25\0x", 13).kind, NEXTHOP_INVALID);
    assert_string_equal(parse("a.testjunk", 6).domain, "a.test");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_list_is_bounded),
        cmocka_unit_test(test_lengths_rule_not_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
