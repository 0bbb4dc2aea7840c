#include "tests/bench/world_dns.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/names.h"

enum { HEADER = 12, NXDOMAIN = 3, NEGATIVE_TTL_S = 3600, TEXT_SIZE = 256 };

struct question {
    char name[TEXT_SIZE];
    unsigned type;
    enum names_kind kind;
    unsigned number;
};

/* The query's name in text, in lower case as it was sent. */
static bool
read_question(const unsigned char *query, size_t len, struct question *q)
{
    size_t at = HEADER, n = 0;

    while (at < len && query[at] != 0) {
        size_t label = query[at++];
        if (label > 63 || at + label + 5 > len || n + label + 2 > TEXT_SIZE)
            return false;
        memcpy(q->name + n, query + at, label);
        n += label;
        q->name[n++] = '.';
        at += label;
    }
    if (n == 0 || at + 5 > len)
        return false;
    q->name[n - 1] = '\0';
    q->type = (unsigned)query[at + 1] << 8 | query[at + 2];
    return true;
}

static bool
is_below(const char *name, const char *label)
{
    return strncmp(name, label, strlen(label)) == 0;
}

static void
say_no(const unsigned char *query, size_t len, bool name_exists, struct packet *reply)
{
    packet_reply(reply, query, len, name_exists ? 0 : NXDOMAIN);
    packet_soa(reply, "test", NEGATIVE_TTL_S);
}

static void
add_host_address(struct packet *reply, const struct question *q)
{
    char address[32];

    snprintf(address, sizeof address, "127.%d.%u.%u", q->kind == NAMES_HANGING ? 2 : 1,
             q->number % 250, q->number / 250 % 250 + 1); /* each in another network */
    packet_a(reply, q->name, address);
}

static void
add_mail_host(struct packet *reply, const struct question *q)
{
    char host[TEXT_SIZE + 4];

    snprintf(host, sizeof host, "mx.%s", q->name);
    packet_mx(reply, q->name, 10, host);
}

_Bool
world_dns_answer(const unsigned char *query, size_t len, struct packet *reply)
{
    struct question q = {.name = ""};
    bool has_record, has_host;

    if (len <= HEADER || !read_question(query, len, &q))
        return false;
    if (!names_read(q.name, strlen(q.name), &q.kind, &q.number)) {
        say_no(query, len, false, reply);
        return true;
    }
    has_record = q.kind != NAMES_NEGATIVE && is_below(q.name, "_mta-sts.");
    has_host =
        q.kind != NAMES_NEGATIVE && (is_below(q.name, "mta-sts.") || is_below(q.name, "mx."));
    if (has_record && q.type == RR_TXT) {
        packet_reply(reply, query, len, 0);
        packet_txt(reply, q.name, NAMES_RECORD);
    } else if (has_host && q.type == RR_A) {
        packet_reply(reply, query, len, 0);
        add_host_address(reply, &q);
    } else if (q.type == RR_MX && strcmp(strchr(q.name, '.'), ".test") == 0) {
        packet_reply(reply, query, len, 0);
        add_mail_host(reply, &q);
    } else {
        say_no(query, len, has_record || has_host, reply);
    }
    return true;
}
