#include "common/nexthop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/scan.h"

enum { SERVICE_MAX = 15 }; /* RFC 6335 s5.1 */

static bool
is_number(struct span part)
{
    struct scan s = scan_bytes(part.at, part.len);
    uint64_t number;

    return scan_number(&s, 5, &number) && scan_is_done(&s) && number <= 65535;
}

/* Postfix takes a port, or any name of /etc/services. */
static bool
is_port(struct span part)
{
    bool has_letter = false;

    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.at[i];

        if (!ascii_is_alnum(c) && c != '-')
            return false;
        has_letter |= ascii_is_alnum(c) && !ascii_is_digit(c);
    }
    return is_number(part) || (has_letter && part.len <= SERVICE_MAX);
}

/* In a list such a word may be Sendmail's next host, so only what mail is handed to is a port. */
static bool
is_port_in_list(struct span part)
{
    static const char *const services[] = {"smtp", "smtps", "submission", "submissions"};

    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (span_equal_nocase(part, services[i]))
            return true;
    }
    return is_number(part);
}

static bool
is_address_of(int family, struct span text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr addr; /* room for either family */

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.at, '\0', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, &addr) == 1;
}

/* 1.2.3.4, 2001:db8::1 or IPv6:2001:db8::1 */
static bool
is_address(struct span text)
{
    static const char tag[] = "IPv6:";
    const size_t tag_len = sizeof tag - 1;

    if (text.len == 0 || (!ascii_is_digit((unsigned char)text.at[text.len - 1]) &&
                          memchr(text.at, ':', text.len) == NULL))
        return false; /* as nearly every name */
    if (text.len > tag_len && span_equal_nocase((struct span){text.at, tag_len}, tag))
        text = (struct span){text.at + tag_len, text.len - tag_len};
    return is_address_of(AF_INET, text) || is_address_of(AF_INET6, text);
}

static enum nexthop_kind
parse_host(struct span host, enum nexthop_kind kind, char domain[DOMAIN_SIZE])
{
    if (is_address(host))
        return NEXTHOP_LITERAL;
    return domain_normalise(host.at, host.len, domain) ? kind : NEXTHOP_INVALID;
}

/* What follows a host: nothing, or ":port". */
static bool
is_end_or_port(struct scan *s)
{
    return scan_is_done(s) ||
           (scan_char(s, ':') && is_port((struct span){s->at, (size_t)(s->end - s->at)}));
}

/* [host] or [host]:port; the '[' has been taken. */
static enum nexthop_kind
parse_bracketed(struct scan *s, char domain[DOMAIN_SIZE])
{
    struct span host = scan_until(s, ']');

    if (!scan_char(s, ']') || !is_end_or_port(s))
        return NEXTHOP_INVALID;
    return parse_host(host, NEXTHOP_HOST, domain);
}

/* What follows the last '@'; the whole key without one. */
static struct span
without_user(struct span key)
{
    for (size_t i = key.len; i > 0; i--) {
        if (key.at[i - 1] == '@')
            return (struct span){key.at + i, key.len - i};
    }
    return key;
}

static enum nexthop_kind
parse_key(struct span key, char domain[DOMAIN_SIZE])
{
    struct span hop = without_user(key);
    struct scan s = scan_bytes(hop.at, hop.len);
    struct span host;

    if (scan_char(&s, '['))
        return parse_bracketed(&s, domain);
    if (is_address(hop))
        return NEXTHOP_LITERAL;
    host = scan_until(&s, ':');
    return is_end_or_port(&s) ? parse_host(host, NEXTHOP_DOMAIN, domain) : NEXTHOP_INVALID;
}

/* Nearly every key is a plain domain, which no other form looks like. */
void
nexthop_parse(const char *key, size_t len, struct nexthop *out)
{
    struct span trimmed = span_trim((struct span){key, len});

    if (domain_normalise_ascii(trimmed.at, trimmed.len, out->domain))
        out->kind = NEXTHOP_DOMAIN;
    else
        out->kind = parse_key(trimmed, out->domain);
}

static bool
is_separator(unsigned char c)
{
    return c == ',' || ascii_is_blank(c);
}

static bool
is_in_word(unsigned char c)
{
    return !is_separator(c);
}

/* Takes "host" or "host:port" up to the next colon that stands outside brackets. A host without a
 * dot has no policy, so behind brackets a word is better read as a port. */
static struct span
take_hop(struct scan *s)
{
    struct span hop = {.at = s->at, .len = 0}, word;
    bool is_bracketed = !scan_is_done(s) && *s->at == '[';
    struct scan port;

    if (is_bracketed)
        scan_until(s, ']');
    scan_until(s, ':');
    port = *s;
    if (scan_char(&port, ':')) {
        word = scan_until(&port, ':');
        if (is_bracketed ? is_port(word) : is_port_in_list(word))
            *s = port;
    }
    hop.len = (size_t)(s->at - hop.at);
    scan_char(s, ':');
    return hop;
}

/* Reads one word of a list: an address, or hops with colons between. */
static size_t
parse_word(struct span word, struct nexthop *out, size_t room)
{
    struct scan s = scan_bytes(word.at, word.len);
    size_t count = 0;

    if (is_address(word)) {
        nexthop_parse(word.at, word.len, &out[0]);
        return 1;
    }
    while (count < room && !scan_is_done(&s)) {
        struct span hop = take_hop(&s);

        if (hop.len)
            nexthop_parse(hop.at, hop.len, &out[count++]);
    }
    return count;
}

size_t
nexthop_parse_list(const char *key, size_t len, struct nexthop out[NEXTHOP_MAX])
{
    struct scan s = scan_bytes(key, len);
    size_t count = 0;

    while (count < NEXTHOP_MAX) {
        struct span word;

        scan_while(&s, is_separator, SIZE_MAX);
        word = without_user(scan_while(&s, is_in_word, SIZE_MAX));
        if (scan_is_done(&s) && word.len == 0)
            break;
        count += parse_word(word, out + count, NEXTHOP_MAX - count);
    }
    return count;
}
