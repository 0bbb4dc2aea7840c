/* dns_screen - looks at a DNS reply before libldns does (LIBRARIES 1a).
 * libldns is complete but trusting: a TXT record of many empty strings costs it gigabytes, pointer
 * chains cost seconds, a second TSIG leaks. This walk allocates nothing, is linear in the reply's
 * length, and refuses whatever is not a plain, modest reply to the very question asked. A refused
 * reply is a broken look-up (dns-bad-reply), never "no record". Pure. */
#ifndef STS_CACHED_DNS_SCREEN_H
#define STS_CACHED_DNS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For each string of a TXT record libldns takes as many bytes as the record has: together at most
 * 1.7 MiB for the worst reply, so DNS_REPLY_MAX times DNS_TXT_STRINGS_MAX must stay small. The TXT
 * records of a whole zone's apex fit, since "_mta-sts" may be a wildcard's alias for it. */
enum {
    DNS_REPLY_MAX = 20480,     /* bytes of any reply: 16 KiB of text, and what goes round it */
    DNS_RECORDS_MAX = 64,      /* over all sections */
    DNS_TXT_RECORDS_MAX = 128, /* likewise, of a reply to a TXT question */
    DNS_TXT_RDATA_MAX = 4096,  /* bytes of one TXT record */
    DNS_TXT_STRINGS_MAX = 64,  /* strings of one TXT record */
    DNS_POINTERS_MAX = 16      /* compression pointers a name, strictly backward */
};

enum dns_screen { DNS_SCREEN_OK, DNS_SCREEN_TRUNCATED, DNS_SCREEN_OTHER, DNS_SCREEN_BAD };

/* Compares `reply` with `query` (both in wire format). OK: hand it to libldns. TRUNCATED: ours, and
 * TC is set: ask by TCP. OTHER: not an answer to this query (id, QR, opcode, question): ignore it
 * and go on waiting. BAD: ours, but unfit; `*why` is a constant text. */
enum dns_screen dns_screen(const uint8_t *query, size_t query_len, const uint8_t *reply, size_t len,
                           const char **why);

#endif
