#include "tests/fake/dns_packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { HEADER_SIZE = 12, CLASS_IN = 1, SOA_MINIMUM_AT = 16 };

static void
put(struct packet *p, const void *bytes, size_t len)
{
    assert(p->len + len <= sizeof(p->bytes));
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static void
put_u16(struct packet *p, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    put(p, bytes, sizeof(bytes));
}

static void
put_u32(struct packet *p, uint32_t value)
{
    put_u16(p, value >> 16);
    put_u16(p, value & 0xffff);
}

/* Writes a name in wire form; returns its length. */
static size_t
wire_name(const char *name, uint8_t out[256])
{
    size_t len = 0;

    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t label = strcspn(name, ".");
        out[len++] = (uint8_t)label;
        memcpy(out + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    out[len++] = 0;
    return len;
}

void
packet_reply(struct packet *p, const uint8_t *query, size_t len, unsigned rcode)
{
    size_t end = HEADER_SIZE;

    assert(len > HEADER_SIZE);
    while (query[end] != 0)
        end += 1 + query[end];
    end += 5;
    assert(end <= len);
    memcpy(p->bytes, query, end);
    p->bytes[2] = 0x81;
    p->bytes[3] = (uint8_t)(0x80 | rcode);
    memset(p->bytes + 6, 0, 6);
    p->len = end;
    p->ttl_s = 300;
}

void
packet_raw(struct packet *p, enum packet_section section, const char *owner, unsigned type,
           const void *rdata, size_t len)
{
    uint8_t name[256];
    size_t count_at = 6 + 2 * (size_t)section;
    unsigned count = (unsigned)p->bytes[count_at] << 8 | p->bytes[count_at + 1];

    count++;
    p->bytes[count_at] = (uint8_t)(count >> 8);
    p->bytes[count_at + 1] = (uint8_t)count;
    put(p, name, wire_name(owner, name));
    put_u16(p, type);
    put_u16(p, CLASS_IN);
    put_u32(p, p->ttl_s);
    put_u16(p, (unsigned)len);
    put(p, rdata, len);
}

void
packet_name(struct packet *p, enum packet_section section, const char *owner, unsigned type,
            const char *name)
{
    uint8_t rdata[256];

    packet_raw(p, section, owner, type, rdata, wire_name(name, rdata));
}

void
packet_a(struct packet *p, const char *owner, const char *address)
{
    uint8_t rdata[4];

    assert(inet_pton(AF_INET, address, rdata) == 1);
    packet_raw(p, PACKET_ANSWER, owner, RR_A, rdata, sizeof(rdata));
}

void
packet_aaaa(struct packet *p, const char *owner, const char *address)
{
    uint8_t rdata[16];

    assert(inet_pton(AF_INET6, address, rdata) == 1);
    packet_raw(p, PACKET_ANSWER, owner, RR_AAAA, rdata, sizeof(rdata));
}

void
packet_mx(struct packet *p, const char *owner, unsigned preference, const char *host)
{
    uint8_t rdata[2 + 256] = {(uint8_t)(preference >> 8), (uint8_t)preference};

    packet_raw(p, PACKET_ANSWER, owner, RR_MX, rdata, 2 + wire_name(host, rdata + 2));
}

void
packet_soa(struct packet *p, const char *owner, uint32_t minimum)
{
    uint8_t rdata[2 * 256 + 20] = {0};
    size_t len = wire_name("ns.test", rdata);

    len += wire_name("hostmaster.test", rdata + len);
    for (int i = 0; i < 4; i++)
        rdata[len + SOA_MINIMUM_AT + (size_t)i] = (uint8_t)(minimum >> (24 - 8 * i));
    packet_raw(p, PACKET_AUTHORITY, owner, RR_SOA, rdata, len + 20);
}

void
packet_txt(struct packet *p, const char *owner, const char *strings)
{
    uint8_t rdata[2048];
    size_t used = 0;

    for (;;) {
        size_t len = strcspn(strings, "|");
        rdata[used++] = (uint8_t)len;
        memcpy(rdata + used, strings, len);
        used += len;
        if (strings[len] == '\0')
            break;
        strings += len + 1;
    }
    packet_raw(p, PACKET_ANSWER, owner, RR_TXT, rdata, used);
}

void
packet_txt_many(struct packet *p, const char *owner, size_t count, size_t len)
{
    static uint8_t rdata[PACKET_MAX];
    size_t used = 0;

    assert(count * (1 + len) <= sizeof(rdata));
    for (size_t i = 0; i < count; i++) {
        rdata[used] = (uint8_t)len;
        memset(rdata + used + 1, 'x', len);
        used += 1 + len;
    }
    packet_raw(p, PACKET_ANSWER, owner, RR_TXT, rdata, used);
}
