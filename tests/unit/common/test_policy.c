#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/policy.h"

#define V "version: STSv1\n"
#define E "mode: enforce\n"
#define M "mx: mx.example.com\n"
#define A "max_age: 86400\n"
#define VEMA V E M A
#define L63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"
#define KEY32 "k23456789012345678901234567890.-"

#define GOOD "enforce 86400 mx.example.com"
#define GOOD_AND(more) GOOD "," more

/* Valid files: what they say, as "mode max_age mx,mx". */
static const struct {
    const char *name, *body, *want;
} good[] = {
    {"RFC example",
     "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
     "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
     "enforce 604800 mail.example.com,*.example.net,backupmx.example.com"},
    {"LF", VEMA, GOOD},
    {"mixed ends", "version: STSv1\r\n" E "mx: mx.example.com\r\n" A, GOOD},
    {"no last end", V E M "max_age: 86400", GOOD},
    {"no last end but blanks", V E M "max_age: 86400 \t", GOOD},
    {"no last end behind CRLF", "version: STSv1\r\nmode: enforce\r\nmx: a.b\r\nmax_age: 1",
     "enforce 1 a.b"},
    {"any order", A M E V, GOOD},
    {"mx first", M V E A, GOOD},
    {"mx apart", M V E A "mx: b.example.com\n", GOOD_AND("b.example.com")},
    {"testing", V "mode: testing\n" M A, "testing 86400 mx.example.com"},

    {"none without mx", V "mode: none\n" A, "none 86400 "},
    {"none with mx", V "mode: none\n" M A, "none 86400 mx.example.com"},
    {"none with empty mx", V "mode: none\nmx:\n" A, "none 86400 "},
    {"none with empty mx before the mode", V "mx: \nmode: none\n" A, "none 86400 "},
    {"none with empty and full mx", V "mode: none\nmx:\n" M A, "none 86400 mx.example.com"},

    {"no blank behind colon", "version:STSv1\nmode:enforce\nmx:mx.example.com\nmax_age:86400\n",
     GOOD},
    {"many blanks behind colon", "version: \t STSv1\n" E "mx:\t\tmx.example.com\n" A, GOOD},
    {"trailing blanks",
     "version: STSv1 \nmode: enforce\t\nmx: mx.example.com \t \nmax_age: 86400 \n", GOOD},
    {"trailing blanks before CRLF", "version: STSv1 \r\nmode: enforce\t\r\n" M A, GOOD},
    {"blank line first", "\n" VEMA, GOOD},
    {"blank lines between", V "\n\r\n" E "\n" M A, GOOD},
    {"blank lines last", VEMA "\r\n\n\r\n", GOOD},
    {"lines of blanks", " \n" V "\t\r\n" E M A "  ", GOOD},

    {"max_age 0", V E M "max_age: 0\n", "enforce 0 mx.example.com"},
    {"max_age with zeros", V E M "max_age: 0000086400\n", GOOD},
    {"max_age of ten zeros", V E M "max_age: 0000000000\n", "enforce 0 mx.example.com"},
    {"largest max_age", V E M "max_age: 31557600\n", "enforce 31557600 mx.example.com"},
    {"max_age one less", V E M "max_age: 31557599\n", "enforce 31557599 mx.example.com"},
    {"max_age one more", V E M "max_age: 31557601\n", "enforce 31557600 mx.example.com"},
    {"max_age above 32 bits", V E M "max_age: 4294967297\n", "enforce 31557600 mx.example.com"},
    {"max_age of ten nines", V E M "max_age: 9999999999\n", "enforce 31557600 mx.example.com"},

    {"wildcard", V E "mx: *.example.com\n" A, "enforce 86400 *.example.com"},
    {"deep wildcard", V E "mx: *.a.b.example.com\n" A, "enforce 86400 *.a.b.example.com"},
    {"mx final dot", V E "mx: mx.example.com.\n" A, GOOD},
    {"wildcard final dot", V E "mx: *.example.com.\n" A, "enforce 86400 *.example.com"},
    {"mx upper case", V E "mx: MX.Example.COM\n" A, GOOD},
    {"wildcard upper case", V E "mx: *.EXAMPLE.com.\n" A, "enforce 86400 *.example.com"},
    {"rewritten among others", VEMA "mx: B.c\nmx: d.e\nmx: F.g.\n", GOOD_AND("b.c,d.e,f.g")},
    {"mx A-label", V E "mx: mx.xn--bcher-kva.example\n" A,
     "enforce 86400 mx.xn--bcher-kva.example"},
    {"mx A-label that libidn2 refuses", V E "mx: mx.xn--ls8h.la\n" A,
     "enforce 86400 mx.xn--ls8h.la"},
    {"mx with hyphens and digits", V E "mx: 1-a--b.2.example\n" A,
     "enforce 86400 1-a--b.2.example"},
    {"mx label of 63", V E "mx: " L63 ".example\n" A, "enforce 86400 " L63 ".example"},
    {"the same mx twice", VEMA M, GOOD_AND("mx.example.com")},

    {"one label is left out", VEMA "mx: localhost\n", GOOD},
    {"one label and dot is left out", VEMA "mx: localhost.\n", GOOD},
    {"wildcard of one label is left out", VEMA "mx: *.com\n", GOOD},
    {"wildcard of one label and dot is left out", VEMA "mx: *.com.\n", GOOD},
    {"IPv4 is left out", VEMA "mx: 192.0.2.1\n", GOOD},
    {"last label of digits is left out", VEMA "mx: mx.example.1\n", GOOD},
    {"wildcard of digits is left out", VEMA "mx: *.0.2.1\n", GOOD},
    {"words of Postfix are left out", VEMA "mx: hostname\nmx: nexthop\nmx: dot-nexthop\n", GOOD},
    {"nothing but one label", V E "mx: localhost\n" A, "enforce 86400 "},

    {"second version is ignored", VEMA "version: STSv2\n", GOOD},
    {"second mode is ignored", VEMA "mode: none\n", GOOD},
    {"second max_age is ignored", VEMA "max_age: 1\n", GOOD},
    {"second version bad", VEMA "version: \xff\n", GOOD},
    {"second version empty", VEMA "version:\n", GOOD},
    {"second mode bad", VEMA "mode: ENFORCE!\n", GOOD},
    {"second mode empty", VEMA "mode:\n", GOOD},
    {"second max_age bad", VEMA "max_age: -1\n", GOOD},
    {"second max_age too long", VEMA "max_age: 99999999999\n", GOOD},
    {"third mode", VEMA "mode: none\nmode: testing\n", GOOD},

    {"unknown key", VEMA "tls: yes\n", GOOD},
    {"unknown key first", "tls: yes\n" VEMA, GOOD},
    {"unknown key twice", VEMA "a: 1\na: 2\n", GOOD},
    {"unknown key without blank", VEMA "a:1\n", GOOD},
    {"unknown value with blanks inside", VEMA "a: b  c \n", GOOD},
    {"unknown value with colons", VEMA "a: b: c:d\n", GOOD},
    {"unknown value with every sign", VEMA "a: {}=;,%\"\\'#<>`~\n", GOOD},
    {"unknown value in UTF-8", VEMA "a: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n", GOOD},
    {"unknown value with line separator", VEMA "a: b\xe2\x80\xa8mode: none\n", GOOD},
    {"unknown value with NEL", VEMA "a: b\xc2\x85mode: none\n", GOOD},
    {"unknown value is the largest character", VEMA "a: \xf4\x8f\xbf\xbf\n", GOOD},
    {"all bytes of a key", VEMA "aZ09_-.: x\n", GOOD},
    {"key of digits", VEMA "99: x\n", GOOD},
    {"key of 32", VEMA KEY32 ": x\n", GOOD},
    {"MX is an unknown key", VEMA "MX: *\n", GOOD},
    {"Mode is an unknown key", VEMA "Mode: none\n", GOOD},
    {"VERSION is an unknown key", "VERSION: 2\n" VEMA, GOOD},
    {"Max_Age is an unknown key", "Max_Age: x\n" VEMA, GOOD},
    {"max-age is an unknown key", "max-age: 1\n" VEMA, GOOD},
    {"longer keys are unknown", VEMA "mx2: *\nmodes: x\nversion1: 2\nmax_age_s: y\n", GOOD},
};

/* Files that are refused: how `detail` begins. */
static const struct {
    const char *name, *body, *detail;
} bad[] = {
    {"empty", "", "version is missing"},
    {"blank lines only", "\n\r\n \n", "version is missing"},
    {"no version", E M A, "version is missing"},
    {"no mode", V M A, "mode is missing"},
    {"no max_age", V E M, "max_age is missing"},
    {"no mx, enforce", V E A, "mx is missing"},
    {"no mx, testing", V "mode: testing\n" A, "mx is missing"},
    {"none without max_age", V "mode: none\n", "max_age is missing"},
    {"none without version", "mode: none\n" A, "version is missing"},

    {"other version", "version: STSv2\n" E M A, "line 1: version"},
    {"longer version", "version: STSv10\n" E M A, "line 1: version"},
    {"version in lower case", "version: stsv1\n" E M A, "line 1: version"},
    {"version empty", "version:\n" E M A, "line 1: version"},
    {"version in quotes", "version: \"STSv1\"\n" E M A, "line 1: version"},
    {"version and semicolon", "version: STSv1;\n" E M A, "line 1: version"},
    {"version and comment", "version: STSv1 # yes\n" E M A, "line 1: version"},
    {"bad version before a good one", "version: x\n" VEMA, "line 1: version"},
    {"Version", "Version: STSv1\n" E M A, "version is missing"},
    {"TXT form", "v=STSv1; id=1;", "line 1: no key"},

    {"Enforce", V "mode: Enforce\n" M A, "line 2: mode"},
    {"mode report", V "mode: report\n" M A, "line 2: mode"},
    {"mode longer", V "mode: enforced\n" M A, "line 2: mode"},
    {"mode shorter", V "mode: enforc\n" M A, "line 2: mode"},
    {"mode empty", V "mode:\n" M A, "line 2: mode"},
    {"two modes on a line", V "mode: enforce none\n" M A, "line 2: mode"},
    {"bad mode before a good one", V "mode: x\n" E M A, "line 2: mode"},
    {"MODE", V "MODE: enforce\n" M A, "mode is missing"},

    {"max_age negative", V E M "max_age: -1\n", "line 4: max_age"},
    {"max_age signed", V E M "max_age: +1\n", "line 4: max_age"},
    {"max_age hexadecimal", V E M "max_age: 0x10\n", "line 4: max_age"},
    {"max_age exponent", V E M "max_age: 1e5\n", "line 4: max_age"},
    {"max_age fraction", V E M "max_age: 86400.0\n", "line 4: max_age"},
    {"max_age unit", V E M "max_age: 1d\n", "line 4: max_age"},
    {"max_age with commas", V E M "max_age: 86,400\n", "line 4: max_age"},
    {"max_age with blank", V E M "max_age: 86 400\n", "line 4: max_age"},
    {"max_age empty", V E M "max_age:\n", "line 4: max_age"},
    {"max_age of eleven digits", V E M "max_age: 10000000000\n", "line 4: max_age"},
    {"max_age of eleven with zeros", V E M "max_age: 00000086400\n", "line 4: max_age"},
    {"max_age beyond 64 bits", V E M "max_age: 18446744073709551617\n", "line 4: max_age"},
    {"max_age in other digits", V E M "max_age: \xd9\xa1\n", "line 4: max_age"},
    {"bad max_age before a good one", V E M "max_age: x\n" A, "line 4: max_age"},

    {"mx empty", V E "mx:\n" A, "line 3: mx is empty"},
    {"mx empty beside a good one", VEMA "mx: \n", "line 5: mx is empty"},
    {"mx empty, testing", V "mode: testing\nmx:\n" M A, "line 3: mx is empty"},
    {"mx U-label",
     V E "mx: mx.b\xc3\xbc"
         "cher.example\n" A,
     "line 3: mx"},
    {"mx underscore", V E "mx: mx_1.example.com\n" A, "line 3: mx"},
    {"mx bare wildcard", V E "mx: *\n" A, "line 3: mx"},
    {"mx wildcard and dot", V E "mx: *.\n" A, "line 3: mx"},
    {"mx wildcard and two dots", V E "mx: *..\n" A, "line 3: mx"},
    {"mx double wildcard", V E "mx: *.*.example.com\n" A, "line 3: mx"},
    {"mx two stars", V E "mx: **.example.com\n" A, "line 3: mx"},
    {"mx wildcard in the middle", V E "mx: mx.*.example.com\n" A, "line 3: mx"},
    {"mx wildcard at the end", V E "mx: mx.example.*\n" A, "line 3: mx"},
    {"mx partial wildcard", V E "mx: mx*.example.com\n" A, "line 3: mx"},
    {"mx partial wildcard behind", V E "mx: *mx.example.com\n" A, "line 3: mx"},
    {"mx wildcard without dot", V E "mx: *example.com\n" A, "line 3: mx"},
    {"mx leading dot", V E "mx: .example.com\n" A, "line 3: mx"},
    {"mx dot", V E "mx: .\n" A, "line 3: mx"},
    {"mx empty label", V E "mx: mx..example.com\n" A, "line 3: mx"},
    {"mx two final dots", V E "mx: mx.example.com..\n" A, "line 3: mx"},
    {"mx leading hyphen", V E "mx: -mx.example.com\n" A, "line 3: mx"},
    {"mx trailing hyphen", V E "mx: mx-.example.com\n" A, "line 3: mx"},
    {"mx label of 64", V E "mx: " L63 "x.example\n" A, "line 3: mx"},
    {"mx too long", V E "mx: " L63 "." L63 "." L63 "." L63 "\n" A, "line 3: mx"},
    {"mx literal", V E "mx: [192.0.2.1]\n" A, "line 3: mx"},
    {"mx IPv6", V E "mx: 2001:db8::1\n" A, "line 3: mx"},
    {"mx with port", V E "mx: mx.example.com:25\n" A, "line 3: mx"},
    {"mx list with comma", V E "mx: a.example.com, b.example.com\n" A, "line 3: mx"},
    {"mx list with blank", V E "mx: a.example.com b.example.com\n" A, "line 3: mx"},
    {"mx address", V E "mx: a@example.com\n" A, "line 3: mx"},
    {"mx in quotes", V E "mx: \"mx.example.com\"\n" A, "line 3: mx"},
    {"mx and comment", V E "mx: mx.example.com # main\n" A, "line 3: mx"},
    {"mx injection", V E "mx: a.b servername=x\n" A, "line 3: mx"},
    {"bad mx among good ones", VEMA "mx: *.*.example.com\n" M, "line 5: mx"},
    {"bad mx under none", V "mode: none\nmx: *\n" A, "line 3: mx"},
    {"bad mx before mode none", V "mx: a_b.c\nmode: none\n" A, "line 2: mx"},

    {"leading blank", V " mode: enforce\n" M A, "line 2: no key"},
    {"leading blank in the first line", " " VEMA, "line 1: no key"},
    {"leading tab", V E "\tmx: mx.example.com\n" A, "line 3: no key"},
    {"folded line", V E M A "a: b\n c\n", "line 6: no key"},
    {"blank before colon", V "mode : enforce\n" M A, "line 2: no key"},
    {"tab before colon", V E "mx\t: mx.example.com\n" A, "line 3: no key"},
    {"equals sign", V "mode=enforce\n" M A, "line 2: no key"},
    {"no colon", VEMA "mode\n", "line 5: no key"},
    {"colon alone", VEMA ":\n", "line 5: no key"},
    {"no key", VEMA ": x\n", "line 5: no key"},
    {"comment", "# ours\n" VEMA, "line 1: no key"},
    {"HTML", "<html><body>\n" VEMA, "line 1: no key"},
    {"BOM", "\xef\xbb\xbf" VEMA, "line 1: no key"},
    {"BOM later", V "\xef\xbb\xbf" E M A, "line 2: no key"},
    {"UTF-16", "v\xff\xfe", "line 1: no key"},

    {"CR as line end", "version: STSv1\rmode: enforce\rmx: a.b\rmax_age: 1\r", "line 1: version"},
    {"CR in the middle", V "mode: enforce\r" M A, "line 2: mode"},
    {"CR CR LF", V "mode: enforce\r\r\n" M A, "line 2: mode"},
    {"CR, blank, LF", V "mode: enforce\r \n" M A, "line 2: mode"},
    {"CR at the very end", V E M "max_age: 86400\r", "line 4: max_age"},
    {"LF CR", V "\r" E M A, "line 2: no key"},
    {"lone CR as a line", VEMA "\r", "line 5: no key"},
    {"lone CR before CRLF", VEMA "\r\r\n", "line 5: no key"},
    {"VT as line end", V "mode: enforce\v" M A, "line 2: mode"},
    {"line of form feed", V "\f\n" E M A, "line 2: no key"},
    {"line separator as line end", "version: STSv1\xe2\x80\xa8" E M A, "line 1: version"},
    {"no-break space as blank",
     V "mode:\xc2\xa0"
       "enforce\n" M A,
     "line 2: mode"},

    {"unknown key empty", VEMA "a:\n", "line 5: the value of an unknown key"},
    {"unknown key of blanks", VEMA "a: \t\n", "line 5: the value of an unknown key"},
    {"unknown value with tab", VEMA "a: b\tc\n", "line 5: the value of an unknown key"},
    {"unknown value with CR", VEMA "a: b\rmode: none\n", "line 5: the value of an unknown key"},
    {"unknown value with VT", VEMA "a: b\vc\n", "line 5: the value of an unknown key"},
    {"unknown value with DEL", VEMA "a: b\x7f\n", "line 5: the value of an unknown key"},
    {"unknown value with ESC", VEMA "a: \x1b[1m\n", "line 5: the value of an unknown key"},
    {"unknown value in Latin-1", VEMA "a: caf\xe9\n", "line 5: the value of an unknown key"},
    {"unknown value overlong", VEMA "a: \xc0\xaf\n", "line 5: the value of an unknown key"},
    {"unknown value surrogate", VEMA "a: \xed\xa0\x80\n", "line 5: the value of an unknown key"},
    {"unknown value cut", VEMA "a: \xe2\x82\n", "line 5: the value of an unknown key"},
    {"unknown value too large", VEMA "a: \xf4\x90\x80\x80\n",
     "line 5: the value of an unknown key"},
    {"key of 33", VEMA KEY32 "x: y\n", "line 5: no key"},
    {"key begins with hyphen", VEMA "-a: x\n", "line 5: no key"},
    {"key begins with underscore", VEMA "_a: x\n", "line 5: no key"},
    {"key begins with dot", VEMA ".a: x\n", "line 5: no key"},
    {"key with odd byte", VEMA "a+b: x\n", "line 5: no key"},
    {"key with blank", VEMA "a b: x\n", "line 5: no key"},
    {"key in UTF-8", VEMA "\xc3\xa9: x\n", "line 5: no key"},
};

/* A copy of exact size, so that a sanitizer sees a read past the end. */
static enum sts_error
parse(const char *body, size_t len, struct policy **policy, char detail[128])
{
    char *copy = alloc_bytes(len);
    enum sts_error error;

    memcpy(copy, body, len);
    memset(detail, 'x', 128);
    error = policy_parse((struct span){copy, len}, "", policy, detail, 128);
    free(copy);
    return error;
}

static struct policy *
parse_good(const char *body)
{
    struct policy *policy;
    char detail[128];

    if (parse(body, strlen(body), &policy, detail) != STS_OK)
        fail_msg("%s", detail);
    return policy;
}

static void
describe(const struct policy *policy, struct buf *out)
{
    buf_printf(out, "%s %u ", policy_mode_name(policy_mode(policy)), policy_max_age_s(policy));
    for (size_t i = 0; i < policy_mx_count(policy); i++) {
        struct span mx = policy_mx(policy, i);

        buf_printf(out, "%s%.*s", i ? "," : "", (int)mx.len, mx.at);
    }
}

static void
test_good(void **state)
{
    struct buf got;

    (void)state;
    buf_init(&got, 4096);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t len = strlen(good[i].body);
        struct policy *policy;
        char detail[128];

        if (parse(good[i].body, len, &policy, detail) != STS_OK)
            fail_msg("%s: %s", good[i].name, detail);
        buf_reset(&got);
        describe(policy, &got);
        if (strcmp(buf_string(&got), good[i].want) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", good[i].name, buf_string(&got), good[i].want);
        if (policy_body(policy).len != len ||
            memcmp(policy_body(policy).at, good[i].body, len) != 0)
            fail_msg("%s: body changed", good[i].name);
        policy_free(policy);
    }
    buf_done(&got);
}

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct policy *policy = (struct policy *)&state;
        char detail[128];
        enum sts_error error = parse(bad[i].body, strlen(bad[i].body), &policy, detail);

        if (error != STS_POLICY_INVALID || policy != NULL)
            fail_msg("%s: %s", bad[i].name, sts_error_name(error));
        if (strncmp(detail, bad[i].detail, strlen(bad[i].detail)) != 0)
            fail_msg("%s: \"%s\"", bad[i].name, detail);
    }
}

static void
test_nul_is_refused_anywhere(void **state)
{
    static const char body[] = V "mode: none\na: x\nmode: y\n\n" A;
    struct policy *policy;
    char copy[sizeof body], detail[128];

    (void)state;
    for (size_t at = 0; at < sizeof body; at++) {
        memcpy(copy, body, sizeof body);
        copy[at] = '\0';
        assert_int_equal(parse(copy, sizeof body, &policy, detail), STS_POLICY_INVALID);
        assert_string_equal(detail, "the file holds a NUL byte");
    }
    assert_int_equal(parse(body, sizeof body - 1, &policy, detail), STS_OK);
    policy_free(policy);
}

static void
test_size_limit(void **state)
{
    struct policy *policy;
    char *body = alloc_bytes(POLICY_BODY_MAX + 1), detail[128];
    size_t head = strlen(VEMA);

    (void)state;
    memset(body, '\n', POLICY_BODY_MAX + 1);
    memcpy(body, VEMA, head);
    memcpy(body + POLICY_BODY_MAX - 8, "mx: y.z\n", 8);
    assert_int_equal(parse(body, POLICY_BODY_MAX, &policy, detail), STS_OK);
    assert_int_equal(policy_mx_count(policy), 2);
    assert_true(policy_lists_host(policy, "y.z"));
    policy_free(policy);
    assert_int_equal(parse(body, POLICY_BODY_MAX + 1, &policy, detail), STS_TOO_LARGE);
    assert_null(policy);
    assert_string_equal(detail, "the file is larger than 64 KiB");
    free(body);
}

/* As many patterns as fit, each rewritten: the largest block that can be. */
static void
test_most_patterns(void **state)
{
    char *body = alloc_bytes(POLICY_BODY_MAX), host[] = "a.b";
    size_t len = strlen(V E A), count = 0;
    struct policy *policy;
    char detail[128];

    (void)state;
    memcpy(body, V E A, len);
    for (; len + 7 <= POLICY_BODY_MAX; len += 7, count++) {
        memcpy(body + len, "mx:A.B\n", 7);
        body[len + 3] = (char)('A' + count % 26);
    }
    memcpy(body + len - 7, "mx:Z.Z\n", 7);
    assert_true(count > 9000);
    assert_int_equal(parse(body, len, &policy, detail), STS_OK);
    assert_int_equal(policy_mx_count(policy), count);
    for (size_t i = 0; i + 1 < count; i++) {
        host[0] = (char)('a' + i % 26);
        assert_true(span_is(policy_mx(policy, i), host));
    }
    assert_true(policy_lists_host(policy, "z.z"));
    assert_false(policy_lists_host(policy, "z.a"));
    policy_free(policy);
    free(body);
}

/* The id stands in the block, and nothing else is changed by it. */
static void
test_id(void **state)
{
    static const char body[] = V E A "mx: MX.example.com\nmx: b.example.com\nmx: C.example.com\n";
    static const char *const ids[] = {"20260801", "", "12345678901234567890123456789012", "1"};
    struct policy *policy;

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(
            policy_parse((struct span){body, sizeof body - 1}, ids[i], &policy, NULL, 0), STS_OK);
        assert_string_equal(policy_id(policy), ids[i]);
        assert_true(span_is(policy_body(policy), body));
        assert_int_equal(policy_mx_count(policy), 3);
        assert_true(span_is(policy_mx(policy, 0), "mx.example.com"));
        assert_true(span_is(policy_mx(policy, 1), "b.example.com"));
        assert_true(span_is(policy_mx(policy, 2), "c.example.com"));
        assert_int_equal(policy_mode(policy), POLICY_MODE_ENFORCE);
        assert_int_equal(policy_max_age_s(policy), 86400);
        policy_free(policy);
    }
    policy_free(NULL);
}

/* A million of them are held: a policy takes little more than its text. */
static void
test_memory(void **state)
{
    struct policy *policy;
    size_t bytes;

    (void)state;
    assert_int_equal(policy_parse((struct span){VEMA, strlen(VEMA)}, "1", &policy, NULL, 0),
                     STS_OK);
    bytes = malloc_usable_size(policy);
    assert_in_range(bytes, strlen(VEMA) + sizeof "1", strlen(VEMA) + sizeof "1" + 24);
    policy_free(policy);
}

static void
test_life(void **state)
{
    static const struct {
        const char *body;
        uint32_t life_s;
    } rows[] = {
        {V E M "max_age: 0\n", 60},
        {V E M "max_age: 59\n", 60},
        {V E M "max_age: 60\n", 60},
        {V E M "max_age: 61\n", 61},
        {V E M "max_age: 9999999999\n", 31557600},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy *policy = parse_good(rows[i].body);

        assert_int_equal(policy_life_s(policy), rows[i].life_s);
        policy_free(policy);
    }
}

static void
test_detail_may_be_absent_or_short(void **state)
{
    struct policy *policy;
    char detail[8];

    (void)state;
    assert_int_equal(policy_parse((struct span){"x", 1}, "", &policy, NULL, 0), STS_POLICY_INVALID);
    assert_int_equal(policy_parse((struct span){0}, "", &policy, detail, sizeof detail),
                     STS_POLICY_INVALID);
    assert_string_equal(detail, "version");
}

static void
test_lines_as_declared(void **state)
{
    static const char body[] = "\n \nversion: STSv1 \r\n\r\nMX: Ab\t\nx: a\rb\n  lead\nlast\r";
    static const char *const want[] = {"version: STSv1", "MX: Ab", "x: a\rb", "  lead", "last\r"};
    struct scan rest = scan_bytes(body, strlen(body));
    struct span line;

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_true(policy_next_line(&rest, &line));
        assert_true(span_is(line, want[i]));
    }
    assert_false(policy_next_line(&rest, &line));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul_is_refused_anywhere),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_most_patterns),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_detail_may_be_absent_or_short),
        cmocka_unit_test(test_lines_as_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
