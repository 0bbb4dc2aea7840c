#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "milter/reply.h"

static char no_list[] = "";

static struct answer_view
view_of(enum verdict verdict, enum sts_error reason, char *mx)
{
    return (struct answer_view){.verdict = verdict, .reason = reason, .mx = mx, .hosts = no_list};
}

static void
decides_by_settings(void **state)
{
    static const struct settings gate = {.on_refuse = REFUSE_TEMPFAIL,
                                         .on_pending = DOUBT_ACCEPT,
                                         .on_unknown = DOUBT_ACCEPT,
                                         .on_cache_down = DOUBT_ACCEPT};
    static const struct settings wall = {.on_refuse = REFUSE_REJECT,
                                         .on_pending = DOUBT_TEMPFAIL,
                                         .on_unknown = DOUBT_TEMPFAIL,
                                         .on_cache_down = DOUBT_TEMPFAIL};
    static const struct settings mixed = {.on_refuse = REFUSE_QUARANTINE,
                                          .on_pending = DOUBT_TEMPFAIL,
                                          .on_unknown = DOUBT_ACCEPT,
                                          .on_cache_down = DOUBT_TEMPFAIL};
    static const struct {
        const char *name;
        enum verdict verdict;
        enum sts_error reason;
        enum reply_action gate, wall, mixed;
    } cases[] = {
        {"none", VERDICT_NONE, STS_NO_RECORD, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT},
        {"testing", VERDICT_TESTING, STS_OK, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT},
        {"secure", VERDICT_SECURE, STS_OK, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT},
        {"secure, DNS away", VERDICT_SECURE, STS_DNS_TIMEOUT, ACTION_ACCEPT, ACTION_ACCEPT,
         ACTION_ACCEPT},
        {"dane", VERDICT_DANE, STS_OK, ACTION_ACCEPT, ACTION_ACCEPT, ACTION_ACCEPT},
        {"refuse", VERDICT_REFUSE, STS_MX_NOT_LISTED, ACTION_TEMPFAIL, ACTION_REJECT,
         ACTION_QUARANTINE},
        {"refuse, probe", VERDICT_REFUSE, STS_PROBE_FAILED, ACTION_TEMPFAIL, ACTION_REJECT,
         ACTION_QUARANTINE},
        {"refuse, null MX", VERDICT_REFUSE, STS_NULL_MX, ACTION_ACCEPT, ACTION_ACCEPT,
         ACTION_ACCEPT},
        {"pending", VERDICT_PENDING, STS_DEADLINE, ACTION_ACCEPT, ACTION_TEMPFAIL, ACTION_TEMPFAIL},
        {"unknown", VERDICT_UNKNOWN, STS_DNS_SERVFAIL, ACTION_ACCEPT, ACTION_TEMPFAIL,
         ACTION_ACCEPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_view view = view_of(cases[i].verdict, cases[i].reason, no_list);
        if (reply_decide(&gate, &view) != cases[i].gate ||
            reply_decide(&wall, &view) != cases[i].wall ||
            reply_decide(&mixed, &view) != cases[i].mixed)
            fail_msg("%s", cases[i].name);
    }
    assert_int_equal(reply_decide(&gate, NULL), ACTION_ACCEPT);
    assert_int_equal(reply_decide(&wall, NULL), ACTION_TEMPFAIL);
    assert_int_equal(reply_decide(&mixed, NULL), ACTION_TEMPFAIL);
}

static void
says_cause_and_remedy(void **state)
{
    static const struct {
        enum reply_action action;
        enum verdict verdict;
        enum sts_error reason;
        const char *mx, *text;
    } cases[] = {
        {ACTION_TEMPFAIL, VERDICT_REFUSE, STS_MX_NOT_LISTED, "mx1.a.test,*.b.test",
         "MTA-STS: a.test accepts mail only at the hosts that its policy lists (mx1.a.test, "
         "*.b.test), and none of its MX hosts is among them; please try again later - its "
         "postmaster should correct the policy or the MX records"},
        {ACTION_REJECT, VERDICT_REFUSE, STS_MX_NOT_LISTED, "mx1.a.test",
         "MTA-STS: a.test accepts mail only at the hosts that its policy lists (mx1.a.test), and "
         "none of its MX hosts is among them; not accepted - its postmaster should correct the "
         "policy or the MX records"},
        {ACTION_TEMPFAIL, VERDICT_REFUSE, STS_PROBE_FAILED, "",
         "MTA-STS: a.test accepts mail only at the hosts that its policy lists, and none of them "
         "offers TLS with a valid certificate; please try again later - its postmaster should see "
         "to the "
         "certificates"},
        {ACTION_REJECT, VERDICT_REFUSE, STS_PROBE_FAILED, "*.a.test",
         "MTA-STS: a.test accepts mail only at the hosts that its policy lists (*.a.test), and "
         "none of them offers TLS with a valid certificate; not accepted - its postmaster should "
         "see to "
         "the certificates"},
        {ACTION_TEMPFAIL, VERDICT_PENDING, STS_DEADLINE, "",
         "MTA-STS: the policy of a.test is being fetched; nothing is wrong with the message, "
         "please try again in a few minutes"},
        {ACTION_TEMPFAIL, VERDICT_UNKNOWN, STS_DNS_SERVFAIL, "",
         "MTA-STS: the policy of a.test cannot be looked up, the DNS servers report a failure; "
         "nothing is wrong with the message, please try again in a few minutes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char mx[100], text[REPLY_TEXT_SIZE];
        struct answer_view view = view_of(cases[i].verdict, cases[i].reason, mx);
        snprintf(mx, sizeof mx, "%s", cases[i].mx);
        reply_text(cases[i].action, "a.test", &view, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* Not the patterns: it is the hosts that were tried. */
static void
names_the_hosts_whose_tls_is_wrong(void **state)
{
    char mx[] = "*.a.test", hosts[] = "mx1.a.test,mx2.a.test", text[REPLY_TEXT_SIZE];
    char causes[] = "mx1.a.test:tls-expired,mx2.a.test:tls-name";
    struct answer_view view = view_of(VERDICT_REFUSE, STS_PROBE_FAILED, mx);

    (void)state;
    view.hosts = hosts;
    reply_text(ACTION_TEMPFAIL, "a.test", &view, text);
    assert_string_equal(text,
                        "MTA-STS: a.test accepts mail only at the hosts that its policy lists "
                        "(mx1.a.test, mx2.a.test), and none of them offers TLS with a "
                        "valid certificate; please try again later - its postmaster should see to "
                        "the certificates");
    view.probes = causes;
    reply_text(ACTION_TEMPFAIL, "a.test", &view, text);
    assert_non_null(strstr(text, " (mx1.a.test:tls-expired, mx2.a.test:tls-name), and none"));
}

static void
says_that_nobody_answers(void **state)
{
    char text[REPLY_TEXT_SIZE];

    (void)state;
    reply_text(ACTION_TEMPFAIL, "a.test", NULL, text);
    assert_string_equal(text, "MTA-STS: the policy of a.test cannot be looked up, the policy "
                              "service does not answer; nothing is wrong with the message, please "
                              "try again in a few minutes");
}

/* Whatever a policy or a domain holds: one line of harmless characters. */
static void
says_only_safe_characters(void **state)
{
    char mx[] = "a%b,c\r\nd,\x01\xff,e f";
    struct answer_view view = view_of(VERDICT_REFUSE, STS_MX_NOT_LISTED, mx);
    char text[REPLY_TEXT_SIZE];

    (void)state;
    reply_text(ACTION_TEMPFAIL, "x%s\r\n.test", &view, text);
    assert_non_null(strstr(text, "MTA-STS: x?s??.test accepts"));
    assert_non_null(strstr(text, "(a?b, c??d, ??, e?f)"));
    for (const char *c = text; *c; c++)
        assert_true(*c >= ' ' && *c <= '~' && *c != '%');
}

static void
stays_short(void **state)
{
    char mx[4000] = "", domain[254], text[REPLY_TEXT_SIZE];
    struct answer_view view = view_of(VERDICT_REFUSE, STS_MX_NOT_LISTED, mx);

    (void)state;
    for (int i = 0; i < 100; i++)
        snprintf(mx + strlen(mx), sizeof mx - strlen(mx), "%smx%02d.example.com", i ? "," : "", i);
    reply_text(ACTION_TEMPFAIL, "a.test", &view, text);
    assert_in_range(strlen(text), 200, REPLY_TEXT_USUAL);
    assert_non_null(strstr(text, "(mx00.example.com, "));
    assert_non_null(strstr(text, ", ...), and none"));
    assert_non_null(strstr(text, "correct the policy or the MX records"));

    memset(domain, 'd', sizeof domain - 1);
    domain[sizeof domain - 1] = '\0';
    reply_text(ACTION_TEMPFAIL, domain, &view, text);
    assert_non_null(strstr(text, domain));
    assert_non_null(strstr(text, "correct the policy or the MX records"));
    assert_true(strlen("451 4.7.5 ") + strlen(text) + 2 <= 512);
}

static void
has_codes(void **state)
{
    (void)state;
    assert_string_equal(reply_code(ACTION_TEMPFAIL), "451");
    assert_string_equal(reply_enhanced_code(ACTION_TEMPFAIL), "4.7.5");
    assert_string_equal(reply_code(ACTION_REJECT), "550");
    assert_string_equal(reply_enhanced_code(ACTION_REJECT), "5.7.5");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_settings),
        cmocka_unit_test(says_cause_and_remedy),
        cmocka_unit_test(names_the_hosts_whose_tls_is_wrong),
        cmocka_unit_test(says_that_nobody_answers),
        cmocka_unit_test(says_only_safe_characters),
        cmocka_unit_test(stays_short),
        cmocka_unit_test(has_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
