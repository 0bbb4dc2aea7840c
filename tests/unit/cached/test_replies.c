/* Requests of all maps, and the bytes that each MTA gets for each verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/replies.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "common/proto.h"

enum { WALL_S = 1789395200 };

/* --- requests ---------------------------------------------------------------- */

static const struct {
    const char *request;
    bool judged;
    enum map map;
    const char *domain;
    const char *host; /* stsmx */
    int wait_ms;
} requests[] = {
    {"postfix example.com", true, MAP_POSTFIX, "example.com", "", -1},
    {"QUERY example.com", true, MAP_POSTFIX, "example.com", "", -1},
    {"query example.com", true, MAP_POSTFIX, "example.com", "", -1},
    {"postfix-tlsrpt example.com", true, MAP_POSTFIX_TLSRPT, "example.com", "", -1},
    {"QUERYwithTLSRPT example.com", true, MAP_POSTFIX_TLSRPT, "example.com", "", -1},
    {"STS Example.COM.", true, MAP_STS, "example.com", "", -1},
    {"sts user@example.com", true, MAP_STS, "example.com", "", -1},
    {"sts [example.com]:587", true, MAP_STS, "example.com", "", -1},
    {"sts example.com:587", true, MAP_STS, "example.com", "", -1},
    {"sts b\xc3\xbc.test", true, MAP_STS, "xn--b-eha.test", "", -1},
    {"sts .example.com", false, MAP_STS, "", "", -1},
    {"sts [192.0.2.1]", false, MAP_STS, "", "", -1},
    {"sts [IPv6:2001:db8::1]", false, MAP_STS, "", "", -1},
    {"sts ", false, MAP_STS, "", "", -1},
    {"sts", false, MAP_STS, "", "", -1},
    {"sts a b", false, MAP_STS, "", "", -1},
    {"stsmx example.com/MX1.example.com.", true, MAP_STSMX, "example.com", "mx1.example.com", -1},
    {"stsmx example.com/", true, MAP_STSMX, "example.com", "", -1},
    {"stsmx a.test/MX_1.a.test.", true, MAP_STSMX, "a.test", "mx_1.a.test", -1},
    {"stsmx a.test/a b", true, MAP_STSMX, "a.test", "", -1},
    {"stsmx example.com", true, MAP_STSMX, "example.com", "", -1},
    {"stsmx [192.0.2.1]/x.test", false, MAP_STSMX, "", "x.test", -1},
    {"verdict example.com", true, MAP_VERDICT, "example.com", "", -1},
    {"probes [mx.example.com] wait=0", true, MAP_PROBES, "mx.example.com", "", 0},
    {"verdict example.com wait=0", true, MAP_VERDICT, "example.com", "", 0},
    {"Verdict example.com wait=500", true, MAP_VERDICT, "example.com", "", 500},
    {"verdict  example.com  wait=7 ", true, MAP_VERDICT, "example.com", "", 7},
    {"verdict \"a b\"@example.com wait=7", true, MAP_VERDICT, "example.com", "", 7},
    {"verdict \"a b\"@example.com", true, MAP_VERDICT, "example.com", "", -1},
    {"probes \"a b\"@example.com", true, MAP_PROBES, "example.com", "", -1},
    {"verdict example.com junk", false, MAP_VERDICT, "", "", -1},
    {"verdict example.com wait=1 wait=2", false, MAP_VERDICT, "", "", 2},
    {"verdict wait=7", false, MAP_VERDICT, "", "", -1},
    {"verdict example.com wait=soon", true, MAP_VERDICT, "example.com", "", -1},
    {"dunno example.com", false, MAP_UNKNOWN, NULL, "", -1},
    {"", false, MAP_UNKNOWN, NULL, "", -1},
};

static void
reads_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct map_request r;
        const char *text = requests[i].request;

        print_message("%s\n", text);
        assert_int_equal(replies_read((struct span){text, strlen(text)}, &r), requests[i].judged);
        assert_int_equal(r.map, requests[i].map);
        assert_int_equal(r.wait_ms, requests[i].wait_ms);
        assert_int_equal(r.want_mx, r.map == MAP_VERDICT || r.map == MAP_PROBES);
        assert_int_equal(r.want_probe, r.want_mx);
        assert_string_equal(r.mx_host, requests[i].host);
        if (requests[i].domain != NULL)
            assert_string_equal(r.hop.domain, requests[i].domain);
    }
}

/* --- replies ------------------------------------------------------------------- */

#define ENFORCE(mx) "version: STSv1\nmode: enforce\n" mx "max_age: 604800\n"
#define TWO_MX "mx: mx1.example.com\nmx: *.example.net\n"
#define SECURE "OK secure match=mx1.example.com:.example.net servername=hostname"
#define NO_MX "TEMP the MTA-STS policy of example.com lists no host that mail can be sent to"
#define ATTRIBUTES                                                                                 \
    " policy_type=sts policy_domain=example.com mx_host_pattern=mx1.example.com"                   \
    " mx_host_pattern=*.example.net"
#define LINE(text) " { policy_string = " text " }"
#define REPORT                                                                                     \
    LINE("version: STSv1")                                                                         \
    LINE("mode: enforce")                                                                          \
    LINE("mx: mx1.example.com") LINE("mx: *.example.net") LINE("max_age: 604800")
#define FACTS(verdict, mode, mx, hosts, reason)                                                    \
    "OK verdict=" verdict " domain=example.com mode=" mode " id=20260801 max_age=604800"           \
    " expires=1790000000 mx=" mx " hosts=" hosts " source=memory reason=" reason
#define NO_FACTS(verdict, reason)                                                                  \
    "OK verdict=" verdict " domain=example.com mode=- id=- max_age=- expires=- mx=- hosts=-"       \
    " source=memory reason=" reason

static struct entry *
make_entry(const char *body)
{
    struct entry *e = calloc(1, sizeof *e + sizeof "example.com");

    strcpy(e->domain, "example.com");
    if (body != NULL)
        assert_int_equal(
            policy_parse((struct span){body, strlen(body)}, "20260801", &e->policy, NULL, 0),
            STS_OK);
    return e;
}

static void
free_entry(struct entry *e)
{
    policy_free(e->policy);
    free(e);
}

static struct judgement
make_judgement(const struct entry *e, enum verdict verdict, enum sts_error reason)
{
    return (struct judgement){.verdict = verdict,
                              .reason = reason,
                              .source = SOURCE_MEMORY,
                              .domain = e->domain,
                              .detail = "",
                              .entry = e,
                              .policy = e->policy,
                              .expires_s = WALL_S + 604800};
}

/* Writes the reply to `request`, which must be `wanted`. */
static void
assert_reply(const char *request, const struct judgement *j, const struct settings *settings,
             const char *wanted)
{
    struct map_request r;
    struct buf out;

    (void)!replies_read((struct span){request, strlen(request)}, &r);
    buf_init(&out, PROTO_REPLY_MAX);
    replies_write(&r, j, settings, &out);
    assert_false(buf_failed(&out));
    assert_string_equal(buf_string(&out), wanted);
    assert_int_equal(out.len, strlen(wanted));
    buf_done(&out);
}

static const struct reply_row {
    const char *body; /* NULL: no policy */
    enum verdict verdict;
    enum sts_error reason;
    const char *postfix, *tlsrpt, *sts, *stsmx, *facts; /* stsmx asks about mx1.example.com */
} replies[] = {
    {ENFORCE(TWO_MX), VERDICT_SECURE, STS_OK, SECURE, SECURE ATTRIBUTES REPORT, SECURE, "OK ok",
     FACTS("secure", "enforce", "mx1.example.com,*.example.net", "-", "ok")},
    {ENFORCE(TWO_MX), VERDICT_SECURE, STS_DNS_SERVFAIL, SECURE, SECURE ATTRIBUTES REPORT, SECURE,
     "OK ok", FACTS("secure", "enforce", "mx1.example.com,*.example.net", "-", "dns-servfail")},
    {ENFORCE(TWO_MX), VERDICT_REFUSE, STS_MX_NOT_LISTED, SECURE, SECURE ATTRIBUTES REPORT, SECURE,
     "OK ok", FACTS("refuse", "enforce", "mx1.example.com,*.example.net", "-", "mx-not-listed")},
    {ENFORCE(TWO_MX), VERDICT_PENDING, STS_DEADLINE, SECURE, SECURE ATTRIBUTES REPORT, SECURE,
     "OK ok", FACTS("pending", "enforce", "mx1.example.com,*.example.net", "-", "deadline")},
    {ENFORCE("mx: other.example.com\n"), VERDICT_SECURE, STS_OK,
     "OK secure match=other.example.com servername=hostname",
     "OK secure match=other.example.com servername=hostname policy_type=sts"
     " policy_domain=example.com mx_host_pattern=other.example.com" LINE("version: STSv1")
         LINE("mode: enforce") LINE("mx: other.example.com") LINE("max_age: 604800"),
     "OK secure match=other.example.com servername=hostname", "NOTFOUND ",
     FACTS("secure", "enforce", "other.example.com", "-", "ok")},
    {ENFORCE("mx: localhost\n"), VERDICT_REFUSE, STS_MX_NOT_LISTED, NO_MX, NO_MX, NO_MX, NO_MX,
     FACTS("refuse", "enforce", "-", "-", "mx-not-listed")},
    {ENFORCE("mx: localhost\n"), VERDICT_PENDING, STS_DEADLINE, NO_MX, NO_MX, NO_MX, NO_MX,
     FACTS("pending", "enforce", "-", "-", "deadline")},
    {"version: STSv1\nmode: testing\nmx: mx9.example.com\nmax_age: 604800\n", VERDICT_TESTING,
     STS_OK, "NOTFOUND ", "NOTFOUND ", "NOTFOUND ", "OK ok",
     FACTS("testing", "testing", "mx9.example.com", "-", "ok")},
    {"version: STSv1\nmode: none\nmax_age: 604800\n", VERDICT_NONE, STS_OK, "NOTFOUND ",
     "NOTFOUND ", "NOTFOUND ", "OK ok", FACTS("none", "none", "-", "-", "ok")},
    {NULL, VERDICT_NONE, STS_NO_RECORD, "NOTFOUND ", "NOTFOUND ", "NOTFOUND ", "OK ok",
     NO_FACTS("none", "no-record")},
};

static void
puts_each_verdict_in_the_words_of_each_map(void **state)
{
    static const struct settings settings = {.on_pending = ANSWER_ACCEPT};

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        const struct reply_row *row = &replies[i];
        struct entry *e = make_entry(row->body);
        struct judgement j = make_judgement(e, row->verdict, row->reason);

        print_message("%s\n", row->facts);
        assert_reply("postfix example.com", &j, &settings, row->postfix);
        assert_reply("QUERYwithTLSRPT example.com", &j, &settings, row->tlsrpt);
        assert_reply("sts example.com", &j, &settings, row->sts);
        assert_reply("stsmx example.com/mx1.example.com", &j, &settings, row->stsmx);
        assert_reply("verdict example.com", &j, &settings, row->facts);
        free_entry(e);
    }
}

static const struct {
    enum verdict verdict;
    enum sts_error reason;
    int on_pending, on_unknown;
    bool temporary;
} doubts[] = {
    {VERDICT_PENDING, STS_DEADLINE, ANSWER_TEMPFAIL, ANSWER_ACCEPT, true},
    {VERDICT_PENDING, STS_DEADLINE, ANSWER_ACCEPT, ANSWER_TEMPFAIL, false},
    {VERDICT_UNKNOWN, STS_DNS_TIMEOUT, ANSWER_TEMPFAIL, ANSWER_ACCEPT, false},
    {VERDICT_UNKNOWN, STS_DNS_TIMEOUT, ANSWER_ACCEPT, ANSWER_TEMPFAIL, true},
};

static void
doubt_is_the_operators_choice(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        struct settings settings = {.on_pending = doubts[i].on_pending,
                                    .on_unknown = doubts[i].on_unknown};
        struct entry *e = make_entry(NULL);
        struct judgement j = make_judgement(e, doubts[i].verdict, doubts[i].reason);
        char temp[200];

        snprintf(temp, sizeof temp, "TEMP the MTA-STS policy of example.com is not known yet: %s",
                 sts_error_text(doubts[i].reason));
        assert_reply("postfix example.com", &j, &settings,
                     doubts[i].temporary ? temp : "NOTFOUND ");
        assert_reply("sts example.com", &j, &settings, doubts[i].temporary ? temp : "NOTFOUND ");
        assert_reply("stsmx example.com/x.test", &j, &settings,
                     doubts[i].temporary ? temp : "OK ok");
        free_entry(e);
    }
}

#define DANE_TEMP "TEMP the TLSA records of the MX hosts of example.com cannot be looked up: "

static const struct {
    enum verdict verdict;
    bool failed;
    int on_failure;
    const char *postfix, *sts;
} dane_replies[] = {
    {VERDICT_DANE, false, DANE_FAILURE_STS, "OK dane-only", SECURE},
    {VERDICT_DANE, false, DANE_FAILURE_DEFER, "OK dane-only", SECURE},
    {VERDICT_SECURE, true, DANE_FAILURE_STS, SECURE, SECURE},
    {VERDICT_SECURE, true, DANE_FAILURE_DEFER, NULL, SECURE},
    {VERDICT_SECURE, false, DANE_FAILURE_DEFER, SECURE, SECURE},
    {VERDICT_REFUSE, true, DANE_FAILURE_DEFER, SECURE, SECURE},
};

/* Only Postfix looks for TLSA, so only its names hear of DANE. */
static void
dane_is_for_postfix(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dane_replies / sizeof *dane_replies; i++) {
        struct settings settings = {.dane = true, .dane_on_failure = dane_replies[i].on_failure};
        struct entry *e = make_entry(ENFORCE(TWO_MX));
        struct judgement j = make_judgement(e, dane_replies[i].verdict, STS_DNS_SERVFAIL);
        const char *postfix = dane_replies[i].postfix;
        char temp[200];

        snprintf(temp, sizeof temp, DANE_TEMP "%s", sts_error_text(STS_DNS_SERVFAIL));
        j.dane_error = STS_DNS_SERVFAIL;
        j.dane_failed = dane_replies[i].failed;
        assert_reply("postfix example.com", &j, &settings, postfix != NULL ? postfix : temp);
        assert_reply("QUERY example.com", &j, &settings, postfix != NULL ? postfix : temp);
        if (postfix == NULL || strcmp(postfix, SECURE) != 0)
            assert_reply("QUERYwithTLSRPT example.com", &j, &settings,
                         postfix != NULL ? postfix : temp);
        assert_reply("sts example.com", &j, &settings, dane_replies[i].sts);
        assert_reply("stsmx example.com/mx1.example.com", &j, &settings, "OK ok");
        free_entry(e);
    }
}

static const struct {
    const char *request;
    bool dane, needs_mx;
} mx_needs[] = {
    {"postfix a.test", true, true},        {"QUERY a.test", true, true},
    {"postfix-tlsrpt a.test", true, true}, {"QUERYwithTLSRPT a.test", true, true},
    {"sts a.test", true, false},           {"stsmx a.test/b.test", true, false},
    {"postfix a.test", false, false},
};

static void
dane_needs_the_mx_set(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mx_needs / sizeof *mx_needs; i++) {
        struct settings settings = {.dane = mx_needs[i].dane};
        struct span payload = {mx_needs[i].request, strlen(mx_needs[i].request)};
        struct map_request r;

        assert_true(replies_read(payload, &r));
        assert_int_equal(replies_needs_mx(&r, &settings), mx_needs[i].needs_mx);
    }
}

static void
answers_without_judgement(void **state)
{
    static const struct settings settings = {0};

    (void)state;
    assert_reply("dunno example.com", NULL, &settings, "TEMP unknown map");
    assert_reply("postfix .example.com", NULL, &settings, "NOTFOUND ");
    assert_reply("postfix-tlsrpt [192.0.2.1]", NULL, &settings, "NOTFOUND ");
    assert_reply("sts", NULL, &settings, "NOTFOUND ");
    assert_reply("stsmx [192.0.2.1]/x.test", NULL, &settings, "OK ok");
    assert_reply("verdict [192.0.2.1]", NULL, &settings,
                 "OK verdict=none domain=- mode=- id=- max_age=- expires=- mx=- hosts=- source=-"
                 " reason=not-a-domain");
}

static void
names_the_hosts_that_are_listed(void **state)
{
    static const struct settings settings = {0};
    struct entry *e = make_entry(ENFORCE(TWO_MX));
    struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);

    (void)state;
    j.hosts[0] = "b.example.net";
    j.hosts[1] = "mx1.example.com";
    j.host_count = 2;
    assert_reply("verdict example.com", &j, &settings,
                 FACTS("secure", "enforce", "mx1.example.com,*.example.net",
                       "b.example.net,mx1.example.com", "ok"));
    free_entry(e);
}

static void
tells_what_is_wrong_at_each_host(void **state)
{
    static const struct settings settings = {0};
    struct entry *e = make_entry(ENFORCE(TWO_MX));
    struct judgement j = make_judgement(e, VERDICT_REFUSE, STS_PROBE_FAILED);

    (void)state;
    j.probes[0] = (struct verdict_probe){
        "b.example.net", {.state = PROBE_KNOWN, .error = STS_TLS_EXPIRED, .detail = "x, y"}};
    j.probes[1] =
        (struct verdict_probe){"mx1.example.com", {.state = PROBE_KNOWN, .error = STS_TLS_NAME}};
    j.probe_count = 2;
    assert_reply("probes example.com", &j, &settings,
                 "OK b.example.net:tls-expired,mx1.example.com:tls-name");
    j.reason = STS_MX_NOT_LISTED;
    assert_reply("probes example.com", &j, &settings, "NOTFOUND ");
    j.verdict = VERDICT_SECURE;
    assert_reply("probes example.com", &j, &settings, "NOTFOUND ");
    assert_reply("probes [192.0.2.1]", NULL, &settings, "NOTFOUND ");
    free_entry(e);
}

/* --- nothing in a policy can inject anything ------------------------------------- */

static const struct {
    const char *line;
    bool valid, reported; /* the policy parses; the line is passed on to reports */
} lines[] = {
    {"foo: x } ciphers=export { policy_string = y", true, false},
    {"foo: x ciphers=export", true, false},
    {"foo: }", true, false},
    {"foo: {", true, false},
    {"foo: x\xc3\xbcy", true, false},
    {"foo: plain words", true, true},
    {"mx: a.example exclude=aNULL", false, false},
    {"mx: hostname", true, true}, /* a word of Postfix's; never in match= */
    {"mx: a.example}", false, false},
};

static void
a_policy_injects_nothing(void **state)
{
    static const struct settings settings = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char body[300], wanted[600];
        struct policy *policy;
        struct entry *e;
        struct judgement j;

        print_message("%s\n", lines[i].line);
        snprintf(body, sizeof body, ENFORCE(TWO_MX "%s\n"), lines[i].line);
        if (policy_parse((struct span){body, strlen(body)}, "", &policy, NULL, 0) != STS_OK) {
            assert_false(lines[i].valid);
            continue;
        }
        policy_free(policy);
        e = make_entry(body);
        j = make_judgement(e, VERDICT_SECURE, STS_OK);
        snprintf(wanted, sizeof wanted,
                 SECURE ATTRIBUTES LINE("version: STSv1") LINE("mode: enforce")
                     LINE("mx: mx1.example.com")
                         LINE("mx: *.example.net") "%s%s%s" LINE("max_age: 604800"),
                 lines[i].reported ? " { policy_string = " : "",
                 lines[i].reported ? lines[i].line : "", lines[i].reported ? " }" : "");
        assert_true(lines[i].valid);
        assert_reply("postfix-tlsrpt example.com", &j, &settings, wanted);
        assert_reply("sts example.com", &j, &settings, SECURE);
        free_entry(e);
    }
}

/* Postfix 3.10 crashes when there is no policy_string. */
static void
a_report_has_a_version_line_at_least(void **state)
{
    static const struct settings settings = {0};
    struct entry *e = make_entry("version:\tSTSv1\nmode:\tenforce\nmx:\tmx1.example.com\n"
                                 "max_age:\t604800\n");
    struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);

    (void)state;
    assert_reply(
        "postfix-tlsrpt example.com", &j, &settings,
        "OK secure match=mx1.example.com servername=hostname policy_type=sts"
        " policy_domain=example.com mx_host_pattern=mx1.example.com" LINE("version: STSv1"));
    free_entry(e);
}

/* --- long policies ------------------------------------------------------------------ */

/* A body with `count` lines like "mx: mx0007.example.com". */
static char *
make_long_body(size_t count, const char *more)
{
    struct buf body;
    char *text;

    buf_init(&body, POLICY_BODY_MAX);
    buf_add_string(&body, "version: STSv1\nmode: enforce\nmax_age: 604800\n");
    for (size_t i = 0; i < count; i++)
        buf_printf(&body, "mx: m%04zu.a.test\n", i);
    buf_add_string(&body, more);
    assert_false(buf_failed(&body));
    text = strdup(buf_string(&body));
    buf_done(&body);
    return text;
}

static void
take_reply(const char *request, const struct judgement *j, struct buf *out)
{
    static const struct settings settings = {0};
    struct map_request r;

    assert_true(replies_read((struct span){request, strlen(request)}, &r));
    buf_init(out, PROTO_REPLY_MAX);
    replies_write(&r, j, &settings, out);
    assert_false(buf_failed(out));
}

static size_t
count_in(const char *text, const char *what)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        count++;
    return count;
}

static void
sendmails_list_is_cut_between_patterns(void **state)
{
    char *body = make_long_body(100, "mx: *.far.test\n");
    struct entry *e = make_entry(body);
    struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);
    struct map_request request;
    struct buf out;

    (void)state;
    assert_true(replies_read((struct span){"sts example.com", 15}, &request));
    assert_true(replies_list_is_long(&j));
    j.candidates[0] = "m0042.a.test";
    j.candidates[1] = "mx.far.test";
    j.candidate_count = 2;
    take_reply("sts example.com", &j, &out);
    /* 12 bytes and a colon each: m0042, .far.test, then as many as fit into 255 */
    assert_memory_equal(buf_string(&out),
                        "OK secure match=m0042.a.test:.far.test:m0000.a.test:", 51);
    assert_string_equal(strstr(buf_string(&out), "m0016"), "m0016.a.test servername=hostname");
    assert_int_equal(count_in(buf_string(&out), ".test"), 19);
    assert_int_equal(count_in(buf_string(&out), "m0042"), 1);
    buf_done(&out);
    take_reply("postfix example.com", &j, &out);
    assert_int_equal(count_in(buf_string(&out), ".test"), 101); /* Postfix reads all */
    buf_done(&out);
    free_entry(e);
    free(body);
}

/* 255 bytes are read by Sendmail, 256 are not. */
static void
a_list_of_255_bytes_is_left_alone(void **state)
{
    static const char *const lasts[] = {"mx: last-is-255-long.test\n",
                                        "mx: last-is-256-longr.test\n"};
    struct map_request request;

    (void)state;
    assert_true(replies_read((struct span){"sts example.com", 15}, &request));
    for (size_t i = 0; i < 2; i++) {
        char *body = make_long_body(18, lasts[i]); /* 18 of 12 bytes, and 18 colons: 234 */
        struct entry *e = make_entry(body);
        struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);
        struct buf out;

        take_reply("sts example.com", &j, &out);
        assert_int_equal(out.len,
                         strlen("OK secure match= servername=hostname") + (i == 0 ? 255 : 233));
        assert_int_equal(replies_list_is_long(&j), i == 1);
        buf_done(&out);
        free_entry(e);
        free(body);
    }
}

static void
a_long_report_keeps_the_version_line(void **state)
{
    static const struct {
        size_t count, patterns, strings;
    } rows[] = {{1000, 1000, 1003}, {1800, 1800, 1}, {3600, 1830, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *body = make_long_body(rows[i].count, "");
        struct entry *e = make_entry(body);
        struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);
        struct buf out;

        take_reply("postfix-tlsrpt example.com", &j, &out);
        print_message("%zu patterns: %zu bytes\n", rows[i].count, out.len);
        assert_true(out.len <= PROTO_REPLY_MAX);
        assert_int_equal(count_in(buf_string(&out), LINE("version: STSv1")), 1);
        assert_int_equal(count_in(buf_string(&out), "policy_string"), rows[i].strings);
        assert_int_equal(count_in(buf_string(&out), "mx_host_pattern="), rows[i].patterns);
        buf_done(&out);
        free_entry(e);
        free(body);
    }
}

static void
says_when_a_host_is_refused(void **state)
{
    struct entry *e = make_entry(ENFORCE(TWO_MX));
    struct judgement j = make_judgement(e, VERDICT_SECURE, STS_OK);
    struct map_request r;

    (void)state;
    assert_true(replies_read((struct span){"stsmx a.test/x.test", 19}, &r));
    assert_true(replies_refuses_host(&r, &j));
    strcpy(r.mx_host, "mx_1.example.net");
    assert_false(replies_refuses_host(&r, &j));
    strcpy(r.mx_host, "x.test");
    r.map = MAP_STS;
    assert_false(replies_refuses_host(&r, &j));
    free_entry(e);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),
        cmocka_unit_test(puts_each_verdict_in_the_words_of_each_map),
        cmocka_unit_test(doubt_is_the_operators_choice),
        cmocka_unit_test(dane_is_for_postfix),
        cmocka_unit_test(dane_needs_the_mx_set),
        cmocka_unit_test(answers_without_judgement),
        cmocka_unit_test(names_the_hosts_that_are_listed),
        cmocka_unit_test(tells_what_is_wrong_at_each_host),
        cmocka_unit_test(a_policy_injects_nothing),
        cmocka_unit_test(a_report_has_a_version_line_at_least),
        cmocka_unit_test(sendmails_list_is_cut_between_patterns),
        cmocka_unit_test(a_list_of_255_bytes_is_left_alone),
        cmocka_unit_test(a_long_report_keeps_the_version_line),
        cmocka_unit_test(says_when_a_host_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
