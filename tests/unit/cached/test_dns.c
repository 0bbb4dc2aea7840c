#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cached/dns.h"
#include "cached/dns_screen.h"
#include "cached/settings.h"
#include "common/log.h"
#include "tests/fake/dns_lab.h"

#define NAME "_mta-sts.example.com"

/* --- what servers do ------------------------------------------------------------------ */

static void
say_txt(struct packet *p, const struct dns_question *q)
{
    (void)q;
    packet_txt(p, NAME, "v=STSv1; id=1;");
}

static void
say_servfail(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->bytes[3] |= 2;
}

static void
say_refused(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->bytes[3] |= 5;
}

static void
say_nxdomain(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->bytes[3] |= 3;
    packet_soa(p, "example.com", 77);
}

static void
say_junk(struct packet *p, const struct dns_question *q)
{
    say_txt(p, q);
    p->bytes[p->len++] = 0;
}

static void
say_formerr_to_edns(struct packet *p, const struct dns_question *q)
{
    if (q->has_edns)
        p->bytes[3] |= 1;
    else
        say_txt(p, q);
}

static void
say_bare_notimp(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->bytes[3] |= 4;
    p->bytes[5] = 0;
    p->len = 12;
}

static void
say_cut(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->bytes[2] |= 0x02;
}

/* Four records by TCP, none by UDP. */
static void
say_cut_on_udp(struct packet *p, const struct dns_question *q)
{
    if (!q->by_tcp) {
        say_cut(p, q);
        return;
    }
    for (int i = 0; i < 4; i++)
        packet_txt_many(p, NAME, 4, 200);
}

static void
say_huge_on_tcp(struct packet *p, const struct dns_question *q)
{
    static const uint8_t filler[DNS_REPLY_MAX];

    if (q->by_tcp)
        packet_raw(p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    else
        say_cut(p, q);
}

/* As many records and bytes as a crowded apex has. */
static void
say_large_txt_on_tcp(struct packet *p, const struct dns_question *q)
{
    if (!q->by_tcp)
        say_cut(p, q);
    else
        say_txt(p, q);
    for (int i = 0; q->by_tcp && i < 120; i++)
        packet_txt_many(p, NAME, 1, 120);
}

static void
say_other_on_tcp(struct packet *p, const struct dns_question *q)
{
    say_cut_on_udp(p, q);
    if (q->by_tcp)
        p->bytes[0] ^= 1;
}

static void
close_tcp(struct packet *p, const struct dns_question *q)
{
    if (q->by_tcp)
        p->len = 0;
    else
        say_cut(p, q);
}

static void
say_alias(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->ttl_s = 40;
    p->bytes[3] |= 0x20;
    packet_name(p, PACKET_ANSWER, NAME, RR_CNAME, "_sts.provider.test");
}

static void
say_alias_insecurely(struct packet *p, const struct dns_question *q)
{
    say_alias(p, q);
    p->bytes[3] &= 0xdf;
}

static void
say_end_of_alias(struct packet *p, const struct dns_question *q)
{
    assert_memory_equal(q->bytes + 12, "\4_sts\10provider\4test", 20);
    p->bytes[3] |= 0x20;
    packet_txt(p, "_sts.provider.test", "v=STSv1; id=2;");
}

static void
say_end_of_alias_insecurely(struct packet *p, const struct dns_question *q)
{
    say_end_of_alias(p, q);
    p->bytes[3] &= 0xdf;
}

/* A new name each time: "a.test" leads to "b.test", and so on; "end.test" has a record. */
static void
say_next_alias(struct packet *p, const struct dns_question *q)
{
    char from[] = NAME, to[] = "a.test";

    if (q->bytes[12] == 1) {
        snprintf(from, sizeof(from), "%c.test", q->bytes[13]);
        to[0] = (char)(q->bytes[13] + 1);
    }
    packet_name(p, PACKET_ANSWER, from, RR_CNAME, to);
}

static void
say_back_and_forth(struct packet *p, const struct dns_question *q)
{
    if (q->bytes[12] == 1)
        packet_name(p, PACKET_ANSWER, "a.test", RR_CNAME, NAME);
    else
        packet_name(p, PACKET_ANSWER, NAME, RR_CNAME, "a.test");
}

/* --- one look-up ------------------------------------------------------------------------ */

static void
test_scripts(void **state)
{
    static dns_step *const
        txt[] = {say_txt, NULL},
        *const silent[] = {dns_server_silent, NULL}, *const servfail[] = {say_servfail, NULL},
        *const refused[] = {say_refused, NULL}, *const nxdomain[] = {say_nxdomain, NULL},
        *const junk[] = {say_junk, NULL}, *const formerr[] = {say_formerr_to_edns, NULL},
        *const notimp[] = {say_bare_notimp, say_txt, NULL},
        *const notimp_always[] = {say_bare_notimp, NULL},
        *const second_try[] = {dns_server_silent, say_txt, NULL},
        *const bad_then_txt[] = {say_junk, say_txt, NULL},
        *const silent_then_junk[] = {dns_server_silent, say_junk, NULL},
        *const junk_then_servfail[] = {say_junk, say_servfail, NULL},
        *const cut[] = {say_cut, NULL}, *const huge[] = {say_huge_on_tcp, NULL},
        *const large[] = {say_large_txt_on_tcp, NULL}, *const other[] = {say_other_on_tcp, NULL},
        *const closes[] = {close_tcp, NULL}, *const endless[] = {say_next_alias, NULL},
        *const loop[] = {say_back_and_forth, NULL};
    static const struct {
        const char *name;
        dns_step *const *first, *const *second;
        enum sts_error error;
        int asked_first, asked_second;
        const char *why; /* a part of it */
    } cases[] = {
        {"an answer", txt, NULL, STS_OK, 1, 0, ""},
        {"the first server is enough", txt, txt, STS_OK, 1, 0, ""},
        {"NXDOMAIN", nxdomain, txt, STS_NO_RECORD, 1, 0, ""},
        {"SERVFAIL, second server", servfail, txt, STS_OK, 1, 1, ""},
        {"REFUSED, second server", refused, nxdomain, STS_NO_RECORD, 1, 1, ""},
        {"SERVFAIL everywhere", servfail, servfail, STS_DNS_SERVFAIL, 2, 2, "SERVFAIL"},
        {"silence, second server", silent, txt, STS_OK, 1, 1, ""},
        {"one server, one packet lost", second_try, NULL, STS_OK, 2, 0, ""},
        {"silence everywhere", silent, silent, STS_DNS_TIMEOUT, 2, 2, "no reply"},
        {"bad reply, second server", junk, txt, STS_OK, 1, 1, ""},
        {"bad reply, second try", bad_then_txt, NULL, STS_OK, 2, 0, ""},
        {"bad replies", junk, junk, STS_DNS_BAD_REPLY, 2, 2, "behind the last"},
        {"the last failure counts", silent_then_junk, NULL, STS_DNS_BAD_REPLY, 2, 0, "behind"},
        {"the last failure counts too", junk_then_servfail, NULL, STS_DNS_SERVFAIL, 2, 0, ""},
        {"FORMERR to EDNS", formerr, NULL, STS_OK, 2, 0, ""},
        {"a bare NOTIMP to EDNS", notimp, txt, STS_OK, 2, 0, ""},
        {"NOTIMP always", notimp_always, NULL, STS_DNS_SERVFAIL, 3, 0, "error code"},
        {"cut over TCP", cut, NULL, STS_DNS_BAD_REPLY, 4, 0, "over TCP is cut"},
        {"too large over TCP", huge, NULL, STS_DNS_BAD_REPLY, 4, 0, "too large"},
        {"a large TXT set over TCP", large, NULL, STS_OK, 2, 0, ""},
        {"another reply over TCP", other, NULL, STS_DNS_BAD_REPLY, 4, 0, "another question"},
        {"TCP closed", closes, NULL, STS_DNS_BAD_REPLY, 4, 0, "broke off"},
        {"endless aliases", endless, NULL, STS_DNS_BAD_REPLY, 9, 0, "CNAME"},
        {"aliases in a circle", loop, NULL, STS_DNS_BAD_REPLY, 9, 0, "CNAME"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct dns_lab lab;
        dns_lab_open(&lab, cases[i].first, cases[i].second);
        dns_lab_look_up(&lab, NAME);
        const struct dns_lab_result *r = &lab.result;
        int asked[DNS_LAB_SERVERS] = {dns_server_asked(lab.servers[0]),
                                      lab.servers[1] ? dns_server_asked(lab.servers[1]) : 0};
        if (r->error != cases[i].error || strstr(r->why, cases[i].why) == NULL ||
            asked[0] != cases[i].asked_first || asked[1] != cases[i].asked_second)
            fail_msg("%s: %s (%s), asked %d and %d", cases[i].name, sts_error_name(r->error),
                     r->why, asked[0], asked[1]);
        if (r->error == STS_OK)
            assert_string_equal(r->text, "v=STSv1; id=1;");
        dns_lab_close(&lab);
    }
}

static void
test_negative_ttl(void **state)
{
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_nxdomain), NULL);
    dns_lab_look_up(&lab, NAME);
    assert_true(lab.result.nxdomain);
    assert_int_equal(lab.result.ttl_s, 77);
    dns_lab_close(&lab);
}

static void
test_forged_replies_are_ignored(void **state)
{
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    dns_server_forge(lab.servers[0]);
    dns_lab_look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    assert_int_equal(lab.result.count, 1);
    assert_int_equal(dns_server_asked(lab.servers[0]), 1);
    dns_lab_close(&lab);
}

static void
test_tcp(void **state)
{
    (void)state;
    for (int dribbles = 0; dribbles <= 1; dribbles++) {
        struct dns_lab lab;
        dns_lab_open(&lab, SCRIPT(say_cut_on_udp), NULL);
        if (dribbles)
            dns_server_dribble(lab.servers[0]);
        dns_lab_look_up(&lab, NAME);
        assert_int_equal(lab.result.error, STS_OK);
        assert_int_equal(lab.result.count, 4);
        assert_int_equal(dns_server_asked_by_tcp(lab.servers[0]), 1);
        dns_lab_close(&lab);
    }
}

static void
test_alias_over_two_queries(void **state)
{
    static dns_step *const secure[] = {say_alias, say_end_of_alias, NULL},
                           *const insecure_start[] = {say_alias_insecurely, say_end_of_alias, NULL},
                           *const insecure_end[] = {say_alias, dns_server_silent,
                                                    say_end_of_alias_insecurely, NULL};
    static const struct {
        dns_step *const *steps;
        bool authentic;
    } cases[] = {{secure, true}, {insecure_start, false}, {insecure_end, false}};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
        struct dns_lab lab;
        bool trusts = i % 2 == 1, authentic = cases[i / 2].authentic;
        dns_lab_open(&lab, cases[i / 2].steps, NULL);
        if (trusts)
            dns_lab_trust_ad(&lab);
        dns_lab_look_up(&lab, NAME);
        assert_int_equal(lab.result.error, STS_OK);
        assert_string_equal(lab.result.text, "v=STSv1; id=2;");
        assert_int_equal(lab.result.ttl_s, 40);
        assert_int_equal(lab.result.authentic, authentic);
        assert_int_equal(lab.result.secure, authentic && trusts);
        dns_lab_close(&lab);
    }
}

/* --- servers --------------------------------------------------------------------------- */

static void
test_silent_server_is_asked_last(void **state)
{
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(dns_server_silent), SCRIPT(say_txt));
    dns_lab_look_up(&lab, NAME);
    assert_true(lab.took_ms >= DNS_LAB_TIMEOUT_MS / 2);
    dns_lab_look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    assert_int_equal(dns_server_asked(lab.servers[0]), 1);
    assert_int_equal(dns_server_asked(lab.servers[1]), 2);
    dns_lab_close(&lab);
}

static FILE *log_file;
static int old_stderr;

static int
catch_log(void **state)
{
    (void)state;
    log_file = tmpfile();
    old_stderr = dup(STDERR_FILENO);
    return log_file == NULL || dup2(fileno(log_file), STDERR_FILENO) < 0;
}

static int
give_back_log(void **state)
{
    (void)state;
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    return fclose(log_file);
}

/* How many lines of the log hold the text. */
static int
logged(const char *text)
{
    char line[LOG_LINE_MAX];
    int count = 0;

    rewind(log_file);
    while (fgets(line, sizeof(line), log_file) != NULL)
        count += strstr(line, text) != NULL;
    return count;
}

/* The kernel says that nobody listens: no need to wait. The log says so once. */
static void
test_closed_port(void **state)
{
    struct dns_lab lab;
    char why[128], line[256];

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    snprintf(why, sizeof(why), "%s: no DNS server is there", lab.specs[0]);
    snprintf(line, sizeof(line),
             "warning: no DNS server answers: asked %s for " NAME "; the last fault: %s",
             lab.specs[0], why);
    dns_server_free(lab.servers[0]);
    lab.servers[0] = NULL;
    for (int i = 0; i < 2; i++) {
        dns_lab_look_up(&lab, NAME);
        assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
        assert_string_equal(lab.result.why, why);
        assert_true(lab.took_ms < DNS_LAB_PATIENCE_MS);
        assert_int_equal(logged(line), 1);
    }
    assert_int_equal(logged("warning"), 1);
    dns_lab_close(&lab);
}

/* One name that its own servers are silent about, between others: the resolver is not to blame. */
static void
test_silence_about_one_name(void **state)
{
    struct dns_lab_result other = {0};
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(dns_server_silent, say_txt, dns_server_silent), NULL);
    assert_non_null(dns_lookup_start(lab.dns, NAME, DNS_TXT, dns_lab_on_done, &lab.result));
    assert_non_null(dns_lookup_start(lab.dns, NAME, DNS_TXT, dns_lab_on_done, &other));
    dns_lab_turn(&lab, &lab.result.calls, 1);
    assert_int_equal(other.error, STS_OK);
    assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
    assert_int_equal(logged("warning"), 0);
    dns_lab_look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
    assert_int_equal(logged("warning: no DNS server answers"), 1);
    dns_lab_close(&lab);
}

static void
test_bad_server_in_settings(void **state)
{
    static const char *const specs[] = {"unix:/run/dns.sock", "inet:53@dns.example.com", "x"};
    struct event_base *base = event_base_new();

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
        char spec[64], why[256] = "", *items[] = {spec};
        struct settings settings = {.dns = {.servers = {items, 1}, .timeout_ms = 1000}};
        snprintf(spec, sizeof(spec), "%s", specs[i]);
        assert_null(dns_new(base, &settings, why, sizeof(why)));
        assert_non_null(strstr(why, spec));
    }
    event_base_free(base);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_negative_ttl),
        cmocka_unit_test(test_forged_replies_are_ignored),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_alias_over_two_queries),
        cmocka_unit_test(test_silent_server_is_asked_last),
        cmocka_unit_test_setup_teardown(test_closed_port, catch_log, give_back_log),
        cmocka_unit_test_setup_teardown(test_silence_about_one_name, catch_log, give_back_log),
        cmocka_unit_test(test_bad_server_in_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
