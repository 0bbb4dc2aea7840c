#include "common/scan.h"

#include <string.h>

struct scan
scan_bytes(const char *bytes, size_t len)
{
    return (struct scan){.at = bytes, .end = len ? bytes + len : bytes};
}

bool
scan_is_done(const struct scan *s)
{
    return s->at == s->end;
}

static size_t
left(const struct scan *s)
{
    return (size_t)(s->end - s->at);
}

static struct span
take(struct scan *s, size_t len)
{
    struct span taken = {.at = s->at, .len = len};

    if (len)
        s->at += len;
    return taken;
}

bool
scan_char(struct scan *s, char c)
{
    if (scan_is_done(s) || *s->at != c)
        return false;
    s->at++;
    return true;
}

bool
scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);

    if (len > left(s) || (len && memcmp(s->at, word, len) != 0))
        return false;
    take(s, len);
    return true;
}

struct span
scan_while(struct scan *s, bool (*is)(unsigned char), size_t max)
{
    size_t len = 0, limit = left(s) < max ? left(s) : max;

    while (len < limit && is((unsigned char)s->at[len]))
        len++;
    return take(s, len);
}

struct span
scan_until(struct scan *s, char c)
{
    const char *found = scan_is_done(s) ? NULL : memchr(s->at, c, left(s));

    return take(s, found ? (size_t)(found - s->at) : left(s));
}

bool
scan_number(struct scan *s, int max_digits, uint64_t *out)
{
    struct scan ahead = *s;
    struct span digits = scan_while(&ahead, ascii_is_digit, (size_t)max_digits);

    if (digits.len == 0 || (!scan_is_done(&ahead) && ascii_is_digit((unsigned char)*ahead.at)))
        return false;
    *out = 0;
    for (size_t i = 0; i < digits.len; i++)
        *out = *out * 10 + (uint64_t)(digits.at[i] - '0');
    *s = ahead;
    return true;
}

/* The rows of RFC 3629 s4: the range of the second byte alone keeps out overlong forms,
 * surrogates and what lies above U+10FFFF. */
static const struct {
    unsigned char first_min, first_max, second_min, second_max, len;
} utf8_forms[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Length of the character that `bytes` begin with; 0 when it is none. */
static size_t
utf8_length(const unsigned char *bytes, size_t len)
{
    size_t row = 0, rows = sizeof utf8_forms / sizeof utf8_forms[0];

    while (row < rows &&
           (bytes[0] < utf8_forms[row].first_min || bytes[0] > utf8_forms[row].first_max))
        row++;
    if (row == rows || utf8_forms[row].len > len)
        return 0;
    if (utf8_forms[row].len > 1 &&
        (bytes[1] < utf8_forms[row].second_min || bytes[1] > utf8_forms[row].second_max))
        return 0;
    for (size_t i = 2; i < utf8_forms[row].len; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return utf8_forms[row].len;
}

bool
scan_utf8(struct scan *s)
{
    size_t len = scan_is_done(s) ? 0 : utf8_length((const unsigned char *)s->at, left(s));

    take(s, len);
    return len > 0;
}

bool
span_is(struct span span, const char *word)
{
    return span.len == strlen(word) && (span.len == 0 || memcmp(span.at, word, span.len) == 0);
}

bool
span_equal_nocase(struct span span, const char *word)
{
    if (span.len != strlen(word))
        return false;
    if (span_is(span, word))
        return true; /* as nearly always */
    for (size_t i = 0; i < span.len; i++) {
        if (ascii_lower(span.at[i]) != ascii_lower(word[i]))
            return false;
    }
    return true;
}

struct span
span_trim(struct span span)
{
    while (span.len && ascii_is_blank((unsigned char)span.at[0])) {
        span.at++;
        span.len--;
    }
    while (span.len && ascii_is_blank((unsigned char)span.at[span.len - 1]))
        span.len--;
    return span;
}

void
ascii_lower_bytes(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = ascii_lower(bytes[i]);
}
