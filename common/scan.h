/* scan - a cursor over bytes that somebody else wrote.
 * Length-delimited, never NUL-terminated; ASCII tables only, no locale (requirements J). Every step
 * says what it took; nothing reads past the end. */
#ifndef STS_COMMON_SCAN_H
#define STS_COMMON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan {
    const char *at, *end; /* what is left */
};

/* A run of bytes inside somebody else's memory. */
struct span {
    const char *at;
    size_t len;
};

struct scan scan_bytes(const char *bytes, size_t len);
bool scan_is_done(const struct scan *);

/* Takes `c` (or the exact word) if it comes next; false and no step otherwise. */
bool scan_char(struct scan *, char c);
bool scan_word(struct scan *, const char *word);
/* Takes the longest run of bytes for which `is` holds, at most `max` bytes; may be empty. */
struct span scan_while(struct scan *, bool (*is)(unsigned char), size_t max);
/* Takes everything up to (not including) `c`, or up to the end. */
struct span scan_until(struct scan *, char c);
/* Takes 1 to `max_digits` decimal digits as a number (max_digits <= 18); false and no step when
 * there is none or when more digits follow. No sign, no blank, no other base. */
bool scan_number(struct scan *, int max_digits, uint64_t *out);
/* Takes one character of UTF-8 as RFC 3629 defines it (no overlong form, no surrogate, at most
 * U+10FFFF; ASCII, NUL and controls included); false and no step when none comes next. */
bool scan_utf8(struct scan *);

bool span_is(struct span, const char *word);           /* byte for byte */
bool span_equal_nocase(struct span, const char *word); /* ASCII case apart */
/* The span without blanks at either end. */
struct span span_trim(struct span);

/* ASCII only, whatever the locale. */
static inline bool
ascii_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alnum(unsigned char c)
{
    return ascii_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_blank(unsigned char c) /* SP, HTAB */
{
    return c == ' ' || c == '\t';
}

static inline char
ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Lower-cases `len` bytes in place. */
void ascii_lower_bytes(char *bytes, size_t len);

#endif
