#include "common/domain.h"

#include <idn2.h>
#include <string.h>

#include "common/scan.h"

enum {
    LABEL_MAX = 63,
    NAME_MAX_LEN = DOMAIN_SIZE - 1,
    /* No U-label form of a legal name is longer: a code point takes at most 4 bytes here and at
     * least one in the A-label. Bounds the work of libidn2. */
    UNICODE_MAX_LEN = 4 * NAME_MAX_LEN
};

/* What a byte of a label becomes; 0 for bytes that no label holds. */
static const char folded[256] = {
    ['-'] = '-', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',
    ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j',
    ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q',
    ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',
    ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's',
    ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};

/* Copies the label at the start of `in` in lower case; its length, 0 when it is not LDH or
 * something else than a dot comes behind it. */
static size_t
fold_label(const char *in, size_t len, char *out)
{
    size_t n = 0;

    while (n < len && (out[n] = folded[(unsigned char)in[n]]) != '\0')
        n++;
    if (n == 0 || n > LABEL_MAX || out[0] == '-' || out[n - 1] == '-')
        return 0;
    return n == len || in[n] == '.' ? n : 0;
}

bool
domain_fold(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    size_t at = 0, n = 0;

    out[0] = '\0';
    if (len && name[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_MAX_LEN)
        return false;
    while ((n = fold_label(name + at, len - at, out + at)) > 0 && at + n < len) {
        out[at + n] = '.';
        at += n + 1;
    }
    out[n ? len : 0] = '\0';
    return n > 0;
}

/* A name whose last label is all digits is an address to whoever resolves it. */
static bool
ends_in_number(const char *name, size_t len)
{
    while (len > 0 && ascii_is_digit((unsigned char)name[len - 1]))
        len--;
    return len == 0 || name[len - 1] == '.';
}

bool
domain_normalise_ascii(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    size_t without_dot = len > 0 && name[len - 1] == '.' ? len - 1 : len;

    if (domain_fold(name, len, out) && !ends_in_number(out, without_dot))
        return true;
    out[0] = '\0';
    return false;
}

static bool
is_utf8_text(const char *bytes, size_t len)
{
    struct scan s = scan_bytes(bytes, len);

    while (scan_utf8(&s))
        ;
    return scan_is_done(&s) && memchr(bytes, '\0', len) == NULL;
}

/* IDN2_USE_STD3_ASCII_RULES would delete characters instead of refusing them ("a@b" becomes
 * "ab"), so the result passes our own LDH rules, which also catch the empty labels that libidn2
 * lets through. */
static bool
normalise_unicode(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    char copy[UNICODE_MAX_LEN + 1], *ascii = NULL;
    bool fine;

    out[0] = '\0';
    if (len > UNICODE_MAX_LEN || !is_utf8_text(name, len))
        return false;
    memcpy(copy, name, len);
    copy[len] = '\0';
    if (idn2_to_ascii_8z(copy, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return false;
    fine = domain_normalise_ascii(ascii, strlen(ascii), out);
    idn2_free(ascii);
    return fine;
}

static bool
is_ascii(const char *bytes, size_t len)
{
    unsigned char seen = 0;

    for (size_t i = 0; i < len; i++)
        seen |= (unsigned char)bytes[i];
    return seen < 0x80;
}

bool
domain_normalise(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    return domain_normalise_ascii(name, len, out) ||
           (!is_ascii(name, len) && normalise_unicode(name, len, out));
}

/* Labels of letters, digits, hyphens and underscores, wherever these stand. */
static bool
fold_loosely(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    size_t label = 0;

    if (len && name[len - 1] == '.')
        len--;
    if (len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        out[i] = c == '.' || c == '_' ? (char)c : folded[c];
        label = c == '.' ? 0 : label + 1;
        if (out[i] == '\0' || label > LABEL_MAX || (label == 0 && (i == 0 || out[i - 1] == '.')))
            return false;
    }
    out[len] = '\0';
    return label > 0;
}

bool
domain_fold_mx_host(const char *name, size_t len, char out[DOMAIN_SIZE])
{
    if (domain_normalise(name, len, out) || fold_loosely(name, len, out))
        return true;
    out[0] = '\0';
    return false;
}

bool
domain_is_normal(const char *name)
{
    char normal[DOMAIN_SIZE];

    return domain_normalise_ascii(name, strlen(name), normal) && strcmp(name, normal) == 0;
}

bool
domain_has_dot(const char *name)
{
    return strchr(name, '.') != NULL;
}
