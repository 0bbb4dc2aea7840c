/* The decision, as a table: what is remembered of a domain, and what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/verdict.h"
#include "common/clock.h"

enum { NOW_MS = 500 * 1000 * 1000, WALL_S = 1790000000, SOON_MS = 1, DAY_MS = 86400 * 1000 };

/* Facts about a domain: with `mode` there is a policy for `mx`, with `mx_hosts` an MX set, with
 * `failure` a failed fetch. Times count from now; a time not given is long ago. */
struct facts {
    const char *mode, *mx;
    int expires_in_ms;
    int checked_ago_ms;
    bool has_mx_set;
    enum sts_error mx_error;
    const char *mx_hosts[3];
    int mx_until_ms;
    enum sts_error outcome;
    bool unknown;
    int outcome_until_ms, backoff_s;
    enum sts_error failure;
    int tried_ago_ms;
};

#define ENFORCE .mode = "enforce", .expires_in_ms = SOON_MS
#define LISTED .mx = "mx: mx1.a.test\nmx: *.b.test\n"
#define MX_SET .has_mx_set = true, .mx_until_ms = SOON_MS
#define OUTCOME(error, until_ms) .outcome = error, .outcome_until_ms = until_ms
#define UNKNOWN(until_ms, wait_s)                                                                  \
    OUTCOME(STS_DNS_TIMEOUT, until_ms), .unknown = true, .backoff_s = wait_s
#define FAILED(ago_ms) .failure = STS_TLS_NAME, .tried_ago_ms = ago_ms

static const struct row {
    const char *name;
    struct facts facts;
    bool want_mx, host_only;
    enum verdict_need need;
    enum verdict verdict; /* of FINAL and NEEDS_RECHECK */
    enum sts_error reason;
    const char *hosts;
} rows[] = {
    /* no policy */
    {"nothing known", {0}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"no record",
     {OUTCOME(STS_NO_RECORD, SOON_MS)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"no record, with MX asked",
     {OUTCOME(STS_NO_RECORD, SOON_MS)},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"no record, over", {OUTCOME(STS_NO_RECORD, 0)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"bad record",
     {OUTCOME(STS_BAD_RECORD, SOON_MS)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_BAD_RECORD,
     ""},
    {"unknown",
     {UNKNOWN(SOON_MS, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_UNKNOWN,
     STS_DNS_TIMEOUT,
     ""},
    {"unknown, asked again behind the scenes",
     {UNKNOWN(-29999, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_UNKNOWN,
     STS_DNS_TIMEOUT,
     ""},
    {"unknown, over", {UNKNOWN(-30000, 30)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"failed fetch",
     {FAILED(DAY_MS - 1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    {"failed fetch, a day ago", {FAILED(DAY_MS)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"failed fetch, then no record",
     {FAILED(1), OUTCOME(STS_NO_RECORD, SOON_MS)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"failed fetch, then unknown",
     {FAILED(1), UNKNOWN(SOON_MS, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    /* a policy */
    {"mode none",
     {.mode = "none", .expires_in_ms = 1},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_OK,
     ""},
    {"mode testing",
     {.mode = "testing", .expires_in_ms = 1, .mx = "mx: x.test\n"},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_TESTING,
     STS_OK,
     ""},
    {"enforce", {ENFORCE, LISTED}, false, false, VERDICT_FINAL, VERDICT_SECURE, STS_OK, ""},
    {"enforce, whatever failed since",
     {ENFORCE, LISTED, FAILED(1), UNKNOWN(SOON_MS, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     ""},
    {"enforce, over", {.mode = "enforce", LISTED}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"enforce, over, failed",
     {.mode = "enforce", LISTED, FAILED(1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    /* its MX hosts */
    {"MX not looked up", {ENFORCE, LISTED}, true, false, VERDICT_NEEDS_MX, 0, 0, ""},
    {"MX set over",
     {ENFORCE, LISTED, .has_mx_set = true, .mx_hosts = {"mx1.a.test"}},
     true,
     false,
     VERDICT_NEEDS_MX,
     0,
     0,
     ""},
    {"all listed",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"x.b.test", "mx1.a.test"}},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "x.b.test mx1.a.test"},
    {"one listed is enough",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test", "x.b.test", "y.x.b.test"}},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "x.b.test"},
    {"none listed",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test", "b.test"}},
     true,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, TXT 10 s ago",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}, .checked_ago_ms = 10000},
     true,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, TXT fresh",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}, .checked_ago_ms = 9999},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, MX not asked about",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     ""},
    {"MX look-up failed",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_DNS_SERVFAIL},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_DNS_SERVFAIL,
     ""},
    {"no host",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_NO_HOST},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_NO_HOST,
     ""},
    {"null MX",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_NULL_MX},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_NULL_MX,
     ""},
    /* [host], asked about as "host.b.test" */
    {"[host] listed",
     {ENFORCE, .mx = "mx: *.b.test\n"},
     true,
     true,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "host.b.test"},
    {"[host] not listed, whatever its MX",
     {ENFORCE, .mx = "mx: mx1.a.test\n", MX_SET, .mx_hosts = {"mx1.a.test"}},
     true,
     true,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    /* nothing in the list may be used */
    {"one label only",
     {ENFORCE, .mx = "mx: localhost\n"},
     false,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"one label only, TXT fresh",
     {ENFORCE, .mx = "mx: localhost\n", .checked_ago_ms = 1},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
};

static struct policy *
make_policy(const char *mode, const char *mx)
{
    struct policy *policy;
    char body[200];
    int len = snprintf(body, sizeof body, "version: STSv1\nmode: %s\n%smax_age: 604800\n", mode,
                       mx != NULL ? mx : "");

    assert_int_equal(policy_parse(body, (size_t)len, &policy, NULL, 0), STS_OK);
    return policy;
}

static struct mx_set *
make_mx_set(const struct facts *f)
{
    struct mx_set *mx = calloc(1, sizeof *mx + 200);
    char *at = mx->names;

    mx->error = f->mx_error;
    mx->until_ms = NOW_MS + f->mx_until_ms;
    for (; mx->count < 3 && f->mx_hosts[mx->count] != NULL; mx->count++)
        at = stpcpy(at, f->mx_hosts[mx->count]) + 1;
    return mx;
}

static struct entry *
make_entry(const struct facts *f)
{
    struct entry *e = calloc(1, sizeof *e + 1);

    if (f->mode != NULL)
        e->policy = make_policy(f->mode, f->mx);
    e->expires_ms = NOW_MS + f->expires_in_ms;
    e->checked_ms = f->checked_ago_ms != 0 ? NOW_MS - f->checked_ago_ms : 0;
    if (f->has_mx_set)
        e->mx = make_mx_set(f);
    e->outcome = (uint8_t)f->outcome;
    e->outcome_unknown = f->unknown;
    e->outcome_until_ms = f->outcome != STS_OK ? NOW_MS + f->outcome_until_ms : 0;
    e->backoff_s = (uint16_t)f->backoff_s;
    if (f->failure != STS_OK) {
        e->fetches = calloc(1, sizeof *e->fetches);
        e->fetches->error = f->failure;
        e->fetches->tried_ms[0] = NOW_MS - f->tried_ago_ms;
        e->fetches->http_status = 503;
        strcpy(e->fetches->detail, "why");
    }
    return e;
}

static void
free_entry(struct entry *e)
{
    policy_free(e->policy);
    free(e->mx);
    free(e->fetches);
    free(e);
}

static void
judges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct entry *e = make_entry(&row->facts);
        struct judgement j;
        char hosts[200] = "";

        print_message("%s\n", row->name);
        assert_int_equal(verdict_judge(e, "host.b.test", row->want_mx, row->host_only, NOW_MS, &j),
                         row->need);
        if (row->need == VERDICT_FINAL || row->need == VERDICT_NEEDS_RECHECK) {
            assert_int_equal(j.verdict, row->verdict);
            assert_int_equal(j.reason, row->reason);
        }
        for (size_t k = 0; k < j.host_count; k++)
            strcat(strcat(hosts, k > 0 ? " " : ""), j.hosts[k]);
        assert_string_equal(hosts, row->hosts);
        assert_int_equal(j.policy != NULL, row->facts.expires_in_ms > 0);
        assert_string_equal(j.detail, j.reason == STS_TLS_NAME ? "why" : "");
        assert_int_equal(j.http_status, j.reason == STS_TLS_NAME ? 503 : 0);
        free_entry(e);
    }
}

static void
knows_nothing_without_an_entry(void **state)
{
    struct judgement j;

    (void)state;
    assert_int_equal(verdict_judge(NULL, "a.test", true, false, NOW_MS, &j), VERDICT_NEEDS_TXT);
    assert_int_equal(j.source, SOURCE_NONE);
    assert_string_equal(j.domain, "a.test");
}

static void
tells_the_term_in_wall_time(void **state)
{
    struct facts facts = {.mode = "testing", .mx = "mx: a.test\n", .expires_in_ms = 3600 * 1000};
    struct entry *e = make_entry(&facts);
    struct judgement j;

    (void)state;
    assert_int_equal(verdict_judge(e, "a.test", false, false, NOW_MS, &j), VERDICT_FINAL);
    assert_int_equal(j.expires_s, (int64_t)WALL_S + 3600);
    free_entry(e);
}

static void
keeps_the_first_of_very_many_hosts(void **state)
{
    struct facts facts = {ENFORCE, .mx = "mx: *.b.test\n"};
    struct entry *e = make_entry(&facts);
    struct judgement j;
    char *at;

    (void)state;
    e->mx = calloc(1, sizeof *e->mx + 100 * sizeof "h00.b.test");
    e->mx->until_ms = NOW_MS + 1;
    e->mx->count = 100;
    at = e->mx->names;
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "h%02d.b.test", i) + 1;
    assert_int_equal(verdict_judge(e, "b.test", true, false, NOW_MS, &j), VERDICT_FINAL);
    assert_int_equal(j.host_count, SOURCE_MX_MAX);
    assert_string_equal(j.hosts[SOURCE_MX_MAX - 1], "h63.b.test");
    free_entry(e);
}

/* --- DANE --------------------------------------------------------------------------------- */

#define HOSTS_LISTED .mx_hosts = {"mx1.a.test", "x.b.test"}
#define HOSTS_UNLISTED .mx_hosts = {"evil.test", "b.test"}
#define NOBODY .mx = "mx: localhost\n"

/* Two hosts with these states; looked up `with_dane`, of a set that is `secure`. */
static const struct {
    const char *name;
    struct facts facts;
    bool without_dane, insecure;
    enum dane_state states[2];
    enum sts_error dane_error;
    enum verdict_mx want;
    enum verdict_need need;
    enum verdict verdict;
    enum sts_error reason;
    bool dane_failed;
} dane_rows[] = {
    {"usable",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"one is enough",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_NONE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"beside one that failed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_USABLE},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"before refuse",
     {ENFORCE, LISTED, MX_SET, HOSTS_UNLISTED},
     .states = {DANE_USABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"before a policy that lists nobody",
     {ENFORCE, NOBODY, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_DANE},
    {"none",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_NONE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"unusable",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_UNUSABLE, DANE_NONE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"one failed, one without",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_NONE},
     .dane_error = STS_DNS_TIMEOUT,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_TIMEOUT},
    {"all failed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_FAILED, DANE_FAILED},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_SERVFAIL,
     .dane_failed = true},
    {"all failed, none listed",
     {ENFORCE, LISTED, MX_SET, HOSTS_UNLISTED, .checked_ago_ms = 1},
     .states = {DANE_FAILED, DANE_FAILED},
     .dane_error = STS_DNS_SERVFAIL,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_REFUSE,
     .reason = STS_MX_NOT_LISTED,
     .dane_failed = true},
    {"a set that is not signed",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE},
    {"MX look-up failed",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_DNS_SERVFAIL},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_SECURE,
     .reason = STS_DNS_SERVFAIL},
    {"MX look-up failed, nobody listed",
     {ENFORCE, NOBODY, MX_SET, .mx_error = STS_DNS_SERVFAIL, .checked_ago_ms = 1},
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_REFUSE,
     .reason = STS_MX_NOT_LISTED},
    {"looked up before DANE was on",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .without_dane = true,
     .insecure = true,
     .want = VERDICT_MX_DANE,
     .need = VERDICT_NEEDS_MX},
    {"nobody listed, not looked up",
     {ENFORCE, NOBODY},
     .want = VERDICT_MX_DANE,
     .need = VERDICT_NEEDS_MX},
    {"DANE is off now",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX,
     .verdict = VERDICT_SECURE},
    {"MX not asked about",
     {ENFORCE, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_NO_MX,
     .verdict = VERDICT_SECURE},
    {"mode testing",
     {.mode = "testing", .expires_in_ms = 1, LISTED, MX_SET, HOSTS_LISTED},
     .states = {DANE_USABLE, DANE_USABLE},
     .want = VERDICT_MX_DANE,
     .verdict = VERDICT_TESTING},
};

static void
leaves_to_dane_what_has_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dane_rows / sizeof *dane_rows; i++) {
        struct entry *e = make_entry(&dane_rows[i].facts);
        uint8_t states[2] = {(uint8_t)dane_rows[i].states[0], (uint8_t)dane_rows[i].states[1]};
        struct judgement j;

        print_message("%s\n", dane_rows[i].name);
        if (e->mx != NULL) {
            e->mx->with_dane = !dane_rows[i].without_dane;
            e->mx->dane = dane_rows[i].insecure ? NULL : states;
            e->mx->dane_error = dane_rows[i].dane_error;
        }
        assert_int_equal(verdict_judge(e, "b.test", dane_rows[i].want, false, NOW_MS, &j),
                         dane_rows[i].need);
        if (dane_rows[i].need == VERDICT_FINAL) {
            assert_int_equal(j.verdict, dane_rows[i].verdict);
            assert_int_equal(j.reason, dane_rows[i].reason);
            assert_int_equal(j.dane_failed, dane_rows[i].dane_failed);
            assert_true(j.dane == NULL || j.dane == states);
        }
        free_entry(e);
    }
}

/* "[host]" has no MX set that could be secure. */
static void
a_single_host_is_not_left_to_dane(void **state)
{
    struct facts facts = {ENFORCE, .mx = "mx: *.b.test\n", MX_SET, HOSTS_LISTED};
    struct entry *e = make_entry(&facts);
    static const uint8_t states[] = {DANE_USABLE, DANE_USABLE};
    struct judgement j;

    (void)state;
    e->mx->with_dane = true;
    e->mx->dane = states;
    assert_int_equal(verdict_judge(e, "host.b.test", VERDICT_MX_DANE, true, NOW_MS, &j),
                     VERDICT_FINAL);
    assert_int_equal(j.verdict, VERDICT_SECURE);
    assert_null(j.dane);
    free_entry(e);
}

/* --- probes ------------------------------------------------------------------------------- */

enum { PATIENCE_MS = 4000 };
#define KNOWN(e)                                                                                   \
    {                                                                                              \
        .state = PROBE_KNOWN, .error = e                                                           \
    }
#define RUNNING(ms)                                                                                \
    {                                                                                              \
        .state = PROBE_RUNNING, .running_ms = ms                                                   \
    }
#define NOT_ASKED                                                                                  \
    {                                                                                              \
        .state = PROBE_UNKNOWN                                                                     \
    }

static const struct {
    const char *name;
    size_t count;
    struct probe_memory known[3];
    enum verdict_need need; /* with TXT asked long ago */
    enum verdict verdict;
    enum sts_error reason;
} probes[] = {
    {"passed", 1, {KNOWN(STS_OK)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"not asked", 1, {NOT_ASKED}, VERDICT_NEEDS_PROBE, VERDICT_SECURE, STS_OK},
    {"running", 1, {RUNNING(PATIENCE_MS - 1)}, VERDICT_NEEDS_PROBE, VERDICT_SECURE, STS_OK},
    {"hanging", 1, {RUNNING(PATIENCE_MS)}, VERDICT_FINAL, VERDICT_SECURE, STS_DEADLINE},
    {"another name",
     1,
     {KNOWN(STS_TLS_NAME)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"expired",
     1,
     {KNOWN(STS_TLS_EXPIRED)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"not yet valid",
     1,
     {KNOWN(STS_TLS_NOT_YET_VALID)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"untrusted",
     1,
     {KNOWN(STS_TLS_UNTRUSTED)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"no TLS",
     1,
     {KNOWN(STS_TLS_HANDSHAKE)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"not reached", 1, {KNOWN(STS_CONNECT_REFUSED)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"not allowed to", 1, {KNOWN(STS_CONNECT_BLOCKED)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"silent", 1, {KNOWN(STS_TIMEOUT)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"no address", 1, {KNOWN(STS_NO_HOST)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"address unknown", 1, {KNOWN(STS_DNS_SERVFAIL)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"too many run", 1, {KNOWN(STS_OVERLOAD)}, VERDICT_FINAL, VERDICT_SECURE, STS_OVERLOAD},
    {"all bad",
     3,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_TLS_EXPIRED), KNOWN(STS_TLS_HANDSHAKE)},
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_PROBE_FAILED},
    {"bad, then good",
     2,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_OK)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"good, then running", 2, {KNOWN(STS_OK), RUNNING(1)}, VERDICT_FINAL, VERDICT_SECURE, STS_OK},
    {"hanging, then good",
     2,
     {RUNNING(PATIENCE_MS), KNOWN(STS_OK)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then running",
     2,
     {KNOWN(STS_TLS_NAME), RUNNING(1)},
     VERDICT_NEEDS_PROBE,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then not asked",
     2,
     {KNOWN(STS_TLS_NAME), NOT_ASKED},
     VERDICT_NEEDS_PROBE,
     VERDICT_SECURE,
     STS_OK},
    {"bad, then hanging",
     2,
     {KNOWN(STS_TLS_NAME), RUNNING(PATIENCE_MS)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_DEADLINE},
    {"bad, then not reached",
     2,
     {KNOWN(STS_TLS_NAME), KNOWN(STS_CONNECT_REFUSED)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
    {"not reached, then running",
     2,
     {KNOWN(STS_CONNECT_REFUSED), RUNNING(1)},
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK},
};

/* The verdict on a domain of one listed host, and then on what is known of `count` of its hosts. */
static enum verdict_need
judge_probes(struct entry *e, size_t count, const struct probe_memory *known, struct judgement *j)
{
    assert_int_equal(verdict_judge(e, "host.b.test", VERDICT_MX, true, NOW_MS, j), VERDICT_FINAL);
    assert_true(verdict_can_be_probed(j));
    assert_int_equal(j->probe_count, 0);
    for (size_t i = 0; i < count; i++)
        j->probes[j->probe_count++] = (struct verdict_probe){"host.b.test", known[i]};
    return verdict_judge_probes(j, PATIENCE_MS, NOW_MS);
}

static void
judges_probes(void **state)
{
    struct facts long_ago = {ENFORCE, LISTED, .checked_ago_ms = VERDICT_RECHECK_MS};
    struct facts just_now = {ENFORCE, LISTED, .checked_ago_ms = VERDICT_RECHECK_MS - 1};

    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        struct entry *old = make_entry(&long_ago), *fresh = make_entry(&just_now);
        struct judgement j;

        print_message("%s\n", probes[i].name);
        assert_int_equal(judge_probes(old, probes[i].count, probes[i].known, &j), probes[i].need);
        assert_int_equal(j.verdict, probes[i].verdict);
        assert_int_equal(j.reason, probes[i].reason);
        assert_int_equal(judge_probes(fresh, probes[i].count, probes[i].known, &j),
                         probes[i].need == VERDICT_NEEDS_RECHECK ? VERDICT_FINAL : probes[i].need);
        assert_int_equal(j.verdict, probes[i].verdict);
        free_entry(old);
        free_entry(fresh);
    }
}

static void
only_a_secure_verdict_with_listed_hosts_is_probed(void **state)
{
    static const struct judgement no[] = {
        {.verdict = VERDICT_NONE, .host_count = 1},
        {.verdict = VERDICT_TESTING, .host_count = 1},
        {.verdict = VERDICT_DANE, .host_count = 1},
        {.verdict = VERDICT_REFUSE, .reason = STS_MX_NOT_LISTED},
        {.verdict = VERDICT_SECURE, .reason = STS_DNS_SERVFAIL, .host_count = 1},
        {.verdict = VERDICT_SECURE, .host_count = 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(verdict_can_be_probed(&no[i]));
}

static const struct {
    enum verdict_need need;
    bool record_found;
    enum verdict verdict;
} in_doubt[] = {
    {VERDICT_NEEDS_TXT, false, VERDICT_UNKNOWN},    {VERDICT_NEEDS_TXT, true, VERDICT_PENDING},
    {VERDICT_NEEDS_MX, true, VERDICT_SECURE},       {VERDICT_NEEDS_PROBE, true, VERDICT_SECURE},
    {VERDICT_NEEDS_RECHECK, true, VERDICT_PENDING}, {VERDICT_FINAL, true, VERDICT_TESTING},
};

static void
says_in_doubt_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof in_doubt / sizeof *in_doubt; i++) {
        struct judgement j = {.verdict = VERDICT_TESTING};

        verdict_in_doubt(in_doubt[i].need, in_doubt[i].record_found, STS_DEADLINE, &j);
        assert_int_equal(j.verdict, in_doubt[i].verdict);
        assert_int_equal(j.reason, STS_DEADLINE);
    }
}

static const struct {
    const char *old_mode, *old_mx, *mode, *mx;
    bool weaker;
} changes[] = {
    {"enforce", "mx: a.test\n", "enforce", "mx: b.test\nmx: a.test\n", false},
    {"enforce", "mx: a.test\n", "enforce", "mx: b.test\n", true},
    {"enforce", "mx: *.a.test\n", "enforce", "mx: x.a.test\n", true},
    {"enforce", "mx: a.test\n", "testing", "mx: a.test\n", true},
    {"enforce", "mx: a.test\n", "none", NULL, true},
    {"testing", "mx: a.test\n", "none", NULL, false},
    {"testing", "mx: a.test\n", "enforce", "mx: b.test\n", false},
    {"none", NULL, "enforce", "mx: b.test\n", false},
};

static void
tells_when_a_policy_becomes_weaker(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct policy *old = make_policy(changes[i].old_mode, changes[i].old_mx);
        struct policy *next = make_policy(changes[i].mode, changes[i].mx);

        print_message("%s to %s\n", changes[i].old_mode, changes[i].mode);
        assert_int_equal(verdict_is_weaker(old, next), changes[i].weaker);
        policy_free(old);
        policy_free(next);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges),
        cmocka_unit_test(knows_nothing_without_an_entry),
        cmocka_unit_test(tells_the_term_in_wall_time),
        cmocka_unit_test(keeps_the_first_of_very_many_hosts),
        cmocka_unit_test(leaves_to_dane_what_has_it),
        cmocka_unit_test(a_single_host_is_not_left_to_dane),
        cmocka_unit_test(judges_probes),
        cmocka_unit_test(only_a_secure_verdict_with_listed_hosts_is_probed),
        cmocka_unit_test(says_in_doubt_what_is_known),
        cmocka_unit_test(tells_when_a_policy_becomes_weaker),
    };

    clock_fake(NOW_MS, WALL_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
