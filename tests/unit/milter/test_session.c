#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "milter/session.h"

/* --- a fake asker: domains that begin with the name of a verdict get it ---------- */

static char asked[400];

struct asker *
asker_new(const struct sockspec *cache)
{
    (void)cache;
    return NULL;
}

void
asker_free(struct asker *a)
{
    (void)a;
}

bool
asker_ask(struct asker *a, const struct nexthop *hop, int64_t *budget_ms, struct answer_view *out)
{
    size_t used = strlen(asked);

    (void)a;
    snprintf(asked + used, sizeof asked - used, "%s%s ", hop->kind == NEXTHOP_HOST ? "@" : "",
             hop->domain);
    *budget_ms -= 7;
    if (strncmp(hop->domain, "down", 4) == 0)
        return false;
    memset(out, 0, sizeof *out);
    for (int v = VERDICT_NONE; v <= VERDICT_UNKNOWN; v++) {
        const char *name = verdict_name((enum verdict)v);
        if (strncmp(hop->domain, name, strlen(name)) == 0)
            out->verdict = (enum verdict)v;
    }
    out->reason = out->verdict == VERDICT_REFUSE ? STS_MX_NOT_LISTED : STS_OK;
    if (strstr(hop->domain, ".late."))
        out->reason = STS_DEADLINE;
    if (strstr(hop->domain, ".busy."))
        out->reason = STS_OVERLOAD;
    out->mx = alloc_string("mx.listed.test");
    out->hosts = alloc_string("");
    return true;
}

/* --- helpers ------------------------------------------------------------------- */

static struct rules *
rules_with(const char *config)
{
    char path[] = "/tmp/test_session.XXXXXX", error[300];
    int fd = mkstemp(path);
    struct settings *settings;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, config, strlen(config)), strlen(config));
    close(fd);
    settings = settings_read(path, error, sizeof error);
    unlink(path);
    if (!settings)
        fail_msg("%s", error);
    asked[0] = '\0';
    return rules_new(settings);
}

static enum reply_action
rcpt(struct session *s, struct rules *rules, const char *host)
{
    const struct recipient recipient = {.mailer = "esmtp", .host = host, .address = "u@x.test"};
    char text[REPLY_TEXT_SIZE] = "";
    enum reply_action action = session_recipient(s, rules, &recipient, text);

    assert_int_equal(text[0] != '\0', action == ACTION_TEMPFAIL || action == ACTION_REJECT);
    return action;
}

/* --- tests --------------------------------------------------------------------- */

static void
asks_about_the_next_hop(void **state)
{
    static const struct {
        const char *mailer, *host, *address, *asked;
        enum reply_action action;
    } cases[] = {
        {"esmtp", "secure.test.", "u@x.test", "secure.test ", ACTION_ACCEPT},
        {"esmtp", "REFUSE.test", "u@x.test", "refuse.test ", ACTION_TEMPFAIL},
        {"Relay", "[refuse.test]:25", "u@x.test", "@refuse.test ", ACTION_TEMPFAIL},
        {"esmtp", "refuse.test:secure.test:none.test", "u@x.test", "refuse.test secure.test ",
         ACTION_ACCEPT},
        {"esmtp", "[refuse1.test], [refuse2.test]", "u@x.test", "@refuse1.test @refuse2.test ",
         ACTION_TEMPFAIL},
        {"esmtp", "[192.0.2.1]", "u@x.test", "", ACTION_ACCEPT},
        {"esmtp", "refuse.test, [192.0.2.1]", "u@x.test", "refuse.test ", ACTION_ACCEPT},
        {"esmtp", "", "<a@b@refuse.test>", "refuse.test ", ACTION_TEMPFAIL},
        {NULL, NULL, "u@refuse.test", "refuse.test ", ACTION_TEMPFAIL},
        {"", "", "u@refuse.test", "refuse.test ", ACTION_TEMPFAIL},
        {"local", "", "u@refuse.test", "", ACTION_ACCEPT},
        {"lmtp", "refuse.test", "u@refuse.test", "", ACTION_ACCEPT},
        {"esmtp", "", "postmaster", "", ACTION_ACCEPT},
        {"esmtp", NULL, NULL, "", ACTION_ACCEPT},
        {"esmtp", "refuse.exact.test", "u@x.test", "", ACTION_ACCEPT},
        {"esmtp", "refuse.below.test", "u@x.test", "", ACTION_ACCEPT},
        {"esmtp", "bad_name!", "u@refuse.test", "", ACTION_ACCEPT},
    };
    struct rules *rules = rules_with("exempt-domains = { \"refuse.exact.test\", \".below.test\" }");
    struct session *s = session_new(false);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct recipient recipient = {
            .mailer = cases[i].mailer, .host = cases[i].host, .address = cases[i].address};
        char text[REPLY_TEXT_SIZE];
        asked[0] = '\0';
        if (session_recipient(s, rules, &recipient, text) != cases[i].action)
            fail_msg("case %zu: action", i);
        if (strcmp(asked, cases[i].asked) != 0)
            fail_msg("case %zu: asked \"%s\", not \"%s\"", i, asked, cases[i].asked);
        session_end(s, END_ACCEPTED, NULL);
    }
    session_free(s);
    rules_release(rules);
}

static void
takes_the_mildest_of_several_hops(void **state)
{
    struct rules *rules = rules_with("on-refuse = reject\non-pending = tempfail");
    struct session *s = session_new(false);

    (void)state;
    assert_int_equal(rcpt(s, rules, "refuse.test"), ACTION_REJECT);
    assert_int_equal(rcpt(s, rules, "refuse.test:pending.test"), ACTION_TEMPFAIL);
    assert_int_equal(rcpt(s, rules, "pending.test:refuse.test"), ACTION_TEMPFAIL);
    assert_int_equal(rcpt(s, rules, "pending.test:testing.test"), ACTION_ACCEPT);
    session_free(s);
    rules_release(rules);
}

static void
spares_exempt_clients(void **state)
{
    struct rules *rules = rules_with("exempt-clients = { \"192.0.2.0/24\" }");
    struct session *s = session_new(false);
    struct sockaddr_in client = {.sin_family = AF_INET};

    (void)state;
    inet_pton(AF_INET, "192.0.2.9", &client.sin_addr);
    session_set_client(s, rules, (const struct sockaddr *)&client);
    assert_int_equal(rcpt(s, rules, "refuse.test"), ACTION_ACCEPT);
    assert_string_equal(asked, "");
    inet_pton(AF_INET, "198.51.100.9", &client.sin_addr);
    session_set_client(s, rules, (const struct sockaddr *)&client);
    assert_int_equal(rcpt(s, rules, "refuse.test"), ACTION_TEMPFAIL);
    session_set_client(s, rules, NULL);
    assert_int_equal(rcpt(s, rules, "refuse.test"), ACTION_TEMPFAIL);
    session_free(s);
    rules_release(rules);
}

static void
only_observes(void **state)
{
    struct rules *rules = rules_with("mode = observe\nrole = wall\nadd-header = on");
    struct session *s = session_new(true);

    (void)state;
    assert_int_equal(rcpt(s, rules, "refuse.test"), ACTION_ACCEPT);
    assert_int_equal(rcpt(s, rules, "unknown.test"), ACTION_ACCEPT);
    assert_int_equal(rcpt(s, rules, "down.test"), ACTION_ACCEPT);
    assert_string_equal(session_header(s),
                        "asked=3 none=0 testing=0 secure=0 refuse=1 undecided=2");
    session_free(s);
    rules_release(rules);
}

static void
holds_a_message_only_where_it_can(void **state)
{
    struct rules *rules = rules_with("on-refuse = quarantine");
    struct session *able = session_new(true), *unable = session_new(false);

    (void)state;
    assert_int_equal(rcpt(unable, rules, "refuse.test"), ACTION_TEMPFAIL);
    assert_null(session_quarantine_reason(unable));
    assert_int_equal(rcpt(able, rules, "none.test"), ACTION_ACCEPT);
    assert_null(session_quarantine_reason(able));
    assert_int_equal(rcpt(able, rules, "refuse.test"), ACTION_QUARANTINE);
    assert_non_null(strstr(session_quarantine_reason(able), "refuse.test"));
    session_end(able, END_QUARANTINED, "Q1");
    assert_null(session_quarantine_reason(able));
    assert_int_equal(rcpt(able, rules, "none.test"), ACTION_ACCEPT);
    assert_null(session_quarantine_reason(able));
    session_free(able);
    session_free(unable);
    rules_release(rules);
}

/* A message is judged to its end by the rules that it began with, even when nobody else holds
 * them any more. */
static void
keeps_its_rules_to_the_end(void **state)
{
    struct rules *first = rules_with("on-refuse = reject");
    struct rules *second = rules_with("on-refuse = tempfail");
    struct session *s = session_new(false);

    (void)state;
    assert_int_equal(rcpt(s, first, "refuse.test"), ACTION_REJECT);
    rules_release(first);
    assert_int_equal(rcpt(s, second, "refuse.test"), ACTION_REJECT);
    session_end(s, END_ACCEPTED, "Q1");
    assert_int_equal(rcpt(s, second, "refuse.test"), ACTION_TEMPFAIL);
    session_free(s);
    rules_release(second);
}

/* A next hop that may be used is asked about once a message, and again after a while; one that
 * holds the recipient back each time. Each recipient counts. */
static void
asks_once_a_message(void **state)
{
    static const struct {
        const char *host, *asked;
        int later_ms; /* after the one before */
    } cases[] = {
        {"secure.test", "secure.test ", 0},
        {"secure.test", "", SESSION_VERDICT_MS - 1},
        {"SECURE.test.", "", 0},
        {"[secure.test]", "@secure.test ", 0},
        {"secure.test", "secure.test ", 1},
        {"none.test", "none.test ", 0},
        {"testing.test", "testing.test ", 0},
        {"dane.test", "dane.test ", 0},
        {"none.test", "", 0},
        {"testing.test", "", 0},
        {"dane.test", "", 0},
        {"refuse.test", "refuse.test ", 0},
        {"refuse.test", "refuse.test ", 0},
        {"pending.test", "pending.test ", 0},
        {"pending.test", "pending.test ", 0},
        {"unknown.test", "unknown.test ", 0},
        {"unknown.test", "unknown.test ", 0},
        {"down.test", "down.test ", 0},
        {"down.test", "down.test ", 0},
        {"secure.late.test", "secure.late.test ", 0}, /* that may be undecided too */
        {"secure.late.test", "secure.late.test ", 0},
        {"secure.busy.test", "secure.busy.test ", 0},
        {"secure.busy.test", "secure.busy.test ", 0},
        {"none1.test:secure.test", "none1.test ", 0},
        {"none2.test", "none2.test ", 0},
        {"none3.test", "none3.test ", 0},
        {"none4.test", "none4.test ", 0},
        {"none5.test", "none5.test ", 0},
        {"none3.test", "", 0},
        {"secure.test", "secure.test ", 0}, /* more than eight were not kept */
    };
    struct rules *rules = rules_with("add-header = on");
    struct session *s = session_new(false);
    int64_t now_ms = 1000;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clock_fake(now_ms += cases[i].later_ms, 0);
        asked[0] = '\0';
        (void)rcpt(s, rules, cases[i].host);
        if (strcmp(asked, cases[i].asked) != 0)
            fail_msg("case %zu: asked \"%s\", not \"%s\"", i, asked, cases[i].asked);
    }
    assert_string_equal(session_header(s),
                        "asked=30 none=8 testing=2 secure=12 refuse=2 undecided=6");
    session_end(s, END_ACCEPTED, "Q1");
    asked[0] = '\0';
    assert_int_equal(rcpt(s, rules, "secure.test"), ACTION_ACCEPT);
    assert_string_equal(asked, "secure.test ");
    session_free(s);
    rules_release(rules);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_about_the_next_hop),
        cmocka_unit_test(takes_the_mildest_of_several_hops),
        cmocka_unit_test(spares_exempt_clients),
        cmocka_unit_test(only_observes),
        cmocka_unit_test(asks_once_a_message),
        cmocka_unit_test(holds_a_message_only_where_it_can),
        cmocka_unit_test(keeps_its_rules_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
