#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/domain.h"

#define L62 "bcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"
#define L63 "a" L62

static const struct {
    const char *name, *input;
    const char *want; /* NULL: refused */
} rows[] = {
    /* ASCII */
    {"plain", "example.com", "example.com"},
    {"one label", "localhost", "localhost"},
    {"one letter", "a", "a"},
    {"upper case", "EXAMPLE.Com", "example.com"},
    {"final dot", "example.com.", "example.com"},
    {"one label and final dot", "com.", "com"},
    {"digits inside", "4.3.2.1.in-addr.arpa", "4.3.2.1.in-addr.arpa"},
    {"digits first", "163.com", "163.com"},
    {"hyphens", "a-b--c.d-e", "a-b--c.d-e"},
    {"hyphens in third and fourth place", "ab--cd.com", "ab--cd.com"},
    {"A-label", "xn--bcher-kva.test", "xn--bcher-kva.test"},
    {"A-label that libidn2 refuses", "xn--ls8h.la", "xn--ls8h.la"},
    {"A-label in upper case", "XN--BCHER-KVA.TEST", "xn--bcher-kva.test"},
    {"last label mixed", "example.1a", "example.1a"},
    {"label of 63", L63 ".com", L63 ".com"},
    {"label of 64", L63 "x.com", NULL},

    /* refused */
    {"empty", "", NULL},
    {"dot", ".", NULL},
    {"two dots", "..", NULL},
    {"leading dot", ".example.com", NULL},
    {"empty label", "a..b", NULL},
    {"two final dots", "example.com..", NULL},
    {"leading hyphen", "-a.com", NULL},
    {"trailing hyphen", "a-.com", NULL},
    {"trailing hyphen at the end", "a.com-", NULL},
    {"hyphen alone", "a.-.com", NULL},
    {"underscore", "_mta-sts.example.com", NULL},
    {"inner underscore", "a_b.com", NULL},
    {"wildcard", "*.example.com", NULL},
    {"blank inside", "a b.com", NULL},
    {"blank before", " example.com", NULL},
    {"blank behind", "example.com ", NULL},
    {"tab", "a\tb.com", NULL},
    {"newline", "example.com\n", NULL},
    {"DEL", "a\x7f.com", NULL},
    {"at sign", "a@b.com", NULL},
    {"slash", "a/b.com", NULL},
    {"percent", "a%b.com", NULL},
    {"colon", "a:25", NULL},
    {"comma", "a.com,b.com", NULL},
    {"IPv4", "192.0.2.1", NULL},
    {"IPv4 and final dot", "192.0.2.1.", NULL},
    {"number", "2130706433", NULL},
    {"last label digits", "example.123", NULL},
    {"IPv6", "2001:db8::1", NULL},
    {"literal", "[192.0.2.1]", NULL},

    /* Unicode */
    {"U-label",
     "b\xc3\xbc"
     "cher.test",
     "xn--bcher-kva.test"},
    {"U-label in upper case",
     "B\xc3\x9c"
     "CHER.TEST",
     "xn--bcher-kva.test"},
    {"U-label, decomposed",
     "bu\xcc\x88"
     "cher.test",
     "xn--bcher-kva.test"},
    {"U-label and final dot",
     "b\xc3\xbc"
     "cher.test.",
     "xn--bcher-kva.test"},
    {"ideographic dot",
     "b\xc3\xbc"
     "cher\xe3\x80\x82test",
     "xn--bcher-kva.test"},
    {"full-width letters", "\xef\xbd\x85xample.com", "example.com"},
    {"sharp s stays (non-transitional)",
     "stra\xc3\x9f"
     "e.de",
     "xn--strae-oqa.de"},
    {"final sigma stays", "\xce\xb2\xcf\x8c\xce\xbb\xce\xbf\xcf\x82.gr", "xn--nxasmm1c.gr"},
    {"Japanese", "\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
     "xn--r8jz45g.xn--zckzah"},
    {"trade mark sign becomes letters", "a\xe2\x84\xa2.com", "atm.com"},
    {"care-of sign would become a slash", "a\xe2\x84\x85.com", NULL},
    {"underscore beside a U-label",
     "_mta-sts.b\xc3\xbc"
     "cher.test",
     NULL},
    {"at sign beside a U-label",
     "a@b\xc3\xbc"
     "cher.test",
     NULL},
    {"blank beside a U-label",
     "a b\xc3\xbc"
     "cher.test",
     NULL},
    {"empty label beside a U-label",
     "b\xc3\xbc"
     "cher..test",
     NULL},
    {"two final dots beside a U-label",
     "b\xc3\xbc"
     "cher.test..",
     NULL},
    {"leading dot beside a U-label",
     ".b\xc3\xbc"
     "cher.test",
     NULL},
    {"full-width leading dot",
     "\xef\xbc\x8e"
     "example.com",
     NULL},
    {"full-width IPv4", "192.0.2.\xef\xbc\x91", NULL},
    {"soft hyphen alone", "\xc2\xad", NULL},
    {"emoji", "\xf0\x9f\x92\xa9.la", NULL},
    {"Latin-1",
     "b\xfc"
     "cher.test",
     NULL},
    {"overlong dot",
     "a\xc0\xae"
     "b.com",
     NULL},
    {"surrogate", "a\xed\xa0\x80.com", NULL},
    {"cut in a character", "example.com\xc3", NULL},
    {"BOM alone", "\xef\xbb\xbf", NULL},
};

static void
test_normalise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DOMAIN_SIZE];
        bool fine;

        memset(out, 'x', sizeof out);
        fine = domain_normalise(rows[i].input, strlen(rows[i].input), out);
        if (fine != (rows[i].want != NULL) || strcmp(out, rows[i].want ? rows[i].want : "") != 0)
            fail_msg("%s: %s \"%s\"", rows[i].name, fine ? "taken," : "refused,", out);
    }
}

static const struct {
    const char *name, *input, *want;
} mx_hosts[] = {
    {"host name", "MX1.example.com.", "mx1.example.com"},
    {"underscore", "MX_1.Example.com.", "mx_1.example.com"},
    {"underscore first", "_mx.example.com", "_mx.example.com"},
    {"underscore alone", "_", "_"},
    {"hyphens at the ends", "-a-.example.com", "-a-.example.com"},
    {"like an address", "192.0.2.1", "192.0.2.1"},
    {"U-label", "b\xc3\xbc.test", "xn--b-eha.test"},
    {"label of 63", "_" L62 ".com", "_" L62 ".com"},
    {"label of 64", "_" L62 "x.com", ""},
    {"empty", "", ""},
    {"dot", ".", ""},
    {"leading dot", ".mx_1.test", ""},
    {"empty label", "mx_1..test", ""},
    {"two final dots", "mx_1.test..", ""},
    {"blank", "mx_1. test", ""},
    {"slash", "mx_1/a.test", ""},
    {"brackets", "[192.0.2.1]", ""},
    {"newline", "mx_1.test\n", ""},
    {"underscore beside a U-label", "_b\xc3\xbc.test", ""},
};

static void
test_mx_hosts(void **state)
{
    char out[DOMAIN_SIZE], longest[] = "_" L62 "." L63 "." L63 "." L63;

    (void)state;
    for (size_t i = 0; i < sizeof mx_hosts / sizeof mx_hosts[0]; i++) {
        const char *want = mx_hosts[i].want;
        bool fine = domain_fold_mx_host(mx_hosts[i].input, strlen(mx_hosts[i].input), out);

        if (fine != (want[0] != '\0') || strcmp(out, want) != 0)
            fail_msg("%s: %s \"%s\"", mx_hosts[i].name, fine ? "taken," : "refused,", out);
    }
    longest[2] = '_';
    assert_true(domain_fold_mx_host(longest + 2, 253, out));
    assert_string_equal(out, longest + 2);
    longest[1] = '_';
    assert_false(domain_fold_mx_host(longest + 1, 254, out));
    assert_false(domain_fold_mx_host("mx_1.test\0x", 11, out));
    assert_true(domain_fold_mx_host("mx_1.test/x", 9, out));
    assert_string_equal(out, "mx_1.test");
}

static void
test_length_limits(void **state)
{
    char longest[] = L63 "." L63 "." L63 "." L63, long_unicode[4096], out[DOMAIN_SIZE];

    (void)state;
    assert_int_equal(strlen(longest), 255);
    assert_true(domain_normalise(longest + 2, 253, out)); /* 61 + 3 * 64 */
    assert_int_equal(strlen(out), 253);
    assert_false(domain_normalise(longest + 1, 254, out));
    longest[2 + 252] = '.';
    longest[0] = longest[1] = 'x';
    assert_true(domain_normalise(longest + 2, 253, out));
    assert_int_equal(strlen(out), 252);

    memset(long_unicode, 'a', sizeof long_unicode);
    memcpy(long_unicode, "\xc3\xbc", 2);
    assert_false(domain_normalise(long_unicode, sizeof long_unicode, out));
    assert_false(domain_normalise(long_unicode, 64, out));
    assert_true(domain_normalise(long_unicode, 40, out));
}

static void
test_lengths_rule_not_nul(void **state)
{
    char out[DOMAIN_SIZE];

    (void)state;
    assert_false(domain_normalise(NULL, 0, out));
    assert_string_equal(out, "");
    assert_false(domain_normalise("example.com\0.evil.test", 22, out));
    assert_false(domain_normalise("b\xc3\xbc"
                                  "cher\0.test",
                                  12, out));
    assert_true(domain_normalise("example.com/path", 11, out));
    assert_string_equal(out, "example.com");
}

static void
test_is_normal(void **state)
{
    (void)state;
    assert_true(domain_is_normal("example.com"));
    assert_true(domain_is_normal("com"));
    assert_false(domain_is_normal("example.com."));
    assert_false(domain_is_normal("Example.com"));
    assert_false(domain_is_normal("192.0.2.1"));
    assert_false(domain_is_normal("b\xc3\xbc"
                                  "cher.test"));
    assert_false(domain_is_normal(""));
    assert_true(domain_has_dot("a.b"));
    assert_false(domain_has_dot("a"));
}

static void
test_fold_allows_numbers(void **state)
{
    char out[DOMAIN_SIZE];

    (void)state;
    assert_true(domain_fold("192.0.2.1.", 10, out));
    assert_string_equal(out, "192.0.2.1");
    assert_true(domain_fold("MX.Example", 10, out));
    assert_string_equal(out, "mx.example");
    assert_false(domain_fold("b\xc3\xbc"
                             "cher",
                             7, out));
    assert_string_equal(out, "");
    assert_false(domain_fold("a..b", 4, out));
    assert_string_equal(out, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise),     cmocka_unit_test(test_mx_hosts),
        cmocka_unit_test(test_length_limits), cmocka_unit_test(test_lengths_rule_not_nul),
        cmocka_unit_test(test_is_normal),     cmocka_unit_test(test_fold_allows_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
