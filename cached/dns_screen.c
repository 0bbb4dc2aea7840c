#include "cached/dns_screen.h"

#include <string.h>

enum { HEADER_SIZE = 12, LABEL_MAX = 63, NAME_MAX_BYTES = 255, CLASS_IN = 1, ANY_SIZE = -1 };

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_MD = 3,
    TYPE_MF = 4,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_MB = 7,
    TYPE_MG = 8,
    TYPE_MR = 9,
    TYPE_PTR = 12,
    TYPE_MINFO = 14,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_RP = 17,
    TYPE_AFSDB = 18,
    TYPE_RT = 21,
    TYPE_SIG = 24,
    TYPE_PX = 26,
    TYPE_AAAA = 28,
    TYPE_NXT = 30,
    TYPE_SRV = 33,
    TYPE_KX = 36,
    TYPE_DNAME = 39,
    TYPE_OPT = 41,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_TLSA = 52,
    TYPE_TSIG = 250
};

/* RDATA of a fixed shape: some bytes, some names, some bytes. Types that are not listed are opaque:
 * dns_parse steps over them. */
struct layout {
    uint16_t type;
    uint8_t before, names;
    int8_t after;
};

static const struct layout layouts[] = {
    {TYPE_A, 4, 0, 0},           {TYPE_NS, 0, 1, 0},
    {TYPE_MD, 0, 1, 0},          {TYPE_MF, 0, 1, 0},
    {TYPE_CNAME, 0, 1, 0},       {TYPE_SOA, 0, 2, 20},
    {TYPE_MB, 0, 1, 0},          {TYPE_MG, 0, 1, 0},
    {TYPE_MR, 0, 1, 0},          {TYPE_PTR, 0, 1, 0},
    {TYPE_MINFO, 0, 2, 0},       {TYPE_MX, 2, 1, 0},
    {TYPE_RP, 0, 2, 0},          {TYPE_AFSDB, 2, 1, 0},
    {TYPE_RT, 2, 1, 0},          {TYPE_PX, 2, 2, 0},
    {TYPE_AAAA, 16, 0, 0},       {TYPE_NXT, 0, 1, ANY_SIZE},
    {TYPE_SRV, 6, 1, 0},         {TYPE_KX, 2, 1, 0},
    {TYPE_DNAME, 0, 1, 0},       {TYPE_RRSIG, 18, 1, ANY_SIZE},
    {TYPE_NSEC, 0, 1, ANY_SIZE}, {TYPE_TLSA, 3, 0, ANY_SIZE},
};

/* A walk through a message; the first fault stays in `why`, and nothing moves after it. */
struct walk {
    const uint8_t *bytes;
    size_t len, at;
    bool may_be_opt; /* in the additional section, and only once */
    const char *why;
};

static bool
fail(struct walk *w, const char *why)
{
    if (w->why == NULL)
        w->why = why;
    return false;
}

static bool
skip(struct walk *w, size_t count)
{
    if (w->why != NULL || count > w->len - w->at)
        return fail(w, "a record runs past the end");
    w->at += count;
    return true;
}

static unsigned
u16_at(const uint8_t *bytes, size_t at)
{
    return (unsigned)bytes[at] << 8 | bytes[at + 1];
}

static unsigned
take_u16(struct walk *w)
{
    return skip(w, 2) ? u16_at(w->bytes, w->at - 2) : 0;
}

/* Steps over a name. A pointer must lead before the run of labels it ends: chains then come to an
 * end by themselves, and every encoder writes them so (RFC 1035 s4.1.4: "a prior occurrence"). */
static bool
take_name(struct walk *w)
{
    size_t at = w->at, run = w->at, behind = 0, total = 0;
    int pointers = 0;

    for (;;) {
        if (at >= w->len)
            return fail(w, "a name runs past the end");
        unsigned len = w->bytes[at];
        if (len >= 0xc0) {
            if (at + 1 >= w->len)
                return fail(w, "a name runs past the end");
            size_t target = u16_at(w->bytes, at) & 0x3fff;
            if (target >= run || target < HEADER_SIZE)
                return fail(w, "a compression pointer does not point back");
            if (pointers++ == 0)
                behind = at + 2;
            if (pointers > DNS_POINTERS_MAX)
                return fail(w, "too many compression pointers in one name");
            at = run = target;
            continue;
        }
        if (len > LABEL_MAX)
            return fail(w, "a label of an unknown kind");
        at += 1 + len;
        total += 1 + len;
        if (total > NAME_MAX_BYTES)
            return fail(w, "a name is too long");
        if (len == 0) {
            w->at = pointers ? behind : at;
            return true;
        }
    }
}

static bool
check_strings(struct walk *w, size_t end)
{
    if (end - w->at > DNS_TXT_RDATA_MAX)
        return fail(w, "a TXT record is too large");
    if (end == w->at)
        return fail(w, "a TXT record is empty");
    for (int strings = 0; w->at < end; strings++) {
        if (strings == DNS_TXT_STRINGS_MAX)
            return fail(w, "a TXT record has too many strings");
        size_t len = w->bytes[w->at];
        if (len >= end - w->at)
            return fail(w, "a TXT string runs past its record");
        w->at += 1 + len;
    }
    return true;
}

static bool
check_layout(struct walk *w, const struct layout *layout, size_t end)
{
    w->at += layout->before;
    for (int i = 0; i < layout->names; i++) {
        if (w->at >= end)
            return fail(w, "a record does not fill its length");
        if (!take_name(w))
            return false;
    }
    if (w->at > end || (layout->after != ANY_SIZE && end - w->at != (size_t)layout->after))
        return fail(w, "a record does not fill its length");
    return true;
}

static bool
check_rdata(struct walk *w, unsigned type, size_t end)
{
    if (type == TYPE_TXT)
        return check_strings(w, end);
    for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
        if (layouts[i].type == type)
            return check_layout(w, &layouts[i], end);
    }
    return true;
}

static bool
take_record(struct walk *w)
{
    if (!take_name(w))
        return false;
    unsigned type = take_u16(w), class = take_u16(w);
    skip(w, 4);
    size_t rdlength = take_u16(w);
    if (w->why != NULL || rdlength > w->len - w->at)
        return fail(w, "a record runs past the end");
    if (type == TYPE_TSIG || type == TYPE_SIG)
        return fail(w, "a signed transaction that nobody asked for");
    if (type == TYPE_OPT && !w->may_be_opt)
        return fail(w, "an OPT record out of place");
    if (type == TYPE_OPT)
        w->may_be_opt = false;
    else if (class != CLASS_IN)
        return fail(w, "a record of another class");
    size_t end = w->at + rdlength;
    if (!check_rdata(w, type, end))
        return false;
    w->at = end;
    return true;
}

/* id, QR and opcode. */
static bool
is_header_ours(const uint8_t *query, const uint8_t *reply, size_t len)
{
    return len >= HEADER_SIZE && memcmp(query, reply, 2) == 0 && (reply[2] & 0xf8) == 0x80;
}

/* Servers that do not understand a query may send back nothing but a header with an error. */
static bool
is_bare_error(const uint8_t *reply, size_t len)
{
    static const uint8_t no_records[8];
    unsigned rcode = reply[3] & 0x0f;

    return len == HEADER_SIZE && memcmp(reply + 4, no_records, sizeof(no_records)) == 0 &&
           rcode != 0 && rcode != 3;
}

static uint8_t
lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The reply must repeat the question byte for byte, but for the case of the name. Length bytes are
 * below 'A', so the whole name can be compared as text. On success `*end` is where it ends. */
static bool
is_question_ours(const struct walk *asked, const uint8_t *reply, size_t len, size_t *end)
{
    size_t name_end = asked->at;

    *end = name_end + 4;
    if (len < *end || u16_at(reply, 4) != 1)
        return false;
    for (size_t i = HEADER_SIZE; i < name_end; i++) {
        if (lower(asked->bytes[i]) != lower(reply[i]))
            return false;
    }
    return memcmp(asked->bytes + name_end, reply + name_end, 4) == 0;
}

static bool
check_records(struct walk *w, unsigned asked_type)
{
    size_t additional = u16_at(w->bytes, 10);
    size_t records = u16_at(w->bytes, 6) + u16_at(w->bytes, 8) + additional;

    if (w->len > DNS_REPLY_MAX)
        return fail(w, "the reply is too large");
    if (records > (asked_type == TYPE_TXT ? DNS_TXT_RECORDS_MAX : DNS_RECORDS_MAX))
        return fail(w, "the reply has too many records");
    for (; records > 0; records--) {
        if (records == additional)
            w->may_be_opt = true;
        if (!take_record(w))
            return false;
    }
    return w->at == w->len || fail(w, "bytes behind the last record");
}

enum dns_screen
dns_screen(const uint8_t *query, size_t query_len, const uint8_t *reply, size_t len,
           const char **why)
{
    struct walk asked = {.bytes = query, .len = query_len, .at = HEADER_SIZE};
    struct walk w = {.bytes = reply, .len = len};

    *why = "";
    if (query_len < HEADER_SIZE || !take_name(&asked) || query_len - asked.at < 4 ||
        !is_header_ours(query, reply, len))
        return DNS_SCREEN_OTHER;
    if (is_bare_error(reply, len))
        return DNS_SCREEN_OK;
    if (!is_question_ours(&asked, reply, len, &w.at))
        return DNS_SCREEN_OTHER;
    if (reply[2] & 0x02)
        return DNS_SCREEN_TRUNCATED;
    if (check_records(&w, u16_at(query, asked.at)))
        return DNS_SCREEN_OK;
    *why = w.why;
    return DNS_SCREEN_BAD;
}
