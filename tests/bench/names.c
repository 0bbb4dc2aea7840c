#include "tests/bench/names.h"

#include <stdio.h>
#include <string.h>

#include "common/scan.h"

/* Each is registrable by itself, as strangers' domains are. */
static const char zone[] = "-bench.test";

static char *
add(char *to, const char *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

/* Without printf: the bare servers are to be as fast as can be. */
static size_t
frame(size_t len, const char *payload, char out[NAMES_FRAME_SIZE])
{
    char *to = out;

    if (len >= 100)
        *to++ = (char)('0' + len / 100);
    if (len >= 10)
        *to++ = (char)('0' + len / 10 % 10);
    *to++ = (char)('0' + len % 10);
    *to++ = ':';
    to = add(to, payload, len);
    *to++ = ',';
    return (size_t)(to - out);
}

size_t
names_domain(enum names_kind kind, unsigned number, char out[NAMES_SIZE])
{
    return (size_t)snprintf(out, NAMES_SIZE, "%c%u%s", (char)kind, number, zone);
}

bool
names_read(const char *name, size_t len, enum names_kind *kind, unsigned *number)
{
    const size_t zone_len = sizeof zone - 1;
    struct scan digits;
    size_t at;
    uint64_t n;

    if (len <= zone_len || memcmp(name + len - zone_len, zone, zone_len) != 0)
        return false;
    len -= zone_len;
    for (at = len; at > 0 && name[at - 1] != '.'; at--)
        ;
    digits = scan_bytes(name + at + 1, len - at - 1);
    if (len == at || strchr("pnh", name[at]) == NULL || !scan_number(&digits, 9, &n) ||
        !scan_is_done(&digits))
        return false;
    *kind = (enum names_kind)name[at];
    *number = (unsigned)n;
    return true;
}

size_t
names_question(const char *domain, size_t len, char out[NAMES_FRAME_SIZE])
{
    char payload[NAMES_FRAME_SIZE], *to = add(payload, "postfix ", 8);

    to = add(to, domain, len);
    return frame((size_t)(to - payload), payload, out);
}

size_t
names_answer(const char *domain, size_t len, char out[NAMES_FRAME_SIZE])
{
    static const char head[] = "OK secure match=mx.", tail[] = " servername=hostname";
    char payload[NAMES_FRAME_SIZE], *to;

    if (domain[0] != NAMES_POLICY)
        return frame(9, "NOTFOUND ", out);
    to = add(payload, head, sizeof head - 1);
    to = add(to, domain, len);
    to = add(to, tail, sizeof tail - 1);
    return frame((size_t)(to - payload), payload, out);
}
