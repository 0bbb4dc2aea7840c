#include "cached/dns_parse.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_SIZE = 12,
    RECORD_HEAD_SIZE = 10, /* type, class, TTL, RDLENGTH */
    EDNS_SIZE = 1232,      /* fits every path unfragmented (DNS flag day 2020) */
    KEPT_MAX = 128,        /* not under DNS_TXT_RECORDS_MAX of the screen */
    LABEL_MAX = 63,
    NAME_MAX_TEXT = 253,
    QUESTION_TAIL_SIZE = 4, /* type, class */
    OPT_SIZE = 11,          /* RFC 6891 s6.1.2, without options */
    RCODE_BADVERS = 16
};

/* What of a reply matters to us. */
struct message {
    const uint8_t *bytes;
    size_t len;
    unsigned rcode;             /* with the upper bits of an OPT record */
    ldns_rr *answers[KEPT_MAX]; /* CNAMEs and the type asked for */
    size_t count;
    ldns_rr *soa;   /* of the authority section */
    bool delegates; /* the authority section has NS records */
};

/* --- queries ------------------------------------------------------------------------ */

/* libldns reads escapes in names; a name without "\" means to it what it says. */
bool
dns_is_name(const char *name)
{
    size_t len = strlen(name), label = 0;

    if (strcmp(name, ".") == 0)
        return true;
    if (len == 0 || len > NAME_MAX_TEXT)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (c <= ' ' || c >= 0x7f || c == '\\' || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

/* The question in wire form: each dot becomes a length, and the root and the first length come on
 * top. */
static size_t
question_size(const char *name)
{
    return (strcmp(name, ".") == 0 ? 1 : strlen(name) + 2) + QUESTION_TAIL_SIZE;
}

/* Without memory libldns cuts the name and says nothing: the answer would be true, for another one.
 * So a query of another length than its name's does not leave. */
size_t
dns_build_query(const char *name, enum dns_type type, bool plain, bool want_ad,
                uint8_t out[DNS_QUERY_SIZE])
{
    ldns_rdf *owner = dns_is_name(name) ? ldns_dname_new_frm_str(name) : NULL;
    size_t wanted = HEADER_SIZE + question_size(name) + (plain ? 0 : OPT_SIZE), len = 0;
    ldns_buffer *wire;
    ldns_pkt *query;

    if (owner == NULL)
        return 0;
    query = ldns_pkt_query_new(owner, (ldns_rr_type)type, LDNS_RR_CLASS_IN,
                               want_ad ? LDNS_RD | LDNS_AD : LDNS_RD);
    if (query == NULL) {
        ldns_rdf_deep_free(owner);
        return 0;
    }
    ldns_pkt_set_random_id(query);
    if (!plain)
        ldns_pkt_set_edns_udp_size(query, EDNS_SIZE);
    wire = ldns_buffer_new(wanted); /* ldns_pkt2wire takes 64 KiB for it */
    if (wire != NULL && ldns_pkt2buffer_wire(wire, query) == LDNS_STATUS_OK &&
        ldns_buffer_position(wire) == wanted) {
        len = wanted;
        memcpy(out, ldns_buffer_begin(wire), len);
    }
    ldns_buffer_free(wire);
    ldns_pkt_free(query);
    return len;
}

/* --- reading the message ------------------------------------------------------------ */

/* Where the name at `at` ends. The screen has been there before. */
static size_t
name_end(const struct message *m, size_t at)
{
    while (at < m->len && m->bytes[at] != 0 && m->bytes[at] <= LABEL_MAX)
        at += 1 + m->bytes[at];
    return at + (at < m->len && m->bytes[at] != 0 ? 2 : 1);
}

/* Out of memory libldns leaves strings out and says nothing: a policy's record would look like
 * another TXT record, of which there are many. */
static bool
is_whole(const ldns_rr *rr, unsigned type, size_t rdata_size)
{
    size_t size = 0;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        if (ldns_rr_rdf(rr, i) == NULL)
            return false;
        size += ldns_rdf_size(ldns_rr_rdf(rr, i));
    }
    if (type == LDNS_RR_TYPE_TXT || type == LDNS_RR_TYPE_TLSA)
        return size == rdata_size;
    return rdata_size == 0 || ldns_rr_rd_count(rr) >= (type == LDNS_RR_TYPE_MX ? 2 : 1);
}

static ldns_rr *
decode(const struct message *m, size_t at, ldns_pkt_section section, unsigned type, size_t size)
{
    ldns_rr *rr = NULL;

    if (ldns_wire2rr(&rr, m->bytes, m->len, &at, section) != LDNS_STATUS_OK)
        return NULL;
    if (!is_whole(rr, type, size)) {
        ldns_rr_free(rr);
        return NULL;
    }
    ldns_rr2canonical(rr); /* names in lower case */
    return rr;
}

/* Keeps the record at `*at` if an answer can be made of it, and steps over it. False: the record
 * cannot be read. */
static bool
read_record(struct message *m, size_t *at, ldns_pkt_section section, enum dns_type asked)
{
    size_t start = *at, head = name_end(m, start);
    ldns_rr **keep = NULL;

    if (head + RECORD_HEAD_SIZE > m->len)
        return false;
    unsigned type = ldns_read_uint16(m->bytes + head);
    size_t size = ldns_read_uint16(m->bytes + head + 8);
    *at = head + RECORD_HEAD_SIZE + size;
    if (*at > m->len)
        return false;
    if (type == LDNS_RR_TYPE_OPT)
        m->rcode |= (unsigned)m->bytes[head + 4] << 4;
    if (section == LDNS_SECTION_ANSWER && (type == asked || type == LDNS_RR_TYPE_CNAME)) {
        if (m->count == KEPT_MAX)
            return false;
        keep = &m->answers[m->count++];
    } else if (section == LDNS_SECTION_AUTHORITY) {
        m->delegates |= type == LDNS_RR_TYPE_NS;
        if (type == LDNS_RR_TYPE_SOA && m->soa == NULL)
            keep = &m->soa;
    }
    return keep == NULL || (*keep = decode(m, start, section, type, size)) != NULL;
}

static bool
read_message(struct message *m, enum dns_type asked)
{
    static const ldns_pkt_section sections[] = {LDNS_SECTION_ANSWER, LDNS_SECTION_AUTHORITY,
                                                LDNS_SECTION_ADDITIONAL};
    size_t at = HEADER_SIZE;

    if (m->len < HEADER_SIZE)
        return false;
    m->rcode = LDNS_RCODE_WIRE(m->bytes);
    if (LDNS_QDCOUNT(m->bytes) == 1)
        at = name_end(m, at) + 4;
    for (size_t s = 0; s < 3; s++) {
        unsigned records = ldns_read_uint16(m->bytes + LDNS_ANCOUNT_OFF + 2 * s);
        while (records-- > 0) {
            if (!read_record(m, &at, sections[s], asked))
                return false;
        }
    }
    return true;
}

static void
message_done(struct message *m)
{
    for (size_t i = 0; i < m->count; i++)
        ldns_rr_free(m->answers[i]);
    ldns_rr_free(m->soa);
}

/* --- records to plain data ------------------------------------------------------------ */

/* A name as text without the final dot; "" for the root. False, and "": it holds bytes that would
 * need escapes, which no name that we could ask for has. */
static bool
name_to_text(const ldns_rdf *name, char out[DNS_HOST_SIZE])
{
    const uint8_t *at = ldns_rdf_data(name);
    size_t len = 0;

    while (*at != 0) {
        if (len > 0)
            out[len++] = '.';
        for (unsigned left = *at++; left > 0; left--, at++) {
            if (*at <= ' ' || *at >= 0x7f || *at == '.' || *at == '\\') {
                out[0] = '\0';
                return false;
            }
            out[len++] = (char)*at;
        }
    }
    out[len] = '\0';
    return true;
}

static bool
read_address(const ldns_rr *rr, int family, struct dns_record *out)
{
    const ldns_rdf *data = ldns_rr_rdf(rr, 0);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->address;
    size_t size = family == AF_INET ? sizeof(v4->sin_addr) : sizeof(v6->sin6_addr);

    if (data == NULL || ldns_rdf_size(data) != size)
        return false;
    out->address.ss_family = (sa_family_t)family;
    memcpy(family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, ldns_rdf_data(data),
           size);
    return true;
}

static bool
read_mx(const ldns_rr *rr, size_t records, struct dns_record *out)
{
    const ldns_rdf *preference = ldns_rr_rdf(rr, 0), *host = ldns_rr_rdf(rr, 1);
    char text[DNS_HOST_SIZE];

    if (preference == NULL || host == NULL || !name_to_text(host, text))
        return false;
    out->preference = ldns_rdf2native_int16(preference);
    if (text[0] == '\0')
        return records == 1; /* RFC 7505 s3: a null MX stands alone */
    return domain_fold_mx_host(text, strlen(text), out->host);
}

/* Appends the strings of a TXT record to the answer's text. */
static bool
read_text(const ldns_rr *rr, size_t *used, char *text, struct dns_record *out)
{
    char *start = text + *used;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *string = ldns_rr_rdf(rr, i);
        size_t len = ldns_rdf_size(string) - 1; /* its first byte is its length */
        memcpy(text + *used, ldns_rdf_data(string) + 1, len);
        *used += len;
    }
    out->text = (struct span){start, (size_t)(text + *used - start)};
    return true;
}

/* Appends the data of a TLSA record to the answer's text. */
static bool
read_tlsa(const ldns_rr *rr, size_t *used, char *text, struct dns_record *out)
{
    const ldns_rdf *data = ldns_rr_rdf(rr, 3); /* libldns has none for empty data */
    size_t len = data != NULL ? ldns_rdf_size(data) : 0;

    if (ldns_rr_rd_count(rr) < 3)
        return false;
    out->usage = ldns_rdf2native_int8(ldns_rr_rdf(rr, 0));
    out->selector = ldns_rdf2native_int8(ldns_rr_rdf(rr, 1));
    out->matching = ldns_rdf2native_int8(ldns_rr_rdf(rr, 2));
    out->text = (struct span){text + *used, len};
    if (len > 0)
        memcpy(text + *used, ldns_rdf_data(data), len);
    *used += len;
    return true;
}

/* Names are in canonical form here. ldns_dname_compare would need memory, and without it find any
 * two different. */
static bool
is_at(const ldns_rr *rr, unsigned type, const ldns_rdf *owner)
{
    return ldns_rr_get_type(rr) == type && ldns_rdf_compare(ldns_rr_owner(rr), owner) == 0;
}

/* RFC 2181 s8: a TTL with the top bit set is 0. */
static uint32_t
ttl_of(const ldns_rr *rr)
{
    uint32_t ttl = ldns_rr_ttl(rr);

    return ttl > INT32_MAX ? 0 : ttl;
}

static void
lower_ttl(struct dns_answer *out, uint32_t ttl)
{
    if (ttl < out->ttl_s)
        out->ttl_s = ttl;
}

/* Takes the records of the wanted type at `owner`; returns how many there are on the wire. */
static size_t
take_records(const struct message *m, const ldns_rdf *owner, enum dns_type type,
             struct dns_answer *out)
{
    size_t found = 0, used = 0;

    for (size_t i = 0; i < m->count; i++)
        found += is_at(m->answers[i], type, owner);
    if (found == 0)
        return 0;
    out->records = alloc_zero(found, sizeof(*out->records));
    out->text = alloc_bytes(m->len);
    for (size_t i = 0; i < m->count; i++) {
        const ldns_rr *rr = m->answers[i];
        struct dns_record *to = &out->records[out->count];
        bool fits = false;

        if (!is_at(rr, type, owner))
            continue;
        lower_ttl(out, ttl_of(rr));
        switch (type) {
        case DNS_A:
            fits = read_address(rr, AF_INET, to);
            break;
        case DNS_AAAA:
            fits = read_address(rr, AF_INET6, to);
            break;
        case DNS_MX:
            fits = read_mx(rr, found, to);
            break;
        case DNS_TXT:
            fits = read_text(rr, &used, out->text, to);
            break;
        case DNS_TLSA:
            fits = read_tlsa(rr, &used, out->text, to);
            break;
        case DNS_CNAME:
        case DNS_SOA:
            fits = true;
            break;
        }
        out->count += fits;
    }
    return found;
}

/* --- the answer ----------------------------------------------------------------------- */

static void
set_error(struct dns_answer *out, enum sts_error error, const char *why)
{
    out->error = error;
    out->why = why;
    out->ttl_s = 0;
}

static const ldns_rr *
find_cname(const struct message *m, const ldns_rdf *owner)
{
    for (size_t i = 0; i < m->count; i++) {
        if (is_at(m->answers[i], LDNS_RR_TYPE_CNAME, owner) &&
            ldns_rr_rdf(m->answers[i], 0) != NULL)
            return m->answers[i];
    }
    return NULL;
}

/* RFC 2308 s5: min(SOA TTL, SOA minimum). */
static void
set_no_record(const struct message *m, struct dns_answer *out)
{
    const ldns_rdf *minimum = m->soa != NULL ? ldns_rr_rdf(m->soa, 6) : NULL;

    out->error = STS_NO_RECORD;
    if (minimum == NULL) {
        out->ttl_s = 0;
        return;
    }
    lower_ttl(out, ttl_of(m->soa));
    lower_ttl(out, ldns_rdf2native_int32(minimum));
    if (out->ttl_s == 0)
        out->ttl_s = 1;
}

/* No record at the end of the chain: is there none, or is it for us to ask further? */
static void
judge_absence(const struct message *m, const ldns_rdf *end, struct dns_answer *out)
{
    if (out->nxdomain || m->soa != NULL) {
        set_no_record(m, out);
    } else if (out->links > 0) {
        if (!name_to_text(end, out->alias) || out->alias[0] == '\0')
            set_error(out, STS_DNS_BAD_REPLY, "a CNAME to what is no name");
    } else if (m->delegates) {
        set_error(out, STS_DNS_SERVFAIL, "a referral instead of an answer");
    } else {
        set_no_record(m, out);
    }
}

static void
follow_chain(const struct message *m, const char *name, enum dns_type type, struct dns_answer *out)
{
    ldns_rdf *asked = ldns_dname_new_frm_str(name);
    const ldns_rdf *end = asked;
    const ldns_rr *cname;

    out->ttl_s = INT32_MAX;
    if (asked == NULL) {
        set_error(out, STS_DNS_BAD_REPLY, "an answer to what is no name");
        return;
    }
    ldns_dname2canonical(asked);
    while (take_records(m, end, type, out) == 0 && (cname = find_cname(m, end)) != NULL &&
           out->links++ < DNS_CNAME_MAX) {
        lower_ttl(out, ttl_of(cname));
        end = ldns_rr_rdf(cname, 0);
    }
    if (out->links > DNS_CNAME_MAX)
        set_error(out, STS_DNS_BAD_REPLY, "a chain of CNAMEs that is too long or a loop");
    else if (out->records == NULL)
        judge_absence(m, end, out);
    else if (out->nxdomain)
        set_error(out, STS_DNS_BAD_REPLY, "NXDOMAIN together with records");
    else
        (void)name_to_text(end, out->end);
    ldns_rdf_deep_free(asked);
}

void
dns_parse_reply(const uint8_t *reply, size_t len, const char *name, enum dns_type type,
                struct dns_answer *out)
{
    struct message m = {.bytes = reply, .len = len};

    *out = (struct dns_answer){.why = ""};
    if (!read_message(&m, type)) {
        set_error(out, STS_DNS_BAD_REPLY, "a record that cannot be read");
    } else {
        out->authentic = LDNS_AD_WIRE(reply) != 0;
        out->nxdomain = m.rcode == LDNS_RCODE_NXDOMAIN;
        out->wants_plain = m.rcode == LDNS_RCODE_FORMERR || m.rcode == LDNS_RCODE_NOTIMPL ||
                           m.rcode == RCODE_BADVERS;
        if (m.rcode == LDNS_RCODE_NOERROR || out->nxdomain)
            follow_chain(&m, name, type, out);
        else if (m.rcode == LDNS_RCODE_SERVFAIL)
            set_error(out, STS_DNS_SERVFAIL, "SERVFAIL");
        else if (m.rcode == LDNS_RCODE_REFUSED)
            set_error(out, STS_DNS_SERVFAIL, "REFUSED");
        else
            set_error(out, STS_DNS_SERVFAIL, "an error code from the server");
    }
    message_done(&m);
}

void
dns_answer_done(struct dns_answer *answer)
{
    free(answer->records);
    free(answer->text);
    *answer = (struct dns_answer){.why = ""};
}
