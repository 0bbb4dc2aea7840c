#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cached/dns.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "tests/fake/dns_server.h"

#define NAME "_mta-sts.example.com"

enum { TIMEOUT_MS = 400, PATIENCE_MS = 5000, SERVERS = 2, MANY = 1500 };

/* --- what servers do ------------------------------------------------------------------ */

static void
say_txt(struct packet *p, const struct dns_question *q)
{
    (void)q;
    packet_txt(p, NAME, "v=STSv1; id=1;");
}

static void
say_nothing(struct packet *p, const struct dns_question *q)
{
    (void)q;
    p->len = 0;
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
    static const uint8_t filler[16384];

    if (q->by_tcp)
        packet_raw(p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    else
        say_cut(p, q);
}

/* Fits a reply, but not one to a TXT question. */
static void
say_large_txt_on_tcp(struct packet *p, const struct dns_question *q)
{
    if (!q->by_tcp)
        say_cut(p, q);
    for (int i = 0; q->by_tcp && i < 6; i++)
        packet_txt_many(p, NAME, 4, 200);
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

/* --- the laboratory -------------------------------------------------------------------- */

struct result {
    int calls;
    enum sts_error error;
    bool nxdomain, authentic;
    uint32_t ttl_s;
    size_t count, text_len;
    char text[64];
    char why[128];
};

struct lab {
    struct event_base *base;
    struct dns_server *servers[SERVERS];
    struct settings settings;
    char *specs[SERVERS];
    struct dns *dns;
    struct result result;
    int64_t took_ms;
};

static void
on_done(const struct dns_answer *answer, void *arg)
{
    struct result *result = arg;

    result->calls++;
    result->error = answer->error;
    result->nxdomain = answer->nxdomain;
    result->authentic = answer->authentic;
    result->ttl_s = answer->ttl_s;
    result->count = answer->count;
    snprintf(result->why, sizeof(result->why), "%s", answer->why);
    if (answer->error == STS_OK && answer->count > 0)
        snprintf(result->text, sizeof(result->text), "%.*s", (int)answer->records[0].text.len,
                 answer->records[0].text.at);
}

/* Only where a server is silent is the timeout short: a busy machine must change no outcome. */
static int64_t
timeout_for(dns_step *const *steps)
{
    for (; steps != NULL && *steps != NULL; steps++) {
        if (*steps == say_nothing)
            return TIMEOUT_MS;
    }
    return PATIENCE_MS;
}

static void
lab_open(struct lab *lab, dns_step *const *first, dns_step *const *second)
{
    char why[256] = "";
    dns_step *const *steps[SERVERS] = {first, second};

    *lab = (struct lab){.base = event_base_new()};
    for (size_t i = 0; i < SERVERS && steps[i] != NULL; i++) {
        lab->servers[i] = dns_server_new(lab->base, steps[i]);
        lab->specs[i] = dns_server_spec(lab->servers[i]);
        lab->settings.dns.servers.count++;
    }
    lab->settings.dns.servers.items = lab->specs;
    lab->settings.dns.timeout_ms = timeout_for(first);
    lab->dns = dns_new(lab->base, &lab->settings, why, sizeof(why));
    if (lab->dns == NULL)
        fail_msg("%s", why);
}

static void
lab_close(struct lab *lab)
{
    dns_free(lab->dns);
    for (size_t i = 0; i < SERVERS; i++)
        dns_server_free(lab->servers[i]);
    event_base_loop(lab->base, EVLOOP_NONBLOCK);
    event_base_free(lab->base);
}

/* Turns the loop until `calls` have come, 20 s at most. */
static void
turn(struct lab *lab, const int *calls, int wanted)
{
    int64_t end_ms = clock_boot_ms() + 20000;

    while (*calls < wanted && clock_boot_ms() < end_ms) {
        const struct timeval soon = {0, 10000};
        event_base_loopexit(lab->base, &soon);
        event_base_loop(lab->base, EVLOOP_ONCE);
    }
    assert_int_equal(*calls, wanted);
}

static void
look_up(struct lab *lab, const char *name)
{
    int64_t start_ms = clock_boot_ms();

    lab->result = (struct result){0};
    assert_non_null(dns_lookup_start(lab->dns, name, DNS_TXT, on_done, &lab->result));
    assert_int_equal(lab->result.calls, 0);
    turn(lab, &lab->result.calls, 1);
    lab->took_ms = clock_boot_ms() - start_ms;
}

/* --- one look-up ------------------------------------------------------------------------ */

#define SCRIPT(...) ((dns_step *const[]){__VA_ARGS__, NULL})

static void
test_scripts(void **state)
{
    static dns_step *const
        txt[] = {say_txt, NULL},
        *const silent[] = {say_nothing, NULL}, *const servfail[] = {say_servfail, NULL},
        *const refused[] = {say_refused, NULL}, *const nxdomain[] = {say_nxdomain, NULL},
        *const junk[] = {say_junk, NULL}, *const formerr[] = {say_formerr_to_edns, NULL},
        *const notimp[] = {say_bare_notimp, say_txt, NULL},
        *const notimp_always[] = {say_bare_notimp, NULL},
        *const second_try[] = {say_nothing, say_txt, NULL},
        *const bad_then_txt[] = {say_junk, say_txt, NULL},
        *const silent_then_junk[] = {say_nothing, say_junk, NULL},
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
        {"TXT too large over TCP", large, NULL, STS_DNS_BAD_REPLY, 4, 0, "too large"},
        {"another reply over TCP", other, NULL, STS_DNS_BAD_REPLY, 4, 0, "another question"},
        {"TCP closed", closes, NULL, STS_DNS_BAD_REPLY, 4, 0, "broke off"},
        {"endless aliases", endless, NULL, STS_DNS_BAD_REPLY, 9, 0, "CNAME"},
        {"aliases in a circle", loop, NULL, STS_DNS_BAD_REPLY, 9, 0, "CNAME"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct lab lab;
        lab_open(&lab, cases[i].first, cases[i].second);
        look_up(&lab, NAME);
        const struct result *r = &lab.result;
        int asked[SERVERS] = {dns_server_asked(lab.servers[0]),
                              lab.servers[1] ? dns_server_asked(lab.servers[1]) : 0};
        if (r->error != cases[i].error || strstr(r->why, cases[i].why) == NULL ||
            asked[0] != cases[i].asked_first || asked[1] != cases[i].asked_second)
            fail_msg("%s: %s (%s), asked %d and %d", cases[i].name, sts_error_name(r->error),
                     r->why, asked[0], asked[1]);
        if (r->error == STS_OK)
            assert_string_equal(r->text, "v=STSv1; id=1;");
        lab_close(&lab);
    }
}

static void
test_negative_ttl(void **state)
{
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_nxdomain), NULL);
    look_up(&lab, NAME);
    assert_true(lab.result.nxdomain);
    assert_int_equal(lab.result.ttl_s, 77);
    lab_close(&lab);
}

static void
test_forged_replies_are_ignored(void **state)
{
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_txt), NULL);
    dns_server_forge(lab.servers[0]);
    look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    assert_int_equal(lab.result.count, 1);
    assert_int_equal(dns_server_asked(lab.servers[0]), 1);
    lab_close(&lab);
}

static void
test_tcp(void **state)
{
    (void)state;
    for (int dribbles = 0; dribbles <= 1; dribbles++) {
        struct lab lab;
        lab_open(&lab, SCRIPT(say_cut_on_udp), NULL);
        if (dribbles)
            dns_server_dribble(lab.servers[0]);
        look_up(&lab, NAME);
        assert_int_equal(lab.result.error, STS_OK);
        assert_int_equal(lab.result.count, 4);
        assert_int_equal(dns_server_asked_by_tcp(lab.servers[0]), 1);
        lab_close(&lab);
    }
}

static void
test_alias_over_two_queries(void **state)
{
    static dns_step *const secure[] = {say_alias, say_end_of_alias, NULL},
                           *const insecure_start[] = {say_alias_insecurely, say_end_of_alias, NULL},
                           *const insecure_end[] = {say_alias, say_nothing,
                                                    say_end_of_alias_insecurely, NULL};
    static const struct {
        dns_step *const *steps;
        bool authentic;
    } cases[] = {{secure, true}, {insecure_start, false}, {insecure_end, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct lab lab;
        lab_open(&lab, cases[i].steps, NULL);
        look_up(&lab, NAME);
        assert_int_equal(lab.result.error, STS_OK);
        assert_string_equal(lab.result.text, "v=STSv1; id=2;");
        assert_int_equal(lab.result.ttl_s, 40);
        assert_int_equal(lab.result.authentic, cases[i].authentic);
        lab_close(&lab);
    }
}

/* --- servers --------------------------------------------------------------------------- */

static void
test_silent_server_is_asked_last(void **state)
{
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_nothing), SCRIPT(say_txt));
    look_up(&lab, NAME);
    assert_true(lab.took_ms >= TIMEOUT_MS / 2);
    look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    assert_int_equal(dns_server_asked(lab.servers[0]), 1);
    assert_int_equal(dns_server_asked(lab.servers[1]), 2);
    lab_close(&lab);
}

/* The kernel says that nobody listens: no need to wait. */
static void
test_closed_port(void **state)
{
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_txt), NULL);
    dns_server_free(lab.servers[0]);
    lab.servers[0] = NULL;
    look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
    assert_non_null(strstr(lab.result.why, "no DNS server"));
    assert_true(lab.took_ms < PATIENCE_MS);
    lab_close(&lab);
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

/* --- many, none, and no more ------------------------------------------------------------- */

static void
test_name_that_dns_cannot_hold(void **state)
{
    char name[300];
    struct lab lab;

    (void)state;
    memset(name, 'x', sizeof(name));
    for (size_t i = 50; i < 260; i += 50)
        name[i] = '.';
    lab_open(&lab, SCRIPT(say_txt), NULL);
    name[254] = '\0';
    look_up(&lab, name);
    assert_int_equal(lab.result.error, STS_NO_RECORD);
    name[254] = 'x';
    name[299] = '\0';
    look_up(&lab, name);
    assert_int_equal(lab.result.error, STS_NO_RECORD);
    assert_int_equal(dns_server_asked(lab.servers[0]), 0);
    lab_close(&lab);
}

static void
test_cancel(void **state)
{
    struct lab lab;
    struct result result = {0};
    struct dns_lookup *lookup;

    (void)state;
    lab_open(&lab, SCRIPT(say_txt), NULL);
    lookup = dns_lookup_start(lab.dns, NAME, DNS_TXT, on_done, &result);
    dns_lookup_cancel(lookup);
    dns_lookup_cancel(NULL);
    look_up(&lab, NAME);
    assert_int_equal(result.calls, 0);
    lab_close(&lab);
}

static void
test_free_while_running(void **state)
{
    static struct result results[MANY];
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_txt), NULL);
    for (size_t i = 0; i < MANY; i++)
        assert_non_null(dns_lookup_start(lab.dns, NAME, DNS_TXT, on_done, &results[i]));
    lab_close(&lab);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(results[i].calls, 0);
}

static void
set_files(rlim_t soft)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int
count_open_files(void)
{
    int count = 0;

    for (int fd = 0; fd < 2 * MANY; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Only so many run at a time; the others have their turn. A cancelled one makes room. */
static void
test_many(void **state)
{
    static struct dns_lookup *lookups[MANY];
    struct result all = {0};
    struct lab lab;

    (void)state;
    set_files(2 * MANY);
    lab_open(&lab, SCRIPT(say_txt), NULL);
    int before = count_open_files();
    for (size_t i = 0; i < MANY; i++)
        lookups[i] = dns_lookup_start(lab.dns, NAME, DNS_TXT, on_done, &all);
    assert_int_equal(count_open_files(), before + DNS_RUNNING_MAX);
    dns_lookup_cancel(lookups[0]);
    dns_lookup_cancel(lookups[MANY - 1]);
    assert_int_equal(count_open_files(), before + DNS_RUNNING_MAX);
    turn(&lab, &all.calls, MANY - 2);
    assert_int_equal(all.error, STS_OK);
    assert_int_equal(count_open_files(), before);
    lab_close(&lab);
}

static void
test_no_descriptors(void **state)
{
    struct lab lab;

    (void)state;
    lab_open(&lab, SCRIPT(say_txt), NULL);
    set_files(3);
    look_up(&lab, NAME);
    set_files(1024);
    assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
    assert_non_null(strstr(lab.result.why, "could not be sent"));
    look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    lab_close(&lab);
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
        cmocka_unit_test(test_closed_port),
        cmocka_unit_test(test_bad_server_in_settings),
        cmocka_unit_test(test_name_that_dns_cannot_hold),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_while_running),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
