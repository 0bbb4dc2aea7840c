/* What a check says of records and files, in tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/check_policy.h"
#include "cached/check_record.h"

enum { RECORDS_MAX = 3 };

/* The lines of one layer as text: "status: text; advice\n". */
static const char *
told(const struct check_report *r, enum check_layer layer)
{
    static const char *const names[] = {"ok", "warning", "error"};
    static char text[65536];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < r->layers[layer].count; i++) {
        const struct check_line *line = &r->layers[layer].lines[i];
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s: %s; %s\n", names[line->status],
                             line->text, line->advice != NULL ? line->advice : "-");
    }
    return text;
}

static const struct {
    const char *name, *records[RECORDS_MAX], *want; /* the beginning of the first line */
} tlsrpt_rows[] = {
    {"mail", {"v=TLSRPTv1; rua=mailto:r@example.com"}, "ok: one record"},
    {"RFC 8460 s3.1.1", {"v=TLSRPTv1;rua=mailto:reports@example.com"}, "ok: one record"},
    {"RFC 8460 s3.1.2", {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, "ok: one "},
    {"two, with blanks", {"v=TLSRPTv1; rua=mailto:a@b.example , https://c.example/;"}, "ok: one "},
    {"final delimiter", {"v=TLSRPTv1 ; rua=mailto:a@b.example ; "}, "ok: one record"},
    {"an unknown field", {"v=TLSRPTv1; x=y; rua=mailto:a@b.example"}, "ok: one record"},
    {"one among strangers", {"v=spf1", "v=TLSRPTv1; rua=mailto:a@b.example"}, "ok: one record"},
    {"none", {NULL}, "warning: no TLSRPT record"},
    {"a stranger", {"v=spf1 -all"}, "warning: no TLSRPT record"},
    {"other case", {"v=tlsrptv1; rua=mailto:a@b.example"}, "warning: no TLSRPT record"},
    {"no delimiter", {"v=TLSRPTv1"}, "warning: no TLSRPT record"},
    {"no rua", {"v=TLSRPTv1;"}, "warning: rua is missing"},
    {"no rua but another", {"v=TLSRPTv1; x=y"}, "warning: rua is missing"},
    {"empty rua", {"v=TLSRPTv1; rua="}, "warning: rua holds no URI"},
    {"empty among two", {"v=TLSRPTv1; rua=mailto:a@b.example,"}, "warning: rua holds no URI"},
    {"blank inside", {"v=TLSRPTv1; rua=mailto:a b@c.example"}, "warning: rua holds no URI"},
    {"exclamation point", {"v=TLSRPTv1; rua=mailto:a@b.example!10m"}, "warning: rua holds no URI"},
    {"an address alone", {"v=TLSRPTv1; rua=a@b.example"}, "warning: rua is not a URI"},
    {"http", {"v=TLSRPTv1; rua=http://b.example/"}, "warning: rua is neither"},
    {"mailto without at", {"v=TLSRPTv1; rua=mailto:b.example"}, "warning: rua has no mail address"},
    {"mailto with slashes",
     {"v=TLSRPTv1; rua=mailto://a@b.example"},
     "warning: rua has no mail address"},
    {"mailto alone", {"v=TLSRPTv1; rua=mailto:"}, "warning: rua has no mail address"},
    {"https without host", {"v=TLSRPTv1; rua=https:"}, "warning: rua has no host"},
    {"no value", {"v=TLSRPTv1; x; rua=mailto:a@b.example"}, "warning: a field is not"},
    {"empty field", {"v=TLSRPTv1;; rua=mailto:a@b.example"}, "warning: a field is not"},
    {"two",
     {"v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:a@b.example"},
     "warning: more than one"},
};

static void
test_tlsrpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tlsrpt_rows / sizeof tlsrpt_rows[0]; i++) {
        struct span records[RECORDS_MAX];
        struct txt_result txt = {.records = records};
        struct check_report r;

        while (txt.count < RECORDS_MAX && tlsrpt_rows[i].records[txt.count] != NULL) {
            const char *record = tlsrpt_rows[i].records[txt.count];
            records[txt.count++] = (struct span){record, strlen(record)};
        }
        txt.error = txt.count > 0 ? STS_OK : STS_NO_RECORD;
        check_report_init(&r, "example.com");
        check_record_tlsrpt(&r, &txt);
        if (strncmp(told(&r, CHECK_TLSRPT), tlsrpt_rows[i].want, strlen(tlsrpt_rows[i].want)) != 0)
            fail_msg("%s: %s", tlsrpt_rows[i].name, told(&r, CHECK_TLSRPT));
        check_report_done(&r);
    }
}

#define HEAD "version: STSv1\nmode: enforce\nmx: mx.example.com\n"

static const struct {
    const char *name, *body;
    const char *want;   /* stands in the lines of the layer */
    const char *absent; /* does not; NULL: no matter */
} policy_rows[] = {
    {"nothing to say", HEAD "max_age: 604800\n", "ok: mode enforce, max_age 604800, 1 mx",
     "warning: "},
    {"CRLF", "version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmax_age: 604800\r\n",
     "ok: ", "warning: "},
    {"no end of the last line", HEAD "max_age: 604800", "ok: ", "warning: "},
    {"six days", HEAD "max_age: 604799\n", "warning: max_age 604799 is short", NULL},
    {"a day", HEAD "max_age: 86400\n", "warning: max_age 86400 is short", NULL},
    {"an hour", HEAD "max_age: 3600\n", "warning: max_age 3600 is less than a day", NULL},
    {"too long", HEAD "max_age: 9999999999\n", "ok: max_age counts as 31557600", "warning: "},
    {"short on the way out", "version: STSv1\nmode: none\nmax_age: 60\n", "warning: mode none",
     "max_age"},
    {"blank line", HEAD "\nmax_age: 604800\n", "warning: line 4 is blank", NULL},
    {"blank last line", HEAD "max_age: 604800\n \n", "warning: line 5 is blank", NULL},
    {"a key in capitals", HEAD "max_age: 604800\nMX: b.example\n",
     "warning: line 5: the key \"MX\" is not known, \"mx\" is", NULL},
    {"a key with a hyphen", HEAD "max_age: 604800\nmax-age: 5\n", "\"max-age\" is not known", NULL},
    {"an unknown key", HEAD "max_age: 604800\nfoo: 5\n", "warning: line 5: the key \"foo\"", NULL},
    {"mode twice", HEAD "max_age: 604800\nmode: none\n", "warning: line 5: mode stands there twice",
     NULL},
    {"max_age twice", HEAD "max_age: 604800\nmax_age: 1\n", "max_age stands there twice", NULL},
    {"mx may repeat", HEAD "max_age: 604800\nmx: *.example.com\n", "ok: ", "twice"},
    {"one label", HEAD "max_age: 604800\nmx: localhost\n", "warning: line 5: mx \"localhost\" can",
     NULL},
    {"wildcard of one", HEAD "max_age: 604800\nmx: *.com\n", "warning: line 5: mx \"*.com\" can",
     NULL},
    {"numbers", HEAD "max_age: 604800\nmx: 192.0.2.1\n", "warning: line 5: mx \"192.0.2.1\" can",
     NULL},
    {"final dot", HEAD "max_age: 604800\nmx: b.example.\n",
     "warning: line 5: mx \"b.example.\" ends", NULL},
    {"lone CR", HEAD "max_age: 604800\nx: a\rb\n", "a CR that no LF follows", NULL},
    {"no mx that counts", "version: STSv1\nmode: enforce\nmx: localhost\nmax_age: 604800\n",
     "error: no mx can match any host", NULL},
    {"byte order mark", "\xef\xbb\xbf" HEAD "max_age: 604800\n", "without a byte order mark", NULL},
    {"bad mode", "version: STSv1\nmode: on\nmx: a.example\nmax_age: 604800\n",
     "error: line 2: mode is not enforce, testing or none", NULL},
    {"key in capitals that is missed", "version: STSv1\nMode: enforce\nmx: a.b\nmax_age: 604800\n",
     "warning: line 2: the key \"Mode\" is not known, \"mode\" is", NULL},
    {"empty", "", "error: version is missing", NULL},
};

static void
test_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policy_rows / sizeof policy_rows[0]; i++) {
        struct fetch_result fetch = {
            .http_status = 200, .body = policy_rows[i].body, .len = strlen(policy_rows[i].body)};
        struct check_report r;
        struct policy *policy;
        const char *text;

        check_report_init(&r, "example.com");
        policy = check_policy_file(&r, &fetch);
        text = told(&r, CHECK_POLICY);
        if (strstr(text, policy_rows[i].want) == NULL ||
            (policy_rows[i].absent != NULL && strstr(text, policy_rows[i].absent) != NULL))
            fail_msg("%s: %s", policy_rows[i].name, text);
        assert_int_equal(policy != NULL, r.has_policy);
        policy_free(policy);
        check_report_done(&r);
    }
}

static void
test_quote(void **state)
{
    char out[CHECK_QUOTE_SIZE], long_text[300];

    (void)state;
    assert_string_equal(check_quote((struct span){"a\0\x1b\xc3\xa9\"", 6}, out),
                        "a\\x00\\x1B\\xC3\\xA9\"");
    memset(long_text, 0xff, sizeof long_text);
    check_quote((struct span){long_text, sizeof long_text}, out);
    assert_true(strlen(out) < CHECK_QUOTE_SIZE);
    assert_string_equal(out + strlen(out) - 7, "\\xFF...");
    assert_string_equal(check_quote((struct span){NULL, 0}, out), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tlsrpt),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_quote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
