#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns_parse.h"
#include "cached/dns_screen.h"
#include "common/buf.h"
#include "tests/fake/dns_packet.h"

#define NAME "_mta-sts.example.com"

static struct packet p;

/* --- queries ------------------------------------------------------------------------ */

static void
test_query_bytes(void **state)
{
    static const uint8_t question[] = "\10_mta-sts\7example\3com\0\0\20\0\1";
    static const uint8_t opt[] = {0, 0, 41, 1232 >> 8, 1232 & 0xff, 0, 0, 0, 0, 0, 0};
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(NAME, DNS_TXT, false, false, query);
    size_t question_len = sizeof(question) - 1;

    (void)state;
    assert_int_equal(len, 12 + question_len + sizeof(opt));
    assert_memory_equal(query + 2, "\1\0\0\1\0\0\0\0\0\1", 10);
    assert_memory_equal(query + 12, question, question_len);
    assert_memory_equal(query + 12 + question_len, opt, sizeof(opt));

    assert_int_equal(dns_build_query(NAME, DNS_TXT, true, true, query), 12 + question_len);
    assert_memory_equal(query + 2, "\1\x20\0\1\0\0\0\0\0\0", 10);
}

static void
test_query_ids_differ(void **state)
{
    uint8_t a[DNS_QUERY_SIZE], b[DNS_QUERY_SIZE];
    int same = 0;

    (void)state;
    for (int i = 0; i < 8; i++) {
        dns_build_query(NAME, DNS_TXT, true, false, a);
        dns_build_query(NAME, DNS_TXT, true, false, b);
        same += memcmp(a, b, 2) == 0;
    }
    assert_true(same < 2);
}

static void
test_query_names(void **state)
{
    static const struct {
        const char *name;
        bool fits;
    } names[] = {
        {"a", true},      {"a.b-c._d", true},
        {"", false},      {".", true},
        {"a..b", false},  {".a", false},
        {"a.", false},    {"a b", false},
        {"a\\.b", false}, {"\xc3\xa4.test", false},
        {"a\x7f", false},
    };
    uint8_t query[DNS_QUERY_SIZE];
    char label[64 + 1] = "", name[300] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if ((dns_build_query(names[i].name, DNS_A, false, false, query) > 0) != names[i].fits)
            fail_msg("\"%s\"", names[i].name);
    }
    memset(label, 'x', 63);
    assert_true(dns_build_query(label, DNS_A, false, false, query) > 0);
    label[63] = 'x';
    assert_int_equal(dns_build_query(label, DNS_A, false, false, query), 0);
    label[63] = '\0';
    snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
    assert_int_equal(strlen(name), 253);
    assert_true(dns_build_query(name, DNS_A, false, false, query) > 0);
    snprintf(name, sizeof(name), "%s.%s.%s.%.62s", label, label, label, label);
    assert_int_equal(dns_build_query(name, DNS_A, false, false, query), 0);
}

/* --- replies ------------------------------------------------------------------------- */

static void
a_plain(void)
{
    packet_a(&p, NAME, "192.0.2.1");
    packet_a(&p, "other.test", "192.0.2.9");
    packet_a(&p, NAME, "192.0.2.2");
}

static void
aaaa_plain(void)
{
    packet_aaaa(&p, NAME, "2001:db8::1");
}

static void
txt_joined(void)
{
    packet_txt(&p, NAME, "v=STSv1;| id=1;|");
    p.ttl_s = 60;
    packet_txt(&p, NAME, "second");
}

static void
txt_case(void)
{
    packet_txt(&p, "_MTA-STS.Example.COM", "x");
}

static void
txt_empty_string(void)
{
    packet_txt(&p, NAME, "");
}

static void
mx_plain(void)
{
    packet_mx(&p, NAME, 20, "MX2.Example.com");
    packet_mx(&p, NAME, 10, "mx1.example.com");
}

static void
mx_null(void)
{
    packet_mx(&p, NAME, 7, ".");
}

static void
mx_null_and_other(void)
{
    packet_mx(&p, NAME, 0, ".");
    packet_mx(&p, NAME, 10, "mx.example.com");
}

static void
mx_odd_names(void)
{
    packet_mx(&p, NAME, 10, "Bad_host.example.com");
    packet_mx(&p, NAME, 20, "192.0.2.1");
}

static void
mx_no_hosts(void)
{
    packet_mx(&p, NAME, 10, "a b.example.com");
    packet_mx(&p, NAME, 10, "a,b.example.com");
}

static void
chain(int links)
{
    char from[64] = NAME, to[64];

    for (int i = 1; i <= links; i++) {
        snprintf(to, sizeof(to), "c%d.test", i);
        packet_name(&p, PACKET_ANSWER, from, RR_CNAME, to);
        memcpy(from, to, sizeof(from));
    }
    p.ttl_s = 200;
    packet_txt(&p, from, "end");
}

static void
chain_8(void)
{
    chain(8);
}

static void
chain_9(void)
{
    chain(9);
}

static void
chain_backwards(void)
{
    packet_txt(&p, "b.test", "end");
    p.ttl_s = 100;
    packet_name(&p, PACKET_ANSWER, "a.test", RR_CNAME, "B.test");
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, "A.test");
}

static void
loop_of_two(void)
{
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, "a.test");
    packet_name(&p, PACKET_ANSWER, "a.test", RR_CNAME, NAME);
}

static void
loop_of_one(void)
{
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, NAME);
}

static void
alias(void)
{
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, "_x.provider.test");
    packet_txt(&p, "elsewhere.test", "forged");
}

static void
alias_without_record(void)
{
    alias();
    packet_soa(&p, "provider.test", 70);
}

static void
alias_needs_escape(void)
{
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, "a b.test");
}

static void
alias_to_root(void)
{
    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, ".");
}

static void
nothing(void)
{
}

static void
soa_60(void)
{
    packet_soa(&p, "example.com", 60);
}

static void
soa_ttl_smaller(void)
{
    p.ttl_s = 30;
    packet_soa(&p, "example.com", 3600);
}

static void
soa_0(void)
{
    packet_soa(&p, "example.com", 0);
}

static void
referral(void)
{
    packet_name(&p, PACKET_AUTHORITY, "com", RR_NS, "a.gtld.test");
}

static void
nodata_with_ns(void)
{
    referral();
    soa_60();
}

static void
only_strangers(void)
{
    packet_txt(&p, "example.com", "v=STSv1; id=1;");
}

static void
high_ttl(void)
{
    p.ttl_s = 0x80000001;
    packet_txt(&p, NAME, "x");
}

static void
badvers(void)
{
    packet_raw(&p, PACKET_ADDITIONAL, ".", 41, "", 0);
    p.bytes[p.len - 6] = 1; /* the upper bits of the error code */
}

static void
ad_set(void)
{
    p.bytes[3] |= 0x20;
    packet_txt(&p, NAME, "x");
}

static void
opaque(void)
{
    packet_txt(&p, NAME, "x");
    packet_raw(&p, PACKET_ADDITIONAL, NAME, 99, "\0\0\0\0\0\0", 6);
    packet_raw(&p, PACKET_ADDITIONAL, NAME, 65280, "\xc0", 1);
}

/* `records` as show() writes them. */
static const struct {
    const char *name;
    enum dns_type type;
    void (*build)(void);
    unsigned rcode;
    const char *wanted;
} replies[] = {
    {"A", DNS_A, a_plain, 0, "ok ttl=300 192.0.2.1 192.0.2.2"},
    {"AAAA", DNS_AAAA, aaaa_plain, 0, "ok ttl=300 2001:db8::1"},
    {"A asked, AAAA there", DNS_A, aaaa_plain, 0, "no-record ttl=0"},
    {"TXT, strings joined", DNS_TXT, txt_joined, 0, "ok ttl=60 'v=STSv1; id=1;' 'second'"},
    {"TXT, another case", DNS_TXT, txt_case, 0, "ok ttl=300 'x'"},
    {"TXT, an empty string", DNS_TXT, txt_empty_string, 0, "ok ttl=300 ''"},
    {"MX", DNS_MX, mx_plain, 0, "ok ttl=300 20:mx2.example.com 10:mx1.example.com"},
    {"null MX", DNS_MX, mx_null, 0, "ok ttl=300 7:"},
    {"null MX beside another", DNS_MX, mx_null_and_other, 0, "ok ttl=300 10:mx.example.com"},
    {"MX of no host names", DNS_MX, mx_odd_names, 0,
     "ok ttl=300 10:bad_host.example.com 20:192.0.2.1"},
    {"MX without hosts", DNS_MX, mx_no_hosts, 0, "ok ttl=300"},
    {"8 CNAMEs", DNS_TXT, chain_8, 0, "ok ttl=200 links=8 'end'"},
    {"9 CNAMEs", DNS_TXT, chain_9, 0, "dns-bad-reply ttl=0 links=9"},
    {"CNAMEs in wrong order", DNS_TXT, chain_backwards, 0, "ok ttl=100 links=2 'end'"},
    {"loop of two", DNS_TXT, loop_of_two, 0, "dns-bad-reply ttl=0 links=9"},
    {"loop of one", DNS_TXT, loop_of_one, 0, "dns-bad-reply ttl=0 links=9"},
    {"alias", DNS_TXT, alias, 0, "ok ttl=300 links=1 alias=_x.provider.test"},
    {"alias, nothing there", DNS_TXT, alias_without_record, 0, "no-record ttl=70 links=1"},
    {"alias, NXDOMAIN", DNS_TXT, alias, 3, "no-record nxdomain ttl=0 links=1"},
    {"alias that needs escapes", DNS_TXT, alias_needs_escape, 0, "dns-bad-reply ttl=0 links=1"},
    {"alias to the root", DNS_TXT, alias_to_root, 0, "dns-bad-reply ttl=0 links=1"},
    {"nothing", DNS_TXT, nothing, 0, "no-record ttl=0"},
    {"NODATA", DNS_TXT, soa_60, 0, "no-record ttl=60"},
    {"NXDOMAIN", DNS_TXT, soa_60, 3, "no-record nxdomain ttl=60"},
    {"NXDOMAIN, no SOA", DNS_TXT, nothing, 3, "no-record nxdomain ttl=0"},
    {"NXDOMAIN with records", DNS_TXT, txt_joined, 3, "dns-bad-reply nxdomain ttl=0"},
    {"SOA TTL below minimum", DNS_TXT, soa_ttl_smaller, 3, "no-record nxdomain ttl=30"},
    {"SOA minimum 0", DNS_TXT, soa_0, 3, "no-record nxdomain ttl=1"},
    {"referral", DNS_TXT, referral, 0, "dns-servfail ttl=0"},
    {"NODATA with NS", DNS_TXT, nodata_with_ns, 0, "no-record ttl=60"},
    {"only others' records", DNS_TXT, only_strangers, 0, "no-record ttl=0"},
    {"TTL with the top bit", DNS_TXT, high_ttl, 0, "ok ttl=0 'x'"},
    {"AD", DNS_TXT, ad_set, 0, "ok authentic ttl=300 'x'"},
    {"FORMERR", DNS_TXT, nothing, 1, "dns-servfail plain ttl=0"},
    {"SERVFAIL", DNS_TXT, nothing, 2, "dns-servfail ttl=0"},
    {"SERVFAIL with a record", DNS_TXT, txt_joined, 2, "dns-servfail ttl=0"},
    {"NOTIMP", DNS_TXT, nothing, 4, "dns-servfail plain ttl=0"},
    {"REFUSED", DNS_TXT, nothing, 5, "dns-servfail ttl=0"},
    {"BADVERS", DNS_TXT, badvers, 0, "dns-servfail plain ttl=0"},
    {"records of unknown types", DNS_TXT, opaque, 0, "ok ttl=300 'x'"},
};

static void
show_record(struct buf *b, enum dns_type type, const struct dns_record *record)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&record->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&record->address;
    char text[INET6_ADDRSTRLEN] = "?";

    switch (type) {
    case DNS_A:
        assert_int_equal(v4->sin_family, AF_INET);
        buf_printf(b, " %s", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)));
        break;
    case DNS_AAAA:
        assert_int_equal(v6->sin6_family, AF_INET6);
        buf_printf(b, " %s", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)));
        break;
    case DNS_MX:
        buf_printf(b, " %d:%s", record->preference, record->host);
        break;
    case DNS_TXT:
    case DNS_TLSA:
        buf_printf(b, " '%.*s'", (int)record->text.len, record->text.at);
        break;
    case DNS_CNAME:
    case DNS_SOA:
        buf_add_string(b, " there");
        break;
    }
}

static void
show(struct buf *b, enum dns_type type, const struct dns_answer *answer)
{
    buf_printf(b, "%s%s%s%s ttl=%u", sts_error_name(answer->error),
               answer->nxdomain ? " nxdomain" : "", answer->authentic ? " authentic" : "",
               answer->wants_plain ? " plain" : "", answer->ttl_s);
    if (answer->links)
        buf_printf(b, " links=%d", answer->links);
    if (answer->alias[0])
        buf_printf(b, " alias=%s", answer->alias);
    for (size_t i = 0; answer->error == STS_OK && i < answer->count; i++)
        show_record(b, type, &answer->records[i]);
}

static void
test_replies(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
        struct dns_answer answer;
        struct buf got;
        size_t len = dns_build_query(NAME, replies[i].type, false, false, query);
        packet_reply(&p, query, len, replies[i].rcode);
        replies[i].build();
        assert_int_equal(dns_screen(query, len, p.bytes, p.len, &why), DNS_SCREEN_OK);
        dns_parse_reply(p.bytes, p.len, NAME, replies[i].type, &answer);
        buf_init(&got, 10000);
        show(&got, replies[i].type, &answer);
        if (strcmp(buf_string(&got), replies[i].wanted) != 0)
            fail_msg("%s: wanted \"%s\", got \"%s\"", replies[i].name, replies[i].wanted,
                     buf_string(&got));
        assert_int_equal(sts_error_is_dns(answer.error), answer.why[0] != '\0');
        buf_done(&got);
        dns_answer_done(&answer);
    }
}

static void
test_text_keeps_all_bytes(void **state)
{
    static const uint8_t rdata[] = {3, 0, 0xff, '"', 0, 2, '\\', 0};
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;

    (void)state;
    packet_reply(&p, query, dns_build_query(NAME, DNS_TXT, false, false, query), 0);
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TXT, rdata, sizeof(rdata));
    dns_parse_reply(p.bytes, p.len, NAME, DNS_TXT, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.records[0].text.len, 5);
    assert_memory_equal(answer.records[0].text.at, "\0\xff\"\\\0", 5);
    dns_answer_done(&answer);
}

static void
test_tlsa(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;
    const struct dns_record *records;

    (void)state;
    packet_reply(&p, query, dns_build_query(NAME, DNS_TLSA, false, true, query), 0);
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TLSA, "\3\1\2ab\0", 6);
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TLSA, "\2\0\377", 3);
    dns_parse_reply(p.bytes, p.len, NAME, DNS_TLSA, &answer);
    assert_int_equal(answer.error, STS_OK);
    assert_int_equal(answer.count, 2);
    records = answer.records;
    assert_int_equal(records[0].usage, 3);
    assert_int_equal(records[0].selector, 1);
    assert_int_equal(records[0].matching, 2);
    assert_int_equal(records[0].text.len, 3);
    assert_memory_equal(records[0].text.at, "ab\0", 3);
    assert_int_equal(records[1].usage, 2);
    assert_int_equal(records[1].matching, 255);
    assert_int_equal(records[1].text.len, 0);
    dns_answer_done(&answer);
}

/* The name that has the records, in lower case, whatever the chain that led there. */
static void
test_end_of_chain(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;

    (void)state;
    packet_reply(&p, query, dns_build_query("a.test", DNS_A, false, true, query), 0);
    packet_name(&p, PACKET_ANSWER, "A.test", RR_CNAME, "B.Test");
    packet_name(&p, PACKET_ANSWER, "b.TEST", RR_CNAME, "Real.Host.test");
    packet_a(&p, "real.host.test", "192.0.2.1");
    dns_parse_reply(p.bytes, p.len, "a.test", DNS_A, &answer);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.end, "real.host.test");
    dns_answer_done(&answer);
    /* The alias itself, when that is asked for. */
    packet_reply(&p, query, dns_build_query("a.test", DNS_CNAME, false, true, query), 0);
    packet_name(&p, PACKET_ANSWER, "a.test", RR_CNAME, "b.test");
    dns_parse_reply(p.bytes, p.len, "a.test", DNS_CNAME, &answer);
    assert_int_equal(answer.error, STS_OK);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.end, "a.test");
    dns_answer_done(&answer);
}

/* What the start check asks for. */
static void
test_root(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    struct dns_answer answer;
    static const uint8_t soa[22];
    size_t len = dns_build_query(".", DNS_SOA, true, true, query);
    const char *why;

    (void)state;
    assert_int_equal(len, 12 + 1 + 4);
    packet_reply(&p, query, len, 0);
    packet_raw(&p, PACKET_ANSWER, ".", RR_SOA, soa, sizeof soa);
    p.bytes[3] |= 0x20; /* AD */
    assert_int_equal(dns_screen(query, len, p.bytes, p.len, &why), DNS_SCREEN_OK);
    dns_parse_reply(p.bytes, p.len, ".", DNS_SOA, &answer);
    assert_int_equal(answer.error, STS_OK);
    assert_int_equal(answer.count, 1);
    assert_true(answer.authentic);
    dns_answer_done(&answer);
}

/* A header alone may carry an error. */
static void
test_bare_error(void **state)
{
    static const uint8_t reply[12] = {1, 2, 0x81, 0x81};
    struct dns_answer answer;

    (void)state;
    dns_parse_reply(reply, sizeof(reply), NAME, DNS_TXT, &answer);
    assert_int_equal(answer.error, STS_DNS_SERVFAIL);
    assert_true(answer.wants_plain);
    dns_answer_done(&answer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_bytes),
        cmocka_unit_test(test_query_ids_differ),
        cmocka_unit_test(test_query_names),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_text_keeps_all_bytes),
        cmocka_unit_test(test_bare_error),
        cmocka_unit_test(test_tlsa),
        cmocka_unit_test(test_end_of_chain),
        cmocka_unit_test(test_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
