#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns_parse.h"
#include "cached/dns_screen.h"
#include "tests/fake/dns_packet.h"

#define NAME "_mta-sts.example.com"
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
    packet_txt_many(&p, NAME, 4, 255);
}

static void
eight_strings(void)
{
    packet_txt_many(&p, NAME, 8, 10);
}

static void
nine_strings(void)
{
    packet_txt_many(&p, NAME, 9, 10);
}

static void
wide_txt(void)
{
    packet_txt_many(&p, NAME, 5, 204); /* 1,025 bytes */
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
large_txt_set(void)
{
    for (int i = 0; i < 17; i++)
        packet_txt_many(&p, NAME, 1, 250);
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
records_64(void)
{
    records(64);
}

static void
records_65(void)
{
    records(65);
}

static void
records_over_sections(void)
{
    records(63);
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
soa_of_one_name(void)
{
    packet_raw(&p, PACKET_AUTHORITY, NAME, RR_SOA, "", 1);
}

static void
short_soa(void)
{
    packet_raw(&p, PACKET_AUTHORITY, NAME, RR_SOA, "\0\0abcdefghijklmnopqrs", 21);
}

/* Makes the RDATA of `type` a pointer to `target`, behind `before` bytes. */
static void
pointing(unsigned type, size_t before, size_t target)
{
    uint8_t rdata[16] = {0};

    rdata[before] = (uint8_t)(0xc0 | target >> 8);
    rdata[before + 1] = (uint8_t)target;
    packet_raw(&p, PACKET_ANSWER, NAME, type, rdata, before + 2);
}

static size_t
next_rdata(void)
{
    return p.len + sizeof(NAME) + 1 + 10;
}

static void
pointer_back(void)
{
    pointing(RR_CNAME, 0, 12);
}

static void
pointer_to_itself(void)
{
    pointing(RR_CNAME, 0, next_rdata());
}

static void
pointer_forward(void)
{
    pointing(RR_CNAME, 0, next_rdata() + 2);
}

static void
pointer_into_header(void)
{
    pointing(RR_CNAME, 0, 6);
}

static void
pointer_loop_in_mx(void)
{
    pointing(RR_MX, 2, next_rdata() + 2);
}

static void
pointer_loop_in_rp(void)
{
    size_t at = next_rdata();
    uint8_t rdata[] = {0, (uint8_t)(0xc0 | at >> 8), (uint8_t)(at + 1)};

    packet_raw(&p, PACKET_ADDITIONAL, NAME, 17, rdata, sizeof(rdata));
}

static void
pointer_behind_labels(void)
{
    size_t at = next_rdata();
    uint8_t rdata[] = {1, 'a', (uint8_t)(0xc0 | at >> 8), (uint8_t)at};

    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, rdata, sizeof(rdata));
}

static void
owner_points_to_itself(void)
{
    size_t at = p.len;

    packet_raw(&p, PACKET_ANSWER, "ab", RR_A, "abcd", 4);
    p.bytes[at] = (uint8_t)(0xc0 | at >> 8);
    p.bytes[at + 1] = (uint8_t)at;
    p.bytes[at + 2] = 0;
}

/* A record of an unknown type that holds a chain of `links` pointers, and a CNAME to its end. */
static void
chain(int links)
{
    uint8_t rdata[2 * 40];
    size_t target = 12, at = next_rdata();

    for (int i = 0; i < links; i++, target = at, at += 2) {
        rdata[2 * i] = (uint8_t)(0xc0 | target >> 8);
        rdata[2 * i + 1] = (uint8_t)target;
    }
    packet_raw(&p, PACKET_ANSWER, NAME, 65280, rdata, 2 * (size_t)links);
    pointing(RR_CNAME, 0, target);
}

static void
chain_of_16(void)
{
    chain(15);
}

static void
chain_of_17(void)
{
    chain(16);
}

static void
label_of_64(void)
{
    uint8_t rdata[66] = {64};

    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, rdata, sizeof(rdata));
}

static void
long_name(void)
{
    uint8_t rdata[256] = {0};

    for (size_t i = 0; i < 255; i += 51)
        rdata[i] = 50; /* 5 labels of 50 bytes and the root: 256 bytes */
    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, rdata, sizeof(rdata));
}

static void
name_past_end(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, "\7abc", 4);
}

static void
pointer_cut(void)
{
    packet_raw(&p, PACKET_ANSWER, NAME, RR_CNAME, "\xc0", 1);
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

enum { GOOD = DNS_SCREEN_OK, CUT = DNS_SCREEN_TRUNCATED, OTHER = DNS_SCREEN_OTHER };
#define BAD DNS_SCREEN_BAD

static const struct {
    const char *name;
    void (*build)(void);
    int wanted;
    const char *why; /* BAD: a part of it */
} cases[] = {
    {"a TXT record", sound_txt, GOOD, NULL},
    {"no record", nothing, GOOD, NULL},
    {"known types", every_known_type, GOOD, NULL},
    {"OPT", one_opt, GOOD, NULL},
    {"two OPTs", two_opts, BAD, "OPT"},
    {"OPT as answer", opt_as_answer, BAD, "OPT"},
    {"OPT as authority", opt_as_authority, BAD, "OPT"},
    {"TXT of 1,024 bytes", full_txt, GOOD, NULL},
    {"8 strings", eight_strings, GOOD, NULL},
    {"9 strings", nine_strings, BAD, "too many strings"},
    {"TXT of 1,025 bytes", wide_txt, BAD, "too large"},
    {"TXT bomb, 1,232 bytes", bomb_1232, BAD, "TXT record"},
    {"TXT bomb, 4,096 bytes", bomb_4096, BAD, "TXT record"},
    {"TXT bomb, 65,535 bytes", bomb_65535, BAD, "reply is too large"},
    {"TXT bomb beside the answer", bomb_in_additional, BAD, "too many strings"},
    {"large TXT set", large_txt_set, BAD, "reply is too large"},
    {"string past its record", string_past_record, BAD, "string runs past"},
    {"empty TXT", empty_txt, BAD, "empty"},
    {"64 records", records_64, GOOD, NULL},
    {"65 records", records_65, BAD, "too many records"},
    {"65 records in three sections", records_over_sections, BAD, "too many records"},
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
    {"MX without a host", mx_without_host, BAD, "fill"},
    {"SOA of one name", soa_of_one_name, BAD, "fill"},
    {"SOA of 21 bytes", short_soa, BAD, "fill"},
    {"pointer back", pointer_back, GOOD, NULL},
    {"pointer to itself", pointer_to_itself, BAD, "point back"},
    {"pointer forward", pointer_forward, BAD, "point back"},
    {"pointer into the header", pointer_into_header, BAD, "point back"},
    {"pointer loop in MX", pointer_loop_in_mx, BAD, "point back"},
    {"pointer loop in RP", pointer_loop_in_rp, BAD, "point back"},
    {"pointer to its own labels", pointer_behind_labels, BAD, "point back"},
    {"owner points to itself", owner_points_to_itself, BAD, "point back"},
    {"16 pointers", chain_of_16, GOOD, NULL},
    {"17 pointers", chain_of_17, BAD, "too many compression"},
    {"label of 64", label_of_64, BAD, "unknown kind"},
    {"name of 256 bytes", long_name, BAD, "too long"},
    {"name past the end", name_past_end, BAD, "past the end"},
    {"pointer cut", pointer_cut, BAD, "past the end"},
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

/* The reply lies at the end of its memory, so that a sanitizer sees a read past it. */
static enum dns_screen
screen(const uint8_t *query, size_t query_len, const char **why)
{
    uint8_t *exact = alloc_bytes(p.len);
    enum dns_screen result;

    memcpy(exact, p.bytes, p.len);
    result = dns_screen(query, query_len, exact, p.len, why);
    free(exact);
    return result;
}

static void
test_cases(void **state)
{
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(NAME, DNS_TXT, false, false, query);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *why = "unset";
        packet_reply(&p, query, len, 0);
        cases[i].build();
        int got = (int)screen(query, len, &why);
        if (got != cases[i].wanted || (cases[i].why && strstr(why, cases[i].why) == NULL))
            fail_msg("%s: got %d (%s)", cases[i].name, got, why);
        if (got != BAD)
            assert_string_equal(why, "");
    }
}

/* Other questions may have larger replies, but not without end. */
static void
test_size_by_type(void **state)
{
    static const uint8_t filler[8000];
    uint8_t query[DNS_QUERY_SIZE];
    size_t len = dns_build_query(NAME, DNS_A, false, false, query);
    const char *why;

    (void)state;
    packet_reply(&p, query, len, 0);
    packet_raw(&p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    assert_int_equal(screen(query, len, &why), GOOD);
    packet_raw(&p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    packet_raw(&p, PACKET_ANSWER, NAME, 65280, filler, sizeof(filler));
    assert_int_equal(screen(query, len, &why), BAD);
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
        assert_int_equal(screen(query, len, &why) == DNS_SCREEN_OK, p.len == whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_size_by_type),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
