/* dns_parse - DNS messages to plain structs and back; the only file that knows libldns.
 * Replies must have passed dns_screen. Even then libldns sees only the records that an answer can
 * be made of (the type asked for, CNAME, SOA): all others are stepped over by their length. */
#ifndef STS_CACHED_DNS_PARSE_H
#define STS_CACHED_DNS_PARSE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/domain.h"
#include "common/error.h"
#include "common/scan.h"

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5, /* its record holds nothing: that it is there, and secure, is all */
    DNS_SOA = 6,   /* likewise */
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52
};

enum {
    DNS_QUERY_SIZE = 512,
    DNS_CNAME_MAX = 8,   /* length of a chain that is followed */
    DNS_HOST_SIZE = 256, /* a name in text: 253 bytes, a NUL, and room */
    DNS_WHY_SIZE = 192   /* the server that failed, and how */
};

/* One record of the type that was asked for. */
struct dns_record {
    uint16_t preference;      /* MX */
    char host[DNS_HOST_SIZE]; /* MX: as domain_fold_mx_host makes it; "" for the null MX: "." as the
                                 only record, any preference. Names that it refuses are left out,
                                 so an answer may be OK with a count of 0 */
    struct sockaddr_storage address;   /* A, AAAA; port 0 */
    struct span text;                  /* TXT: joined strings; TLSA: its data, which may be empty.
                                          Points into the answer */
    uint8_t usage, selector, matching; /* TLSA */
};

struct dns_answer {
    enum sts_error error; /* OK, NO_RECORD (NXDOMAIN or NODATA), or dns-* */
    const char *why;      /* for dns-*, borrowed, at most DNS_WHY_SIZE; else "" */
    bool nxdomain;
    bool authentic;   /* the AD bit, as sent: whether to believe it is the caller's business */
    bool secure;      /* set by dns.c: authentic, and its resolvers are believed (trust-ad) */
    bool wants_plain; /* FORMERR, NOTIMP or BADVERS: the server may not know EDNS */
    uint32_t ttl_s;   /* the smallest on the chain; negative: min(SOA TTL, minimum), at least
                         1, and 0 when there is no SOA */
    struct dns_record *records; /* owned; in wire order */
    size_t count;
    char *text;                /* owned memory behind the spans */
    int links;                 /* CNAMEs followed in this reply */
    char alias[DNS_HOST_SIZE]; /* not "": the chain ends here unanswered, ask for this name; error
                                  is OK and count 0 then */
    char end[DNS_HOST_SIZE];   /* with records: the name that has them, at the chain's end, in lower
                                  case; "" when it holds bytes that no name of ours has */
};

/* True for what can be asked for: labels of visible bytes, "_" among them; "." is the root. */
bool dns_is_name(const char *name);

/* Writes a query (RD set; EDNS with 1232 bytes unless `plain`; AD set when `want_ad`) with a random
 * id. Returns its length; 0 when `name` is no name, or there was no memory. */
size_t dns_build_query(const char *name, enum dns_type type, bool plain, bool want_ad,
                       uint8_t out[DNS_QUERY_SIZE]);

/* Reads a screened reply to a question for `name` and `type`, following CNAMEs inside it. Records
 * whose owner is not on the chain are ignored. A referral (the server does not resolve for us) is
 * dns-servfail, not NO_RECORD. Everything is copied; free with dns_answer_done, whatever came. */
void dns_parse_reply(const uint8_t *reply, size_t len, const char *name, enum dns_type type,
                     struct dns_answer *out);
void dns_answer_done(struct dns_answer *);

#endif
