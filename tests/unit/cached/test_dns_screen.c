#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns_parse.h"
#include "cached/dns_screen.h"
#include "tests/fake/screen_case.h"

#define NAME SCREEN_NAME
#define QUESTION_END (12 + sizeof(NAME) + 1 + 4)

static struct packet p; /* the reply that a case builds */

static void
sound_txt(void)
{
    packet_txt(&p, NAME, "v=STSv1; id=1;");
}

static void
nothing(void)
{
}

static void
every_known_type(void)
{
    static const uint8_t opaque[] = {0xc0, 0xff, 0xc0}, srv[] = {0, 1, 0, 2, 0, 25, 0};
    static const uint8_t rrsig[18 + 3] = {[18] = 0, [19] = 7};

    packet_name(&p, PACKET_ANSWER, NAME, RR_CNAME, "a.example.com");
    packet_a(&p, "a.example.com", "192.0.2.1");
    packet_aaaa(&p, "a.example.com", "2001:db8::1");
    packet_mx(&p, "a.example.com", 10, "mx.example.com");
    packet_raw(&p, PACKET_ANSWER, "a.example.com", 46, rrsig, sizeof(rrsig));
    packet_soa(&p, "example.com", 60);
    packet_name(&p, PACKET_AUTHORITY, "example.com", RR_NS, "ns.example.com");
    packet_raw(&p, PACKET_ADDITIONAL, "a.example.com", 33, srv, sizeof(srv));
    packet_raw(&p, PACKET_ADDITIONAL, "a.example.com", 65280, opaque, sizeof(opaque));
}

static void
one_opt(void)
{
    sound_txt();
    packet_raw(&p, PACKET_ADDITIONAL, ".", 41, "", 0);
    p.bytes[p.len - 8] = 0x04; /* its class is a size */
}

static void
two_opts(void)
{
    one_opt();
    packet_raw(&p, PACKET_ADDITIONAL, ".", 41, "", 0);
}

static void
opt_as_answer(void)
{
    packet_raw(&p, PACKET_ANSWER, ".", 41, "", 0);
}

static void
opt_as_authority(void)
{
    packet_raw(&p, PACKET_AUTHORITY, ".", 41, "", 0);
    packet_raw(&p, PACKET_ADDITIONAL, ".", 41, "", 0);
}

static void
full_txt(void)
{
    packet_txt_many(&p, NAME, 16, 255);
}

static void
strings_64(void)
{
    packet_txt_many(&p, NAME, 64, 10);
}

static void
strings_65(void)
{
    packet_txt_many(&p, NAME, 65, 10);
}

static void
wide_txt(void)
{
    packet_txt_many(&p, NAME, 17, 240); /* 4,097 bytes */
}

/* A TXT record of empty strings that makes the reply `total` bytes long. */
static void
bomb(size_t total)
{
    packet_txt_many(&p, NAME, total - p.len - sizeof(NAME) - 1 - 10, 0);
    assert_int_equal(p.len, total);
}

static void
bomb_1232(void)
{
    bomb(1232);
}

static void
bomb_4096(void)
{
    bomb(4096);
}

static void
bomb_65535(void)
{
    bomb(65535);
}

static void
bomb_in_additional(void)
{
    static const uint8_t empty_strings[900];

    sound_txt();
    packet_raw(&p, PACKET_ADDITIONAL, "other.test", RR_TXT, empty_strings, sizeof(empty_strings));
}

static void
txt_set(int count, size_t len)
{
    for (int i = 0; i < count; i++)
        packet_txt_many(&p, NAME, 1, len);
}

/* What a wildcard's alias for a crowded apex brings. */
static void
apex_txt_set(void)
{
    txt_set(48, 60);
    txt_set(17, 243);
    packet_txt_many(&p, NAME, 5, 255);
}

static void
full_txt_set(void)
{
    txt_set(127, 127);
}

static void
large_txt_set(void)
{
    txt_set(73, 250);
}

static void
string_past_record(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TXT, "\5abcd", 5);
}

static void
empty_txt(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TXT, "", 0);
}

static void
records(int count)
{
    for (int i = 0; i < count; i++)
        packet_txt(&p, NAME, "x");
}

static void
records_128(void)
{
    records(128);
}

static void
records_129(void)
{
    records(129);
}

static void
records_over_sections(void)
{
    records(127);
    packet_soa(&p, "example.com", 60);
    packet_name(&p, PACKET_ADDITIONAL, "x.test", RR_NS, "y.test");
}

static void
tsig(void)
{
    packet_raw(&p, PACKET_ADDITIONAL, "key.test", 250, "", 0);
}

static void
two_tsigs(void)
{
    tsig();
    tsig();
}

static void
sig0(void)
{
    static const uint8_t rdata[20];

    packet_raw(&p, PACKET_ADDITIONAL, ".", 24, rdata, sizeof(rdata));
}

static void
chaos_class(void)
{
    sound_txt();
    p.bytes[QUESTION_END + sizeof(NAME) + 1 + 3] = 3;
}

static void
trailing_byte(void)
{
    sound_txt();
    p.bytes[p.len++] = 0;
}

static void
count_too_high(void)
{
    sound_txt();
    p.bytes[7]++;
}

static void
count_too_low(void)
{
    records(2);
    p.bytes[7]--;
}

static void
rdlength_past_end(void)
{
    sound_txt();
    p.len--;
}

static void
short_a(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_A, "abc", 3);
}

static void
long_cname(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, "\1a\0x", 4);
}

static void
short_mx(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_MX, "\0", 1);
}

static void
mx_without_host(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_MX, "\0\1", 2);
}

static void
short_tlsa(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TLSA, "\3\1", 2);
}

static void
tlsa_without_data(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_TLSA, "\3\1\1", 3);
}

static void
soa_of_one_name(void)
{
    packet_raw(&p, PACKET_AUTHORITY, NAME, RR_SOA, "", 1);
}

static void
short_soa(void)
{
    packet_raw(&p, PACKET_AUTHORITY, NAME, RR_SOA, "\0\0abcdefghijklmnopqrs", 21);
}

static void
other_id(void)
{
    sound_txt();
    p.bytes[1] ^= 1;
}

static void
a_query(void)
{
    sound_txt();
    p.bytes[2] &= 0x7f;
}

static void
other_opcode(void)
{
    sound_txt();
    p.bytes[2] |= 0x20;
}

static void
other_name(void)
{
    sound_txt();
    p.bytes[14] = 'x';
}

static void
other_case(void)
{
    sound_txt();
    p.bytes[14] = 'M';
}

static void
other_type(void)
{
    sound_txt();
    p.bytes[QUESTION_END - 3] = RR_A;
}

static void
other_class(void)
{
    sound_txt();
    p.bytes[QUESTION_END - 1] = 3;
}

static void
two_questions(void)
{
    sound_txt();
    p.bytes[5] = 2;
}

static void
no_question(void)
{
    memmove(p.bytes + 12, p.bytes + QUESTION_END, p.len - QUESTION_END);
    p.bytes[5] = 0;
    p.len = 12;
}

static void
bare_formerr(void)
{
    no_question();
    p.bytes[3] = 1;
}

static void
bare_nxdomain(void)
{
    no_question();
    p.bytes[3] = 3;
}

static void
question_cut(void)
{
    p.len -= 1;
}

static void
header_cut(void)
{
    p.len = 11;
}

static void
tc(void)
{
    sound_txt();
    p.bytes[2] |= 0x02;
    p.len -= 5;
}

static void
tc_of_other_id(void)
{
    tc();
    p.bytes[0] ^= 0x80;
}

static const struct screen_case cases[] = {
    {"a TXT record", sound_txt, GOOD, NULL},
    {"no record", nothing, GOOD, NULL},
    {"known types", every_known_type, GOOD, NULL},
    {"OPT", one_opt, GOOD, NULL},
    {"two OPTs", two_opts, BAD, "OPT"},
    {"OPT as answer", opt_as_answer, BAD, "OPT"},
    {"OPT as authority", opt_as_authority, BAD, "OPT"},
    {"TXT of 4,096 bytes", full_txt, GOOD, NULL},
    {"64 strings", strings_64, GOOD, NULL},
    {"65 strings", strings_65, BAD, "too many strings"},
    {"TXT of 4,097 bytes", wide_txt, BAD, "too large"},
    {"TXT bomb, 1,232 bytes", bomb_1232, BAD, "TXT record"},
    {"TXT bomb, 4,096 bytes", bomb_4096, BAD, "TXT record"},
    {"TXT bomb, 65,535 bytes", bomb_65535, BAD, "reply is too large"},
    {"TXT bomb beside the answer", bomb_in_additional, BAD, "too many strings"},
    {"TXT set of an apex", apex_txt_set, GOOD, NULL},
    {"127 TXT records of 127 bytes", full_txt_set, GOOD, NULL},
    {"large TXT set", large_txt_set, BAD, "reply is too large"},
    {"string past its record", string_past_record, BAD, "string runs past"},
    {"empty TXT", empty_txt, BAD, "empty"},
    {"128 records", records_128, GOOD, NULL},
    {"129 records", records_129, BAD, "too many records"},
    {"129 records in three sections", records_over_sections, BAD, "too many records"},
    {"TSIG", tsig, BAD, "signed"},
    {"two TSIGs", two_tsigs, BAD, "signed"},
    {"SIG(0)", sig0, BAD, "signed"},
    {"another class", chaos_class, BAD, "class"},
    {"a byte too many", trailing_byte, BAD, "behind the last"},
    {"count too high", count_too_high, BAD, "past the end"},
    {"count too low", count_too_low, BAD, "behind the last"},
    {"RDLENGTH past the end", rdlength_past_end, BAD, "past the end"},
    {"A of 3 bytes", short_a, BAD, "fill"},
    {"CNAME with a tail", long_cname, BAD, "fill"},
    {"MX of 1 byte", short_mx, BAD, "fill"},
    {"TLSA of two bytes", short_tlsa, BAD, "does not fill its length"},
    {"TLSA without data", tlsa_without_data, GOOD, NULL},
    {"MX without a host", mx_without_host, BAD, "fill"},
    {"SOA of one name", soa_of_one_name, BAD, "fill"},
    {"SOA of 21 bytes", short_soa, BAD, "fill"},
    {"another id", other_id, OTHER, NULL},
    {"a query", a_query, OTHER, NULL},
    {"another opcode", other_opcode, OTHER, NULL},
    {"another name", other_name, OTHER, NULL},
    {"another case", other_case, GOOD, NULL},
    {"another type", other_type, OTHER, NULL},
    {"another class in the question", other_class, OTHER, NULL},
    {"two questions", two_questions, OTHER, NULL},
    {"no question", no_question, OTHER, NULL},
    {"a bare FORMERR", bare_formerr, GOOD, NULL},
    {"a bare NXDOMAIN", bare_nxdomain, OTHER, NULL},
    {"question cut", question_cut, OTHER, NULL},
    {"header cut", header_cut, OTHER, NULL},
    {"TC", tc, CUT, NULL},
    {"TC of another id", tc_of_other_id, OTHER, NULL},
};

static void
test_cases(void **state)
{
    (void)state;
    screen_case_run(&p, cases, sizeof(cases) / sizeof(*cases));
}

/* Other questions have replies as large, of fewer records. */
static void
test_other_types(void **state)
{
    static const uint8_t filler[8000];
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(NAME, DNS_A, false, false, query);
    const char *why;

    (void)state;
    packet_reply(&p, query, len, 0);
    for (int i = 0; i < 2; i++)
        packet_raw(&p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    assert_int_equal(screen_packet(&p, query, len, &why), GOOD);
    packet_raw(&p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    assert_int_equal(screen_packet(&p, query, len, &why), BAD);

    packet_reply(&p, query, len, 0);
    for (int i = 0; i < 64; i++)
        packet_a(&p, NAME, "192.0.2.1");
    assert_int_equal(screen_packet(&p, query, len, &why), GOOD);
    packet_a(&p, NAME, "192.0.2.1");
    assert_int_equal(screen_packet(&p, query, len, &why), BAD);
}

/* Every prefix of a sound reply is refused, and read within its bounds. */
static void
test_prefixes(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(NAME, DNS_TXT, true, false, query), whole;
    const char *why;

    (void)state;
    packet_reply(&p, query, len, 0);
    every_known_type();
    for (whole = p.len; p.len > 0; p.len--)
        assert_int_equal(screen_packet(&p, query, len, &why) == DNS_SCREEN_OK, p.len == whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
