#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/fake/screen_case.h"

#define NAME SCREEN_NAME

static struct packet p; /* the reply that a case builds */

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

static const struct screen_case cases[] = {
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
};

static void
test_names(void **state)
{
    (void)state;
    screen_case_run(&p, cases, sizeof(cases) / sizeof(*cases));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
